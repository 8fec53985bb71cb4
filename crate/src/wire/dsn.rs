//! What a DSN says about the receiver.
//!
//! `sentry-core` has a DSN of its own. It comes with a URL parser that brings the tables of
//! Unicode along, which weigh more than all the rest of a capture. The runtime has such a
//! parser already.

use crate::platform::UrlParts;
use crate::trace::sampling::org_id;

/// Where events go, and with which key.
/// <https://develop.sentry.dev/sdk/foundations/transport/authentication/#parsing-the-dsn>
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dsn {
    /// The DSN itself, for a tunnel.
    pub(crate) text: String,
    /// Where envelopes are posted.
    pub(crate) envelope_url: String,
    pub(crate) public_key: String,
    pub(crate) secret_key: Option<String>,
    /// The organisation, where the host is one of Sentry's own.
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
