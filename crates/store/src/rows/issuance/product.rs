//! Products: every version is a row of its own.

use issuance::product::Product;
use vocabulary::code::ProductCode;

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::Statement;
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities, entity, terms};
use crate::store::TenantStore;

/// Version n + 1 is inserted only where version n is the newest.
pub(super) fn plan(plan: &mut Plan<'_>, product: &Product) -> Result<(), CommitError> {
    plan.own(&product.operator)?;
    plan.one(
        row(Table::Product, &product.code),
        "INSERT INTO product (operator, code, version, terms, changed_at) \
         SELECT $1, $2, $3, $4, $5 WHERE $3 = 1 + coalesce((SELECT max(version) FROM product \
         WHERE operator = $1 AND code = $2), 0) ON CONFLICT DO NOTHING",
        vec![
            product.operator.as_str().into(),
            product.code.as_str().into(),
            product.version.into(),
            terms::write(&product.terms).into(),
            product.changed_at.into(),
        ],
    );
    Ok(())
}

fn product(columns: &mut Columns) -> Option<Product> {
    Some(Product {
        operator: columns.parse()?,
        code: columns.parse()?,
        version: columns.take()?,
        terms: terms::read(&columns.take::<String>()?)?,
        changed_at: columns.take()?,
    })
}

impl TenantStore {
    /// The newest version of the product `code`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn product(&self, code: &ProductCode) -> Result<Option<Product>, ReadError> {
        let sql = "SELECT operator, code, version, terms, changed_at FROM product \
                   WHERE operator = $1 AND code = $2 ORDER BY version DESC LIMIT 1";
        let values = vec![self.tenant(), code.as_str().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Product, product)
    }

    /// One version of the product `code`: the one that a pass names.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn product_version(
        &self,
        code: &ProductCode,
        version: u32,
    ) -> Result<Option<Product>, ReadError> {
        let sql = "SELECT operator, code, version, terms, changed_at FROM product \
                   WHERE operator = $1 AND code = $2 AND version = $3";
        let values = vec![self.tenant(), code.as_str().into(), version.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Product, product)
    }

    /// The newest versions of all products by their codes.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn products(&self, page: &Page) -> Result<Listing<Product>, ReadError> {
        let sql = "SELECT operator, code, version, terms, changed_at FROM product AS listed \
                   WHERE operator = $1 AND code > $2 AND version = (SELECT max(version) \
                   FROM product WHERE operator = listed.operator AND code = listed.code) \
                   ORDER BY code LIMIT $3";
        let values = vec![self.tenant(), Cursor::text(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Product, product)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.code.as_str().as_bytes())))
    }
}
