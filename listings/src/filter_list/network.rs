//! Rules about requests: `||example.com^$third-party`, `@@…`, `/regex/`.

use std::fmt;

use super::domain;
use super::reason::Reason;

/// Options without a value. A `~` before one negates it.
const SWITCHES: [&str; 37] = [
    "1p",
    "3p",
    "all",
    "badfilter",
    "beacon",
    "cname",
    "css",
    "doc",
    "document",
    "ehide",
    "elemhide",
    "empty",
    "font",
    "frame",
    "generichide",
    "genericblock",
    "ghide",
    "image",
    "important",
    "inline-font",
    "inline-script",
    "match-case",
    "media",
    "mp4",
    "object",
    "other",
    "ping",
    "popunder",
    "popup",
    "script",
    "specifichide",
    "stylesheet",
    "subdocument",
    "third-party",
    "websocket",
    "webrtc",
    "xmlhttprequest",
];
/// Options whose value is a list of domains, separated by `|`.
const DOMAINS: [&str; 4] = ["denyallow", "domain", "from", "to"];
/// Options with another value, which is kept as it is. Some of them may stand
/// without a value.
const VALUES: [&str; 11] = [
    "csp",
    "header",
    "method",
    "permissions",
    "redirect",
    "redirect-rule",
    "removeparam",
    "replace",
    "rewrite",
    "sitekey",
    "uritransform",
];
/// Other names of options.
const ALIASES: [(&str, &str); 7] = [
    ("1p", "~third-party"),
    ("3p", "third-party"),
    ("css", "stylesheet"),
    ("doc", "document"),
    ("frame", "subdocument"),
    ("from", "domain"),
    ("xhr", "xmlhttprequest"),
];

/// A rule about requests, in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// Blocking rules sort before exceptions.
    pub(super) exception: bool,
    pattern: String,
    /// Sorted, without duplicates.
    options: Vec<String>,
}

impl Network {
    /// The rule that blocks a host and all its subdomains.
    pub(super) fn blocking(host: &str) -> Self {
        Network {
            exception: false,
            pattern: format!("||{host}^"),
            options: Vec::new(),
        }
    }

    /// Reads one rule and brings it into its normal form.
    pub(super) fn parse(line: &str) -> Result<Self, Reason> {
        let (exception, rule) = match line.strip_prefix("@@") {
            Some(rule) => (true, rule),
            None => (false, line),
        };
        let (pattern, options) = split_options(rule);
        let mut options = match options {
            Some(options) => options
                .split(',')
                .map(option)
                .collect::<Result<Vec<_>, _>>()?,
            None => Vec::new(),
        };
        options.sort_unstable();
        options.dedup();
        let is_regex = pattern.len() > 1 && pattern.starts_with('/') && pattern.ends_with('/');
        if !is_regex && pattern.contains(char::is_whitespace) {
            return Err(Reason::Space);
        }
        if options.is_empty() && pattern.trim_matches(['*', '|', '^']).is_empty() {
            return Err(Reason::MatchesEverything);
        }
        // Patterns ignore case unless told otherwise; in a regular expression
        // `\d` and `\D` are opposites whatever the case of the text.
        let keeps_case = is_regex || options.iter().any(|option| option == "match-case");
        let pattern = match keeps_case {
            true => pattern.to_owned(),
            false => pattern.to_ascii_lowercase(),
        };
        Ok(Network {
            exception,
            pattern,
            options,
        })
    }

    /// The exception that always undoes this rule.
    ///
    /// There is none for a rule that claims priority, and none for a rule that disables others,
    /// because such a rule acts on the list and not on requests.
    pub(super) fn undoing(&self) -> Option<Self> {
        let has = |name: &str| self.options.iter().any(|option| option == name);
        if self.exception || has("important") || has("badfilter") {
            return None;
        }
        Some(Network {
            exception: true,
            ..self.clone()
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.exception { "@@" } else { "" };
        write!(f, "{mark}{}", self.pattern)?;
        if !self.options.is_empty() {
            write!(f, "${}", self.options.join(","))?;
        }
        Ok(())
    }
}

/// Splits at the last `$` that options can follow. A `$` may also be part of a pattern, and many
/// regular expressions end with one.
fn split_options(rule: &str) -> (&str, Option<&str>) {
    match rule.rsplit_once('$') {
        Some((pattern, options)) if looks_like_options(options) => (pattern, Some(options)),
        _ => (rule, None),
    }
}

fn looks_like_options(text: &str) -> bool {
    text.split(',').all(|option| {
        let option = option.trim().trim_start_matches('~');
        let name = option.split_once('=').map_or(option, |(name, _)| name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !name.is_empty() && name.chars().all(is_name)
    })
}

/// One option in its normal form: lower case, long name, sorted domains.
fn option(text: &str) -> Result<String, Reason> {
    let text = text.trim();
    if let Some((name, value)) = text.split_once('=') {
        let name = long_name(&name.to_ascii_lowercase());
        if DOMAINS.contains(&name.as_str()) {
            return Ok(format!("{name}={}", domain::list(value, '|')?));
        }
        let is_value = VALUES.contains(&name.as_str()) && !value.is_empty();
        let is_text = !value.contains(|c: char| c == '$' || c.is_control());
        return match is_value && is_text {
            true => Ok(format!("{name}={value}")),
            false => Err(Reason::UnknownOption),
        };
    }
    let name = long_name(&text.to_ascii_lowercase());
    let bare = name.strip_prefix('~').unwrap_or(&name);
    let is_known = SWITCHES.contains(&bare) || VALUES.contains(&bare) && bare == name;
    is_known.then_some(name).ok_or(Reason::UnknownOption)
}

/// The long name of an option. What is not first party is `third-party`.
fn long_name(name: &str) -> String {
    let (negation, bare) = match name.strip_prefix('~') {
        Some(bare) => ("~", bare),
        None => ("", name),
    };
    let long = ALIASES
        .iter()
        .find_map(|&(short, long)| (short == bare).then_some(long))
        .unwrap_or(bare);
    match (negation, long.strip_prefix('~')) {
        ("~", Some(positive)) => positive.to_owned(),
        _ => format!("{negation}{long}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(line: &str) -> String {
        Network::parse(line).expect(line).to_string()
    }

    #[test]
    fn options_are_spelled_out_lowered_and_sorted() {
        let rule = "||Ads.Example.com^$XHR,3p,domain=B.com|~c.b.com|a.com,xhr";
        let expected = "||ads.example.com^$domain=a.com|b.com|~c.b.com,third-party,xmlhttprequest";
        assert_eq!(normal(rule), expected);
        assert_eq!(normal("||a.com^$1p"), "||a.com^$~third-party");
        assert_eq!(normal("||a.com^$~1p"), "||a.com^$third-party");
    }

    #[test]
    fn case_is_kept_where_it_means_something() {
        assert_eq!(normal("/Banner$match-case"), "/Banner$match-case");
        assert_eq!(normal(r"/\Dads\d+/$script"), r"/\Dads\d+/$script");
        assert_eq!(normal("||a.com^$csp=Script-Src"), "||a.com^$csp=Script-Src");
    }

    #[test]
    fn a_dollar_sign_may_belong_to_the_pattern() {
        assert_eq!(normal("/ads[0-9]$/"), "/ads[0-9]$/");
        assert_eq!(normal("a.com/$$x.js"), "a.com/$$x.js");
        assert_eq!(Network::parse("a.com/$x"), Err(Reason::UnknownOption));
    }

    #[test]
    fn a_rule_that_is_limited_may_match_everything() {
        assert_eq!(normal("*$image,domain=a.com"), "*$domain=a.com,image");
        assert_eq!(Network::parse("||^"), Err(Reason::MatchesEverything));
        assert_eq!(Network::parse("@@"), Err(Reason::MatchesEverything));
    }

    #[test]
    fn only_a_regular_expression_may_have_spaces() {
        assert_eq!(normal("/a b/"), "/a b/");
        assert_eq!(Network::parse("/a b"), Err(Reason::Space));
        assert_eq!(Network::parse("a b/"), Err(Reason::Space));
    }

    #[test]
    fn an_option_has_a_value_only_if_it_is_of_that_kind() {
        for good in ["csp", "csp=script-src", "~script", "domain=*"] {
            assert_eq!(option(good).as_deref(), Ok(good));
        }
        for bad in ["~csp", "csp=", "csp=a$b", "csp=a\u{1}", "script=1"] {
            assert_eq!(option(bad), Err(Reason::UnknownOption), "{bad}");
        }
    }
}
