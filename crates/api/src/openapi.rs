//! The OpenAPI document, made from the endpoint table and the schemas of the wire types.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::endpoint::{Access, ENDPOINTS, Endpoint, Response};

#[derive(OpenApi)]
#[openapi(components(schemas(
    crate::event::Event,
    crate::operator::NewOperator,
    crate::operator::Operator,
    crate::pass::Finding,
    crate::pass::Found,
    crate::pass::FoundTap,
    crate::pass::NewPass,
    crate::pass::Offer,
    crate::pass::Pass,
    crate::pass::PassDeed,
    crate::person::NewPerson,
    crate::person::Person,
    crate::place::Place,
    crate::place::ZoneClass,
    crate::problem::Problem,
    crate::product::Display,
    crate::product::NewProduct,
    crate::product::Product,
    crate::product::Rights,
    crate::product::Terms,
    crate::reader::EnrolRequest,
    crate::reader::Enrolled,
    crate::reader::Enrolment,
    crate::reader::JournalReceipt,
    crate::reader::JournalUpload,
    crate::reader::NewEnrolment,
    crate::reader::Reader,
    crate::reader::RenewRequest,
    crate::reader::Renewed,
    crate::express::Handles,
    crate::express::HandlesRequest,
    crate::reader::DeliveryKeys,
    crate::reader::DeliveryKeysKept,
    crate::status::StatusLists,
    crate::taps::TapPolicy,
    crate::taps::TapPolicyChange,
    crate::taps::Taps,
    crate::taps::TapsChange,
    crate::token::CreatedToken,
    crate::token::NewToken,
    crate::token::Token,
    crate::trust::IssuingAuthority,
    crate::trust::Trust,
)))]
struct Schemas;

/// The OpenAPI 3.1 document of everything under `/v1`, as JSON with sorted keys.
///
/// # Errors
/// Those of serialization, which a test shows not to occur.
pub fn document() -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(Schemas::openapi())?;
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(operations) = path.as_object_mut() {
            operations.insert(endpoint.method.as_str().into(), operation(endpoint));
        }
    }
    if let Some(root) = document.as_object_mut() {
        root.insert("paths".into(), Value::Object(paths));
        root.insert(
            "info".into(),
            json!({
                "title": "Limen",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Who is this, what may they use, when and where.",
                "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
            }),
        );
        if let Some(components) = root.get_mut("components").and_then(Value::as_object_mut) {
            let bearer = json!({ "token": { "type": "http", "scheme": "bearer" } });
            components.insert("securitySchemes".into(), bearer);
        }
    }
    Ok(document)
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "operationId": operation_id(endpoint),
        "parameters": parameters(endpoint),
        "responses": responses(endpoint),
    });
    if let Some(fields) = operation.as_object_mut() {
        if let Some(schema) = endpoint.request {
            let content = json!({ "application/json": { "schema": reference(schema) } });
            fields.insert("requestBody".into(), json!({ "required": true, "content": content }));
        }
        if endpoint.access == Access::Token {
            fields.insert("security".into(), json!([{ "token": [] }]));
        }
    }
    operation
}

/// `get-v1-passes-id` and the like: unique, because method and path are.
fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.replace(['{', '}'], "").replace('/', "-");
    format!("{}{path}", endpoint.method.as_str())
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let in_path = endpoint.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({ "name": name, "in": "path", "required": true, "schema": text }))
    });
    let mut parameters: Vec<Value> = in_path.collect();
    if matches!(endpoint.response, Response::Page(_)) {
        let limit = json!({
            "type": "integer", "minimum": 1, "maximum": crate::page::PAGE_ROWS_MAX,
            "default": crate::page::PAGE_ROWS_DEFAULT,
        });
        parameters.push(json!({ "name": "limit", "in": "query", "schema": limit }));
        parameters.push(json!({ "name": "after", "in": "query", "schema": text }));
    }
    parameters
}

fn responses(endpoint: &Endpoint) -> Value {
    let problem = json!({
        "description": "Not done; the body says why",
        "content": { crate::problem::CONTENT_TYPE: { "schema": reference("Problem") } },
    });
    let body = |schema: Value| json!({ "description": "Done", "content": { "application/json": { "schema": schema } } });
    match endpoint.response {
        Response::Ok(schema) => json!({ "200": body(reference(schema)), "default": problem }),
        Response::Created(schema) => json!({ "201": body(reference(schema)), "default": problem }),
        Response::Page(schema) => {
            let page = json!({
                "type": "object",
                "required": ["items"],
                "properties": {
                    "items": { "type": "array", "items": reference(schema) },
                    "next": { "type": "string" },
                },
            });
            json!({ "200": body(page), "default": problem })
        }
        Response::Bytes(content_type) => {
            let bytes = json!({ "schema": { "type": "string", "format": "binary" } });
            let ok = json!({ "description": "Done", "content": { content_type: bytes } });
            json!({ "200": ok, "default": problem })
        }
        Response::Empty => json!({ "204": { "description": "Done" }, "default": problem }),
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The checked-in document; `UPDATE_EXPECT=1 cargo test -p api` writes it anew.
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/limen-v1.json");

    #[test]
    fn checked_in_document_is_the_generated_one() {
        let generated = serde_json::to_string_pretty(&document().unwrap()).unwrap() + "\n";
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(PATH, &generated).unwrap();
        }
        let checked_in = std::fs::read_to_string(PATH).unwrap();
        assert!(
            checked_in == generated,
            "run `UPDATE_EXPECT=1 cargo test -p api` and read the diff"
        );
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = document().unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut referenced = BTreeSet::new();
        collect(&document, &mut referenced);
        assert!(referenced.len() > 15);
        for name in referenced {
            assert!(schemas.contains_key(&name), "`{name}` is no schema");
        }
    }

    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    found.insert(reference.rsplit('/').next().unwrap().to_owned());
                }
                fields.values().for_each(|field| collect(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
}
