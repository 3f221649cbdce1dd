//! Places and kinds.

use super::*;

fn tree(text: &str) -> Node {
    let (root, faults) = load(text);
    assert!(faults.is_empty(), "{text}");
    root.expect(text)
}

#[test]
fn a_path_leads_to_a_value_or_to_what_should_hold_it() {
    let text = "a:\n  bé: [x,\n    {c: y, d: }]\n\"e\": >-\n  long\n  text\n";
    let root = tree(text);
    for (path, line, column) in [
        ("", 1, 1),
        ("a", 1, 1),
        ("a.bé", 2, 3),
        ("a.bé[0]", 2, 8),
        ("a.bé[1]", 3, 5),
        ("a.bé[1].c", 3, 9),
        ("a.bé[1].d", 3, 12),
        ("a.bé[1].missing", 3, 5),
        ("a.bé[2].c", 2, 3),
        ("e", 5, 3),
        ("nowhere.at.all", 1, 1),
    ] {
        assert_eq!(root.locate(path), Place { line, column }, "{path}");
    }
}

#[test]
fn plain_texts_are_what_the_core_schema_says() {
    for (text, kind) in [
        ("~", Kind::Null),
        ("null", Kind::Null),
        ("true", Kind::Flag(true)),
        ("False", Kind::Flag(false)),
        ("yes", Kind::Text),
        ("on", Kind::Text),
        ("12", Kind::Whole(12)),
        ("-1", Kind::Whole(-1)),
        ("0930", Kind::Whole(930)),
        ("99999999999999999999", Kind::Number),
        ("1.5", Kind::Number),
        ("1e3", Kind::Number),
        (".5", Kind::Number),
        ("0x1F", Kind::Number),
        ("0o17", Kind::Number),
        (".inf", Kind::Number),
        (".NaN", Kind::Number),
        ("09:30", Kind::Text),
        ("2026-01-01", Kind::Text),
        ("7d", Kind::Text),
        ("1.2.3", Kind::Text),
        ("infinity", Kind::Text),
        ("'12'", Kind::Text),
        ("\"true\"", Kind::Text),
    ] {
        assert_eq!(tree(&format!("[{text}]")).items()[0].kind(), kind, "{text}");
    }
}

#[test]
fn what_is_shown_has_one_line_and_an_end() {
    assert_eq!(shown("a\nb\u{1b}[31m\u{202e}c"), "a\u{fffd}b\u{fffd}[31m\u{fffd}c");
    assert_eq!(shown(&"é".repeat(500)).chars().count(), 121);
}
