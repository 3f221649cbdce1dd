//! `promotion.yaml`: the rules by which a repository's stages are written.
//!
//! Text in, rules out. The crate is pure: reading the file from the protected branch of a forge, and the
//! files that it names from the same commit, is the caller's business. Every fault is reported, all at once,
//! each with file, line, column, path, and what is accepted; what is not understood is refused.
//!
//! The layout is data (`layout`), from which the reader checks and `docs/schemas/promotion-v1.json` is made.

mod analysis;
mod break_glass;
mod calendars;
mod error;
mod evidence;
mod files;
mod freeze;
mod health;
mod known;
mod layout;
mod lint;
mod loosening;
mod policy;
mod reader;
mod schema;
mod shape;
mod ssh;
mod stage;
mod yaml;

pub use analysis::AnalysisCheck;
pub use break_glass::{BreakGlass, BreakGlassMode, DEFAULT_REASON_MIN, MAX_REQUEST_AGE, Signer};
pub use error::{MAX_ERRORS, Place, PolicyError, Problem};
pub use evidence::{DEFAULT_MAX_AGE, Evidence};
pub use freeze::{DEFAULT_FREEZE_FILE, MAX_FREEZE_BYTES, freeze};
pub use health::{DEFAULT_TIMEOUT, HealthCheck, MAX_TIMEOUT, MustSay};
pub use known::Known;
pub use lint::{Finding, Oddity};
pub use loosening::LOOSENING;
pub use policy::{Policy, Source};
pub use schema::schema;
pub use ssh::{SshAlgorithm, SshKey};
pub use stage::{PUBLISHED, Stage, TESTED};
pub use yaml::{MAX_BYTES, MAX_DEPTH, MAX_VALUES};
