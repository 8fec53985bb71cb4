//! One list, requested over HTTP.

use harness::wait;
use serde_json::json;

use super::{LONG, Stage, rules, stage};

harness::trials![
    a_list_is_compiled_from_sources_of_every_syntax_and_served,
    two_requests_for_one_list_share_a_compilation_and_a_third_after_it_does_not,
    a_client_that_has_the_list_is_not_sent_it_again_until_it_changes,
    a_source_that_is_away_for_a_moment_is_asked_again,
    sources_that_make_no_list_end_the_compilation_and_say_why,
    a_source_that_stays_away_ends_the_compilation_after_all_attempts,
];

fn a_list_is_compiled_from_sources_of_every_syntax_and_served() {
    let stage = stage();
    let own = "||own.example.com^\n||cdn.example.com^$removeparam=utm_source\n";
    let sources = json!([
        stage.sources.at("/ads.txt"),
        stage.sources.at("/hosts.txt"),
        { "text": own },
    ]);
    let accepted = stage.compile("every-syntax", &sources);
    assert_eq!(accepted["joined"], false);
    assert_eq!(accepted["list"], "/lists/every-syntax");
    assert_eq!(accepted["progress"], "/lists/every-syntax/progress");
    let list = stage.list("every-syntax");
    let expected = [
        "/^https?:\\/\\/[a-z]{8,}\\.example\\/$/$script",
        "/banner/*/ad.$domain=news.example.com|~shop.example.com,image",
        "|https://pixel.example.org/1.gif|",
        "||ads.example.com^",
        "||beacon.example.org^",
        "||cdn.example.com^$removeparam=utm_source",
        "||metrics.example.net^",
        "||own.example.com^",
        "||telemetry.example.net^",
        "@@||track.example.net^$script,third-party",
        "##.advert",
        "example.com#?#div:-abp-has(.promo)",
        "news.example.com,~beta.news.example.com##.sponsored",
        "example.com#@#.advert",
    ];
    assert_eq!(rules(&list), expected);
    let head: Vec<&str> = list.lines().take(9).collect();
    assert_eq!(head[..2], ["[Adblock Plus 2.0]", "! Title: every-syntax"]);
    let statistics = [
        "! Sources: 3",
        "! Rules: 14",
        "! Exceptions: 2",
        // The duplicates are a host in capitals, options in another order, and two lines that
        // another source also has.
        "! Duplicates: 4",
        "! Undone: 1",
        "! Invalid: 4",
    ];
    assert_eq!(head[3..], statistics);
    let instance = accepted["instance"].as_str().expect("an id");
    let instance = stage.ended("compilation", instance);
    assert_eq!(instance["status"], "complete", "{instance:#}");
    let version = format!(
        "! Version: {}",
        instance["output"]["version"].as_str().unwrap_or("")
    );
    assert_eq!(head[2], version);
    for path in ["/ads.txt", "/hosts.txt"] {
        assert_eq!(stage.sources.count(path), 1, "{path}");
    }
    assert_eq!(stage.reports("every-syntax"), [json!(null); 0]);
}

fn two_requests_for_one_list_share_a_compilation_and_a_third_after_it_does_not() {
    // A separate stage, because its server holds back sources.
    let stage = Stage::new(|options| options);
    let sources = json!([stage.sources.at("/held/shared")]);
    let first = stage.compile("shared", &sources);
    wait::until("request for the source", LONG, || {
        (stage.sources.count("/held/shared") == 1).then_some(())
    });
    let second = stage.compile("shared", &sources);
    assert_eq!(second["joined"], true);
    assert_eq!(second["instance"], first["instance"]);
    // The same name with other sources is another compilation.
    let other = stage.compile("shared", &json!([{ "text": "||other.example.com^" }]));
    assert_eq!(other["joined"], false);
    assert_ne!(other["id"], first["id"]);
    stage.sources.let_go();
    let instance = first["instance"].as_str().expect("an id");
    assert_eq!(stage.ended("compilation", instance)["status"], "complete");
    assert_eq!(stage.sources.count("/held/shared"), 1);
    assert_eq!(rules(&stage.list("shared")), ["||shared.example.com^"]);
    let third = stage.compile("shared", &sources);
    assert_eq!(third["joined"], false);
    assert_eq!(third["id"], first["id"]);
    assert_ne!(third["instance"], first["instance"]);
    let instance = third["instance"].as_str().expect("an id");
    assert_eq!(stage.ended("compilation", instance)["status"], "complete");
    assert_eq!(stage.sources.count("/held/shared"), 2);
}

fn a_client_that_has_the_list_is_not_sent_it_again_until_it_changes() {
    let stage = stage();
    stage.compile("known", &json!([{ "text": "||old.example.com^" }]));
    let list = stage.list("known");
    let ask = |known: &str| {
        let headers = [("If-None-Match", known)];
        let worker = &stage.worker;
        worker.send_for_header("GET", "/lists/known", &headers, "ETag")
    };
    let (full, tag) = ask("");
    assert_eq!((full.status, full.body), (200, list));
    let tag = tag.expect("a tag");
    for known in [
        tag.clone(),
        // A compressing proxy sends the first form, and a client with two copies sends the second.
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
    ] {
        let (answer, again) = ask(&known);
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{known}");
        assert_eq!(again.as_deref(), Some(tag.as_str()));
    }
    stage.compile("known", &json!([{ "text": "||new.example.com^" }]));
    let (new, tag_of_new) = wait::until("the new list", LONG, || {
        Some(ask(&tag)).filter(|(answer, _)| answer.status == 200)
    });
    assert_eq!(rules(&new.body), ["||new.example.com^"]);
    assert_ne!(tag_of_new, Some(tag));
}

fn a_source_that_is_away_for_a_moment_is_asked_again() {
    let stage = stage();
    let path = "/away/2/flaky";
    stage.compile("flaky", &json!([stage.sources.at(path)]));
    assert_eq!(rules(&stage.list("flaky")), ["||flaky.example.com^"]);
    assert_eq!(stage.sources.count(path), 3);
    assert_eq!(stage.reports("flaky"), [json!(null); 0]);
}

/// The errors of a compilation that ends without a list, from its only report, root cause first.
#[track_caller]
fn ends_without_a_list(name: &str, path: &str) -> serde_json::Value {
    let stage = stage();
    let accepted = stage.compile(name, &json!([stage.sources.at(path)]));
    let instance = accepted["instance"].as_str().expect("an id");
    let instance = stage.ended("compilation", instance);
    assert_eq!(instance["status"], "errored", "{instance:#}");
    assert_eq!(stage.worker.get(&format!("/lists/{name}")).status, 404);
    let report = stage.report(&format!("list `{name}` was not compiled"));
    assert_eq!(report[0], "CompilationWorkflow.run");
    report[1].clone()
}

fn sources_that_make_no_list_end_the_compilation_and_say_why() {
    let step = "the step `fetch source 1` failed";
    let hopeless = "a source will not be had by asking again";
    let reported = ends_without_a_list("gone", "/gone/a");
    let not_compiled = "list `gone` was not compiled";
    assert_eq!(
        reported,
        json!(["the source answered 404", hopeless, step, not_compiled])
    );
    let reported = ends_without_a_list("large", "/large");
    let not_compiled = "list `large` was not compiled";
    assert_eq!(
        reported,
        json!(["the source is too large", hopeless, step, not_compiled])
    );
    let reported = ends_without_a_list("remarks", "/remarks");
    let expected = json!([
        "list `remarks` has no rules: 0 of 2 lines are invalid",
        "the sources make no list",
        "the step `normalise` failed",
        "list `remarks` was not compiled",
    ]);
    assert_eq!(reported, expected);
    for path in ["/gone/a", "/large", "/remarks"] {
        assert_eq!(stage().sources.count(path), 1, "{path} was asked again");
    }
}

fn a_source_that_stays_away_ends_the_compilation_after_all_attempts() {
    let path = "/away/9/away";
    let reported = ends_without_a_list("away", path);
    let expected = json!([
        "a source answered 503",
        "the step `fetch source 1` failed",
        "list `away` was not compiled",
    ]);
    assert_eq!(reported, expected);
    assert_eq!(stage().sources.count(path), 4);
}
