//! A Git repository in a temporary folder, made with the `git` program.
//!
//! Nothing of the machine leaks in: no configuration, no hooks, no `GIT_*`. Author, committer and dates are fixed, one second later
//! with each commit or tag, so the ids are the same on every run.
//!
//! ```
//! use granary_testkit::git::Repository;
//!
//! let mut repository = Repository::new();
//! let commit = repository.commit("README", "hello\n", "first");
//! let tag_object = repository.annotated_tag("v1.2.3", "release");
//! assert_ne!(commit, tag_object, "an annotated tag is an object of its own");
//! assert_eq!(repository.rev_parse("v1.2.3^{commit}"), commit);
//! ```

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// 2026-01-01T00:00:00Z, the date of the first commit.
const EPOCH_SECONDS: u64 = 1_767_225_600;

/// A repository with a work tree and the branch `main`; removed when dropped.
#[derive(Debug)]
pub struct Repository {
    folder: TempDir,
    clock: u64,
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

impl Repository {
    /// An empty repository.
    ///
    /// # Panics
    /// Where there is no `git` program, or no temporary folder.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let repository = Self { folder, clock: EPOCH_SECONDS };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// The work tree; `.git` is below it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and commits it on the current branch. Returns the commit's id.
    ///
    /// # Panics
    /// Where the file cannot be written or Git refuses.
    pub fn commit(&mut self, file: &str, text: &str, message: &str) -> String {
        let file_path = self.path().join(file);
        let parent = file_path.parent().expect("invariant: below the work tree");
        fs::create_dir_all(parent).expect("a folder of the work tree can be created");
        fs::write(&file_path, text).expect("a file of the work tree can be written");
        self.git(&["add", "--", file]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.clock += 1;
        self.rev_parse("HEAD")
    }

    /// Tags `HEAD` without a tag object.
    ///
    /// # Panics
    /// Where the tag exists.
    pub fn tag(&mut self, name: &str) {
        self.git(&["tag", "--", name]);
    }

    /// Tags `HEAD` with a tag object. Returns the object's id, which is what a forge reports as the SHA of the tag event.
    ///
    /// # Panics
    /// Where the tag exists.
    pub fn annotated_tag(&mut self, name: &str, message: &str) -> String {
        self.git(&["tag", "-a", "-m", message, "--", name]);
        self.clock += 1;
        self.rev_parse(&format!("refs/tags/{name}"))
    }

    /// Moves to a branch, creating it at `HEAD` where it does not exist.
    ///
    /// # Panics
    /// Where Git refuses.
    pub fn switch(&self, branch: &str) {
        let known = self.git(&["branch", "--list", "--", branch]);
        let create: &[&str] = if known.is_empty() { &["-c"] } else { &[] };
        self.git(&[&["switch", "--quiet"], create, &[branch]].concat());
    }

    /// Moves every object into one pack and every ref into `packed-refs`; until then all are loose.
    ///
    /// # Panics
    /// Where Git refuses.
    pub fn pack(&self) {
        self.git(&["repack", "-a", "-d", "--quiet"]);
        self.git(&["pack-refs", "--all"]);
        self.git(&["prune-packed", "--quiet"]);
    }

    /// The id that a revision names.
    ///
    /// # Panics
    /// Where it names none.
    #[must_use]
    pub fn rev_parse(&self, revision: &str) -> String {
        self.git(&["rev-parse", "--verify", "--end-of-options", revision])
    }

    /// Runs `git` in the work tree. Returns its standard output without the last newline.
    ///
    /// # Panics
    /// Where it fails, with what it said.
    pub fn git(&self, arguments: &[&str]) -> String {
        let date = format!("{} +0000", self.clock);
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", crate::process::PATH)
            .env("HOME", self.path())
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "Test Author")
            .env("GIT_AUTHOR_EMAIL", "author@example.test")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", "Test Author")
            .env("GIT_COMMITTER_EMAIL", "author@example.test")
            .env("GIT_COMMITTER_DATE", &date)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot run git: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {} failed: {said}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }
}
