//! `docs/schemas/promotion-v1.json` says what the reader does.
//!
//! A validator of the few keywords that the schema has stands in for a crate with forty dependencies; it
//! fails on a keyword that it does not know, so it cannot fall behind.

use granary_policy::{Source, schema};
use serde_json::{Value, json};

use crate::sample::{EXAMPLE, SMALL, above, read, stable};

const FILE: &str = include_str!("../../../../docs/schemas/promotion-v1.json");

#[test]
fn the_file_is_what_the_code_makes() {
    let made = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("JSON"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/promotion-v1.json");
        return std::fs::write(path, made).expect("the file");
    }
    assert_eq!(made, FILE, "UPDATE_EXPECTED=1 cargo test -p granary-policy writes it anew");
}

/// Whether `value` is valid by `rule`, a part of `root`.
fn is_valid(root: &Value, rule: &Value, value: &Value) -> bool {
    let rules = rule.as_object().expect("a schema");
    rules.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$id" | "title" | "description" | "$defs" => true,
        "$ref" => {
            let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).expect("a pointer");
            is_valid(root, root.pointer(pointer).expect(pointer), value)
        }
        "type" => match rule {
            Value::Array(types) => types.iter().any(|name| has_type(name, value)),
            name => has_type(name, value),
        },
        "enum" => rule.as_array().expect("a list").contains(value),
        "const" => rule == value,
        "anyOf" => rule.as_array().expect("a list").iter().any(|rule| is_valid(root, rule, value)),
        "required" => {
            let Value::Object(fields) = value else { return true };
            rule.as_array()
                .expect("names")
                .iter()
                .all(|name| fields.contains_key(name.as_str().expect("a name")))
        }
        "properties" => {
            let Value::Object(fields) = value else { return true };
            let known = |(name, rule)| fields.get(name).is_none_or(|value| is_valid(root, rule, value));
            rule.as_object().expect("fields").iter().all(known)
        }
        "additionalProperties" => {
            let Value::Object(fields) = value else { return true };
            let listed = rules.get("properties").and_then(Value::as_object);
            let mut others =
                fields.iter().filter(|(name, _)| listed.is_none_or(|listed| !listed.contains_key(*name)));
            others.all(|(_, value)| *rule != json!(false) && is_valid(root, rule, value))
        }
        "propertyNames" => {
            let Value::Object(fields) = value else { return true };
            fields.keys().all(|name| is_valid(root, rule, &json!(name)))
        }
        "maxProperties" => {
            value.as_object().is_none_or(|fields| fields.len() as u64 <= rule.as_u64().expect("a bound"))
        }
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, rule, item))),
        "minItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().expect("a bound"))
        }
        "maxItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().expect("a bound"))
        }
        "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().expect("a bound")),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().expect("a bound")),
        // Help for editors; not judged here, as there are no regular expressions.
        "pattern" => true,
        other => panic!("the validator does not know {other}"),
    })
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the validator does not know {other}"),
    }
}

/// Whether reader and schema take a policy.
fn both(text: &str) -> (bool, bool) {
    let document = Source::read(text, "promotion.yaml").expect("YAML").document().expect("JSON has it");
    let schema = schema();
    (read(text).is_ok(), is_valid(&schema, &schema, &document))
}

#[test]
fn what_the_reader_accepts_the_schema_accepts() {
    for text in [
        EXAMPLE.to_owned(),
        SMALL.to_owned(),
        above("calendars: {us-equities: {overrides: {version: '7', open: []}}}"),
        above(
            "health: {a: {url: 'http://x/', json: {path: /a, equals: 5}}, b: {url: 'http://x/', json: {path: /a, equals: true}}}",
        ),
        above("evidence: {required_tests: [], environments: []}"),
        stable("windows: []\nsoak: []\nallow: []\nanalysis: []"),
        stable("break_glass: {mode: allowed, signatures: 0}"),
    ] {
        assert_eq!(both(&text), (true, true), "{text}");
    }
}

#[test]
fn what_has_another_layout_both_refuse() {
    for text in [
        "[]".to_owned(),
        "version: 1\nzone: UTC\n".to_owned(),
        SMALL.replace("beta: {}", "beta:"),
        SMALL.replace("version: 1", "version: '1'"),
        SMALL.replace("version: 1", "version: true"),
        above("stage: {}"),
        above("audit: {}"),
        above("evidence: {allow_warned: yes}"),
        above("evidence: {trusted_keys: []}"),
        above("evidence: {trusted_keys: [{name: a}]}"),
        above("calendars: {xetra: {overrides: {version: a}}}"),
        above("calendars: {us-equities: {overrides: 5}}"),
        above("health: {web: {url: 'https://x/', status: 99}}"),
        above("health: {web: {url: 'https://x/', json: {path: /a, equals: [a]}}}"),
        above("analysis: {a: {metrics: []}}"),
        stable("windows: mon-fri"),
        stable("windows: [mon-fri]"),
        stable("windows: [{days: [mon]}]"),
        stable("windows: [{effect: block, days: [mon]}]"),
        stable("windows: [{effect: deny, days: []}]"),
        stable("windows: [{effect: deny, calendar: nyse, when: in_session}]"),
        stable("approvals: {at_least: 0}"),
        stable("approvals: 2"),
        stable("break_glass: {mode: allowed, signatures: 3}"),
        stable("freeze: 'false'"),
        stable("after: beta"),
    ] {
        assert_eq!(both(&text), (false, false), "{text}");
    }
}
