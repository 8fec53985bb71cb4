//! A part of step 2, *load*: what a DSN says about the receiver.
//!
//! `sentry-core` has a DSN of its own, and does not need to be told it. It comes with
//! a URL parser that brings the tables of Unicode along, more than all the rest of a
//! capture weighs. The runtime has such a parser already.

/// An absolute URL in its parts, as the platform's own parser reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UrlParts {
    /// All of it, in its normal form.
    pub(crate) href: String,
    /// With the colon: `https:`.
    pub(crate) protocol: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// With the port where it is not the protocol's own.
    pub(crate) host: String,
    /// With the slash it begins with.
    pub(crate) pathname: String,
}

impl UrlParts {
    /// Whether the runtime's `fetch` speaks this protocol.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.protocol.as_str(), "http:" | "https:")
    }
}

/// Where events go, and with which key.
/// <https://develop.sentry.dev/sdk/overview/#parsing-the-dsn>
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dsn {
    /// The DSN itself, for a tunnel.
    pub(crate) text: String,
    /// Where envelopes are posted.
    pub(crate) envelope_url: String,
    pub(crate) public_key: String,
    pub(crate) secret_key: Option<String>,
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
            text: url.href,
            public_key: url.username,
            secret_key: Some(url.password).filter(|key| !key.is_empty()),
        })
    }
}
