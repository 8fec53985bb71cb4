//! Names of hosts, alone and in the lists that limit a rule to some of them.

use super::reason::Reason;

/// The longest name DNS allows, and the longest label in it.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A host's name in lower case, if it is one.
///
/// Names beyond ASCII are taken as they are: lists write them in both forms.
pub(super) fn host(name: &str) -> Result<String, Reason> {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || is_idn(c))
    };
    if name.len() <= MAX_NAME && name.split('.').all(is_label) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(Reason::NotADomain)
    }
}

/// Letters of internationalised names, and nothing that is space in disguise.
fn is_idn(c: char) -> bool {
    !c.is_ascii() && c.is_alphanumeric()
}

/// `a.com,~b.a.com` in lower case, sorted, each once.
///
/// An entry may be negated with `~`, end in `.*` for any top-level domain, or be
/// `*` for every host.
pub(super) fn list(text: &str, separator: char) -> Result<String, Reason> {
    let mut entries = text
        .split(separator)
        .map(|entry| entry_of(entry.trim()))
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort_unstable();
    entries.dedup();
    Ok(entries.join(separator.encode_utf8(&mut [0; 4])))
}

fn entry_of(entry: &str) -> Result<String, Reason> {
    let (negation, name) = match entry.strip_prefix('~') {
        Some(name) => ("~", name),
        None => ("", entry),
    };
    let name = match name.strip_suffix(".*") {
        _ if name == "*" => name.to_owned(),
        Some(stem) => format!("{}.*", host(stem)?),
        None => host(name)?,
    };
    Ok(format!("{negation}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_list_is_lowered_sorted_and_has_each_entry_once() {
        let normal = list("B.com,~x.A.com , a.com,b.com,shop.*", ',');
        assert_eq!(normal.expect("domains"), "a.com,b.com,shop.*,~x.a.com");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = format!("{}.com", "x".repeat(64));
        for bad in [
            "",
            "a..b",
            "-a.com",
            "a b.com",
            "a.com/",
            "ä\u{a0}.de",
            &long,
        ] {
            assert_eq!(host(bad), Err(Reason::NotADomain), "{bad}");
        }
        assert_eq!(host("Müller.DE").expect("a name"), "müller.de");
    }
}
