//! Production that is elsewhere: another repository of the registry, or another registry.

use granary_release::claim::ClaimKind;
use granary_testkit::image::{Image, ImageBuilder};
use granary_testkit::process::Run;
use granary_testkit::registry::{Action, Auth, Fault, Options, Registry, Request};
use insta::assert_snapshot;
use serde_json::json;

use crate::world::{
    Evidence, Release, nothing_written, promote, refusal, tested, tested_on, told, told_of_two,
};

fn pair() -> Release {
    Release { repositories: vec!["acme/app", "acme/web"], ..Release::new("0.1.1-rc.11") }
}

/// Promotes a pair into `prod/{name}` of another registry.
fn into(candidates: &Registry, target: &Registry) -> Run {
    promote("push", candidates)
        .plugin("repo", "acme/{name}")
        .plugin("lead", "app")
        .plugin("target_registry", &target.host())
        .plugin("target_repo", "prod/{name}")
}

/// Manifest writes in order of arrival, without content that goes by digest.
fn tagged(registry: &Registry) -> Vec<String> {
    let puts =
        registry.requests().into_iter().filter(|put| put.method == "PUT" && put.path.contains("/manifests/"));
    let tags = puts.map(|put| put.path.trim_start_matches("/v2/").replace("/manifests/", ":"));
    tags.filter(|tag| !tag.contains(":sha256:")).collect()
}

#[test]
fn another_registry() {
    let release = pair();
    let candidates = tested(&release);
    // On the lead itself, as `attach` puts it: it has to come along.
    let evidence = attach_to_member(&candidates, &release);
    let target = Registry::start(Options::default());
    let done = into(&candidates, &target).plugin("env_file", "release.env").output();
    let mut lines: Vec<String> = told_of_two(&done, &target).lines().map(str::to_owned).collect();
    // Sent at once: which is through first is chance.
    let sent = |line: &String, next: &String| line.contains("blobs sent") && next.contains("blobs sent");
    lines.chunk_by_mut(sent).for_each(<[String]>::sort);
    assert_snapshot!(lines.join("\n"), @r"
    exit code 0
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    [TARGET]/prod/app@[DIGEST]: 3 blobs sent (362 B) ([TIME])
    [TARGET]/prod/web@[DIGEST]: 2 blobs sent (360 B) ([TIME])
    acme/app:claim-0.1.1-877ad4d55a76 → [DIGEST] ([TIME])
    acme/app:set-0.1.1 → [DIGEST] ([TIME])
    [TARGET]/prod/web:0.1.1 → [DIGEST] ([TIME])
    acme/web:0.1.1 → [DIGEST] ([TIME])
    [TARGET]/prod/app:0.1.1 → [DIGEST] ([TIME])
    acme/app:0.1.1 → [DIGEST] ([TIME])
    [TARGET]/prod/web:validated-7a77c59 → [DIGEST] ([TIME])
    acme/web:validated-7a77c59 → [DIGEST] ([TIME])
    [TARGET]/prod/app:validated-7a77c59 → [DIGEST] ([TIME])
    acme/app:validated-7a77c59 → [DIGEST] ([TIME])
    IMAGE                     VERSION  DIGEST
    [TARGET]/prod/app  0.1.1    [DIGEST]
    [TARGET]/prod/web  0.1.1    [DIGEST]
    unprotected: no policy is configured
    unsigned: no `signing_key`, so no summary says who let this in, and why
    promote: done in [TIME]
    --- stderr
    ");
    for name in ["app", "web"] {
        let digest = release.digest(&format!("acme/{name}"));
        for (registry, place) in [(&target, format!("prod/{name}")), (&candidates, format!("acme/{name}"))] {
            let tags = registry.tags(&place);
            assert_eq!((&tags["0.1.1"], &tags["validated-7a77c59"]), (&digest, &digest), "{place}");
        }
        let only_versions = target.tags(&format!("prod/{name}"));
        assert_eq!(only_versions.len(), 2, "candidates and records stay where they are: {only_versions:?}");
        for blob in release.image(&format!("acme/{name}")).blobs() {
            assert!(target.blob(&format!("prod/{name}"), &blob.digest).is_some());
        }
    }
    assert_eq!(target.referrers("prod/app", &release.digest("acme/app")), [evidence]);
    assert_eq!(
        tagged(&target),
        ["prod/web:0.1.1", "prod/app:0.1.1", "prod/web:validated-7a77c59", "prod/app:validated-7a77c59"]
    );

    // What is deployed is what the target has.
    let result = done.json(".granary/promote.json");
    let repository = |name: &str| format!("{}/prod/{name}", target.host());
    let artifacts: Vec<_> =
        result["artifacts"].as_array().unwrap().iter().map(|one| one["repository"].clone()).collect();
    assert_eq!(artifacts, [json!(repository("app")), json!(repository("web"))]);
    let env_file = std::fs::read_to_string(done.workspace.join("release.env")).unwrap();
    let image = format!("\nIMAGE={}@{}\n", repository("app"), release.digest("acme/app"));
    assert!(env_file.contains(&image), "{env_file}");

    let before = (candidates.snapshot(), target.snapshot());
    candidates.clear_log();
    target.clear_log();
    let again = into(&candidates, &target).output();
    assert_eq!(again.json(".granary/promote.json")["outcome"], "unchanged", "{again}");
    assert_eq!((candidates.snapshot(), target.snapshot()), before);
    // Of each of the two images its version on both sides, both lists, the two sets.
    assert_eq!(candidates.requests().len() + target.requests().len(), 8);
}

/// Attaches something to the lead's image, and returns its digest.
fn attach_to_member(registry: &Registry, release: &Release) -> String {
    let member = release.set().members[0].clone();
    let carrier = granary_oci::ArtifactManifest::new("application/vnd.acme.sbom")
        .with_subject(&member.descriptor())
        .build();
    registry.put_manifest("acme/app", &[], carrier.media_type(), carrier.bytes().to_vec());
    carrier.digest().to_string()
}

/// One client for both: nothing is sent that the registry has already, and one token is enough for each
/// repository.
#[test]
fn another_repository_of_the_registry() {
    let release = Release::new("0.1.1-rc.11");
    let registry = tested_on(Options::with_token("ci", "hunter2-long"), &release);
    let run = |registry: &Registry| {
        promote("push", registry)
            .plugin("username", "ci")
            .plugin("password", "hunter2-long")
            .plugin("target_repo", "prod/app")
    };
    let done = run(&registry).output();
    assert_eq!(done.code, Some(0), "{done}");
    let digest = release.digest("acme/app");
    assert_eq!(
        (&registry.tags("prod/app")["0.1.1"], &registry.tags("acme/app")["0.1.1"]),
        (&digest, &digest)
    );
    let blobs = release.image("acme/app").blobs().len();
    let mounts = registry.count(|request| request.method == "POST" && request.query.contains("mount="));
    let sent = registry.count(|request| request.method == "PUT" && request.path.contains("/blobs/"));
    let read = registry.count(|request| request.method == "GET" && request.path.contains("/prod/app/blobs/"));
    assert_eq!((mounts, sent, read), (blobs, 0, 0), "{:#?}", registry.requests());
    let tokens = registry.count(|request| request.path == "/token");
    assert_eq!(tokens, 2, "{:#?}", registry.requests());
    assert!(registry.requests().len() <= 34, "{} {:#?}", registry.requests().len(), registry.requests());
    assert_eq!(run(&registry).output().json(".granary/promote.json")["outcome"], "unchanged");
}

/// Nothing but the host tells the two sides apart.
#[test]
fn another_registry_with_the_same_repository() {
    let release = Release::new("0.1.1-rc.11");
    let candidates = tested(&release);
    let target = Registry::start(Options::docker_registry_2_8());
    let evidence = attach_to_member(&candidates, &release);
    let run = || promote("push", &candidates).plugin("target_registry", &target.host());
    let done = run().output();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(tagged(&target).len(), 3, "{:?}", tagged(&target));
    let tags = target.tags("acme/app");
    // Without referrers API they are found from a tag.
    let fallback = release.digest("acme/app").replace(':', "-");
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["0.1.1", &fallback, "validated-7a77c59"]);
    let index = String::from_utf8(target.manifest("acme/app", &fallback).unwrap().1.to_vec()).unwrap();
    assert!(index.contains(&evidence) && index.contains("application/vnd.acme.sbom"), "{index}");
    assert_eq!(run().output().json(".granary/promote.json")["outcome"], "unchanged");

    // A version that is only in one of them is finished in the other.
    let target = Registry::start(Options::default());
    let run = promote("push", &candidates).plugin("target_registry", &target.host());
    let done = run.output();
    assert_eq!(done.json(".granary/promote.json")["outcome"], "done", "{done}");
    assert!(done.stdout.contains("bringing it to where it is missing, without judging again"), "{done}");
    assert_eq!(target.tags("acme/app")["0.1.1"], release.digest("acme/app"));
}

#[test]
fn a_dry_run_prints_what_would_be_copied_claimed_and_tagged() {
    let release = pair();
    let candidates = tested(&release);
    attach_to_member(&candidates, &release);
    let target = Registry::start(Options::default());
    let planned = into(&candidates, &target).plugin("dry_run", "true").output();
    assert_snapshot!(told_of_two(&planned, &target), @r"
    exit code 0
    --- stdout
    evidence accepted: 2 passed in `integration`, signed by `zpfsINQ2YaGbIVyy43ammNC0qiqltMeFTpFr0FCC/O4=`, finished [TIME]
    plan: 0.1.1-rc.11 (commit 7a77c5932e35c13bf0bf61a33f757b21d41692b5, set [DIGEST]) becomes 0.1.1
      1. copy [TARGET]/prod/app@[DIGEST]: 2 manifests to put, 3 blobs to send (362 B)
           send blob [DIGEST] 207 B
           send blob [DIGEST] 153 B
           send blob [DIGEST] 2 B
           1. put manifest [DIGEST]
           2. put [DIGEST], application/vnd.acme.sbom that refers to [DIGEST]
      1. copy [TARGET]/prod/web@[DIGEST]: 1 manifest to put, 2 blobs to send (360 B)
           send blob [DIGEST] 207 B
           send blob [DIGEST] 153 B
           1. put manifest [DIGEST]
      2. claim acme/app:claim-0.1.1-877ad4d55a76
      3. write acme/app:set-0.1.1 → [DIGEST]
      4. write [TARGET]/prod/web:0.1.1 → [DIGEST]
      5. write acme/web:0.1.1 → [DIGEST]
      6. write [TARGET]/prod/app:0.1.1 → [DIGEST]
      7. write acme/app:0.1.1 → [DIGEST]
      8. write [TARGET]/prod/web:validated-7a77c59 → [DIGEST]
      9. write acme/web:validated-7a77c59 → [DIGEST]
      10. write [TARGET]/prod/app:validated-7a77c59 → [DIGEST]
      11. write acme/app:validated-7a77c59 → [DIGEST]
    promote: planned in [TIME]
    --- stderr
    ");
    nothing_written(&candidates, &planned, 0);
    nothing_written(&target, &planned, 0);
}

/// Content comes first: where it cannot be had in the target nothing is claimed, and no tag tells of it.
#[test]
fn a_target_that_cannot_be_written() {
    let release = pair();
    let digests = |registry: &Registry| {
        ["acme/app", "acme/web", "prod/app", "prod/web"].map(|place| registry.tags(place))
    };
    let read_only =
        Options { read_only: vec!["prod/web".to_owned()], ..Options::with_basic("robot", "secret-of-prod") };
    let login = |run: Run| run.plugin("target_username", "robot").plugin("target_password", "secret-of-prod");
    let broken =
        |part: &'static str, code: u16| Fault::on("PUT", part, Action::status(code)).times(usize::MAX);
    let table = [
        (read_only, None, 18),
        (Options::with_basic("robot", "secret-of-prod"), Some(broken("/prod/web/manifests/", 503)), 12),
        (Options::with_basic("robot", "secret-of-prod"), Some(broken("/prod/app/blobs/", 507)), 19),
    ];
    for (options, fault, code) in table {
        let candidates = tested(&release);
        let before = digests(&candidates);
        let target = Registry::start(options);
        fault.into_iter().for_each(|fault| target.fault(fault));
        let run = || login(into(&candidates, &target)).plugin("retries", "1");
        let failed = run().output();
        assert_eq!(failed.code, Some(code), "{failed}");
        assert_eq!(candidates.count(Request::is_write), 0, "{failed}");
        assert_eq!((digests(&candidates), tagged(&target)), (before, Vec::new()), "{failed}");
        assert!(failed.stderr.contains("hint: nothing was claimed or tagged"), "{failed}");
        assert_eq!(failed.stderr.contains("`target_username` and `target_password`"), code == 18, "{failed}");
        target.clear_faults();
        if code != 18 {
            assert_eq!(run().output().code, Some(0), "the rerun finishes it");
        }
    }
    let candidates = tested(&release);
    let target = Registry::start(Options::default());
    let run = into(&candidates, &target).plugin("retries", "0");
    drop(target);
    nothing_written(&candidates, &run.output(), 12);
}

#[test]
fn a_version_in_the_target_with_other_bytes() {
    let release = pair();
    let foreign = ImageBuilder::new("linux/amd64").file("foreign", b"bytes").build();
    // In another member; in the lead, where nobody of ours put it.
    for (place, settings, code) in [
        ("prod/web", "", 11),
        ("prod/app", "as_version", 11),
        ("prod/web", "as_version", 11),
        ("prod/app", "", 15),
    ] {
        let candidates = tested(&release);
        let target = Registry::start(Options::default());
        target.put_image(place, &["0.1.1"], &foreign);
        let run = into(&candidates, &target);
        let run = if settings.is_empty() { run } else { run.plugin(settings, "0.1.1") };
        let refused = run.output();
        nothing_written(&candidates, &refused, code);
        nothing_written(&target, &refused, code);
        assert!(refused.stderr.contains("0.1.1"), "{refused}");
    }
}

/// Production has versions that nobody published from here: numbers go on above them, once somebody has said
/// that their order does not matter.
#[test]
fn versions_that_only_the_target_has() {
    let release = Release::new("0.1.1-rc.11");
    let candidates = tested(&release);
    let target = Registry::start(Options::default());
    let old = ImageBuilder::new("linux/amd64").file("old", b"bytes").build();
    target.put_image("acme/app", &["0.4.0"], &old);
    let run = || promote("push", &candidates).plugin("target_registry", &target.host());
    let refused = run().output();
    nothing_written(&candidates, &refused, 15);
    assert_eq!(
        refusal(&refused)["found"],
        "0.4.0 has no release set `set-0.4.0` that would say what it was made from"
    );
    let done = run().plugin("allow_older", "true").output();
    assert_eq!(done.json(".granary/promote.json")["version"], "0.4.1", "{done}");
    assert_eq!(target.tags("acme/app")["0.4.1"], release.digest("acme/app"));

    // Claims lie beside the candidates, whatever is promoted to.
    let claims = candidates.tags("acme/app").into_keys().filter(|tag| tag.starts_with("claim-0.4.1-"));
    assert_eq!(claims.count(), 1);
    let newer = Release::of('b', "0.1.1-rc.12", 12);
    newer.publish(&candidates);
    Evidence::default().attach(&candidates, &newer);
    newer.claims(&candidates, "0.5.0", ClaimKind::Derived, 1);
    let rerun = run().output();
    assert_eq!(rerun.json(".granary/promote.json")["outcome"], "unchanged", "{rerun}");
}

/// Gitea takes no index inside an index, and says so only when everything below it is there.
#[test]
fn an_index_in_an_index_and_a_target_that_takes_none() {
    let platform = |name: &str| ImageBuilder::new(name).file("run", name.as_bytes()).build();
    let inner = Image::index(&[platform("linux/amd64"), platform("linux/arm64")]);
    let nested = Image::index(&[inner, platform("linux/riscv64")]);
    let release = pair();
    let candidates = Registry::start(Options::default());
    let mut set = release.set();
    set.members[1].digest = nested.digest().parse().unwrap();
    set.members[1].media_type = nested.media_type().to_owned();
    set.members[1].size = nested.bytes().len() as u64;
    candidates.put_image("acme/app", &["0.1.1-rc.11"], &release.image("acme/app"));
    candidates.put_image("acme/web", &["0.1.1-rc.11"], &nested);
    let raw = set.to_manifest();
    candidates.put_blob("acme/app", granary_oci::EMPTY_JSON);
    let tags = [format!("set-{}", release.commit), "set-0.1.1-rc.11".to_owned()];
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    candidates.put_manifest("acme/app", &tags, raw.media_type(), raw.bytes().to_vec());
    Evidence::default().attach_to(&candidates, &set, &set);

    let Options { auth, .. } = Options::with_token("robot", "secret-of-prod");
    let gitea = Registry::start(Options { auth: auth.clone(), ..Options::gitea() });
    let login = |run: Run| run.plugin("target_username", "robot").plugin("target_password", "secret-of-prod");
    let refused = login(into(&candidates, &gitea)).output();
    nothing_written(&candidates, &refused, 20);
    nothing_written(&gitea, &refused, 20);
    assert!(refused.stderr.contains("refuses an index inside an index"), "{refused}");
    assert!(refused.stderr.contains("nothing was written"), "{refused}");

    let other = Registry::start(Options { auth, ..Options::default() });
    let done = login(into(&candidates, &other)).output();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(other.tags("prod/web")["0.1.1"], nested.digest());
}

/// Who we are at one registry is no business of the other.
#[test]
fn each_registry_gets_its_own_credentials() {
    let release = Release::new("0.1.1-rc.11");
    let run = |candidates: &Registry, target: &Registry| {
        promote("push", candidates)
            .plugin("username", "ci")
            .plugin("password", "hunter2-candidates")
            .plugin("target_registry", &target.host())
    };
    let encoded = |user: &str, password: &str| base64(format!("{user}:{password}").as_bytes());
    let candidates = tested_on(Options::with_basic("ci", "hunter2-candidates"), &release);
    let target = Registry::start(Options::with_basic("robot", "secret-of-prod"));
    let done = run(&candidates, &target)
        .plugin("target_username", "robot")
        .plugin("target_password", "secret-of-prod")
        .plugin("log_level", "trace")
        .output();
    assert_eq!(done.code, Some(0), "{done}");
    for secret in ["hunter2-candidates".to_owned(), encoded("ci", "hunter2-candidates")] {
        assert!(!target.saw_bytes(secret.as_bytes()) && !format!("{done}").contains(&secret), "{done}");
    }
    for secret in ["secret-of-prod".to_owned(), encoded("robot", "secret-of-prod")] {
        assert!(!candidates.saw_bytes(secret.as_bytes()) && !format!("{done}").contains(&secret), "{done}");
    }
    assert!(target.saw_bytes(encoded("robot", "secret-of-prod").as_bytes()), "it is what it was given for");

    // Without credentials of its own the other registry gets none.
    let open = Registry::start(Options { auth: Auth::None, ..Options::default() });
    let candidates = tested_on(Options::with_basic("ci", "hunter2-candidates"), &release);
    assert_eq!(run(&candidates, &open).output().code, Some(0));
    assert!(open.requests().iter().all(|request| request.authorization.is_none()));
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |group: u32, place: u32| char::from(LETTERS[(group >> (18 - 6 * place) & 63) as usize]);
    let encode = |chunk: &[u8]| -> String {
        let group = (0..3).fold(0, |group, at| group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        (0..4).map(|place| if place as usize <= chunk.len() { letter(group, place) } else { '=' }).collect()
    };
    bytes.chunks(3).map(encode).collect()
}

#[test]
fn settings_that_do_not_fit_the_set() {
    let release = pair();
    let candidates = tested(&release);
    let run = |repo: &str, lead: &str| {
        let run = promote("push", &candidates).plugin("repo", "acme/{name}").plugin("target_repo", repo);
        run.plugin("lead", lead).output()
    };
    let one = run("prod/all", "app");
    nothing_written(&candidates, &one, 2);
    assert_snapshot!(told(&one), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the target cannot be used
      cause 1: `target_repo` cannot be used for this release set
      cause 2: there are several images, and it has no `{name}` that would tell their repositories apart
    hint: `target_repo: "prod/{name}"` gives every image its own
    "#);
    let unnamed =
        promote("push", &tested(&Release::new("0.1.1-rc.11"))).plugin("target_repo", "prod/{name}").output();
    assert_eq!(unnamed.code, Some(2), "{unnamed}");
    assert_snapshot!(told(&unnamed), @r"
    exit code 2
    --- stdout
    --- stderr
    error: `lead` is required: `target_repo` contains {name}, and no step before names the lead
    hint: set `lead` to the name of the image that registry-push lists first
    ");
}
