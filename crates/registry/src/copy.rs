//! Reading a whole image from a repository, to be pushed into another one.

use std::collections::{HashMap, HashSet, VecDeque};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use granary_oci::{Descriptor, Digest, Manifest, RawManifest, Repository, TagOrDigest};

use crate::blob_source::BlobSource;
use crate::client::Registry;
use crate::content::Content;
use crate::error::{Operation, ProtocolProblem, RegistryError};

/// Manifests in one image with everything that refers to it; an index of thirty platforms with ten
/// attestations each stays below.
const MAX_MANIFESTS: usize = 1000;

/// Bytes of all these manifests, which are held in memory. They have a few KB each.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// Also what refers to the image, to its platform manifests, and to what refers to those: the
    /// signature of an SBOM comes along.
    pub referrers: bool,
    /// Referrers that stay where they are.
    pub leave_out: Option<LeaveOut>,
}

/// Referrers that are not to be copied, told by what their listing says of them: they are not even read. A
/// listing that gives no annotations, as some registries without the referrers API have it, leaves out none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveOut {
    /// Those with this annotation, whatever its value,
    pub annotation: &'static str,
    /// except this one.
    pub except: Option<String>,
}

impl LeaveOut {
    fn means(&self, referrer: &Descriptor) -> bool {
        let value = referrer.annotations.as_ref().and_then(|all| all.get(self.annotation));
        value.is_some_and(|value| self.except.as_ref() != Some(value))
    }
}

/// Why a manifest is read.
#[derive(Clone)]
enum Why {
    Asked,
    ListedBy(Digest),
    RefersTo(Digest),
}

/// One request to make.
enum Task {
    Manifest(Digest, Why),
    Referrers(Digest),
}

/// What it brought.
enum Found {
    Manifest(RawManifest, Why),
    Referrers(Digest, Vec<Descriptor>),
}

/// What has been read and what is still to be read. Nothing waits for a whole level: what a manifest
/// names is asked for as soon as it is known, and each digest once, so no list can lead in a circle.
struct Reading<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    top: &'a Digest,
    options: &'a CopyOptions,
    seen: HashSet<Digest>,
    queue: VecDeque<Task>,
    manifests: HashMap<Digest, RawManifest>,
    referrers: HashMap<Digest, Vec<Digest>>,
    bytes: usize,
}

impl Registry {
    /// Reads the manifests of an image, breadth first with as many requests at once as the registry is
    /// allowed, and names this repository as the source of its blobs: mounted where source and target
    /// are one registry, else streamed through.
    ///
    /// # Errors
    /// Also if a manifest is missing, or there are too many. A manifest that is listed as a referrer and
    /// names another subject is left out: nobody would find it from there.
    pub async fn read_content(
        &self,
        repository: &Repository,
        top: &Digest,
        options: &CopyOptions,
    ) -> Result<Content, RegistryError> {
        let mut reading = Reading::new(self, repository, top, options);
        reading.add(top, Why::Asked)?;
        reading.run().await?;
        Ok(reading.content())
    }

    /// The same for an image whose top has been read before, which saves that request and its round trip.
    ///
    /// # Errors
    /// As [`Registry::read_content`].
    pub async fn read_content_of(
        &self,
        repository: &Repository,
        top: &RawManifest,
        options: &CopyOptions,
    ) -> Result<Content, RegistryError> {
        let mut reading = Reading::new(self, repository, top.digest(), options);
        reading.seen.insert(top.digest().clone());
        if options.referrers {
            reading.queue.push_back(Task::Referrers(top.digest().clone()));
        }
        reading.take(Found::Manifest(top.clone(), Why::Asked))?;
        reading.run().await?;
        Ok(reading.content())
    }

    async fn read_task(&self, repository: &Repository, task: Task) -> Result<Found, RegistryError> {
        let (digest, why) = match task {
            Task::Referrers(subject) => {
                let listed = self.referrers(repository, &subject, None).await?;
                return Ok(Found::Referrers(subject, listed));
            }
            Task::Manifest(digest, why) => (digest, why),
        };
        let found = self.manifest(repository, &TagOrDigest::from(&digest)).await?;
        match found {
            Some(raw) => Ok(Found::Manifest(raw, why)),
            None => Err(RegistryError::Missing { operation: self.reading(repository, &digest, &why) }),
        }
    }

    fn reading(&self, repository: &Repository, digest: &Digest, why: &Why) -> Box<Operation> {
        let target = match why {
            Why::Asked => format!("@{digest}"),
            Why::ListedBy(index) => format!("@{digest}, which index {index} lists"),
            Why::RefersTo(subject) => format!("@{digest}, which is listed as a referrer of {subject}"),
        };
        Box::new(self.operation("reading manifest", repository, target, false))
    }
}

impl<'a> Reading<'a> {
    fn new(
        registry: &'a Registry,
        repository: &'a Repository,
        top: &'a Digest,
        options: &'a CopyOptions,
    ) -> Self {
        Reading {
            registry,
            repository,
            top,
            options,
            seen: HashSet::new(),
            queue: VecDeque::new(),
            manifests: HashMap::new(),
            referrers: HashMap::new(),
            bytes: 0,
        }
    }

    async fn run(&mut self) -> Result<(), RegistryError> {
        let (registry, repository) = (self.registry, self.repository);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < registry.inner().limit.most()
                && let Some(task) = self.queue.pop_front()
            {
                running.push(registry.read_task(repository, task));
            }
            match running.next().await {
                Some(found) => self.take(found?)?,
                None => return Ok(()),
            }
        }
    }

    /// Puts a manifest on the list of what is to be read, unless it is there.
    fn add(&mut self, digest: &Digest, why: Why) -> Result<(), RegistryError> {
        if !self.seen.insert(digest.clone()) {
            return Ok(());
        }
        if self.seen.len() > MAX_MANIFESTS {
            return Err(self.problem(ProtocolProblem::TooManyManifests { limit: MAX_MANIFESTS }));
        }
        // The list first: where nothing is known of the registry yet, the first request goes alone, and
        // this one decides how all the others of its kind are made.
        if self.options.referrers {
            self.queue.push_back(Task::Referrers(digest.clone()));
        }
        self.queue.push_back(Task::Manifest(digest.clone(), why));
        Ok(())
    }

    fn take(&mut self, found: Found) -> Result<(), RegistryError> {
        match found {
            Found::Referrers(subject, mut listed) => {
                if let Some(leave_out) = &self.options.leave_out {
                    listed.retain(|entry| !leave_out.means(entry));
                }
                for entry in &listed {
                    self.add(&entry.digest, Why::RefersTo(subject.clone()))?;
                }
                self.referrers.insert(subject, listed.into_iter().map(|entry| entry.digest).collect());
            }
            Found::Manifest(raw, why) => {
                let manifest = raw.parse().map_err(|source| RegistryError::Manifest {
                    operation: self.registry.reading(self.repository, raw.digest(), &why),
                    source: Box::new(source),
                })?;
                self.bytes += raw.bytes().len();
                if self.bytes > MAX_BYTES {
                    return Err(self.problem(ProtocolProblem::LargeManifests { limit: MAX_BYTES }));
                }
                for child in &manifest.manifests {
                    self.add(&child.digest, Why::ListedBy(raw.digest().clone()))?;
                }
                self.manifests.insert(raw.digest().clone(), raw);
            }
        }
        Ok(())
    }

    fn problem(&self, problem: ProtocolProblem) -> RegistryError {
        let target = format!("@{}", self.top);
        self.registry.operation("reading image", self.repository, target, false).problem(problem)
    }

    /// Everything in the order in which it has to be pushed.
    fn content(mut self) -> Content {
        let mut order: Vec<Digest> = Vec::new();
        let mut placed: HashSet<Digest> = HashSet::new();
        self.place(self.top, &mut placed, &mut order);
        // Referrers of what has a place get theirs behind it, and their own referrers behind them.
        let mut next = 0;
        while let Some(subject) = order.get(next).cloned() {
            for referrer in self.referrers.get(&subject).into_iter().flatten() {
                let of = self.named(referrer).and_then(|manifest| manifest.subject.as_ref());
                if of.is_some_and(|of| of.digest == subject) {
                    self.place(referrer, &mut placed, &mut order);
                }
            }
            next += 1;
        }
        let (registry, repository) = (self.registry.clone(), self.repository.clone());
        let source = BlobSource::Remote { registry, repository };
        let (mut manifests, mut blobs, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for raw in order.iter().filter_map(|digest| self.manifests.remove(digest)) {
            let new = raw
                .parse()
                .into_iter()
                .flat_map(Manifest::blobs)
                .filter(|blob| known.insert(blob.digest.clone()));
            blobs.extend(new.map(|blob| (blob.clone(), source.clone())));
            manifests.push(raw);
        }
        Content { manifests, blobs, top: self.top.clone() }
    }

    fn named(&self, digest: &Digest) -> Option<&Manifest> {
        self.manifests.get(digest)?.parse().ok()
    }

    /// Children first. Ends, since digests cannot form a circle.
    fn place(&self, digest: &Digest, placed: &mut HashSet<Digest>, order: &mut Vec<Digest>) {
        let Some(manifest) = self.named(digest).filter(|_| !placed.contains(digest)) else {
            return;
        };
        for child in &manifest.manifests {
            self.place(&child.digest, placed, order);
        }
        placed.insert(digest.clone());
        order.push(digest.clone());
    }
}
