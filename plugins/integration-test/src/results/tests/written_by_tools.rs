//! What is read of files that real tools wrote; `tests/data/README.md` says which and how.

use super::*;

#[test]
fn pytest() {
    let outcome = parsed(&data("junit/pytest.xml"));
    assert_eq!(
        statuses(&outcome),
        [
            ("test_shop.TestLogin::test_ok", Passed),
            ("test_shop.TestLogin::test_bad_password", Failed),
            ("test_shop::test_sum[1]", Passed),
            ("test_shop::test_sum[2]", Passed),
            ("test_shop::test_browser", Skipped),
            ("test_shop::test_known", Skipped),
            ("test_shop::test_then_teardown_fails", Error),
            ("test_shop::test_fails_twice", Failed),
            ("test_shop::test_fails_twice", Error),
            ("test_shop::test_setup", Error),
        ]
    );
    assert_eq!(outcome.tests[0].duration, Some(Duration::from_millis(1)));
    let messages = [1, 4, 9].map(|index: usize| outcome.tests[index].message.as_deref().unwrap());
    assert_eq!(
        messages,
        [
            "AssertionError: shown <b>&amp;\nassert 1 == 2",
            "no browser",
            "failed on setup with \"RuntimeError: setup broke\""
        ]
    );
    assert_eq!(outcome.started, at("2026-11-21T07:05:43.981458Z"));
    assert_eq!(outcome.finished, at("2026-11-21T07:05:44.104458Z"));
    // It passed, and its teardown failed.
    assert_eq!(
        statuses(&parsed(&data("junit/pytest-teardown.xml"))),
        [("test_teardown::test_passes", Error)]
    );
}

#[test]
fn nextest() {
    let outcome = parsed(&data("junit/nextest.xml"));
    assert_eq!(
        statuses(&outcome),
        [
            ("shop::tests::adds", Passed),
            ("shop::tests::removes", Failed),
            ("shop::tests::ümläut", Passed),
            ("shop::tests::connects", Flaky),
            ("shop::buys::buys", Passed),
            ("shop::buys::crashes", Failed),
        ]
    );
    let message = |index: usize| outcome.tests[index].message.as_deref().unwrap_or_default();
    assert!(message(3).starts_with("thread 'tests::connects' "), "{}", message(3));
    assert_eq!(message(5), "process aborted with signal 6 (SIGABRT)");
    assert_eq!(outcome.problems, [""; 0]);
    let took = outcome.finished.unwrap().duration_since(outcome.started.unwrap());
    assert!(took.as_millis() > 0 && took.as_secs() < 5, "{took}");
    let decision = decide(&outcome, &Rules::default());
    assert_eq!(decision.warned, ["shop::tests::connects"]);
}

#[test]
fn node() {
    let outcome = parsed(&data("junit/node.xml"));
    assert_eq!(
        statuses(&outcome),
        [
            ("top level", Passed),
            ("cart::adds", Passed),
            ("cart::removes", Failed),
            ("cart::later", Skipped),
            ("cart::some day", Skipped),
            ("cart::empty cart::adds", Passed),
            ("nothing here", Passed),
        ]
    );
    assert_eq!(outcome.tests[2].message.as_deref(), Some("1 == 2"));
    assert_eq!(outcome.started, None);
}

/// Names with their statuses, sorted into lists as they were read.
fn read(name: &str) -> (Outcome, Vec<(String, Status)>) {
    let outcome = parsed(&data(name));
    let told = statuses(&outcome).into_iter().map(|(name, status)| (name.to_owned(), status)).collect();
    (outcome, told)
}

fn expected(list: &[(&str, Status)]) -> Vec<(String, Status)> {
    list.iter().map(|&(name, status)| (name.to_owned(), status)).collect()
}

#[test]
fn pytest_with_odd_names() {
    let (outcome, told) = read("junit/pytest-odd.xml");
    let wanted = [
        ("test_shop.TestLogin::test_ok", Passed),
        ("test_shop.TestLogin::test_bad_password", Failed),
        ("test_shop::test_odd[a b]", Passed),
        ("test_shop::test_odd[x::y]", Passed),
        ("test_shop::test_odd[<&\">']", Passed),
        (r"test_shop::test_odd[\xfcml\xe4ut \U0001f980]", Passed),
        (r"test_shop::test_odd[tab\there]", Passed),
        (r"test_shop::test_odd[esc\x1b[1m]", Passed),
        ("test_shop::test_odd[comma,semi;]", Passed),
        ("test_shop::test_odd[[]]", Passed),
        ("test_shop::test_browser", Skipped),
        ("test_shop::test_known", Skipped),
        ("test_shop::test_setup", Error),
        ("test_shop::test_then_teardown_fails", Error),
    ];
    assert_eq!(told, expected(&wanted));
    assert_eq!(outcome.problems, [""; 0]);
    let message = outcome.tests[1].message.as_deref();
    assert_eq!(message, Some("AssertionError: shown <b>&amp; ]]> #x1B[31mred\nassert 1 == 2"));
}

/// pytest-rerunfailures writes an attempt that failed as a case without children: a pass, for whoever reads.
#[test]
fn pytest_that_repeats_leaves_no_sign_of_it() {
    let (outcome, _) = read("junit/pytest-rerun.xml");
    let decision = decide(&outcome, &Rules::default());
    assert_eq!(decision.result, TestOutcome::Failed);
    assert_eq!(decision.failed, ["test_flaky::test_never_passes"]);
    assert_eq!(decision.warned, [""; 0]);
    assert_eq!(
        decision.passed,
        [
            "test_flaky::test_passes_the_second_time",
            "test_flaky::test_setup_passes_the_second_time",
            "test_flaky::test_steady"
        ]
    );
}

#[test]
fn googletest() {
    let (outcome, told) = read("junit/googletest.xml");
    let wanted = [
        ("MathTest::Addition", Failed),
        ("MathTest::Subtraction", Passed),
        ("MathTest::DISABLED_Division", Skipped),
        ("LogicTest::NonContradiction", Passed),
        ("LogicTest::NeedsDisplay", Skipped),
        ("LogicTest::Bare", Skipped),
    ];
    assert_eq!(told, expected(&wanted));
    assert_eq!(outcome.problems, [""; 0]);
    assert_eq!(outcome.tests[4].message.as_deref(), Some("no display"));
}

#[test]
fn node_in_both_formats() {
    let (junit, told) = read("junit/node-odd.xml");
    let wanted = [
        ("top level", Passed),
        // Node escapes twice here, and only here.
        ("odd # name \\ &quot;quoted&quot; <&> ü 🦀", Passed),
        ("fails", Failed),
        ("skipped", Skipped),
        ("todo that fails", Skipped),
        ("todo that passes", Skipped),
        ("sums [1] = 1", Passed),
        ("sums [2] = 2,3", Passed),
        ("cart::adds", Passed),
        ("cart::inner - deep::removes", Failed),
        ("cart::inner - deep::stays", Passed),
        ("setup::never runs", Failed),
        ("parent::child", Passed),
        ("parent::second child", Skipped),
    ];
    assert_eq!(told, expected(&wanted));
    assert_eq!(junit.problems, [""; 0]);

    let (tap, told) = read("tap/node.tap");
    let mut wanted = wanted.to_vec();
    wanted[1].0 = "odd # name \\ \"quoted\" <&> ü 🦀";
    // JUnit has no place for what a suite itself says.
    wanted.insert(12, ("setup", Failed));
    assert_eq!(told, expected(&wanted));
    assert_eq!(tap.problems, [""; 0]);
    let of = |name: &str| tap.tests.iter().find(|test| test.name == name).unwrap();
    assert_eq!(of("fails").message.as_deref(), Some("one is not # two\nsecond line"));
    assert_eq!(of("fails").duration, Some(Duration::from_nanos(25_384_529)));
    assert_eq!(of("setup").message.as_deref(), Some("no database"));
    assert_eq!(of("skipped").message.as_deref(), Some("no payment # here"));
    assert_eq!(of("todo that fails").message.as_deref(), Some("todo: later"));
    assert_eq!(
        of("cart::inner - deep::removes").message.as_deref(),
        Some("The expression evaluated to a falsy value:\n\nassert.ok(false)")
    );
}

#[test]
fn perl() {
    let (outcome, told) = read("tap/perl.tap");
    let wanted = [
        ("adds", Passed),
        ("test 2", Passed),
        ("odd # name <&> ü", Failed),
        ("test 4", Skipped),
        ("test 5", Skipped),
        ("some day", Skipped),
        ("already there", Skipped),
        ("cart::adds", Passed),
        ("cart::inner::removes", Failed),
        ("whole thing skipped", Skipped),
    ];
    assert_eq!(told, expected(&wanted));
    assert_eq!(outcome.problems, [""; 0]);
    let (bailed_out, told) = read("tap/perl-bail-out.tap");
    assert_eq!(told, expected(&[("first", Passed)]));
    assert_eq!(bailed_out.problems, ["results: the tests bailed out: no database"]);
    let (short, told) = read("tap/perl-short.tap");
    assert_eq!(told.len(), 3);
    assert_eq!(short.problems, ["results: planned 5 tests, ran 3"]);
    let (skipped, told) = read("tap/perl-skip-all.tap");
    assert_eq!(told, expected(&[("results", Skipped)]));
    assert_eq!(skipped.tests[0].message.as_deref(), Some("no network"));
}

#[test]
fn bats_in_both_formats() {
    let wanted = [
        ("adds", Passed),
        ("odd # name <&> ü", Passed),
        ("removes", Failed),
        ("handles # comments", Skipped),
        ("setup # breaks", Failed),
    ];
    let (tap, told) = read("tap/bats.tap");
    assert_eq!(told, expected(&wanted));
    let message = tap.tests[2].message.as_deref().unwrap();
    assert!(message.starts_with("(in test file bats/shop.bats, line 4)\n`@test"), "{message}");
    let (junit, told) = read("junit/bats.xml");
    assert_eq!(
        told,
        expected(&wanted.map(|(name, status)| (format!("shop.bats::{name}").leak() as &str, status)))
    );
    assert_eq!(junit.problems, [""; 0]);
}

#[test]
fn node_tap_and_tape() {
    let (outcome, told) = read("tap/node-tap.tap");
    let wanted = [
        ("top # level \\ odd", Passed),
        ("cart::adds", Passed),
        ("cart::removes", Failed),
        ("later", Skipped),
        // It never ran, and node-tap says `ok`.
        ("some day", Skipped),
        // Nothing is in it.
        ("timed", Skipped),
    ];
    assert_eq!(told, expected(&wanted));
    assert_eq!(outcome.problems, [""; 0]);
    assert_eq!(outcome.tests[5].duration, Some(Duration::from_micros(7157)));
    let (outcome, told) = read("tap/tape.tap");
    assert_eq!(told, expected(&[("sum # of two", Passed), ("nothing left", Failed), ("not yet", Skipped)]));
    assert_eq!((outcome.problems.len(), outcome.tests[1].message.as_deref()), (0, None));
}
