//! The file of results.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// All that one run found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// The day, as `2026-11-24`.
    pub date: String,
    /// How often each time was taken.
    pub rounds: usize,
    /// How often each first capture was.
    pub fresh_rounds: usize,
    /// How often each start was.
    pub startup_rounds: usize,
    /// Where it ran.
    pub machine: Vec<Fact>,
    /// What ran.
    pub versions: Vec<Fact>,
    /// The measurements, side by side.
    pub rows: Vec<Row>,
    /// What has no other side.
    pub counts: Vec<Counts>,
}

/// A name and what it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// What it is.
    pub value: String,
}

/// One line of the comparison.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// Where it belongs.
    pub group: Group,
    /// What was measured.
    pub name: String,
    /// In what.
    pub unit: Unit,
    /// By whom. A column without a figure does not apply.
    pub figures: BTreeMap<Column, Figure>,
    /// Ours divided by each of the others.
    pub ratios: BTreeMap<Column, Figure>,
}

/// How often WebAssembly and JavaScript call each other.
#[derive(Debug, Serialize, Deserialize)]
pub struct Counts {
    /// In what.
    pub name: String,
    /// Calls of JavaScript from WebAssembly.
    pub out: f64,
    /// Calls of WebAssembly from JavaScript.
    pub back: f64,
    /// Timers that were still there after it. The first results do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<f64>,
    /// The functions that are called the most, and how often.
    pub functions: Vec<(String, f64)>,
}

/// A table and a plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// What is uploaded.
    Upload,
    /// From nothing to the first answer, and to the first report.
    Start,
    /// Captures in an isolate that has made one.
    Capture,
    /// Nothing to report.
    Quiet,
    /// What an isolate keeps.
    Memory,
    /// What leaves.
    Wire,
    /// What each capability adds to the upload.
    Features,
    /// Traces, breadcrumbs, monitors, layers and panics.
    More,
}

/// What a figure is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes by 1,024.
    Kib,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Pieces.
    Count,
}

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// The SDK, imported whole when there is an error.
    Lazy,
    /// The same with no more of it in the bundle than is used.
    Lean,
    /// The SDK as its documentation sets it up.
    Usual,
    /// This crate.
    Ours,
    /// A bare `fetch`.
    Floor,
    /// Ours without what the row is about.
    Without,
}

impl Column {
    /// The three ways to use the SDK.
    pub const THEIRS: [Column; 3] = [Column::Lazy, Column::Lean, Column::Usual];

    /// All that ours is compared with.
    pub const OTHERS: [Column; 5] = [
        Column::Lazy,
        Column::Lean,
        Column::Usual,
        Column::Floor,
        Column::Without,
    ];
}
