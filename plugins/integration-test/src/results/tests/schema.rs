//! `docs/schemas/results-v1.json` says what the reader does.
//!
//! A validator of the few keywords that the schema has stands in for a crate with forty dependencies; it
//! fails on a keyword that it does not know, so it cannot fall behind.

use serde_json::Value;

use super::*;

const SCHEMA_FILE: &str = include_str!("../../../../../docs/schemas/results-v1.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA_FILE).unwrap()
}

/// Whether `value` is valid by `rule`, a part of `root`.
fn is_valid(root: &Value, rule: &Value, value: &Value) -> bool {
    rule.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$id" | "title" | "description" | "$defs" => true,
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            is_valid(root, root.pointer(pointer).unwrap(), value)
        }
        "type" => match rule {
            Value::Array(types) => types.iter().any(|name| has_type(name, value)),
            name => has_type(name, value),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "required" => {
            let Value::Object(fields) = value else { return true };
            rule.as_array().unwrap().iter().all(|name| fields.contains_key(name.as_str().unwrap()))
        }
        "properties" => {
            let Value::Object(fields) = value else { return true };
            let known = |(name, rule)| fields.get(name).is_none_or(|value| is_valid(root, rule, value));
            rule.as_object().unwrap().iter().all(known)
        }
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, rule, item))),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
        "minLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap())
        }
        "maxLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap())
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "pattern" => {
            assert_eq!(
                rule, "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$",
                "the only one that is known here"
            );
            let is_hex = |byte: u8| b"0123456789abcdef".contains(&byte);
            let is_digest = |text: &str| {
                let (algorithm, hex) = text.split_once(':').unwrap_or_default();
                matches!((algorithm, hex.len()), ("sha256", 64) | ("sha512", 128)) && hex.bytes().all(is_hex)
            };
            value.as_str().is_none_or(is_digest)
        }
        "format" => {
            assert_eq!(rule, "date-time");
            value.as_str().is_none_or(|text| text.parse::<Timestamp>().is_ok())
        }
        other => panic!("the schema has a keyword that this test does not know: {other}"),
    })
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the schema has a type that this test does not know: {other}"),
    }
}

#[test]
fn schema_and_reader_accept_and_refuse_the_same() {
    let schema = schema();
    assert_eq!(schema["$id"], SCHEMA);
    let test = r#"{"name":"a","status":"passed"}"#;
    let long = "x".repeat(MAX_NAME);
    let table = [
        (r#"{"tests":[]}"#.to_owned(), true),
        (format!(r#"{{"tests":[{test}]}}"#), true),
        (format!(r#"{{"schema":"{SCHEMA}","digest":"{DIGEST}","image":"r/a:1","more":1,"tests":[{test}]}}"#), true),
        (r#"{"schema":null,"digest":null,"image":null,"startedOn":null,"finishedOn":null,"tests":[]}"#.to_owned(), true),
        (r#"{"tests":[{"suite":null,"name":"a","status":"flaky","seconds":null,"message":null,"more":[]}]}"#.to_owned(), true),
        (r#"{"tests":[{"suite":"","name":"a","status":"error","seconds":0,"message":""}]}"#.to_owned(), true),
        (r#"{"tests":[],"startedOn":"2026-11-21T13:00:00+01:00","finishedOn":"2026-11-21T12:00:00Z"}"#.to_owned(), true),
        (format!(r#"{{"tests":[{{"name":"{long}","status":"skipped"}}]}}"#), true),
        ("{}".to_owned(), false),
        (r#"{"tests":null}"#.to_owned(), false),
        (r#"{"tests":{}}"#.to_owned(), false),
        (r#"{"tests":[1]}"#.to_owned(), false),
        (r#"{"tests":[{"name":"a"}]}"#.to_owned(), false),
        (r#"{"tests":[{"status":"passed"}]}"#.to_owned(), false),
        (r#"{"tests":[{"name":"","status":"passed"}]}"#.to_owned(), false),
        (format!(r#"{{"tests":[{{"name":"{long}x","status":"passed"}}]}}"#), false),
        (r#"{"tests":[{"name":"a","status":"PASSED"}]}"#.to_owned(), false),
        (r#"{"tests":[{"name":1,"status":"passed"}]}"#.to_owned(), false),
        (r#"{"tests":[{"name":"a","status":"passed","seconds":-0.5}]}"#.to_owned(), false),
        (r#"{"tests":[{"name":"a","status":"passed","seconds":"1"}]}"#.to_owned(), false),
        (r#"{"schema":"v2","tests":[]}"#.to_owned(), false),
        (r#"{"digest":"sha256:ABC","tests":[]}"#.to_owned(), false),
        (format!(r#"{{"digest":"sha512:{}","tests":[]}}"#, "a".repeat(128)), true),
        (r#"{"digest":"latest","tests":[]}"#.to_owned(), false),
        (r#"{"startedOn":"2026-11-21T12:00:00","tests":[]}"#.to_owned(), false),
        (r#"{"startedOn":5,"tests":[]}"#.to_owned(), false),
    ];
    for (text, accepted) in table {
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(is_valid(&schema, &schema, &value), accepted, "by the schema: {text}");
        let read = parse(text.as_bytes(), Some(Format::Json), Path::new("r"));
        assert_eq!(read.is_ok(), accepted, "by the reader: {text} {read:?}");
    }
    // The statuses that there are.
    let statuses = schema.pointer("/$defs/test/properties/status/enum").unwrap().as_array().unwrap();
    let read = |status: &Value| serde_json::from_value::<Status>(status.clone()).unwrap();
    assert_eq!(statuses.iter().map(read).collect::<Vec<_>>(), [Passed, Flaky, Failed, Skipped, Error]);
    assert_eq!(schema.pointer("/properties/tests/maxItems").unwrap(), MAX_TESTS);
}

#[test]
fn what_is_documented_is_valid() {
    let schema = schema();
    let page = include_str!("../../../docs.md");
    let examples: Vec<&str> = page
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split_once("\n```").unwrap().0)
        .filter(|example| example.contains("\"tests\""))
        .collect();
    assert!(!examples.is_empty());
    let fixture = String::from_utf8(data("json/results.json")).unwrap();
    for example in examples.into_iter().chain([fixture.as_str()]) {
        assert!(is_valid(&schema, &schema, &serde_json::from_str(example).unwrap()), "{example}");
        assert!(!parsed(example.as_bytes()).tests.is_empty());
    }
}
