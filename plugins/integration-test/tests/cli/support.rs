//! A published candidate, a step that tests it, and what both left behind.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use granary_attest::bundle;
use granary_attest::key::SigningKey;
use granary_attest::statement::ResourceDescriptor;
use granary_attest::test_result::TestResult;
use granary_attest::trust::TrustedKey;
use granary_oci::Digest;
use granary_release::{FoundSet, Member, ReleaseSet, TagKind};
use granary_testkit::image::{Image, ImageBuilder, MANIFEST};
use granary_testkit::process::{Finished, Run};
use granary_testkit::registry::{Options, Registry};

/// The commit of the recorded pushes.
pub(crate) const COMMIT: &str = "7a77c5932e35c13bf0bf61a33f757b21d41692b5";
pub(crate) const CANDIDATE: &str = "0.1.146-rc.87";

/// A small image for one platform.
pub(crate) fn image(platform: &str) -> Image {
    ImageBuilder::new(platform).file("app", platform.as_bytes()).build()
}

/// Puts images and their release set into a registry, as registry-push leaves them. The first leads.
pub(crate) fn publish(registry: &Registry, members: &[(&str, &str, &Image)]) -> FoundSet {
    let member = |(name, repository, image): &(&str, &str, &Image)| Member {
        name: (*name).to_owned(),
        repository: repository.parse().unwrap(),
        digest: image.digest().parse().unwrap(),
        media_type: image.media_type().to_owned(),
        size: image.bytes().len() as u64,
    };
    let set = ReleaseSet {
        commit: COMMIT.parse().unwrap(),
        branch: Some("main".to_owned()),
        candidate: CANDIDATE.parse().unwrap(),
        order: Some(87),
        pipeline_url: None,
        created: "2026-11-21T06:30:00Z".parse().unwrap(),
        members: members.iter().map(member).collect(),
        replaces: None,
    };
    for (_, repository, image) in members {
        registry.put_blob(repository, b"{}".as_slice());
        registry.put_image(repository, &[CANDIDATE], image);
    }
    let tags = [TagKind::CommitSet(&set.commit).tag(), TagKind::CandidateSet(set.candidate).tag()];
    let manifest = set.to_manifest();
    registry.put_manifest(
        members[0].1,
        &[tags[0].as_str(), tags[1].as_str()],
        MANIFEST,
        manifest.bytes().to_vec(),
    );
    FoundSet::read(manifest).unwrap()
}

/// A registry with one image and its set, and a step of a push pipeline about it.
pub(crate) struct Stage {
    pub(crate) registry: Registry,
    pub(crate) found: FoundSet,
    pub(crate) run: Run,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Stage::on(Options::default(), &[("app", "acme/app", &image("linux/amd64"))])
    }

    pub(crate) fn on(options: Options, members: &[(&str, &str, &Image)]) -> Self {
        let registry = Registry::start(options);
        let found = publish(&registry, members);
        let run = step(&registry);
        Stage { registry, found, run }
    }

    /// The step runs this shell script; `$1` is the results file.
    pub(crate) fn tests(mut self, script: &str) -> Self {
        self.write("tests.sh", script);
        self.run = self.run.plugin("command", "sh tests.sh {results}").plugin("results", "results.json");
        self
    }

    /// The step signs what an earlier one left.
    pub(crate) fn report(mut self, results: &str) -> Self {
        self.write("results.json", results);
        self.run = self
            .run
            .plugin("mode", "report")
            .plugin("results", "results.json")
            .plugin("signing_key", &key().to_pem());
        self
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.run = self.run.plugin(name, value);
        self
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.run.workspace().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.run.workspace().join(name).exists()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.run.workspace().join(name)).unwrap()
    }

    /// The only record of a run that lies there: its path and its text.
    pub(crate) fn run_record(&self) -> (String, String) {
        let records = self.run_records();
        assert_eq!(records.len(), 1, "{records:?}");
        (records[0].clone(), self.read(&records[0]))
    }

    /// Where records of runs lie.
    pub(crate) fn run_records(&self) -> Vec<String> {
        let folder = ".granary/integration-test-runs";
        let entries = std::fs::read_dir(self.run.workspace().join(folder)).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap())
        };
        let mut records: Vec<String> = entries.map(name).collect();
        records.sort();
        records
    }

    pub(crate) fn output(&self) -> Finished {
        self.run.output()
    }

    /// Runs, and gives exit code, standard output and standard error with what changes from run to run
    /// taken out.
    pub(crate) fn shown(&self) -> String {
        shown(&self.output())
    }

    /// What our key says about a digest.
    pub(crate) fn evidence(&self, repository: &str, subject: &str) -> Vec<Evidence> {
        let trusted = [TrustedKey {
            name: "ci".to_owned(),
            key: key().public_key(),
            environments: vec![],
            not_before: None,
            not_after: None,
        }];
        let read = |referrer: String| {
            let (_, manifest) = self.registry.manifest(repository, &referrer).unwrap();
            let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            let layer = manifest["layers"][0]["digest"].as_str().unwrap();
            let opened = bundle::open(&self.registry.blob(repository, layer).unwrap(), &trusted).unwrap();
            Evidence {
                manifest,
                subjects: opened.statement.subjects.iter().filter_map(ResourceDescriptor::sha256).collect(),
                result: TestResult::from_statement(&opened.statement).unwrap(),
            }
        };
        self.registry.referrers(repository, subject).into_iter().map(read).collect()
    }

    /// How many bundles there are anywhere.
    pub(crate) fn evidence_count(&self) -> usize {
        let lead = self.found.set.lead();
        let of = |digest: &Digest| self.registry.referrers(lead.repository.as_str(), digest.as_str()).len();
        of(&self.found.digest) + of(&lead.digest)
    }
}

/// A bundle that our key signed.
pub(crate) struct Evidence {
    pub(crate) manifest: serde_json::Value,
    pub(crate) subjects: Vec<String>,
    pub(crate) result: TestResult,
}

/// The same key in every run, so that its hint is the same.
pub(crate) fn key() -> SigningKey {
    SigningKey::generate([7; 32]).unwrap()
}

/// A step of a push pipeline, without settings of its own.
pub(crate) fn step(registry: &Registry) -> Run {
    Run::new(env!("CARGO_BIN_EXE_integration-test"))
        .envs([
            ("CI", "woodpecker"),
            ("CI_PIPELINE_EVENT", "push"),
            ("CI_PIPELINE_PARENT", "0"),
            ("CI_PIPELINE_URL", "https://ci.example.test/repos/1/pipeline/87"),
            ("CI_COMMIT_REF", "refs/heads/main"),
            ("CI_COMMIT_SHA", COMMIT),
            ("CI_REPO", "Acme/App"),
        ])
        .plugin("registry", &registry.host())
}

/// Results of our own form: `name=status` each.
pub(crate) fn results(tests: &[&str]) -> String {
    let test = |text: &&str| {
        let (name, status) = text.split_once('=').unwrap();
        serde_json::json!({"name": name, "status": status, "message": format!("{name} is {status}")})
    };
    serde_json::json!({"tests": tests.iter().map(test).collect::<Vec<_>>()}).to_string()
}

/// A script that writes results and ends with this code.
pub(crate) fn leaving(results: &str, code: i32) -> String {
    format!("cat > \"$1\" <<'END'\n{results}\nEND\nexit {code}\n")
}

/// Waits up to ten seconds for something that a running step does.
pub(crate) fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < patience, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Exit code and output with what changes from run to run taken out.
pub(crate) fn shown(finished: &Finished) -> String {
    let mut shown =
        format!("exit {}\n", finished.code.map_or("by a signal".to_owned(), |code| code.to_string()));
    for (name, text) in [("stdout", &finished.stdout), ("stderr", &finished.stderr)] {
        if !text.is_empty() {
            let text = text.replace(&*finished.workspace.to_string_lossy(), "[WORKSPACE]");
            let _ = write!(shown, "--- {name}\n{}", filtered(&text));
        }
    }
    shown
}

/// The one list of filters: digests, the registry's address, how long it took.
fn filtered(text: &str) -> String {
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let text = replaced(text, "sha256:", "[DIGEST]", |rest| {
        let digits = rest.bytes().take_while(|byte| is_hex(byte)).count();
        (digits == 64).then_some(digits)
    });
    let text = replaced(&text, "127.0.0.1:", "[HOST]", |rest| {
        Some(rest.bytes().take_while(u8::is_ascii_digit).count())
    });
    let time = |rest: &str| {
        let number = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        (number > 0 && rest[number..].starts_with('s')).then_some(number + 1)
    };
    let text = replaced(&text, " in ", " in [TIME]", time);
    replaced(&text, " after ", " after [TIME]", time)
}

/// Replaces every `start` with what `length` takes of the text behind it.
fn replaced(text: &str, start: &str, by: &str, length: impl Fn(&str) -> Option<usize>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        let behind = &rest[at + start.len()..];
        out.push_str(&rest[..at]);
        match length(behind) {
            Some(length) => {
                out.push_str(by);
                rest = &behind[length..];
            }
            None => {
                out.push_str(start);
                rest = behind;
            }
        }
    }
    out + rest
}
