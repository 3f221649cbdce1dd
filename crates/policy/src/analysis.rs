//! Analyses: an AnalysisTemplate's metrics, which the gates crate judges.

use std::collections::BTreeMap;

use granary_gates::analysis::{Analysis, InvalidMetricField, RawAnalysis};
use url::Url;

use crate::error::Problem;
use crate::health::{address, json};
use crate::reader::Reader;
use crate::yaml::{Entry, Node, shown};

/// An analysis that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisCheck {
    /// The server of metrics that name none; none: the one of the settings.
    pub prometheus: Option<Url>,
    /// What is measured, and what it must be.
    pub analysis: Analysis,
}

pub(crate) fn read(reader: &mut Reader, root: &Node) -> BTreeMap<String, AnalysisCheck> {
    let mut found = BTreeMap::new();
    for Entry { place, key, value } in root.get("analysis").into_iter().flat_map(Node::entries) {
        let path = format!("analysis.{key}");
        // The gates ask for either by its name alone.
        if root.get("health").is_some_and(|health| health.entries().iter().any(|other| other.key == *key)) {
            let path_of_other = format!("health.{key}");
            reader.at(*place, &path, Problem::Taken { name: key.clone(), path: path_of_other });
        }
        let server = value.get("prometheus").and_then(|server| server.get("address"));
        let prometheus = server.map(|node| address(reader, node, &format!("{path}.prometheus.address")));
        for (index, metric) in value.get("metrics").into_iter().flat_map(Node::items).enumerate() {
            let own = metric.get("provider").and_then(|provider| provider.get("prometheus"));
            if let Some(node) = own.and_then(|prometheus| prometheus.get("address")) {
                address(reader, node, &format!("{path}.metrics[{index}].provider.prometheus.address"));
            }
        }
        let Some(analysis) = judged(reader, root, value, &path) else { continue };
        found.insert(key.clone(), AnalysisCheck { prometheus: prometheus.flatten(), analysis });
    }
    found
}

/// `None` where something is wrong, which is then reported.
fn judged(reader: &mut Reader, root: &Node, node: &Node, path: &str) -> Option<Analysis> {
    let mut document = json(node)?;
    // Ours; the original has the server in each metric.
    document.as_object_mut()?.remove("prometheus");
    let raw: RawAnalysis = match serde_json::from_value(document) {
        Ok(raw) => raw,
        // Another layout, which was reported; should the two layouts ever differ, this is the report.
        Err(error) => {
            reader.lacking(node.place, path, Problem::Analysis { found: shown(&error.to_string()) });
            return None;
        }
    };
    let invalid = match Analysis::resolve(&raw, path) {
        Ok(analysis) => return Some(analysis),
        Err(invalid) => invalid,
    };
    for InvalidMetricField { field, value, fault } in invalid {
        let place = root.locate(&field);
        match value {
            Some(value) => {
                let found = format!("`{}` {fault}", shown(&value));
                reader.at(place, &field, Problem::Analysis { found });
            }
            None => reader.lacking(place, &field, Problem::Analysis { found: fault.to_string() }),
        }
    }
    None
}
