//! `Link: <…>; rel="next"`, the way lists are continued (RFC 8288): pure.

/// The target of the first link whose relation is `next`. The relation may be quoted or not (both are
/// sent), and may name several.
pub(crate) fn next(value: &str) -> Option<&str> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, parameters) = after.split_once('>')?;
        let end = parameters.find('<').unwrap_or(parameters.len());
        if parameters[..end].split([';', ',']).any(is_next) {
            return Some(target);
        }
        rest = &parameters[end..];
    }
    None
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let relations = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("rel")
        && relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let table = [
            (r#"</v2/a/tags/list?n=1&last=x>; rel="next""#, Some("/v2/a/tags/list?n=1&last=x")),
            ("<https://h.test/x>;rel=next", Some("https://h.test/x")),
            (r#"<list?last=b>; title="a"; REL="last next""#, Some("list?last=b")),
            (r#"</first>; rel="first", </second>; rel="next""#, Some("/second")),
            (r#"</first>; rel="prev""#, None),
            (r#"</x>; rel="nextish""#, None),
            ("/x; rel=next", None),
            ("</x; rel=next", None),
            ("", None),
        ];
        for (value, expected) in table {
            assert_eq!(next(value), expected, "{value}");
        }
    }
}
