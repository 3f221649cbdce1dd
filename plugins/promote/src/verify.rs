//! `action: verify`: reads back what is on record about a digest, a candidate or a version, and says whether
//! it fits together (DESIGN §1, the auditor). Writes nothing, and asks for no right to.
//!
//! Two chains meet in the release set: evidence, signed by whoever tests, says what was tested; the summary,
//! signed by whoever promotes, says which version it became, when, and on which of that evidence. `settings`
//! (what is asked) → `find` (from any digest or tag to a set) → `read` (what is attached to it) → `chain`
//! (pure: does it hold?) → `show`.

mod chain;
mod find;
mod read;
mod settings;
mod show;

use granary_attest::trust::TrustedKey;
use granary_plugin::{Context, Failure, Kind, Outcome};

use crate::load_keys;
use crate::sites::Sites;

pub(crate) use chain::at;
pub use settings::{Asked, Settings, resolve};

/// One verification under way.
struct Verification<'a> {
    context: &'a Context,
    settings: &'a Settings,
    sites: &'a Sites,
    /// Whose word on tests counts.
    testers: &'a [TrustedKey],
    /// Whose word on promotions counts.
    promoters: &'a [TrustedKey],
}

/// Verifies.
///
/// # Errors
/// With exit code 14 where a chain does not hold, and as every reader of a registry.
pub async fn run(settings: &Settings, context: &Context) -> Result<Outcome, Failure> {
    let testers = load_keys(&settings.trusted_keys, "trusted_keys", context)?;
    let promoters = load_keys(&settings.promoter_keys, "promoter_keys", context)?;
    if let Some(both) = promoters.iter().find(|key| testers.iter().any(|other| other.key == key.key)) {
        let message = format!("`{}` in `promoter_keys` is in `trusted_keys` as well", both.name);
        return Err(Failure::new(Kind::Settings, message)
            .hint("whoever tests must not promote: one stolen key would be enough for both chains"));
    }
    let sites = Sites::connect(&settings.registry, settings.target.as_ref(), None, context)?;
    let verification =
        Verification { context, settings, sites: &sites, testers: &testers, promoters: &promoters };
    let found = verification.find().await?;
    let chain = verification.read(found).await?;
    show::chain(context, &sites, &chain)?;
    let version = chain.holds(&settings.evidence).map_err(|broken| show::refusal(&chain, broken))?;
    show::held(context, &chain, version);
    Ok(Outcome::Unchanged)
}
