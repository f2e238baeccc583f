//! Values and errors between SQLite and the engine.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ffi};

use crate::engine::{EngineError, Row, Statement, Value};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Prepares `statement` (once per connection) and binds its values.
pub(super) fn prepare<'c>(
    connection: &'c Connection,
    statement: &Statement,
) -> rusqlite::Result<CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(statement.sql)?;
    for (position, value) in (1..).zip(&statement.values) {
        // SQLite numbers `$1`, `$2`, .. by first use, PostgreSQL by name: both must agree.
        debug_assert_eq!(prepared.parameter_name(position), Some(&*format!("${position}")));
        prepared.raw_bind_parameter(position, value)?;
    }
    debug_assert_eq!(prepared.parameter_count(), statement.values.len(), "{}", statement.sql);
    Ok(prepared)
}

pub(super) fn collect(prepared: &mut CachedStatement<'_>) -> rusqlite::Result<Vec<Row>> {
    let columns = prepared.column_count();
    let mut cursor = prepared.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = cursor.next()? {
        let value = |column| row.get_ref(column).map(own);
        rows.push((0..columns).map(value).collect::<Result<_, _>>()?);
    }
    Ok(rows)
}

fn own(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        // No column holds floating-point numbers: the tables are STRICT.
        ValueRef::Real(value) => Value::Text(value.to_string()),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// The engine's word for an SQLite error at `step`.
pub(super) fn fault(error: rusqlite::Error, step: usize) -> EngineError {
    let code = error.sqlite_error().copied();
    match code.map(|error| (error.code, error.extended_code)) {
        Some((ErrorCode::DiskFull, _)) => EngineError::Full,
        // The shared index of the write-ahead log could not grow: the disk is full as well.
        Some((_, ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_WRITE)) => EngineError::Full,
        Some((_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY)) => EngineError::Dangling { step },
        Some((ErrorCode::ConstraintViolation, _)) => EngineError::Conflict { step },
        _ => EngineError::Failed(Box::new(error)),
    }
}
