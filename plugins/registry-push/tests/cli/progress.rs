//! What a long transfer says of itself.

use std::time::Duration;

use granary_testkit::registry::{Action, Fault, Options, Registry};

use crate::{image, step};

/// Longer than a log goes without a line.
const SLOW: Duration = Duration::from_millis(5500);

/// `5.2 KiB` and the like, in bytes.
fn size(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap();
    let factor = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        other => panic!("{other}"),
    };
    number.parse::<f64>().unwrap() * factor
}

/// A mount that the registry refuses is a blob to send: the total has it by the time its bytes move.
#[test]
fn what_is_sent_never_exceeds_the_total() {
    let registry = Registry::start(Options { mounts: false, ..Options::default() });
    registry.put_image("ci/api", &["11"], &image(2));
    let run = step("push.plugin", &registry);
    image(1).write_layout(&run.workspace().join("build/web"), "latest");
    let sources = format!("oci:build/web,image:{}/ci/api:11", registry.host());
    let run = run.plugin("repo", "acme/{name}").plugin("sources", &sources);
    // All of one image, and a blob of the other, are there before the line is printed.
    registry.fault(Fault::on("PUT", "/v2/acme/api/blobs/uploads/", Action::Delay(SLOW)).times(3));
    let finished = run.output();
    assert_eq!(finished.code, Some(0), "{finished}");
    let lines = finished.stdout.lines().filter_map(|line| line.strip_prefix("pushing 2 images: "));
    let mut shown = 0;
    for line in lines {
        let (sent, rest) = line.split_once(" of ").unwrap();
        let total = rest.split_once(',').unwrap().0;
        assert!(size(sent) <= size(total), "{line}");
        assert!(size(total) > size("5.9 KiB"), "more than one image: {line}");
        shown += 1;
    }
    assert!(shown > 0, "{finished}");
}
