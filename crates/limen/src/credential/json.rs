//! Credentials as JSON for people and programs.

use credential::cbor::{Decoder, Kind, TAG_EMBEDDED};
use credential::jose::base64url;
use credential::mdoc::Item;
use serde_json::{Map, Number, Value};

/// The elements of a document: `{nameSpace: {element: value}}`.
pub(super) fn elements(items: &[Item<'_>]) -> Value {
    let mut name_spaces = Map::new();
    for item in items {
        let elements =
            name_spaces.entry(item.name_space).or_insert_with(|| Value::Object(Map::new()));
        if let Some(elements) = elements.as_object_mut() {
            elements.insert(item.element.to_owned(), cbor(item.value));
        }
    }
    Value::Object(name_spaces)
}

/// A CBOR item as JSON: byte strings as base64url, dates as their text, tags dropped.
pub(super) fn cbor(bytes: &[u8]) -> Value {
    // What was verified is well formed; what is only looked at may not be.
    Decoder::new(bytes).ok().and_then(|mut decoder| item(&mut decoder)).unwrap_or(Value::Null)
}

fn item(decoder: &mut Decoder<'_>) -> Option<Value> {
    Some(match decoder.kind() {
        Kind::Unsigned => Value::from(decoder.unsigned().ok()?),
        Kind::Negative => decoder.integer().ok().map_or(Value::Null, Value::from),
        Kind::Bytes => Value::from(base64url::encode(decoder.bytes().ok()?)),
        Kind::Text => Value::from(decoder.text().ok()?),
        Kind::Bool => Value::from(decoder.bool().ok()?),
        Kind::Float => Number::from_f64(decoder.float().ok()?).map_or(Value::Null, Value::Number),
        Kind::Array => {
            let mut remaining = decoder.array().ok()?;
            let mut items = Vec::new();
            while decoder.more(&mut remaining).ok()? {
                items.push(item(decoder)?);
            }
            Value::Array(items)
        }
        Kind::Map => {
            let mut remaining = decoder.map().ok()?;
            let mut fields = Map::new();
            while decoder.more(&mut remaining).ok()? {
                let key = match item(decoder)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                fields.insert(key, item(decoder)?);
            }
            Value::Object(fields)
        }
        Kind::Tag => {
            let is_embedded = decoder.tag().ok()? == TAG_EMBEDDED;
            if is_embedded && decoder.kind() == Kind::Bytes {
                return Some(cbor(decoder.bytes().ok()?));
            }
            item(decoder)?
        }
        _ => {
            decoder.skip().ok()?;
            Value::Null
        }
    })
}
