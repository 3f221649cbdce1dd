//! What Woodpecker really sends, and what people really write.

use super::*;

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

fn pairs(items: &[(&str, &str)]) -> Vec<(String, String)> {
    items.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn yes_and_no() {
    for (text, flag) in
        [("true", true), ("YES", true), ("1", true), ("False", false), ("no", false), (" 0 ", false)]
    {
        assert_eq!(boolean(text), Ok(flag), "{text}");
    }
    assert_eq!(boolean("on"), Err(ValueError::Bool));
}

#[test]
fn durations_have_units() {
    for (text, seconds) in [
        ("90s", 90),
        ("30m", 1_800),
        ("1h30m", 5_400),
        ("7d", 604_800),
        ("1d2h3m4s", 93_784),
        ("0s", 0),
        ("90m", 5_400),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for (text, error) in [
        ("30", ValueError::DurationWithoutUnit),
        ("1m1h", ValueError::Duration),
        ("1.5h", ValueError::Duration),
        ("-1s", ValueError::Duration),
        ("+1s", ValueError::Duration),
        ("1h30", ValueError::Duration),
        ("h", ValueError::Duration),
        ("", ValueError::Duration),
        ("10s10s", ValueError::Duration),
        ("4000d", ValueError::DurationTooLong),
        ("99999999999999999h", ValueError::DurationTooLong),
    ] {
        assert_eq!(duration(text), Err(error), "{text}");
    }
}

#[test]
fn lists_come_as_csv_or_json() {
    for (text, items) in [
        ("x,y", &["x", "y"] as &[&str]),
        (" a , ,b,", &["a", "b"]),
        (r#"["a,b", 7, 1.5, true, null]"#, &["a,b", "7", "1.5", "true"]),
        ("[]", &[]),
    ] {
        assert_eq!(list(text), Ok(texts(items)), "{text}");
    }
    assert_eq!(list("[a, b]"), Err(ValueError::Json { line: 1, column: 2 }));
    assert_eq!(list(r#"["a", {"b": 1}]"#), Err(ValueError::Nested(2)));
    assert_eq!(list(r#"{"version":null}"#), Err(ValueError::Braces));
}

#[test]
fn maps_keep_their_order() {
    for (text, entries) in [
        (r#"{"web":"oci:b","api":"oci:a"}"#, &[("web", "oci:b"), ("api", "oci:a")] as &[_]),
        (r#"{"k":"v","n":1,"b":true,"x":null}"#, &[("k", "v"), ("n", "1"), ("b", "true")]),
        ("b=2, a=1=1", &[("b", "2"), ("a", "1=1")]),
        ("A=1,2\nB=3", &[("A", "1,2"), ("B", "3")]),
    ] {
        assert_eq!(map(text), Ok(pairs(entries)), "{text}");
    }
    for (text, error) in [
        ("a=1,b", ValueError::MapEntry(2)),
        ("=1", ValueError::MapEntry(1)),
        ("a=1,a=2", ValueError::MapTwice(2)),
        (r#"{"a":1,"a":2}"#, ValueError::MapTwice(2)),
        (r#"{"a":[1]}"#, ValueError::Nested(1)),
        (r#"{"a":1} x"#, ValueError::Json { line: 1, column: 9 }),
    ] {
        assert_eq!(map(text), Err(error), "{text}");
    }
}

#[test]
fn items_may_have_names() {
    let named = |entries: &[(&str, &str)]| -> Vec<(Option<String>, String)> {
        pairs(entries).into_iter().map(|(name, item)| (Some(name), item)).collect()
    };
    assert_eq!(
        list_or_map(r#"{"web":"oci:w","api":"oci:a"}"#),
        Ok(named(&[("web", "oci:w"), ("api", "oci:a")]))
    );
    assert_eq!(list_or_map("web=oci:w,api=oci:a"), Ok(named(&[("web", "oci:w"), ("api", "oci:a")])));
    let bare = Ok(vec![(None, "oci:a=b".to_owned()), (None, "oci:c".to_owned())]);
    assert_eq!(list_or_map("oci:a=b,oci:c"), bare);
}

#[test]
fn what_yaml_mangles_is_refused() {
    assert_eq!(text(r#"{"version":null}"#), Err(ValueError::Braces));
    assert_eq!(text(r#"{"a":"b"}"#), Err(ValueError::UnexpectedMap));
    assert_eq!(text(r#""2024-01-01T00:00:00Z""#), Err(ValueError::QuotedDate));
    assert_eq!(text("x/{name}"), Ok("x/{name}".to_owned()));
    assert_eq!(text("\"quoted words\""), Ok("\"quoted words\"".to_owned()));
    for number in ["1.1", "2", "1.234e+59", "1e-05", "+Inf"] {
        assert_eq!(version_like(number), Err(ValueError::VersionIsNumber), "{number}");
    }
    for version in ["1.2.3", "v1", "1.2.3-rc.4", "sha256:0123", "latest"] {
        assert_eq!(version_like(version), Ok(version.to_owned()));
    }
}

#[test]
fn commits_are_hex() {
    for (given, commit) in [("7A77c59", "7a77c59"), ("1234567", "1234567"), ("12345e10", "12345e10")] {
        assert_eq!(commit_like(given), Ok(commit.to_owned()));
    }
    assert_eq!(commit_like("1.234e+59"), Err(ValueError::CommitIsNumber));
    assert_eq!(commit_like("42798"), Err(ValueError::CommitIsNumber));
    assert_eq!(commit_like("7a77c5"), Err(ValueError::Commit));
    assert_eq!(commit_like("refs/heads/main"), Err(ValueError::Commit));
    assert_eq!(commit_like(&"a".repeat(41)), Err(ValueError::Commit));
}

#[test]
fn commands_are_split_but_no_shell_runs_them() {
    for (given, words) in [
        ("bash run.sh --tag {tag}", &["bash", "run.sh", "--tag", "{tag}"] as &[&str]),
        ("sh -c 'a && b, c'", &["sh", "-c", "a && b, c"]),
        (r#"["pytest", "-k", "a,b", ""]"#, &["pytest", "-k", "a,b", ""]),
        ("echo $HOME `id`", &["echo", "$HOME", "`id`"]),
    ] {
        assert_eq!(command(given), Ok(texts(words)), "{given}");
    }
    for (given, error) in [
        ("pytest,-k,a,b", ValueError::CommandIsList),
        ("sh -c 'x", ValueError::CommandQuotes),
        ("  ", ValueError::CommandEmpty),
        ("[]", ValueError::CommandEmpty),
        (r#"{"run":null}"#, ValueError::Braces),
        ("[pytest]", ValueError::Json { line: 1, column: 2 }),
    ] {
        assert_eq!(command(given), Err(error), "{given}");
    }
}
