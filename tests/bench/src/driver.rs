//! `granary-bench-driver`: the registry crate as a program, so that it is measured as the peers are, with start and end.
//!
//! ```text
//! granary-bench-driver tag HOST/REPO:TAG NEW-TAG…
//! granary-bench-driver nothing
//! granary-bench-driver copy [--referrers] HOST/REPO:TAG HOST/REPO:TAG
//! ```
//!
//! No product: registries on this machine only, no credentials.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the benchmark")]

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::try_join;
use granary_net::{Deadline, Http, HttpOptions};
use granary_oci::{Digest, ParseNameError, RawManifest, Repository, Tag, TagOrDigest};
use granary_registry::{CopyOptions, PlanOptions, Registry, RegistryError, RegistryOptions};

const PATIENCE: Duration = Duration::from_secs(120);

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
enum DriverError {
    #[error("usage: granary-bench-driver tag REFERENCE TAG… | copy [--referrers] SOURCE TARGET")]
    Usage,
    #[error("not HOST/REPOSITORY:TAG: {text}")]
    Reference { text: String },
    #[error("{0} is not there")]
    Missing(String),
    #[error(transparent)]
    Name(#[from] ParseNameError),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match words.as_slice() {
                ["tag", reference, tags @ ..] => tag(reference, tags).await,
                ["copy", "--referrers", source, target] => copy(source, target, true).await,
                // What starting and ending costs: the floor of all that is measured.
                ["nothing"] => Ok(String::new()),
                ["copy", source, target] => copy(source, target, false).await,
                _ => Err(DriverError::Usage.into()),
            }
        })
    });
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut next: Option<&dyn Error> = Some(&*error);
            while let Some(error) = next {
                eprintln!("{error}");
                next = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// A tag in a registry.
struct Place {
    registry: Registry,
    repository: Repository,
    tag: Tag,
}

impl Place {
    fn parse(text: &str, http: &Http) -> Result<Self, DriverError> {
        let wrong = || DriverError::Reference { text: text.to_owned() };
        let (host, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (repository, tag) = rest.split_once(':').ok_or_else(wrong)?;
        let options = RegistryOptions::new(Deadline::after(PATIENCE));
        let registry = Registry::new(host.parse()?, http.clone(), options);
        Ok(Self { registry, repository: repository.parse()?, tag: tag.parse()? })
    }

    async fn manifest(&self) -> Result<Option<RawManifest>, RegistryError> {
        self.registry.manifest(&self.repository, &TagOrDigest::from(&self.tag)).await
    }

    async fn head(&self) -> Result<Option<Digest>, RegistryError> {
        let found = self.registry.head_manifest(&self.repository, &TagOrDigest::from(&self.tag)).await?;
        Ok(found.map(|descriptor| descriptor.digest))
    }

    async fn referrers(&self, subject: &Digest) -> Result<BTreeSet<Digest>, RegistryError> {
        let found = self.registry.referrers(&self.repository, subject, None).await?;
        Ok(found.into_iter().map(|descriptor| descriptor.digest).collect())
    }
}

async fn tag(reference: &str, tags: &[&str]) -> Result<String, Box<dyn Error>> {
    let place = Place::parse(reference, &Http::new(HttpOptions::default())?)?;
    let tags = tags.iter().map(|tag| tag.parse::<Tag>()).collect::<Result<Vec<_>, _>>()?;
    let manifest = place.manifest().await?;
    let manifest = manifest.ok_or_else(|| DriverError::Missing(reference.to_owned()))?;
    place.registry.put_tags(&place.repository, &manifest, &tags).await?;
    Ok(manifest.digest().to_string())
}

/// As promotion does it: the source is read and the target looked at, and what is there is not sent again.
async fn copy(source: &str, target: &str, referrers: bool) -> Result<String, Box<dyn Error>> {
    let http = Http::new(HttpOptions::default())?;
    let (from, mut to) = (Place::parse(source, &http)?, Place::parse(target, &http)?);
    if from.registry.is_same_as(&to.registry) {
        // One client: one pool of connections, and blobs are mounted.
        to.registry = from.registry.clone();
    }
    let (manifest, present) = try_join(from.manifest(), to.head()).await?;
    let manifest = manifest.ok_or_else(|| DriverError::Missing(source.to_owned()))?;
    let top = manifest.digest().clone();
    if present.as_ref() == Some(&top) {
        let same = match referrers {
            true => {
                let (there, here) = try_join(from.referrers(&top), to.referrers(&top)).await?;
                there.is_subset(&here)
            }
            false => true,
        };
        if same {
            return Ok(format!("unchanged {top}"));
        }
    }
    let reading = CopyOptions { referrers, ..CopyOptions::default() };
    let content = from.registry.read_content_of(&from.repository, &manifest, &reading).await?;
    let options = PlanOptions { top_absent: present.is_none(), ..PlanOptions::default() };
    to.registry.push_content(&to.repository, &content, options).await?;
    to.registry.put_tags(&to.repository, &manifest, &[to.tag]).await?;
    Ok(format!("copied {top}"))
}
