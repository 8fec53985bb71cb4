//! Which tests prove a listing: from the record, and from how the sources hang
//! together.

use std::collections::{BTreeMap, BTreeSet};

use super::{PAGES, Proof, Record, block_of_test, modules};
use crate::book_checks::{self, Host, Listing, reporting};

/// As many tests as a reader looks at.
const MOST: usize = 6;
/// Words that say nothing about what a name is of.
const EMPTY_WORDS: [&str; 16] = [
    "a", "an", "and", "as", "at", "by", "do", "for", "in", "into", "is", "it", "its", "of", "the",
    "to",
];

/// A source file of a package that the book shows.
struct File {
    package: &'static str,
    path: String,
    module: String,
    text: String,
    /// The words that may be names of modules which its code uses.
    used: BTreeSet<String>,
}

/// All of them.
pub struct Sources {
    files: Vec<File>,
}

impl Sources {
    pub fn read() -> Self {
        let files = modules().into_iter().map(|(package, path, module)| {
            let text = book_checks::read(&path);
            File {
                package,
                path,
                module,
                used: used_modules(&text),
                text,
            }
        });
        Self {
            files: files.collect(),
        }
    }

    /// The package that a native test belongs to, and its name without what every
    /// change to a file would change.
    pub fn package_of(&self, test: &str) -> Option<(String, String)> {
        // A place in a file, such as `a.rs - item (line 63)`.
        let lasting = test.split(" (line ").next().unwrap_or(test);
        if let Some((path, _)) = test.split_once(" - ") {
            let file = self.files.iter().find(|file| file.path == path)?;
            return Some((file.package.to_owned(), lasting.to_owned()));
        }
        if let Some(block) = block_of_test(test) {
            return Some((PAGES.to_owned(), block.to_owned()));
        }
        let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
        let module = module.trim_end_matches("tests").trim_end_matches("::");
        let module = if module.is_empty() { "lib" } else { module };
        let function = format!("fn {name}(");
        let file = self
            .files
            .iter()
            .find(|file| file.module == module && file.text.contains(&function))?;
        Some((file.package.to_owned(), test.to_owned()))
    }

    /// The files that name this one's module, without itself.
    fn users<'s>(&'s self, used: &File) -> impl Iterator<Item = &'s File> {
        let (package, path) = (used.package, used.path.clone());
        let whole = used.module.clone();
        let module = used
            .module
            .rsplit("::")
            .next()
            .unwrap_or_default()
            .to_owned();
        self.files.iter().filter(move |file| {
            let is_below = file
                .module
                .rsplit_once("::")
                .is_some_and(|it| it.0 == whole);
            let names_it = file.used.contains(&module);
            let names_it = names_it || (is_below && file.used.contains("super"));
            file.package == package && file.path != path && names_it
        })
    }

    /// Walks from a file to those that use it, and on, until `find` has something to
    /// say about all that are equally far.
    fn nearest<T>(&self, from: &File, find: impl Fn(&File) -> BTreeSet<T>) -> BTreeSet<T>
    where
        T: Ord,
    {
        let mut seen = BTreeSet::from([from.path.clone()]);
        let mut here = vec![from];
        while !here.is_empty() {
            let found: BTreeSet<T> = here.iter().flat_map(|file| find(file)).collect();
            if !found.is_empty() {
                return found;
            }
            let users = here.iter().flat_map(|file| self.users(file));
            let users: BTreeMap<&str, &File> =
                users.map(|file| (file.path.as_str(), file)).collect();
            here = users.into_values().collect();
            here.retain(|file| seen.insert(file.path.clone()));
        }
        BTreeSet::new()
    }

    /// The ways in of the modules below this one that use it.
    fn hosts_below(&self, file: &File) -> BTreeSet<Host> {
        let below = format!("{}::", file.module);
        let users = self.users(file);
        let users = users.filter(|user| user.module.starts_with(&below));
        users.flat_map(|user| reporting(&user.text)).collect()
    }

    /// The ways in whose own function calls this module.
    fn hosts_that_call(&self, file: &File) -> BTreeSet<Host> {
        let module = file.module.rsplit("::").next().unwrap_or_default();
        let call = format!(" {module}::");
        let items = self
            .users(file)
            .flat_map(|user| user.text.split("\n}\n"))
            .filter(|item| item.contains(&call));
        items.flat_map(reporting).collect()
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether only tests have this module.
    fn is_for_tests(&self, file: &File) -> bool {
        let declared = format!("#[cfg(test)]\nmod {};", file.module);
        let mut package = self.files.iter().filter(|it| it.package == file.package);
        package.any(|it| it.text.contains(&declared))
    }
}

/// What stands before `::` or in a `use`, in code and not in a comment.
fn used_modules(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut in_use = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("//") {
            continue;
        }
        in_use |= line.starts_with("use ") || line.contains(" use ");
        let mut rest = line;
        while let Some(at) = rest.find(is_of_word) {
            let after = &rest[at..];
            let end = after.find(|c| !is_of_word(c)).unwrap_or(after.len());
            let (word, after) = after.split_at(end);
            if in_use || after.starts_with("::") {
                used.insert(word.to_owned());
            }
            rest = after;
        }
        in_use &= !line.ends_with(';');
    }
    used
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The tests that prove a listing.
pub fn proof(record: &Record, sources: &Sources, listing: &Listing) -> Proof {
    let mut native = native(record, sources, listing);
    let mut runtime = runtime(record, sources, listing);
    native.truncate(MOST - runtime.len().min(MOST / 2));
    runtime.truncate(MOST - native.len());
    Proof { native, runtime }
}

/// The tests in the file, or else those in the files that use it.
fn native(record: &Record, sources: &Sources, listing: &Listing) -> Vec<String> {
    let Some(file) = sources.file(&listing.file) else {
        return Vec::new();
    };
    let lines = listing.lines.join("\n");
    let of_file = |file: &File| -> BTreeSet<String> {
        let tests = record.native.get(file.package).into_iter().flatten();
        let module = format!("{}::", file.module);
        let tests = tests.filter(|test| match test.split_once(" - ") {
            // The code in an item's documentation says nothing about other items.
            Some((path, item)) => {
                let name = item.rsplit("::").next().unwrap_or_default();
                let shows_item = || lines.split(|c| !is_of_word(c)).any(|word| word == name);
                path == file.path && shows_item()
            }
            None => {
                let rest = test.strip_prefix(&module).unwrap_or_default();
                let own = rest.strip_prefix("tests::").unwrap_or(rest);
                !own.is_empty() && !own.contains("::")
            }
        });
        tests.cloned().collect()
    };
    let mut own = of_file(file);
    let for_tests = sources
        .users(file)
        .filter(|user| sources.is_for_tests(user));
    own.extend(for_tests.flat_map(of_file));
    let near = if own.is_empty() { Fit::Near } else { Fit::Own };
    let tests = if own.is_empty() {
        sources.nearest(file, of_file)
    } else {
        own
    };
    let words = words_of(listing);
    let scored = tests.into_iter().map(|test| {
        let (_, name) = test.rsplit_once("::").unwrap_or(("", &test));
        (shared(&words, &words_in(name)), test)
    });
    best(scored.collect(), near)
}

/// How close the tests are to a listing that were found for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Each was made for this file or came in by it.
    Own,
    /// Each ran it on the way to something else; the names tell which is about it.
    Near,
}

/// The tests that have most words in common with the listing come first. Of those
/// that are only near it, the others are left out, and so are all if none is about
/// it.
fn best(mut scored: Vec<(usize, String)>, fit: Fit) -> Vec<String> {
    scored.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    let most = scored.first().map_or(0, |it| it.0);
    if fit == Fit::Near {
        scored.retain(|it| it.0 == most && most > 0);
    }
    scored.into_iter().map(|it| it.1).collect()
}

/// The tests that ran the listing in workerd.
fn runtime(record: &Record, sources: &Sources, listing: &Listing) -> Vec<String> {
    let words = words_of(listing);
    let by = |reach: &Reach, fit: Fit| -> Vec<String> {
        let scored = record.runtime.iter().filter_map(|(test, used)| {
            let found = reach.found(test, used)?;
            let known = found.iter().flat_map(|used| words_in(used)).collect();
            // What a test is named for says more than what it used, and a bundled
            // configuration says most about a configuration.
            let named = 2 * shared(&words, &words_in(test)) + shared(&words, &known);
            let bundled = found.contains(&"deploy listings");
            Some((if bundled { usize::MAX } else { named }, test.clone()))
        });
        best(scored.collect(), fit)
    };
    let reach = Reach::of(sources, listing);
    let fallbacks: &[(Reach, Fit)] = match reach {
        // Every file of the crate is part of every Worker, and none sends an event
        // without those that are about nothing else.
        Reach::Crate { .. } => &[(Reach::AnyWorker, Fit::Near), (Reach::AnyEvent, Fit::Own)],
        _ => &[],
    };
    let first = by(&reach, reach.fit());
    let mut others = fallbacks.iter().map(|(reach, fit)| by(reach, *fit));
    if first.is_empty() {
        others.find(|tests| !tests.is_empty()).unwrap_or_default()
    } else {
        first
    }
}

/// How a test in the real runtime gets to a listing.
enum Reach {
    /// It runs this Worker.
    Worker(String),
    /// It sends this Worker a request to this folder.
    Request(String, String),
    /// It fails by one of these ways in.
    Hosts(BTreeSet<Host>),
    /// It runs a drill.
    Drills,
    /// It bundles the Worker, or fails by one of these classes.
    Configuration(BTreeSet<String>),
    /// It waits for a line that this file prints, or is named for this module.
    Crate { text: String, module: String },
    /// It runs a Worker.
    AnyWorker,
    /// It gets an event.
    AnyEvent,
}

impl Reach {
    fn of(sources: &Sources, listing: &Listing) -> Self {
        let path: Vec<&str> = listing.file.split('/').collect();
        match path.as_slice() {
            ["listings", "snippets", name, ..] => Self::Worker(format!("worker snippet {name}")),
            ["tests", "fixture", "src", file] => {
                let folder = file.trim_end_matches(".rs");
                Self::Request("worker fixture".to_owned(), format!("request /{folder}"))
            }
            // No Worker runs it, so this finds none.
            ["crate", "laboratory", ..] => Self::Worker("worker laboratory".to_owned()),
            ["listings", "src", "drill.rs"] => Self::Drills,
            ["listings", "src", ..] => Self::hosts(sources, listing),
            ["listings", ..] => Self::Configuration(quoted(&listing.lines)),
            _ => {
                let file = sources.file(&listing.file);
                Self::Crate {
                    text: file.map(|file| file.text.clone()).unwrap_or_default(),
                    module: file.map(|file| file.module.clone()).unwrap_or_default(),
                }
            }
        }
    }

    /// The ways in that the listing itself names, or its file, or else those that
    /// lead to its file.
    fn hosts(sources: &Sources, listing: &Listing) -> Self {
        let own = reporting(&listing.lines.join("\n"));
        if !own.is_empty() {
            return Self::Hosts(own);
        }
        let Some(file) = sources.file(&listing.file) else {
            return Self::Hosts(BTreeSet::new());
        };
        let ways = [
            reporting(&file.text),
            sources.hosts_below(file),
            sources.hosts_that_call(file),
            sources.nearest(file, |file| reporting(&file.text)),
        ];
        let hosts = ways.into_iter().find(|hosts| !hosts.is_empty());
        Self::Hosts(hosts.unwrap_or_default())
    }

    fn fit(&self) -> Fit {
        match self {
            Self::Request(..) | Self::Drills => Fit::Near,
            _ => Fit::Own,
        }
    }

    /// What a test used that says so, or nothing if it was not here.
    fn found<'u>(&self, test: &str, used: &'u BTreeSet<String>) -> Option<Vec<&'u str>> {
        let with = |is_it: &dyn Fn(&str) -> bool| {
            let found = used.iter().map(String::as_str).filter(|used| is_it(used));
            Some(Vec::from_iter(found)).filter(|found| !found.is_empty())
        };
        match self {
            Self::Worker(name) => with(&|used| used == name),
            Self::Request(worker, request) => {
                with(&|used| used == request).filter(|_| used.contains(worker))
            }
            // Other Workers have a main Worker, too.
            Self::Hosts(..) | Self::Configuration(_) if !is_example(used) => None,
            Self::Hosts(hosts) => with(&|used| hosts.iter().any(|host| is_of(used, host))),
            Self::Drills => with(&|used| used.starts_with("drill")),
            Self::Configuration(names) => with(&|used| {
                let event = used.strip_prefix("event ").unwrap_or_default();
                let class = event.split('.').next().unwrap_or_default();
                used == "deploy listings" || names.contains(class)
            }),
            Self::Crate { text, module } => {
                let ran = used.iter().any(|used| used.starts_with("worker "));
                let printed = with(&|used| {
                    let line = used.strip_prefix("line ").unwrap_or_default();
                    prints(text, line)
                });
                printed.or_else(|| (ran && is_named_for(test, module)).then(Vec::new))
            }
            Self::AnyWorker => with(&|used| used.starts_with("worker ")),
            Self::AnyEvent => with(&|used| used.starts_with("event ")),
        }
    }
}

/// Whether a source has a line that the crate prints: one piece of text, or what is
/// wrong with the binding that is named before it.
fn prints(source: &str, line: &str) -> bool {
    let quotes = |text: &str| !text.is_empty() && source.contains(&format!("\"{text}\""));
    let problem = line.split_once(' ').map(|it| it.1);
    quotes(line) || problem.is_some_and(quotes)
}

/// Whether a test has the module for its theme or for its step, as in
/// `alarm::step_1_guard_…`, or names it in a way that is no ordinary word.
fn is_named_for(test: &str, module: &str) -> bool {
    let (theme, name) = test.split_once("::").unwrap_or(("", test));
    let step = name
        .strip_prefix("step_")
        .and_then(|name| name.split_once('_'));
    theme == module
        || theme.strip_suffix('s') == Some(module)
        || step.is_some_and(|(_, name)| name.starts_with(&format!("{module}_")))
        || (module.contains('_') && name.contains(module))
}

fn is_example(used: &BTreeSet<String>) -> bool {
    used.contains("worker listings") || used.contains("deploy listings")
}

/// Whether what a test used is this way in: its event, or its drill.
fn is_of(used: &str, (class, handler, _): &Host) -> bool {
    if let Some(event) = used.strip_prefix("event ") {
        return event == format!("{class}.{handler}");
    }
    let Some((host, drilled)) = used
        .strip_prefix("drill ")
        .and_then(|drill| drill.split_once('/'))
    else {
        return false;
    };
    let name = kebab(class);
    let name = name.trim_end_matches("-do").trim_end_matches("-workflow");
    host == name && handler.ends_with(drilled)
}

/// `RateLimiterDo` is `rate-limiter-do`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

fn quoted(lines: &[String]) -> BTreeSet<String> {
    let texts = lines
        .iter()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    texts.map(str::to_owned).collect()
}

/// The words of a listing's file and anchor.
fn words_of(listing: &Listing) -> BTreeSet<String> {
    let name = listing.file.rsplit('/').next().unwrap_or_default();
    let mut words = words_in(name.split('.').next().unwrap_or_default());
    words.extend(words_in(&listing.anchor));
    words
}

/// The words in a name of any style, without those that say nothing.
fn words_in(name: &str) -> BTreeSet<String> {
    let words = kebab(name);
    let words = words.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && !EMPTY_WORDS.contains(word));
    // Drills and a drill, what reports and what is reported are the same subject.
    let stem = |word: &str| {
        let word = word.strip_suffix('s').unwrap_or(word);
        word.strip_suffix("ed").unwrap_or(word).to_owned()
    };
    words.map(stem).collect()
}

fn shared(one: &BTreeSet<String>, other: &BTreeSet<String>) -> usize {
    one.intersection(other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_file_uses_what_it_imports_and_what_it_names_in_a_path() {
        let text =
            "use crate::{call,\n    drill};\n// not comment::this\nlet name = shard::of(other);\n";
        let used = used_modules(text);
        for module in ["call", "drill", "shard"] {
            assert!(used.contains(module), "{module} in {used:?}");
        }
        for none in ["comment", "name", "other", "of"] {
            assert!(!used.contains(none), "{none} in {used:?}");
        }
    }

    #[test]
    fn an_event_and_a_drill_are_of_the_way_in_that_they_name() {
        let host =
            |class: &str, handler: &str| (class.to_owned(), handler.to_owned(), String::new());
        let limiter = host("RateLimiterDo", "alarm");
        for used in ["event RateLimiterDo.alarm", "drill rate-limiter/alarm"] {
            assert!(is_of(used, &limiter), "{used}");
        }
        for used in [
            "event RateLimiterDo.fetch",
            "drill rate-limiter/fetch",
            "drill compilation-coordinator/alarm",
            "drills off",
            "worker listings",
        ] {
            assert!(!is_of(used, &limiter), "{used}");
        }
        assert!(is_of(
            "drill ws-hibernation/error",
            &host("WsHibernationDo", "websocket_error")
        ));
        assert!(is_of(
            "drill compilation/run",
            &host("CompilationWorkflow", "run")
        ));
        assert!(!is_of(
            "drill compilation/run",
            &host("BatchCompilationWorkflow", "run")
        ));
    }

    #[test]
    fn the_tests_with_most_words_in_common_come_first_and_alone_where_they_are_only_near() {
        let scored = || {
            let scored = [(0, "b"), (2, "c"), (0, "a"), (2, "d")];
            scored
                .map(|(score, name)| (score, name.to_owned()))
                .to_vec()
        };
        assert_eq!(best(scored(), Fit::Own), ["c", "d", "a", "b"]);
        assert_eq!(best(scored(), Fit::Near), ["c", "d"]);
        let about_something_else = vec![(0, "a".to_owned())];
        assert_eq!(best(about_something_else, Fit::Near), [""; 0]);
        assert_eq!(
            words_in("rate_limiter_do::anAlarm"),
            set(&["rate", "limiter", "alarm"])
        );
    }

    #[test]
    fn a_listing_of_the_example_is_proven_by_what_came_in_by_its_file_or_by_its_users() {
        let sources = Sources::read();
        let runtime = |test: &str, used: &[&str]| (test.to_owned(), set(used));
        let record = Record {
            native: [("listings".to_owned(), set(&["rate_limit::tests::a_window"]))].into(),
            runtime: [
                runtime(
                    "hosts::limiter",
                    &["drill rate-limiter/alarm", "worker listings"],
                ),
                runtime(
                    "hosts::warming",
                    &["event CacheWarmingWorkflow.run", "worker listings"],
                ),
                runtime(
                    "other::warming",
                    &["event CacheWarmingWorkflow.run", "worker fixture"],
                ),
                runtime("hosts::nothing", &["worker listings"]),
                runtime("snippets::fetch", &["worker snippet fetch"]),
            ]
            .into(),
        };
        let of = |file: &str, lines: &[&str]| {
            let listing = Listing {
                file: file.to_owned(),
                anchor: "any".to_owned(),
                lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            };
            let proof = proof(&record, &sources, &listing);
            [proof.native, proof.runtime].concat()
        };
        assert_eq!(
            of("listings/src/rate_limiter_do.rs", &[]),
            ["hosts::limiter"]
        );
        assert_eq!(
            of("listings/src/rate_limit.rs", &[]),
            ["rate_limit::tests::a_window", "hosts::limiter"]
        );
        assert_eq!(
            of("listings/src/workflows/cache_warming.rs", &[]),
            ["hosts::warming"]
        );
        assert_eq!(of("listings/src/workflows.rs", &[]), ["hosts::warming"]);
        assert_eq!(
            of("listings/snippets/fetch/src/lib.rs", &[]),
            ["snippets::fetch"]
        );
        let class = ["class_name = \"CacheWarmingWorkflow\""];
        assert_eq!(of("listings/wrangler.toml", &class), ["hosts::warming"]);
    }
}
