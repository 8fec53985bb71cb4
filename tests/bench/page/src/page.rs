//! The parts of the page that come from the results.

use crate::results::Results;

pub fn text(results: &Results) -> String {
    let mut text = String::new();
    for row in &results.rows {
        text.push_str(&format!("{:<60}", row.name));
        for (c, f) in &row.figures { text.push_str(&format!(" {c:?} {:.3} ({:.3}..{:.3})", f.median, f.low, f.high)); }
        text.push_str(" |");
        for (c, f) in &row.ratios { text.push_str(&format!(" /{c:?} {:.2} ({:.2}..{:.2})", f.median, f.low, f.high)); }
        text.push('\n');
    }
    for c in &results.counts { text.push_str(&format!("{} out {} back {} {:?}\n", c.name, c.out, c.back, c.functions)); }
    text
}
pub fn write(_: &str, _: &Results) -> Result<String, String> { Err("not yet".into()) }
