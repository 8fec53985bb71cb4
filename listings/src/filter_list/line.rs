//! The kinds of lines of a list, and reading a whole source.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cosmetic::Cosmetic;
use super::domain;
use super::network::Network;
use super::reason::Reason;

/// The longest line. A longer one is not a rule that a person wrote.
const MAX_LINE: usize = 4_096;
/// The addresses to which hosts files map names that they block.
const NOWHERE: [&str; 5] = ["0.0.0.0", "127.0.0.1", "::", "::1", "0"];
/// Names that every hosts file maps, and that are not to be blocked.
const LOCAL: [&str; 8] = [
    "localhost",
    "localhost.localdomain",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-allnodes",
    "0.0.0.0",
];

/// One rule in its normal form. It is serialised as its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rule {
    /// Blocks requests, or lets them pass.
    Network(Network),
    /// Hides elements of a page, or shows them.
    Cosmetic(Cosmetic),
}

/// A line that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidLine {
    /// Its number in the source, from 1.
    pub line: usize,
    /// Why it was left out.
    pub reason: Reason,
}

/// What was read from one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    /// The rules in their order.
    pub rules: Vec<Rule>,
    /// The number of lines without a rule: comments, headers, blank lines, local hosts.
    pub skipped: usize,
    /// The lines that should be a rule but are invalid.
    pub invalid: Vec<InvalidLine>,
}

/// Reads a source. Lines that make no sense are noted and left out: a list of
/// fifty thousand rules is not thrown away for one of them.
pub fn parse(source: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for (index, line) in source.lines().enumerate() {
        // Lists are glued together from files that each have a byte order mark.
        let is_padding = |c: char| c.is_whitespace() || c == '\u{feff}';
        match parse_line(line.trim_matches(is_padding)) {
            Ok(rules) if rules.is_empty() => parsed.skipped += 1,
            Ok(rules) => parsed.rules.extend(rules),
            Err(reason) => parsed.invalid.push(InvalidLine {
                line: index + 1,
                reason,
            }),
        }
    }
    parsed
}

/// The rules of one line. Only a line of a hosts file can have several.
fn parse_line(line: &str) -> Result<Vec<Rule>, Reason> {
    if line.len() > MAX_LINE {
        return Err(Reason::TooLong);
    }
    if is_remark(line) {
        return Ok(Vec::new());
    }
    if line.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Reason::NotText);
    }
    if let Some(names) = hosts_entry(line) {
        return blocked_hosts(names);
    }
    if let Some(cosmetic) = Cosmetic::parse(line)? {
        return Ok(vec![Rule::Cosmetic(cosmetic)]);
    }
    Ok(vec![Rule::Network(Network::parse(line)?)])
}

/// Whether a line is blank, a comment of either syntax, or `[Adblock Plus 2.0]`.
///
/// A `#` begins a comment of a hosts file, unless a selector follows.
fn is_remark(line: &str) -> bool {
    let is_comment = match line.strip_prefix('#') {
        Some(rest) => match rest.strip_prefix('#') {
            Some(rest) => {
                let text = rest.trim_start_matches('#');
                rest.starts_with("##") || text.is_empty() || text.starts_with([' ', '\t'])
            }
            None => !rest.starts_with(['@', '?', '$', '%']),
        },
        None => line.starts_with('!'),
    };
    let is_header = line.starts_with('[') && line.ends_with(']') && !line.contains('#');
    line.is_empty() || is_comment || is_header
}

/// The names in a line such as `0.0.0.0 ads.example.com # why`.
fn hosts_entry(line: &str) -> Option<impl Iterator<Item = &str>> {
    let (address, names) = line.split_once([' ', '\t'])?;
    NOWHERE.contains(&address).then(|| {
        let names = names.split('#').next().unwrap_or_default();
        names.split_whitespace()
    })
}

fn blocked_hosts<'n>(names: impl Iterator<Item = &'n str>) -> Result<Vec<Rule>, Reason> {
    names
        .filter(|name| !LOCAL.contains(name))
        .map(|name| Ok(Rule::Network(Network::blocking(&domain::host(name)?))))
        .collect()
}

impl Rule {
    /// Whether the rule is an exception, which undoes other rules.
    pub fn is_exception(&self) -> bool {
        match self {
            Rule::Network(rule) => rule.exception,
            Rule::Cosmetic(rule) => rule.exception,
        }
    }

    /// The exception that undoes exactly this rule, if there can be one.
    pub fn undoing(&self) -> Option<Rule> {
        match self {
            Rule::Network(rule) => rule.undoing().map(Rule::Network),
            Rule::Cosmetic(rule) => rule.undoing().map(Rule::Cosmetic),
        }
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for Rule {
    type Error = Reason;

    fn try_from(text: String) -> Result<Self, Reason> {
        let mut rules = parse_line(&text)?;
        rules.pop().ok_or(Reason::NotARule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Network(rule) => rule.fmt(f),
            Rule::Cosmetic(rule) => rule.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        parse(source).rules.iter().map(Rule::to_string).collect()
    }

    #[test]
    fn comments_headers_and_blank_lines_are_skipped() {
        let source =
            "\u{feff}[Adblock Plus 2.0]\r\n! a\r\n\r\n# b\r\n## c\r\n### d\r\n####\r\n#\r\n";
        let parsed = parse(source);
        assert_eq!((parsed.skipped, parsed.rules.len()), (8, 0));
        assert_eq!(parsed.invalid, []);
    }

    #[test]
    fn hosts_files_become_network_rules() {
        let source = "127.0.0.1 localhost\n0.0.0.0\tAds.Example.com # why\n:: a.test b.test";
        let rules = texts(source);
        assert_eq!(rules, ["||ads.example.com^", "||a.test^", "||b.test^"]);
    }

    #[test]
    fn an_invalid_line_is_noted_with_its_number_and_its_reason() {
        let source = "||ok.test^\r\nnot a rule\r\n||x.test^$nonsense\r\n*\r\nexample.com##\r\n\
                      0.0.0.0 a/b\r\na.test#%#script()";
        let parsed = parse(source);
        let noted: Vec<_> = parsed.invalid.iter().map(|i| (i.line, i.reason)).collect();
        assert_eq!(
            noted,
            [
                (2, Reason::Space),
                (3, Reason::UnknownOption),
                (4, Reason::MatchesEverything),
                (5, Reason::NoSelector),
                (6, Reason::NotADomain),
                (7, Reason::Unsupported),
            ]
        );
        assert_eq!(parsed.rules.len(), 1);
    }

    #[test]
    fn a_generic_selector_is_not_a_comment() {
        let rules = texts("##.ad\n#@#.ad\n###banner");
        // `### d` is a heading in a hosts file, `###banner` hides an element by id.
        assert_eq!(rules, ["##.ad", "#@#.ad", "###banner"]);
    }

    #[test]
    fn what_stands_around_a_rule_is_no_part_of_it() {
        assert_eq!(texts(" \u{feff}||a.test^\t"), ["||a.test^"]);
        assert_eq!(parse("##\n####.ad\n").skipped, 2);
        // Only a whole header is one.
        assert_eq!(texts("[ad\nad]"), ["[ad", "ad]"]);
    }

    #[test]
    fn a_line_has_a_longest_length_and_no_control_characters() {
        assert!(parse_line(&"x".repeat(MAX_LINE)).is_ok());
        let long = "x".repeat(MAX_LINE + 1);
        assert_eq!(parse_line(&long), Err(Reason::TooLong));
        assert_eq!(parse_line("a\u{1}b"), Err(Reason::NotText));
    }

    #[test]
    fn a_rule_knows_whether_it_is_an_exception_and_is_stored_as_its_text() {
        for (text, is_exception) in [
            ("||a.test^", false),
            ("@@||a.test^", true),
            ("a.test##.ad", false),
            ("a.test#@#.ad", true),
        ] {
            let rule = Rule::try_from(text.to_owned()).expect(text);
            assert_eq!(rule.is_exception(), is_exception, "{text}");
            assert_eq!(String::from(rule), text);
        }
    }
}
