//! The runs of the page, and their outcomes as tables.

use std::fmt::Write;

use crate::run::Run;

/// A run that the page offers.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// The id of the experiment's heading on the page.
    pub id: &'static str,
    /// The text of the run.
    pub run: &'static str,
}

/// All experiments, in the page's order. The page shows the first one at the start.
pub const EXPERIMENTS: [Experiment; 8] = [
    Experiment {
        id: "three-at-once",
        run: "alarm.fetch.run.end",
    },
    Experiment {
        id: "naive",
        run: "naive.alarm.run.end",
    },
    Experiment {
        id: "store-slow-failing-well",
        run: "store-slow.alarm.end.store-fails-once.run.end.socket.end",
    },
    Experiment {
        id: "loader-cancelled",
        run: "alarm.fetch.cancel-1.end",
    },
    Experiment {
        id: "receiver-hangs",
        run: "receiver-hangs.alarm.fetch.end",
    },
    Experiment {
        id: "pause",
        run: "receiver-429-seconds.alarm.end.receiver-200.run.end.30s.run.end",
    },
    Experiment {
        id: "panic",
        run: "alarm.end.fetch.run.panic.end.alarm.end",
    },
    Experiment {
        id: "no-dsn",
        run: "store-unbound.alarm.fetch.end",
    },
];

impl Experiment {
    /// The experiment with this id.
    pub fn of(id: &str) -> Option<Self> {
        EXPERIMENTS.into_iter().find(|it| it.id == id)
    }

    /// The outcome of the run, as a table of the page.
    pub fn outcome(&self) -> String {
        let view = Run::of(self.run).view();
        let is_beside = view.isolates.len() > 1;
        let mut table =
            String::from("| Handler | The application saw | The report |\n| --- | --- | --- |\n");
        for handler in &view.handlers {
            let beside = match is_beside {
                true => format!(", {}", handler.guard),
                false => String::new(),
            };
            let _ = writeln!(
                table,
                "| {}. `{}`{beside} | {} | {} |",
                handler.number, handler.name, handler.saw, handler.report
            );
        }
        let _ = write!(table, "\n{} {}", view.sum, view.course);
        table
    }

    /// The events of the run, as a table of the page.
    pub fn steps(&self) -> String {
        let view = Run::of(self.run).view();
        let mut table = String::from(
            "| At, ms | Handler | What happens | State |\n| --- | --- | --- | --- |\n",
        );
        for moment in &view.record {
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} |",
                moment.at_ms, moment.who, moment.text, moment.state
            );
        }
        table.trim_end().to_owned()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::view::View;
    use std::path::{Path, PathBuf};

    /// If this variable is set, a test writes the tables of the page instead of comparing them.
    const UPDATE: &str = "WORKER_SENTRY_UPDATE";

    fn view(id: &str) -> View {
        let experiment = Experiment::of(id).expect("an experiment of the page");
        Run::of(experiment.run).view()
    }

    /// What the application saw of each handler, and what happened to the handler's report.
    fn outcome(view: &View) -> Vec<(&str, &str)> {
        let handlers = view.handlers.iter();
        handlers
            .map(|it| (it.saw.as_str(), it.report.as_str()))
            .collect()
    }

    #[test]
    fn three_at_once_share_one_load_and_each_sends_its_own_event() {
        let view = view("three-at-once");
        assert_eq!(
            outcome(&view),
            [
                ("its own error, after 100 ms", "delivered"),
                ("its own error, at once", "delivered"),
                ("its own error, after 115 ms", "delivered"),
            ]
        );
        assert_eq!(
            view.sum,
            "One load, one client, 3 requests to the receiver."
        );
        assert_eq!(view.course, "State: absent, then loading, then ready.");
        for (request, who) in view
            .requests
            .iter()
            .zip(["storage is full", "no rules", "503"])
        {
            assert!(request.body.contains(who), "{}", request.body);
        }
    }

    #[test]
    fn naive_the_second_request_dies_where_ours_delivers() {
        let view = view("naive");
        assert_eq!(
            outcome(&view),
            [
                ("its own error, after 100 ms", "delivered"),
                ("its own error, after 100 ms", "delivered"),
                ("its own error, after 115 ms", "delivered"),
                ("cancelled as hung, at once", "lost with its handler"),
            ]
        );
    }

    #[test]
    fn store_slow_failing_well_each_capture_after_a_failure_loads_again() {
        let view = view("store-slow-failing-well");
        let failed = "SENTRY_DSN could not be read from the Secrets Store; will try again";
        assert_eq!(
            outcome(&view),
            [
                (
                    "its own error, after 2,000 ms",
                    "loading the configuration took too long; will try again"
                ),
                ("its own error, after 20 ms", failed),
                ("a return, at once", "delivered"),
            ]
        );
        assert_eq!(
            view.sum,
            "3 loads, one client, one request to the receiver."
        );
        let course = "State: absent, then loading, then absent, then loading, then absent, \
                      then loading, then ready.";
        assert_eq!(view.course, course);
        assert_eq!(view.now_ms, 2_120);
    }

    #[test]
    fn loader_cancelled_the_next_one_takes_over_when_the_load_is_overdue() {
        let view = view("loader-cancelled");
        assert_eq!(
            outcome(&view),
            [
                ("cancelled, at once", "lost with its handler"),
                ("its own error, at once", "delivered"),
            ]
        );
        assert_eq!(
            view.sum,
            "2 loads, one client, one request to the receiver."
        );
        assert_eq!(view.now_ms, 2_125);
    }

    #[test]
    fn receiver_hangs_who_awaits_waits_five_seconds_and_who_does_not_waits_for_nothing() {
        let lost = "the receiver did not answer in time; event given up";
        assert_eq!(
            outcome(&view("receiver-hangs")),
            [
                ("its own error, after 5,000 ms", lost),
                ("its own error, at once", lost),
            ]
        );
    }

    #[test]
    fn pause_nothing_is_sent_until_it_is_over() {
        let view = view("pause");
        assert_eq!(
            outcome(&view),
            [
                (
                    "its own error, after 100 ms",
                    "the receiver answered 429; event lost"
                ),
                (
                    "its own error, at once",
                    "the receiver asked for a pause; event dropped"
                ),
                ("its own error, after 80 ms", "delivered"),
            ]
        );
        assert_eq!(view.requests.len(), 2);
    }

    #[test]
    fn panic_is_sent_and_ends_the_instance_and_the_next_one_begins_anew() {
        let view = view("panic");
        assert_eq!(
            outcome(&view)[3].0,
            "ended with the WebAssembly instance, at once"
        );
        assert_eq!(
            outcome(&view)[4],
            ("its own error, after 100 ms", "delivered")
        );
        let panic = &view.requests[3].body;
        assert!(
            panic.contains("index out of bounds") && panic.contains("fatal"),
            "{panic}"
        );
        assert_eq!(view.requests.len(), 5);
        assert_eq!(view.sum, "2 loads, 2 clients, 5 requests to the receiver.");
    }

    #[test]
    fn no_dsn_nothing_happens_at_all() {
        let view = view("no-dsn");
        let nothing = ("its own error, at once", "none: no SENTRY_DSN is bound");
        assert_eq!(outcome(&view), [nothing, nothing]);
        assert_eq!(view.sum, "No load, no client, no request to the receiver.");
        assert!(view.console.is_empty());
    }

    #[test]
    fn the_page_offers_each_experiment_and_shows_what_came_of_it() {
        let offered = std::fs::read_to_string(root().join("theme/laboratory.html"));
        let offered = offered.expect("a file");
        let page = std::fs::read_to_string(root().join(PAGE)).expect("the page");
        let mut wanted = Vec::new();
        for experiment in EXPERIMENTS {
            let Experiment { id, run } = experiment;
            assert!(page.contains(&format!("{{#{id}}}")), "no heading for {id}");
            assert!(
                offered.contains(&format!("data-experiment=\"{id}\" data-run=\"{run}\"")),
                "no button for {id}"
            );
            wanted.push((format!("outcome: {id}"), experiment.outcome()));
        }
        wanted.push(("steps".to_owned(), EXPERIMENTS[0].steps()));
        assert_page_has(PAGE, &wanted);
    }

    const PAGE: &str = "src/laboratory.md";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// Fails if a page does not have these texts after these marks. With [`UPDATE`] set, writes
    /// them there instead.
    pub(crate) fn assert_page_has(name: &str, texts: &[(impl AsRef<str>, String)]) {
        let file = root().join(name);
        let page = std::fs::read_to_string(&file).expect("the page");
        let mut wanted = page.clone();
        for (mark, text) in texts {
            wanted = between(&wanted, mark.as_ref(), text);
        }
        if wanted == page {
            return;
        }
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&file, wanted).expect("the page");
            return;
        }
        panic!(
            "{name} shows other outcomes. To write them there, run:\n  {UPDATE}=1 cargo test -p laboratory"
        );
    }

    /// The page with `text` between two marks.
    fn between(page: &str, mark: &str, text: &str) -> String {
        let begin = format!("<!-- {mark} -->\n");
        let (before, rest) = page
            .split_once(&begin)
            .unwrap_or_else(|| panic!("no {begin}"));
        let (_, after) = rest.split_once("<!-- end -->").expect("an end");
        format!("{before}{begin}\n{text}\n\n<!-- end -->{after}")
    }
}
