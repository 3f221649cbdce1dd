//! What the plugins that work on release sets share: from settings to a registry client, from a commit
//! to its release set, from bundles to test runs, and back.
//!
//! The one place that knows both the plugin contract (`plugin`) and registries (`registry`, `release`,
//! `attest`). It decides nothing: rules are in `release`, orders of writes in the plugins.

mod branches;
mod commit;
mod connect;
mod evidence;
mod failures;
mod previous;
mod records;
mod repositories;
mod rules;
mod settings;
mod subject;

pub use branches::{BadPattern, BranchPattern};
pub use commit::{PipelineCommit, pipeline_commit};
pub use connect::{CONCURRENCY, connect, connect_elsewhere, http};
pub use evidence::{Collected, attach_bundle, collect_test_runs};
pub use failures::{registry_failure, set_failure};
pub use previous::{Previous, previous_result};
pub use records::Records;
pub use repositories::{RepositoryTemplate, TemplateError};
pub use rules::rule_text;
pub use settings::RegistrySettings;
pub use subject::Subject;
