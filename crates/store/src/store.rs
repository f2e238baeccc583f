//! The views: what belongs to one operator, and what belongs to the city.
//!
//! A [`TenantStore`] is the only way to the rows of an operator, and it holds its operator: no method
//! takes one as an argument, so that mixing tenants does not compile.

use core::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use vocabulary::code::OperatorCode;

use crate::commit::{Commit, CommitError, Committed, Plan, Table};
use crate::engine::{Engine, Row, Statement, Value};
use crate::rows::entity;

pub use crate::rows::ReadError;

/// A database, as the rest of the program holds it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    /// How many leaves are known to be committed through this store.
    committed: watch::Sender<u64>,
}

impl Store {
    /// A store on `engine`.
    #[must_use]
    pub fn new(engine: impl Engine + 'static) -> Self {
        Self { engine: Arc::new(engine), committed: watch::Sender::new(0) }
    }

    /// The rows of `operator`.
    #[must_use]
    pub fn for_operator(&self, operator: &OperatorCode) -> TenantStore {
        TenantStore { store: self.clone(), operator: operator.clone() }
    }

    /// What belongs to the whole city: operators, jobs, the log.
    #[must_use]
    pub fn city(&self) -> CityStore {
        CityStore { store: self.clone() }
    }

    /// How many leaves are known to be committed; grows with every deed done through this store.
    pub(crate) fn log_growth(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }
}

/// The rows of one operator.
#[derive(Clone)]
pub struct TenantStore {
    store: Store,
    operator: OperatorCode,
}

impl TenantStore {
    /// Whose rows these are.
    #[must_use]
    pub const fn operator(&self) -> &OperatorCode {
        &self.operator
    }

    /// Does a deed: all of `commit` is durable when this returns, or none of it was written.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let (steps, names) = Plan::of(&self.operator, &commit)?.into_steps();
        match self.store.engine.transact(steps).await {
            Ok(rows) => {
                let sequence = sequence(rows)?;
                self.store.committed.send_if_modified(|size| {
                    let grown = sequence >= *size;
                    *size = (*size).max(sequence + 1);
                    grown
                });
                Ok(Committed { sequence })
            }
            Err(error) => Err(names.blame(error)),
        }
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.store.engine
    }

    /// The tenant as the first value of a statement.
    pub(crate) fn tenant(&self) -> Value {
        self.operator.as_str().into()
    }

    /// The one number that `sql` selects.
    pub(crate) async fn count(
        &self,
        sql: &'static str,
        values: Vec<Value>,
        table: Table,
    ) -> Result<usize, ReadError> {
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let count: Option<u32> = entity(rows, table, |columns| columns.take())?;
        count.and_then(|count| count.try_into().ok()).ok_or(ReadError::Corrupt(table))
    }
}

fn sequence(rows: Vec<Row>) -> Result<u64, CommitError> {
    let read = entity(rows, Table::Leaf, |columns| columns.take());
    let corrupt = || {
        let source = Box::new(ReadError::Corrupt(Table::Leaf));
        CommitError::Failed(crate::engine::EngineError::Failed(source))
    };
    read.ok().flatten().ok_or_else(corrupt)
}

/// What belongs to the whole city. The city's own deeds, such as registering an operator, are commits
/// of the operator `city`.
#[derive(Clone)]
pub struct CityStore {
    store: Store,
}

impl CityStore {
    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.store.engine
    }
}

macro_rules! opaque {
    ($($view:ident)*) => {$(
        impl fmt::Debug for $view {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($view))
            }
        }
    )*};
}

opaque! { Store TenantStore CityStore }
