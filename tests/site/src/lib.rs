//! A static file server on a port of its own, as simple as any server that a book may be served
//! from.

#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

pub mod server;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Component, Path, PathBuf};

use server::{Listener, Request};

/// The headers of each file of a site, by the file's path.
pub type Headers = fn(&str) -> Vec<(&'static str, String)>;

/// A folder that is being served. The server ends when this is dropped.
#[derive(Debug)]
pub struct Site {
    listener: Listener,
    under: String,
}

impl Site {
    /// Serves `folder` at the root.
    pub fn of(folder: &Path) -> Self {
        Self::under(folder, "")
    }

    /// Serves `folder` under a path, such as `/team/book`.
    ///
    /// # Panics
    ///
    /// If there is no such folder, or no free port.
    pub fn under(folder: &Path, path: &str) -> Self {
        Self::with(folder, path, |_| Vec::new())
    }

    /// Serves `folder` under a path, and sends each file with the headers of its path.
    ///
    /// # Panics
    ///
    /// If there is no such folder, or no free port.
    pub fn with(folder: &Path, path: &str, headers: Headers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, folder, path, headers)
    }

    /// Serves `folder` in the same way, on a port that the caller chooses.
    ///
    /// # Panics
    ///
    /// If there is no such folder.
    pub fn on(listener: TcpListener, folder: &Path, path: &str, headers: Headers) -> Self {
        assert!(folder.is_dir(), "no folder {}", folder.display());
        let under = path.trim_end_matches('/').to_owned();
        let (folder, prefix) = (folder.to_owned(), under.clone());
        let listener = Listener::start(listener, move |stream| {
            while let Some(request) = server::read_request(stream)? {
                answer(stream, &request, &folder, &prefix, headers)?;
            }
            Ok(())
        });
        Site { listener, under }
    }

    /// The address of a page: `url("architecture.html")`.
    pub fn url(&self, page: &str) -> String {
        format!("{}{}/{page}", self.origin(), self.under)
    }

    /// Scheme, host and port: the beginning of every URL of this site.
    pub fn origin(&self) -> String {
        format!("http://{}", self.listener.address())
    }
}

fn answer(
    stream: &std::net::TcpStream,
    request: &Request,
    folder: &Path,
    under: &str,
    headers: Headers,
) -> io::Result<()> {
    let path = request.target.split(['?', '#']).next().unwrap_or_default();
    let inside = path.strip_prefix(under).and_then(|it| it.strip_prefix('/'));
    let file = inside.and_then(|path| file_in(folder, path));
    let found = file.and_then(|file| Some((200, fs::read(&file).ok()?, content_type(&file))));
    // Every host for static pages answers a missing file in this way.
    let (status, body, kind) = found.unwrap_or_else(|| {
        let page = fs::read(folder.join("404.html")).unwrap_or_default();
        (404, page, "text/html; charset=utf-8")
    });
    let mut headers = headers(path);
    headers.push(("Content-Type", kind.to_owned()));
    server::write_reply(stream, status, &headers, &body)
}

/// The file for the path of a request. It is never outside of the folder.
fn file_in(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = decoded(path)?;
    let path = Path::new(&path);
    let mut parts = path.components();
    if !parts.all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let file = folder.join(path);
    Some(match file.is_dir() {
        true => file.join("index.html"),
        false => file,
    })
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        Some("txt" | "toml" | "rs") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_never_leaves_the_folder() {
        let book = Path::new("/book");
        for path in [
            "../secret",
            "a/../../secret",
            "%2e%2e/secret",
            "/etc/passwd",
            "%zz",
        ] {
            assert_eq!(file_in(book, path), None, "{path}");
        }
    }

    #[test]
    fn a_request_finds_its_page_with_escapes() {
        let page = Some(PathBuf::from("/book/a b.html"));
        assert_eq!(file_in(Path::new("/book"), "a%20b.html"), page);
    }
}
