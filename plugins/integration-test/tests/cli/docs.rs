//! `docs.md` says what the binary does: its table, its examples, its messages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use granary_plugin::Plugin as _;
use granary_plugin::docs::splice;
use granary_plugin::settings::Table;
use granary_testkit::process::Run;
use integration_test::IntegrationTest;

const PAGE: &str = include_str!("../../docs.md");
const IMAGE: &str = "registry.celestium.life/plugins/integration-test";
/// What Woodpecker's `when: event` takes.
const EVENTS: [&str; 9] = [
    "push",
    "pull_request",
    "pull_request_closed",
    "pull_request_metadata",
    "tag",
    "deployment",
    "cron",
    "manual",
    "release",
];

#[test]
fn the_settings_table_is_current() {
    let finished = Run::new(env!("CARGO_BIN_EXE_integration-test")).arg("--settings-markdown").output();
    let wanted = splice(PAGE, &finished.stdout).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs.md"), &wanted).unwrap();
    }
    assert!(wanted == PAGE, "docs.md is stale: UPDATE_EXPECTED=1 writes it anew");
}

#[test]
fn the_front_matter_is_what_the_plugin_index_reads() {
    let matter = PAGE.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).unwrap().0;
    let keys: Vec<&str> = matter.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(keys, ["name", "description", "author", "tags", "containerImage", "containerImageUrl", "url"]);
    assert!(matter.contains(&format!("\ncontainerImage: {IMAGE}\n")), "{matter}");
    let beside = splice(PAGE, "").unwrap();
    assert!(beside.lines().count() < 400, "{} lines", beside.lines().count());
}

/// A step of an example: the lines between its dash and the next, without their indentation.
fn steps() -> Vec<Vec<&'static str>> {
    let mut steps: Vec<Vec<&str>> = Vec::new();
    for block in PAGE.split("```yaml\n").skip(1) {
        let block = block.split_once("\n```").unwrap().0;
        for line in block.lines() {
            match line.strip_prefix("  - name: ") {
                Some(name) => steps.push(vec![name]),
                None => {
                    if let (Some(step), Some(line)) = (steps.last_mut(), line.strip_prefix("    ")) {
                        step.push(line);
                    }
                }
            }
        }
    }
    steps
}

/// The keys below `settings:`, and the items of `only`.
fn settings<'a>(step: &[&'a str]) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let below = step.iter().skip_while(|line| **line != "settings:").skip(1);
    let pairs: Vec<(&str, &str)> = below
        .map_while(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_once(':').unwrap())
        .collect();
    let only = pairs.iter().find(|(name, _)| *name == "only").map_or("", |(_, list)| list.trim());
    let only = only.trim_matches(['[', ']']).split(", ").collect();
    (pairs.into_iter().map(|(name, _)| name).filter(|name| *name != "only").collect(), only)
}

#[test]
fn every_step_of_the_examples_uses_settings_that_exist_and_names_them_in_only() {
    let table = Table::new(IntegrationTest::GROUPS);
    let mut plugin_steps = 0;
    for step in steps() {
        let shown = step.join("\n");
        let image = step.iter().find_map(|line| line.strip_prefix("image: ")).unwrap();
        let event = step.iter().find_map(|line| line.strip_prefix("when: { event: "));
        let event = event.unwrap_or_else(|| panic!("no event:\n{shown}"));
        let event = event.trim_end_matches(" }").trim_end_matches(", branch: main");
        for event in event.trim_matches(['[', ']']).split(", ") {
            assert!(EVENTS.contains(&event), "{event}:\n{shown}");
        }
        if !image.starts_with("registry.celestium.life/plugins/") {
            assert!(step.contains(&"commands:"), "{shown}");
            continue;
        }
        assert!(!step.contains(&"environment:"), "{shown}");
        let (used, only) = settings(&step);
        assert_eq!(used, only, "{shown}");
        if image == IMAGE {
            plugin_steps += 1;
            for name in used {
                let setting = table.find(name).unwrap_or_else(|| panic!("no setting {name}:\n{shown}"));
                assert!(setting.name == name && setting.not_yet.is_none(), "{name}:\n{shown}");
            }
        }
    }
    assert_eq!(plugin_steps, 9);
}

/// Rust sources below some folders, as one text, with line continuations of literals undone.
fn sources() -> String {
    fn read(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => read(&path, text),
                false => text.push_str(&std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for folder in ["src", "../../crates/suite/src", "../../crates/plugin/src", "../../crates/attest/src"] {
        read(&root.join(folder), &mut text);
    }
    text
}

#[test]
fn the_messages_that_are_explained_occur() {
    let sources = sources();
    let rows = PAGE.split_once("## Troubleshooting\n").unwrap().1;
    let messages: Vec<&str> = rows
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| ``")?.split_once("`` |"))
        .map(|(message, _)| message)
        .collect();
    assert!(messages.len() >= 10, "{messages:?}");
    for message in messages {
        for part in
            message.split('…').map(|part| part.trim_matches([' ', ':'])).filter(|part| !part.is_empty())
        {
            assert!(sources.contains(part), "nothing says `{part}` of `{message}`");
        }
    }
}
