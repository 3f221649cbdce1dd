//! Whatever is written, the reader ends, does not panic, and says where.

use granary_policy::{Policy, PolicyError, Source, freeze};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::sample::{EXAMPLE, files};

/// Pieces that mean something to YAML or to the reader.
const PIECES: [&str; 24] = [
    "\n", " ", "\t", ": ", "- ", "{", "}", "[", "]", "#", "&a ", "*a", "!!str ", "'", "\"", "|\n", ">-\n",
    "? ", "---\n", "null", "24:00", "-1", "\u{feff}", "\u{0}",
];

fn sound(errors: &[PolicyError], text: &str) {
    assert!(!errors.is_empty(), "refused without a word: {text}");
    let lines = text.lines().count() + 2;
    for error in errors {
        let own = error.file == "promotion.yaml";
        assert!(error.place.line >= 1 && error.place.column >= 1, "{error:?}");
        assert!(!own || error.place.line <= lines, "{error:?}");
        let line = error.to_string();
        assert!(line.len() < 4000 && !line.contains('\n'), "{line}");
    }
}

fn read(text: &str) {
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a timestamp");
    match Source::read(text, "promotion.yaml").and_then(|source| source.resolve(&files())) {
        Ok(policy) => {
            assert_eq!(policy.stages.len(), policy.rules.stages.len());
            let _ = policy.lint(now);
        }
        Err(errors) => sound(&errors, text),
    }
}

/// The example with some of its parts replaced.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0_usize..40, prop::sample::select(PIECES.to_vec()));
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut letters: Vec<char> = EXAMPLE.chars().collect();
        for (at, cut, piece) in edits {
            let at = at.index(letters.len());
            let end = (at + cut).min(letters.len());
            letters.splice(at..end, piece.chars());
        }
        letters.into_iter().collect()
    })
}

/// The example with lines moved, dropped or doubled.
fn shuffled() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..3);
    prop::collection::vec(edit, 1..8).prop_map(|edits| {
        let mut lines: Vec<&str> = EXAMPLE.lines().collect();
        for (from, to, what) in edits {
            let line = lines[from.index(lines.len())];
            if what > 0 {
                let from = from.index(lines.len());
                lines.remove(from);
            }
            if what < 2 {
                let to = to.index(lines.len());
                lines.insert(to, line);
            }
        }
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_example_is_read_or_refused(text in mutated()) {
        read(&text);
    }

    #[test]
    fn an_example_out_of_order_is_read_or_refused(text in shuffled()) {
        read(&text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(\\PC|\\n|: |- |\\[|\\{){0,200}") {
        let _ = freeze(&text, &granary_gates::Zone::utc());
        if let Err(errors) = Policy::parse(&text, "promotion.yaml") {
            sound(&errors, &text);
        }
    }
}
