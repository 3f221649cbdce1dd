//! Answers of a real Gitea 1.26.1 (tests/data/README.md).

use granary_forge::{
    At, BranchRules, Class, Forge, ForgeError, ForgeKind, NotContent, ObjectId, Protection, Reachability,
    Rules, Who,
};

use crate::scripted::{Scripted, TOKEN};

const ONE: &str = "b89ce26ece3668a7483b306db02fe85a63420732";
const MAIN: &str = "54ab425bb850301107c04101e875f34626d2fccb";
const FEATURE: &str = "ec1fc94e933b3566ea7ab70379b1ba1421b9aeb3";
const LONELY: &str = "43e54066cd8a357c0576ac11a625689033547f13";
const OLD: &str = "4d4423eb23d57062a7a393a5c73fd20b69851532";
const ANNOTATED: &str = "887923f893d7571e4482cccf8d75ced3647c6648";
const NESTED: &str = "229e4a3bab508fc0aaf9f1d3a77489e5f053db70";
const OF_A_FILE: &str = "2c865378cd4b89ec7aa740fbeaa3911ab87b92f2";
const NOTHING: &str = "0000000000000000000000000000000000000001";

fn id(text: &str) -> ObjectId {
    text.parse().unwrap()
}

async fn gitea(folder: &str) -> (Scripted, Forge) {
    let scripted = Scripted::recorded(&format!("gitea/{folder}")).await;
    let forge = scripted.forge(ForgeKind::Gitea);
    (scripted, forge)
}

#[tokio::test]
async fn a_reader_sees_that_a_branch_is_protected_and_not_how() {
    let (scripted, forge) = gitea("reader").await;
    assert_eq!(forge.default_branch().await.unwrap(), "main");
    let main = forge.branch("main").await.unwrap().unwrap();
    assert_eq!((main.name.as_str(), main.head), ("main", id(MAIN)), "the branch, not the tag of that name");
    let Protection::Protected(Rules::Hidden { why }) = main.protection else {
        panic!("{:?}", main.protection)
    };
    assert_eq!(why, "Gitea shows them to administrators of the repository only");
    assert_eq!(forge.branch("forced").await.unwrap().unwrap().protection, Protection::Unprotected);
    assert!(matches!(
        forge.branch("release/1.x").await.unwrap().unwrap().protection,
        Protection::Protected(_)
    ));
    assert_eq!(forge.branch("none").await.unwrap(), None);
    let authorized = format!("authorization: bearer {TOKEN}\r\n");
    assert!(scripted.asked().iter().all(|asked| asked.head.contains(&authorized)));
}

#[tokio::test]
async fn an_administrator_sees_the_rules() {
    let (_scripted, forge) = gitea("owner").await;
    let rules = async |name: &str| match forge.branch(name).await.unwrap().unwrap().protection {
        Protection::Protected(Rules::Known(rules)) => rules,
        other => panic!("{other:?}"),
    };
    let expected = BranchRules {
        name: "main".to_owned(),
        push: Who::Listed(vec!["user writer".to_owned()]),
        force_push: Who::Nobody,
        approvals: 0,
        binds_administrators: false,
        exempt_files: Vec::new(),
    };
    assert_eq!(rules("main").await, expected);
    let open = rules("prot/a").await;
    assert_eq!((open.name.as_str(), open.push, open.force_push), ("prot/*", Who::Writers, Who::Writers));
    assert_eq!(rules("release/1.x").await.push, Who::Nobody);
}

#[tokio::test]
async fn files_come_with_their_hash() {
    let (_scripted, forge) = gitea("reader").await;
    let file = forge.file("promotion.yaml", &At::Branch("main".to_owned())).await.unwrap().unwrap();
    assert_eq!((file.bytes.as_slice(), file.commit), (&b"version: 1\n"[..], id(MAIN)));
    assert_eq!(file.blob.as_str(), "b82551848c644f63b8517a7bdf8be9a992e6f4da");
    let at = At::Commit(id(MAIN));
    let odd = forge.file("dir with space/ä#?%.txt", &at).await.unwrap().unwrap();
    assert_eq!(odd.bytes, b"x");
    assert_eq!(forge.file("empty", &at).await.unwrap().unwrap().bytes, b"");
    for path in ["none", "none/a", "dir with space/none"] {
        assert_eq!(forge.file(path, &at).await.unwrap(), None, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_file_is_refused_by_name() {
    let (_scripted, forge) = gitea("reader").await;
    let table = [
        ("link.yaml", NotContent::SymbolicLink),
        ("sub", NotContent::Submodule),
        ("sub/a", NotContent::Submodule),
        ("big.bin", NotContent::LfsPointer),
        ("dir with space", NotContent::Folder),
        ("over.bin", NotContent::TooLarge { size: 1_048_577 }),
    ];
    for (path, expected) in table {
        let error = forge.file(path, &At::Commit(id(MAIN))).await.unwrap_err();
        assert_eq!(error.class(), Class::Content, "{path}");
        let ForgeError::Content { problem, .. } = error else { panic!("{path}: {error:?}") };
        assert_eq!(problem, expected, "{path}");
    }
    for path in ["", "/etc/passwd", "../x", "a//b", "a/./b"] {
        let error = forge.file(path, &At::Commit(id(MAIN))).await.unwrap_err();
        assert!(matches!(error, ForgeError::Argument { what: "path", .. }), "{path}: {error}");
    }
}

#[tokio::test]
async fn files_of_what_is_not_there() {
    let (_scripted, forge) = gitea("reader").await;
    let missing = forge.file("promotion.yaml", &At::Branch("none".to_owned())).await.unwrap_err().to_string();
    assert!(missing.contains("reading promotion.yaml on branch none of ci/app"), "{missing}");
    assert!(missing.ends_with("the forge has no branch none"), "{missing}");
    let missing = forge.file("promotion.yaml", &At::Commit(id(NOTHING))).await.unwrap_err().to_string();
    assert!(missing.contains("no commit 0000000"), "{missing}");
    // A tag object's id is not a commit's: what it means is asked for by `peel`.
    assert!(forge.file("promotion.yaml", &At::Commit(id(ANNOTATED))).await.is_err());
}

#[tokio::test]
async fn history() {
    let (_scripted, forge) = gitea("reader").await;
    let table = [
        (ONE, Reachability::Yes),
        (MAIN, Reachability::Yes),
        (FEATURE, Reachability::No),
        (LONELY, Reachability::No),
        // Was on a branch before a force push.
        (OLD, Reachability::No),
        (NOTHING, Reachability::No),
    ];
    for (commit, expected) in table {
        assert_eq!(forge.is_ancestor(&id(commit), &id(MAIN)).await.unwrap(), expected, "{commit}");
    }
    let tagged = forge.is_ancestor(&id(ANNOTATED), &id(MAIN)).await.unwrap();
    assert_eq!(
        tagged,
        Reachability::Unknown { why: format!("{ANNOTATED} is not a commit but a tag of one") }
    );
}

#[tokio::test]
async fn a_branch_that_is_named_like_a_commit_decides_nothing() {
    // Recorded while `refs/heads/<LONELY>` and `refs/tags/<LONELY>` pointed to main, and `refs/heads/<MAIN>`
    // to the commit LONELY: `compare` and `contents?ref=` go by such names (tests/data/README.md).
    let (_scripted, forge) = gitea("named").await;
    assert_eq!(forge.is_ancestor(&id(LONELY), &id(MAIN)).await.unwrap(), Reachability::No);
    assert_eq!(forge.is_ancestor(&id(ONE), &id(MAIN)).await.unwrap(), Reachability::Yes);
    let file = forge.file("promotion.yaml", &At::Commit(id(MAIN))).await.unwrap().unwrap();
    assert_eq!(file.bytes, b"version: 1\n");
    assert_eq!(forge.peel(&id(LONELY)).await.unwrap(), Some(id(LONELY)));
}

#[tokio::test]
async fn a_version_that_did_take_names_for_ids_would_be_seen_through() {
    let scripted = Scripted::start().await;
    let commit = format!(r#"{{"sha":"{LONELY}","parents":[],"commit":{{"message":"x"}}}}"#);
    let flags = "stat=false&verification=false&files=false";
    scripted.json(&format!("/api/v1/repos/ci/app/git/commits/{LONELY}?{flags}"), &commit);
    let list = format!("/api/v1/repos/ci/app/commits?sha={LONELY}&limit=1&page=1&{flags}");
    scripted.json(&format!("{list}&not={MAIN}"), "[]");
    scripted.json(&list, &format!(r#"[{{"sha":"{MAIN}"}}]"#));
    let answer = scripted.forge(ForgeKind::Gitea).is_ancestor(&id(LONELY), &id(MAIN)).await.unwrap();
    assert!(matches!(answer, Reachability::Unknown { .. }), "{answer:?}");
}

#[tokio::test]
async fn commits_and_abbreviations() {
    let (_scripted, forge) = gitea("reader").await;
    let merge = forge.commit(&id(MAIN)).await.unwrap().unwrap();
    assert_eq!((merge.id, merge.parents.len(), merge.message.as_str()), (id(MAIN), 2, "merge\n"));
    assert_eq!(forge.commit(&id(ONE)).await.unwrap().unwrap().parents, []);
    assert_eq!(forge.commit(&id(ANNOTATED)).await.unwrap(), None, "a tag object");
    assert_eq!(forge.commit(&id(NOTHING)).await.unwrap(), None);
    let found = forge.find_commit(&MAIN[..7].to_ascii_uppercase()).await.unwrap().unwrap();
    assert_eq!(found.id, id(MAIN));
    assert_eq!(forge.find_commit("0000000").await.unwrap(), None);
    for text in ["main", "54ab42", "", "54ab425/..", &format!("{MAIN}0")] {
        assert!(matches!(forge.find_commit(text).await, Err(ForgeError::Argument { .. })), "{text}");
    }
}

#[tokio::test]
async fn tags() {
    let (_scripted, forge) = gitea("reader").await;
    let table =
        [("light", ONE, ONE), ("slash/v1", ONE, ONE), ("annot", ANNOTATED, ONE), ("nested", NESTED, ONE)];
    for (name, object, commit) in table {
        let tag = forge.tag(name).await.unwrap().unwrap();
        assert_eq!((tag.name.as_str(), tag.object, tag.commit), (name, id(object), id(commit)));
    }
    assert_eq!(forge.tag("none").await.unwrap(), None);
    assert_eq!(forge.tag("ann").await.unwrap(), None, "Gitea lists what begins alike");
    let error = forge.tag("treetag").await.unwrap_err().to_string();
    assert!(error.ends_with("the tag leads to no commit: it is a tag of a tree"), "{error}");
    assert!(forge.tag("blobtag").await.is_err());
    for (object, commit) in
        [(ONE, Some(ONE)), (ANNOTATED, Some(ONE)), (NESTED, Some(ONE)), (NOTHING, None), (OF_A_FILE, None)]
    {
        assert_eq!(forge.peel(&id(object)).await.unwrap(), commit.map(id), "{object}");
    }
}

#[tokio::test]
async fn answers_about_a_tag_that_do_not_fit_together() {
    let flags = "stat=false&verification=false&files=false";
    let object = |sha: &str, kind: &str, to: &str| {
        format!(r#"{{"sha":"{sha}","object":{{"type":"{kind}","sha":"{to}"}}}}"#)
    };
    for answer in
        [object(ANNOTATED, "commit", MAIN), object(ANNOTATED, "tree", ONE), object(NESTED, "commit", ONE)]
    {
        let scripted = Scripted::start().await;
        let commit = format!(r#"{{"sha":"{ONE}","parents":[],"commit":{{"message":"x"}}}}"#);
        scripted.json(&format!("/api/v1/repos/ci/app/git/commits/{ANNOTATED}?{flags}"), &commit);
        scripted.json(&format!("/api/v1/repos/ci/app/git/tags/{ANNOTATED}"), &answer);
        let error = scripted.forge(ForgeKind::Gitea).peel(&id(ANNOTATED)).await.unwrap_err();
        assert_eq!(error.class(), Class::Protocol, "{answer}: {error}");
    }
}

#[tokio::test]
async fn who_may_not_read_is_told_what_is_missing() {
    let (_scripted, forge) = gitea("scope").await;
    let error = forge.branch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::Auth);
    let error = error.to_string();
    assert!(error.contains("this needs the scope read:repository"), "{error}");
    assert!(error.ends_with("required=[read:repository], token scope=read:issue"), "{error}");
    let (_scripted, forge) = gitea("wrong").await;
    let error = forge.branch("main").await.unwrap_err();
    assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error:?}");
    assert!(error.to_string().ends_with("invalid username, password or token"), "{error}");
    // A private repository: Gitea says 404 to everything.
    let (_scripted, forge) = gitea("anonymous").await;
    for error in [
        forge.default_branch().await.unwrap_err(),
        forge.branch("main").await.unwrap_err(),
        forge.commit(&id(MAIN)).await.unwrap_err(),
        forge.tag("light").await.unwrap_err(),
        forge.peel(&id(ONE)).await.unwrap_err(),
        forge.is_ancestor(&id(ONE), &id(MAIN)).await.unwrap_err(),
        forge.file("promotion.yaml", &At::Branch("main".to_owned())).await.unwrap_err(),
    ] {
        assert!(matches!(error, ForgeError::Hidden { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Auth);
    }
}

#[tokio::test]
async fn an_empty_repository_has_a_default_branch_and_nothing_on_it() {
    let scripted = Scripted::recorded("gitea/reader").await;
    let forge = scripted.client(ForgeKind::Gitea, "ci/void", 1);
    assert_eq!(forge.default_branch().await.unwrap(), "main");
    assert_eq!(forge.branch("main").await.unwrap(), None);
    assert_eq!(forge.commit(&id(MAIN)).await.unwrap(), None);
}
