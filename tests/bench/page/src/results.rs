//! The file of results.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// The results of one run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// The date, such as `2026-11-24`.
    pub date: String,
    /// How often each time was measured.
    pub rounds: usize,
    /// How often each first capture was measured.
    pub fresh_rounds: usize,
    /// How often each start was measured.
    pub startup_rounds: usize,
    /// The machine of the run.
    pub machine: Vec<Fact>,
    /// The versions of the programs.
    pub versions: Vec<Fact>,
    /// The measurements, side by side.
    pub rows: Vec<Row>,
    /// Counts of our Worker, which are compared with nothing.
    pub counts: Vec<Counts>,
}

/// A named fact.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fact {
    /// The name of the fact.
    pub name: String,
    /// The fact itself.
    pub value: String,
}

/// One line of the comparison.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// The table that the row belongs to.
    pub group: Group,
    /// What was measured.
    pub name: String,
    /// The unit of the figures.
    pub unit: Unit,
    /// The figure of each column. A column without a figure does not apply.
    pub figures: BTreeMap<Column, Figure>,
    /// Our figure divided by that of each other column.
    pub ratios: BTreeMap<Column, Figure>,
}

/// How often WebAssembly and JavaScript call each other.
#[derive(Debug, Serialize, Deserialize)]
pub struct Counts {
    /// The operation that was counted.
    pub name: String,
    /// Calls from WebAssembly to JavaScript.
    pub out: f64,
    /// Calls from JavaScript to WebAssembly.
    pub back: f64,
    /// Timers that were still open afterwards. The oldest results do not have this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<f64>,
    /// The functions that are called most often, and how often.
    pub functions: Vec<(String, f64)>,
}

/// A group of rows, shown as a table and a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The size of the upload.
    Upload,
    /// The time from the start to the first answer, and to the first report.
    Start,
    /// Captures in an isolate that has captured before.
    Capture,
    /// Calls without anything to report.
    Quiet,
    /// The memory that an isolate keeps.
    Memory,
    /// What is sent over the network.
    Wire,
    /// What each capability adds to the upload.
    Features,
    /// Traces, breadcrumbs, monitors, layers and panics.
    More,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Units of 1,024 bytes.
    Kib,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// A number of things.
    Count,
}

/// A column: who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// The SDK, imported as a whole when there is an error.
    Lazy,
    /// Like `Lazy`, with only the used parts of the SDK in the bundle.
    Lean,
    /// The SDK as its documentation sets it up.
    Usual,
    /// This crate.
    Ours,
    /// A bare `fetch`.
    Floor,
    /// Our Worker without what the row is about.
    Without,
}

impl Column {
    /// The three ways to use the SDK.
    pub const THEIRS: [Column; 3] = [Column::Lazy, Column::Lean, Column::Usual];

    /// All columns that ours is compared with.
    pub const OTHERS: [Column; 5] = [
        Column::Lazy,
        Column::Lean,
        Column::Usual,
        Column::Floor,
        Column::Without,
    ];
}
