//! What the plugins that work on release sets share: from settings to a registry client, from a commit
//! to its release set, from bundles to test runs, and back.
//!
//! The one place that knows both the plugin contract (`plugin`) and registries (`registry`, `release`,
//! `attest`). It decides nothing: rules are in `release`, orders of writes in the plugins.

mod attach;
mod branches;
mod commit;
mod committed;
mod connect;
mod events;
mod evidence;
mod failures;
mod keys;
mod note;
mod previous;
mod records;
mod repositories;
mod rules;
mod settings;
mod subject;
mod target;
mod transfer;

pub use attach::{PushedBundle, SUMMARY_VERSION, attach_bundle, attach_pushed, push_bundle};
pub use branches::BranchPattern;
pub use commit::{PipelineCommit, pipeline_commit};
pub use committed::is_as_committed;
pub use connect::{CONCURRENCY, connect, connect_elsewhere, http};
pub use events::check_event;
pub use evidence::{Collected, SignedSummary, collect, collect_test_runs};
pub use failures::{registry_failure, set_failure, target_failure};
pub use keys::SigningKeySettings;
pub use note::{note_set, note_set_in, note_tags};
pub use previous::{Previous, previous_result};
pub use records::{Records, check_list};
pub use repositories::{RepositoryTemplate, TemplateError};
pub use rules::rule_text;
pub use settings::RegistrySettings;
pub use subject::Subject;
pub use target::TargetSettings;
pub use transfer::{Sending, transfer_failure, transfer_progress};
