//! Files that are broken, hostile or both.

use super::*;

#[test]
fn no_name_and_no_message_steers_a_terminal() {
    let evil = "a\u{1b}[2J\rPASSED\n\u{202e}b\u{7}";
    let json = serde_json::json!({"tests": [
        {"suite": evil, "name": evil, "status": "failed", "message": format!("{evil}\nsecond")}
    ]});
    let xml = "<testsuite name='a&#27;[2J&#13;PASSED&#10;&#x202e;b&#7;'><testcase name='a&#27;[2J&#13;PASSED&#10;&#x202e;b&#7;'>\
               <failure message='a&#27;[2J&#13;PASSED&#10;&#x202e;b&#7;'/></testcase></testsuite>";
    let tap = "1..1\nnot ok 1 - a\u{1b}[2J\rPASSED\u{202e}b\u{7}\n  ---\n  message: a\u{1b}[2J\rPASSED\u{202e}b\u{7}\n  ...\n";
    for text in [json.to_string().as_str(), xml, tap] {
        let outcome = parsed(text.as_bytes());
        let test = &outcome.tests[0];
        let message = test.message.as_deref().unwrap();
        for shown in [test.name.as_str(), &message.replace('\n', "")] {
            let harmless = |letter: char| !letter.is_control() && letter != '\u{202e}';
            assert!(shown.chars().all(harmless), "{shown:?} of {text}");
            assert!(shown.starts_with('a') && !shown.contains("[2J"), "{shown:?}");
        }
    }
    // Errors repeat what stands in a file: in bounds, and as harmless.
    let schema = serde_json::json!({"schema": format!("{evil}{}", "x".repeat(100_000)), "tests": []});
    let error = fault(schema.to_string().as_bytes());
    assert!(error.len() < 400 && !error.contains(['\u{1b}', '\n', '\u{202e}']), "{error:?}");
    let status =
        serde_json::json!({"tests": [{"name": "a", "status": format!("{evil}{}", "x".repeat(100_000))}]});
    let error = fault(status.to_string().as_bytes());
    assert!(error.len() < 400 && !error.contains(['\u{1b}', '\n', '\u{202e}']), "{error:?}");
}

#[test]
fn other_encodings_are_refused_by_name() {
    let table: [(&[u8], &str); 8] = [
        (
            b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><testsuite name='\xe9'/>",
            "its encoding is ISO-8859-1, only UTF-8 is read",
        ),
        // Its bytes happen to be UTF-8, and mean something else.
        (
            "<?xml version='1.0' encoding='windows-1252'?><testsuite name='é'/>".as_bytes(),
            "its encoding is windows-1252, only UTF-8 is read",
        ),
        (b"\xff\xfe<\0t\0", "its encoding is UTF-16, only UTF-8 is read"),
        (b"\xfe\xff\0<\0t", "its encoding is UTF-16, only UTF-8 is read"),
        (b"<\0?\0x\0", "its encoding is UTF-16, only UTF-8 is read"),
        (b"{\0\"\0", "its encoding is UTF-16, only UTF-8 is read"),
        (b"1..1\nok 1 \xff\n", "byte 10: it is not UTF-8"),
        (b"\xef\xbb\xbf{\"tests\":[\xff]}", "byte 10: it is not UTF-8"),
    ];
    for (bytes, expected) in table {
        assert_eq!(fault(bytes), expected, "{}", String::from_utf8_lossy(bytes));
    }
    for encoding in ["UTF-8", "utf-8", "US-ASCII"] {
        let text =
            format!("<?xml version='1.0' encoding='{encoding}'?><testsuite><testcase name='a'/></testsuite>");
        assert_eq!(parsed(text.as_bytes()).tests.len(), 1);
    }
}

#[test]
fn nothing_expands_and_nothing_nests_without_end() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;'>]><testsuite name='&lol2;'/>";
    assert!(fault(bomb.as_bytes()).contains("a document type declaration"));
    let external = "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><testsuite/>";
    assert!(fault(external.as_bytes()).contains("a document type declaration"));
    let later = "<testsuite><!DOCTYPE x></testsuite>";
    assert!(fault(later.as_bytes()).contains("a document type declaration"));
    // What is ignored may be as deep as it likes: it is not kept.
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let ignored = format!("{{\"extra\":{nested},\"tests\":[]}}");
    assert_eq!(parsed(ignored.as_bytes()), Outcome::default());
    let error = fault(format!("{{\"tests\":{nested}}}").as_bytes());
    assert!(error.starts_with("1:11: invalid type: sequence"), "{error}");
    let deep = format!("<testsuite><testcase name='a'>{}</testcase></testsuite>", "<a>".repeat(100_000));
    assert!(fault(deep.as_bytes()).ends_with("elements are nested more than 128 deep"));
    let attributes: String = (0..500_000).map(|number| format!(" a{number}=''")).collect();
    let wide = format!("<testsuite{attributes}/>");
    assert_eq!(fault(wide.as_bytes()), "1:1: an element has more than 128 attributes");
    // A long name around many tests is more than the file has.
    let (suite, cases) = ("x".repeat(4000), "<testcase name='a'/>".repeat(20_000));
    let large = format!("<testsuite name='{suite}'>{cases}</testsuite>");
    assert_eq!(fault(large.as_bytes()), "the names of all tests together have more than 64 MiB");
}

/// The bound is on all files of a run, and a file beyond it is not read into memory.
#[test]
fn all_files_of_a_run_share_one_bound() {
    let place = tempfile::tempdir().unwrap();
    let suite = format!(
        "<testsuite name='{}'>{}</testsuite>",
        "x".repeat(4000),
        "<testcase name='a'/>".repeat(9_000)
    );
    for name in ["a.xml", "b.xml"] {
        std::fs::write(place.path().join(name), &suite).unwrap();
    }
    let read = |pattern: &str| super::super::read(&[pattern.to_owned()], place.path(), None, &|_, _| false);
    assert_eq!(read("a.xml").unwrap().tests.len(), 9_000);
    let error = read("*.xml").unwrap_err();
    assert!(matches!(error, ReadError::Unusable { fault: Fault::TooManyNames, .. }), "{error:?}");
    let sparse = std::fs::File::create(place.path().join("c.xml")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(matches!(read("c.xml").unwrap_err(), ReadError::TooLarge { .. }));
}

#[test]
fn counters_are_believed_where_they_say_something_worse() {
    let table: [(&str, &[&str]); 13] = [
        ("<testsuite name='s' failures='1'><testcase name='a'><failure/></testcase></testsuite>", &[]),
        ("<testsuite name='s' failures='1'><testcase name='a'><error/></testcase></testsuite>", &[]),
        (
            "<testsuite name='s' failures='0' errors='0'><testcase name='a'><failure/></testcase></testsuite>",
            &[],
        ),
        (
            "<testsuite name='s' failures='1'><testcase name='a'><skipped type='todo'/><failure/></testcase></testsuite>",
            &[],
        ),
        ("<testsuite name='s' failures='1'><testcase name='a'><flakyFailure/></testcase></testsuite>", &[]),
        (
            "<testsuite name='s' failures='1' errors='1'><testcase name='a'/></testsuite>",
            &["results: suite `s` counts 2 failures and errors, its tests name 0"],
        ),
        (
            "<testsuites name='all' errors='1'><testsuite name='s'><testcase name='a'/></testsuite></testsuites>",
            &["results: suite `all` counts 1 failures and errors, its tests name 0"],
        ),
        (
            "<testsuite name='s' failures='1.0'><testcase name='a'/></testsuite>",
            &["results: suite `s` has failures `1.0`, which is no number of tests"],
        ),
        ("<testsuite name='s' failures='' skipped=' 0 '><testcase name='a'/></testsuite>", &[]),
        (
            "<testsuite name='s' skipped='3'><testcase name='a'/><testcase name='b'><skipped/></testcase></testsuite>",
            &["results: suite `s` counts 3 skipped and disabled tests, its tests name 1"],
        ),
        (
            "<testsuites name='all' disabled='1'><testsuite><testcase name='a'/></testsuite></testsuites>",
            &["results: suite `all` counts 1 skipped and disabled tests, its tests name 0"],
        ),
        (
            "<testsuite skipped='1' disabled='1'><testcase name='a'/><testcase name='b' status='notrun'/>\
             <testcase name='c' result='SKIPPED'/></testsuite>",
            &[],
        ),
        // Marked twice, for two reasons, and failed: counted as each.
        (
            "<testsuite name='s' failures='1' skipped='1'><testcase name='a' status='fail'><skipped/></testcase></testsuite>",
            &[],
        ),
    ];
    for (xml, problems) in table {
        let outcome = parsed(xml.as_bytes());
        assert_eq!(outcome.problems, problems, "{xml}");
        let decision = decide(&outcome, &Rules::default());
        assert!(problems.is_empty() || decision.result == TestOutcome::Failed, "{xml}");
    }
    // Whole suites may be missing, too.
    let cut = "<testsuites name='all' tests='3'><testsuite name='s' tests='2'><testcase name='a'/><testcase name='b'/></testsuite></testsuites>";
    assert_eq!(fault(cut.as_bytes()), "1:1: suite `all` declares 3 tests and has 2, it was cut short");
    // A suite that could not be loaded has no case that says so.
    let unloaded = "<testsuites><testsuite name='a'><testsuite name='b'><error>no module\nx</error></testsuite></testsuite>\
                    <testsuite><failure message='m'>text</failure><testcase name='c'/></testsuite></testsuites>";
    let outcome = parsed(unloaded.as_bytes());
    let messages: Vec<_> = outcome.tests.iter().map(|test| test.message.as_deref()).collect();
    assert_eq!(statuses(&outcome), [("a::b", Error), ("suite", Failed), ("c", Passed)]);
    assert_eq!(messages, [Some("no module\nx"), Some("m"), None]);
}

/// Nothing that did not run, or failed, reads as passed; of two words the worse one wins.
#[test]
fn a_case_ends_as_its_attributes_say() {
    let table = [
        ("status='run'", Passed),
        ("status='run' result='completed'", Passed),
        ("result='Passed'", Passed),
        ("status='SUCCESS'", Passed),
        ("status=''", Passed),
        ("status='notrun' result='suppressed'", Skipped),
        ("status='run' result='skipped'", Skipped),
        ("status='disabled'", Skipped),
        ("status=' NotRun '", Skipped),
        ("result='skip'", Skipped),
        ("result='xfail'", Skipped),
        ("status='fail'", Failed),
        ("status='failed' result='completed'", Failed),
        ("status='completed' result='failure'", Failed),
        ("status='incomplete'", Failed),
        ("status='skipped' result='fail'", Failed),
        ("status='error'", Error),
        ("status='failed' result='Timeout'", Error),
    ];
    for (attributes, status) in table {
        let outcome = parsed(format!("<testsuite><testcase name='t' {attributes}/></testsuite>").as_bytes());
        assert_eq!((statuses(&outcome), outcome.problems.len()), (vec![("t", status)], 0), "{attributes}");
    }
    let failing = "<testsuite><testcase name='t' status='passed'><failure/></testcase></testsuite>";
    assert_eq!(statuses(&parsed(failing.as_bytes())), [("t", Failed)]);
    let unknown = "<testsuite><testcase name='t' status='run' result='perhaps'/></testsuite>";
    let outcome = parsed(unknown.as_bytes());
    assert_eq!(outcome.problems, ["results: test `t` has result `perhaps`, which may mean anything"]);
    assert_eq!(decide(&outcome, &Rules::default()).result, TestOutcome::Failed);
}

/// Seconds of work for a small file keep a run from ending when it is told to.
#[test]
fn comments_behind_a_failure_are_kept_up_to_a_bound() {
    let tap = format!("1..1\nnot ok 1 - a\n{}", "# 0123456789\u{1b}\n".repeat(400_000));
    let outcome = parsed(tap.as_bytes());
    let message = outcome.tests[0].message.as_deref().unwrap();
    assert!(message.starts_with("0123456789\\u{1b}\n0123456789") && message.ends_with(" […]"), "{message}");
    assert!(message.len() < 3 * MAX_MESSAGE);
    let one = parsed(format!("1..1\nnot ok 1 - a\n# {}\n", "ü".repeat(1_000_000)).as_bytes());
    let length = one.tests[0].message.as_deref().map(str::len);
    assert_eq!(length, Some(MAX_MESSAGE + " […]".len()));
}

/// What is beyond the bound is not kept, and is still read to its end.
#[test]
fn no_more_tests_are_kept_than_may_be() {
    let list = |count: usize, end: &str| {
        let cases = vec![r#"{"name":"a","status":"passed"}"#; count].join(",");
        format!("{{\"tests\":[{cases}]{end}")
    };
    assert_eq!(parsed(list(MAX_TESTS, "}").as_bytes()).tests.len(), MAX_TESTS);
    assert_eq!(fault(list(MAX_TESTS + 5, "}").as_bytes()), "there are more than 200000 tests");
    assert!(fault(list(MAX_TESTS + 5, "").as_bytes()).ends_with("EOF while parsing an object"));
}

#[test]
fn of_a_name_that_is_there_twice_the_worst_counts() {
    let decided = |list: &[(&str, Status)]| {
        let decision = decide(&tests(list), &Rules::default());
        (decision.result, decision.passed.len(), decision.warned.len(), decision.failed.len())
    };
    assert_eq!(decided(&[("a", Passed), ("a", Passed)]), (TestOutcome::Passed, 1, 0, 0));
    assert_eq!(decided(&[("a", Passed), ("a", Failed)]), (TestOutcome::Failed, 0, 0, 1));
    assert_eq!(decided(&[("a", Error), ("a", Flaky)]), (TestOutcome::Failed, 0, 0, 1));
    assert_eq!(decided(&[("a", Flaky), ("a", Passed)]), (TestOutcome::Warned, 0, 1, 0));
    assert_eq!(decided(&[("a", Flaky), ("b", Passed)]), (TestOutcome::Warned, 1, 1, 0));
    assert_eq!(decided(&[("a", Flaky), ("a", Skipped)]), (TestOutcome::Failed, 0, 0, 0));
}
