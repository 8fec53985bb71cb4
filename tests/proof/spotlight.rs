//! What a developer sees of the example's traces, in Sentry's viewer for this machine.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use harness::browser::{Page, Scheme};
use harness::shared::Shared;
use harness::spotlight::{Line, Spotlight, spotlight};
use harness::worker::Worker;
use harness::{run, wait};

/// The number of chains that run at once.
const CHAINS: usize = 20;
/// The span of the client that starts the chains.
const CLIENT: &str = "b0e6f15b45c36b12";
/// The longest wait. The batch's Workflow sleeps for ten seconds before it looks at its list.
const LONG: Duration = Duration::from_secs(150);

harness::trials![
    one_request_is_one_tree_with_the_part_of_each_isolate_and_each_error_in_its_place,
    requests_at_once_are_a_tree_each_and_nothing_is_crossed,
    the_viewer_is_there_for_this_machine_only_and_asks_no_other_one,
];

/// The example, which records every trace, and the viewer.
fn stage() -> &'static (Worker, &'static Spotlight) {
    static STAGE: Shared<(Worker, &'static Spotlight)> = Shared::new();
    STAGE.get(|| {
        let spotlight = spotlight();
        let options = Worker::listings().reporting_to(&spotlight.dsn());
        let options = options.var("SENTRY_TRACES_SAMPLE_RATE", "1");
        (options.start(), spotlight)
    })
}

fn trace_id(number: usize) -> String {
    format!("3c5aa1e1d0f94f6e8a0cb2c4d7e6{number:04x}")
}

fn list(number: usize) -> String {
    format!("no-rule-{number}")
}

/// Requests a batch of one list that contains no rule.
fn ask(number: usize) {
    let (worker, _) = stage();
    let header = format!("{}-{CLIENT}-1", trace_id(number));
    let list = list(number);
    let headers = [
        ("sentry-trace", &*header),
        // Each chain has a client of its own, so that no rate limit is reached.
        ("CF-Connecting-IP", &*list),
    ];
    let batch = format!(r#"[{{"name":"{list}","sources":[{{"text":"! nothing"}}]}}]"#);
    let answer = worker.send("POST", "/batch", &headers, &batch);
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// One span of a trace: a transaction and its error are two lines of the tree.
#[derive(Debug)]
struct Node {
    name: String,
    parent: Option<String>,
    lines: usize,
}

/// The nodes of a tree by their ids.
fn nodes(tree: &[Line]) -> BTreeMap<String, Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let mut above: Vec<&str> = Vec::new();
    for line in tree {
        above.truncate(line.depth);
        assert_eq!(above.len(), line.depth, "{tree:#?}");
        let parent = above.last().map(|it| (*it).to_owned());
        above.push(&line.span_id);
        let node = nodes.entry(line.span_id.clone()).or_insert_with(|| Node {
            name: line.name.clone(),
            parent: parent.clone(),
            lines: 0,
        });
        node.lines += 1;
        assert_eq!(
            (&node.name, &node.parent),
            (&line.name, &parent),
            "{tree:#?}"
        );
    }
    nodes
}

/// The runs that fail. The second one fails because of the first.
const FAILING: [&str; 2] = ["BatchCompilationWorkflow.run", "CompilationWorkflow.run"];

/// Waits for the whole tree of a chain.
fn tree(number: usize) -> Vec<Line> {
    let (_, spotlight) = stage();
    let trace = trace_id(number);
    wait::until(&format!("tree of {trace}"), LONG, || {
        // Spotlight reads all its data for each answer, so this does not ask more often.
        thread::sleep(Duration::from_millis(300));
        let tree = spotlight.tree(&trace);
        let is_there = |name: &&str| tree.iter().filter(|it| it.name == *name).count() == 2;
        FAILING.iter().all(is_there).then_some(tree)
    })
}

/// Each part of a chain, and its parent.
const PARTS: [(&str, &str); 24] = [
    ("POST main.fetch", "missing or unknown parent span"),
    ("POST rate-limiter", "POST main.fetch"),
    ("send", "POST main.fetch"),
    ("process compile-requests", "send"),
    ("create", "process compile-requests"),
    ("BatchCompilationWorkflow.run", "create"),
    ("start list 1", "BatchCompilationWorkflow.run"),
    ("POST coordinator", "start list 1"),
    ("POST CompilationCoordinator.fetch", "POST coordinator"),
    ("create", "POST CompilationCoordinator.fetch"),
    ("CompilationWorkflow.run", "create"),
    ("tell parsing", "CompilationWorkflow.run"),
    ("POST coordinator", "tell parsing"),
    ("POST CompilationCoordinator.fetch", "POST coordinator"),
    ("POST progress", "POST CompilationCoordinator.fetch"),
    ("parse", "CompilationWorkflow.run"),
    ("tell normalising", "CompilationWorkflow.run"),
    ("POST coordinator", "tell normalising"),
    ("POST CompilationCoordinator.fetch", "POST coordinator"),
    ("POST progress", "POST CompilationCoordinator.fetch"),
    ("normalise", "CompilationWorkflow.run"),
    ("tell the end", "CompilationWorkflow.run"),
    ("POST coordinator", "tell the end"),
    ("POST CompilationCoordinator.fetch", "POST coordinator"),
];

/// Fails unless a chain is one tree, with two errors in their places.
fn assert_one_tree(number: usize) {
    let tree = tree(number);
    // The client's own span is never sent.
    let root = &tree[0];
    assert_eq!(root.op.as_deref(), Some("orphan"), "{tree:#?}");
    assert_eq!(root.span_id, CLIENT[..8]);
    let nodes = nodes(&tree);
    let mut parts: Vec<(&str, &str)> = nodes
        .values()
        // How often the Workflow looks depends on the machine.
        .filter(|it| !it.name.starts_with("look "))
        .filter_map(|it| Some((&*it.name, &*nodes[it.parent.as_ref()?].name)))
        .collect();
    parts.sort_unstable();
    let mut expected = PARTS.to_vec();
    expected.push(("POST progress", "POST CompilationCoordinator.fetch"));
    expected.sort_unstable();
    assert_eq!(parts, expected, "{tree:#?}");

    let failed: Vec<_> = nodes.iter().filter(|(_, it)| it.lines == 2).collect();
    let mut names: Vec<_> = failed.iter().map(|(_, it)| &*it.name).collect();
    names.sort_unstable();
    assert_eq!(names, FAILING, "{tree:#?}");
    let (_, spotlight) = stage();
    let errors = spotlight.errors();
    let messages = [
        format!("1 of 1 lists of a batch failed: `{}`", list(number)),
        format!("CompilationError: list `{}` was not compiled", list(number)),
    ];
    for (message, name) in messages.iter().zip(FAILING) {
        let mut errors = errors.split("### Error");
        let error = errors.find(|it| it.contains(message));
        let error = error.unwrap_or_else(|| panic!("no {message:?}"));
        let (id, _) = failed
            .iter()
            .find(|(_, it)| it.name == name)
            .expect("seen above");
        assert!(
            error.contains(&format!("\nspan_id: \"{id}")),
            "{id} {error}"
        );
        let trace = format!("trace_id: \"{}\"", trace_id(number));
        assert!(error.contains(&trace), "{trace} {error}");
    }
}

fn one_request_is_one_tree_with_the_part_of_each_isolate_and_each_error_in_its_place() {
    ask(0xffff);
    assert_one_tree(0xffff);
}

fn requests_at_once_are_a_tree_each_and_nothing_is_crossed() {
    run::at_once(CHAINS, ask);
    (0..CHAINS).for_each(assert_one_tree);
}

fn the_viewer_is_there_for_this_machine_only_and_asks_no_other_one() {
    let (_, spotlight) = stage();
    ask(0xfffe);
    let trace = trace_id(0xfffe);
    wait::until("a trace", wait::LIMIT, || {
        (!spotlight.tree(&trace).is_empty()).then_some(())
    });
    // A server that listens on all interfaces would also answer at the second address.
    let port: u16 = spotlight.port().parse().expect("a port");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(TcpStream::connect(("127.0.0.2", port)).is_err());

    let address = format!("{}/telemetry/traces", spotlight.page());
    let mut page = Page::open(&address, Scheme::Light);
    let shown = format!("document.body.textContent.includes('{}')", &trace[..6]);
    page.wait_until("the trace in the page", &shown);
    let here = format!("{}/", spotlight.page());
    for url in page.requests() {
        let is_here =
            url.starts_with(&here) || url.starts_with("data:") || url.starts_with("blob:");
        assert!(is_here, "{url}");
    }
    assert_eq!(spotlight.outbound(), [""; 0]);
}
