//! `peel` against repositories that the `git` program made.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use granary_git::{
    CommittedError, MAX_NESTED_TAGS, ObjectError, PeelError, Peeled, StoreError, check_committed, peel,
};
use tempfile::TempDir;

/// A folder for one test, with a repository of one commit in `work`.
struct Workspace {
    home: TempDir,
    commit: String,
}

impl Workspace {
    fn new() -> Self {
        let mut workspace = Self { home: TempDir::new().unwrap(), commit: String::new() };
        fs::create_dir(workspace.path()).unwrap();
        workspace.git(&["init", "--quiet", "--initial-branch=main"]);
        workspace.commit = workspace.new_commit("first");
        workspace
    }

    fn path(&self) -> PathBuf {
        self.home.path().canonicalize().unwrap().join("work")
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.path(), arguments, b"")
    }

    /// Runs git with nothing of the machine's or user's configuration; returns standard output, trimmed.
    fn git_in(&self, folder: &Path, arguments: &[&str], input: &[u8]) -> String {
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
            .envs([("GIT_AUTHOR_DATE", "1700000000 +0000"), ("GIT_COMMITTER_DATE", "1700000000 +0000")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn new_commit(&self, message: &str) -> String {
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes a tag object of `target` and returns its id.
    fn tag_object(&self, target: &str, kind: &str, name: &str) -> String {
        let text = format!(
            "object {target}\ntype {kind}\ntag {name}\ntagger Ada <ada@example.com> 1700000000 +0000\n\nx\n"
        );
        self.git_in(&self.path(), &["hash-object", "-t", "tag", "-w", "--stdin"], text.as_bytes())
    }

    fn loose(&self, id: &str) -> PathBuf {
        self.path().join(".git/objects").join(&id[..2]).join(&id[2..])
    }

    /// Replaces the loose object `id` by the bytes of another file.
    fn overwrite(&self, id: &str, bytes: &[u8]) {
        fs::remove_file(self.loose(id)).unwrap();
        fs::write(self.loose(id), bytes).unwrap();
    }

    fn peel(&self, object: &str) -> Result<Peeled, PeelError> {
        peel(&self.path(), object)
    }
}

fn peeled(commit: &str, through_tags: &[&str]) -> Peeled {
    Peeled { commit: commit.to_owned(), through_tags: through_tags.iter().map(ToString::to_string).collect() }
}

#[test]
fn lightweight_annotated_signed_and_nested() {
    let workspace = Workspace::new();
    let commit = workspace.commit.clone();
    workspace.git(&["tag", "v1.0.0"]);
    workspace.git(&["tag", "-a", "v1.0.1", "-m", "annotated"]);
    workspace.git(&["tag", "-a", "v1.0.2", "-m", "tag of a tag", "v1.0.1"]);
    let lightweight = workspace.git(&["rev-parse", "v1.0.0"]);
    let annotated = workspace.git(&["rev-parse", "v1.0.1"]);
    let nested = workspace.git(&["rev-parse", "v1.0.2"]);
    let signed_text = format!(
        "object {commit}\ntype commit\ntag v1.0.3\ntagger Ada <ada@example.com> 1700000000 +0000\n\nobject {nested}\n\
         type tree\n-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n-----END PGP SIGNATURE-----\n"
    );
    let signed = workspace.git_in(
        &workspace.path(),
        &["hash-object", "-t", "tag", "-w", "--stdin"],
        signed_text.as_bytes(),
    );

    let check = || {
        assert_eq!(workspace.peel(&lightweight).unwrap(), peeled(&commit, &[]));
        assert_eq!(workspace.peel(&annotated).unwrap(), peeled(&commit, &[&annotated]));
        assert_eq!(workspace.peel(&nested).unwrap(), peeled(&commit, &[&nested, &annotated]));
        assert_eq!(workspace.peel(&signed).unwrap(), peeled(&commit, &[&signed]));
        assert_eq!(workspace.peel(&signed.to_uppercase()).unwrap(), peeled(&commit, &[&signed]));
    };
    check();
    workspace.git(&["update-ref", "refs/tags/v1.0.3", &signed]);
    workspace.git(&["gc", "--quiet", "--prune=now"]);
    assert!(!workspace.loose(&annotated).exists(), "the objects are packed now");
    check();
}

#[test]
fn neither_head_nor_refs_nor_replacements_are_asked() {
    let workspace = Workspace::new();
    let commit = workspace.commit.clone();
    workspace.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    let tag = workspace.git(&["rev-parse", "v1.0.0"]);
    let other = workspace.new_commit("second");
    workspace.git(&["update-ref", "refs/tags/v1.0.0", &other]);
    workspace.git(&["replace", &commit, &other]);
    let other_tag = workspace.tag_object(&other, "commit", "v1.0.0");
    workspace.git(&["replace", &tag, &other_tag]);
    fs::write(workspace.path().join(".git/HEAD"), "no ref at all\n").unwrap();
    assert_eq!(workspace.peel(&tag).unwrap(), peeled(&commit, &[&tag]));
}

#[test]
fn configuration_owner_and_extensions_do_not_matter() {
    let workspace = Workspace::new();
    let config = workspace.path().join(".git/config");
    for text in [
        "[core]\nrepositoryformatversion = 1\n[extensions]\npartialClone = origin\n",
        "[core]\nrepositoryformatversion = 1\n[extensions]\nfromTheFuture = yes\n",
        "[[ not a configuration",
    ] {
        fs::write(&config, text).unwrap();
        assert_eq!(workspace.peel(&workspace.commit).unwrap(), peeled(&workspace.commit, &[]), "{text}");
    }
    // The clone step of a pipeline often runs as another user; only root can set that up here.
    if std::os::unix::fs::chown(workspace.path(), Some(12345), None).is_ok() {
        std::os::unix::fs::chown(workspace.path().join(".git"), Some(12345), None).unwrap();
        assert_eq!(workspace.peel(&workspace.commit).unwrap(), peeled(&workspace.commit, &[]));
    }
}

#[test]
fn partial_clone() {
    let workspace = Workspace::new();
    workspace.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    let tag = workspace.git(&["rev-parse", "v1.0.0"]);
    workspace.git(&["config", "uploadpack.allowFilter", "true"]);
    let source = format!("file://{}", workspace.path().display());
    workspace.git_in(
        workspace.home.path(),
        &["clone", "--quiet", "--filter=tree:0", "--no-checkout", &source, "partial"],
        b"",
    );
    let partial = workspace.home.path().join("partial");
    assert_eq!(peel(&partial, &tag).unwrap(), peeled(&workspace.commit, &[&tag]));
}

#[test]
fn trees_and_blobs_are_no_commits() {
    let workspace = Workspace::new();
    let tree = workspace.git(&["rev-parse", "HEAD^{tree}"]);
    let blob = workspace.git_in(&workspace.path(), &["hash-object", "-w", "--stdin"], b"text");
    let tree_tag = workspace.tag_object(&tree, "tree", "tree");
    let blob_tag = workspace.tag_object(&blob, "blob", "blob");
    let outer = workspace.tag_object(&blob_tag, "tag", "outer");
    for (object, expected_id, expected_kind, expected_tags) in [
        (&blob, &blob, "blob", vec![]),
        (&tree_tag, &tree, "tree", vec![tree_tag.clone()]),
        (&outer, &blob, "blob", vec![outer.clone(), blob_tag.clone()]),
    ] {
        match workspace.peel(object) {
            Err(PeelError::NotACommit { id, kind, through_tags }) => {
                assert_eq!((&id, kind, through_tags), (expected_id, expected_kind, expected_tags));
            }
            other => panic!("{object}: {other:?}"),
        }
    }
}

#[test]
fn chains_of_tags_are_bounded() {
    let workspace = Workspace::new();
    let mut tag = workspace.tag_object(&workspace.commit, "commit", "t");
    for _ in 1..MAX_NESTED_TAGS {
        tag = workspace.tag_object(&tag, "tag", "t");
    }
    assert_eq!(workspace.peel(&tag).unwrap().through_tags.len(), 8);
    let one_more = workspace.tag_object(&tag, "tag", "t");
    assert!(
        matches!(workspace.peel(&one_more), Err(PeelError::TooManyTags { object }) if object == one_more)
    );
}

#[test]
fn a_forged_object_is_refused() {
    let workspace = Workspace::new();
    workspace.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    let tag = workspace.git(&["rev-parse", "v1.0.0"]);
    let other = workspace.new_commit("second");
    let forged = workspace.tag_object(&other, "commit", "v1.0.0");

    // A whole, valid object under another's name: what somebody who wants another commit promoted would write.
    workspace.overwrite(&tag, &fs::read(workspace.loose(&forged)).unwrap());
    let error = workspace.peel(&tag).unwrap_err();
    assert_eq!(error.to_string(), format!("object {tag} is corrupt: its content does not have that hash"));
    assert!(matches!(error, PeelError::Object(ObjectError::HashMismatch { .. })));

    // The commit at the end of the way is checked like the tags.
    let through = workspace.tag_object(&workspace.commit, "commit", "v2");
    workspace.overwrite(&workspace.commit, &fs::read(workspace.loose(&other)).unwrap());
    assert!(
        matches!(workspace.peel(&through), Err(PeelError::Object(ObjectError::HashMismatch { id })) if id == workspace.commit)
    );
}

#[test]
fn a_damaged_object_is_refused() {
    let workspace = Workspace::new();
    workspace.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    let tag = workspace.git(&["rev-parse", "v1.0.0"]);
    let whole = fs::read(workspace.loose(&tag)).unwrap();
    for position in [2, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        workspace.overwrite(&tag, &damaged);
        let result = workspace.peel(&tag);
        assert!(
            matches!(
                result,
                Err(PeelError::Object(ObjectError::Unreadable { .. } | ObjectError::HashMismatch { .. }))
            ),
            "byte {position}: {result:?}"
        );
    }
    workspace.overwrite(&tag, b"");
    assert!(matches!(workspace.peel(&tag), Err(PeelError::Object(ObjectError::Unreadable { .. }))));
}

#[test]
fn missing_object_and_missing_repository() {
    let workspace = Workspace::new();
    let absent = "0123456789abcdef0123456789abcdef01234567";
    for id in [absent, "0000000000000000000000000000000000000000"] {
        match workspace.peel(id) {
            Err(PeelError::Object(ObjectError::Missing { id: named })) => assert_eq!(named, id),
            other => panic!("{other:?}"),
        }
    }
    let dangling = workspace.tag_object(absent, "commit", "dangling");
    assert!(
        matches!(workspace.peel(&dangling), Err(PeelError::Object(ObjectError::Missing { id })) if id == absent)
    );

    let empty = TempDir::new().unwrap();
    fs::create_dir(workspace.path().join("sub")).unwrap();
    for folder in [empty.path().to_owned(), empty.path().join("absent"), workspace.path().join("sub")] {
        let result = peel(&folder, &workspace.commit);
        assert!(
            matches!(&result, Err(PeelError::Store(StoreError::NoRepository { workspace })) if *workspace == folder),
            "{result:?}"
        );
    }
}

#[test]
fn sha256_repository() {
    let workspace = Workspace::new();
    let other = workspace.home.path().join("sha256");
    fs::create_dir(&other).unwrap();
    workspace.git_in(&other, &["init", "--quiet", "--object-format=sha256"], b"");
    workspace.git_in(&other, &["commit", "--quiet", "--allow-empty", "-m", "x"], b"");
    let commit = workspace.git_in(&other, &["rev-parse", "HEAD"], b"");
    assert!(matches!(peel(&other, &commit), Err(PeelError::Sha256Repository { object }) if object == commit));
    let short = &commit[..40];
    assert!(matches!(peel(&other, short), Err(PeelError::Object(ObjectError::Missing { .. }))));
}

#[test]
fn a_git_file_may_point_inside_the_workspace_only() {
    let workspace = Workspace::new();
    let path = workspace.path();
    let commit = workspace.commit.clone();
    fs::rename(path.join(".git"), path.join("elsewhere")).unwrap();
    fs::write(path.join(".git"), "gitdir: ./elsewhere\n").unwrap();
    assert_eq!(workspace.peel(&commit).unwrap(), peeled(&commit, &[]));

    // A worktree inside its repository's folder is outside when it is itself the workspace.
    fs::remove_file(path.join(".git")).unwrap();
    fs::rename(path.join("elsewhere"), path.join(".git")).unwrap();
    workspace.git(&["worktree", "add", "--quiet", "--detach", "tree"]);
    let result = peel(&path.join("tree"), &commit);
    assert!(matches!(result, Err(PeelError::Store(StoreError::OutsideWorkspace { .. }))), "{result:?}");

    let outside = workspace.home.path().canonicalize().unwrap().join("outside");
    fs::rename(path.join(".git"), &outside).unwrap();
    fs::write(path.join(".git"), "gitdir: ../outside\n").unwrap();
    let error = workspace.peel(&commit).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "refusing to read {}: {} leads out of the workspace",
            outside.display(),
            path.join(".git").display()
        )
    );
    fs::remove_file(path.join(".git")).unwrap();
    std::os::unix::fs::symlink(&outside, path.join(".git")).unwrap();
    assert!(matches!(workspace.peel(&commit), Err(PeelError::Store(StoreError::OutsideWorkspace { .. }))));

    fs::remove_file(path.join(".git")).unwrap();
    fs::write(path.join(".git"), "ref: refs/heads/main\n").unwrap();
    assert!(matches!(workspace.peel(&commit), Err(PeelError::Store(StoreError::BadPointer { .. }))));
}

#[test]
fn linked_worktree_of_a_repository_in_the_workspace() {
    let workspace = Workspace::new();
    let path = workspace.path();
    workspace.git(&["worktree", "add", "--quiet", "--detach", "tree"]);
    // The workspace's .git is the worktree's: its objects are found through `commondir`.
    let administration = path.join(".git/worktrees/tree");
    fs::rename(path.join(".git"), path.join("main.git")).unwrap();
    let moved = path.join("main.git").join(administration.strip_prefix(path.join(".git")).unwrap());
    fs::write(path.join(".git"), format!("gitdir: {}\n", moved.display())).unwrap();
    assert_eq!(workspace.peel(&workspace.commit).unwrap(), peeled(&workspace.commit, &[]));
}

#[test]
fn borrowed_objects_are_refused() {
    let workspace = Workspace::new();
    let source = workspace.path().display().to_string();
    workspace.git_in(workspace.home.path(), &["clone", "--quiet", "--shared", &source, "shared"], b"");
    let shared = workspace.home.path().join("shared");
    let result = peel(&shared, &workspace.commit);
    assert!(matches!(result, Err(PeelError::Store(StoreError::Alternates { .. }))), "{result:?}");

    fs::write(workspace.path().join(".git/objects/info/alternates"), "# none\n\n").unwrap();
    assert_eq!(workspace.peel(&workspace.commit).unwrap(), peeled(&workspace.commit, &[]));
}

#[test]
fn a_file_counts_only_as_the_commit_has_it() {
    let workspace = Workspace::new();
    let key = Path::new("infra/keys/tests.pub");
    fs::create_dir_all(workspace.path().join("infra/keys")).unwrap();
    fs::write(workspace.path().join(key), "the key").unwrap();
    std::os::unix::fs::symlink("keys/tests.pub", workspace.path().join("infra/link")).unwrap();
    workspace.git(&["add", "."]);
    let commit = workspace.new_commit("key");
    let check = |commit: &str, path: &Path, bytes: &str| {
        check_committed(&workspace.path(), commit, path, bytes.as_bytes())
    };

    check(&commit, key, "the key").unwrap();
    assert!(matches!(check(&commit, key, "another key"), Err(CommittedError::Changed { .. })));
    // Staged, and even committed by a step on top: the pipeline's commit does not have it.
    fs::write(workspace.path().join(key), "another key").unwrap();
    workspace.git(&["add", "."]);
    workspace.new_commit("forged");
    assert!(matches!(check(&commit, key, "another key"), Err(CommittedError::Changed { .. })));
    assert!(matches!(check(&workspace.commit, key, "the key"), Err(CommittedError::NotThere { .. })));
    for (path, expected) in [
        ("infra/keys", "no file"),
        ("infra/link", "no file"),
        ("infra/link/x", "no file"),
        ("../x", "not a path"),
        ("", "not a path"),
    ] {
        let error = check(&commit, Path::new(path), "the key").unwrap_err().to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    workspace.git(&["gc", "--quiet"]);
    check(&commit, key, "the key").unwrap();
}
