//! Reading a whole image from a repository, to be pushed into another one.

use std::collections::{HashMap, HashSet};

use futures_util::future::{try_join, try_join_all};
use granary_oci::{Descriptor, Digest, Manifest, RawManifest, Repository, TagOrDigest};

use crate::blob_source::BlobSource;
use crate::client::Registry;
use crate::error::{ProtocolProblem, RegistryError};
use crate::manifests::shown;
use crate::transfer::Content;

/// Manifests in one image with its referrers; an index of thirty platforms with ten attestations each
/// stays below.
const MAX_MANIFESTS: usize = 1000;

/// What to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyOptions {
    /// Also what refers to the image and to its platform manifests. What refers to referrers stays behind.
    pub referrers: bool,
}

/// One manifest and what was found about it.
struct Node {
    raw: RawManifest,
    manifest: Manifest,
    referrers: Vec<Descriptor>,
}

impl Registry {
    /// Reads the manifests of an image, level by level with all of a level at once, and names this
    /// repository as the source of its blobs: mounted where source and target are one registry, else
    /// streamed through.
    ///
    /// # Errors
    /// Also if a manifest is missing.
    pub async fn read_content(
        &self,
        repository: &Repository,
        top: &Digest,
        options: &CopyOptions,
    ) -> Result<Content, RegistryError> {
        let mut nodes: HashMap<Digest, Node> = HashMap::new();
        let mut level = vec![(top.clone(), options.referrers)];
        while !level.is_empty() {
            if nodes.len() + level.len() > MAX_MANIFESTS {
                let operation = self.operation("reading image", repository, format!("@{top}"), false);
                return Err(operation.problem(ProtocolProblem::TooManyPages { limit: MAX_MANIFESTS }));
            }
            let read = level.iter().map(|(digest, referrers)| self.read_node(repository, digest, *referrers));
            let found = try_join_all(read).await?;
            let mut next: Vec<(Digest, bool)> = Vec::new();
            for node in &found {
                // Children carry referrers of their own; referrers are taken as they are.
                let children =
                    node.manifest.manifests.iter().map(|child| (child.digest.clone(), options.referrers));
                next.extend(children);
                next.extend(node.referrers.iter().map(|referrer| (referrer.digest.clone(), false)));
            }
            nodes.extend(found.into_iter().map(|node| (node.raw.digest().clone(), node)));
            let mut known = HashSet::new();
            next.retain(|(digest, _)| !nodes.contains_key(digest) && known.insert(digest.clone()));
            level = next;
        }
        Ok(self.assemble(repository, top, &nodes))
    }

    async fn read_node(
        &self,
        repository: &Repository,
        digest: &Digest,
        with_referrers: bool,
    ) -> Result<Node, RegistryError> {
        let target = TagOrDigest::from(digest);
        let listing = async {
            match with_referrers {
                true => self.referrers(repository, digest, None).await,
                false => Ok(Vec::new()),
            }
        };
        let (raw, referrers) = try_join(self.manifest(repository, &target), listing).await?;
        let operation = || Box::new(self.operation("reading manifest", repository, shown(&target), false));
        let raw = raw.ok_or_else(|| RegistryError::Missing { operation: operation() })?;
        let parsed = raw.parse();
        let manifest = parsed
            .map_err(|source| RegistryError::Manifest { operation: operation(), source: Box::new(source) })?;
        Ok(Node { raw, manifest, referrers })
    }

    /// Puts everything in the order in which it has to be pushed.
    fn assemble(&self, repository: &Repository, top: &Digest, nodes: &HashMap<Digest, Node>) -> Content {
        let mut order: Vec<Digest> = Vec::new();
        in_order(top, nodes, &mut order);
        // Referrers of everything so far; they have none themselves, so one pass is enough. An index among
        // them brings its children.
        let referrers: Vec<Digest> = order
            .iter()
            .filter_map(|digest| nodes.get(digest))
            .flat_map(|node| node.referrers.iter().map(|referrer| referrer.digest.clone()))
            .collect();
        for referrer in &referrers {
            in_order(referrer, nodes, &mut order);
        }
        let source = BlobSource::Remote { registry: self.clone(), repository: repository.clone() };
        let mut blobs: Vec<(Descriptor, BlobSource)> = Vec::new();
        let mut known = HashSet::new();
        for node in order.iter().filter_map(|digest| nodes.get(digest)) {
            let new = node.manifest.blobs().filter(|blob| known.insert(blob.digest.clone()));
            blobs.extend(new.map(|blob| (blob.clone(), source.clone())));
        }
        let manifests =
            order.iter().filter_map(|digest| nodes.get(digest)).map(|node| node.raw.clone()).collect();
        Content { manifests, blobs, top: top.clone() }
    }
}

/// Children first. Ends, since digests cannot form a circle.
fn in_order(digest: &Digest, nodes: &HashMap<Digest, Node>, order: &mut Vec<Digest>) {
    let Some(node) = nodes.get(digest).filter(|_| !order.contains(digest)) else { return };
    for child in &node.manifest.manifests {
        in_order(&child.digest, nodes, order);
    }
    order.push(digest.clone());
}
