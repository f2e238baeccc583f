//! Entities as rows: the only place where columns have a meaning.
//!
//! Each module holds the statements of one crate's entities: `plan` turns a change into steps, the
//! views of `store` get their reading methods here. An insert of what exists and an update
//! of another version both hit no row, which is how a conflict is seen.

use core::fmt;
use core::str::FromStr;

use vocabulary::id;
use vocabulary::time::Instant;

use crate::commit::{CommitError, RowName, Table};
use crate::engine::{EngineError, Row, Value};

pub(crate) mod event;
pub(crate) mod fleet;
pub(crate) mod identity;
pub(crate) mod issuance;
pub(crate) mod setting;
mod terms;

/// Why something was not read.
#[derive(Debug)]
pub enum ReadError {
    /// A row does not hold what its table should: the database was altered by something else.
    Corrupt(Table),
    /// The store failed.
    Failed(EngineError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(table) => write!(f, "read: a row of `{table}` is corrupt"),
            Self::Failed(_) => f.write_str("read: the store failed"),
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Failed(source) => Some(source),
            Self::Corrupt(_) => None,
        }
    }
}

impl From<EngineError> for ReadError {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// The columns of one row, taken one after another.
pub(crate) struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    /// The next column.
    pub(crate) fn take<T: FromColumn>(&mut self) -> Option<T> {
        T::from_column(self.0.next()?)
    }

    /// The next column, a text in the form of `T`.
    pub(crate) fn parse<T: FromStr>(&mut self) -> Option<T> {
        self.take::<String>()?.parse().ok()
    }

    /// The next column, a text in the form of `T`, or null.
    pub(crate) fn parse_optional<T: FromStr>(&mut self) -> Option<Option<T>> {
        match self.take::<Option<String>>()? {
            None => Some(None),
            Some(text) => text.parse().ok().map(Some),
        }
    }

    /// The next column, a stable name.
    pub(crate) fn named<T>(&mut self, named: impl Fn(&str) -> Option<T>) -> Option<T> {
        named(&self.take::<String>()?)
    }

    /// The next column, stable names or codes with spaces between.
    pub(crate) fn words<T>(&mut self, word: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        self.take::<String>()?.split_whitespace().map(word).collect()
    }
}

/// Codes or stable names as one column.
pub(crate) fn words<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Value {
    let words: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    Value::Text(words.join(" "))
}

/// All rows as entities.
pub(crate) fn entities<T>(
    rows: Vec<Row>,
    table: Table,
    entity: impl Fn(&mut Columns) -> Option<T>,
) -> Result<Vec<T>, ReadError> {
    let whole = |row: Row| {
        let mut columns = Columns(row.into_iter());
        entity(&mut columns).filter(|_| columns.0.len() == 0)
    };
    rows.into_iter().map(|row| whole(row).ok_or(ReadError::Corrupt(table))).collect()
}

/// The first row as an entity, if there is one.
pub(crate) fn entity<T>(
    rows: Vec<Row>,
    table: Table,
    read: impl Fn(&mut Columns) -> Option<T>,
) -> Result<Option<T>, ReadError> {
    entities(rows, table, read).map(|entities| entities.into_iter().next())
}

/// A number that may not fit a signed column.
pub(crate) fn number(value: u64, name: &RowName) -> Result<Value, CommitError> {
    i64::try_from(value).map(Value::Integer).map_err(|_| CommitError::Range(name.clone()))
}

/// What a column can be read as.
pub(crate) trait FromColumn: Sized {
    fn from_column(value: Value) -> Option<Self>;
}

impl FromColumn for i64 {
    fn from_column(value: Value) -> Option<Self> {
        if let Value::Integer(value) = value { Some(value) } else { None }
    }
}

impl FromColumn for String {
    fn from_column(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(value: Value) -> Option<Self> {
        if let Value::Blob(bytes) = value { Some(bytes) } else { None }
    }
}

impl<const N: usize> FromColumn for [u8; N] {
    fn from_column(value: Value) -> Option<Self> {
        Vec::from_column(value)?.try_into().ok()
    }
}

impl FromColumn for Instant {
    fn from_column(value: Value) -> Option<Self> {
        i64::from_column(value).map(Self::from_unix_micros)
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: Value) -> Option<Self> {
        if value == Value::Null { Some(None) } else { T::from_column(value).map(Some) }
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl FromColumn for $number {
            fn from_column(value: Value) -> Option<Self> {
                i64::from_column(value)?.try_into().ok()
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 }

macro_rules! identifiers {
    ($($id:ident)*) => {$(
        impl FromColumn for id::$id {
            fn from_column(value: Value) -> Option<Self> {
                <[u8; 16]>::from_column(value).map(Self::from_bytes)
            }
        }
    )*};
}

identifiers! { PersonId PassId CredentialId OfferId ReaderId EnrolmentId TokenId JobId EventId }
