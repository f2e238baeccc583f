//! Places and grants: added by who runs the readers there.

use ::reader::table::ZoneClass;
use policy::action::Action;
use policy::authorize::Permit;
use policy::place::{Grant, NAME_BYTES_MAX, PLACES_PER_OPERATOR_MAX, Place, PlaceError, PlaceTree};
use vocabulary::code::{ClassCode, OperatorCode, PlaceCode, ProductCode, ZoneCode};
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::change::Change;
use crate::refusal::Refusal;

/// What is asked when a place is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlace {
    /// Its path.
    pub code: PlaceCode,
    /// What the sign says.
    pub name: Line<NAME_BYTES_MAX>,
    /// The zone in which it lies; if none, that of the place around it.
    pub zone: Option<ZoneCode>,
    /// How much is at stake; if none, as in the place around it.
    pub class: Option<ZoneClass>,
}

/// What is asked when a grant is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// Where it has force: a place of the permit's operator.
    pub place: PlaceCode,
    /// The operator of the product.
    pub product_operator: OperatorCode,
    /// The product.
    pub product: ProductCode,
    /// The class that the pass must have, if any is asked.
    pub class: Option<ClassCode>,
}

/// Adds a place of the permit's operator to the city's `tree`.
///
/// # Errors
/// [`Refusal::Place`] when its code is taken, it touches a place of another operator or the operator
/// has too many, [`Refusal::Permit`] for a wrong permit.
pub fn add_place(
    permit: &Permit,
    tree: &PlaceTree,
    request: NewPlace,
    now: Instant,
) -> Result<Change, Refusal> {
    permit.covers(Action::PlaceAdd, permit.operator())?;
    let NewPlace { code, name, zone, class } = request;
    let operator = permit.operator().clone();
    let place = Place { code, operator, name, zone, class, added_at: now, version: 1 };
    tree.accepts(&place).map_err(Refusal::Place)?;
    if tree.count(&place.operator) >= PLACES_PER_OPERATOR_MAX {
        return Err(Refusal::Place(PlaceError::TooManyOwn));
    }
    Ok(Change::InsertPlace(place))
}

/// Lets passes of a product open every door within a place of the permit's operator.
///
/// # Errors
/// [`Refusal::NoPlace`] when the operator has no such place, [`Refusal::Permit`] for a wrong permit.
pub fn add_grant(
    permit: &Permit,
    tree: &PlaceTree,
    request: NewGrant,
    now: Instant,
) -> Result<Change, Refusal> {
    permit.covers(Action::PlaceAdd, permit.operator())?;
    let NewGrant { place, product_operator, product, class } = request;
    let own = tree.get(&place).filter(|place| place.operator == *permit.operator());
    if own.is_none() {
        return Err(Refusal::NoPlace(place));
    }
    let operator = permit.operator().clone();
    let granted_at = now;
    let grant = Grant { operator, place, product_operator, product, class, granted_at };
    Ok(Change::InsertGrant(grant))
}
