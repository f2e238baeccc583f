//! From places, products and grants to the access table of one reader.
//!
//! A door opens to a pass in one of three ways, and no other:
//! 1. the pass is of a product of the door's own operator and names the door's zone;
//! 2. the pass is of a product of the door's own operator and names the door's place, or one
//!    around it;
//! 3. the operator of the door has granted the pass's product the door, or a place around it, and
//!    the pass has the class of the grant, if that names one.
//!
//! Which zones and places a pass names was decided when it was issued, from its product as it was
//! then. The table does not ask the product again: a change of a product never reaches passes that
//! exist. The table holds what concerns the reader's own doors and nothing else, so that a stolen
//! reader tells nothing of the rest of the city.

use std::fmt;

use reader::table::{AccessTable, Door, Need, Rule, TableError};
use vocabulary::code::{OperatorCode, PlaceCode, ProductCode, ZoneCode};

use crate::place::{Grant, Place, PlaceTree};

/// A product, as far as doors ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The operator that issues it.
    pub operator: OperatorCode,
    /// Its code.
    pub code: ProductCode,
}

/// Why no table comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// A door is no place of the tree.
    Door(PlaceCode),
    /// The table passes a limit; the door with the most rules is named, if there is one.
    Table {
        /// Which limit.
        error: TableError,
        /// The door with the most rules.
        door: Option<PlaceCode>,
    },
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Door(code) => write!(f, "compiling an access table: no place `{code}`"),
            Self::Table { door: Some(door), .. } => {
                write!(f, "compiling an access table, most of it for `{door}`")
            }
            Self::Table { door: None, .. } => f.write_str("compiling an access table"),
        }
    }
}

impl std::error::Error for CompileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Door(_) => None,
            Self::Table { error, .. } => Some(error),
        }
    }
}

/// Compiles the table of a reader that serves `doors`.
///
/// # Errors
/// [`CompileError`] for a door that is no place, and for every limit of the table.
pub fn compile(
    tree: &PlaceTree,
    products: &[Product],
    grants: &[Grant],
    doors: &[PlaceCode],
) -> Result<AccessTable, CompileError> {
    let mut largest: Option<(usize, &PlaceCode)> = None;
    let mut compiled = Vec::with_capacity(doors.len());
    for code in doors {
        let place = tree.get(code).ok_or_else(|| CompileError::Door(code.clone()))?;
        let zone = tree.zone(code);
        let rules = rules(place, zone, products, grants);
        largest = largest.max(Some((rules.len(), code)));
        let door = Door::new(code.clone(), zone.cloned(), tree.class(code), rules);
        compiled.push(door.map_err(|error| over(error, largest))?);
    }
    AccessTable::new(compiled).map_err(|error| over(error, largest))
}

fn rules(
    place: &Place,
    zone: Option<&ZoneCode>,
    products: &[Product],
    grants: &[Grant],
) -> Vec<Rule> {
    let own = products.iter().filter(|product| product.operator == place.operator);
    let by_product = own.flat_map(|product| {
        [zone.map(|_| Need::Zone), Some(Need::Place)].into_iter().flatten().map(|need| Rule {
            operator: product.operator.clone(),
            product: product.code.clone(),
            class: None,
            need,
        })
    });
    let given = grants
        .iter()
        .filter(|grant| grant.operator == place.operator && grant.place.contains(&place.code));
    let by_grant = given.map(|grant| Rule {
        operator: grant.product_operator.clone(),
        product: grant.product.clone(),
        class: grant.class.clone(),
        need: Need::Nothing,
    });
    by_product.chain(by_grant).collect()
}

fn over(error: TableError, largest: Option<(usize, &PlaceCode)>) -> CompileError {
    CompileError::Table { error, door: largest.map(|(_, door)| door.clone()) }
}
