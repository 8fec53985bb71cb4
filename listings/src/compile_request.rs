//! A client's request: the name of a list and the sources of its rules.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fnv::Fnv;

/// The largest number of sources. Each source is fetched in a step of its own.
const MAX_SOURCES: usize = 16;
/// The largest text. A request is also a message of a queue, which holds at most 128 KB.
const MAX_TEXT: usize = 100_000;
/// The largest number of messages that a queue takes at once. Their size is at most 256 KB in
/// total, which includes the names and the trace of each message:
/// <https://developers.cloudflare.com/queues/platform/limits/>
const MAX_BATCH: usize = 100;
const MAX_BATCH_TEXT: usize = 200_000;

/// A list to compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileRequest {
    /// The list's name, which is also a part of its address.
    pub name: String,
    /// The sources of the rules.
    pub sources: Vec<Source>,
}

/// One source of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An address to fetch.
    Url(String),
    /// The rules themselves.
    Text(String),
}

/// Why a request is refused.
#[derive(Debug, Error)]
pub enum InvalidRequest {
    /// The name cannot be a part of an address.
    #[error("a list's name is 1 to 64 letters, digits or dashes")]
    Name,
    /// There is no source.
    #[error("list `{0}` has no sources")]
    NoSources(String),
    /// There are too many sources, or too much text.
    #[error("list `{0}` has more than {MAX_SOURCES} sources or too much text")]
    TooLarge(String),
    /// A source is not an address that a Worker can fetch.
    #[error("a source of list `{0}` is not an http or https URL")]
    Address(String),
    /// The batch is empty, or is more than the queue takes at once.
    #[error("a batch is 1 to {MAX_BATCH} lists with at most {MAX_BATCH_TEXT} bytes of sources")]
    Batch,
    /// The body is not a request.
    #[error("not a compile request")]
    Json(#[from] serde_json::Error),
}

/// Whether `name` can be a list's name. It is a part of addresses, keys and messages.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Checks that the queue takes a batch, and that each of its lists can be
/// compiled.
///
/// # Errors
///
/// If a check fails. The error names the first list that it is about.
pub fn check_batch(requests: &[CompileRequest]) -> Result<(), InvalidRequest> {
    requests.iter().try_for_each(CompileRequest::check)?;
    let text: usize = requests.iter().map(CompileRequest::text_len).sum();
    if !(1..=MAX_BATCH).contains(&requests.len()) || text > MAX_BATCH_TEXT {
        return Err(InvalidRequest::Batch);
    }
    Ok(())
}

impl CompileRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// If the text is not a request, or if the request cannot be served.
    pub fn from_json(json: &str) -> Result<Self, InvalidRequest> {
        let request: CompileRequest = serde_json::from_str(json)?;
        request.check()?;
        Ok(request)
    }

    /// Checks that the list can be compiled.
    ///
    /// # Errors
    ///
    /// If a check fails.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        if !is_name(&self.name) {
            return Err(InvalidRequest::Name);
        }
        let name = || self.name.clone();
        if self.sources.is_empty() {
            return Err(InvalidRequest::NoSources(name()));
        }
        if self.sources.len() > MAX_SOURCES || self.text_len() > MAX_TEXT {
            return Err(InvalidRequest::TooLarge(name()));
        }
        if self.sources.iter().any(|source| !source.is_usable()) {
            return Err(InvalidRequest::Address(name()));
        }
        Ok(())
    }

    fn text_len(&self) -> usize {
        self.sources.iter().map(Source::text_len).sum()
    }

    /// The compilation's id. The same list with the same sources has the same id, so that two
    /// requests for it are one compilation.
    pub fn id(&self) -> String {
        let mut hash = Fnv::default();
        for source in &self.sources {
            let (kind, text) = match source {
                Source::Url(url) => ("url", url),
                Source::Text(text) => ("text", text),
            };
            // With their lengths, two different lists of sources never give the same text.
            hash.update(format!("{kind} {} {text}", text.len()).as_bytes());
        }
        format!("{}-{hash}", self.name)
    }
}

impl Source {
    fn text_len(&self) -> usize {
        match self {
            Source::Url(text) | Source::Text(text) => text.len(),
        }
    }

    fn is_usable(&self) -> bool {
        match self {
            Source::Url(url) => url.starts_with("https://") || url.starts_with("http://"),
            Source::Text(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, sources: &[Source]) -> CompileRequest {
        CompileRequest {
            name: name.to_owned(),
            sources: sources.to_vec(),
        }
    }

    #[test]
    fn names_are_plain() {
        for good in ["a", "deploy-42", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "ä", "a%20b", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_request_is_read_as_it_is_documented() {
        let json = r#"{"name":"a","sources":[{"url":"https://lists.invalid/a"},{"text":"||a^"}]}"#;
        let sources = [
            Source::Url("https://lists.invalid/a".into()),
            Source::Text("||a^".into()),
        ];
        let read = CompileRequest::from_json(json).expect("a request");
        assert_eq!(read, request("a", &sources));
    }

    #[test]
    fn a_request_that_cannot_be_served_is_refused_with_the_lists_name() {
        let text = Source::Text(String::new());
        for (bad, why) in [
            (request("a b", std::slice::from_ref(&text)), "1 to 64"),
            (request("a", &[]), "`a` has no sources"),
            (request("a", &vec![text; 17]), "`a` has more than 16"),
            (
                request("a", &[Source::Text("x".repeat(100_001))]),
                "`a` has more",
            ),
            (
                request("a", &[Source::Url("file:///etc".into())]),
                "of list `a`",
            ),
        ] {
            let error = bad.check().expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(CompileRequest::from_json("{}").is_err());
    }

    #[test]
    fn a_batch_is_refused_if_the_queue_would_not_take_it() {
        let list = |text: usize| request("a", &[Source::Text("x".repeat(text))]);
        assert!(check_batch(&vec![list(1); 100]).is_ok());
        assert!(check_batch(&vec![list(100_000); 2]).is_ok());
        for bad in [vec![], vec![list(1); 101], vec![list(100_000); 3]] {
            let error = check_batch(&bad).expect_err("too little or too much");
            assert!(matches!(error, InvalidRequest::Batch), "{error}");
        }
        let error = check_batch(&[list(1), request("b", &[])]).expect_err("no sources");
        assert_eq!(error.to_string(), "list `b` has no sources");
    }

    #[test]
    fn the_id_depends_on_the_name_and_on_each_source() {
        let text = |text: &str| Source::Text(text.into());
        let ids = [
            request("a", &[text("x"), text("y")]).id(),
            request("a", &[text("xy")]).id(),
            request("a", &[Source::Url("x".into()), text("y")]).id(),
            request("b", &[text("x"), text("y")]).id(),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id), "{ids:?}");
        }
        assert_eq!(ids[0], request("a", &[text("x"), text("y")]).id());
    }

    #[test]
    fn a_request_may_have_as_many_sources_and_as_much_text_as_is_allowed() {
        let text = |length: usize| Source::Text("x".repeat(length));
        assert!(request("a", &vec![text(1); MAX_SOURCES]).check().is_ok());
        assert!(request("a", &[text(MAX_TEXT)]).check().is_ok());
    }
}
