//! `kill -9` at moments that nobody chose: a rerun ends where an undisturbed run would.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::containers::{Containers, Platform};
use e2e::docker_registry::{Access, DockerRegistry};
use e2e::evidence::{SUMMARY, statements};
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, commit, ends};
use e2e::proxy::Proxy;
use e2e::reader::Reader;
use granary_testkit::process::{Run, Signal};
use serde_json::Value;

const KILLS: usize = 10;
const LATENCY: Duration = Duration::from_millis(20);

/// Numbers that look random and are the same on every run (Knuth's constants for 64 bits).
struct Moments(u64);

impl Moments {
    /// Somewhere in `[0, end)`.
    fn before(&mut self, end: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        end.mul_f64(f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX))
    }
}

struct Scene {
    containers: Containers,
    registry: DockerRegistry,
    proxy: Proxy,
    reader: Reader,
    keys: KeyPair,
    promoter: KeyPair,
}

impl Scene {
    fn new() -> Self {
        let registry = DockerRegistry::start(Access::Open);
        let scene = Self {
            containers: Containers::new(),
            proxy: Proxy::start(&registry, LATENCY),
            reader: Reader::new(&registry),
            keys: KeyPair::generate(),
            promoter: KeyPair::generate(),
            registry,
        };
        let built = scene.archive();
        let platforms: [Platform<'_>; 2] = [("amd64", &[("app", b"amd\n")]), ("arm64", &[("app", b"arm\n")])];
        scene.containers.build_index(&platforms, &format!("oci-archive:{}:built", built.display()));
        scene
    }

    fn archive(&self) -> std::path::PathBuf {
        self.containers.path().join("app.tar")
    }

    /// A pipeline in an empty workspace: a restarted one has nothing of what the first one left.
    fn pipeline(&self, repository: &str, host: &str) -> Pipeline {
        let pipeline = Pipeline::push(&commit(1), 11, host).setting("repo", repository);
        std::fs::copy(self.archive(), pipeline.workspace().join("app.tar")).unwrap();
        pipeline
    }

    /// What the tags of a repository lead to, in words that do not depend on repository and time.
    fn state(&self, repository: &str) -> BTreeMap<String, String> {
        let tags = self.reader.state(repository);
        let set = tags.get(&format!("set-{}", commit(1))).cloned().unwrap_or_default();
        let hex = set.trim_start_matches("sha256:").to_owned();
        let meaning = |(tag, digest): (String, String)| match tag.as_str() {
            // Evidence has its own time in it; promote reads it only.
            tag if tag.starts_with("sha256-") => (tag.replace(&hex, "SET"), "evidence".to_owned()),
            // So has a claim, which a rerun writes anew.
            tag if tag.starts_with("claim-") => (tag.replace(&hex[..12], "SET"), "claim".to_owned()),
            _ if digest == set => (tag, self.set(repository, &digest)),
            _ => (tag, digest),
        };
        tags.into_iter().map(meaning).collect()
    }

    fn set(&self, repository: &str, digest: &str) -> String {
        let mut manifest: Value = self.reader.json(&format!("{repository}@{digest}"));
        let annotations = manifest["annotations"].as_object_mut().unwrap();
        annotations.remove("org.opencontainers.image.created").expect("a set says when it was made");
        manifest.to_string().replace(repository, "REPOSITORY")
    }

    /// Kills `run` and runs it again, [`KILLS`] times, each in a repository that `prepare` has made ready.
    fn killed(&self, name: &str, seed: u64, prepare: impl Fn(&str), run: impl Fn(&Pipeline) -> Run) {
        let undisturbed = format!("{name}/undisturbed");
        prepare(&undisturbed);
        let started = Instant::now();
        drop(ends(&run(&self.pipeline(&undisturbed, &self.proxy.host())), 0));
        let took = started.elapsed();
        let wanted = self.state(&undisturbed);
        let writes = self.proxy.take_seen().iter().filter(|request| request.is_write()).count();
        assert!(writes > 2 && wanted.len() > 4, "{writes} writes, {wanted:?}");

        let mut moments = Moments(seed);
        let mut was_killed = 0;
        for round in 1..=KILLS {
            let repository = format!("{name}/round-{round}");
            prepare(&repository);
            let moment = moments.before(took);
            let pipeline = self.pipeline(&repository, &self.proxy.host());
            let running = run(&pipeline).spawn();
            std::thread::sleep(moment);
            running.signal(Signal::KILL);
            let killed = running.wait();
            was_killed += usize::from(killed.signal == Some(9));
            // Its last words arrive before the rerun starts, as they do between two pipelines.
            self.proxy.settle();
            let requests = self.proxy.take_seen();
            let done = requests.iter().filter(|request| request.is_write()).count();
            let rerun = ends(&run(&self.pipeline(&repository, &self.proxy.host())), 0);
            assert_eq!(
                self.state(&repository),
                wanted,
                "killed after {moment:?} of {took:?}, {done} of {writes} writes\n{killed}\nthen\n{rerun}"
            );
            report(&format!(
                "{name} {round}: killed after {moment:?} of {took:?}, {done} of {writes} writes\n"
            ));
            let _ = self.proxy.take_seen();
        }
        assert!(was_killed > KILLS / 2, "only {was_killed} were killed, the others had ended before");
    }
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture")]
fn report(text: &str) {
    print!("{text}");
}

fn publish(pipeline: &Pipeline) -> Run {
    pipeline.publish("oci-archive:app.tar")
}

#[test]
fn push_killed_at_random_and_run_again_publishes_what_one_run_would() {
    let scene = Scene::new();
    scene.killed("pushed", 3, |_| (), publish);
}

#[test]
fn promote_killed_at_random_and_run_again_promotes_what_one_run_would() {
    let scene = Scene::new();
    let prepare = |repository: &str| {
        let pipeline = scene.pipeline(repository, &scene.registry.host());
        drop(ends(&publish(&pipeline), 0));
        drop(pipeline.passes(&scene.keys));
    };
    let promote = |pipeline: &Pipeline| {
        let keys = [("trusted_keys", scene.keys.public.as_str()), ("signing_key", &scene.promoter.private)];
        pipeline.step("promote", &keys)
    };
    scene.killed("promoted", 4, prepare, promote);
    // Whenever it was killed, the set and the image have their summary. Two, where the first run had come so far: each is true.
    for round in 1..=KILLS {
        let repository = format!("promoted/round-{round}");
        for name in ["set-0.1.0", "0.1.0"] {
            let digest = scene.reader.digest(&format!("{repository}:{name}"));
            let said = statements(&scene.reader, &repository, &digest, SUMMARY, &scene.promoter.public);
            assert!(matches!(said.len(), 1 | 2), "{repository}:{name}: {said:?}");
        }
    }
}
