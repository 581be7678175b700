//! What an API server takes: the schema of Kubernetes 1.37, as far as the kinds go that are written here.
//!
//! `kubernetes-1.37.json` is the server's own OpenAPI, without descriptions; no member is taken that it does not name.

use std::sync::OnceLock;

use serde_json::Value as Json;

/// Panics where the document is not what its kind's schema says.
pub fn assert_taken(document: &Json) {
    static SCHEMA: OnceLock<Json> = OnceLock::new();
    let schemas = SCHEMA.get_or_init(|| {
        serde_json::from_str(include_str!("kubernetes-1.37.json")).expect("the schemas are JSON")
    });
    let kind = document["kind"].as_str().expect("it has a kind");
    let mut complaints = Vec::new();
    compare(document, &schemas["roots"][kind], &schemas["definitions"], kind, &mut complaints);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn compare(value: &Json, schema: &Json, definitions: &Json, place: &str, complaints: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        complaints.push(format!("{place}: there is no schema"));
        return;
    };
    for (keyword, says) in keywords {
        match keyword.as_str() {
            "$ref" => {
                let definition = &definitions[says.as_str().unwrap_or_default()];
                compare(value, definition, definitions, place, complaints);
            }
            "type" => {
                let types = says.as_array().map_or(std::slice::from_ref(says), Vec::as_slice);
                if !types.iter().any(|name| is_a(value, name)) {
                    complaints.push(format!("{place}: {value} is none of {says}"));
                }
            }
            "enum" if !says.as_array().is_some_and(|list| list.contains(value)) => {
                complaints.push(format!("{place}: {value} is none of {says}"));
            }
            "required" => {
                let names = says.as_array().into_iter().flatten().filter_map(Json::as_str);
                let missing = names.filter(|name| value.is_object() && value.get(name).is_none());
                complaints.extend(missing.map(|name| format!("{place}: {name} is missing")));
            }
            "oneOf" => {
                let fits = |schema: &&Json| {
                    let mut none = Vec::new();
                    compare(value, schema, definitions, place, &mut none);
                    none.is_empty()
                };
                if says.as_array().into_iter().flatten().filter(fits).count() != 1 {
                    complaints.push(format!("{place}: {value} is not one of {says}"));
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    compare(item, says, definitions, &format!("{place}[{at}]"), complaints);
                }
            }
            "properties" | "additionalProperties" | "enum" => {}
            _ => complaints.push(format!("{place}: nobody here has read the keyword {keyword}")),
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(schema), _) => compare(member, schema, definitions, &place, complaints),
            (None, Some(Json::Bool(false))) => complaints.push(format!("{place}: there is no such member")),
            (None, Some(schema @ Json::Object(_))) => {
                compare(member, schema, definitions, &place, complaints)
            }
            (None, _) => {}
        }
    }
}

fn is_a(value: &Json, name: &Json) -> bool {
    match name.as_str() {
        Some("string") => value.is_string(),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

#[test]
fn what_an_api_server_does_not_take_is_noticed() {
    let check = |document: &str, is_taken: bool| {
        let document: Json = serde_json::from_str(document).expect("it is JSON");
        let taken = std::panic::catch_unwind(|| assert_taken(&document));
        assert_eq!(taken.is_ok(), is_taken, "{document}");
    };
    check(r#"{"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}}"#, true);
    check(r#"{"apiVersion": "v2", "kind": "Secret"}"#, false);
    check(r#"{"kind": "Secret", "data": {"a": 5}}"#, false);
    check(r#"{"kind": "Secret", "metadata": {"name": "a", "labels": {"b": 1}}}"#, false);
    check(r#"{"kind": "Secret", "secrets": {}}"#, false);
    check(r#"{"kind": "Role", "rules": [{"resources": ["secrets"]}]}"#, false);
    check(r#"{"kind": "Job", "spec": {"template": {"spec": {"containers": []}}}}"#, true);
    check(r#"{"kind": "Job", "spec": {"template": {"spec": {"container": []}}}}"#, false);
    check(r#"{"kind": "Job", "spec": {"backoffLimit": "6", "template": {}}}"#, false);
}
