//! An index over a tar file that stays where it is: names, and where their bytes are.
//!
//! Written by hand over the `tar` crate's header type, because three things decide whether a broken
//! archive is seen and the crate's iterator leaves them open: a file that ends before its end marker,
//! metadata (long names, PAX records) of any size taken into memory, and sizes that only a PAX record
//! holds (layers over 8 GiB). Formats: POSIX ustar and pax, GNU long names.
//!
//! Refuses sparse files, devices, absolute names, `..`, and a name that occurs twice. Links are kept as
//! links: [`Archive::resolve`] follows them inside the archive, [`Store::find`] does not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tar::{EntryType, Header};

use super::Problem;
use super::scratch::{self, GZIP_MAGIC, MAX_UNPACKED_BYTES};
use super::store::{Store, Stretch, absent_or_unreadable};

const BLOCK: u64 = 512;

/// Entries of one archive: a thousand manifests with a hundred layers each.
const MAX_ENTRIES: usize = 100_000;

/// Long names and PAX records of one entry, in bytes. Paths end at 4096 on Linux.
const MAX_METADATA_BYTES: u64 = 64 * 1024;

/// Links from one name to the next.
const MAX_LINKS: usize = 8;

/// A tar file and what is where in it.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    File {
        offset: u64,
        size: u64,
    },
    /// To another name in the archive, already made relative to its top.
    Link {
        target: String,
    },
    Folder,
}

impl Archive {
    /// Reads every header of the file. One that is compressed is unpacked into `scratch` first.
    pub(super) fn open(path: &Path, scratch: &Path) -> Result<Self, Problem> {
        let metadata = fs::metadata(path).map_err(|source| absent_or_unreadable(path, source))?;
        if !metadata.is_file() {
            return Err(Problem::NotA { path: path.to_owned(), expected: "file" });
        }
        let read = |source| Problem::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read)?;
        let mut magic = [0; 2];
        let path = match file.read_exact_at(&mut magic, 0) {
            Ok(()) if magic == GZIP_MAGIC => unpack(path, &mut file, scratch)?,
            _ => path.to_owned(),
        };
        let entries = Indexer::new(&path)?.run()?;
        Ok(Archive { path, entries })
    }

    /// Finds a file, by way of links where there are some.
    pub(super) fn resolve(&self, name: &str) -> Result<Stretch, Problem> {
        let mut at = name;
        for _ in 0..=MAX_LINKS {
            match self.entries.get(at) {
                Some(Entry::Link { target }) => at = target,
                _ => return self.find(at),
            }
        }
        Err(Problem::LinkChain { entry: name.to_owned(), limit: MAX_LINKS })
    }
}

impl Store for Archive {
    fn find(&self, entry: &str) -> Result<Stretch, Problem> {
        match self.entries.get(entry) {
            Some(&Entry::File { offset, size }) => Ok(Stretch { path: self.path.clone(), offset, size }),
            Some(Entry::Link { .. } | Entry::Folder) => Err(Problem::NotAFile { entry: entry.to_owned() }),
            None => Err(Problem::Missing { entry: entry.to_owned() }),
        }
    }
}

/// Blobs have to be found by offset, which compressed data does not allow.
fn unpack(path: &Path, file: &mut File, scratch: &Path) -> Result<PathBuf, Problem> {
    let entry = path.display().to_string();
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(scratch::BUFFER_BYTES, file));
    let mut output = scratch::ScratchFile::create(scratch, "archive-", ".tar")?;
    let mut buffer = vec![0; scratch::BUFFER_BYTES];
    let mut unpacked = 0;
    loop {
        let count = match decoder.read(&mut buffer) {
            Ok(0) => return output.keep(),
            Ok(count) => count,
            Err(source) => return Err(Problem::Gzip { entry, source }),
        };
        unpacked += count as u64;
        if unpacked > MAX_UNPACKED_BYTES {
            return Err(Problem::TooLarge {
                what: format!("`{entry}`, unpacked,"),
                limit: MAX_UNPACKED_BYTES,
            });
        }
        output.write(&buffer[..count])?;
    }
}

/// What the entries before a file's own header said about it.
#[derive(Default)]
struct Metadata {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

struct Indexer<'path> {
    path: &'path Path,
    file: File,
    length: u64,
    entries: HashMap<String, Entry>,
}

impl<'path> Indexer<'path> {
    fn new(path: &'path Path) -> Result<Self, Problem> {
        let read = |source: io::Error| Problem::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        Ok(Indexer { path, file, length, entries: HashMap::new() })
    }

    fn run(mut self) -> Result<HashMap<String, Entry>, Problem> {
        let mut offset = 0;
        let mut metadata = Metadata::default();
        // Counts headers, not names: metadata without end is as absurd as files without end.
        for _ in 0..MAX_ENTRIES {
            self.fits("the next header", offset, BLOCK)?;
            let mut block = [0; BLOCK as usize];
            self.read_at(&mut block, offset)?;
            // The format ends with two such blocks; some writers leave it at one.
            if block.iter().all(|&byte| byte == 0) {
                return Ok(self.entries);
            }
            offset = self.entry(offset, Header::from_byte_slice(&block), &mut metadata)?;
        }
        Err(Problem::TooMany { what: "archive entries", limit: MAX_ENTRIES })
    }

    /// Takes in the entry whose header is at `offset`; returns where the next one begins.
    fn entry(&mut self, offset: u64, header: &Header, metadata: &mut Metadata) -> Result<u64, Problem> {
        let bad = |reason| Problem::TarHeader { offset, reason };
        check_sum(header).map_err(bad)?;
        let kind = header.entry_type();
        let is_metadata = matches!(
            kind,
            EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink
        );
        let own_size = header.entry_size().map_err(|_| bad("its size is not a number"))?;
        let size = if is_metadata { own_size } else { metadata.size.unwrap_or(own_size) };
        let data = offset + BLOCK;
        let padded = size.checked_next_multiple_of(BLOCK).ok_or(bad("its size is beyond any file"))?;

        if is_metadata {
            if size > MAX_METADATA_BYTES {
                return Err(Problem::TooLarge {
                    what: format!("the metadata at byte {offset}"),
                    limit: MAX_METADATA_BYTES,
                });
            }
            self.fits("the metadata of an entry", data, padded)?;
            let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
            self.read_at(&mut bytes, data)?;
            match kind {
                EntryType::GNULongName => metadata.name = Some(until_zero(&bytes).to_owned()),
                EntryType::GNULongLink => metadata.link = Some(until_zero(&bytes).to_owned()),
                EntryType::XHeader => read_pax(&bytes, metadata).map_err(bad)?,
                // Records for all entries: tools write comments there (`git archive`: the commit).
                _ => {}
            }
            return Ok(data + padded);
        }

        let Metadata { name, link, .. } = std::mem::take(metadata);
        let raw = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = clean_name(&raw)?;
        self.fits(&format!("`{name}`"), data, padded)?;
        let entry = match kind {
            EntryType::Regular | EntryType::Continuous if !raw.ends_with(b"/") => {
                Entry::File { offset: data, size }
            }
            EntryType::Symlink | EntryType::Link => {
                let target = link.or_else(|| header.link_name_bytes().map(Cow::into_owned));
                Entry::Link { target: link_target(kind, &name, &target.unwrap_or_default())? }
            }
            EntryType::Directory | EntryType::Regular | EntryType::Continuous => Entry::Folder,
            EntryType::GNUSparse => return Err(bad("sparse files are not read")),
            _ => return Err(bad("neither file, folder nor link")),
        };
        // Readers differ on whether such content is there; then they differ on all that follows.
        if !matches!(entry, Entry::File { .. }) && size != 0 {
            return Err(bad("a folder or link with content"));
        }
        let is_folder = matches!(entry, Entry::Folder);
        match self.entries.insert(name.clone(), entry) {
            None => Ok(data + padded),
            Some(Entry::Folder) if is_folder => Ok(data + padded),
            Some(_) => Err(Problem::Twice { entry: name }),
        }
    }

    fn fits(&self, part: &str, offset: u64, size: u64) -> Result<(), Problem> {
        let needed = offset.saturating_add(size);
        match needed <= self.length {
            true => Ok(()),
            false => Err(Problem::Truncated { part: part.to_owned(), needed, found: self.length }),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Problem> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|source| Problem::Read { path: self.path.to_owned(), source })
    }
}

fn check_sum(header: &Header) -> Result<(), &'static str> {
    let field = 148..156;
    let bytes = header.as_bytes();
    let sum: u32 =
        (0..bytes.len()).map(|at| u32::from(if field.contains(&at) { b' ' } else { bytes[at] })).sum();
    match header.cksum() {
        Ok(written) if written == sum => Ok(()),
        _ => Err("its checksum is wrong"),
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Reads `<length> <key>=<value>\n` records (POSIX pax, "pax Extended Header"). By length, since values
/// may hold line breaks.
fn read_pax(mut bytes: &[u8], metadata: &mut Metadata) -> Result<(), &'static str> {
    const BROKEN: &str = "its PAX records are broken";
    while !bytes.is_empty() {
        let space = bytes.iter().position(|&byte| byte == b' ').ok_or(BROKEN)?;
        let digits = std::str::from_utf8(&bytes[..space]).map_err(|_| BROKEN)?;
        let length: usize = digits.parse().map_err(|_| BROKEN)?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(BROKEN);
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(BROKEN)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => metadata.name = Some(value.to_owned()),
            b"linkpath" => metadata.link = Some(value.to_owned()),
            b"size" => {
                let text = std::str::from_utf8(value).map_err(|_| BROKEN)?;
                metadata.size = Some(text.parse().map_err(|_| BROKEN)?);
            }
            key if key.starts_with(b"GNU.sparse.") => return Err("sparse files are not read"),
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(())
}

/// Parts without `.` and doubled slashes, so that `./index.json` is `index.json`.
fn clean_name(raw: &[u8]) -> Result<String, Problem> {
    let refuse = |reason| Problem::EntryName { name: raw.escape_ascii().to_string(), reason };
    let text = std::str::from_utf8(raw).map_err(|_| refuse("it is not UTF-8"))?;
    if text.starts_with('/') {
        return Err(refuse("it is absolute"));
    }
    if text.contains('\0') {
        return Err(refuse("it holds a zero byte"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.contains(&"..") {
        true => Err(refuse("it leaves the archive")),
        false => Ok(parts.join("/")),
    }
}

/// A symbolic link counts from its own folder, a hard link from the top.
fn link_target(kind: EntryType, name: &str, raw: &[u8]) -> Result<String, Problem> {
    let refuse = |reason| Problem::EntryName { name: raw.escape_ascii().to_string(), reason };
    if kind == EntryType::Link {
        return clean_name(raw);
    }
    let text = std::str::from_utf8(raw).map_err(|_| refuse("it is not UTF-8"))?;
    if text.starts_with('/') {
        return Err(refuse("it is absolute"));
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => parts.pop().map(drop).ok_or_else(|| refuse("it leaves the archive"))?,
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (raw, clean) in
            [("a/b", "a/b"), ("./a//b/", "a/b"), (".", ""), ("./", ""), ("a..b/...", "a..b/...")]
        {
            assert_eq!(clean_name(raw.as_bytes()).unwrap(), clean, "{raw}");
        }
        for bad in [&b"/etc/passwd"[..], b"../x", b"a/../../x", b"a/..", b"a\xff", b"a\0b"] {
            assert!(matches!(clean_name(bad), Err(Problem::EntryName { .. })), "{bad:?}");
        }
    }

    #[test]
    fn links_stay_inside() {
        let symbolic = |name, target: &str| link_target(EntryType::Symlink, name, target.as_bytes());
        assert_eq!(symbolic("id/layer.tar", "../abc.tar").unwrap(), "abc.tar");
        assert_eq!(symbolic("a/b/c", "./d").unwrap(), "a/b/d");
        assert_eq!(link_target(EntryType::Link, "a/b", b"c/d").unwrap(), "c/d");
        for (name, bad) in [("a", "../b"), ("a/b", "../../c"), ("a", "/etc/shadow")] {
            assert!(matches!(symbolic(name, bad), Err(Problem::EntryName { .. })), "{bad}");
        }
        assert!(link_target(EntryType::Link, "a/b", b"../c").is_err());
    }

    #[test]
    fn pax_records_are_read_by_length() {
        let mut metadata = Metadata::default();
        read_pax(b"17 comment=a\nb=c\n12 path=a/b\n19 size=8589934592\n", &mut metadata).unwrap();
        assert_eq!(metadata.name.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(metadata.size, Some(8_589_934_592));
        for bad in [
            &b"x path=a\n"[..],
            b"99 path=a\n",
            b"0 path=a\n",
            b"9 path=ab",
            b"7 patha\n",
            b"10 size=-1\n",
            b"22 GNU.sparse.major=1\n",
        ] {
            assert!(read_pax(bad, &mut Metadata::default()).is_err(), "{}", bad.escape_ascii());
        }
    }
}
