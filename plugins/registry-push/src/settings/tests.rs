//! From settings as YAML has them to what they mean, and everything that is refused on the way.

use granary_plugin::settings::{Raw, Table};
use granary_plugin::{Env, Plugin as _};

use super::*;
use crate::RegistryPush;

const TABLE: Table = Table::new(RegistryPush::GROUPS);
/// Settings by name.
type Pairs<'a> = &'a [(&'a str, &'a str)];

const SHA: &str = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";
const HOST: (&str, &str) = ("registry", "registry.test:5000");

/// A push to `main` of `Acme/App`, pipeline 11.
const PUSH: &[(&str, &str)] = &[
    ("CI", "woodpecker"),
    ("CI_PIPELINE_EVENT", "push"),
    ("CI_PIPELINE_NUMBER", "11"),
    ("CI_COMMIT_SHA", SHA),
    ("CI_COMMIT_REF", "refs/heads/main"),
    ("CI_COMMIT_BRANCH", "main"),
    ("CI_REPO", "Acme/App"),
];

/// What `resolve` makes of the settings under this environment; else every complaint.
fn under(environment: &[(&str, &str)], pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let raw = Raw::from_pairs(&TABLE, pairs);
    let mut reader = Reader::new(&TABLE, &raw);
    let (ci, _) = Ci::read(&Env::from_pairs(environment.iter().copied()));
    let settings = resolve(&mut reader, &ci);
    reader.finish(settings).map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

/// The same on a push, with `registry` set.
fn on_push(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    under(PUSH, &[&[HOST], pairs].concat())
}

fn refusals(pairs: &[(&str, &str)]) -> Vec<String> {
    on_push(pairs).expect_err("these settings are wrong")
}

fn names(settings: &Settings) -> Vec<&str> {
    settings.sources.iter().map(|source| source.name.as_str()).collect()
}

/// Names and sources as they are shown.
fn members(settings: &Settings) -> Vec<String> {
    let shown = |source: &NamedSource| match &source.place {
        Place::Local(local) => format!("{}={local}", source.name),
        Place::Image(image) => format!("{}=image:{image}", source.name),
    };
    settings.sources.iter().map(shown).collect()
}

#[test]
fn the_table_is_sound() {
    assert_eq!(TABLE.problems(), Vec::<String>::new());
}

#[test]
fn a_push_needs_registry_and_source_alone() {
    let settings = on_push(&[("source", "oci:build/app")]).unwrap();
    assert_eq!(settings.registry.repo.to_string(), "acme/app", "CI_REPO in lower case");
    assert_eq!(members(&settings), ["app=oci:build/app"]);
    assert_eq!(
        settings.numbering,
        Numbering {
            base_version: None,
            initial_version: Version::new(0, 1, 0),
            bump: Bump::Patch,
            rc_number: RcNumber::Given(11)
        }
    );
    assert_eq!((settings.task, settings.concurrency), (Task::Next, 16));
    assert_eq!((settings.commit, settings.branch, settings.stable_repo), (None, None, None));
}

#[test]
fn nothing_set_by_hand_names_all_that_is_missing() {
    assert_eq!(
        under(&[], &[]).unwrap_err(),
        [
            "registry: required, set PLUGIN_REGISTRY or --registry; accepted: a text",
            "repo: required, set PLUGIN_REPO or --repo; accepted: a text",
            "sources: required, set PLUGIN_SOURCES or --sources; accepted: a comma-separated or JSON list, or a map \
             (JSON or name=value)",
            "rc_number: required without a CI_PIPELINE_NUMBER, set PLUGIN_RC_NUMBER or --rc-number; accepted: a whole \
             number from 1 on, or `sequence`",
            "commit: required by hand, set PLUGIN_COMMIT or --commit; accepted: all 40 hex digits, in quotes",
        ]
    );
}

#[test]
fn sources_by_every_form_and_spelling() {
    let each = ("repo", "acme/{name}");
    let table: [(Pairs<'_>, &[&str]); 9] = [
        (&[("source", "oci:out/api")], &["api=oci:out/api"]),
        (&[("sources", "oci:out/api,oci:out/web")], &["api=oci:out/api", "web=oci:out/web"]),
        (&[("sources", r#"["oci:out/api", "dir:./deploy"]"#)], &["api=oci:out/api", "deploy=dir:./deploy"]),
        (&[("sources", r#"{"web":"oci:w","api":"oci:a"}"#)], &["web=oci:w", "api=oci:a"]),
        (&[("sources", "web=oci:w,api=oci:a")], &["web=oci:w", "api=oci:a"]),
        (&[("sources", "oci:w,oci:a"), ("names", "web,api")], &["web=oci:w", "api=oci:a"]),
        (
            &[("source", "image:h.test/ci/{name}:7"), ("names", "web,api")],
            &["web=image:h.test/ci/web:7", "api=image:h.test/ci/api:7"],
        ),
        (
            &[("source", "docker-archive:out/{name}.tar"), ("name", "web,api")],
            &["web=docker-archive:out/web.tar", "api=docker-archive:out/api.tar"],
        ),
        (&[("source", "oci-archive:out/App-2.tar.gz")], &["app-2=oci-archive:out/App-2.tar.gz"]),
    ];
    for (pairs, expected) in table {
        assert_eq!(members(&on_push(&[&[each], pairs].concat()).unwrap()), expected, "{pairs:?}");
    }
}

#[test]
fn one_image_without_a_usable_name_takes_that_of_its_repository() {
    let settings = on_push(&[("repo", "acme/my_app"), ("source", "oci-archive:app-1.0.tar")]).unwrap();
    assert_eq!(names(&settings), ["my-app"]);
}

#[test]
fn the_lead_comes_first() {
    let three = [("repo", "acme/{name}"), ("sources", "oci:api,oci:web,oci:worker")];
    assert_eq!(names(&on_push(&three).unwrap()), ["api", "web", "worker"]);
    let lead = |name| on_push(&[&three[..], &[("lead", name)]].concat());
    assert_eq!(names(&lead("worker").unwrap()), ["worker", "api", "web"]);
    assert_eq!(
        lead("db").unwrap_err(),
        ["lead: `db` is none of api, web, worker; accepted: the name of an image"]
    );
}

#[test]
fn names_that_cannot_be_used() {
    let each = ("repo", "acme/{name}");
    let table: [(Pairs<'_>, &str); 6] = [
        (&[("sources", "oci:a/app,oci:b/App")], "names: `app` is there twice; accepted: names that differ"),
        (
            &[("sources", "oci:a"), ("names", "App")],
            "names: `App` is not a name; accepted: names of `a-z`, `0-9` and `-`",
        ),
        (
            &[("sources", "oci:a,oci:b"), ("names", "a")],
            "names: 1 names for 2 sources; accepted: as many names as sources",
        ),
        (
            &[("sources", "a=oci:a"), ("names", "b")],
            "names: `sources` is a map and has names already; accepted: one of the two",
        ),
        (
            &[("source", "image:h.test/{name}:1")],
            "names: `image:h.test/{name}:1` has a {name} and there are no names for it; accepted: a list of names",
        ),
        (
            &[("sources", "oci:out/my_app")],
            "names: `oci:out/my_app` gives no name: `my_app` is not made of `a-z`, `0-9` and `-`; set `names`; accepted: \
             names of `a-z`, `0-9` and `-`",
        ),
    ];
    for (pairs, expected) in table {
        assert_eq!(refusals(&[&[each], pairs].concat()), [expected], "{pairs:?}");
    }
}

/// Two members never share a line of the env file: names that are accepted differ there too.
#[test]
fn accepted_names_never_collide_in_the_env_file() {
    let names = ["a-b", "ab", "a--b", "a", "b", "0-a", "0a"];
    let variables = granary_plugin::report::digest_variables(names).unwrap();
    assert_eq!(variables.len(), names.len());
    for colliding in ["a_b", "a.b", "A-B"] {
        let sources = format!("oci:x,oci:y,oci:{colliding}");
        let complaint = refusals(&[
            ("repo", "acme/{name}"),
            ("sources", &sources),
            ("names", &format!("a-b,c,{colliding}")),
        ]);
        assert_eq!(complaint.len(), 1, "{complaint:?}");
        assert!(complaint[0].starts_with(&format!("names: `{colliding}` is not a name")), "{complaint:?}");
    }
}

#[test]
fn repo_is_below_the_registry() {
    let source = ("source", "oci:app");
    let with_host = on_push(&[source, ("repo", "registry.test:5000/acme/app")]).unwrap();
    assert_eq!(with_host.registry.repo.to_string(), "acme/app");
    let table = [
        (
            "ghcr.test/acme/app",
            "repo: it names the registry `ghcr.test`, but `registry` is `registry.test:5000`; accepted: a repository below \
             the registry such as `acme/app`, or `acme/{name}` in quotes",
        ),
        (
            "acme/app:1.0",
            "repo: it ends in a tag or digest; the plugin chooses those; accepted: a repository below the registry such as \
             `acme/app`, or `acme/{name}` in quotes",
        ),
    ];
    for (repo, expected) in table {
        assert_eq!(refusals(&[source, ("repo", repo)]), [expected]);
    }
    assert_eq!(
        refusals(&[("sources", "oci:api,oci:web")]),
        [
            "repo: there are several images, and it has no `{name}` that would tell their repositories apart; accepted: a \
          repository such as `acme/{name}`, in quotes"
        ]
    );
    // What YAML makes of `repo: {name}` without quotes.
    assert_eq!(
        refusals(&[source, ("repo", r#"{"name":null}"#)]),
        [
            "repo: a YAML map arrived: a text that begins with { must be in quotes, as in \"{version}\"; accepted: a text"
        ]
    );
}

#[test]
fn stable_repo_is_here_or_elsewhere() {
    let source = ("source", "oci:app");
    let stable = |text| on_push(&[source, ("stable_repo", text)]);
    let place = |text| {
        let stable = stable(text).unwrap().stable_repo.unwrap();
        format!("{} {}", stable.host, stable.repo)
    };
    assert_eq!(place("prod/app"), "registry.test:5000 prod/app");
    assert_eq!(place("registry.test:5000/prod/{name}"), "registry.test:5000 prod/{name}");
    assert_eq!(place("prod.test/app"), "prod.test app");
    assert_eq!(place("registry.test/prod/app"), "registry.test prod/app");
    assert_eq!(place("localhost/app"), "localhost app");
    const ACCEPTED: &str =
        "accepted: a repository of `registry`, or `host/path` in another one, without credentials";
    for (text, reason) in [
        ("prod.test/app:1", "it ends in a tag or digest; the plugin chooses those"),
        ("ops:hunter2@prod.test/app", "it contains `@`"),
    ] {
        assert_eq!(stable(text).unwrap_err(), [format!("stable_repo: {reason}; {ACCEPTED}")]);
    }
    assert!(stable("prod.test:x/app").is_err());
}

#[test]
fn the_number_of_a_candidate() {
    let source = [HOST, ("source", "oci:app")];
    let without = |name: &str| -> Vec<(&str, &str)> {
        PUSH.iter().copied().filter(|(other, _)| *other != name).collect()
    };
    let zero = [without("CI_PIPELINE_NUMBER"), vec![("CI_PIPELINE_NUMBER", "0")]].concat();
    assert_eq!(
        under(&zero, &source).unwrap_err(),
        [
            "rc_number: CI_PIPELINE_NUMBER is 0, as `woodpecker-cli exec` sets it, and every run would publish the same \
          candidate: set PLUGIN_RC_NUMBER or --rc-number; accepted: a whole number from 1 on, or `sequence`"
        ]
    );
    assert_eq!(
        under(&without("CI_PIPELINE_NUMBER"), &source).unwrap_err(),
        [
            "rc_number: required without a CI_PIPELINE_NUMBER, set PLUGIN_RC_NUMBER or --rc-number; accepted: a whole number \
          from 1 on, or `sequence`"
        ]
    );
    let number = |text| under(&zero, &[&source[..], &[("rc_number", text)]].concat());
    assert_eq!(number("7").unwrap().numbering.rc_number, RcNumber::Given(7));
    assert_eq!(number("sequence").unwrap().numbering.rc_number, RcNumber::Sequence);
    for bad in ["0", "-1", "1.5", "seven", "18446744073709551616"] {
        assert_eq!(
            number(bad).unwrap_err(),
            ["rc_number: not a number from 1 on; accepted: a whole number from 1 on, or `sequence`"],
            "{bad}"
        );
    }
}

#[test]
fn a_git_tag_that_names_its_candidate_needs_no_number() {
    let environment = [
        ("CI", "woodpecker"),
        ("CI_PIPELINE_EVENT", "tag"),
        ("CI_COMMIT_REF", "refs/tags/v1.5.4-rc.2"),
        ("CI_COMMIT_SHA", SHA),
        ("CI_REPO", "acme/app"),
    ];
    let settings = under(&environment, &[HOST, ("source", "oci:app")]).unwrap();
    assert_eq!(settings.task, Task::Exactly("1.5.4-rc.2".parse().unwrap()));
    let prefixed = under(&environment, &[HOST, ("source", "oci:app"), ("tag_prefix", "app-v")]).unwrap();
    assert_eq!(
        prefixed.task,
        Task::Skip("Git tag `v1.5.4-rc.2` does not begin with `app-v` (`tag_prefix`)".to_owned())
    );
}

#[test]
fn versions() {
    let source = ("source", "oci:app");
    let given =
        on_push(&[source, ("base_version", "2.0.0"), ("initial_version", "1.0.0"), ("bump", "minor")])
            .unwrap();
    assert_eq!(
        given.numbering,
        Numbering {
            base_version: Some(Version::new(2, 0, 0)),
            initial_version: Version::new(1, 0, 0),
            bump: Bump::Minor,
            rc_number: RcNumber::Given(11)
        }
    );
    assert_eq!(
        refusals(&[source, ("base_version", "1.1")]),
        [
            "base_version: looks like a YAML number (1.10 arrives as 1.1): put the version in quotes and write all of it: \
          `1.1`; accepted: a version in quotes, such as \"1.2.3\""
        ]
    );
    for bad in ["v1.2.3", "1.2.3-rc.1", "1.2", "01.2.3", "latest"] {
        let complaints = refusals(&[source, ("base_version", bad)]);
        assert!(
            complaints.len() == 1 && complaints[0].starts_with("base_version: "),
            "{bad}: {complaints:?}"
        );
    }
}

#[test]
fn a_candidate_moves_nothing_but_itself() {
    let source = ("source", "oci:app");
    let tags = |text| on_push(&[source, ("tags", text)]);
    let accepted: Vec<String> = tags("edge,main").unwrap().tags.iter().map(ToString::to_string).collect();
    assert_eq!(accepted, ["edge", "main"]);
    assert_eq!(on_push(&[source, ("tag", "edge")]).unwrap().tags.len(), 1, "the singular means the same");
    for reserved in
        ["latest", "1", "1.2", "1.2.3", "v1.2.3", "1.2.3-rc.1", "set-x", "sha-abc", "validated-x", "a b"]
    {
        let complaints = tags(reserved).unwrap_err();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with("tags: "), "{complaints:?}");
    }
    assert_eq!(
        tags("latest,edge,1.2").unwrap_err(),
        [
            "tags: tag `latest`: `latest` follows stable versions only; accepted: tags that are neither versions nor names \
             of the suite, such as `edge`",
            "tags: tag `1.2`: a candidate moves no stable or floating version; accepted: tags that are neither versions nor \
             names of the suite, such as `edge`",
        ]
    );
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let pairs = [
        ("repo", "acme/{name}"),
        ("sources", "oci:,image:x"),
        ("bump", "huge"),
        ("concurrency", "0"),
        ("username", "ci"),
    ];
    let complaints = refusals(&pairs);
    let of: Vec<&str> = complaints.iter().filter_map(|complaint| complaint.split(':').next()).collect();
    assert_eq!(of, ["password", "sources", "sources", "bump", "concurrency"], "{complaints:?}");
}

#[test]
fn concurrency_has_bounds() {
    let of = |text| on_push(&[("source", "oci:app"), ("concurrency", text)]);
    assert_eq!(of("64").unwrap().concurrency, 64);
    assert_eq!(of("65").unwrap_err(), ["concurrency: out of range: `65`; accepted: 1 to 64"]);
    assert_eq!(
        of("many").unwrap_err(),
        ["concurrency: not a whole number: `many`; accepted: a whole number"]
    );
}

#[test]
fn commit_and_branch_are_for_runs_by_hand() {
    let source = ("source", "oci:app");
    assert_eq!(
        refusals(&[source, ("commit", SHA), ("branch", "main")]),
        [
            "commit: a pipeline publishes its own commit; accepted: nothing; this setting is for runs by hand",
            "branch: a pipeline publishes its own commit; accepted: nothing; this setting is for runs by hand",
        ]
    );
    let by_hand = [HOST, source, ("repo", "acme/app"), ("rc_number", "7")];
    let commit = |text| under(&[], &[&by_hand[..], &[("commit", text), ("branch", "main")]].concat());
    let upper_case = SHA.to_uppercase();
    let settings = commit(&upper_case).unwrap();
    assert_eq!(settings.commit.unwrap().as_str(), SHA);
    assert_eq!(settings.branch.as_deref(), Some("main"));
    for abbreviated in ["7a77c59", "1.234e+59", "main"] {
        let complaints = commit(abbreviated).unwrap_err();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].starts_with("commit: "), "{complaints:?}");
        assert!(complaints[0].ends_with("; accepted: all 40 hex digits, in quotes"), "{complaints:?}");
    }
}
