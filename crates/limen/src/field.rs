//! Members of JSON values that other processes printed.

use serde_json::Value;

/// The member `name` of an object; null where there is none.
pub(crate) fn get<'v>(value: &'v Value, name: &str) -> &'v Value {
    static NULL: Value = Value::Null;
    value.get(name).unwrap_or(&NULL)
}
