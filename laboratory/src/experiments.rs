//! The runs of the page, and their outcomes as tables.

use std::fmt::Write;

use crate::run::Run;

/// A run that the page offers.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its heading's id on the page.
    pub id: &'static str,
    /// What is done.
    pub run: &'static str,
}

/// All of them, in the page's order. The first is the one that is shown first.
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
    /// The one with this id.
    pub fn of(id: &str) -> Option<Self> {
        EXPERIMENTS.into_iter().find(|it| it.id == id)
    }

    /// What comes of it, as a table of the page.
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
        let _ = write!(table, "\n{}", view.sum);
        table
    }

    /// Each thing that happens in it, as a table of the page.
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
