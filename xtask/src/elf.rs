//! Whether an executable is static, read from its program headers: neither `file` nor `ldd` has to be there, and `ldd` runs
//! what it looks at.

/// Bytes that are no executable of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ElfError {
    /// Another system's, or none at all.
    #[error("not a 64-bit little-endian ELF file")]
    Foreign,
    /// It ends too early.
    #[error("the program headers lie beyond the end of the file")]
    Truncated,
}

/// The segment that names the dynamic linker.
const PT_INTERP: u32 = 3;

/// The dynamic linker that a file asks for; `None` for a static one.
pub(crate) fn interpreter(file: &[u8]) -> Result<Option<String>, ElfError> {
    // e_ident: magic, ELFCLASS64, ELFDATA2LSB.
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err(ElfError::Foreign);
    }
    let table = offset(file, 0x20)?;
    let entry_size = usize::from(u16::from_le_bytes(bytes(file, 0x36)?));
    let entries = usize::from(u16::from_le_bytes(bytes(file, 0x38)?));
    for entry in 0..entries {
        let header = table.checked_add(entry * entry_size).ok_or(ElfError::Truncated)?;
        if u32::from_le_bytes(bytes(file, header)?) == PT_INTERP {
            let start = offset(file, header + 0x08)?;
            let end = start.checked_add(offset(file, header + 0x20)?).ok_or(ElfError::Truncated)?;
            let name = file.get(start..end).ok_or(ElfError::Truncated)?;
            return Ok(Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()));
        }
    }
    Ok(None)
}

fn offset(file: &[u8], at: usize) -> Result<usize, ElfError> {
    usize::try_from(u64::from_le_bytes(bytes(file, at)?)).map_err(|_| ElfError::Truncated)
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    let end = at.checked_add(N).ok_or(ElfError::Truncated)?;
    file.get(at..end).and_then(|slice| slice.try_into().ok()).ok_or(ElfError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one program header of this type, which covers the text at the end.
    fn elf(segment: u32, text: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 0x40 + 0x38];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x20..0x28].copy_from_slice(&0x40_u64.to_le_bytes());
        file[0x36..0x38].copy_from_slice(&0x38_u16.to_le_bytes());
        file[0x38..0x3a].copy_from_slice(&1_u16.to_le_bytes());
        file[0x40..0x44].copy_from_slice(&segment.to_le_bytes());
        file[0x48..0x50].copy_from_slice(&0x78_u64.to_le_bytes());
        file[0x60..0x68].copy_from_slice(&(text.len() as u64).to_le_bytes());
        file.extend_from_slice(text);
        file
    }

    #[test]
    fn only_an_interpreter_makes_a_file_dynamic() {
        let linker = Some("/lib64/ld-linux-x86-64.so.2".to_owned());
        assert_eq!(interpreter(&elf(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0")), Ok(linker));
        // PT_DYNAMIC alone: a static-pie relocates itself.
        assert_eq!(interpreter(&elf(2, b"")), Ok(None));
    }

    #[test]
    fn what_is_no_elf_is_refused() {
        let file = elf(PT_INTERP, b"/lib\0");
        for (bytes, error) in [
            (b"#!/bin/sh".to_vec(), ElfError::Foreign),
            (Vec::new(), ElfError::Foreign),
            (file[..0x50].to_vec(), ElfError::Truncated),
            (file[..0x7a].to_vec(), ElfError::Truncated),
        ] {
            assert_eq!(interpreter(&bytes), Err(error));
        }
    }

    #[test]
    fn this_test_itself_is_read() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let linker = interpreter(&own).unwrap();
        assert!(linker.is_none_or(|linker| linker.starts_with('/')));
    }
}
