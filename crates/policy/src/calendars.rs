//! What the policy adds to built-in calendars.

use std::sync::Arc;

use granary_gates::{Calendar, Overrides, RawDay, RawOverrides, US_EQUITIES};

use crate::files::Files;
use crate::layout::{self, OVERRIDES};
use crate::reader::Reader;
use crate::yaml::{self, Kind, Node};

/// The calendars that windows may name: all that are built in, with what is added to them.
pub(crate) fn read(reader: &mut Reader, root: &Node, files: &mut Files<'_>) -> Vec<Arc<Calendar>> {
    // New York is in the embedded data, which a test of gates reads whole.
    let Ok(calendar) = Calendar::us_equities() else { return Vec::new() };
    let overrides = root
        .get("calendars")
        .and_then(|calendars| calendars.get(US_EQUITIES))
        .and_then(|calendar| calendar.get("overrides"));
    let overrides = overrides.and_then(|node| match node.kind() {
        Kind::Text => in_file(reader, node, files),
        _ => inline(reader, root, node),
    });
    let calendar = match overrides {
        Some(overrides) => calendar.with(&overrides),
        None => calendar,
    };
    vec![Arc::new(calendar)]
}

const PATH: &str = "calendars.us-equities.overrides";

fn inline(reader: &mut Reader, root: &Node, node: &Node) -> Option<Overrides> {
    let mut raw = raw(node);
    raw.calendar.get_or_insert_with(|| US_EQUITIES.to_owned());
    reader.gates(root, Overrides::resolve(&raw, PATH))
}

/// A file of its own, with errors of its own.
fn in_file(reader: &mut Reader, node: &Node, files: &mut Files<'_>) -> Option<Overrides> {
    let (path, content) = files.named(reader, node, PATH)?;
    let (root, faults) = yaml::load(content);
    let mut own = Reader::new(&path, faults);
    let found = root.and_then(|root| {
        layout::check(&OVERRIDES, &mut own, &root);
        own.layout_is_checked();
        own.gates(&root, Overrides::resolve(&raw(&root), ""))
    });
    files.wrong(own);
    found
}

fn raw(node: &Node) -> RawOverrides {
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let days = |key: &str| {
        let day = |node: &Node| RawDay {
            date: text(node, "date"),
            reason: text(node, "reason"),
            close: text(node, "close"),
        };
        node.get(key).into_iter().flat_map(Node::items).map(day).collect()
    };
    RawOverrides {
        calendar: text(node, "calendar"),
        version: text(node, "version"),
        closed: days("closed"),
        early_close: days("early_close"),
        open: days("open"),
    }
}
