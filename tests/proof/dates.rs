//! What a compatibility date changes for the crate and for who uses it.
//!
//! Each change runs on the last date before it and on the date itself, and the two
//! must differ: a runtime or a configuration that moves a change fails its test.

use libtest_mimic::Trial;
use proof::case::test;
use proof::worker::Worker;
use serde_json::json;

pub fn trials() -> Vec<Trial> {
    vec![test("dates::explore", explore)]
}

fn explore() {
    for date in [
        "2024-10-14",
        "2026-04-01",
        "2026-04-06",
        "2026-04-07",
        "2026-05-13",
        "2026-05-14",
        "2026-08-03",
        "2026-08-04",
        "2026-09-30",
        "2026-10-01",
        "2026-11-15",
    ] {
        let worker = Worker::fixture()
            .secret("SENTRY_DSN", "http://public@127.0.0.1:1/1")
            .on_date(date)
            .start();
        let mut out = vec![format!(
            "process {} clone {:?}",
            worker.get("/dates/process").body,
            worker.get("/dates/clone").body
        )];
        out.push(format!("stub {}", worker.post("/stub/x?marker=m").body));
        worker.post("/subject/l/linger?marker=l&count=13");
        let mut socket = worker.socket("/subject/s/socket");
        socket.close("bye");
        let began = std::time::Instant::now();
        let seen =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| socket.until_the_end()));
        out.push(format!(
            "close {:?} {:?}",
            seen.is_ok().then(|| seen.unwrap()),
            began.elapsed()
        ));
        for scenario in ["non-retryable", "non-retryable-worker-error", "java-script"] {
            let id = format!("n-{scenario}");
            worker.send(
                "POST",
                &format!("/workflows/create/SCENARIO/{id}"),
                &[],
                &json!({"scenario": scenario, "marker": "mm"}).to_string(),
            );
            for _ in 0..100 {
                let s = worker
                    .get(&format!("/workflows/status/SCENARIO/{id}"))
                    .json();
                if s["status"] == "errored" {
                    out.push(format!(
                        "{scenario} {s} {}",
                        worker.get(&format!("/tally/{id}")).body
                    ));
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        std::thread::sleep(std::time::Duration::from_secs(15));
        out.push(format!("lingered {}", worker.get("/tally/l").body));
        println!("== {date}\n{}", out.join("\n"));
    }
}
