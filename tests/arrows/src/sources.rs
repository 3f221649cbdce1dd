//! What can be seen in a source file without compiling it.
//!
//! Test code is what stands in a `#[cfg(test)]` module at the left margin (rustfmt puts its closing brace there too), in a
//! file `tests.rs`, or in a folder `tests`.

use std::fs;
use std::path::{Path, PathBuf};

/// No file of the code that is shipped is longer.
pub const MOST_LINES: usize = 600;

/// What a pure crate does not say outside its tests: the clock, the environment, files, processes, sockets
/// (addresses are data).
/// (`now`, randomness and the environment are arguments.)
pub const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
];

/// One source file that is not test code.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// The lines that are not test code.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let mut lines = self.text.lines().peekable();
        std::iter::from_fn(move || {
            let mut line = lines.next()?;
            while line == "#[cfg(test)]" && lines.peek().is_some_and(|next| opens_module(next)) {
                lines.by_ref().find(|inner| *inner == "}");
                line = lines.next()?;
            }
            Some(line)
        })
    }

    /// What is wrong with any file: no word on what it is for, or too long.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let path = self.path.display();
        if !self.text.starts_with("//! ") {
            problems
                .push(format!("{path}: does not open with `//!`: its job, what it refuses, who may use it"));
        }
        let lines = self.lines().count();
        if lines > MOST_LINES {
            problems
                .push(format!("{path}: {lines} lines without tests, at most {MOST_LINES}; split it by job"));
        }
        problems
    }

    /// Where a file of a pure crate reaches out.
    #[must_use]
    pub fn impurities(&self) -> Vec<String> {
        let said = self.lines().filter(|line| !line.trim_start().starts_with("//"));
        said.flat_map(|line| IMPURE.iter().filter(move |word| line.contains(**word)))
            .map(|word| format!("{}: {word} in a pure crate", self.path.display()))
            .collect()
    }
}

/// True for `mod tests {` and its like, false for `mod tests;`.
fn opens_module(line: &str) -> bool {
    (line.starts_with("mod ") || line.starts_with("pub(crate) mod ")) && line.ends_with('{')
}

/// Every `.rs` file below `folder` that is not test code, in order of path.
///
/// # Panics
/// Where a folder or file cannot be read.
#[must_use]
pub fn below(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "tests" {
            found.extend(below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push(Source { path, text });
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "src/x.rs".into(), text: text.to_owned() }
    }

    #[test]
    fn test_modules_do_not_count() {
        let text = "//! X.\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n";
        assert_eq!(source(text).lines().collect::<Vec<_>>(), ["//! X.", "fn a() {}", "fn c() {}"]);
        // A module in a file of its own ends at the semicolon; what follows is code.
        let apart = "#[cfg(test)]\nmod tests;\nfn a() {}\n";
        assert_eq!(source(apart).lines().count(), 3);
    }

    #[test]
    fn silent_and_long_files_are_found() {
        assert_eq!(source("//! X.\n").problems(), Vec::<String>::new());
        assert_eq!(
            source("use std::fmt;\n").problems(),
            ["src/x.rs: does not open with `//!`: its job, what it refuses, who may use it"]
        );
        let long = format!("//! X.\n{}", "fn a() {}\n".repeat(MOST_LINES));
        assert_eq!(
            source(&long).problems(),
            ["src/x.rs: 601 lines without tests, at most 600; split it by job"]
        );
        let tested =
            format!("//! X.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn a() {}\n".repeat(MOST_LINES));
        assert_eq!(source(&tested).problems(), Vec::<String>::new());
    }

    #[test]
    fn clocks_and_files_are_found_in_code_and_not_in_comments_or_tests() {
        let text = "//! X.\n/// std::fs is for others.\nlet now = Timestamp::now();\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(source(text).impurities(), ["src/x.rs: Timestamp::now in a pure crate"]);
    }
}
