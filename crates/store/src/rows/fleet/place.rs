//! Places and the grants that open them.

use policy::actor::CITY;
use policy::place::{Grant, Place};
use reader::table::ZoneClass;
use vocabulary::code::{ClassCode, PlaceCode, ZoneCode};

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::{Statement, Value};
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities, entity};
use crate::store::{CityStore, TenantStore};

/// Segments of a code beyond which there is nothing around a place.
const AROUND_MAX: usize = 7;

/// A place goes in only while no other operator's lies inside it, and none but the city's around
/// it: deciders look at a tree that may have grown since, the writer does not.
pub(super) fn plan(plan: &mut Plan<'_>, place: &Place) -> Result<(), CommitError> {
    plan.own(&place.operator)?;
    let code = place.code.as_str();
    let mut values = vec![
        code.into(),
        place.operator.as_str().into(),
        place.name.as_str().into(),
        place.zone.as_ref().map(ZoneCode::as_str).into(),
        place.class.map(ZoneClass::as_str).into(),
        place.added_at.into(),
        place.version.into(),
        CITY.into(),
    ];
    let around = code.match_indices('/').filter_map(|(end, _)| code.get(..end));
    values.extend(around.chain(std::iter::repeat("")).take(AROUND_MAX).map(Value::from));
    // What lies inside stands between `code/` and `code0`, the character after `/`.
    values.extend([format!("{code}/").into(), format!("{code}0").into()]);
    plan.one(
        row(Table::Place, &place.code),
        "INSERT INTO place (code, operator, name, zone, class, added_at, version) \
         SELECT $1, $2, $3, $4, $5, $6, $7 \
         WHERE NOT EXISTS (SELECT 1 FROM place WHERE operator <> $2 AND operator <> $8 \
         AND code IN ($9, $10, $11, $12, $13, $14, $15)) \
         AND ($2 = $8 OR NOT EXISTS (SELECT 1 FROM place WHERE operator <> $2 \
         AND code > $16 AND code < $17)) ON CONFLICT DO NOTHING",
        values,
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
