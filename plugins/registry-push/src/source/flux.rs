//! A folder as a Flux artifact: what `flux push artifact` makes, except that equal trees of equal
//! commits have equal digests on every machine.
//!
//! Where Flux lets the host in, this does not: file modes are 0644 or 0755 (there the umask decides),
//! and `created` is the commit's time (there the clock's). The configuration is the constant one of
//! current Flux, which most registries that ever saw a Flux artifact have already.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use granary_oci::{Descriptor, media_type};
use granary_registry::BlobSource;
use tar::{EntryType, Header};

use super::scratch::{BUFFER_BYTES, Packer};
use super::store::absent_or_unreadable;
use super::tree::{Node, NodeKind, Walk};
use super::{Content, Loaded, Problem, Provenance, image_manifest};

/// The configuration of every artifact, byte for byte.
const CONFIG: &str = r#"{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","rootfs":{"type":"layers","diff_ids":null},"config":{}}"#;

const BLOCK: usize = 512;

/// Bytes that a ustar header has for the end of a name and for what stands before it.
const NAME_BYTES: usize = 100;
const PREFIX_BYTES: usize = 155;

/// Largest file: what eleven octal digits can say.
const MAX_FILE_BYTES: u64 = 0o77_777_777_777;

/// Reads `dir:PATH`.
pub(super) fn load(path: &Path, scratch: &Path, provenance: &Provenance) -> Result<Loaded, Problem> {
    let root = fs::canonicalize(path).map_err(|source| absent_or_unreadable(path, source))?;
    if !root.is_dir() {
        return Err(Problem::NotA { path: path.to_owned(), expected: "folder" });
    }
    let mut walk = Walk::new(&root, scratch)?;
    let mut packer = Packer::create(scratch)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut has_file = false;
    while let Some(node) = walk.next()? {
        packer.write(&headers(&node)?)?;
        if let NodeKind::File { size, .. } = node.kind {
            has_file = true;
            append(&root.join(&node.name), size, &mut packer, &mut buffer)?;
        }
    }
    if !has_file {
        return Err(Problem::Empty { what: "file" });
    }
    // The end of the archive.
    packer.write(&[0; 2 * BLOCK])?;
    let packed = packer.finish()?;

    let config = Descriptor::of(media_type::FLUX_CONFIG, CONFIG.as_bytes());
    let layer = Descriptor::new(media_type::FLUX_CONTENT, packed.digest, packed.size);
    let annotations = BTreeMap::from([
        ("org.opencontainers.image.created", provenance.created.as_str()),
        ("org.opencontainers.image.revision", provenance.revision.as_str()),
        ("org.opencontainers.image.source", provenance.source_url.as_str()),
    ]);
    let manifest = image_manifest::build(&config, std::slice::from_ref(&layer), annotations);
    let content = Content {
        top: manifest.digest().clone(),
        manifests: vec![manifest],
        blobs: vec![
            (config, BlobSource::Bytes(Bytes::from_static(CONFIG.as_bytes()))),
            (layer, BlobSource::File { path: packed.path, offset: 0 }),
        ],
    };
    Ok(Loaded { content, skipped: walk.skipped })
}

/// Exactly `size` bytes, as the header has promised, and padding.
fn append(path: &Path, size: u64, packer: &mut Packer, buffer: &mut [u8]) -> Result<(), Problem> {
    let unreadable = |source| Problem::Read { path: path.to_owned(), source };
    // One byte more, to see a file that grew.
    let mut input = File::open(path).map_err(unreadable)?.take(size + 1);
    let mut copied = 0;
    loop {
        match input.read(buffer).map_err(unreadable)? {
            0 => break,
            count => {
                copied += count as u64;
                packer.write(&buffer[..count])?;
            }
        }
    }
    if copied != size {
        return Err(Problem::Changed { path: path.to_owned() });
    }
    packer.write(&padding(size))
}

fn padding(size: u64) -> Vec<u8> {
    let block = BLOCK as u64;
    let missing = size.next_multiple_of(block) - size;
    vec![0; usize::try_from(missing).unwrap_or_default()]
}

/// The header block of a file or folder, and before it a PAX one where ustar cannot hold the name.
fn headers(node: &Node) -> Result<Vec<u8>, Problem> {
    let name = if node.name.is_empty() { "." } else { &node.name };
    let (kind, mode, size) = match node.kind {
        NodeKind::Folder => (EntryType::Directory, 0o755, 0),
        NodeKind::File { size, executable: true } => (EntryType::Regular, 0o755, size),
        NodeKind::File { size, executable: false } => (EntryType::Regular, 0o644, size),
    };
    if size > MAX_FILE_BYTES {
        return Err(Problem::TooLarge { what: format!("`{name}`"), limit: MAX_FILE_BYTES });
    }
    if let Some((prefix, end)) = split_name(name) {
        return Ok(header(prefix, end, kind, mode, size).as_bytes().to_vec());
    }
    let record = pax_record("path", name);
    let mut bytes =
        header("", "PaxHeaders.0", EntryType::XHeader, 0, record.len() as u64).as_bytes().to_vec();
    bytes.extend(record.as_bytes());
    bytes.extend(padding(record.len() as u64));
    // Only for readers that know no PAX; what they see is not the name, so it need not be unique.
    let stand_in: String = name.chars().filter(char::is_ascii).take(NAME_BYTES).collect();
    bytes.extend(header("", &stand_in, kind, mode, size).as_bytes());
    Ok(bytes)
}

fn header(prefix: &str, name: &str, kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    let fields = header.as_ustar_mut().expect("invariant: a ustar header was made");
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    fields.prefix[..prefix.len()].copy_from_slice(prefix.as_bytes());
    fields.set_device_major(0);
    fields.set_device_minor(0);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header
}

/// Where a ustar header can hold the name, what goes into its two fields. It is split at the last
/// possible slash.
fn split_name(name: &str) -> Option<(&str, &str)> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= NAME_BYTES {
        return Some(("", name));
    }
    let reach = name.len().min(PREFIX_BYTES + 1);
    let slash = name[..reach].rfind('/')?;
    let (prefix, end) = (&name[..slash], &name[slash + 1..]);
    (end.len() <= NAME_BYTES).then_some((prefix, end))
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() > rest.to_string().len() {
        length += 1;
    }
    format!("{length} {key}={value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_last_slash_that_fits() {
        let long =
            |parts: &[usize]| parts.iter().map(|&count| "a".repeat(count)).collect::<Vec<_>>().join("/");
        let table: [(&[usize], Option<usize>); 6] = [
            (&[100], Some(0)),
            (&[50, 50], Some(50)),
            (&[155, 100], Some(155)),
            (&[50, 80, 90], Some(131)),
            (&[101], None),
            (&[156, 10], None),
        ];
        for (parts, prefix) in table {
            assert_eq!(split_name(&long(parts)).map(|(prefix, _)| prefix.len()), prefix, "{parts:?}");
        }
        assert_eq!(split_name("grün.yaml"), None);
    }

    #[test]
    fn a_pax_record_counts_its_own_length() {
        assert_eq!(pax_record("path", "abc"), "12 path=abc\n");
        for length in 80..120 {
            let record = pax_record("path", &"a".repeat(length));
            assert_eq!(record.split(' ').next().unwrap(), record.len().to_string());
        }
    }

    #[test]
    fn the_configuration_is_the_one_that_flux_writes() {
        assert_eq!(CONFIG.len(), 115);
        assert_eq!(
            granary_oci::Digest::of(CONFIG.as_bytes()).as_str(),
            "sha256:5b943e2b943f6c81dbbd4e2eca5121f4fcc39139e3d1219d6d89bd925b77d9fe"
        );
    }

    #[test]
    fn a_file_that_grew_or_shrank_since_its_header_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.yaml");
        fs::write(&path, "four").unwrap();
        let append_as = |size| append(&path, size, &mut Packer::create(scratch.path()).unwrap(), &mut [0; 2]);
        assert!(append_as(4).is_ok());
        for size in [0, 3, 5] {
            assert!(matches!(append_as(size), Err(Problem::Changed { .. })), "{size}");
        }
    }
}
