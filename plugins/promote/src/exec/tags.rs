//! The tags that make a version visible, step by step.

use futures_util::future::join_all;
use granary_oci::TagOrDigest;
use granary_plugin::Failure;

use super::claims::Claims;
use super::{Manifests, Promotion};
use crate::plan::Write;
use crate::report;

impl Promotion<'_> {
    /// Writes the tags, while the claim holds where they stand under one. Every manifest is in hand before the
    /// first tag is written. What was begun is seen through before a step fails, so that the log says what is
    /// there and what is not.
    ///
    /// # Errors
    /// If a registry fails, the run is stopped, or the claim has grown too old.
    pub(super) async fn write(
        &self,
        steps: Vec<Vec<Write>>,
        manifests: &Manifests,
        claims: Option<&Claims<'_>>,
    ) -> Result<(), Failure> {
        let places = |writes: &mut dyn Iterator<Item = &Write>| -> String {
            writes.map(|write| report::place(self.sites, write)).collect::<Vec<_>>().join(", ")
        };
        for (number, step) in steps.iter().enumerate() {
            self.context.stop.check()?;
            let out_of_time = |failure: Failure| {
                let left = places(&mut steps[number..].iter().flatten());
                let done = places(&mut steps[..number].iter().flatten());
                let done = if done.is_empty() { "nothing that can be seen".to_owned() } else { done };
                failure
                    .hint(format!("written: {done}"))
                    .hint(format!("not written: {left}; run it again, it continues there"))
            };
            let puts = join_all(step.iter().map(|write| self.put(write, manifests)));
            let ends = match claims {
                Some(claims) => {
                    let version = claims.version();
                    claims.check_deadline(version).map_err(out_of_time)?;
                    claims.in_time(version, puts).await.map_err(out_of_time)?
                }
                None => puts.await,
            };
            let failed = step.iter().zip(&ends).filter(|(_, end)| end.is_err()).map(|(write, _)| write);
            let left = places(&mut failed.chain(steps[number + 1..].iter().flatten()));
            if let Some(failure) = ends.into_iter().find_map(Result::err) {
                return Err(failure.hint(format!("not written: {left}; run it again, it continues there")));
            }
        }
        Ok(())
    }

    async fn put(&self, write: &Write, manifests: &Manifests) -> Result<(), Failure> {
        let started = std::time::Instant::now();
        let manifest =
            manifests.get(&write.digest).expect("invariant: manifests() fetched what the steps name");
        let registry = self.sites.registry(write.place.side);
        let (place, tag) = (&write.place.repository, TagOrDigest::from(&write.tag));
        let put = match write.moves {
            true => registry.put_shared(place, &tag, manifest).await,
            false => registry.put_manifest(place, &tag, manifest).await,
        };
        put.map_err(write.place.side.failure())?;
        let line = format!("{} → {}", report::place(self.sites, write), write.digest);
        self.context.output.done_in(line, started.elapsed());
        Ok(())
    }
}
