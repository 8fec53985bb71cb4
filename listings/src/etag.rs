//! Whether a client already has the current version of a list.

/// Whether the header `If-None-Match` names the version with this tag.
///
/// The header is a list of tags, or `*` for any. A tag may have become weak
/// (`W/"…"`) on its way to the client: whoever compresses a response marks its tag
/// so. The comparison for this header ignores the mark:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2>
pub fn is_known(if_none_match: &str, tag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|known| {
        let known = known.strip_prefix("W/").unwrap_or(known);
        known == "*" || known == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_alone_in_a_list_and_weakened() {
        for header in [r#""a""#, r#"W/"a""#, r#""b", "a""#, r#""b",W/"a""#, "*"] {
            assert!(is_known(header, r#""a""#), "{header}");
        }
        for header in ["", "a", r#""ab""#, r#"W/"b""#, r#"w/"a""#] {
            assert!(!is_known(header, r#""a""#), "{header}");
        }
    }
}
