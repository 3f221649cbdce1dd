//! `docs.md` says what the plugin does: its table is the code's, its examples name settings that exist,
//! its messages are messages.

use std::path::Path;

use granary_plugin::Plugin as _;
use granary_plugin::docs::{render, splice};
use granary_plugin::settings::Table;
use registry_push::RegistryPush;

const TABLE: Table = Table::new(RegistryPush::GROUPS);

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs.md")).unwrap()
}

#[test]
fn the_settings_table_is_current() {
    let page = page();
    assert!(splice(&page, &render(&TABLE)).unwrap() == page, "stale: `cargo xtask docs` writes it anew");
}

#[test]
fn the_plugin_index_can_read_it() {
    let page = page();
    let (front, _) = page.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    let keys: Vec<&str> = front.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key).collect();
    assert_eq!(keys, ["name", "description", "author", "tags", "containerImage", "containerImageUrl", "url"]);
    assert!(front.contains("\ncontainerImage: registry.celestium.life/plugins/registry-push\n"));
    // The index shows the page alone: a relative link would lead nowhere.
    let links = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default());
    assert_eq!(links.filter(|link| !link.starts_with("https://")).collect::<Vec<_>>(), Vec::<&str>::new());
}

/// A step of an example, as far as it matters here.
struct Step {
    text: String,
    settings: Vec<String>,
    only: Vec<String>,
}

/// The steps of all YAML examples. They are written in one style, so lines are enough.
fn steps() -> Vec<Step> {
    let page = page();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let texts =
        blocks.flat_map(|block| block.split("  - name: ").skip(1).map(str::to_owned).collect::<Vec<_>>());
    texts
        .map(|text| {
            let lines = text.lines().skip_while(|line| *line != "    settings:").skip(1);
            let settings = lines.take_while(|line| line.starts_with("      "));
            let own: Vec<(&str, &str)> = settings
                .filter(|line| !line.starts_with("       "))
                .filter_map(|line| line.trim().split_once(':'))
                .collect();
            let only =
                own.iter().find(|(name, _)| *name == "only").map(|(_, list)| *list).unwrap_or_default();
            let only = only.trim().trim_start_matches('[').trim_end_matches(']');
            Step {
                settings: own
                    .iter()
                    .map(|(name, _)| (*name).to_owned())
                    .filter(|name| name != "only")
                    .collect(),
                only: only.split(',').map(|name| name.trim().to_owned()).collect(),
                text,
            }
        })
        .collect()
}

#[test]
fn examples_name_settings_that_exist_and_only_lists_them_all() {
    let steps = steps();
    assert_eq!(steps.len(), 4, "push, several images, Git tag, manual");
    for step in steps {
        assert!(step.settings.len() >= 5, "{}", step.text);
        assert_eq!(step.settings, step.only, "{}", step.text);
        for name in &step.settings {
            let setting = TABLE.find(name).unwrap_or_else(|| panic!("there is no setting {name}"));
            assert!(setting.not_yet.is_none(), "{name} is not built yet");
        }
        assert!(step.text.contains("    when: { event: "), "an event filter: {}", step.text);
        assert!(!step.text.contains("environment:"), "such a step would be no plugin: {}", step.text);
        assert!(!step.text.contains("commands:"), "{}", step.text);
    }
}

/// Each message of the page is in a snapshot of what the plugin really said.
#[test]
fn messages_of_the_troubleshooting_table_occur() {
    let said = [
        include_str!("publish.rs"),
        include_str!("kinds.rs"),
        include_str!("refusals.rs"),
        include_str!("several.rs"),
        include_str!("events.rs"),
        include_str!("sequence.rs"),
        include_str!("sets.rs"),
        include_str!("../../src/settings/tests.rs"),
    ]
    .concat()
    .replace("\\\n", "");
    // A text that goes on in the next line of a test's source.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
    let page = page();
    let (_, table) = page.split_once("## Troubleshooting\n").unwrap();
    let messages: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once(" | "))
        .flat_map(|(cell, _)| cell.split('`').filter(|part| !part.is_empty() && *part != " … "))
        .collect();
    assert!(messages.len() > 15, "{messages:?}");
    for message in messages {
        assert!(said.contains(message), "nothing says `{message}`");
    }
}

/// What an author reads before the first use fits on a few screens.
#[test]
fn the_page_stays_short() {
    let page = page();
    let table = render(&TABLE).lines().count();
    let text = page.lines().count() - table;
    assert!(text <= 235, "{text} lines beside the table");
}
