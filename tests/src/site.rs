//! A static file server on a port of its own, as plain as any that a book may be
//! served from.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::server;

/// Which `Content-Security-Policy` a path of a site is sent with.
pub type Policy = fn(&str) -> &'static str;

/// A folder that is being served. Ends when dropped.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    under: String,
    closing: Arc<AtomicBool>,
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
        Self::with(folder, path, |_| "")
    }

    /// Serves `folder` under a path, and sends each file with the
    /// `Content-Security-Policy` of its path, if that says anything.
    ///
    /// # Panics
    ///
    /// If there is no such folder, or no free port.
    pub fn with(folder: &Path, path: &str, policy: Policy) -> Self {
        assert!(folder.is_dir(), "no folder {}", folder.display());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let site = Site {
            address: listener.local_addr().expect("the address just bound"),
            under: path.trim_end_matches('/').to_owned(),
            closing: Arc::default(),
        };
        let closing = Arc::clone(&site.closing);
        let folder: Arc<Path> = folder.into();
        let under: Arc<str> = site.under.as_str().into();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if closing.load(Ordering::SeqCst) {
                    return;
                }
                let (folder, under) = (Arc::clone(&folder), Arc::clone(&under));
                // A browser drops connections as it likes.
                thread::spawn(move || drop(serve(&stream, &folder, &under, policy)));
            }
        });
        site
    }

    /// The address of a page: `url("architecture.html")`.
    pub fn url(&self, page: &str) -> String {
        format!("{}{}/{page}", self.origin(), self.under)
    }

    /// Scheme, host and port, as every request's URL starts that stays here.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the listener up, so that it sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: &TcpStream, folder: &Path, under: &str, policy: Policy) -> io::Result<()> {
    let headers = |path: &str, kind: &str| {
        let policy = policy(path);
        let mut headers = vec![("Content-Type", kind.to_owned())];
        if !policy.is_empty() {
            headers.push(("Content-Security-Policy", policy.to_owned()));
        }
        headers
    };
    while let Some(request) = server::read_request(stream)? {
        let path = request.target.split(['?', '#']).next().unwrap_or_default();
        let file = path
            .strip_prefix(under)
            .and_then(|path| path.strip_prefix('/'))
            .and_then(|path| file_in(folder, path));
        match file.and_then(|file| Some((fs::read(&file).ok()?, file))) {
            Some((body, file)) => {
                server::write_reply(stream, 200, &headers(path, content_type(&file)), &body)?;
            }
            None => {
                // As every host for static pages does.
                let page = fs::read(folder.join("404.html")).unwrap_or_default();
                let headers = headers(path, "text/html; charset=utf-8");
                server::write_reply(stream, 404, &headers, &page)?;
            }
        }
    }
    Ok(())
}

/// The file for a path, never one outside of the folder.
fn file_in(folder: &Path, path: &str) -> Option<PathBuf> {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let file = folder.join(path);
    let file = if file.is_dir() {
        file.join("index.html")
    } else {
        file
    };
    plain.then_some(file)
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
