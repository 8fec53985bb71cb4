// ANCHOR: all
use serde::Deserialize;
use worker::js_sys::Uint8Array;
use worker::*;

/// No event is larger than this, in bytes.
const MOST: usize = 1_000_000;

/// What an envelope says of itself, on its first line.
#[derive(Deserialize)]
struct EnvelopeHeaders {
    dsn: Option<String>,
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _context: Context) -> Result<Response> {
    let receiver: Url = env.secret("RECEIVER_DSN")?.to_string().parse()?;
    let auth = request.headers().get("X-Sentry-Auth")?.unwrap_or_default();
    let envelope = request.bytes().await?;
    if envelope.len() > MOST {
        return Response::error("Payload Too Large", 413);
    }
    // Nobody else gets a way to the receiver, or from here to any other host.
    if !is_ours(&receiver, &auth, &envelope) {
        return Response::error("Forbidden", 403);
    }
    let answer = forward(&receiver, &envelope).await?;
    let headers = Headers::new();
    // By these the sender knows how long to be quiet.
    for name in ["Retry-After", "X-Sentry-Rate-Limits"] {
        if let Some(value) = answer.headers().get(name)? {
            headers.set(name, &value)?;
        }
    }
    let response = Response::empty()?.with_headers(headers);
    Ok(response.with_status(answer.status_code()))
}

/// Whether an envelope is for this receiver: by its DSN, which it has for a tunnel, or by the
/// key in the header that it has for the receiver.
fn is_ours(receiver: &Url, auth: &str, envelope: &[u8]) -> bool {
    let line = envelope.split(|byte| *byte == b'\n').next();
    let headers = line.and_then(|line| serde_json::from_slice::<EnvelopeHeaders>(line).ok());
    match headers.and_then(|headers| headers.dsn) {
        Some(dsn) => Url::parse(&dsn).is_ok_and(|dsn| address(&dsn) == address(receiver)),
        None => auth
            .split([' ', ','])
            .any(|field| field.strip_prefix("sentry_key=") == Some(receiver.username())),
    }
}

/// What two DSNs of one project have in common.
fn address(dsn: &Url) -> (&str, Option<&str>, Option<u16>, &str) {
    (dsn.username(), dsn.host_str(), dsn.port(), dsn.path())
}

/// Sends an envelope on, with the two headers that a receiver needs and no other.
async fn forward(receiver: &Url, envelope: &[u8]) -> Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", "application/x-sentry-envelope")?;
    let auth = format!(
        "Sentry sentry_version=7, sentry_key={}",
        receiver.username()
    );
    headers.set("X-Sentry-Auth", &auth)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(Uint8Array::from(envelope).into()))
        // A redirect would take the key to wherever it points.
        .with_redirect(RequestRedirect::Manual);
    let url = envelope_url(receiver)?;
    Fetch::Request(Request::new_with_init(url.as_str(), &init)?)
        .send()
        .await
}

/// Where the receiver of a DSN takes envelopes.
fn envelope_url(dsn: &Url) -> Result<Url> {
    let path = dsn.path().trim_matches('/');
    let (before, project) = path.rsplit_once('/').unwrap_or(("", path));
    let slash = if before.is_empty() { "" } else { "/" };
    Ok(dsn.join(&format!("/{before}{slash}api/{project}/envelope/"))?)
}
// ANCHOR_END: all

#[cfg(test)]
mod tests {
    use super::*;

    fn dsn(text: &str) -> Url {
        text.parse().expect("a DSN")
    }

    const ENVELOPE: &[u8] = br#"{"dsn":"https://key@s.example.com/7","sdk":{}}
{}"#;

    #[test]
    fn an_envelope_for_another_project_is_refused() {
        assert!(is_ours(&dsn("https://key@s.example.com/7"), "", ENVELOPE));
        // The crate's DSN keeps the colon before a secret key, even without a key.
        assert!(is_ours(&dsn("https://key:@s.example.com/7"), "", ENVELOPE));
        for other in [
            "https://other@s.example.com/7",
            "https://key@t.example.com/7",
            "https://key@s.example.com/8",
            "https://key@s.example.com:8443/7",
        ] {
            assert!(!is_ours(&dsn(other), "", ENVELOPE), "{other}");
            assert!(!is_ours(&dsn(other), "sentry_key=key", ENVELOPE), "{other}");
        }
    }

    #[test]
    fn without_a_dsn_the_key_decides() {
        let receiver = dsn("https://key@s.example.com/7");
        let auth = "Sentry sentry_version=7, sentry_client=x/1, sentry_key=key";
        assert!(is_ours(&receiver, auth, b"{}\n"));
        for auth in ["", "Sentry sentry_key=keys", "Sentry sentry_key="] {
            assert!(!is_ours(&receiver, auth, b"{}\n"), "{auth}");
        }
        assert!(!is_ours(&receiver, "sentry_key=other", b"no JSON"));
    }

    #[test]
    fn envelopes_have_an_address_of_their_own() {
        for (text, url) in [
            (
                "https://key@s.example.com/7",
                "https://key@s.example.com/api/7/envelope/",
            ),
            (
                "https://key@s.example.com/a/b/7",
                "https://key@s.example.com/a/b/api/7/envelope/",
            ),
        ] {
            assert_eq!(envelope_url(&dsn(text)).expect("a URL").as_str(), url);
        }
    }
}
