//! Passes.

use issuance::pass::{Pass, PassState};
use vocabulary::id::{PassId, PersonId};
use vocabulary::time::Instant;

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::Statement;
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities, entity};
use crate::store::TenantStore;

pub(super) fn plan(plan: &mut Plan<'_>, pass: &Pass) -> Result<(), CommitError> {
    plan.own(&pass.operator)?;
    let sql = match pass.version {
        1 => {
            "INSERT INTO pass (person, product, product_version, state, valid_from, valid_until, \
             issued_at, collected_at, changed_at, version, operator, id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE pass SET person = $1, product = $2, product_version = $3, state = $4, \
             valid_from = $5, valid_until = $6, issued_at = $7, collected_at = $8, \
             changed_at = $9, version = $10 \
             WHERE operator = $11 AND id = $12 AND version = $10 - 1"
        }
    };
    let values = vec![
        pass.person.as_bytes().into(),
        pass.product.as_str().into(),
        pass.product_version.into(),
        pass.state.as_str().into(),
        pass.valid_from.into(),
        pass.valid_until.into(),
        pass.issued_at.into(),
        pass.collected_at.into(),
        pass.changed_at.into(),
        pass.version.into(),
        pass.operator.as_str().into(),
        pass.id.as_bytes().into(),
    ];
    plan.one(row(Table::Pass, pass.id), sql, values);
    Ok(())
}

fn pass(columns: &mut Columns) -> Option<Pass> {
    Some(Pass {
        id: columns.take()?,
        operator: columns.parse()?,
        person: columns.take()?,
        product: columns.parse()?,
        product_version: columns.take()?,
        state: columns.named(PassState::named)?,
        valid_from: columns.take()?,
        valid_until: columns.take()?,
        issued_at: columns.take()?,
        collected_at: columns.take()?,
        changed_at: columns.take()?,
        version: columns.take()?,
    })
}

impl TenantStore {
    /// The pass `id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn pass(&self, id: PassId) -> Result<Option<Pass>, ReadError> {
        let sql = "SELECT id, operator, person, product, product_version, state, valid_from, \
                   valid_until, issued_at, collected_at, changed_at, version FROM pass \
                   WHERE operator = $1 AND id = $2";
        let values = vec![self.tenant(), id.as_bytes().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Pass, pass)
    }

    /// The passes by their identifiers, the first issued first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn passes(&self, page: &Page) -> Result<Listing<Pass>, ReadError> {
        let sql = "SELECT id, operator, person, product, product_version, state, valid_from, \
                   valid_until, issued_at, collected_at, changed_at, version FROM pass \
                   WHERE operator = $1 AND id > $2 ORDER BY id LIMIT $3";
        let values = vec![self.tenant(), Cursor::blob(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Pass, pass)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.id.as_bytes())))
    }

    /// The passes of `person`, the first issued first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn passes_of_person(
        &self,
        person: PersonId,
        page: &Page,
    ) -> Result<Listing<Pass>, ReadError> {
        let sql = "SELECT id, operator, person, product, product_version, state, valid_from, \
                   valid_until, issued_at, collected_at, changed_at, version FROM pass \
                   WHERE operator = $1 AND person = $2 AND id > $3 ORDER BY id LIMIT $4";
        let after = Cursor::blob(page.after.as_ref());
        let values = vec![self.tenant(), person.as_bytes().into(), after, page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Pass, pass)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.id.as_bytes())))
    }

    /// Passes whose own date has come by `now` and that have not been marked so, the first issued
    /// first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn passes_to_expire(
        &self,
        now: Instant,
        page: &Page,
    ) -> Result<Listing<Pass>, ReadError> {
        let sql = "SELECT id, operator, person, product, product_version, state, valid_from, \
                   valid_until, issued_at, collected_at, changed_at, version FROM pass \
                   WHERE operator = $1 AND valid_until <= $2 \
                   AND state NOT IN ('revoked', 'expired') AND id > $3 ORDER BY id LIMIT $4";
        let after = Cursor::blob(page.after.as_ref());
        let values = vec![self.tenant(), now.into(), after, page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Pass, pass)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.id.as_bytes())))
    }
}
