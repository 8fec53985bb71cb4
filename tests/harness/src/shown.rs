//! A table of a page that a trial measures: compared with the page, or written into it.

use std::env;
use std::fs;

use crate::environment;

/// The variable that makes a test write a table instead of comparing it.
const UPDATE: &str = "WORKER_SENTRY_UPDATE";

/// Compares a table with the one that a page shows between the marks `<!-- NAME: begin -->`
/// and `<!-- NAME: end -->`. Figures may differ by the fraction `share`, and by one.
///
/// `name` is also the module of the trial, so that the message can say how to run it again.
#[track_caller]
pub fn compare(page: &str, name: &str, table: &str, share: f64) {
    let [begin, end] = ["begin", "end"].map(|it| format!("<!-- {name}: {it} -->\n"));
    let file = environment::workspace().join(page);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (before, rest) = text.split_once(&begin).expect("where the figures begin");
    let (shown, after) = rest.split_once(&end).expect("where the figures end");
    if agree(shown.trim(), table.trim(), share) {
        return;
    }
    if env::var_os(UPDATE).is_some() {
        let text = format!("{before}{begin}\n{}\n\n{end}{after}", table.trim());
        fs::write(&file, text).unwrap_or_else(|error| panic!("{page}: {error}"));
        return;
    }
    panic!(
        "{page} shows\n\n{shown}\nbut it is\n\n{table}\n\
         To write that there, run:\n  {UPDATE}=1 cargo xtask test --stage proof {name}"
    );
}

/// Whether two tables agree within the tolerance.
fn agree(shown: &str, measured: &str, share: f64) -> bool {
    let cells = |table: &str| -> Vec<String> {
        let cells = table.split('|').map(|cell| cell.trim().to_owned());
        cells.collect()
    };
    let number = |cell: &str| -> Option<f64> {
        let figure = cell.split(' ').next().unwrap_or_default();
        figure.replace(',', "").parse().ok()
    };
    let (shown, measured) = (cells(shown), cells(measured));
    shown.len() == measured.len()
        && shown.iter().zip(&measured).all(|(shown, measured)| {
            match (number(shown), number(measured)) {
                (Some(shown), Some(measured)) => {
                    (shown - measured).abs() <= f64::max(1.0, measured * share)
                }
                _ => shown == measured,
            }
        })
}
