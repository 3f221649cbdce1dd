//! `kill -9` in the middle of a promotion from one registry to another, at every write and at random moments: a rerun ends where an
//! undisturbed run does, on both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::evidence::{SUMMARY, TEST_RESULT};
use e2e::gitea::OWNER;
use e2e::openssl::KeyPair;
use e2e::pipeline::{Pipeline, ends};
use e2e::proxy::{Proxy, Seen, Trap};
use e2e::reader::Reader;
use e2e::registry::Registry;
use e2e::release::{Release, two_platforms};
use granary_testkit::image::{INDEX, ImageBuilder};
use granary_testkit::process::{Finished, Leash, Run, Signal};

use crate::scene::{Kind, Scene, ask};

const LATENCY: Duration = Duration::from_millis(2);
const RANDOM_KILLS: usize = 8;

/// Two registries with a proxy before each, so that every write of a promotion is seen.
struct Sides {
    source: Box<dyn Registry>,
    target: Box<dyn Registry>,
    at_source: Proxy,
    at_target: Proxy,
    scene: Scene,
    promoter: KeyPair,
}

impl Sides {
    fn new(source: Kind, target: Kind) -> Self {
        let (source, target) = (source.start(), target.start());
        let proxy = |registry: &dyn Registry| Proxy::start(registry, LATENCY);
        let (at_source, at_target) = (proxy(source.as_ref()), proxy(target.as_ref()));
        let (scene, promoter) = (Scene::new(), KeyPair::generate());
        Self { source, target, at_source, at_target, scene, promoter }
    }

    /// A tested candidate of two images, one of them for two platforms, with papers; in repositories of its own.
    fn prepared(&self, path: &str) -> Release<'_> {
        let web = ImageBuilder::new("linux/amd64").file("web", b"web").build();
        let images = [("api", two_platforms("api", 1)), ("web", web)];
        let release = Release::of(self.source.as_ref(), path, 1, 11, &self.scene.keys, images);
        let pipeline = release.pipeline();
        let _ = release.publish(&pipeline);
        release.attach_papers(&self.scene.regctl);
        drop(pipeline.passes(&self.scene.keys));
        release
    }

    /// Where production is, as settings.
    fn target(&self, host: &str, path: &str) -> Vec<(&'static str, String)> {
        Release::target(host, self.target.as_ref(), &format!("{path}-production"))
    }

    /// The promotion, in an empty workspace: a restarted pipeline has nothing of what the first one left. The workspace lives as
    /// long as the pipeline.
    fn promotion(&self, release: &Release<'_>, path: &str) -> (Pipeline, Run) {
        let target = self.target(&self.at_target.host(), path);
        let mut settings: Vec<(&str, &str)> =
            target.iter().map(|(name, value)| (*name, value.as_str())).collect();
        settings.push(("signing_key", &self.promoter.private));
        let pipeline = release.pipeline_at(&self.at_source.host());
        let run = release.promote_step(&pipeline, &settings);
        (pipeline, run)
    }

    /// What came to both since the last time, once nothing is under way any more.
    fn settled(&self) -> Vec<Seen> {
        self.at_source.settle();
        self.at_target.settle();
        [self.at_source.take_seen(), self.at_target.take_seen()].concat()
    }

    /// Which tags there are on both sides and what they lead to, in words that do not depend on path and time; and the papers.
    fn state(&self, release: &Release<'_>, path: &str) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        let production = format!("{path}-production");
        for (side, registry, path) in [("source", &self.source, path), ("target", &self.target, &production)]
        {
            let reader = Reader::new(registry.as_ref());
            for name in release.images().keys() {
                let repository = format!("{OWNER}/{path}/{name}");
                for (tag, digest) in reader.state(&repository) {
                    // Claims and evidence have the time in them, and so their digests in the tags of fallback indexes.
                    if !tag.starts_with("claim-") && !tag.starts_with("sha256-") {
                        let meaning = match tag.starts_with("set-") {
                            true => set(&reader, &repository, &digest).replace(path, "PATH"),
                            false => digest,
                        };
                        state.insert(format!("{side} {name}:{tag}"), meaning);
                    }
                }
            }
            for (name, image) in release.images() {
                let repository = format!("{OWNER}/{path}/{name}");
                for content in image.manifests() {
                    let papers = papers_below(registry.as_ref(), &repository, &content.digest);
                    state.insert(format!("{side} {name}@{}", content.digest), papers.join(", "));
                }
            }
        }
        state
    }

    /// What the run after a killed one leaves is what an undisturbed run leaves.
    fn ends_as(
        &self,
        wanted: &BTreeMap<String, String>,
        release: &Release<'_>,
        path: &str,
        killed: &Finished,
    ) {
        let writes = self.settled().into_iter().filter(Seen::is_write);
        let writes: String = writes.map(|request| format!("{request}\n")).collect();
        let rerun = ends(&self.promotion(release, path).1, 0);
        assert_eq!(&self.state(release, path), wanted, "{writes}{killed}\nthen\n{rerun}");
        let _ = self.settled();
        // And an auditor finds both chains whole.
        let target = self.target(&self.target.host(), path);
        let target: Vec<(&str, &str)> = target.iter().map(|(name, value)| (*name, value.as_str())).collect();
        drop(ends(&release.verify_step("0.1.0", &self.promoter, &target), 0));
    }

    /// An undisturbed run: how it ends, how many writes it takes, and how long.
    fn undisturbed(&self) -> (BTreeMap<String, String>, usize, Duration) {
        let release = self.prepared("undisturbed");
        let started = Instant::now();
        drop(ends(&self.promotion(&release, "undisturbed").1, 0));
        let took = started.elapsed();
        let writes = self.settled().iter().filter(|request| request.is_write()).count();
        let state = self.state(&release, "undisturbed");
        let (api, web) = (release.images()["api"].manifests(), release.images()["web"].digest());
        for side in ["source", "target"] {
            let on_lead = format!("{TEST_RESULT}, {SUMMARY}, paper, paper on paper");
            let wanted = [
                (format!("api@{}", release.images()["api"].digest()), on_lead),
                (format!("api@{}", api[0].digest), "paper".to_owned()),
                (format!("web@{web}"), SUMMARY.to_owned()),
            ];
            for (subject, papers) in wanted {
                assert_eq!(state[&format!("{side} {subject}")], papers, "{state:?}");
            }
        }
        for tag in ["source api:0.1.0", "source web:0.1.0", "target api:0.1.0", "target web:0.1.0"] {
            assert!(state.contains_key(tag), "{tag}: {state:?}");
        }
        (state, writes, took)
    }
}

fn set(reader: &Reader, repository: &str, digest: &str) -> String {
    let mut manifest = reader.json(&format!("{repository}@{digest}"));
    let annotations = manifest["annotations"].as_object_mut();
    let _ = annotations.and_then(|all| all.remove("org.opencontainers.image.created"));
    manifest.to_string()
}

/// What kinds of referrers a digest has, and they, and so on, sorted: a run after a killed one may sign a second summary. Read
/// without any client, because that is fast: regctl has read them in the other journeys.
fn papers_below(registry: &dyn Registry, repository: &str, digest: &str) -> Vec<String> {
    let json = |target: String| {
        let answer = ask(registry, "GET", &target, &[("Accept", INDEX)], b"");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        head.split(' ').nth(1).filter(|status| *status == "200")?;
        serde_json::from_str::<serde_json::Value>(body).ok()
    };
    let fallback = || json(format!("{repository}/manifests/{}", digest.replace(':', "-")));
    let found = json(format!("{repository}/referrers/{digest}")).or_else(fallback);
    let entries = found.as_ref().and_then(|index| index["manifests"].as_array()).into_iter().flatten();
    let kinds = entries.flat_map(|entry| {
        // Not its `artifactType`: one registry says that of the configuration.
        let predicate = entry["annotations"]["dev.sigstore.bundle.predicateType"].as_str();
        let kind = predicate.unwrap_or("paper").to_owned();
        let below = papers_below(registry, repository, entry["digest"].as_str().unwrap());
        [kind.clone()].into_iter().chain(below.into_iter().map(move |below| format!("{below} on {kind}")))
    });
    kinds.collect::<BTreeSet<String>>().into_iter().collect()
}

#[test]
fn at_every_write() {
    let sides = Sides::new(Kind::DockerRegistry, Kind::Distribution);
    let (wanted, writes, _) = sides.undisturbed();
    assert!(writes > 20, "{writes}");
    for at in 1..=writes {
        let path = format!("write-{at}");
        let release = sides.prepared(&path);
        let leash = Leash::default();
        let trap = Trap::new(&leash, at, at % 2 == 0);
        sides.at_source.set_trap(&trap);
        sides.at_target.set_trap(&trap);
        let (workspace, promotion) = sides.promotion(&release, &path);
        let killed = promotion.leash(&leash).output();
        drop(workspace);
        // Their number depends a little on what finishes first, and the last few may not come.
        assert!(killed.signal == Some(9) || !trap.has_sprung(), "write {at} of {writes}\n{killed}");
        assert!(trap.has_sprung() || at + 3 > writes, "write {at} of {writes} did not come\n{killed}");
        sides.ends_as(&wanted, &release, &path, &killed);
    }
}

#[test]
fn at_random() {
    let sides = Sides::new(Kind::Referrers, Kind::Gitea);
    let (wanted, _, took) = sides.undisturbed();
    let mut was_killed = 0;
    for round in 0..RANDOM_KILLS {
        let path = format!("round-{round}");
        let release = sides.prepared(&path);
        let (_workspace, promotion) = sides.promotion(&release, &path);
        let running = promotion.spawn();
        // Spread over the run, away from each other's multiples.
        std::thread::sleep(took.mul_f64((round as f64 * 0.618).fract()));
        running.signal(Signal::KILL);
        let killed = running.wait();
        was_killed += usize::from(killed.signal == Some(9));
        sides.ends_as(&wanted, &release, &path, &killed);
    }
    assert!(was_killed > RANDOM_KILLS / 2, "only {was_killed} were killed, the others had ended before");
}
