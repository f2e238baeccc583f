//! The small trait that a database implements, and the plain values that pass through it.
//!
//! Statements are standard SQL that SQLite and PostgreSQL both understand, with `$1`, `$2`, .. in order
//! of first use; values are integers, text, bytes or null. An engine knows no entity and no tenant.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

use vocabulary::time::Instant;

/// Steps in one transaction.
pub const STEPS_MAX: usize = 8192;

/// An answer that may take a while.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// A database.
pub trait Engine: Send + Sync {
    /// The rows that `statement` selects. It never writes.
    fn read(&self, statement: Statement) -> Pending<'_, Vec<Row>>;

    /// Runs all `steps` in one transaction or none of them; answers once it is durable, with the rows
    /// that the last step returned.
    ///
    /// Transactions run one after another: each sees all that were acknowledged before it.
    fn transact(&self, steps: Vec<Step>) -> Pending<'_, Vec<Row>>;
}

/// A statement with its values.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Standard SQL with `$1`, `$2`, .. in order of first use.
    pub sql: &'static str,
    /// The values, in order.
    pub values: Vec<Value>,
    /// How much it touches.
    pub reach: Reach,
}

/// How much a statement touches: whether it may run where it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One row by a key: some microseconds.
    Row,
    /// Many rows: runs where it may block.
    Page,
}

/// One write and what it must find.
#[derive(Clone, Debug)]
pub struct Step {
    /// The statement.
    pub statement: Statement,
    /// How many rows it must change.
    pub expect: Expect,
}

/// What a step must change, or the whole transaction is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Exactly one row; otherwise somebody else was faster: [`EngineError::Conflict`].
    One,
    /// Any number.
    Any,
}

/// A value in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Absent.
    Null,
    /// A number, or a time in microseconds since 1970 UTC.
    Integer(i64),
    /// Text, or JSON as text.
    Text(String),
    /// Bytes, or an identifier of 16.
    Blob(Vec<u8>),
}

/// A row, in the order of the selected columns.
pub type Row = Vec<Value>;

macro_rules! values {
    ($($from:ty => $value:ident: $variant:ident($into:expr);)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant($into)
            }
        }
    )*};
}

values! {
    i64 => value: Integer(value);
    u32 => value: Integer(value.into());
    u16 => value: Integer(value.into());
    u8 => value: Integer(value.into());
    Instant => value: Integer(value.unix_micros());
    &str => value: Text(value.to_owned());
    String => value: Text(value);
    &[u8] => value: Blob(value.to_vec());
    Vec<u8> => value: Blob(value);
    &[u8; 16] => value: Blob(value.to_vec());
    &[u8; 32] => value: Blob(value.to_vec());
    &[u8; 65] => value: Blob(value.to_vec());
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Why a database did not do what it was asked. Nothing was written.
#[derive(Debug)]
pub enum EngineError {
    /// The step at this position did not find what it expected.
    Conflict {
        /// Its position, from 0.
        step: usize,
    },
    /// The step at this position names a row that does not exist.
    Dangling {
        /// Its position, from 0.
        step: usize,
    },
    /// There is no space left for the database. Reads go on; writes succeed again once there is.
    Full,
    /// The database has been closed.
    Closed,
    /// The database failed.
    Failed(Box<dyn core::error::Error + Send + Sync>),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { step } => write!(f, "step `{step}` did not find the row it expected"),
            Self::Dangling { step } => write!(f, "step `{step}` names a row that does not exist"),
            Self::Full => f.write_str("the disk of the database is full"),
            Self::Closed => f.write_str("the database is closed"),
            Self::Failed(_) => f.write_str("the database failed"),
        }
    }
}

impl core::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Failed(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl Statement {
    /// A statement on one row.
    #[must_use]
    pub const fn row(sql: &'static str, values: Vec<Value>) -> Self {
        Self { sql, values, reach: Reach::Row }
    }

    /// A statement on many rows.
    #[must_use]
    pub const fn page(sql: &'static str, values: Vec<Value>) -> Self {
        Self { sql, values, reach: Reach::Page }
    }

    /// A step that must change exactly one row.
    #[must_use]
    pub const fn expecting_one(self) -> Step {
        Step { statement: self, expect: Expect::One }
    }

    /// A step that may change any number of rows.
    #[must_use]
    pub const fn expecting_any(self) -> Step {
        Step { statement: self, expect: Expect::Any }
    }
}
