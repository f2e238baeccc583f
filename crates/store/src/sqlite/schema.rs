//! The migrations: each brings a database from one version to the next, in one transaction.
//!
//! A migration that has shipped is never edited. Expand first, ship, then contract.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// The version that this program writes.
pub const SCHEMA_VERSION: i64 = 4;

const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_city.sql"),
    include_str!("migrations/0002_delivery_keys.sql"),
    include_str!("migrations/0003_express_handles.sql"),
    include_str!("migrations/0004_reconciliation.sql"),
];

/// Brings the database to [`SCHEMA_VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::NewerSchema { found });
    }
    let (Ok(done), mut version) = (usize::try_from(found), found) else {
        return Err(OpenError::NewerSchema { found });
    };
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
        version += 1;
    }
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()?;
    Ok(())
}
