//! Basic, tokens, scopes, expiry.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granary_testkit::image::ImageBuilder;
use granary_testkit::registry::{Auth, Options, Registry, sha256_digest};

use crate::client::{ask, get};

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn token(registry: &Registry, scopes: &[&str]) -> String {
    let query: String = scopes.iter().map(|scope| format!("&scope={scope}")).collect();
    let credentials = basic("ci", "secret");
    let target = format!("/token?service=testkit{query}");
    let answer = ask(registry, "GET", &target, &[("authorization", &credentials)], b"");
    assert_eq!(answer.status, 200);
    format!("Bearer {}", answer.json()["token"].as_str().expect("a token"))
}

#[test]
fn basic_is_challenged_checked_and_told_why() {
    let registry = Registry::start(Options { anonymous_pull: true, ..Options::with_basic("ci", "secret") });
    registry.put_image("app", &["1.2.3"], &ImageBuilder::new("linux/amd64").build());
    assert_eq!(get(&registry, "/v2/app/tags/list").status, 200, "anybody may pull");
    let push = "/v2/app/blobs/uploads/";
    let bare = ask(&registry, "POST", push, &[], b"");
    assert_eq!((bare.status, bare.header("www-authenticate")), (401, "Basic realm=\"testkit\""));
    let wrong = ask(&registry, "POST", push, &[("authorization", &basic("ci", "guess"))], b"");
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.json()["errors"][0]["message"], "wrong user name or password");
    let wrong = ask(&registry, "GET", "/v2/app/tags/list", &[("authorization", &basic("ci", "guess"))], b"");
    assert_eq!(wrong.status, 401, "wrong credentials are worse than none");
    let right = ask(&registry, "POST", push, &[("authorization", &basic("ci", "secret"))], b"");
    assert_eq!(right.status, 202);
    assert_eq!(registry.requests()[4].authorization.as_deref(), Some("basic"));
}

#[test]
fn a_token_opens_what_it_was_made_for_and_nothing_else() {
    let registry = Registry::start(Options::with_token("ci", "secret"));
    registry.put_image("app", &["1.2.3"], &ImageBuilder::new("linux/amd64").build());
    let list = get(&registry, "/v2/app/tags/list");
    let expected = format!(
        "Bearer realm=\"{}/token\",service=\"testkit\",scope=\"repository:app:pull\"",
        registry.url()
    );
    assert_eq!((list.status, list.header("www-authenticate")), (401, expected.as_str()));
    let pull = token(&registry, &["repository:app:pull"]);
    let asked = |method: &str, path: &str| ask(&registry, method, path, &[("authorization", &pull)], b"");
    assert_eq!(asked("GET", "/v2/app/tags/list").status, 200);
    assert_eq!(asked("GET", "/v2/other/tags/list").status, 401, "another repository");
    let push = asked("POST", "/v2/app/blobs/uploads/");
    assert_eq!(push.status, 401);
    let challenge = push.header("www-authenticate");
    assert!(challenge.ends_with("scope=\"repository:app:pull,push\",error=\"insufficient_scope\""));
}

#[test]
fn a_mount_needs_pull_on_its_source_in_the_same_token() {
    let registry = Registry::start(Options::with_token("ci", "secret"));
    let digest = registry.put_blob("source", b"layer".as_slice());
    let path = format!("/v2/target/blobs/uploads/?mount={digest}&from=source");
    let one = token(&registry, &["repository:target:pull,push"]);
    assert_eq!(ask(&registry, "POST", &path, &[("authorization", &one)], b"").status, 202);
    let both = token(&registry, &["repository:target:pull,push", "repository:source:pull"]);
    assert_eq!(ask(&registry, "POST", &path, &[("authorization", &both)], b"").status, 201);
}

#[test]
fn tokens_expire() {
    let mut options = Options::with_token("ci", "secret");
    if let Auth::Token { lifetime, .. } = &mut options.auth {
        *lifetime = Duration::from_millis(1500);
    }
    let registry = Registry::start(options);
    let pull = token(&registry, &["repository:app:pull"]);
    let list = || ask(&registry, "GET", "/v2/app/tags/list", &[("authorization", &pull)], b"");
    assert_eq!(list().status, 404, "allowed, and not there");
    std::thread::sleep(Duration::from_millis(1600));
    let refused = list();
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").ends_with("error=\"invalid_token\""));

    let registry = Registry::start(Options::with_token("ci", "secret"));
    let pull = token(&registry, &["repository:app:pull"]);
    registry.expire_tokens();
    assert_eq!(ask(&registry, "GET", "/v2/app/tags/list", &[("authorization", &pull)], b"").status, 401);
}

#[test]
fn the_token_server_gives_reasons_and_no_more_than_is_due() {
    let options = Options {
        anonymous_pull: true,
        read_only: vec!["fixed".to_owned()],
        challenge_scope: Some("*".to_owned()),
        ..Options::with_token("ci", "secret")
    };
    let registry = Registry::start(options);
    assert!(get(&registry, "/v2/app/tags/list").header("www-authenticate").ends_with("scope=\"*\""));
    let wrong = ask(&registry, "GET", "/token", &[("authorization", &basic("ci", "guess"))], b"");
    assert_eq!(wrong.json()["errors"][0]["message"], "wrong user name or password");
    let push =
        |path: &str, token: &str| ask(&registry, "POST", path, &[("authorization", token)], b"").status;
    let answer = get(&registry, "/token?scope=repository:app:pull,push").json();
    let anonymous = format!("Bearer {}", answer["token"].as_str().expect("a token"));
    assert_eq!(push("/v2/app/blobs/uploads/", &anonymous), 401);
    let list = ask(&registry, "GET", "/v2/app/tags/list", &[("authorization", &anonymous)], b"");
    assert_eq!(list.status, 404, "pulling is allowed");
    let known = token(&registry, &["repository:app:pull,push", "repository:fixed:pull,push"]);
    assert_eq!(push("/v2/app/blobs/uploads/", &known), 202);
    assert_eq!(push("/v2/fixed/blobs/uploads/", &known), 401);
}

#[test]
fn a_refresh_token_is_taken_by_post() {
    let auth = Auth::Token {
        user: "ci".to_owned(),
        password: "secret".to_owned(),
        refresh_token: Some("refresh+me".to_owned()),
        lifetime: Duration::from_secs(60),
    };
    let registry = Registry::start(Options { auth, ..Options::default() });
    let form = |text: &str| ask(&registry, "POST", "/token", &[], text.as_bytes());
    let rest = "service=testkit&client_id=test&scope=repository%3Aapp%3Apull%2Cpush";
    let answer = form(&format!("grant_type=refresh_token&refresh_token=refresh%2Bme&{rest}"));
    assert_eq!((answer.status, answer.json()["expires_in"].as_u64()), (200, Some(60)));
    let bearer = format!("Bearer {}", answer.json()["access_token"].as_str().expect("a token"));
    let push = ask(&registry, "POST", "/v2/app/blobs/uploads/", &[("authorization", &bearer)], b"");
    assert_eq!(push.status, 202);
    assert_eq!(form(&format!("grant_type=refresh_token&refresh_token=other&{rest}")).status, 401);
    let offline =
        form(&format!("grant_type=password&username=ci&password=secret&access_type=offline&{rest}"));
    assert_eq!(offline.json()["refresh_token"], "refresh+me");
}

#[test]
fn secrets_on_the_wire_are_seen_and_not_logged() {
    let registry = Registry::start(Options::with_basic("ci", "secret"));
    let credentials = basic("ci", "secret");
    ask(&registry, "PUT", "/v2/app/manifests/x", &[("authorization", &credentials)], b"in the body");
    assert!(registry.saw_bytes(credentials.as_bytes()) && registry.saw_bytes(b"in the body"));
    assert!(!registry.saw_bytes(sha256_digest(b"never sent").as_bytes()));
    assert!(!format!("{:?}", registry.requests()).contains(&credentials[6..]));
    registry.clear_log();
    assert!(!registry.saw_bytes(b"in the body") && registry.requests().is_empty());
}
