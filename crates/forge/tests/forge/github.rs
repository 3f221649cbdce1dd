//! GitHub, answered after its documentation (REST API 2022-11-28); not recorded.

use granary_forge::{
    At, Class, Forge, ForgeError, ForgeKind, NotContent, ObjectId, Problem, Protection, Reachability, Rules,
    Who,
};

use crate::scripted::Scripted;

const R: &str = "/api/v3/repos/ci/app";
const HEAD: &str = "54ab425bb850301107c04101e875f34626d2fccb";
const COMMIT: &str = "b89ce26ece3668a7483b306db02fe85a63420732";
const TREE: &str = "236feb60ebfd47c3171a627158c61a0091d0995b";
const BLOB: &str = "b82551848c644f63b8517a7bdf8be9a992e6f4da";
const TAG: &str = "887923f893d7571e4482cccf8d75ced3647c6648";
const NESTED: &str = "229e4a3bab508fc0aaf9f1d3a77489e5f053db70";
const NOT_FOUND: &str =
    r#"{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}"#;

fn id(text: &str) -> ObjectId {
    text.parse().unwrap()
}

async fn github() -> (Scripted, Forge) {
    let scripted = Scripted::start().await;
    scripted.json(&format!("{R}/branches?per_page=1"), "[{}]");
    for commit in [HEAD, COMMIT] {
        let body = format!(r#"{{"sha":"{commit}","tree":{{"sha":"{TREE}"}},"message":"m","parents":[]}}"#);
        scripted.json(&format!("{R}/git/commits/{commit}"), &body);
    }
    for tag in [TAG, NESTED] {
        scripted.on(&format!("{R}/git/commits/{tag}"), 404, &[], NOT_FOUND);
    }
    let forge = scripted.forge(ForgeKind::GitHub);
    (scripted, forge)
}

fn branch(scripted: &Scripted, protected: bool, rules: &str) {
    let body = format!(r#"{{"name":"release/1","commit":{{"sha":"{HEAD}"}},"protected":{protected}}}"#);
    scripted.json(&format!("{R}/branches/release%2F1"), &body);
    scripted.json(&format!("{R}/rules/branches/release%2F1?per_page=100"), rules);
}

#[tokio::test]
async fn rulesets_and_classic_protection() {
    let path = format!("{R}/branches/release%2F1/protection");
    let classic = r#"{"allow_force_pushes":{"enabled":true},"enforce_admins":{"enabled":true},
        "restrictions":{"users":[{"login":"octocat"}],"teams":[{"slug":"release"}],"apps":[]}}"#;
    let reviewed =
        r#"[{"type":"pull_request","ruleset_id":1,"parameters":{"required_approving_review_count":2}}]"#;

    let (scripted, forge) = github().await;
    branch(&scripted, false, r#"[{"type":"commit_message_pattern","parameters":{"operator":"regex"}}]"#);
    assert_eq!(forge.branch("release/1").await.unwrap().unwrap().protection, Protection::Unprotected);
    assert!(scripted.asked()[0].head.contains("x-github-api-version: 2022-11-28\r\n"));

    let (scripted, forge) = github().await;
    branch(&scripted, true, "[]");
    scripted.json(&path, classic);
    let found = forge.branch("release/1").await.unwrap().unwrap();
    let Protection::Protected(Rules::Known(rules)) = found.protection else { panic!("{found:?}") };
    let listed = Who::Listed(vec!["user octocat".to_owned(), "team release".to_owned()]);
    assert_eq!((rules.push, rules.force_push, rules.binds_administrators), (listed.clone(), listed, true));

    let (scripted, forge) = github().await;
    branch(&scripted, true, reviewed);
    scripted.json(&path, classic);
    let found = forge.branch("release/1").await.unwrap().unwrap();
    let Protection::Protected(Rules::Known(rules)) = found.protection else { panic!("{found:?}") };
    assert_eq!((rules.push, rules.force_push, rules.approvals), (Who::Nobody, Who::Nobody, 2));

    for status in [403, 404] {
        let (scripted, forge) = github().await;
        branch(&scripted, true, "[]");
        scripted.on(&path, status, &[], r#"{"message":"Resource not accessible by personal access token"}"#);
        let found = forge.branch("release/1").await.unwrap().unwrap();
        assert!(matches!(found.protection, Protection::Protected(Rules::Hidden { .. })), "{status}");
    }
}

#[tokio::test]
async fn rules_that_cannot_be_read_leave_it_open() {
    let (scripted, forge) = github().await;
    let body = format!(r#"{{"name":"main","commit":{{"sha":"{HEAD}"}},"protected":false}}"#);
    scripted.json(&format!("{R}/branches/main"), &body);
    scripted.on(&format!("{R}/rules/branches/main?per_page=100"), 403, &[], r#"{"message":"no"}"#);
    let found = forge.branch("main").await.unwrap().unwrap();
    assert!(matches!(found.protection, Protection::Unknown { .. }), "{found:?}");
}

#[tokio::test]
async fn what_a_token_lacks_is_named() {
    let (scripted, forge) = github().await;
    let headers = [("X-Accepted-GitHub-Permissions", "contents=read"), ("X-RateLimit-Remaining", "4998")];
    let body = r#"{"message":"Resource not accessible by personal access token"}"#;
    scripted.on(&format!("{R}/branches/main"), 403, &headers, body);
    let error = forge.branch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::Auth);
    let expected =
        "lacks a right; this needs contents=read: Resource not accessible by personal access token";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[tokio::test]
async fn a_file_by_commit_tree_and_blob() {
    let (scripted, forge) = github().await;
    let entries = format!(
        r#"{{"path":"promotion.yaml","mode":"100644","type":"blob","size":11,"sha":"{BLOB}"}},
           {{"path":"sub","mode":"160000","type":"commit","sha":"{COMMIT}"}}"#
    );
    scripted.json(
        &format!("{R}/git/trees/{TREE}"),
        &format!(r#"{{"sha":"{TREE}","tree":[{entries}],"truncated":false}}"#),
    );
    let blob =
        format!(r#"{{"sha":"{BLOB}","size":11,"encoding":"base64","content":"dmVyc2lv\nbjogMQo=\n"}}"#)
            .replace('\n', "\\n");
    scripted.json(&format!("{R}/git/blobs/{BLOB}"), &blob);
    let at = At::Commit(id(HEAD));
    let file = forge.file("promotion.yaml", &at).await.unwrap().unwrap();
    assert_eq!((file.bytes.as_slice(), file.blob), (&b"version: 1\n"[..], id(BLOB)));
    assert_eq!(forge.file("none", &at).await.unwrap(), None);
    let error = forge.file("sub", &at).await.unwrap_err();
    assert!(matches!(error, ForgeError::Content { problem: NotContent::Submodule, .. }));

    let (scripted, forge) = github().await;
    scripted
        .json(&format!("{R}/git/trees/{TREE}"), &format!(r#"{{"sha":"{TREE}","tree":[],"truncated":true}}"#));
    let error = forge.file("promotion.yaml", &at).await.unwrap_err();
    assert!(matches!(error, ForgeError::Protocol { problem, .. } if *problem == Problem::Truncated));
}

#[tokio::test]
async fn ancestry_by_comparison() {
    let unknown = |why: &str| Reachability::Unknown { why: why.to_owned() };
    let contradiction = || unknown("the forge's comparison contradicts itself");
    let table = [
        ("behind", HEAD, COMMIT, Reachability::Yes),
        ("diverged", HEAD, TAG, Reachability::No),
        ("ahead", HEAD, HEAD, Reachability::No),
        ("behind", HEAD, TAG, contradiction()),
        ("diverged", HEAD, COMMIT, contradiction()),
        ("sideways", HEAD, COMMIT, contradiction()),
        ("behind", TAG, COMMIT, unknown("the forge compared another commit")),
    ];
    for (status, base, merge_base, expected) in table {
        let (scripted, forge) = github().await;
        let body = format!(
            r#"{{"status":"{status}","base_commit":{{"sha":"{base}"}},"merge_base_commit":{{"sha":"{merge_base}"}},"commits":[]}}"#
        );
        scripted.json(&format!("{R}/compare/{HEAD}...{COMMIT}?per_page=1"), &body);
        assert_eq!(forge.is_ancestor(&id(COMMIT), &id(HEAD)).await.unwrap(), expected, "{status}");
    }
    let (scripted, forge) = github().await;
    let unrelated = r#"{"message":"No common ancestor between a and b."}"#;
    scripted.on(&format!("{R}/compare/{HEAD}...{COMMIT}?per_page=1"), 404, &[], unrelated);
    assert_eq!(forge.is_ancestor(&id(COMMIT), &id(HEAD)).await.unwrap(), Reachability::No);
}

#[tokio::test]
async fn abbreviations() {
    let (scripted, forge) = github().await;
    scripted.on(
        &format!("{R}/commits/54ab425"),
        200,
        &[("Content-Type", "application/vnd.github.sha")],
        HEAD,
    );
    assert_eq!(forge.find_commit("54ab425").await.unwrap().unwrap().id, id(HEAD));
    scripted.on(&format!("{R}/commits/b89ce26"), 200, &[], HEAD);
    assert!(forge.find_commit("b89ce26").await.is_err(), "a branch of that name");
    scripted.on(
        &format!("{R}/commits/0000000"),
        422,
        &[],
        r#"{"message":"No commit found for SHA: 0000000"}"#,
    );
    assert_eq!(forge.find_commit("0000000").await.unwrap(), None);
}

#[tokio::test]
async fn tags() {
    let (scripted, forge) = github().await;
    let reference = |name: &str, kind: &str, id: &str| {
        let body = format!(r#"{{"ref":"refs/tags/{name}","object":{{"type":"{kind}","sha":"{id}"}}}}"#);
        scripted.json(&format!("{R}/git/ref/tags/{name}"), &body);
    };
    let object = |id: &str, kind: &str, to: &str| {
        let body = format!(r#"{{"tag":"x","sha":"{id}","object":{{"type":"{kind}","sha":"{to}"}}}}"#);
        scripted.json(&format!("{R}/git/tags/{id}"), &body);
    };
    reference("light", "commit", COMMIT);
    reference("v1/nested", "tag", NESTED);
    object(NESTED, "tag", TAG);
    object(TAG, "commit", COMMIT);
    assert_eq!(forge.tag("light").await.unwrap().unwrap().object, id(COMMIT));
    let nested = forge.tag("v1/nested").await.unwrap().unwrap();
    assert_eq!((nested.object, nested.commit), (id(NESTED), id(COMMIT)));
    assert_eq!(forge.peel(&id(NESTED)).await.unwrap(), Some(id(COMMIT)));
    assert_eq!(forge.peel(&id(COMMIT)).await.unwrap(), Some(id(COMMIT)));
    scripted.on(&format!("{R}/git/ref/tags/none"), 404, &[], NOT_FOUND);
    assert_eq!(forge.tag("none").await.unwrap(), None);
}

#[tokio::test]
async fn tags_that_lead_nowhere() {
    let (scripted, forge) = github().await;
    let own = format!(r#"{{"tag":"x","sha":"{TAG}","object":{{"type":"tag","sha":"{TAG}"}}}}"#);
    scripted.json(&format!("{R}/git/tags/{TAG}"), &own);
    let error = forge.peel(&id(TAG)).await.unwrap_err().to_string();
    assert!(error.ends_with("the tag leads to no commit: more than 5 tags of tags"), "{error}");
    let file = format!(r#"{{"tag":"x","sha":"{NESTED}","object":{{"type":"blob","sha":"{BLOB}"}}}}"#);
    scripted.json(&format!("{R}/git/tags/{NESTED}"), &file);
    let error = forge.peel(&id(NESTED)).await.unwrap_err().to_string();
    assert!(error.ends_with("it is a tag of a blob"), "{error}");
}
