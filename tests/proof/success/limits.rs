//! Rate limits: reaching them, and their end.

use harness::wait;
use harness::worker::WorkerOptions;
use serde_json::json;

use super::Stage;

/// The requests of a window, the window, and how much of it is left when the clock is set back.
const REQUESTS: u64 = 60;
const WINDOW_MS: i64 = 60_000;
const LEFT_MS: i64 = 20_000;

harness::trials![a_client_at_its_limit_is_refused_until_its_window_is_over_and_forgotten];

fn a_client_at_its_limit_is_refused_until_its_window_is_over_and_forgotten() {
    let stage = Stage::new(WorkerOptions::with_clock);
    let check = |client: &str| {
        let path = format!("/check/{client}");
        let (answer, after) = stage
            .worker
            .send_for_header("POST", &path, &[], "Retry-After");
        (answer.status, answer.json(), after)
    };
    stage.worker.set_clock(LEFT_MS - WINDOW_MS);
    for left in (0..REQUESTS).rev() {
        let allowed = json!({ "verdict": "allowed", "remaining": left });
        assert_eq!(check("busy"), (200, allowed, None));
    }
    let (status, verdict, after) = check("busy");
    assert_eq!((status, &verdict["verdict"]), (429, &json!("denied")));
    let seconds = verdict["retry_after_s"].as_u64().expect("seconds");
    assert!((1..=60).contains(&seconds), "{verdict}");
    assert_eq!(after, Some(seconds.to_string()));
    // The limit also applies to this client's requests for lists, but not to other clients.
    let list = json!({ "name": "busy", "sources": [{ "text": "||busy.example.com^" }] });
    assert_eq!(stage.post("busy", "/compile", &list).status, 429);
    assert_eq!(stage.post("busy", "/batch", &json!([list])).status, 429);
    let calm = json!({ "verdict": "allowed", "remaining": REQUESTS - 1 });
    assert_eq!(check("calm"), (200, calm, None));

    stage.worker.set_clock(0);
    let first = wait::until("a new window", wait::LIMIT, || {
        let (status, verdict, _) = check("busy");
        (status == 200).then_some(verdict)
    });
    assert_eq!(
        first,
        json!({ "verdict": "allowed", "remaining": REQUESTS - 1 })
    );
    // The sweep read every entry and reported nothing.
    assert_eq!(stage.receiver.requests().len(), 0);
}
