//! Serving the rendered book on this machine.
//!
//! A server of our own: `mdbook serve` empties the folder that it serves before each rendering,
//! serves what mdBook alone has made, without the API, and is 61 more crates to compile.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use book_compiler::anchors::New;

use crate::setup::{Setup, Tools};
use crate::{book, run};

/// What the pages are made of.
const SOURCES: [&str; 6] = [
    "book.toml",
    "src",
    "theme",
    "listings/src",
    "crate/src",
    "crate/laboratory/src",
];
const LOOK_EVERY: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any browser sends as the head of a request.
const LONGEST_HEAD: u64 = 64 * 1024;

/// `cargo xtask serve`.
pub fn serve(root: &Path, port: u16) -> Result<()> {
    let tools = Setup::new(root)?.book_tools()?;
    eprintln!("verifying the listings");
    let test = |option: &str| {
        let mut command = run::command("cargo");
        command.args(["test", option, "-p", "worker-sentry", "-p", "listings"]);
        run::inherited(command.current_dir(root))
    };
    // Compiling shows its progress; the tests themselves take a second.
    test("--no-run")?;
    test("--quiet")?;
    eprintln!("rendering the book");
    let seen = newest(root);
    book::render(root, &tools, New::Tell)?;

    let listener = bind(port)?;
    let address = listener.local_addr()?;
    println!(
        "\n  The book:  http://{address}/\n\n  It renders again when a page or a listing changes. Ctrl-C ends it.\n"
    );
    let watched = root.to_path_buf();
    thread::spawn(move || render_again(&watched, &tools, seen));
    let book = root.join("book");
    for stream in listener.incoming().flatten() {
        let book = book.clone();
        // A browser that goes away in the middle of an answer is no error.
        thread::spawn(move || answer(&stream, &book));
    }
    Ok(())
}

fn bind(port: u16) -> Result<TcpListener> {
    for port in port..=port.saturating_add(100) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot listen on port {port}"));
            }
        }
    }
    bail!("no free port from {port} on; choose one with --port")
}

fn render_again(root: &Path, tools: &Tools, mut seen: Option<SystemTime>) {
    loop {
        thread::sleep(LOOK_EVERY);
        let now = newest(root);
        if now == seen {
            continue;
        }
        seen = now;
        match book::render(root, tools, New::Tell) {
            Ok(()) => eprintln!("rendered again"),
            Err(error) => eprintln!("not rendered: {error:#}"),
        }
        // A new drawing has itself changed a time.
        seen = newest(root).max(seen);
    }
}

/// When a source last changed.
fn newest(root: &Path) -> Option<SystemTime> {
    fn below(path: &Path) -> Option<SystemTime> {
        let changed = fs::metadata(path).and_then(|data| data.modified()).ok();
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| below(&entry.path()))
            .chain(changed)
            .max()
    }
    SOURCES
        .iter()
        .filter_map(|source| below(&root.join(source)))
        .max()
}

fn answer(mut stream: &TcpStream, book: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.take(LONGEST_HEAD)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the head is read to its end, or closing would reset the
    // connection before the browser has read the answer.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = request.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (status, kind, body) = if method == "GET" || method == "HEAD" {
        page(book, target)
    } else {
        ("405 Method Not Allowed", "text/plain", Vec::new())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    stream.flush()
}

fn page(book: &Path, target: &str) -> (&'static str, &'static str, Vec<u8>) {
    if let Some(file) = file_for(book, target)
        && let Ok(body) = fs::read(&file)
    {
        return ("200 OK", kind(&file), body);
    }
    let body = fs::read(book.join("404.html")).unwrap_or_else(|_| b"not found".to_vec());
    ("404 Not Found", kind(Path::new("404.html")), body)
}

/// The file of the book that a request asks for, and never one outside it.
fn file_for(book: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?;
    let path = decoded(path.strip_prefix('/')?)?;
    let path = Path::new(&path);
    if path
        .components()
        .any(|part| !matches!(part, Component::Normal(_)))
    {
        return None;
    }
    let file = book.join(path);
    Some(if file.is_dir() {
        file.join("index.html")
    } else {
        file
    })
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || (rest.next()? as char).to_digit(16);
            bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn kind(file: &Path) -> &'static str {
    match file
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
    {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "md" => "text/markdown; charset=utf-8",
        "txt" | "toml" | "rs" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_never_leaves_the_book() {
        let book = Path::new("/book");
        for target in [
            "/../secret",
            "/a/../../secret",
            "/%2e%2e/secret",
            "//etc/passwd",
            "secret",
            "/%zz",
        ] {
            assert_eq!(file_for(book, target), None, "{target}");
        }
    }

    #[test]
    fn a_request_finds_its_page_with_query_and_escapes() {
        let book = Path::new("/book");
        assert_eq!(
            file_for(book, "/a%20b.html?x#y"),
            Some(PathBuf::from("/book/a b.html"))
        );
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let first = bind(20_000).unwrap().local_addr().unwrap().port();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first));
        let second = bind(first).unwrap().local_addr().unwrap().port();
        assert!(taken.is_err() || second > first);
    }
}
