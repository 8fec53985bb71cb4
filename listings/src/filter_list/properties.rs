//! Properties that hold for every input, tested with generated inputs.

use proptest::prelude::*;

use super::{Compiled, Header, Parsed, Rule, compile, parse};

/// Makes lines of typical pieces. Random combinations of them reach every branch of the parser far
/// more often than random text does.
fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("||"),
        Just("@@"),
        Just("^"),
        Just("*"),
        Just("|"),
        Just("$"),
        Just(","),
        Just("~"),
        Just("="),
        Just("domain="),
        Just("third-party"),
        Just("xhr"),
        Just("1p"),
        Just("important"),
        Just("match-case"),
        Just("csp="),
        Just("##"),
        Just("#@#"),
        Just("#?#"),
        Just("#$#"),
        Just("#"),
        Just("!"),
        Just("["),
        Just("]"),
        Just("/"),
        Just("Ads.Example.com"),
        Just("b.test"),
        Just("a.*"),
        Just("0.0.0.0 "),
        Just(" "),
        Just("\t"),
        Just(".ad"),
        Just("\u{feff}"),
        Just("ä"),
        Just("\\d$"),
    ];
    prop_oneof![
        4 => prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat()),
        1 => "\\PC{0,40}",
        1 => any::<String>(),
    ]
}

fn source() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..30).prop_map(|lines| lines.join("\n"))
}

fn compiled(sources: &[String]) -> Option<Compiled> {
    let parsed: Vec<Parsed> = sources.iter().map(|source| parse(source)).collect();
    compile("test", &parsed).ok()
}

fn texts(parsed: &Parsed) -> Vec<String> {
    parsed.rules.iter().map(Rule::to_string).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_rule_in_normal_form_reads_as_itself(source in source()) {
        for rule in texts(&parse(&source)) {
            let again = parse(&rule);
            prop_assert_eq!(texts(&again), vec![rule]);
        }
    }

    #[test]
    fn no_line_is_lost_without_a_trace(source in source()) {
        let parsed = parse(&source);
        let hosts = source.lines().filter(|line| line.contains("0.0.0.0")).count();
        let seen = parsed.rules.len() + parsed.skipped + parsed.invalid.len();
        // Only a line of a hosts file can have more than one rule.
        prop_assert!(seen >= source.lines().count());
        if hosts == 0 {
            prop_assert_eq!(seen, source.lines().count());
        }
        for invalid in &parsed.invalid {
            prop_assert!((1..=source.lines().count()).contains(&invalid.line));
        }
    }

    #[test]
    fn line_ends_and_a_byte_order_mark_change_nothing(
        lines in prop::collection::vec("[!-~]{1,20}", 1..20),
    ) {
        let unix = parse(&lines.join("\n"));
        let windows = parse(&format!("\u{feff}{}", lines.join("\r\n")));
        prop_assert_eq!(unix, windows);
    }

    #[test]
    fn compiling_a_compiled_list_changes_nothing(sources in prop::collection::vec(source(), 1..4)) {
        if let Some(list) = compiled(&sources) {
            let again = compiled(&[list.to_text()]).expect("the same rules");
            prop_assert_eq!(&again.header.version, &list.header.version);
            prop_assert_eq!(again.rules, list.rules);
            prop_assert_eq!(again.header.statistics.invalid, 0);
        }
    }

    #[test]
    fn the_order_of_sources_does_not_matter(sources in prop::collection::vec(source(), 1..4)) {
        let mut reversed = sources.clone();
        reversed.reverse();
        prop_assert_eq!(compiled(&sources), compiled(&reversed));
    }

    #[test]
    fn a_stored_header_reads_back(sources in prop::collection::vec(source(), 1..3)) {
        if let Some(list) = compiled(&sources) {
            prop_assert_eq!(Header::read("test", &list.to_text()), Ok(list.header));
        }
    }

    #[test]
    fn reading_any_text_as_a_header_does_not_fail_badly(text in any::<String>()) {
        let _ = Header::read("test", &text);
    }
}
