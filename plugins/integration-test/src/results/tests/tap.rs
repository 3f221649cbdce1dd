//! TAP that keeps to its plan, and TAP that does not.

use super::*;

fn read(text: &str) -> Outcome {
    parsed(text.as_bytes())
}

/// What is wrong beside the tests, without the file's name.
fn problems(text: &str) -> Vec<String> {
    let problems = read(text).problems;
    problems.iter().map(|problem| problem.strip_prefix("results: ").unwrap().to_owned()).collect()
}

#[test]
fn a_plan_that_is_not_kept_is_a_failure() {
    let table = [
        ("1..2\nok 1\nok 2\n", vec![]),
        ("ok\nok\n1..2\n", vec![]),
        ("TAP version 14\n1..3\nok 2\nok 3\nok 1\n", vec![]),
        ("TAP version 13\r\n1..1\r\nok 1 - a\r\n", vec![]),
        ("\u{feff}1..1\nok\n", vec![]),
        ("1..5\nok 1\nok 2\nok 3\n", vec!["planned 5 tests, ran 3"]),
        ("1..1\nok 1\nok 2\n", vec!["planned 1 test, ran 2"]),
        ("TAP version 13\nok 1\n", vec!["it has no plan, 1 test ran"]),
        ("TAP version 13\n", vec!["it has no plan, 0 tests ran"]),
        ("1..3\nok 1\nok 2\nok 2\n", vec!["number 2 is there twice"]),
        ("1..3\nok 2\nok 4\nok 1\n", vec!["number 4 is not in the plan, which is 1 to 3"]),
        ("1..1\nok 0\n", vec!["number 0 is not in the plan, which is 1 to 1"]),
        (
            "5..6\nok 5\nok 6\n",
            vec!["its plan begins with 5", "number 5 is not in the plan, which is 1 to 2"],
        ),
        ("1..1\nok 1\n1..1\n", vec!["it has two plans"]),
        ("ok 1\n1..2\nok 2\n", vec!["it goes on behind its plan"]),
        ("1..1\nok 1\nTAP version 13\n", vec!["a second TAP document begins at 3:1"]),
        ("1..99999999999999999999\nok 1\n", vec!["planned 18446744073709551615 tests, ran 1"]),
        ("1..1\nok 1 - a", vec!["it ends in the middle, it was cut short"]),
        ("1..1\nnot ok 1\n  ---\n  message: x\n", vec!["it ends in the middle, it was cut short"]),
        ("1..2\nok 1\nBail out! no \\# database\nnot ok 2\n", vec!["the tests bailed out: no # database"]),
        ("1..1\nok 1\nbail OUT!\n", vec!["the tests bailed out"]),
        ("1..2\n    1..3\n    ok 1\n    Bail out!\n", vec!["the tests bailed out"]),
        // Subtests are documents of their own.
        ("    1..1\n    ok 1 - b\nok 1 - a\n1..1\n", vec![]),
        ("        ok 1\n        1..1\n    ok 1\n    1..1\nok 1\n1..1\n", vec![]),
        ("1..1\n# Subtest: a\n    1..2\n    ok 1\nok 1 - a\n", vec!["subtest `a`: planned 2 tests, ran 1"]),
        ("1..1\n    ok 1\nok 1 - a\n", vec!["subtest `a`: it has no plan, 1 test ran"]),
        ("# Subtest: a\n    1..1\n    ok 1\n1..0\n", vec!["subtest `a` has no test point that ends it"]),
        (
            "1..1\n        1..1\n        ok 1\nok 1 - a\n",
            vec![
                "subtest `a`: subtest `subtest` has no test point that ends it",
                "subtest `a`: it has no plan, 0 tests ran",
            ],
        ),
        // Indented where no subtest can be.
        ("1..1\nok 1 - a\n  Bail out! x\n", vec!["the tests bailed out: x"]),
        ("1..1\nok 1 - a\n\tbail out!\n", vec!["the tests bailed out"]),
        ("1..1\nok 1 - a\n     \t Bail out! y\n", vec!["the tests bailed out: y"]),
        ("1..1\nok 1 - a\n  not ok 2 - b\n", vec!["line 3 is an indented `not ok` of no subtest"]),
        ("1..1\nok 1 - a\n\tnot ok\n", vec!["line 3 is an indented `not ok` of no subtest"]),
        ("1..1\nok 1 - a\n    \tnot ok\n", vec!["line 3 is an indented `not ok` of no subtest"]),
        ("1..1\nok 1 - a\n  not ok 2 - b # TODO\n  ok 3\n\tok 4\n  1..7\n  not okay\n", vec![]),
        // No TAP at all, which is nobody's fault.
        ("1..1\npragma +strict\nhello\nok 1\n  indented by two\n", vec![]),
    ];
    for (text, expected) in table {
        assert_eq!(problems(text), expected, "{text}");
        let decision = decide(&read(text), &Rules::default());
        let good = expected.is_empty();
        assert_eq!(decision.result == TestOutcome::Passed, good, "{text} {decision:?}");
    }
    let other = fault(b"TAP version 15\n1..1\nok\n");
    assert_eq!(other, "1:1: it is TAP version 15, this version reads 13 and 14");
}

#[test]
fn the_point_of_a_subtest_counts_where_nothing_inside_says_the_same() {
    let subtest = |inside: &str, end: &str| format!("1..1\n# Subtest: a\n{inside}{end}");
    let failing = "    1..1\n    not ok 1 - b\n";
    let passing = "    1..1\n    ok 1 - b\n";
    let table = [
        (subtest(passing, "ok 1 - a\n"), vec![("a::b", Passed)]),
        (subtest(failing, "not ok 1 - a\n"), vec![("a::b", Failed)]),
        // They contradict each other: the worse one counts.
        (subtest(failing, "ok 1 - a\n"), vec![("a::b", Failed)]),
        (subtest(passing, "not ok 1 - a\n"), vec![("a::b", Passed), ("a", Failed)]),
        // What is to be done is not expected to pass, whole or in part.
        (subtest(failing, "not ok 1 - a # TODO later\n"), vec![("a::b", Skipped)]),
        (subtest("    1..0\n", "ok 1 - a\n"), vec![("a", Skipped)]),
        (subtest("    1..0 # SKIP why\n", "ok 1 # SKIP why\n"), vec![("a", Skipped)]),
        (subtest("    1..0\n", "not ok 1 - a\n"), vec![("a", Failed)]),
        // Named by its point, where no comment does.
        ("    ok 1\n    1..1\nok 1 - a\n1..1\n".to_owned(), vec![("a::test 1", Passed)]),
    ];
    for (text, expected) in table {
        let outcome = read(&text);
        assert_eq!(statuses(&outcome), expected, "{text}");
        assert_eq!(outcome.problems, [""; 0], "{text}");
    }
    let todo = read("1..1\nnot ok 1 - a # TODO\n");
    assert_eq!((todo.tests[0].status, todo.tests[0].message.as_deref()), (Skipped, Some("todo")));
}

#[test]
fn a_block_that_does_not_end_hides_no_test() {
    let text = "1..3\nnot ok 1 - a\n  ---\n  message: why\nnot ok 2 - b\n  ---\n  ...\nok 3 - c\n";
    let outcome = read(text);
    assert_eq!(statuses(&outcome), [("a", Failed), ("b", Failed), ("c", Passed)]);
    assert_eq!(outcome.tests[0].message.as_deref(), Some("why"));
    assert_eq!(outcome.problems, [""; 0]);
    // Test points inside of a block are text.
    let text = "1..1\nok 1 - a\n  ---\n  diff: |\n    not ok 2 - b\n      not ok 3\n  ...\n";
    assert_eq!(statuses(&read(text)), [("a", Passed)]);
}

#[test]
fn what_begins_like_tap_is_tap() {
    for text in ["TAP version 13\n", "\n# comment\n1..0\n", "ok 1\n", "  not ok 1\n", "Bail out!\n"] {
        assert!(!read(text).problems.is_empty() || read(text).tests.len() == 1, "{text}");
    }
    for text in ["okay\n", "TAP\n", "# only a comment\n", "1 passed, 0 failed\n"] {
        assert!(fault(text.as_bytes()).ends_with("and not as TAP does"), "{text}");
    }
    // What was set is not guessed: the output of prove names each file first.
    let text = b"t/shop.t ..\nok 1 - adds\n1..1\nok\nAll tests successful.\n";
    let forced = parse(text, Some(Format::Tap), Path::new("r")).unwrap();
    assert_eq!(statuses(&forced), [("adds", Passed), ("test 2", Passed)]);
    assert_eq!(forced.problems, ["r: it goes on behind its plan", "r: planned 1 test, ran 2"]);
}

#[test]
fn tap_that_is_too_much_is_refused() {
    let deep = format!("{}ok 1\n", "    ".repeat(65));
    assert_eq!(fault(format!("1..1\n{deep}").as_bytes()), "2:1: elements are nested more than 64 deep");
    let many = "ok\n".repeat(MAX_TESTS + 1);
    assert_eq!(fault(many.as_bytes()), "there are more than 200000 tests");
    let long = format!("1..1\nok 1 - {}\n", "x".repeat(MAX_NAME + 1));
    assert_eq!(fault(long.as_bytes()), "2:1: a test needs a name of 1 to 4096 bytes");
    // A long name around many tests.
    let (name, inside) = ("x".repeat(4000), "    ok\n".repeat(20_000));
    let large = format!("1..1\n    1..20000\n{inside}ok 1 - {name}\n");
    assert_eq!(fault(large.as_bytes()), "the names of all tests together have more than 64 MiB");
    // Each wrong subtest is a problem, and the first ones say enough.
    let wrong: String = (1..=1000).map(|number| format!("    ok 1\nok {number}\n")).collect();
    assert_eq!(problems(&format!("{wrong}1..1000\n")).len(), 20);
}

/// Every file that tools wrote, cut at every byte: nothing that is read of it looks better than the whole.
#[test]
fn tap_cut_anywhere_never_passes() {
    let streams = [
        "1..3\nok 1 - one\nok 2 - two # SKIP no display\nok 3 - three\n".to_owned(),
        "TAP version 14\nok 1 - one\n# Subtest: a\n    ok 1 - b\n      ---\n      duration_ms: 12\n      ...\n    1..1\nok 2 - a\n1..2\n".to_owned(),
    ];
    for text in streams {
        let whole = decide(&read(&text), &Rules::default());
        assert_eq!(whole.result, TestOutcome::Passed);
        for cut in 0..text.len() {
            let Ok(outcome) = parse(&text.as_bytes()[..cut], None, Path::new("results")) else { continue };
            let decision = decide(&outcome, &Rules::default());
            let same = (&decision.passed, &decision.skipped) == (&whole.passed, &whole.skipped);
            assert!(decision.result == TestOutcome::Failed || same, "{} {decision:?}", &text[..cut]);
        }
    }
    for name in ["node.tap", "perl.tap", "bats.tap", "node-tap.tap", "tape.tap"] {
        let bytes = data(&format!("tap/{name}"));
        for cut in 0..bytes.len() {
            let Ok(outcome) = parse(&bytes[..cut], None, Path::new("results")) else { continue };
            assert_eq!(decide(&outcome, &Rules::default()).result, TestOutcome::Failed, "{name} {cut}");
        }
    }
}
