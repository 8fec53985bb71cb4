//! Rules about elements of a page: `example.com##.ad`, `example.com#@#.ad`.

use std::fmt;

use super::domain;
use super::reason::Reason;

/// The separators between domains and selector. Longer ones come first.
const SEPARATORS: [(&str, Kind); 4] = [
    ("#@?#", Kind::Extended(true)),
    ("#@#", Kind::Hiding(true)),
    ("#?#", Kind::Extended(false)),
    ("##", Kind::Hiding(false)),
];
/// Separators of snippets, styles and scripts, which only one product each understands.
const UNSUPPORTED: [&str; 6] = ["#@$#", "#@%#", "#$?#", "#$#", "#%#", "$@$"];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Hiding(bool),
    Extended(bool),
}

/// A rule about elements, in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cosmetic {
    /// Hiding rules sort before exceptions.
    pub(super) exception: bool,
    domains: String,
    extended: bool,
    selector: String,
}

impl Cosmetic {
    /// Reads one rule; `None` if the line is not a cosmetic rule.
    ///
    /// A `#` may also be part of an address, so the text before it decides.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, Reason> {
        let Some(at) = line.find('#') else {
            return Ok(None);
        };
        let (domains, rest) = line.split_at(at);
        if UNSUPPORTED.iter().any(|mark| rest.starts_with(mark)) {
            return Err(Reason::Unsupported);
        }
        let Some((mark, kind)) = SEPARATORS
            .into_iter()
            .find(|(mark, _)| rest.starts_with(mark))
        else {
            return Ok(None);
        };
        let domains = match domains.trim() {
            "" => String::new(),
            domains => domain::list(domains, ',')?,
        };
        let selector = rest[mark.len()..].trim();
        if selector.is_empty() {
            return Err(Reason::NoSelector);
        }
        let (extended, exception) = match kind {
            Kind::Hiding(exception) => (false, exception),
            Kind::Extended(exception) => (true, exception),
        };
        Ok(Some(Cosmetic {
            exception,
            domains,
            extended,
            selector: selector.to_owned(),
        }))
    }

    /// The exception that always undoes this rule.
    pub(super) fn undoing(&self) -> Option<Self> {
        (!self.exception).then(|| Cosmetic {
            exception: true,
            ..self.clone()
        })
    }
}

impl fmt::Display for Cosmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match (self.extended, self.exception) {
            (false, false) => "##",
            (false, true) => "#@#",
            (true, false) => "#?#",
            (true, true) => "#@?#",
        };
        write!(f, "{}{mark}{}", self.domains, self.selector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(line: &str) -> Option<String> {
        let rule = Cosmetic::parse(line).expect(line);
        rule.map(|rule| rule.to_string())
    }

    #[test]
    fn domains_are_normalised_and_selectors_keep_their_case() {
        let rule = normal("B.com,a.com ## .Ad > #Top");
        assert_eq!(rule.as_deref(), Some("a.com,b.com##.Ad > #Top"));
        let exception = normal("A.com#@#.Ad");
        assert_eq!(exception.as_deref(), Some("a.com#@#.Ad"));
        let extended = normal("a.com#?#div:has(> .ad)");
        assert_eq!(extended.as_deref(), Some("a.com#?#div:has(> .ad)"));
    }

    #[test]
    fn a_hash_in_an_address_is_no_cosmetic_rule() {
        assert_eq!(normal("||example.com/page#top"), None);
        assert_eq!(normal("||example.com^"), None);
    }

    #[test]
    fn an_exception_undoes_a_rule_and_nothing_undoes_an_exception() {
        let undoing = |line| {
            let rule = Cosmetic::parse(line).expect(line).expect(line);
            rule.undoing().map(|rule| rule.to_string())
        };
        assert_eq!(undoing("a.com##.ad").as_deref(), Some("a.com#@#.ad"));
        assert_eq!(undoing("a.com#@#.ad"), None);
    }
}
