//! The schema of `behavior`, made from the parser's own words.

use serde_json::{Map, Value, json};

use crate::rule::{COMPARISONS, GROUP, KINDS, KindEntry, OPTIONS, OptionEntry, Shape};

/// The schema of a behaviour: every key with what it takes, and that only one thing is measured.
pub(super) fn behavior() -> Value {
    let mut properties = Map::new();
    for entry in GROUP.iter().chain(&COMPARISONS).chain(&OPTIONS) {
        properties.insert(entry.name.to_owned(), option(entry));
    }
    for kind in &KINDS {
        // `min` is a behaviour and an option of another one; either form will do.
        let value = match properties.remove(kind.name) {
            Some(known) => json!({"anyOf": [described(kind), known]}),
            None => described(kind),
        };
        properties.insert(kind.name.to_owned(), value);
    }
    let known = crate::rule::behavior_keys();
    properties.retain(|name, _| known.contains(&name.as_str()));
    json!({
        "type": "object",
        "description": "What a set of matching events must look like.",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn described(kind: &KindEntry) -> Value {
    let description = format!("Fires when {}. As {}", kind.fires, kind.example);
    with(description, shape(kind.value, kind.options))
}

fn option(entry: &OptionEntry) -> Value {
    with(entry.says.to_owned(), shape(entry.value, &[]))
}

fn with(description: String, mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), description.into());
    }
    schema
}

fn shape(shape: Shape, options: &[&str]) -> Value {
    let number_or =
        |pattern: &str| json!({"anyOf": [{"type": "number"}, {"type": "string", "pattern": pattern}]});
    match shape {
        Shape::Nothing => json!({"enum": [null, true]}),
        Shape::Field if options.is_empty() => json!({"type": "string"}),
        Shape::Field => json!({"anyOf": [{"type": "string"}, map(options)]}),
        Shape::Fields => json!({"$ref": "#/$defs/fields"}),
        Shape::Selection => json!({"type": "string"}),
        Shape::File => json!({"type": "string", "pattern": "(?i)\\.rhai$|\\$\\{"}),
        Shape::Steps => json!({"$ref": "#/$defs/steps"}),
        Shape::Measured => {
            json!({"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]})
        }
        Shape::Span => json!({"$ref": "#/$defs/span_or_zero"}),
        Shape::Number => number_or("^[0-9.]+%$"),
        Shape::Whole => json!({"type": "integer", "minimum": 0}),
        Shape::Share => number_or("^[0-9.]+ *%$"),
        Shape::Rate => number_or("^once .+$"),
        Shape::Range => json!({"type": "array", "minItems": 2, "maxItems": 2}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Words(words) => json!({"enum": words}),
        Shape::Options => map(options),
        Shape::MaybeOptions => json!({"anyOf": [{"enum": [null, true]}, map(options)]}),
        Shape::FieldOrOptions => json!({"anyOf": [{"type": "string"}, {"enum": [null, true]}, map(options)]}),
    }
}

/// A map of these options.
fn map(options: &[&str]) -> Value {
    let entry = |name: &str| OPTIONS.iter().chain(&COMPARISONS).find(|entry| entry.name == name).map(option);
    let properties: Map<String, Value> =
        options.iter().filter_map(|name| Some(((*name).to_owned(), entry(name)?))).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}
