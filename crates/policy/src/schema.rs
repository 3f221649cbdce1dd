//! The JSON Schema of the file, made from its layout.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::layout::POLICY;
use crate::shape::{NAME_PATTERN, Record, Shape};

/// JSON Schema 2020-12 of `promotion.yaml`. It accepts whatever the reader accepts; what only a reader can
/// tell (that a window ends after it begins, that a name is there) it does not refuse.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = BTreeMap::new();
    let mut root = record(&POLICY, &mut definitions);
    let fields = root.as_object_mut().into_iter();
    for fields in fields {
        fields.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.insert("$id".to_owned(), json!("https://celestium.life/granary/promotion/v1/policy"));
        fields.insert("title".to_owned(), json!("promotion.yaml, version 1"));
        fields.insert("$defs".to_owned(), json!(definitions));
    }
    root
}

type Definitions = BTreeMap<&'static str, Value>;

fn record(record: &'static Record, definitions: &mut Definitions) -> Value {
    let mut properties = Map::new();
    for field in record.fields {
        let mut property = shape(&field.shape, definitions);
        if let Value::Object(keywords) = &mut property {
            keywords.insert("description".to_owned(), json!(field.about));
        }
        properties.insert(field.key.to_owned(), property);
    }
    let required: Vec<&str> =
        record.fields.iter().filter(|field| field.needed).map(|field| field.key).collect();
    let mut made = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (Value::Object(keywords), false) = (&mut made, required.is_empty()) {
        keywords.insert("required".to_owned(), json!(required));
    }
    made
}

/// A reference to a mapping's definition.
fn reference(of: &'static Record, definitions: &mut Definitions) -> Value {
    if !definitions.contains_key(of.name) {
        // Taken before it is made, should it ever contain itself.
        definitions.insert(of.name, Value::Null);
        let made = record(of, definitions);
        definitions.insert(of.name, made);
    }
    json!({"$ref": format!("#/$defs/{}", of.name)})
}

fn shape(of: &'static Shape, definitions: &mut Definitions) -> Value {
    match of {
        Shape::Text(form) => match form.pattern {
            Some(pattern) => json!({"type": "string", "minLength": 1, "pattern": pattern}),
            None => json!({"type": "string", "minLength": 1}),
        },
        Shape::Word(words) => json!({"enum": words}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole { least, most } if least == most => json!({"const": least}),
        Shape::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Number => json!({"type": "number"}),
        Shape::WholeOrText => json!({"type": ["integer", "string"]}),
        Shape::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Shape::List { of, least, most } => {
            let items = shape(of, definitions);
            json!({"type": "array", "items": items, "minItems": least, "maxItems": most})
        }
        Shape::Map(record) => reference(record, definitions),
        Shape::Names { of, most } => {
            let values = shape(of, definitions);
            let names = json!({"pattern": NAME_PATTERN});
            json!({
                "type": "object",
                "propertyNames": names,
                "additionalProperties": values,
                "maxProperties": most,
            })
        }
        Shape::MapOrFile(record) => {
            json!({"anyOf": [reference(record, definitions), {"type": "string", "minLength": 1}]})
        }
    }
}
