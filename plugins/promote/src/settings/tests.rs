use granary_plugin::settings::{Raw, SettingErrors, Table};
use granary_plugin::{COMMON, Env, Pem, REGISTRY};

use super::*;

const TABLE: Table = Table::new(&[&OWN, &REGISTRY, &COMMON]);
const NEEDED: [(&str, &str); 3] =
    [("registry", "registry.test"), ("repo", "acme/app"), ("trusted_keys", "tests.pub")];
const BY_HAND: [(&str, &str); 2] = [("candidate", "0.1.1-rc.5"), ("branches", "main")];

/// The context of a recorded pipeline.
fn recorded(event: &str) -> Ci {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/plugin/tests/data/woodpecker-env");
    let text = std::fs::read_to_string(format!("{folder}/{event}.plugin.env")).unwrap();
    let (ci, warnings) = Ci::read(&Env::from_pairs(text.lines().filter_map(|line| line.split_once('='))));
    assert_eq!(warnings, Vec::<String>::new());
    ci
}

fn with(ci: &Ci, pairs: &[(&str, &str)]) -> Result<Settings, SettingErrors> {
    let raw = Raw::from_pairs(&TABLE, pairs);
    let mut reader = Reader::new(&TABLE, &raw);
    let settings = resolve(&mut reader, ci);
    reader.finish(settings)
}

/// In a pipeline, beside what every run needs.
fn on(event: &str, pairs: &[(&str, &str)]) -> Result<Settings, SettingErrors> {
    with(&recorded(event), &[&NEEDED, pairs].concat())
}

fn errors<T: std::fmt::Debug>(result: Result<T, SettingErrors>) -> Vec<String> {
    result.unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_table_is_sound() {
    assert_eq!(TABLE.problems(), Vec::<String>::new());
}

#[test]
fn a_subject_is_a_commit_or_a_candidate() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    for (setting, value, subject) in [
        ("commit", "3F2A91C", Subject::Commit("3f2a91c".to_owned())),
        ("candidate", "0.1.1-rc.5", Subject::Candidate("0.1.1-rc.5".parse().unwrap())),
        ("candidate", &digest, Subject::Digest(digest.parse().unwrap())),
        ("candidate", "integration-3f2a91c", Subject::Tag("integration-3f2a91c".parse().unwrap())),
    ] {
        assert_eq!(on("push", &[(setting, value)]).unwrap().subject, subject, "{value}");
    }
    assert_eq!(on("push", &[]).unwrap().subject, Subject::Pipeline);
    let both = errors(on("push", &[("commit", "3f2a91c"), ("candidate", "0.1.1-rc.5")]));
    assert_eq!(both, ["candidate: `commit` is set as well; accepted: one of the two"]);
    let none = errors(with(&Ci::default(), &[&NEEDED[..], &BY_HAND[1..]].concat()));
    assert_eq!(
        none,
        ["commit: required, set PLUGIN_COMMIT or --commit; accepted: 7 to 40 hex digits, in quotes"]
    );
}

#[test]
fn versions_come_from_settings_tags_or_the_candidate() {
    let given = |text: &str| Ok(Wanted::Given(text.parse().unwrap()));
    let skipped = |tag: &str, form: &str| Err(format!("Git tag `{tag}` is not `{form}` (`tag_prefix`)"));
    type Row = (&'static str, &'static [(&'static str, &'static str)], Result<Wanted, String>);
    let table: [Row; 9] = [
        ("push", &[], Ok(Wanted::Derived(OnTaken::Next))),
        ("manual", &[("on_taken", "refuse")], Ok(Wanted::Derived(OnTaken::Refuse))),
        ("deployment", &[], Ok(Wanted::Derived(OnTaken::Next))),
        ("push", &[("as_version", "1.5.4")], given("1.5.4")),
        ("tag", &[], given("1.3.0")),
        ("release", &[], given("1.3.0")),
        ("tag", &[("as_version", "2.0.0")], given("2.0.0")),
        ("tag", &[("tag_prefix", "release-")], skipped("v1.3.0", "release-X.Y.Z")),
        ("tag-rc", &[], skipped("v1.3.0-rc.1", "vX.Y.Z")),
    ];
    for (event, pairs, wanted) in table {
        assert_eq!(on(event, pairs).unwrap().wanted, wanted, "{event} {pairs:?}");
    }
    let mangled = errors(on("push", &[("as_version", "1.1")]));
    assert!(mangled[0].contains("put the version in quotes"), "{mangled:?}");
    for wrong in ["v1.2.3", "1.2.3-rc.1", "latest"] {
        let refused = errors(on("push", &[("as_version", wrong)]));
        assert!(
            refused[0].starts_with("as_version: ") && refused[0].ends_with("accepted: X.Y.Z in quotes"),
            "{refused:?}"
        );
    }
}

#[test]
fn defaults_follow_the_event() {
    let half_an_hour = Duration::from_secs(1800);
    for (event, on_superseded, wait) in [
        ("push", OnSuperseded::Skip, Duration::ZERO),
        ("cron", OnSuperseded::Fail, Duration::ZERO),
        ("manual", OnSuperseded::Fail, Duration::ZERO),
        ("deployment", OnSuperseded::Fail, Duration::ZERO),
        ("tag", OnSuperseded::Fail, half_an_hour),
        ("release", OnSuperseded::Fail, half_an_hour),
    ] {
        let settings = on(event, &[]).unwrap();
        assert_eq!(
            (settings.admission.on_superseded, settings.wait_for_evidence),
            (on_superseded, wait),
            "{event}"
        );
        assert_eq!(settings.evidence.max_age, Duration::from_secs(7 * 86_400));
        assert!(
            settings.admission.branches[0].matches(Some("main"))
                && !settings.admission.branches[0].matches(Some("dev"))
        );
    }
    let set =
        on("tag", &[("on_superseded", "skip"), ("wait_for_evidence", "5m"), ("max_evidence_age", "36h")]);
    let set = set.unwrap();
    assert_eq!(
        (set.admission.on_superseded, set.wait_for_evidence),
        (OnSuperseded::Skip, Duration::from_secs(300))
    );
    assert_eq!(set.evidence.max_age, Duration::from_secs(36 * 3600));
    let bare = errors(on("push", &[("max_evidence_age", "7")]));
    assert!(bare[0].starts_with("max_evidence_age: a number without a unit"), "{bare:?}");
}

#[test]
fn branches_are_patterns_and_required_by_hand() {
    let settings = on("push", &[("branches", "main,release/*")]).unwrap();
    let matches = |branch| settings.admission.branches.iter().any(|pattern| pattern.matches(Some(branch)));
    assert!(matches("main") && matches("release/1.2") && !matches("feature"));
    let missing = errors(with(&Ci::default(), &[&NEEDED[..], &BY_HAND[..1]].concat()));
    assert!(missing[0].starts_with("branches: there is no CI_REPO_DEFAULT_BRANCH"), "{missing:?}");
    let broken = errors(on("push", &[("branches", &"x".repeat(2000))]));
    assert!(broken[0].starts_with("branches: the pattern has 2000 bytes"), "{broken:?}");
}

#[test]
fn keys_are_text_path_or_json() {
    let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    let two = format!("{pem}{pem}");
    let keys = |value: &str| with(&recorded("push"), &[&NEEDED[..2], &[("trusted_keys", value)]].concat());
    for text in [pem, &two, r#"[{"name":"ci","key":"x"}]"#] {
        assert_eq!(keys(text).unwrap().trusted_keys, TrustedKeys::Text(text.trim().to_owned()));
    }
    assert_eq!(
        keys("keys/tests.pub").unwrap().trusted_keys,
        TrustedKeys::File(Pem::from_value("keys/tests.pub"))
    );
    let missing = errors(with(&recorded("push"), &NEEDED[..2]));
    assert!(missing[0].starts_with("trusted_keys: required"), "{missing:?}");
}

#[test]
fn what_is_asked_of_evidence() {
    let asked = [
        ("required_tests", r#"["login", "orders::*"]"#),
        ("required_environments", "integration,staging"),
        ("allow_warned", "true"),
        ("max_evidence_age", "1d"),
    ];
    let rules = on("push", &asked).unwrap().evidence;
    assert_eq!(
        rules.required_tests.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["login", "orders::*"]
    );
    assert_eq!(rules.environments, ["integration", "staging"]);
    assert!(rules.allow_warned && rules.max_age == Duration::from_secs(86_400));
    let rules = on("push", &[]).unwrap().evidence;
    assert!(rules.required_tests.is_empty() && rules.environments.is_empty() && !rules.allow_warned);
    let long = errors(on("push", &[("required_tests", &"x".repeat(2000))]));
    assert!(long.len() == 1 && long[0].starts_with("required_tests: the pattern has 2000 bytes"), "{long:?}");
}

/// A restart's parameter must not let in what the YAML keeps out.
#[test]
fn what_weakens_a_check_says_so() {
    let loosening = TABLE.settings().filter(|setting| setting.loosens).map(|setting| setting.name);
    let own: Vec<_> = loosening.filter(|name| OWN.settings.iter().any(|own| own.name == *name)).collect();
    assert_eq!(own, ["allow_older", "branches", "trusted_keys", "promoter_keys", "allow_warned"]);
}

#[test]
fn the_operator_is_who_the_pipeline_says_or_by_hand_the_setting() {
    let verified = on("manual", &[]).unwrap().operator;
    assert!(matches!(verified, Operator::Verified(_)), "{verified:?}");
    let by_hand = |pairs: &[(&str, &str)]| {
        with(&Ci::default(), &[&NEEDED[..], &BY_HAND[..], pairs].concat()).unwrap().operator
    };
    assert_eq!(by_hand(&[("operator", "grace")]), Operator::Unverified(Some("grace".to_owned())));
    assert_eq!(by_hand(&[]), Operator::Unverified(None));
    let refused = errors(on("manual", &[("operator", "grace")]));
    assert_eq!(refused, ["operator: the pipeline says who started it; accepted: this setting by hand only"]);
}

/// A name of the contract that does nothing yet is refused; ignored, it would look like protection.
#[test]
fn what_is_not_built_is_refused_by_name() {
    let names = "stage policy policy_ref request_file on_denied max_wait break_glass \
                 break_glass_reason break_glass_reason_from break_glass_ticket break_glass_expires ci_url ci_token \
                 max_lag git_url git_branch git_username git_password ssh_key ssh_known_hosts forge_url \
                 forge_token";
    for name in names.split_whitespace() {
        let refused = errors(on("push", &[(name, "x")]));
        let reason = format!("{name}: PLUGIN_{} is not built yet", name.to_ascii_uppercase());
        assert!(refused.len() == 1 && refused[0].starts_with(&reason), "{refused:?}");
    }
    for action in ["status", "rollback", "audit-verify", "lint"] {
        let refused = errors(on("push", &[("action", action)]));
        assert_eq!(
            refused,
            ["action: only `promote` and `verify` are built yet; accepted: promote or verify"]
        );
    }
    assert!(on("push", &[("action", "promote")]).is_ok());
}

#[test]
fn all_bad_settings_are_reported_at_once() {
    let refused = errors(on("push", &[("as_version", "1.1"), ("on_superseded", "maybe"), ("branches", "[")]));
    let names: Vec<&str> = refused.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["as_version", "on_superseded", "branches"]);
}

fn target(pairs: &[(&str, &str)]) -> Result<Option<String>, Vec<String>> {
    match on("push", pairs) {
        Ok(settings) => Ok(settings.target.map(|target| format!("{}/{}", target.host, target.repo))),
        Err(errors) => Err(errors.0.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn a_target_is_another_place_than_the_candidates() {
    let place = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(target(&[]), Ok(None));
    assert_eq!(target(&[("target_registry", "registry.test")]), Ok(None));
    assert_eq!(target(&[("target_repo", "acme/app")]), Ok(None));
    assert_eq!(target(&[("target_repo", "registry.test/acme/app")]), Ok(None));
    assert_eq!(target(&[("target_repo", "prod/app")]), place("registry.test/prod/app"));
    assert_eq!(target(&[("target_registry", "prod.test")]), place("prod.test/acme/app"));
    let both = [("target_registry", "prod.test"), ("target_repo", "prod.test/live/{name}")];
    assert_eq!(target(&both), place("prod.test/live/{name}"));
}

#[test]
fn a_target_that_contradicts_itself() {
    const ACCEPTED: &str =
        "accepted: a repository below the registry such as `acme/app`, or `acme/{name}` in quotes";
    let refused = |pairs: &[(&str, &str)]| target(pairs).unwrap_err();
    assert_eq!(
        refused(&[("target_registry", "prod.test"), ("target_repo", "registry.test/acme/app")]),
        [format!(
            "target_repo: it names the registry `registry.test`, but `target_registry` is `prod.test`; {ACCEPTED}"
        )]
    );
    assert_eq!(
        refused(&[("target_registry", "prod.test"), ("target_username", "robot")]),
        [
            "target_password: `target_username` is set and this is not; accepted: both, or neither where an auth file has them"
        ]
    );
    assert_eq!(
        refused(&[("target_username", "robot"), ("target_password", "secret-of-prod")]),
        [
            "target_username: the target is where the candidates are; accepted: with `target_registry` or `target_repo`"
        ]
    );
    let both = refused(&[("target_registry", "https://prod.test"), ("target_repo", "Prod")]);
    assert_eq!(both.len(), 1, "{both:?}");
    assert!(both[0].starts_with("target_registry: "), "{both:?}");
}
