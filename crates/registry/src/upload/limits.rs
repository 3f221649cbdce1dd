//! How large ranged chunks may be: what is known of registries beforehand, and what a refusal teaches.

use std::sync::atomic::{AtomicU64, Ordering};

use granary_oci::RegistryHost;

/// The usual size of a ranged chunk. They are sent where a whole upload did not get through, so smaller is
/// better than larger; and ECR takes no smaller ones.
const USUAL_BYTES: u64 = 5 * MIB;

/// Chunks are not halved below this, whatever is refused or breaks: nothing takes so little and works.
const LEAST_BYTES: u64 = MIB;

/// Largest chunk, whatever `OCI-Chunk-Min-Length` asks for: one that breaks is sent again whole.
const MOST_BYTES: u64 = 64 * MIB;

const MIB: u64 = 1024 * 1024;

/// What a registry says about ranged chunks nowhere in its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Smallest but for the last.
    least: u64,
    /// Largest.
    most: u64,
    /// Whether it takes any: where not, an upload that broke begins anew in the way that was tried.
    pub(crate) takes_chunks: bool,
}

impl Known {
    /// What is known of a registry by its name.
    pub(crate) fn of(host: &RegistryHost) -> Self {
        let address = host.to_string();
        let name = address.rsplit_once(':').map_or(address.as_str(), |(name, _)| name);
        let usual = Known { least: LEAST_BYTES, most: MOST_BYTES, takes_chunks: true };
        match name {
            // 416 "exceeds the maximum permissible limit of 4.00MiB" (oci-client#37, ocx-sh/ocx#237).
            "ghcr.io" => Known { most: 4 * MIB, ..usual },
            // Parts below 5 MiB are refused (dotnet/sdk-container-builds#279).
            "public.ecr.aws" => Known { least: 5 * MIB, ..usual },
            name if name.contains(".dkr.ecr.") && name.contains(".amazonaws.com") => {
                Known { least: 5 * MIB, ..usual }
            }
            // Google takes an upload as a whole only (oci-client#177).
            "gcr.io" => Known { takes_chunks: false, ..usual },
            name if name.ends_with(".gcr.io") || name.ends_with("-docker.pkg.dev") => {
                Known { takes_chunks: false, ..usual }
            }
            _ => usual,
        }
    }
}

/// The size of chunks for one registry, or for one upload over a weak line: what is known, and what has been
/// learnt so far.
#[derive(Default)]
pub(crate) struct LearntChunk(AtomicU64);

impl LearntChunk {
    /// Bytes of a chunk in a session that asked for at least `minimum` (`OCI-Chunk-Min-Length`). What the
    /// session asks for counts more than what is known of the registry's name.
    pub(crate) fn bytes(&self, known: Known, minimum: Option<u64>) -> u64 {
        let learnt = match self.0.load(Ordering::Relaxed) {
            0 => USUAL_BYTES,
            learnt => learnt,
        };
        learnt.clamp(known.least, known.most).max(minimum.unwrap_or(0)).min(MOST_BYTES)
    }

    /// A chunk of `refused` bytes was too large, or broke off. Returns whether there is a smaller one to try.
    pub(crate) fn halve(&self, refused: u64, known: Known, minimum: Option<u64>) -> bool {
        let floor = known.least.max(minimum.unwrap_or(0));
        let half = (refused / 2).max(floor);
        let smaller = half < refused;
        if smaller {
            self.0.store(half, Ordering::Relaxed);
        }
        smaller
    }
}

/// The sizes from which on a registry, or a proxy before it, calls a whole upload too large (413), in each of
/// the ways of sending it. That says nothing about smaller ones.
#[derive(Default)]
pub(crate) struct TooLarge([AtomicU64; 2]);

impl TooLarge {
    /// Whether as much has been refused in this way.
    pub(crate) fn refuses(&self, way: usize, size: u64) -> bool {
        self.0.get(way).is_some_and(|least| (1..=size).contains(&least.load(Ordering::Relaxed)))
    }

    /// As much was refused. Returns whether there are other ways.
    pub(crate) fn refused(&self, way: usize, size: u64) -> bool {
        let Some(least) = self.0.get(way) else { return false };
        let smaller = |known: u64| (known == 0 || size < known).then_some(size);
        let _ = least.fetch_update(Ordering::Relaxed, Ordering::Relaxed, smaller);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(host: &str) -> Known {
        Known::of(&host.parse().unwrap())
    }

    #[test]
    fn what_is_known_of_registries() {
        let table = [
            ("registry.example.test:5000", None, 5 * MIB, true),
            ("registry.example.test", Some(8 * MIB), 8 * MIB, true),
            ("registry.example.test", Some(1 << 40), 64 * MIB, true),
            ("ghcr.io", None, 4 * MIB, true),
            ("ghcr.io.example.test", None, 5 * MIB, true),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", None, 5 * MIB, true),
            ("europe-docker.pkg.dev", None, 5 * MIB, false),
            ("eu.gcr.io", None, 5 * MIB, false),
        ];
        for (host, minimum, bytes, takes_chunks) in table {
            let (known, learnt) = (known(host), LearntChunk::default());
            assert_eq!((learnt.bytes(known, minimum), known.takes_chunks), (bytes, takes_chunks), "{host}");
        }
    }

    #[test]
    fn refusals_halve_down_to_the_floor() {
        let (usual, ecr) = (known("registry.example.test"), known("1.dkr.ecr.eu-west-1.amazonaws.com"));
        let learnt = LearntChunk::default();
        let mut sizes = vec![learnt.bytes(usual, None)];
        while learnt.halve(*sizes.last().unwrap(), usual, None) {
            sizes.push(learnt.bytes(usual, None));
        }
        assert_eq!(sizes, [5 * MIB, 5 * MIB / 2, 5 * MIB / 4, MIB]);
        assert!(!LearntChunk::default().halve(5 * MIB, ecr, None), "smaller ones are refused for certain");
        assert!(!LearntChunk::default().halve(6 * MIB, usual, Some(6 * MIB)));
    }
}
