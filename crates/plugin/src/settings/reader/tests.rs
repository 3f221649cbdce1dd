//! Values by type, and what the errors show.

use super::super::{COMMON, Form, Group, REGISTRY};
use super::*;

const OWN: Group = Group {
    title: "Own",
    settings: &[
        Setting::new("tags", Form::List, "x"),
        Setting::new("bump", Form::Choice(&["patch", "minor"]), "x").default("patch"),
        Setting::new("base_version", Form::Version, "x"),
        Setting::new("commit", Form::Commit, "x"),
        Setting::new("command", Form::Command, "x"),
        Setting::new("env", Form::Map, "x"),
        Setting::new("updates", Form::Json, "x"),
        Setting::new("port", Form::Text, "x"),
        Setting::new("signing_key", Form::Pem, "x").secret(),
    ],
};
const TABLE: Table = Table::new(&[&COMMON, &REGISTRY, &OWN]);

/// Reads with `read` and gives the errors too.
fn reading<T>(pairs: &[(&str, &str)], read: impl Fn(&mut Reader<'_>) -> T) -> (T, Vec<String>) {
    let raw = Raw::from_pairs(&TABLE, pairs);
    let mut reader = Reader::new(&TABLE, &raw);
    let value = read(&mut reader);
    let errors = reader.finish(Some(())).err().map_or_else(Vec::new, |errors| errors.0);
    (value, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn documented_defaults_are_the_ones_used() {
    let (values, errors) = reading(&[], |reader| {
        (reader.duration("timeout"), reader.flag("dry_run"), reader.choice("bump"), reader.text("repo"))
    });
    assert_eq!(values, (Some(Duration::from_secs(3600)), false, Some("patch"), None));
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn all_errors_come_at_once_with_the_accepted_form() {
    let pairs = [
        ("timeout", "30"),
        ("dry_run", "perhaps"),
        ("bump", "huge"),
        ("base_version", "1.1"),
        ("commit", "1.234e+59"),
        ("command", "pytest,-k,a"),
    ];
    let (_, errors) = reading(&pairs, |reader| {
        reader.duration("timeout");
        reader.flag("dry_run");
        reader.choice("bump");
        reader.version_like("base_version");
        reader.commit_like("commit");
        reader.command("command");
        let registry = reader.text("registry");
        reader.require("registry", registry);
        reader.reject("repo", "two of them", "one");
    });
    assert_eq!(
        errors,
        [
            "timeout: a number without a unit: `30`; accepted: a duration such as 90s, 30m, 1h30m or 7d",
            "dry_run: not a yes or no: `perhaps`; accepted: true or false (also yes/no, 1/0)",
            "bump: not one of them: `huge`; accepted: one of patch, minor",
            "base_version: looks like a YAML number (1.10 arrives as 1.1): put the version in quotes and write \
             all of it: `1.1`; accepted: a version in quotes, such as \"1.2.3\"",
            "commit: looks like a YAML number (an unquoted SHA can arrive as 1.2e+59): put it in quotes: \
             `1.234e+59`; accepted: 7 to 40 hex digits, in quotes",
            "command: the first word contains a comma, so this was a YAML list: write one string, or JSON as \
             text; accepted: one string, or a JSON list of words as text",
            "registry: required, set PLUGIN_REGISTRY or --registry; accepted: a text",
            "repo: two of them; accepted: one",
        ]
    );
}

#[test]
fn a_word_that_is_nearly_one_of_them_is_told_so() {
    for (word, expected) in [
        ("pach", "bump: not one of them (did you mean `patch`?): `pach`; accepted: one of patch, minor"),
        ("MINOR", "bump: not one of them: `MINOR`; accepted: one of patch, minor"),
    ] {
        assert_eq!(
            reading(&[("bump", word)], |reader| reader.choice("bump")),
            (None, vec![expected.to_owned()])
        );
    }
}

#[test]
fn settings_without_effect_are_refused_where_somebody_set_them() {
    let (_, errors) = reading(&[("port", "80"), ("bump", "minor")], |reader| {
        reader.refuse(&["port", "command", "bump"], "nothing listens", "nothing");
    });
    let refused = |name| format!("{name}: nothing listens; accepted: nothing");
    assert_eq!(errors, [refused("port"), refused("bump")]);
}

#[test]
fn values_that_may_hold_secrets_are_never_shown() {
    #[derive(Debug, serde::Deserialize)]
    struct Update {
        #[expect(dead_code, reason = "only its kind matters here")]
        file: u64,
    }
    let pairs = [
        ("env", r#"{"TOKEN":["hunter2"]}"#),
        ("updates", r#"[{"file":"hunter2"}]"#),
        ("command", "run 'hunter2"),
        ("password", r#"{"hunter2":null}"#),
        ("retries", "hunter2-hunter2-hunter2-hunter2-hunter2-hunter2"),
    ];
    let (_, errors) = reading(&pairs, |reader| {
        reader.map("env");
        reader.json::<Vec<Update>>("updates");
        reader.command("command");
        reader.text("password");
        reader.integer("retries");
    });
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    assert!(errors[1].starts_with("updates: JSON of the wrong shape (line 1, column 18)"), "{}", errors[1]);
}

#[test]
fn a_wrong_value_is_not_also_reported_as_missing() {
    let (_, errors) = reading(&[("port", "x")], |reader| {
        let port = reader.parse::<u16>("port");
        reader.require("port", port)
    });
    assert_eq!(errors, ["port: invalid digit found in string; accepted: a text"]);
}

#[test]
fn repeated_flags_add_up() {
    let flags = vec![super::super::Flag {
        setting: "tag".to_owned(),
        shown: "--tag".to_owned(),
        values: vec!["a,b".to_owned(), r#"["c,d"]"#.to_owned()],
    }];
    let raw = Raw::read(&TABLE, &crate::Env::default(), flags);
    let mut reader = Reader::new(&TABLE, &raw);
    assert_eq!(reader.list("tags"), ["a", "b", "c,d"]);
    assert!(reader.is_set("tags"));
}

#[test]
fn only_what_the_environment_loosens_is_in_doubt() {
    let env = crate::Env::from_pairs([("PLUGIN_SKIP_VERIFY", "true"), ("PLUGIN_REPO", "a/b")]);
    let by_hand = super::super::Flag {
        setting: "plain-http".to_owned(),
        shown: "--plain-http".to_owned(),
        values: vec!["true".to_owned()],
    };
    let raw = Raw::read(&TABLE, &env, vec![by_hand]);
    assert_eq!(Reader::new(&TABLE, &raw).loosened(), ["skip_verify"]);
}

#[test]
fn keys_are_text_or_a_path() {
    let (key, _) = reading(&[("signing_key", "/run/key.pem")], |reader| reader.pem("signing_key"));
    assert_eq!(key, Some(Pem::Path("/run/key.pem".into())));
}

#[test]
fn the_line_end_of_a_stored_secret_is_no_part_of_it() {
    let (secret, _) = reading(&[("password", " hunter2 \r\n")], |reader| reader.secret("password"));
    assert_eq!(secret, Some(Secret::new(" hunter2 ")));
    let (repo, _) = reading(&[("repo", "a/b\n")], |reader| reader.text("repo"));
    assert_eq!(repo.as_deref(), Some("a/b"));
}
