//! The context of an event that describes a request, if the application sets it.

use sentry_core::protocol::{Map, Value};

use super::text::cut;
use super::value::object;

/// The name of the context.
pub(crate) const CONTEXT: &str = "request";
/// The most headers that are read.
const MAX_HEADERS: usize = 32;
/// A longer text is cut to this many bytes.
const MAX_TEXT: usize = 512;

/// Words in the name of a header whose value is probably secret.
const SECRET: [&str; 14] = [
    "auth",
    "cookie",
    "credential",
    "csrf",
    "jwt",
    "key",
    "nonce",
    "passw",
    "secret",
    "session",
    "sign",
    "ticket",
    "token",
    "xsrf",
];

/// Whether a header's value must not be sent, even if the application names the header.
fn is_secret(header: &str) -> bool {
    SECRET.iter().any(|word| header.contains(word))
}

/// The method, the route and the named headers that the request has.
///
/// A URL in a header loses its query, because a query can contain a secret.
pub(crate) fn fields(
    method: &str,
    route: &str,
    headers: &[&str],
    value_of: impl Fn(&str) -> Option<String>,
) -> Map<String, Value> {
    let text = |text: String| Value::from(cut(text.into(), MAX_TEXT).into_owned());
    let mut named = Map::new();
    for header in headers.iter().take(MAX_HEADERS) {
        let header = header.to_ascii_lowercase();
        if is_secret(&header) {
            continue;
        }
        if let Some(mut value) = value_of(&header) {
            if value.contains("://")
                && let Some(end) = value.find(['?', '#'])
            {
                value.truncate(end);
            }
            named.insert(header, text(value));
        }
    }
    let mut fields = Map::new();
    fields.insert("method".to_owned(), text(method.to_owned()));
    fields.insert("route".to_owned(), text(route.to_owned()));
    if !named.is_empty() {
        fields.insert("headers".to_owned(), object(named));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(headers: &[&str]) -> serde_json::Value {
        let value_of = |header: &str| match header {
            "cf-ray" => Some("8f0-FRA".to_owned()),
            "referer" => Some("https://a.example/b?token=s3cret#c".to_owned()),
            "x-long" => Some("x".repeat(10_000)),
            "x-none" => None,
            _ => Some("s3cret".to_owned()),
        };
        json!(fields("POST", "/lists/:id", headers, value_of))
    }

    #[test]
    fn only_the_headers_that_are_named_are_told() {
        let expected = json!({"method": "POST", "route": "/lists/:id"});
        assert_eq!(told(&[]), expected);
        assert_eq!(told(&["x-none"]), expected);
        assert_eq!(told(&["CF-Ray"])["headers"], json!({"cf-ray": "8f0-FRA"}));
    }

    #[test]
    fn a_header_that_looks_like_a_secret_is_never_told_though_it_is_named() {
        for header in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "X-Amz-Security-Token",
            "X-Hub-Signature-256",
            "X-CSRF-Protection",
            "X-Session-Id",
            "X-Client-Secret",
            "X-Password",
            "CF-Access-Jwt-Assertion",
            "CF-Access-Client-Secret",
            "X-Sentry-Auth",
        ] {
            assert_eq!(told(&[header]).get("headers"), None, "{header}");
        }
    }

    #[test]
    fn a_url_loses_its_query_and_every_text_is_bounded() {
        assert_eq!(
            told(&["referer"])["headers"]["referer"],
            "https://a.example/b"
        );
        let long = told(&["x-long"]);
        let long = long["headers"]["x-long"].as_str().map_or(0, str::len);
        assert!((1..=MAX_TEXT).contains(&long), "{long}");
        let many: Vec<String> = (0..100).map(|at| format!("x-{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = told(&many);
        let count = told["headers"].as_object().map(|it| it.len());
        assert_eq!(count, Some(MAX_HEADERS));
    }
}
