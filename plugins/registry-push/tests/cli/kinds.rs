//! Every kind of source from the disk or another repository to a candidate, whole and damaged.

use std::fs;
use std::time::Duration;

use granary_testkit::image::{Damage, Form, Image, ImageBuilder, random_bytes};
use granary_testkit::process::Run;
use granary_testkit::registry::{Options, Registry};

use crate::{SET, causes, image, push, set, stable, start, step, tags};

/// The step of the recorded push, publishing `source`.
fn publish(registry: &Registry, source: &str) -> Run {
    step("push.plugin", registry).plugin("source", source)
}

#[test]
fn an_index_with_two_platforms_from_a_layout() {
    let registry = start();
    let arm = ImageBuilder::new("linux/arm64").random_layer(3, 3000).build();
    let index = Image::index(&[image(1), arm]);
    let run = publish(&registry, "oci:build/app:1.0");
    index.write_layout(&run.workspace().join("build/app"), "1.0");
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(registry.manifest("acme/app", "0.1.0-rc.11").unwrap().1, index.bytes());
    for manifest in index.manifests() {
        assert!(registry.manifest("acme/app", &manifest.digest).is_some(), "{}", manifest.digest);
    }
    for blob in index.blobs() {
        assert_eq!(registry.blob("acme/app", &blob.digest).unwrap(), blob.bytes);
    }
}

#[test]
fn archives_keep_the_digest_of_the_build() {
    for (scheme, form) in [("oci-archive", Form::OciArchive), ("docker-archive", Form::DockerArchive)] {
        let registry = start();
        let run = publish(&registry, &format!("{scheme}:app.tar"));
        image(1).write_archive(&run.workspace().join("app.tar"), form, "acme/app:1.0");
        let finished = run.output();
        assert_eq!(finished.code, Some(0), "{finished}");
        assert_eq!(registry.tags("acme/app")["0.1.0-rc.11"], image(1).digest(), "{scheme}");
    }
}

/// The older `docker save` holds no manifest: one is made, the same on every run.
#[test]
fn an_old_docker_archive_gets_one_manifest_for_ever() {
    let digests: Vec<String> = (0..2)
        .map(|_| {
            let registry = start();
            let run = publish(&registry, "docker-archive:app.tar");
            image(1).write_archive(
                &run.workspace().join("app.tar"),
                Form::LegacyDockerArchive,
                "acme/app:1.0",
            );
            let finished = run.output();
            assert_eq!(finished.code, Some(0), "{finished}");
            registry.tags("acme/app")["0.1.0-rc.11"].clone()
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_folder_becomes_a_flux_artifact() {
    let registry = start();
    let run = publish(&registry, "dir:deploy").plugin("repo", "acme/manifests");
    let folder = run.workspace().join("deploy");
    fs::create_dir_all(folder.join(".granary")).unwrap();
    fs::write(folder.join("app.yaml"), "kind: Deployment\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    let finished = run.output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 0
    --- stdout
    acme/manifests@[DIGEST]: 2 blobs sent (245 B) ([TIME])
    acme/manifests:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.11 → [DIGEST] ([TIME])
    acme/manifests:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    IMAGE           CANDIDATE    DIGEST
    acme/manifests  0.1.0-rc.11  [DIGEST]
    registry-push: done in [TIME]
    --- stderr
    warning: dir:deploy: link is left out, it is a symbolic link
    "#);
    let (_, manifest) = registry.manifest("acme/manifests", "0.1.0-rc.11").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.cncf.flux.config.v1+json");
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.revision"],
        format!("main@sha1:{}", crate::SHA)
    );
    assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2026-11-20T20:40:15Z");
}

#[test]
fn an_image_in_the_same_repository_is_only_tagged() {
    let registry = start();
    registry.put_image("acme/app", &["ci-11"], &image(1));
    let finished = publish(&registry, &format!("image:{}/acme/app:ci-11", registry.host())).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 0
    --- stdout
    acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.11 → [DIGEST] ([TIME])
    acme/app:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    IMAGE     CANDIDATE    DIGEST
    acme/app  0.1.0-rc.11  [DIGEST]
    registry-push: done in [TIME]
    --- stderr
    "#);
    assert_eq!(registry.tags("acme/app")["0.1.0-rc.11"], image(1).digest());
    let blobs = image(1).blobs().to_vec();
    assert_eq!(
        registry.count(|request| blobs.iter().any(|blob| request.path.contains(&blob.digest))),
        0,
        "no blob of the image is looked at"
    );
}

#[test]
fn an_image_in_another_repository_is_mounted() {
    let registry = Registry::start(Options::with_token("ci", "hunter2-hunter2"));
    registry.put_image("ci/app", &["11"], &image(1));
    let run = publish(&registry, &format!("image:{}/ci/app:11", registry.host()));
    let finished = run.plugin("username", "ci").plugin("password", "hunter2-hunter2").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 0
    --- stdout
    acme/app@[DIGEST]: 3 mounted from ci/app ([TIME])
    acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.11 → [DIGEST] ([TIME])
    acme/app:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    IMAGE     CANDIDATE    DIGEST
    acme/app  0.1.0-rc.11  [DIGEST]
    registry-push: done in [TIME]
    --- stderr
    "#);
    assert_eq!(registry.manifest("acme/app", "0.1.0-rc.11").unwrap().1, image(1).bytes());
    assert_eq!(registry.count(|request| request.method == "GET" && request.path.contains("/blobs/")), 0);
    assert_eq!(registry.count(|request| request.path == "/token"), 1, "one token for all of it");
}

#[test]
fn an_image_in_another_registry_is_copied() {
    let (registry, other) = (start(), start());
    other.put_image("ci/app", &["11"], &image(1));
    let finished = publish(&registry, &format!("image:{}/ci/app:11", other.host())).output();
    insta::assert_snapshot!(stable(&finished, &[&registry, &other]), @r#"
    exit code 0
    --- stdout
    acme/app@[DIGEST]: 3 blobs sent (5.6 KiB) ([TIME])
    acme/app:set-7a77c5932e35c13bf0bf61a33f757b21d41692b5, set-0.1.0-rc.11 → [DIGEST] ([TIME])
    acme/app:0.1.0-rc.11, sha-7a77c59, integration-7a77c59 → [DIGEST] ([TIME])
    IMAGE     CANDIDATE    DIGEST
    acme/app  0.1.0-rc.11  [DIGEST]
    registry-push: done in [TIME]
    --- stderr
    "#);
    assert_eq!(registry.manifest("acme/app", "0.1.0-rc.11").unwrap().1, image(1).bytes());
    for blob in image(1).blobs() {
        assert_eq!(registry.blob("acme/app", &blob.digest).unwrap(), blob.bytes);
    }
    // The next one goes to a repository with something in it, so it is looked for: once.
    other.put_image("ci/app", &["12"], &image(2));
    registry.clear_log();
    let run =
        publish(&registry, &format!("image:{}/ci/app:12", other.host())).env("CI_PIPELINE_NUMBER", "12");
    assert_eq!(run.env("CI_COMMIT_SHA", &"1".repeat(40)).output().code, Some(0));
    let top = format!("/manifests/{}", image(2).digest());
    assert_eq!(registry.count(|request| request.method == "HEAD" && request.path.ends_with(&top)), 1);
}

/// Four images of one other registry are read by one client: one limit of requests under way, and what
/// one of them learns of the registry the others know.
#[test]
fn images_in_one_other_registry_share_a_client() {
    let registry = start();
    let token = Options::with_token("other", "elsewhere");
    let latency = Duration::from_millis(20);
    let other = Registry::start(Options { latency, anonymous_pull: true, ..token });
    let names = ["api", "cron", "web", "worker"];
    for (seed, name) in (1..).zip(names) {
        other.put_image(&format!("ci/{name}"), &["11"], &image(seed));
    }
    let finished = step("push.plugin", &registry)
        .plugin("repo", "acme/{name}")
        .plugin("source", &format!("image:{}/ci/{{name}}:11", other.host()))
        .plugin("names", &names.join(","))
        .plugin("concurrency", "2")
        .output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let refused = other.count(|request| request.status == Some(401));
    assert!(refused <= 2, "{refused}: only what was under way before the first challenge");
    assert!(other.peak_concurrency() <= 2, "{} at once", other.peak_concurrency());
}

/// `password` is for `registry`: another host neither gets it nor can be read with it.
#[test]
fn the_password_goes_to_no_other_registry() {
    let registry = Registry::start(Options::with_token("ci", "hunter2-hunter2"));
    let other = Registry::start(Options::with_token("other", "elsewhere"));
    other.put_image("ci/app", &["11"], &image(1));
    let run = publish(&registry, &format!("image:{}/ci/app:11", other.host()));
    let finished = run.plugin("username", "ci").plugin("password", "hunter2-hunter2").output();
    insta::assert_snapshot!(stable(&finished, &[&registry, &other]), @r#"
    exit code 18
    --- stdout
    --- stderr
    error: refusing to publish
      cause 1: reading manifest [HOST 2]/ci/app:11: authentication failed
      cause 2: no permission for repository:ci/app:pull (no credentials given): UNAUTHORIZED authentication required
    hint: `username` and `password` are for [HOST] alone: for other registries use an auth file (DOCKER_CONFIG)
    "#);
    assert_eq!(other.count(|request| request.authorization.is_some()), 0);
    assert!(!other.saw_bytes(b"hunter2-hunter2"));
    assert_eq!(tags(&registry, "acme/app"), Vec::<String>::new());
}

#[test]
fn an_image_that_is_not_there() {
    let registry = start();
    let finished = publish(&registry, &format!("image:{}/ci/app:11", registry.host())).output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 20
    --- stdout
    --- stderr
    error: source image:[HOST]/ci/app:11 is not there
    hint: the step that pushes it has to run before this one, to the same place
    "#);
    assert_eq!(tags(&registry, "acme/app"), Vec::<String>::new());
}

#[test]
fn a_source_that_is_not_there_is_a_setting() {
    let registry = start();
    let finished = publish(&registry, "oci:build/app").output();
    insta::assert_snapshot!(stable(&finished, &[&registry]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: refusing to publish
      cause 1: cannot read source `oci:build/app`
      cause 2: `build/app` does not exist
    hint: check `sources`: paths are relative to the step's folder
    "#);
}

/// One defect each, its name in the message, and no tag.
#[test]
fn damaged_archives_publish_nothing() {
    let damages = [
        Damage::Truncated,
        Damage::LyingLayer,
        Damage::MissingBlob,
        Damage::SymlinkEscape,
        Damage::ParentPath,
        Damage::AbsolutePath,
        Damage::HugeSize,
        Damage::BrokenJson,
    ];
    let mut found = Vec::new();
    for (scheme, form) in [
        ("oci-archive", Form::OciArchive),
        ("docker-archive", Form::DockerArchive),
        ("docker-archive", Form::LegacyDockerArchive),
    ] {
        for damage in damages {
            let registry = start();
            let run = publish(&registry, &format!("{scheme}:app.tar"));
            image(1).write_damaged_archive(&run.workspace().join("app.tar"), form, "acme/app:1.0", damage);
            let finished = run.output();
            assert_eq!(finished.code, Some(20), "{form:?} {damage:?} {finished}");
            assert_eq!(tags(&registry, "acme/app"), Vec::<String>::new(), "{form:?} {damage:?}");
            assert!(!std::path::Path::new("/tmp/granary-escaped").exists());
            found.push(format!("{form:?} {damage:?}: {}", causes(&finished, &registry)));
        }
    }
    insta::assert_snapshot!(found.join("\n"), @r#"
    OciArchive Truncated: cannot read source `oci-archive:app.tar`: the archive is truncated: `blobs/sha256/[DIGEST]` needs 10240 bytes and the file has 7288
    OciArchive LyingLayer: pushing blob [HOST]/acme/app@[DIGEST]: the content cannot be used: layer digest lies: the manifest says [DIGEST], the content is [DIGEST]
    OciArchive MissingBlob: cannot read source `oci-archive:app.tar`: `blobs/sha256/[DIGEST]` is missing
    OciArchive SymlinkEscape: cannot read source `oci-archive:app.tar`: refusing the entry name `../../../../../../etc/passwd`: it leaves the archive
    OciArchive ParentPath: cannot read source `oci-archive:app.tar`: refusing the entry name `../escaped`: it leaves the archive
    OciArchive AbsolutePath: cannot read source `oci-archive:app.tar`: refusing the entry name `/tmp/granary-escaped`: it is absolute
    OciArchive HugeSize: cannot read source `oci-archive:app.tar`: the archive is truncated: `blobs/sha256/[DIGEST]` needs 9223372036854780416 bytes and the file has 12800
    OciArchive BrokenJson: cannot read source `oci-archive:app.tar`: `index.json` is not valid JSON of its kind: EOF while parsing a list at line 1 column 15
    DockerArchive Truncated: cannot read source `docker-archive:app.tar`: the archive is truncated: `blobs/sha256/[DIGEST]` needs 10240 bytes and the file has 7288
    DockerArchive LyingLayer: pushing blob [HOST]/acme/app@[DIGEST]: the content cannot be used: layer digest lies: the manifest says [DIGEST], the content is [DIGEST]
    DockerArchive MissingBlob: cannot read source `docker-archive:app.tar`: `blobs/sha256/[DIGEST]` is missing
    DockerArchive SymlinkEscape: cannot read source `docker-archive:app.tar`: refusing the entry name `../../../../../../etc/passwd`: it leaves the archive
    DockerArchive ParentPath: cannot read source `docker-archive:app.tar`: refusing the entry name `../escaped`: it leaves the archive
    DockerArchive AbsolutePath: cannot read source `docker-archive:app.tar`: refusing the entry name `/tmp/granary-escaped`: it is absolute
    DockerArchive HugeSize: cannot read source `docker-archive:app.tar`: the archive is truncated: `blobs/sha256/[DIGEST]` needs 9223372036854780416 bytes and the file has 13824
    DockerArchive BrokenJson: cannot read source `docker-archive:app.tar`: `index.json` is not valid JSON of its kind: EOF while parsing a list at line 1 column 15
    LegacyDockerArchive Truncated: cannot read source `docker-archive:app.tar`: the archive is truncated: `[DIGEST]/layer.tar` needs 10752 bytes and the file has 7424
    LegacyDockerArchive LyingLayer: cannot read source `docker-archive:app.tar`: `[DIGEST]/layer.tar` has digest [DIGEST], not [DIGEST]
    LegacyDockerArchive MissingBlob: cannot read source `docker-archive:app.tar`: `[DIGEST]/layer.tar` is missing
    LegacyDockerArchive SymlinkEscape: cannot read source `docker-archive:app.tar`: refusing the entry name `../../../../../../etc/passwd`: it leaves the archive
    LegacyDockerArchive ParentPath: cannot read source `docker-archive:app.tar`: refusing the entry name `../escaped`: it leaves the archive
    LegacyDockerArchive AbsolutePath: cannot read source `docker-archive:app.tar`: refusing the entry name `/tmp/granary-escaped`: it is absolute
    LegacyDockerArchive HugeSize: cannot read source `docker-archive:app.tar`: the archive is truncated: `[DIGEST]/layer.tar` needs 9223372036854779904 bytes and the file has 13824
    LegacyDockerArchive BrokenJson: cannot read source `docker-archive:app.tar`: `manifest.json` is not valid JSON of its kind: invalid type: map, expected a sequence at line 1 column 0
    "#);
}

#[test]
fn damaged_layouts_publish_nothing() {
    let mut found = Vec::new();
    for damage in [
        Damage::Truncated,
        Damage::LyingLayer,
        Damage::MissingBlob,
        Damage::SymlinkEscape,
        Damage::BrokenJson,
    ] {
        let registry = start();
        let run = publish(&registry, "oci:build/app");
        image(1).write_damaged_layout(&run.workspace().join("build/app"), "latest", damage);
        let finished = run.output();
        assert_eq!(finished.code, Some(20), "{damage:?} {finished}");
        assert_eq!(tags(&registry, "acme/app"), Vec::<String>::new(), "{damage:?}");
        found.push(format!("{damage:?}: {}", causes(&finished, &registry)));
    }
    insta::assert_snapshot!(found.join("\n"), @r#"
    Truncated: cannot read source `oci:build/app`: `blobs/sha256/[DIGEST]` has 2680 bytes where its descriptor says 5360
    LyingLayer: pushing blob [HOST]/acme/app@[DIGEST]: the content cannot be used: layer digest lies: the manifest says [DIGEST], the content is [DIGEST]
    MissingBlob: cannot read source `oci:build/app`: `blobs/sha256/[DIGEST]` is missing
    SymlinkEscape: cannot read source `oci:build/app`: `blobs/sha256/[DIGEST]` is missing
    BrokenJson: cannot read source `oci:build/app`: `index.json` is not valid JSON of its kind: EOF while parsing a list at line 1 column 15
    "#);
}

/// The whole of what is said about one of them.
#[test]
fn a_lying_layer_in_full() {
    let registry = start();
    let run = publish(&registry, "oci:build/app");
    image(1).write_damaged_layout(&run.workspace().join("build/app"), "latest", Damage::LyingLayer);
    insta::assert_snapshot!(stable(&run.output(), &[&registry]), @r#"
    exit code 20
    --- stdout
    --- stderr
    error: the source is not what it says
      cause 1: pushing blob [HOST]/acme/app@[DIGEST]: the content cannot be used
      cause 2: layer digest lies: the manifest says [DIGEST], the content is [DIGEST]
    hint: build it again; nothing was tagged
    "#);
    let run = publish(&registry, "oci-archive:app.tar");
    fs::write(run.workspace().join("app.tar"), random_bytes(5, 4096)).unwrap();
    insta::assert_snapshot!(stable(&run.output(), &[&registry]), @r#"
    exit code 20
    --- stdout
    --- stderr
    error: refusing to publish
      cause 1: cannot read source `oci-archive:app.tar`
      cause 2: the block at byte 0 is no tar header: its checksum is wrong
    hint: build it again; nothing was sent
    "#);
    assert_eq!(tags(&registry, "acme/app"), Vec::<String>::new());
}

/// The set says what was published, whatever it was made from.
#[test]
fn the_set_names_the_member() {
    let registry = start();
    assert_eq!(push(&registry).output().code, Some(0));
    let set = set(&registry, "acme/app", SET);
    assert_eq!(set.members.len(), 1);
    let member = &set.members[0];
    assert_eq!((member.name.as_str(), member.repository.as_str()), ("app", "acme/app"));
    assert_eq!(
        (member.digest.to_string().as_str(), member.media_type.as_str()),
        (image(1).digest(), image(1).media_type())
    );
}
