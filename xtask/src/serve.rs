//! Serves the rendered book on this machine.
//!
//! This is not `mdbook serve`, for three reasons: it empties the folder that it serves before each
//! rendering, it serves only what mdBook has made, without the API, and it compiles 61 more crates.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use book_compiler::anchors::New;
use site::Site;

use crate::setup::{Setup, Tools};
use crate::{book, run};

/// The files and folders that the pages are made of.
const SOURCES: [&str; 6] = [
    "book.toml",
    "src",
    "theme",
    "listings/src",
    "crate/src",
    "crate/laboratory/src",
];
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// `cargo xtask serve`.
pub fn serve(root: &Path, port: u16) -> Result<()> {
    let tools = Setup::new(root)?.book_tools()?;
    eprintln!("verifying the listings");
    let test = |option: &str| {
        let mut command = run::command("cargo");
        command.args(["test", option, "-p", "worker-sentry", "-p", "listings"]);
        run::inherited(command.current_dir(root))
    };
    // Compiling shows its progress. The tests themselves take a second and are quiet.
    test("--no-run")?;
    test("--quiet")?;
    eprintln!("rendering the book");
    let seen = newest(root);
    book::render(root, &tools, New::Tell)?;

    let book = Site::on(bind(port)?, &root.join("book"), "", |_| {
        // Without this header a browser could show an older rendering.
        vec![("Cache-Control", "no-store".to_owned())]
    });
    println!(
        "\n  The book:  {}/\n\n  It renders again when a page or a listing changes. Ctrl-C ends it.\n",
        book.origin()
    );
    render_again(root, &tools, seen)
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

fn render_again(root: &Path, tools: &Tools, mut seen: Option<SystemTime>) -> ! {
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
        // Rendering may write a new drawing, which is newer than `seen` and must not start another
        // rendering.
        seen = newest(root).max(seen);
    }
}

/// The time of the last change to a source.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let first = bind(20_000).unwrap().local_addr().unwrap().port();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first));
        let second = bind(first).unwrap().local_addr().unwrap().port();
        assert!(taken.is_err() || second > first);
    }
}
