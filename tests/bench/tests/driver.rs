//! The driver through the proxy, before the registry of the test kit: what the table calls ours, in small.

use std::net::SocketAddr;
use std::process::Command;

use bench::log::Summary;
use bench::material::{REFERRERS, client, release};
use bench::process::measure;
use bench::proxy::{Log, Proxy};
use granary_testkit::registry::{Location, Options, Registry};

struct Stage {
    registry: Registry,
    log: Log,
    proxy: Proxy,
}

impl Stage {
    fn open(options: Options) -> Self {
        let registry = Registry::start(Options { upload_location: Location::Path, ..options });
        let log = Log::default();
        let proxy = Proxy::start(0, SocketAddr::from(([127, 0, 0, 1], registry.port())), &log)
            .expect("loopback has a free port");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a current-thread runtime needs only a poller");
        let release = release(1, REFERRERS).expect("what the kit builds can be read");
        let client = client(&registry.host()).expect("loopback needs no certificates");
        runtime.block_on(release.put(&client, "a/source", "v1")).expect("the registry takes it");
        Self { registry, log, proxy }
    }

    fn run(&self, arguments: &[&str]) -> Summary {
        let mut command = Command::new(env!("CARGO_BIN_EXE_granary-bench-driver"));
        command.args(arguments.iter().map(|word| word.replace("HOST", &self.proxy.host())));
        measure(&mut command).expect("the driver does what it is asked for");
        Summary::of(&self.log.take())
    }
}

#[test]
fn two_tags_take_no_more_requests_than_the_design_grants() {
    // The real 2.8 says in a header that asking for `OCI-Tag` is in vain, and takes 3; the test kit's does not.
    for (options, granted) in [(Options::default(), 2), (Options::docker_registry_2_8(), 4)] {
        let stage = Stage::open(options);
        let summary = stage.run(&["tag", "HOST/a/source:v1", "one", "two"]);
        let tags = stage.registry.tags("a/source");
        assert_eq!((&tags["one"], &tags["two"]), (&tags["v1"], &tags["v1"]));
        assert!(summary.requests <= granted, "{}", summary.breakdown());
    }
}

#[test]
fn a_copy_has_the_referrers_and_the_next_one_finds_nothing_to_do() {
    let stage = Stage::open(Options::default());
    let copy = ["copy", "--referrers", "HOST/a/source:v1", "HOST/a/target:v1"];
    let summary = stage.run(&copy);
    let digest = stage.registry.tags("a/target")["v1"].clone();
    assert_eq!(digest, stage.registry.tags("a/source")["v1"]);
    assert_eq!(stage.registry.referrers("a/target", &digest), stage.registry.referrers("a/source", &digest));
    assert_eq!(summary.kinds["POST mount"], 16, "nothing is uploaded: {}", summary.breakdown());
    assert!(summary.up < 20_000, "{} bytes", summary.up);
    assert_eq!(stage.run(&copy).requests, 4, "both tags, and what refers to the index on both sides");
    assert_eq!(stage.run(&["copy", "HOST/a/source:v1", "HOST/a/target:v1"]).requests, 2);
}
