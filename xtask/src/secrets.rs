//! The rule that no DSN is in the repository, checked on every committed file.

use std::path::Path;
use std::process::Command;

/// Each DSN in this text that could be a real one.
fn real_looking_dsns(text: &str) -> Vec<String> {
    let starts = text.match_indices("http").map(|(at, _)| &text[at..]);
    starts
        .filter_map(dsn)
        .filter(|dsn| !is_example(&dsn.host))
        .map(|dsn| dsn.shown)
        .collect()
}

struct Dsn {
    host: String,
    shown: String,
}

/// A DSN at the beginning of the text: `https://KEY[:SECRET]@HOST[:PORT]/…/NUMBER`.
fn dsn(text: &str) -> Option<Dsn> {
    let rest = text
        .strip_prefix("https")
        .or_else(|| text.strip_prefix("http"))?
        .strip_prefix("://")?;
    let (user, rest) = rest.split_once('@')?;
    let key = user.split(':').next()?;
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if key.len() < 16 || !hexadecimal(key) || !user.split(':').all(hexadecimal) {
        return None;
    }
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-_:/[]".contains(c)));
    let rest = &rest[..end.unwrap_or(rest.len())];
    let (authority, path) = rest.split_once('/')?;
    let project = path.trim_end_matches(['.', ':', '/']).rsplit('/').next()?;
    if project.is_empty() || !project.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let host = authority
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    // The message must not contain the DSN, or it would leak the DSN again.
    Some(Dsn {
        shown: format!("a DSN for {host}"),
        host,
    })
}

fn is_example(host: &str) -> bool {
    let reserved = [
        "example.com",
        "example.org",
        "example.net",
        "invalid",
        "test",
        "localhost",
    ];
    host == "127.0.0.1"
        || reserved.iter().any(|name| {
            host == *name
                || host
                    .strip_suffix(name)
                    .is_some_and(|rest| rest.ends_with('.'))
        })
}

/// Whether a `[vars]` table of this TOML sets a `SENTRY_DSN`, in any spelling.
fn dsn_in_vars(text: &str) -> bool {
    let mut in_vars = false;
    text.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            let name = line
                .trim_start_matches('[')
                .split(']')
                .next()
                .unwrap_or_default()
                .trim();
            in_vars = name == "vars" || name.ends_with(".vars");
            return false;
        }
        let compact: String = line
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '"' && *c != '\'')
            .collect();
        let key = compact.split('=').next().unwrap_or_default();
        (in_vars && key == "SENTRY_DSN")
            || key.ends_with("vars.SENTRY_DSN")
            || (key.ends_with("vars") && compact.contains("SENTRY_DSN="))
    })
}

fn committed_files(root: &Path) -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "`git ls-files` failed: {output:?}");
    let names = String::from_utf8(output.stdout).unwrap();
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_committed_file_holds_a_real_looking_dsn_or_one_in_vars() {
    let root = crate::root();
    let files = committed_files(&root);
    assert!(
        files.iter().any(|file| file == "Cargo.toml"),
        "git lists no files: {files:?}"
    );
    let mut wrong = Vec::new();
    for file in files {
        // A deleted file is still listed until the deletion is committed.
        let Ok(bytes) = std::fs::read(root.join(&file)) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        wrong.extend(
            real_looking_dsns(&text)
                .into_iter()
                .map(|dsn| format!("{file}: {dsn}")),
        );
        if file.ends_with(".toml") && dsn_in_vars(&text) {
            wrong.push(format!("{file}: SENTRY_DSN in [vars]; it is a secret"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// The DSN is put together here, so that this file passes the check.
fn written(key: &str, place: &str) -> String {
    format!("dsn = \"https://{key}@{place}\"")
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_real_looking_dsn_is_found_wherever_it_stands() {
    for place in [
        "o1.ingest.sentry.io/42",
        "errors.company.io:8443/sub/path/7",
        "127.0.0.1.company.io/1",
    ] {
        assert_eq!(real_looking_dsns(&written(KEY, place)).len(), 1, "{place}");
    }
    let with_secret = written(&format!("{KEY}:{KEY}"), "o1.ingest.sentry.io/42.");
    assert_eq!(real_looking_dsns(&with_secret).len(), 1);
}

#[test]
fn an_example_dsn_is_allowed() {
    for place in [
        "127.0.0.1:8000/1",
        "localhost/1",
        "sentry.example.com/42",
        "x.invalid/1",
        "a.test/1",
    ] {
        assert!(
            real_looking_dsns(&written(KEY, place)).is_empty(),
            "{place}"
        );
    }
    assert!(real_looking_dsns(&written("public", "o1.ingest.sentry.io/42")).is_empty());
}

#[test]
fn a_dsn_in_vars_is_found_in_every_spelling() {
    for toml in [
        "[vars]\nSENTRY_DSN = \"x\"",
        "[env.staging.vars]\n\"SENTRY_DSN\" = \"x\"",
        "vars.SENTRY_DSN = \"x\"",
        "vars = { SENTRY_DSN = \"x\" }",
    ] {
        assert!(dsn_in_vars(toml), "{toml}");
    }
    assert!(!dsn_in_vars(
        "[vars]\nENVIRONMENT = \"x\"\n[other]\nSENTRY_DSN = \"x\""
    ));
}
