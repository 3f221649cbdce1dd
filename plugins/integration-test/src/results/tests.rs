mod hardening;
mod schema;
mod tap;
mod written_by_tools;

use granary_plugin::Kind;

use super::*;

const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn parsed(bytes: &[u8]) -> Outcome {
    parse(bytes, None, Path::new("results")).unwrap()
}

fn fault(bytes: &[u8]) -> String {
    match parse(bytes, None, Path::new("results")) {
        Err(ReadError::Unusable { fault, .. }) => fault.to_string(),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

fn statuses(outcome: &Outcome) -> Vec<(&str, Status)> {
    outcome.tests.iter().map(|test| (test.name.as_str(), test.status)).collect()
}

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn tests(list: &[(&str, Status)]) -> Outcome {
    let test = |&(name, status): &(&str, Status)| Test {
        name: name.to_owned(),
        status,
        duration: None,
        message: None,
    };
    Outcome { tests: list.iter().map(test).collect(), ..Outcome::default() }
}

use Status::{Error, Failed, Flaky, Passed, Skipped};

#[test]
fn the_projects_own_form() {
    let outcome = parsed(&data("json/results.json"));
    let test = |name: &str, status, millis: Option<u64>, message: Option<&str>| Test {
        name: name.to_owned(),
        status,
        duration: millis.map(Duration::from_millis),
        message: message.map(str::to_owned),
    };
    let expected = [
        test("login::accepts a good password", Passed, Some(250), None),
        test("login::refuses a bad one", Failed, None, Some("got 200, wanted 401")),
        test("browser", Skipped, None, Some("no display")),
        test("database", Error, Some(3000), None),
    ];
    assert_eq!(outcome.tests, expected);
    assert_eq!((outcome.started, outcome.finished), (at("2026-11-21T12:00:00Z"), at("2026-11-21T12:00:09Z")));
    assert_eq!(outcome.named_digest, Some(DIGEST.parse().unwrap()));
    // The example in the documentation is one.
    let documented = include_str!("json.rs").lines().skip_while(|line| *line != "//! ```json").skip(1);
    let documented: String =
        documented.take_while(|line| *line != "//! ```").map(|line| line.trim_start_matches("//!")).collect();
    assert_eq!(parsed(documented.as_bytes()).tests, expected[..2]);
}

#[test]
fn junit_where_tools_differ() {
    let case =
        |inside: &str| format!(r#"<testsuite name="s"><testcase name="t">{inside}</testcase></testsuite>"#);
    let table = [
        (case(""), Passed, None),
        (case("<failure>why\n &lt;&#x41;&#66;<![CDATA[<&]]></failure>"), Failed, Some("why\n <AB<&")),
        (case("<failure/><skipped/>"), Failed, None),
        (case("<skipped/><error message='e'/>"), Error, Some("e")),
        (
            "<testsuite name='s' tests='2'><testcase name='t'><flakyFailure/></testcase></testsuite>".to_owned(),
            Flaky,
            None,
        ),
        (case("<rerunFailure message='again'/>"), Failed, Some("again")),
        (case("<flakyError message='once'/>"), Flaky, Some("once")),
        (case("<flakyFailure message='once'/><failure message='then'/>"), Failed, Some("once")),
        (case("<skipped type='todo' message='later'/><failure message='not yet'/>"), Skipped, Some("later")),
        (case("<properties><failure/></properties><system-out>x</system-out>"), Passed, None),
        (case("<system-out><![CDATA[<failure message='only output'/>]]></system-out>"), Passed, None),
        (r#"<testsuite name="s"><testcase name="t" status="notrun"/></testsuite>"#.to_owned(), Skipped, None),
        (case("<warning>no assertions</warning>"), Failed, Some("no assertions")),
        (r#"<testsuite name="s" failures="0" errors="0" skipped="0" tests="0"><testcase name="t"/></testsuite>"#.to_owned(), Passed, None),
        (format!("\u{feff}  {}", case("")), Passed, None),
    ];
    for (xml, status, message) in table {
        let outcome = parsed(xml.as_bytes());
        assert_eq!(statuses(&outcome), [("s::t", status)], "{xml}");
        assert_eq!(outcome.tests[0].message.as_deref(), message, "{xml}");
    }
    let grouped = r#"<testsuite><testcase name="t" classname="c" time="1,234.5"/><testcase name="u" time="-1"/></testsuite>"#;
    let outcome = parsed(grouped.as_bytes());
    assert_eq!(outcome.tests[0].duration, Some(Duration::from_millis(1_234_500)));
    assert_eq!((outcome.tests[1].duration, outcome.tests[1].name.as_str()), (None, "u"));
    // A time without an offset is none.
    let local = r#"<testsuite timestamp="2026-11-21T07:00:00" time="1"/>"#;
    assert_eq!(parsed(local.as_bytes()), Outcome::default());
    let long = parsed(case(&format!("<failure>{}</failure>", "ü".repeat(10_000))).as_bytes());
    assert_eq!(long.tests[0].message.as_ref().map(String::len), Some(MAX_MESSAGE + " […]".len()));
}

#[test]
fn what_cannot_be_read_to_the_end_is_refused_with_its_place() {
    let deep = "<testsuites>".repeat(200);
    let table: [(&[u8], &str); 31] = [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"5 passed", "it begins neither with `{` (JSON) nor with `<` (JUnit XML), and not as TAP does"),
        (b"[]", "it begins neither with `{` (JSON) nor with `<` (JUnit XML), and not as TAP does"),
        (b"{\"tests\":[\xff]}", "byte 10: it is not UTF-8"),
        (b"<testsuite name='\xe9'/>", "byte 17: it is not UTF-8"),
        (b"{}", "1:2: missing field `tests`"),
        (b"{\"tests\":\n[{\"name\":\"a\"", "2:12: EOF while parsing an object"),
        (b"{\"tests\":[]} x", "1:14: trailing characters"),
        (b"{\"tests\":[],\"tests\":[]}", "1:19: duplicate field `tests`"),
        (b"{\"tests\":[{\"name\":\"a\"}]}", "1:22: missing field `status`"),
        (
            b"{\"tests\":[{\"name\":\"a\",\"status\":\"ok\"}]}",
            "1:35: unknown variant `ok`, expected one of `passed`, `flaky`, `failed`, `skipped`, `error`",
        ),
        (b"{\"tests\":[{\"suite\":\"s\",\"name\":\"\",\"status\":\"passed\"}]}", "tests[0]: a test needs a name of 1 to 4096 bytes"),
        (
            b"{\"tests\":[{\"name\":\"a\",\"status\":\"passed\",\"seconds\":-1}]}",
            "`tests[0].seconds` is `-1`, expected seconds, 0 or more",
        ),
        (
            b"{\"schema\":\"https://celestium.life/granary/results/v2\",\"tests\":[]}",
            "its schema is `https://celestium.life/granary/results/v2`, this version reads `https://celestium.life/granary/results/v1`",
        ),
        (b"{\"tests\":[],\"digest\":\"latest\"}", "`digest` is `latest`, expected a digest as in sha256:9f86…"),
        (
            b"{\"tests\":[],\"startedOn\":\"2026-11-21T12:00:00\"}",
            "`startedOn` is `2026-11-21T12:00:00`, expected a time as in 2026-11-21T12:00:00Z",
        ),
        (
            b"{\"tests\":[],\"startedOn\":\"2026-11-21T12:00:00Z\",\"finishedOn\":\"2026-11-21T11:00:00Z\"}",
            "`finishedOn` is `2026-11-21T11:00:00Z`, expected a time after `startedOn`",
        ),
        (b"<html/>", "1:1: `<html>` is not JUnit XML, expected `<testsuites>` or `<testsuite>`"),
        (b"<!-- nothing -->", "1:17: there is no element in it"),
        (b"<testsuite>\n<testcase name='a'/>", "2:21: it ends in the middle, it was cut short"),
        (b"<testsuite>\n<testcase name='a", "2:1: syntax error: attribute value not closed: `'` not found before end of input"),
        (b"<testsuite></testsuites>", "1:12: ill-formed document: expected `</testsuite>`, but `</testsuites>` was found"),
        (b"<testsuite/><testsuite/>", "1:13: a second outermost element"),
        (b"<testsuite/>x", "1:13: text outside of all elements"),
        (
            b"<testsuites>\n <testsuite name='s' tests='3'><testcase name='a'/><testcase name='b'/></testsuite></testsuites>",
            "2:2: suite `s` declares 3 tests and has 2, it was cut short",
        ),
        (b"<testsuite><testcase/></testsuite>", "1:12: a test needs a name of 1 to 4096 bytes"),
        (b"<testsuite><testcase name='a'><testcase name='b'/></testcase></testsuite>", "1:31: a `<testcase>` inside of a `<testcase>`"),
        (
            b"<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>\n<testsuite name='&b;'/>",
            "2:1: a document type declaration, which results have no use for, is refused",
        ),
        (b"<testsuite>&nbsp;</testsuite>", "1:12: unknown entity `&nbsp;`"),
        (deep.as_bytes(), "1:1537: elements are nested more than 128 deep"),
    ];
    for (bytes, expected) in table {
        assert_eq!(fault(bytes), expected, "{}", String::from_utf8_lossy(bytes));
    }
    let in_attribute = fault(b"<testsuite name='&b;'/>");
    assert!(in_attribute.starts_with("1:1: ") && in_attribute.contains("`b`"), "{in_attribute}");
    let long = format!("<testsuite><testcase name='{}'/></testsuite>", "x".repeat(MAX_NAME + 1));
    assert_eq!(fault(long.as_bytes()), "1:12: a test needs a name of 1 to 4096 bytes");
    let many = format!("<testsuite>{}</testsuite>", "<testcase name='a'/>".repeat(MAX_TESTS + 1));
    assert_eq!(fault(many.as_bytes()), "there are more than 200000 tests");
    // A format that was set is not guessed again.
    let forced = parse(b"{}", Some(Format::Junit), Path::new("r"));
    assert!(matches!(forced, Err(ReadError::Unusable { fault: Fault::Xml { .. }, .. })), "{forced:?}");
}

#[test]
fn a_report_cut_anywhere_is_refused() {
    for name in ["junit/pytest.xml", "junit/nextest.xml", "junit/node.xml", "json/results.json"] {
        let whole = data(name);
        let end = whole.trim_ascii_end().len();
        for cut in 0..end {
            assert!(parse(&whole[..cut], None, Path::new("r")).is_err(), "{name} is read when cut at {cut}");
        }
    }
}

#[test]
fn files_and_patterns_are_merged() {
    let place = tempfile::tempdir().unwrap();
    let base = place.path().join("[odd] name");
    std::fs::create_dir_all(base.join("reports/deep")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(base.join(name), text).unwrap();
    let suite = |name: &str, time: &str| {
        format!("<testsuite timestamp='{time}' time='1'><testcase name='{name}'/></testsuite>")
    };
    write("reports/a.xml", &suite("a", "2026-11-21T12:00:00Z"));
    write("reports/b.xml", &suite("b", "2026-11-21T11:00:00Z"));
    write("reports/deep/c.xml", &suite("c", "2026-11-21T12:30:00Z"));
    write(
        "reports/[x].json",
        &format!(r#"{{"digest":"{DIGEST}","tests":[{{"name":"x","status":"passed"}}]}}"#),
    );
    write("reports/empty.txt", "");
    let names = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let outcome = read(&patterns, &base, None, &|_, _| false)?;
        Ok::<_, ReadError>(outcome.tests.into_iter().map(|test| test.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(&["reports/*.xml"]).unwrap(), "a b");
    assert_eq!(names(&["reports/**/*.xml", "reports/a.xml"]).unwrap(), "a b c");
    assert_eq!(names(&["reports/[x].json"]).unwrap(), "x");
    let patterns = ["reports/**/*.xml", "reports/[[]x].json"].map(str::to_owned);
    let all = read(&patterns, &base, None, &|_, _| false).unwrap();
    assert_eq!((all.started, all.finished), (at("2026-11-21T11:00:00Z"), at("2026-11-21T12:30:01Z")));
    assert_eq!(all.named_digest, Some(DIGEST.parse().unwrap()));

    // One old file among new ones is enough, and what is in it does not matter.
    let empty = ["reports/a.xml", "reports/empty.txt"].map(str::to_owned);
    let old = |file: &Path, bytes: &[u8]| file.ends_with("empty.txt") && bytes.is_empty();
    let refused = read(&empty, &base, None, &old).unwrap_err();
    assert_eq!(refused.kind(), Kind::Tests);
    assert_eq!(
        refused.to_string().replace(&base.display().to_string(), "/T"),
        "/T/reports/empty.txt was not written by the tests of this pipeline, it is what the commit has"
    );

    let there = find(&["none.xml", "reports/a.*"].map(str::to_owned), &base).unwrap();
    assert_eq!(there, [base.join("reports/a.xml")].into());

    let table = [
        (vec!["none.xml"], "the tests left no results in none.xml", Kind::Tests),
        (vec!["reports/a.xml", "none/*.xml"], "the tests left no results in none/*.xml", Kind::Tests),
        (vec!["a***b"], "`a***b` is not a file pattern", Kind::Settings),
        (vec!["reports"], "/T/reports is not a regular file", Kind::BadInput),
        (vec!["/dev/zero"], "/dev/zero is not a regular file", Kind::BadInput),
        (vec!["reports/empty.txt"], "/T/reports/empty.txt cannot be used", Kind::BadInput),
    ];
    for (patterns, expected, kind) in table {
        let error = names(&patterns).unwrap_err();
        assert_eq!(error.to_string().replace(&base.display().to_string(), "/T"), expected);
        assert_eq!(error.kind(), kind, "{expected}");
    }

    let other = DIGEST.replace('9', "8");
    write("reports/other.json", &format!(r#"{{"image":"r/a@{other}","tests":[]}}"#));
    let error = names(&["reports/*.json"]).unwrap_err();
    let ReadError::Unusable { fault, .. } = error else { panic!("{error:?}") };
    assert_eq!(fault.to_string(), format!("it speaks of {other}, another file of the same run of {DIGEST}"));

    let large = std::fs::File::create(base.join("large.xml")).unwrap();
    large.set_len(MAX_BYTES + 1).unwrap();
    let error = names(&["large.xml"]).unwrap_err();
    assert!(matches!(error, ReadError::TooLarge { .. }), "{error:?}");
    assert!(error.to_string().ends_with("large.xml brings the results to more than 64 MiB"), "{error}");
}

#[test]
fn decisions() {
    type Row<'a> = (&'a [(&'a str, Status)], &'a [&'a str], Option<usize>, TestOutcome, &'a [&'a str]);
    let table: [Row<'_>; 18] = [
        (&[("a", Passed)], &[], None, TestOutcome::Passed, &[]),
        (&[("a", Passed), ("b", Skipped)], &[], None, TestOutcome::Passed, &[]),
        (&[("a", Passed), ("b", Failed)], &[], None, TestOutcome::Failed, &[]),
        (&[("a", Passed), ("b", Error)], &[], None, TestOutcome::Failed, &[]),
        (&[], &[], None, TestOutcome::Failed, &["no test ran: the results name none"]),
        (&[("a", Skipped)], &[], None, TestOutcome::Failed, &["no test ran: the only one was skipped"]),
        (
            &[("a", Passed), ("a", Failed)],
            &[],
            None,
            TestOutcome::Failed,
            &["test `a` is named more than once: it passed and it failed"],
        ),
        (&[("a", Passed), ("a", Passed)], &[], None, TestOutcome::Passed, &[]),
        (
            &[("a", Passed), ("b", Passed), ("b", Skipped)],
            &["b"],
            None,
            TestOutcome::Failed,
            &["test `b` was skipped, and `required_tests` asks for `b`"],
        ),
        (&[("a", Passed), ("b", Skipped)], &[], Some(1), TestOutcome::Passed, &[]),
        (
            &[("a", Passed), ("b", Skipped)],
            &[],
            Some(0),
            TestOutcome::Failed,
            &["1 test skipped, `max_skipped` allows 0"],
        ),
        (&[("smoke::a", Passed), ("x", Passed)], &["smoke::*"], None, TestOutcome::Passed, &[]),
        (
            &[("x", Passed)],
            &["smoke::*", "y"],
            None,
            TestOutcome::Failed,
            &[
                "no test matches `smoke::*`, which `required_tests` asks for",
                "no test matches `y`, which `required_tests` asks for",
            ],
        ),
        (
            &[("smoke::a", Passed), ("smoke::b", Skipped)],
            &["smoke::*"],
            None,
            TestOutcome::Failed,
            &["test `smoke::b` was skipped, and `required_tests` asks for `smoke::*`"],
        ),
        (&[("smoke::a", Failed)], &["smoke::*"], None, TestOutcome::Failed, &[]),
        // A name that looks like a pattern.
        (&[("sum[1]", Passed), ("sum1", Skipped)], &["sum[1]"], None, TestOutcome::Passed, &[]),
        (&[("a/b", Passed)], &["a*"], None, TestOutcome::Passed, &[]),
        (
            &[("A", Passed)],
            &["a"],
            None,
            TestOutcome::Failed,
            &["no test matches `a`, which `required_tests` asks for"],
        ),
    ];
    for (list, required, max_skipped, verdict, problems) in table {
        let required: Vec<String> = required.iter().map(|&text| text.to_owned()).collect();
        let decision = decide(&tests(list), &Rules::new(&required, max_skipped).unwrap());
        assert_eq!(
            (decision.result, decision.problems.as_slice()),
            (verdict, &problems.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()[..]),
            "{list:?}"
        );
    }
}

#[test]
fn a_decision_lists_each_name_once() {
    let list = [
        ("c", Passed),
        ("a", Passed),
        ("b", Skipped),
        ("a", Skipped),
        ("d", Error),
        ("d", Passed),
        ("c", Passed),
    ];
    let mut decision = decide(&tests(&list), &Rules::default());
    assert_eq!(
        (decision.passed, decision.skipped, decision.failed),
        (vec!["c".to_owned()], vec!["a".to_owned(), "b".to_owned()], vec!["d".to_owned()])
    );

    decision = decide(&tests(&[("a", Passed)]), &Rules::default());
    decision.object("the command ended with exit code 3, and its results name no failed test");
    assert_eq!((decision.result, decision.problems.len()), (TestOutcome::Failed, 1));
    let bad = Rules::new(&["x".repeat(2000)], None).unwrap_err();
    assert!(bad.to_string().ends_with("xx` is not a pattern of test names"), "{bad}");
}

#[test]
fn an_exit_code_is_one_test() {
    let (started, finished) = (at("2026-11-21T12:00:00Z").unwrap(), at("2026-11-21T12:00:02Z").unwrap());
    let good = Outcome::of_exit_code("command", 0, started, finished);
    assert_eq!(decide(&good, &Rules::default()).passed, ["command"]);
    assert_eq!((good.started, good.finished), (Some(started), Some(finished)));
    let bad = Outcome::of_exit_code("command", 3, started, finished);
    let expected = Test {
        name: "command".to_owned(),
        status: Failed,
        duration: Some(Duration::from_secs(2)),
        message: Some("exit code 3".to_owned()),
    };
    assert_eq!(bad.tests, [expected]);
}
