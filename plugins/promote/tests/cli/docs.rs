//! The page of the plugin index says what the binary does.

use std::collections::BTreeSet;

use granary_plugin::docs::{render, splice};
use granary_plugin::settings::Table;
use granary_plugin::{Plugin, docs};

const PAGE: &str = include_str!("../../docs.md");
const TABLE: Table = Table::new(<promote::Promote as Plugin>::GROUPS);

#[test]
fn the_settings_table_is_current() {
    let page = splice(PAGE, &render(&TABLE)).unwrap();
    assert!(page == PAGE, "`cargo run -q -p promote -- --settings-markdown` has another table than docs.md");
    assert!(PAGE.contains(docs::BEGIN) && PAGE.starts_with("---\nname: Granary promote\n"));
}

/// Lines of each YAML block.
fn examples() -> Vec<Vec<&'static str>> {
    PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().lines().collect()).collect()
}

#[test]
fn every_example_uses_settings_that_exist_and_lists_them_in_only() {
    let examples = examples();
    assert_eq!(examples.len(), 8);
    for lines in examples {
        let shown = lines.join("\n");
        let start = lines.iter().position(|line| *line == "    settings:").unwrap();
        let inside = lines[start + 1..].iter().take_while(|line| line.starts_with("      "));
        let mut used = BTreeSet::new();
        let mut only = BTreeSet::new();
        for (name, value) in inside
            .filter(|line| !line.starts_with("       "))
            .map(|line| line.trim().split_once(':').unwrap())
        {
            match name {
                "only" => only.extend(value.trim().trim_matches(['[', ']']).split(", ").map(str::to_owned)),
                name => {
                    let setting = TABLE.settings().find(|setting| setting.name == name);
                    assert!(setting.is_some_and(|setting| setting.not_yet.is_none()), "{name} in\n{shown}");
                    used.insert(name.to_owned());
                }
            }
        }
        assert_eq!(used, only, "{shown}");
        assert!(shown.contains("\n    when:\n      - event: ") && !shown.contains("environment:"), "{shown}");
        assert_eq!(shown.matches("image:").count(), 1, "one step in each:\n{shown}");
    }
}
