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
    let table: [(&str, &[&str]); 8] = [
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
        ("<testsuite name='s' failures='many'><testcase name='a'/></testsuite>", &[]),
    ];
    for (xml, problems) in table {
        let outcome = parsed(xml.as_bytes());
        assert_eq!(outcome.problems, problems, "{xml}");
        let decision = decide(&outcome, &Rules::default());
        assert!(problems.is_empty() || decision.result == Verdict::Failed, "{xml}");
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

#[test]
fn of_a_name_that_is_there_twice_the_worst_counts() {
    let decided = |list: &[(&str, Status)]| {
        let decision = decide(&tests(list), &Rules::default());
        (decision.result, decision.passed.len(), decision.warned.len(), decision.failed.len())
    };
    assert_eq!(decided(&[("a", Passed), ("a", Passed)]), (Verdict::Passed, 1, 0, 0));
    assert_eq!(decided(&[("a", Passed), ("a", Failed)]), (Verdict::Failed, 0, 0, 1));
    assert_eq!(decided(&[("a", Error), ("a", Flaky)]), (Verdict::Failed, 0, 0, 1));
    assert_eq!(decided(&[("a", Flaky), ("a", Passed)]), (Verdict::Warned, 0, 1, 0));
    assert_eq!(decided(&[("a", Flaky), ("b", Passed)]), (Verdict::Warned, 1, 1, 0));
    assert_eq!(decided(&[("a", Flaky), ("a", Skipped)]), (Verdict::Failed, 0, 0, 0));
}
