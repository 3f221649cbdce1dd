//! Who may set what.

use super::super::{COMMON, Group, REGISTRY};
use super::*;

const OWN: Group = Group {
    title: "Own",
    settings: &[
        Setting::new("tags", Form::List, "x"),
        Setting::new("env", Form::Map, "x").secret(),
        Setting::not_yet("floating", "set the tags with another step"),
    ],
};
const TABLE: Table = Table::new(&[&COMMON, &REGISTRY, &OWN]);

fn errors(raw: &Raw) -> Vec<String> {
    raw.errors.iter().map(ToString::to_string).collect()
}

fn flag(setting: &str, values: &[&str]) -> Flag {
    let values = values.iter().map(|&value| value.to_owned()).collect();
    Flag { setting: setting.to_owned(), shown: format!("--{setting}"), values }
}

#[test]
fn flags_win_and_empty_is_unset() {
    let env = Env::from_pairs([("PLUGIN_REPO", "a/env"), ("PLUGIN_TAGS", ""), ("PLUGIN_LEAD", "web")]);
    let raw = Raw::read(&TABLE, &env, vec![flag("repo", &["a/flag"]), flag("lead", &[""])]);
    assert_eq!(errors(&raw), Vec::<String>::new());
    assert_eq!(raw.given["repo"].values, ["a/flag"]);
    assert_eq!(raw.given["repo"].origin, Origin::Flag("--repo".to_owned()));
    assert_eq!(raw.given["lead"].values, ["web"], "an empty flag is unset too");
    assert!(!raw.given.contains_key("tags"));
}

#[test]
fn one_setting_under_two_names_is_refused() {
    let env = Env::from_pairs([("PLUGIN_TAG", "x"), ("PLUGIN_TAGS", "y")]);
    let raw = Raw::read(&TABLE, &env, Vec::new());
    assert_eq!(errors(&raw), ["tags: set twice, as PLUGIN_TAG and PLUGIN_TAGS; accepted: one of the two"]);
    let raw = Raw::read(&TABLE, &Env::default(), vec![flag("tag", &["x"]), flag("tags", &["y"])]);
    assert_eq!(errors(&raw), ["tags: set twice, as --tag and --tags; accepted: one of the two"]);
    let raw = Raw::read(&TABLE, &env, vec![flag("tag", &["x"])]);
    assert_eq!(errors(&raw).len(), 1, "a flag does not hide that the environment contradicts itself");
}

#[test]
fn unknown_names_are_warned_about() {
    let raw = Raw::from_pairs(&TABLE, &[("pasword", "x"), ("camelname", "cn"), ("dry-run", "1")]);
    assert_eq!(
        raw.warnings(),
        [
            "PLUGIN_CAMELNAME is ignored: there is no such setting",
            "PLUGIN_PASWORD is ignored: there is no such setting (did you mean `password`?)"
        ]
    );
    assert!(raw.given.contains_key("dry_run"), "PLUGIN_DRY-RUN is the same name");
}

#[test]
fn names_that_mislead_or_do_nothing_are_refused() {
    let raw = Raw::from_pairs(&TABLE, &[("insecure", "true"), ("floating", "latest")]);
    assert_eq!(
        errors(&raw),
        [
            "insecure: could mean either of two things; accepted: skip_verify (TLS without checking \
             certificates) or plain_http (no TLS)",
            "floating: PLUGIN_FLOATING is not built yet and would have no effect; accepted: not set (set the \
             tags with another step)"
        ]
    );
}

#[test]
fn only_refuses_every_other_spelling_of_everything_else() {
    let pairs = [
        ("only", "repo, tag, HTTPS_PROXY"),
        ("repo", "a/b"),
        ("tags", "x"),
        ("skip-verify", "true"),
        ("evil", "1"),
        ("empty", ""),
    ];
    let raw = Raw::from_pairs(&TABLE, &pairs);
    let refused = |name: &str, variable: &str| {
        format!(
            "{name}: {variable} is in the environment, but `only` does not name it; accepted: in `only` where \
             the step uses it, else not set"
        )
    };
    assert_eq!(errors(&raw), [refused("evil", "PLUGIN_EVIL"), refused("skip_verify", "PLUGIN_SKIP-VERIFY")]);
    assert_eq!(raw.only().unwrap(), ["repo", "tags", "https_proxy"]);
    assert_eq!(raw.warnings(), Vec::<String>::new());
}

#[test]
fn only_leaves_flags_alone_and_must_name_what_exists() {
    let env =
        Env::from_pairs([("PLUGIN_ONLY", r#"["repo","PLUGIN_LEAD","rebo"]"#), ("PLUGIN_PASSWORD", "x")]);
    let raw = Raw::read(&TABLE, &env, vec![flag("dry-run", &["true"]), flag("password", &["y"])]);
    assert_eq!(
        errors(&raw),
        [
            "only: there is no setting rebo (did you mean `repo`?); accepted: names of settings, or of \
             HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR",
            "password: PLUGIN_PASSWORD is in the environment, but `only` does not name it; accepted: in `only` \
             where the step uses it, else not set"
        ],
        "a flag exempts itself, not the variable it hides"
    );
}

#[test]
fn secrets_are_known_whole_and_in_parts() {
    let pairs =
        [("username", "ci"), ("password", "hunter2"), ("env", r#"{"TOKEN":"sesame","PORT":5432,"ON":true}"#)];
    let raw = Raw::from_pairs(&TABLE, &pairs);
    let secrets: Vec<String> = raw.secrets(&TABLE).iter().map(|secret| secret.expose().to_owned()).collect();
    assert_eq!(secrets, ["hunter2", r#"{"TOKEN":"sesame","PORT":5432,"ON":true}"#, "sesame"]);
    assert_eq!(raw.credentials(&TABLE), [("ci".to_owned(), Secret::new("hunter2"))]);
}

/// A path that cannot be read has to be printed; whatever may be a key must not be.
#[test]
fn the_path_of_a_key_is_no_secret() {
    const KEYS: Table = Table::new(&[&Group {
        title: "keys",
        settings: &[Setting::new("signing_key", Form::Pem, "x").secret()],
    }]);
    let masked = |value: &str| !Raw::from_pairs(&KEYS, &[("signing_key", value)]).secrets(&KEYS).is_empty();
    for path in ["/run/secrets/key", "keys/promoter.key", "./promoter", "tests.pem"] {
        assert!(!masked(path), "{path}");
    }
    let base64 = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
    for key in [
        base64,
        "hunter2",
        "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
        "/\n-----BEGIN X.key",
    ] {
        assert!(masked(key), "{key}");
    }
}
