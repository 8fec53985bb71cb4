//! The URL to which envelopes are posted, and the headers.

use super::dsn::Dsn;
use crate::item::event::{SDK_NAME, SDK_VERSION};
use crate::platform::Outgoing;

/// The endpoint and the headers that are the same for every envelope.
#[derive(Debug)]
pub(crate) struct Endpoint {
    service: Option<&'static str>,
    url: String,
    headers: Vec<(&'static str, String)>,
}

impl Endpoint {
    /// The endpoint of a DSN, or of a tunnel if there is one.
    /// <https://develop.sentry.dev/sdk/foundations/transport/envelopes/#ingestion>
    ///
    /// `service` is the name of the service binding that sends the requests.
    pub(crate) fn new(
        dsn: &Dsn,
        tunnel: Option<&str>,
        service: Option<&'static str>,
        access: Option<&(String, String)>,
    ) -> Self {
        let mut headers = vec![
            ("Content-Type", "application/x-sentry-envelope".to_owned()),
            ("User-Agent", user_agent()),
        ];
        // A tunnel reads the DSN from the envelope's own header, and adds the headers that the
        // receiver behind it requires.
        if tunnel.is_none() {
            headers.push(("X-Sentry-Auth", auth(dsn)));
        }
        if let Some((id, secret)) = access {
            headers.push(("CF-Access-Client-Id", id.clone()));
            headers.push(("CF-Access-Client-Secret", secret.clone()));
        }
        Endpoint {
            service,
            url: tunnel.unwrap_or(&dsn.envelope_url).to_owned(),
            headers,
        }
    }

    /// The request that carries an envelope.
    pub(crate) fn request<'a>(&'a self, body: &'a [u8]) -> Outgoing<'a> {
        Outgoing {
            service: self.service,
            url: &self.url,
            headers: &self.headers,
            body,
        }
    }
}

/// The `User-Agent` and `sentry_client` of every request.
pub(crate) fn user_agent() -> String {
    [SDK_NAME, "/", SDK_VERSION].concat()
}

/// The same header as `Dsn::to_auth` of `sentry-core`, which cannot be used because it reads a
/// clock.
/// <https://develop.sentry.dev/sdk/foundations/transport/authentication/>
fn auth(dsn: &Dsn) -> String {
    let mut auth = [
        "Sentry sentry_version=7, sentry_client=",
        &user_agent(),
        ", sentry_key=",
        &dsn.public_key,
    ]
    .concat();
    if let Some(secret) = &dsn.secret_key {
        auth.push_str(", sentry_secret=");
        auth.push_str(secret);
    }
    auth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agent_is_the_sdk_and_its_version() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(user_agent(), format!("sentry.rust.cloudflare/{version}"));
    }
}
