//! JSON (RFC 8259) in the strict form that tokens need (RFC 7515, section 4; RFC 8725, section 2.4).
//!
//! A member that stands twice in one object is refused, since two readers could each believe the
//! other one. Nesting and length are limited. What is read here is never written again to be
//! hashed: whoever hashes keeps the text.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest text that is read, in bytes.
pub const LENGTH_MAX: usize = 1 << 20;
/// How deep arrays and objects may lie in one another.
pub const DEPTH_MAX: usize = 32;

/// Why a text is not the JSON that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Longer than [`LENGTH_MAX`].
    Length,
    /// Not JSON, a member that stands twice, or nested deeper than [`DEPTH_MAX`]; with the reason
    /// and where it was found.
    Syntax(String),
    /// JSON, but not an object.
    NotAnObject,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "JSON is longer than {LENGTH_MAX} bytes"),
            Self::Syntax(reason) => f.write_str(reason),
            Self::NotAnObject => f.write_str("JSON is not an object"),
        }
    }
}

impl core::error::Error for JsonError {}

/// Reads one JSON value that fills all of `bytes`.
///
/// # Errors
/// [`JsonError`]; a member that stands twice is one.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.len() > LENGTH_MAX {
        return Err(JsonError::Length);
    }
    let syntax = |error: serde_json::Error| JsonError::Syntax(alloc::format!("{error}"));
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(syntax)?;
    reader.end().map_err(syntax)?;
    Ok(value)
}

/// Reads one JSON object that fills all of `bytes`.
///
/// # Errors
/// [`JsonError`], also when the value is not an object.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match parse(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// Builds a [`Value`] and refuses what `serde_json` would let pass.
struct Strict {
    depth: usize,
}

impl Strict {
    /// The depth of what lies in the container that begins here.
    fn enter<E: Error>(&self) -> Result<usize, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("JSON nests deeper than {DEPTH_MAX}")));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = self.enter()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Self { depth })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth = self.enter()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Self { depth })?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member `{name}` stands twice")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn members_that_stand_twice_are_refused() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":{"a":1,"b":2,"\u0061":3}}"#, r#"[{"":0,"":0}]"#] {
            assert!(matches!(parse(text.as_bytes()), Err(JsonError::Syntax(_))), "{text}");
            // The control: the library alone lets the second member win.
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
        }
        assert!(parse(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn what_is_not_one_json_text_is_refused() {
        for text in
            ["", "{", "1 2", "{}x", "nul", "[1,]", "{\"a\":}", "\"\u{1}\"", "1e999", "\u{feff}{}"]
        {
            assert!(matches!(parse(text.as_bytes()), Err(JsonError::Syntax(_))), "{text:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert_eq!(parse_object(b"[]"), Err(JsonError::NotAnObject));
    }

    #[test]
    fn depth_and_length_are_limited() {
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert!(parse(nested(DEPTH_MAX + 1).as_bytes()).is_err());
        let mut text = alloc::vec![b' '; LENGTH_MAX];
        text[0] = b'1';
        assert!(parse(&text).is_ok());
        text.push(b' ');
        assert_eq!(parse(&text), Err(JsonError::Length));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn values_are_those_of_the_library(text in r#"[\[\]{}",:0-9a-c]{0,24}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value));
            }
        }
    }
}
