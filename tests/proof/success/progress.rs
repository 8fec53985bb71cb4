//! Progress on a WebSocket.

use std::time::Duration;

use harness::socket::Socket;
use harness::wait;
use harness::worker::WorkerOptions;
use serde_json::{Value, json};

use super::{LONG, Stage, stage};

/// Longer than the ten idle seconds after which workerd lets an object with sockets hibernate.
const ASLEEP: Duration = Duration::from_secs(13);
/// The time after which the coordinator gives up a compilation, and how much of it is left when the
/// clock is set back.
const STALE_MS: i64 = 15 * 60_000;
const LEFT_MS: i64 = 5_000;

harness::trials![
    a_subscriber_hears_every_stage_in_order_and_a_late_one_the_last,
    a_subscriber_of_an_object_that_went_to_sleep_hears_the_news,
    a_subscriber_who_talks_is_sent_away_and_one_who_leaves_is_seen_off,
    a_compilation_that_nobody_hears_of_is_given_up_and_can_be_asked_for_again,
    an_alarm_keeps_what_is_still_heard_of_and_says_nothing_of_what_is_over,
];

/// The stages that a subscriber gets, until the last one.
#[track_caller]
fn heard(socket: &mut Socket) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let mut progress: Value = serde_json::from_str(&socket.read()).expect("JSON");
        let fields = progress.as_object_mut().expect("an object");
        fields.remove("id");
        fields.remove("version");
        let is_last = matches!(progress["stage"].as_str(), Some("done" | "failed"));
        heard.push(progress);
        if is_last {
            return heard;
        }
    }
}

fn a_subscriber_hears_every_stage_in_order_and_a_late_one_the_last() {
    let stage = stage();
    let mut socket = stage.worker.socket("/lists/heard/progress");
    let sources = json!([stage.sources.at("/hosts.txt"), { "text": "||own.example.com^" }]);
    stage.compile("heard", &sources);
    let done = json!({ "stage": "done", "rules": 5 });
    let expected = json!([
        { "stage": "fetching", "done": 1, "of": 2 },
        { "stage": "parsing" },
        { "stage": "normalising" },
        done,
    ]);
    assert_eq!(json!(heard(&mut socket)), expected);
    let mut late = stage.worker.socket("/lists/heard/progress");
    assert_eq!(heard(&mut late), [done]);
    // A failure is sent to the subscribers, too.
    let mut socket = stage.worker.socket("/lists/unheard-of/progress");
    stage.compile("unheard-of", &json!([stage.sources.at("/gone/b")]));
    let reason = "the step `fetch source 1` failed";
    assert_eq!(
        heard(&mut socket),
        [json!({ "stage": "failed", "reason": reason })]
    );
}

fn a_subscriber_of_an_object_that_went_to_sleep_hears_the_news() {
    let stage = Stage::new(WorkerOptions::with_clock);
    let made = || stage.worker.process().count_lines("[made] WsHibernationDo");
    let mut socket = stage.worker.socket("/lists/asleep/progress");
    wait::until("an object", wait::LIMIT, || (made() == 1).then_some(()));
    wait::stays("objects", 1, ASLEEP, made);
    // The runtime answers this itself, without making the object again.
    socket.send("ping");
    assert_eq!(socket.read(), "pong");
    assert_eq!(made(), 1);
    stage.compile("asleep", &json!([{ "text": "||asleep.example.com^" }]));
    let last = heard(&mut socket).pop();
    assert_eq!(last, Some(json!({ "stage": "done", "rules": 1 })));
    // A second object sent the progress on the first one's socket.
    wait::until("a second object", wait::LIMIT, || {
        (made() == 2).then_some(())
    });
}

fn a_subscriber_who_talks_is_sent_away_and_one_who_leaves_is_seen_off() {
    let stage = stage();
    let mut talking = stage.worker.socket("/lists/talk/progress");
    talking.send("hello");
    assert_eq!(
        talking.until_the_end(),
        ["close 1003 this socket only talks"]
    );
    let mut leaving = stage.worker.socket("/lists/talk/progress");
    leaving.close("enough");
    assert_eq!(leaving.until_the_end(), ["close 1000 enough"]);
    let plain = stage.worker.get("/lists/talk/progress");
    assert_eq!(
        (plain.status, plain.body.as_str()),
        (426, "this is a WebSocket")
    );
    assert_eq!(stage.reports("lists/talk"), [json!(null); 0]);
}

fn a_compilation_that_nobody_hears_of_is_given_up_and_can_be_asked_for_again() {
    let stage = Stage::new(WorkerOptions::with_clock);
    stage.worker.set_clock(LEFT_MS - STALE_MS);
    let mut socket = stage.worker.socket("/lists/lost/progress");
    let sources = json!([stage.sources.at("/held/lost")]);
    let first = stage.compile("lost", &sources);
    wait::until("request for the source", LONG, || {
        (stage.sources.count("/held/lost") == 1).then_some(())
    });
    stage.worker.set_clock(0);
    let reason = "nothing was heard of the compilation for too long";
    assert_eq!(
        heard(&mut socket),
        [json!({ "stage": "failed", "reason": reason })]
    );
    let again = stage.compile("lost", &sources);
    assert_eq!(again["joined"], false);
    assert_ne!(again["instance"], first["instance"]);
    stage.sources.let_go();
    assert_eq!(stage.reports("lost"), [json!(null); 0]);
}

fn an_alarm_keeps_what_is_still_heard_of_and_says_nothing_of_what_is_over() {
    let stage = Stage::new(|options| options.with_clock().with_drills());
    // An entry that the alarm reports is the sign that the alarm has come.
    let alarm = |list: &str| {
        stage.worker.drill("compilation-coordinator/alarm", list);
        stage.report(&format!("stored under `compilation:{list}`"));
    };
    stage.worker.set_clock(LEFT_MS - STALE_MS);
    stage.compile("over", &json!([{ "text": "||over.example.com^" }]));
    stage.list("over");
    let mut socket = stage.worker.socket("/lists/kept/progress");
    let sources = json!([stage.sources.at("/held/kept")]);
    let first = stage.compile("kept", &sources);
    let late_alarms = || stage.worker.process().count_lines("[alarm] in 15 min");
    let before = late_alarms();
    alarm("kept");
    wait::until("alarm for the rest", wait::LIMIT, || {
        (late_alarms() > before).then_some(())
    });
    let again = stage.compile("kept", &sources);
    assert_eq!(again["joined"], true);
    assert_eq!(again["instance"], first["instance"]);
    stage.worker.set_clock(0);
    let last = heard(&mut socket).pop().expect("the end");
    assert_eq!(last["stage"], "failed", "the alarm came back for the rest");
    alarm("over");
    let mut late = stage.worker.socket("/lists/over/progress");
    assert_eq!(heard(&mut late), [json!({ "stage": "done", "rules": 1 })]);
    stage.sources.let_go();
}
