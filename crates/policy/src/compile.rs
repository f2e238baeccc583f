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
    /// The table passes a limit.
    Table {
        /// Which limit.
        error: TableError,
        /// The door with the most rules, if there is a door.
        largest: Option<Box<Largest>>,
    },
}

/// The door with the most rules, and where they come from. A product of the door's own operator
/// makes one rule at a door without a zone and two at a door with one, a grant makes one: so an
/// operator with zones has at most half of [`reader::table::RULES_MAX`] products, and fewer where the reader has
/// several doors or codes are long, since the whole table has at most
/// [`reader::table::TABLE_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Largest {
    /// The door.
    pub door: PlaceCode,
    /// Its rules.
    pub rules: usize,
    /// Whose door it is.
    pub operator: OperatorCode,
    /// How many products that operator has.
    pub products: usize,
    /// How many grants reach the door.
    pub grants: usize,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Door(code) => write!(f, "compiling an access table: no place `{code}`"),
            Self::Table { error, largest: None } => {
                write!(f, "compiling an access table: {error}")
            }
            Self::Table { error, largest: Some(largest) } => {
                write!(f, "compiling an access table: {error}; {largest}")
            }
        }
    }
}

impl fmt::Display for Largest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { door, rules, operator, products, grants } = self;
        write!(
            f,
            "door `{door}` has the most rules, {rules}, from {products} products of operator \
             `{operator}` and {grants} grants"
        )
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
/// [`CompileError`] for a door that is no place, and for every limit of the table; see [`Largest`].
pub fn compile(
    tree: &PlaceTree,
    products: &[Product],
    grants: &[Grant],
    doors: &[PlaceCode],
) -> Result<AccessTable, CompileError> {
    let mut largest: Option<(usize, &Place)> = None;
    let over = |error, largest: Option<(usize, &Place)>| {
        let largest = largest.map(|(rules, place)| largest_of(rules, place, products, grants));
        CompileError::Table { error, largest: largest.map(Box::new) }
    };
    let mut compiled = Vec::with_capacity(doors.len());
    for code in doors {
        let place = tree.get(code).ok_or_else(|| CompileError::Door(code.clone()))?;
        let zone = tree.zone(code);
        let rules = rules(place, zone, products, grants);
        if largest.is_none_or(|(most, _)| rules.len() > most) {
            largest = Some((rules.len(), place));
        }
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
    let by_product = own(place, products).flat_map(|product| {
        [zone.map(|_| Need::Zone), Some(Need::Place)].into_iter().flatten().map(|need| Rule {
            operator: product.operator.clone(),
            product: product.code.clone(),
            class: None,
            need,
        })
    });
    let by_grant = given(place, grants).map(|grant| Rule {
        operator: grant.product_operator.clone(),
        product: grant.product.clone(),
        class: grant.class.clone(),
        need: Need::Nothing,
    });
    by_product.chain(by_grant).collect()
}

/// The products of the operator of `place`.
fn own<'a>(place: &Place, products: &'a [Product]) -> impl Iterator<Item = &'a Product> {
    products.iter().filter(|product| product.operator == place.operator)
}

/// The grants that reach `place`.
fn given<'a>(place: &Place, grants: &'a [Grant]) -> impl Iterator<Item = &'a Grant> {
    let reaches =
        |grant: &&Grant| grant.operator == place.operator && grant.place.contains(&place.code);
    grants.iter().filter(reaches)
}

fn largest_of(rules: usize, place: &Place, products: &[Product], grants: &[Grant]) -> Largest {
    Largest {
        door: place.code.clone(),
        rules,
        operator: place.operator.clone(),
        products: own(place, products).count(),
        grants: given(place, grants).count(),
    }
}
