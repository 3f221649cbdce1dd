//! Many plugins at once on one registry, each a process of its own, as the pipelines of a busy day are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use granary_testkit::process::{Finished, Running};

use crate::openssl::KeyPair;
use crate::proxy::{Proxy, Seen};
use crate::reader::Reader;
use crate::registry::Registry;
use crate::release::Release;

/// The number of the first pipeline.
const FIRST: u64 = 11;
/// All of them share two cores.
const PATIENCE: Duration = Duration::from_secs(300);
/// Enough that their requests mix.
const LATENCY: Duration = Duration::from_millis(5);

/// `X.Y.Z` as numbers.
fn version(tag: &str) -> Option<[u64; 3]> {
    let numbers = tag.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    numbers.try_into().ok()
}

/// Publishes and tests as many commits as `count`, one after the other, so that all their candidates have the same base version;
/// promotes them all at once, through a proxy that writes down what comes; and insists that
///
/// * each ends promoted with a version of its own, or superseded by a newer one;
/// * the newest is promoted, and of two that are, the newer has the higher version;
/// * each version is written once, leads to what its commit was built as, and `set-X.Y.Z` to its commit's set.
///
/// Returns how many were promoted.
///
/// # Panics
/// Where one of these does not hold.
#[must_use]
pub fn promoters(registry: &dyn Registry, path: &str, count: u8) -> usize {
    let (keys, proxy) = (KeyPair::generate(), Proxy::start(registry, LATENCY));
    let release = |id: u8| Release::of_one(registry, path, id, FIRST + u64::from(id), &keys);
    let releases: Vec<Release<'_>> = (1..=count).map(release).collect();
    let pipelines: Vec<_> = releases.iter().map(|release| release.pipeline_at(&proxy.host())).collect();
    for (release, pipeline) in releases.iter().zip(&pipelines) {
        release.publish_and_test(pipeline);
    }
    let _ = proxy.take_seen();
    let step = |(release, pipeline): (&Release<'_>, _)| {
        release.promote_step(pipeline, &[]).time_limit(PATIENCE).spawn()
    };
    let running: Vec<Running> = releases.iter().zip(&pipelines).map(step).collect();
    let finished: Vec<Finished> = running.into_iter().map(Running::wait).collect();
    let seen = proxy.take_seen();

    let reader = Reader::new(registry);
    let repository = releases[0].repository("api");
    let mut versions: Vec<([u64; 3], String)> = Vec::new();
    for (release, finished) in releases.iter().zip(&finished) {
        assert_eq!(finished.code, Some(0), "{finished}\n{}", listed(&seen));
        let file = finished.json(".granary/promote.json");
        let text = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
        match text("outcome").as_str() {
            "done" => {
                let tag = text("version");
                assert_eq!(reader.digest(&format!("{repository}:{tag}")), release.images()["api"].digest());
                assert_eq!(reader.digest(&format!("{repository}:set-{tag}")), text("set"), "set-{tag}");
                versions.push((version(&tag).unwrap_or_else(|| panic!("{tag}\n{finished}")), tag));
            }
            "skipped" => {}
            other => panic!("{other}\n{finished}"),
        }
    }
    let last = finished.last().expect("there are some");
    assert_eq!(last.json(".granary/promote.json")["outcome"], "done", "the newest\n{last}");
    assert!(versions.is_sorted_by(|one, next| one.0 < next.0), "{versions:?}\n{}", listed(&seen));

    let promoted: BTreeSet<String> = versions.into_iter().map(|(_, tag)| tag).collect();
    let mut writes: BTreeMap<&str, usize> = BTreeMap::new();
    for tag in seen.iter().flat_map(Seen::tags_written) {
        if version(tag.trim_start_matches("set-")).is_some() {
            *writes.entry(tag).or_default() += 1;
        }
    }
    let once = |tag: &String| [(tag.clone(), 1), (format!("set-{tag}"), 1)];
    let wanted: BTreeMap<String, usize> = promoted.iter().flat_map(once).collect();
    let writes: BTreeMap<String, usize> =
        writes.into_iter().map(|(tag, count)| (tag.to_owned(), count)).collect();
    assert_eq!(writes, wanted, "{}", listed(&seen));
    let there: BTreeSet<String> =
        reader.tags(&repository).into_iter().filter(|tag| version(tag).is_some()).collect();
    assert_eq!(there, promoted);
    promoted.len()
}

/// Publishes as many commits as `count` at once, and insists that all succeed and every candidate is complete.
///
/// # Panics
/// Where that does not hold.
pub fn pushers(registry: &dyn Registry, path: &str, count: u8) {
    let keys = KeyPair::generate();
    let release = |id: u8| Release::of_one(registry, path, id, FIRST + u64::from(id), &keys);
    let releases: Vec<Release<'_>> = (1..=count).map(release).collect();
    let pipelines: Vec<_> = releases.iter().map(Release::pipeline).collect();
    let step =
        |(release, pipeline): (&Release<'_>, _)| release.publish_step(pipeline).time_limit(PATIENCE).spawn();
    let running: Vec<Running> = releases.iter().zip(&pipelines).map(step).collect();
    for (release, running) in releases.iter().zip(running) {
        let finished = running.wait();
        assert_eq!(finished.code, Some(0), "{finished}");
        let file = finished.json(".granary/registry-push.json");
        assert_eq!(file["outcome"], "done", "{finished}");
        is_complete(registry, release, file["candidate"].as_str().unwrap_or_default());
    }
    let candidates = Reader::new(registry).tags(&releases[0].repository("api"));
    let candidates = candidates.iter().filter(|tag| tag.starts_with("0.1.0-rc.")).count();
    assert_eq!(candidates, usize::from(count));
}

/// Publishes one commit as many times at once as `count`, as impatient people do who restart a pipeline; each publishes a candidate of
/// its own or takes another's, and every candidate that is there is complete.
///
/// # Panics
/// Where that does not hold.
pub fn pushers_of_one_commit(registry: &dyn Registry, path: &str, count: u8) {
    let keys = KeyPair::generate();
    let release = Release::of_one(registry, path, 1, FIRST, &keys);
    let restart = |number: u8| {
        let number = FIRST + u64::from(number);
        release
            .pipeline()
            .with("CI_PIPELINE_NUMBER", &number.to_string())
            .with("CI_PIPELINE_PARENT", &FIRST.to_string())
            .with("CI_PIPELINE_RERUNS", "1")
    };
    let pipelines: Vec<_> = (1..=count).map(restart).collect();
    let step = |pipeline| release.publish_step(pipeline).time_limit(PATIENCE).spawn();
    let running: Vec<Running> = pipelines.iter().map(step).collect();
    let mut told = BTreeSet::new();
    for finished in running.into_iter().map(Running::wait) {
        assert_eq!(finished.code, Some(0), "{finished}");
        let file = finished.json(".granary/registry-push.json");
        assert!(file["outcome"] == "done" || file["outcome"] == "unchanged", "{finished}");
        told.insert(file["candidate"].as_str().unwrap_or_default().to_owned());
    }
    let reader = Reader::new(registry);
    let tags = reader.tags(&release.repository("api"));
    let there: BTreeSet<String> = tags.iter().filter(|tag| tag.starts_with("0.1.0-rc.")).cloned().collect();
    assert_eq!(there, told);
    for candidate in &there {
        is_complete(registry, &release, candidate);
    }
}

/// The image with its blobs, under the candidate's tag; the set under the candidate's name and the commit's.
fn is_complete(registry: &dyn Registry, release: &Release<'_>, candidate: &str) {
    let reader = Reader::new(registry);
    let (repository, image) = (release.repository("api"), &release.images()["api"]);
    assert_eq!(reader.manifest(&format!("{repository}:{candidate}")), image.manifests()[0].bytes);
    for blob in image.blobs() {
        assert_eq!(reader.blob(&repository, &blob.digest), blob.bytes, "{candidate}");
    }
    let short = format!("sha-{}", &release.commit()[..7]);
    assert_eq!(reader.digest(&format!("{repository}:{short}")), image.digest(), "{candidate}");
    for name in [candidate, release.commit()] {
        let set = reader.json(&format!("{repository}:set-{name}")).to_string();
        assert!(set.contains(release.commit()) && set.contains(image.digest()), "{set}");
    }
}

fn listed(seen: &[Seen]) -> String {
    let writes = seen.iter().filter(|request| request.is_write());
    writes.map(|request| format!("{request}\n")).collect()
}
