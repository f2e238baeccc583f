//! Places and the grants that open them.

use policy::place::{Grant, Place};
use reader::table::ZoneClass;
use vocabulary::code::{ClassCode, PlaceCode, ZoneCode};

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::Statement;
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities, entity};
use crate::store::{CityStore, TenantStore};

pub(super) fn plan(plan: &mut Plan<'_>, place: &Place) -> Result<(), CommitError> {
    plan.own(&place.operator)?;
    plan.one(
        row(Table::Place, &place.code),
        "INSERT INTO place (code, operator, name, zone, class, added_at, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        vec![
            place.code.as_str().into(),
            place.operator.as_str().into(),
            place.name.as_str().into(),
            place.zone.as_ref().map(ZoneCode::as_str).into(),
            place.class.map(ZoneClass::as_str).into(),
            place.added_at.into(),
            place.version.into(),
        ],
    );
    Ok(())
}

/// Giving a grant again changes nothing.
pub(super) fn plan_grant(plan: &mut Plan<'_>, grant: &Grant) -> Result<(), CommitError> {
    plan.own(&grant.operator)?;
    plan.any(
        row(Table::PlaceGrant, &grant.place),
        "INSERT INTO place_grant (operator, place, product_operator, product, class, granted_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        vec![
            grant.operator.as_str().into(),
            grant.place.as_str().into(),
            grant.product_operator.as_str().into(),
            grant.product.as_str().into(),
            // No class is an empty text here, so that it takes part in the key.
            grant.class.as_ref().map_or("", ClassCode::as_str).into(),
            grant.granted_at.into(),
        ],
    );
    Ok(())
}

fn place(columns: &mut Columns) -> Option<Place> {
    Some(Place {
        code: columns.parse()?,
        operator: columns.parse()?,
        name: columns.parse()?,
        zone: columns.parse_optional()?,
        class: match columns.take::<Option<String>>()? {
            None => None,
            Some(name) => Some(ZoneClass::ALL.into_iter().find(|class| class.as_str() == name)?),
        },
        added_at: columns.take()?,
        version: columns.take()?,
    })
}

fn grant(columns: &mut Columns) -> Option<Grant> {
    Some(Grant {
        operator: columns.parse()?,
        place: columns.parse()?,
        product_operator: columns.parse()?,
        product: columns.parse()?,
        class: columns.words(|word| word.parse().ok())?.pop(),
        granted_at: columns.take()?,
    })
}

impl CityStore {
    /// Every place of the city, for the tree.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn places(&self) -> Result<Vec<Place>, ReadError> {
        let sql = "SELECT code, operator, name, zone, class, added_at, version FROM place \
                   ORDER BY code";
        let rows = self.engine().read(Statement::page(sql, vec![])).await?;
        entities(rows, Table::Place, place)
    }
}

impl TenantStore {
    /// The place `code`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn place(&self, code: &PlaceCode) -> Result<Option<Place>, ReadError> {
        let sql = "SELECT code, operator, name, zone, class, added_at, version FROM place \
                   WHERE operator = $1 AND code = $2";
        let values = vec![self.tenant(), code.as_str().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Place, place)
    }

    /// The places of the operator by their codes.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn places(&self, page: &Page) -> Result<Listing<Place>, ReadError> {
        let sql = "SELECT code, operator, name, zone, class, added_at, version FROM place \
                   WHERE operator = $1 AND code > $2 ORDER BY code LIMIT $3";
        let values = vec![self.tenant(), Cursor::text(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Place, place)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.code.as_str().as_bytes())))
    }

    /// Every grant that the operator has given.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn place_grants(&self) -> Result<Vec<Grant>, ReadError> {
        let sql = "SELECT operator, place, product_operator, product, class, granted_at \
                   FROM place_grant WHERE operator = $1 \
                   ORDER BY place, product_operator, product, class";
        let rows = self.engine().read(Statement::page(sql, vec![self.tenant()])).await?;
        entities(rows, Table::PlaceGrant, grant)
    }
}
