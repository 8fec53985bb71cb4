//! Names of hosts, and lists of domains that limit a rule.

use super::reason::Reason;

/// The longest name that DNS allows, and the longest label in a name.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The name of a host in lower case, if the text is one.
///
/// A name that is not ASCII stays as it is: lists write such names in both forms.
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

/// Whether a character is one of internationalised names. Unusual spaces are not.
fn is_idn(c: char) -> bool {
    !c.is_ascii() && c.is_alphanumeric()
}

/// Reads `a.com,~b.a.com` into lower case, sorted and without duplicates.
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
