use super::*;

fn digest(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}

fn predicate() -> Value {
    json!({
        "verifier": {"id": VERIFIER_ID, "version": {"granary": "0.1.0"}},
        "timeVerified": "2026-11-21T12:00:00Z",
        "resourceUri": "https://registry.example.com/acme/app:1.2.3",
        "policy": {"uri": "https://git.example.com/acme/app/promotion.yaml", "digest": {"sha256": "ee".repeat(32)}},
        "inputAttestations": [{"digest": {"sha256": "bb".repeat(32)}}],
        "verificationResult": "PASSED",
        "verifiedLevels": ["GRANARY_TESTED"],
        "slsaVersion": "1.1",
        "https://celestium.life/granary/promotion/v1": {
            "version": "1.2.3",
            "candidate": "1.2.3-rc.87",
            "stage": "stable",
            "set": digest("ab"),
            "commit": "3f2a91c0123456789abcdef0123456789abcdef0",
            "branch": "main",
            "evidence": [{
                "bundle": digest("bb"),
                "key": "ci",
                "environment": "integration",
                "result": "PASSED",
                "finishedOn": "2026-11-21T11:45:04.5Z",
            }],
            "policy": {"uri": "https://git.example.com/acme/app/promotion.yaml", "digest": digest("ee")},
            "gates": [{"name": "market", "decision": "allow", "reasons": ["closed"]}],
            "operator": {"name": "ada", "verified": true},
            "override": {"reason": "outage", "ticket": "OPS-1", "digest": digest("ab"), "nonce": "n1"},
            "pipelineUrl": "https://ci.example.com/repos/1/pipeline/87",
        },
    })
}

fn statement(predicate: Value) -> Statement {
    Statement { subjects: vec![], predicate_type: SUMMARY.to_owned(), predicate }
}

fn read(predicate: Value) -> Result<Summary, SummaryError> {
    Summary::from_statement(&statement(predicate))
}

#[test]
fn round_trip() {
    let summary = read(predicate()).unwrap();
    assert_eq!(summary.time_verified, "2026-11-21T12:00:00Z".parse().unwrap());
    assert_eq!(summary.promotion.evidence[0].result, Outcome::Passed);
    assert_eq!(summary.promotion.operator, Operator { name: "ada".to_owned(), verified: true });
    assert_eq!(summary.to_statement(vec![]).unwrap(), statement(predicate()));
}

/// What promote writes today: no policy, no gates, no override, nobody known.
#[test]
fn the_plainest_summary() {
    let mut plain = predicate();
    plain["policy"] = json!({"uri": UNPROTECTED_URI});
    let promotion = plain[PROMOTION_KEY].as_object_mut().unwrap();
    promotion.insert("policy".to_owned(), json!("unprotected"));
    promotion.insert("gates".to_owned(), json!([]));
    promotion.insert("override".to_owned(), json!(null));
    promotion.remove("branch");
    promotion.remove("pipelineUrl");
    let summary = read(plain.clone()).unwrap();
    assert_eq!(summary.promotion.policy, Policy::Unprotected);
    assert_eq!((&summary.promotion.overridden, &summary.promotion.branch), (&None, &None));
    // `null` is written, so that a reader sees that nothing was overridden.
    assert_eq!(summary.to_statement(vec![]).unwrap(), statement(plain));
}

#[test]
fn reads_what_others_may_write() {
    let mut other = predicate();
    for absent in ["inputAttestations", "verifiedLevels", "slsaVersion", "policy"] {
        other.as_object_mut().unwrap().remove(absent);
    }
    other["dependencyLevels"] = json!({"SLSA_BUILD_LEVEL_3": 5});
    other["verifier"] = json!({"id": "https://example.com/verifier", "more": 1});
    other["timeVerified"] = json!("2026-11-21T13:00:00+01:00");
    let promotion = other[PROMOTION_KEY].as_object_mut().unwrap();
    promotion.insert("later".to_owned(), json!({"x": 1}));
    promotion.remove("override");
    let summary = read(other).unwrap();
    assert_eq!(summary.time_verified.to_string(), "2026-11-21T12:00:00Z");
    assert_eq!(summary.promotion.overridden, None);
}

#[test]
fn only_what_passed_is_believed() {
    for (result, found) in [
        (json!("FAILED"), "\"FAILED\""),
        (json!("passed"), "\"passed\""),
        (json!(true), "\"true\""),
        (json!(null), "\"null\""),
    ] {
        let mut failed = predicate();
        failed["verificationResult"] = result;
        assert_eq!(
            read(failed).unwrap_err().to_string(),
            format!("the verification summary says {found}, and only PASSED lets anything in")
        );
    }
    let mut silent = predicate();
    silent.as_object_mut().unwrap().remove("verificationResult");
    let SummaryError::Malformed { source } = read(silent).unwrap_err() else { panic!("not malformed") };
    assert_eq!(source.to_string(), "missing field `verificationResult`");
}

#[test]
fn refusals() {
    let other =
        Statement { predicate_type: "https://slsa.dev/provenance/v1".to_owned(), ..statement(predicate()) };
    assert_eq!(
        Summary::from_statement(&other).unwrap_err().to_string(),
        "predicate type \"https://slsa.dev/provenance/v1\" is not a verification summary"
    );
    let mut foreign = predicate();
    foreign.as_object_mut().unwrap().remove(PROMOTION_KEY);
    assert_eq!(
        read(foreign).unwrap_err().to_string(),
        format!("the verification summary does not say what was promoted: no {PROMOTION_KEY}")
    );
    for malformed in [json!(null), json!([]), json!("PASSED")] {
        assert!(matches!(read(malformed), Err(SummaryError::Malformed { .. })));
    }

    let inside = format!("/{}/", PROMOTION_KEY.replace('/', "~1"));
    for (pointer, value, expected) in [
        ("version", json!("1.2"), Some("version is \"1.2\", expected X.Y.Z")),
        ("version", json!("01.2.3"), Some("version is \"01.2.3\", expected X.Y.Z")),
        ("version", json!("1.2.3-rc.1"), Some("version is \"1.2.3-rc.1\", expected X.Y.Z")),
        ("set", json!("latest"), Some("set is \"latest\", expected sha256:<64 lower-case hex digits>")),
        ("commit", json!("3f2a91c"), Some("commit is \"3f2a91c\", expected 40 lower-case hex digits")),
        ("stage", json!(""), Some("stage is \"\", expected a text that is not empty")),
        ("operator/name", json!(""), Some("operator.name is \"\", expected a text that is not empty")),
        ("evidence", json!([]), Some("evidence is \"[]\", expected at least one test run")),
        (
            "evidence/0/result",
            json!("FAILED"),
            Some("evidence.result is \"FAILED\", expected PASSED or WARNED"),
        ),
        (
            "evidence/0/bundle",
            json!("sha256:ab"),
            Some("evidence.bundle is \"sha256:ab\", expected sha256:<64 lower-case hex digits>"),
        ),
        (
            "policy/digest",
            json!("main"),
            Some("policy.digest is \"main\", expected sha256:<64 lower-case hex digits>"),
        ),
        (
            "override/digest",
            json!("*"),
            Some("override.digest is \"*\", expected sha256:<64 lower-case hex digits>"),
        ),
        ("policy", json!("protected"), None),
        ("policy", json!({"uri": "x"}), None),
        ("gates", json!(null), None),
        ("operator/verified", json!("yes"), None),
        ("evidence/0/finishedOn", json!("2026-11-21T11:45:04"), None),
    ] {
        let mut predicate = predicate();
        *predicate.pointer_mut(&format!("{inside}{pointer}")).unwrap() = value.clone();
        let error = read(predicate).unwrap_err().to_string();
        let expected =
            expected.map_or("malformed verification summary".to_owned(), |it| format!("promotion: {it}"));
        assert_eq!(error, expected, "{pointer}: {value}");
    }
}

#[test]
fn what_would_be_refused_is_not_written() {
    let mut summary = read(predicate()).unwrap();
    summary.promotion.evidence.clear();
    let error = summary.to_statement(vec![]).unwrap_err();
    assert!(matches!(error, SummaryError::BadField { field: "evidence", .. }));
}
