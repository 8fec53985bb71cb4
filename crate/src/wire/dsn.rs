//! The contents of a DSN.
//!
//! The DSN type of `sentry-core` is not used. It needs a URL parser with tables of Unicode that
//! are larger than all other code of a capture. The runtime already has a URL parser.

use crate::platform::UrlParts;
use crate::trace::sampling::org_id;

/// The address of the receiver, and the key for it.
/// <https://develop.sentry.dev/sdk/foundations/transport/authentication/#parsing-the-dsn>
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dsn {
    /// The text of the DSN, for a tunnel.
    pub(crate) text: String,
    /// The URL to which envelopes are posted.
    pub(crate) envelope_url: String,
    pub(crate) public_key: String,
    pub(crate) secret_key: Option<String>,
    /// The organisation, if the host belongs to Sentry.
    pub(crate) org_id: Option<String>,
}

impl Dsn {
    /// Reads `PROTOCOL://PUBLIC_KEY[:SECRET_KEY]@HOST[/PATH]/PROJECT_ID`.
    pub(crate) fn of(url: UrlParts) -> Option<Self> {
        let path = url.pathname.trim_matches('/');
        let (path, project) = path.rsplit_once('/').unwrap_or(("", path));
        if !url.is_http() || url.username.is_empty() || project.is_empty() {
            return None;
        }
        let slash = if path.is_empty() { "" } else { "/" };
        Some(Dsn {
            envelope_url: [
                &url.protocol,
                "//",
                &url.host,
                "/",
                path,
                slash,
                "api/",
                project,
                "/envelope/",
            ]
            .concat(),
            org_id: org_id(&url.host).map(str::to_owned),
            text: url.href,
            public_key: url.username,
            secret_key: Some(url.password).filter(|key| !key.is_empty()),
        })
    }
}
