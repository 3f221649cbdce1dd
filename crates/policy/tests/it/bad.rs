//! What is refused, and with which words at which place.

use granary_policy::{MAX_BYTES, MAX_DEPTH, MAX_ERRORS, MAX_VALUES, Policy};

use crate::sample::{EXAMPLE, SMALL, errors, hold, read, stable};

#[test]
fn every_error_has_its_place_and_says_what_is_accepted() {
    hold("refused.txt", errors);
}

#[test]
fn texts_that_no_file_of_samples_can_hold() {
    let empty = "1:1: is empty; needed are `version: 1`, `zone` and `stages`";
    let yaml = "is not YAML that can be read:";
    for (text, expected) in [
        ("", empty.to_owned()),
        ("# nothing\n", empty.to_owned()),
        (
            "stages:\n\tstable: {}\n",
            format!(
                "2:2: {yaml} tabs disallowed within this context (block indentation); indent with spaces"
            ),
        ),
        (
            "version: 1\n\tzone: x\n",
            format!("1:10: {yaml} while scanning a plain scalar, found a tab; indent with spaces"),
        ),
        ("version: 1\nzone: UTC\u{0}\n", format!("2:10: {yaml} unexpected character: `\\u{{0}}'")),
        (
            "version: 1\nzone: UTC\nstages: {sta\u{1b}ble: 5}\n",
            format!("3:10: {yaml} unexpected character: `\\u{{1b}}'"),
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text:?}");
    }
    // A byte-order mark and the line ends of another system are no fault.
    assert!(read(&format!("\u{feff}{SMALL}")).is_ok());
    assert!(read(&SMALL.replace('\n', "\r\n")).is_ok());
}

#[test]
fn columns_count_characters() {
    let found =
        errors("version: 1\nzone: UTC\nstages: {a: {windows: [{name: \"übergröße 🎉\", effekt: deny}]}}\n");
    assert!(found[0].starts_with("3:24: ") && found[1].starts_with("3:46: "), "{found:?}");
}

#[test]
fn a_short_file_does_not_become_a_long_one() {
    let mut bomb = "version: 1\nzone: UTC\na: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in [('b', 'a'), ('c', 'b'), ('d', 'c'), ('e', 'd'), ('f', 'e'), ('g', 'f'), ('h', 'g')] {
        bomb.push_str(&format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"));
    }
    bomb.push_str("stages: *h\n");
    let found = errors(&bomb);
    assert!(found.iter().any(|line| line.starts_with("11:9: stages: is an alias")), "{found:#?}");
    assert!(found.iter().any(|line| line.starts_with("3:7: a: has an anchor")), "{found:#?}");
    assert!(found.len() <= MAX_ERRORS + 1);
}

#[test]
fn files_have_bounds() {
    let comments = format!("{SMALL}{}", "#".repeat(MAX_BYTES - SMALL.len()));
    assert!(read(&comments).is_ok());
    let large = "#".repeat(5 * 1024 * 1024);
    assert_eq!(errors(&large), ["1:1: has 5242880 bytes; at most 262144 are accepted"]);

    let deep = |depth: usize| format!("x: {}{}\n", "[".repeat(depth), "]".repeat(depth));
    assert!(errors(&deep(MAX_DEPTH - 1))[0].ends_with("is missing; needed is a mapping by name"));
    assert_eq!(
        errors(&deep(MAX_DEPTH)),
        [format!("1:19: x{}: lies deeper than 16 levels", "[0]".repeat(15))]
    );
    let blocks: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(errors(&blocks).len(), 1);
    assert_eq!(errors(&"[".repeat(100_000)).len(), 1);

    let many = format!("x: [{}]\n", "a,".repeat(MAX_VALUES + 1));
    assert!(errors(&many)[0].ends_with("has more than 20000 entries"), "{:?}", errors(&many));
    let keys: String = (0..1001).map(|number| format!("k{number}: x\n")).collect();
    assert_eq!(errors(&keys), ["1001:1: has more than 1000 entries"]);
    let windows = stable(&format!("windows:\n{}", "  - {effect: deny, days: [mon]}\n".repeat(51)));
    assert_eq!(errors(&windows), ["6:7: stages.stable.windows: has more than 50 entries"]);
    let stages: String = (0..31).map(|number| format!("  s{number}: {{}}\n")).collect();
    let stages = format!("version: 1\nzone: UTC\nstages:\n{stages}");
    assert_eq!(errors(&stages), ["4:3: stages: has more than 30 entries"]);
}

#[test]
fn the_list_of_errors_has_an_end() {
    let keys: String = (0..500).map(|number| format!("key{number}: x\n")).collect();
    let found = errors(&format!("{SMALL}{keys}"));
    assert_eq!(found.len(), MAX_ERRORS + 1);
    assert_eq!(found[MAX_ERRORS], "105:1: 400 more errors are not shown");
}

#[test]
fn what_may_be_a_secret_is_not_repeated() {
    for (from, to) in [
        ("key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJrw77MQ", "key: ssh-ed25519 c2VjcmV0LXNlY3JldA== "),
        ("-----BEGIN PUBLIC KEY-----", "-----BEGIN PRIVATE KEY----- c2VjcmV0"),
        ("key: policy/keys/staging.pub", "key: c2VjcmV0LXNlY3JldA=="),
        ("http://prometheus.monitoring", "http://ann:c2VjcmV0@prometheus.monitoring"),
        ("https://beta.example.com", "ftp://ann:c2VjcmV0@beta.example.com"),
    ] {
        let found = errors(&EXAMPLE.replacen(from, to, 1));
        assert_eq!(found.len(), 1, "{from}: {found:#?}");
        assert!(!found[0].contains("c2VjcmV0") && !found[0].contains("ogBtqGE8"), "{found:?}");
    }
}

#[test]
fn an_error_says_file_line_column_and_path() {
    let text = EXAMPLE.replace("days: [mon-thu]", "days: [mon-thursday]");
    let errors = Policy::parse(&text, "policy/promotion.yaml").expect_err("no such day");
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(
        lines.contains(
            &"policy/promotion.yaml:84:16: stages.stable.windows[0].days[0]: `mon-thursday` is not a weekday; \
              accepted are mon, tue, wed, thu, fri, sat, sun and ranges such as mon-fri"
                .to_owned()
        ),
        "{lines:#?}"
    );
}
