//! What an editor is told.

use super::*;

#[test]
fn the_schema_accepts_the_example_and_refuses_an_unknown_key() {
    let example =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.yaml")).unwrap();
    let schema = schema();
    for (source, fits) in [
        (example.clone(), true),
        (RIGHT.to_owned(), true),
        (example.replace("dns_label: vcluster", "dnslabel: vcluster"), false),
        (example.replace("mode: hide_prefix", "mode: hideprefix"), false),
        (example.replace("      type: anonymous", "      type: nothing"), false),
        (example.replace("connections: 10000", "connections: many"), false),
        (example.replace("connections: 10000", "connections: \"${env['CONNECTIONS']}\""), true),
        (example.replace("    namespace:", "    name_space:"), false),
    ] {
        let value: serde_json::Value = serde_saphyr::from_str(&source).unwrap();
        assert_eq!(accepts(&schema, &schema, &value), fits, "{source}");
    }
}

/// Whether a value fits a schema, as far as ours use JSON Schema.
fn accepts(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Bool, Number, Object, String as Text};
    if let Some(reference) = schema["$ref"].as_str() {
        return accepts(root, root.pointer(reference.trim_start_matches('#')).unwrap(), value);
    }
    let any = |key: &str| {
        schema[key].as_array().map(|all| all.iter().filter(|one| accepts(root, one, value)).count())
    };
    if any("anyOf") == Some(0)
        || any("oneOf").is_some_and(|fitting| fitting != 1)
        || schema.get("not").is_some()
    {
        return false;
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return false;
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return false;
    }
    if schema.get("pattern").is_some() && !value.as_str().is_some_and(|text| text.starts_with("${")) {
        return false;
    }
    let name = match value {
        Array(_) => "array",
        Bool(_) => "boolean",
        Number(_) => "integer",
        Object(_) => "object",
        Text(_) => "string",
        serde_json::Value::Null => "null",
    };
    let typed = match &schema["type"] {
        Array(types) => types.iter().any(|one| one == name),
        Text(one) => one == name,
        _ => true,
    };
    let fields = value.as_object().is_none_or(|fields| {
        let known = |key: &str| schema["properties"].get(key);
        let required = schema["required"]
            .as_array()
            .is_none_or(|keys| keys.iter().all(|key| fields.contains_key(key.as_str().unwrap())));
        let open = schema["additionalProperties"] != false;
        required
            && fields
                .iter()
                .all(|(key, field)| known(key).map_or(open, |schema| accepts(root, schema, field)))
    });
    let items = value.as_array().is_none_or(|items| {
        schema.get("items").is_none_or(|schema| items.iter().all(|item| accepts(root, schema, item)))
    });
    typed && fields && items
}
