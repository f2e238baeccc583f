//! Places: the tree of sites, floors and doors, with zones and what is at stake.
//!
//! A place takes its zone and its class from the nearest place around it that has one, within its
//! own operator or the city's. Nobody puts a place inside another operator's.

use std::collections::BTreeMap;
use std::fmt;

use reader::table::ZoneClass;
use vocabulary::code::{ClassCode, OperatorCode, PlaceCode, ProductCode, ZoneCode};
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::actor::CITY;

/// Bytes in the name of a place.
pub const NAME_BYTES_MAX: usize = 120;
/// Places in one tree.
pub const PLACES_MAX: usize = 100_000;
/// Places of one operator.
pub const PLACES_PER_OPERATOR_MAX: usize = 10_000;

/// A place of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path, unique in the whole city.
    pub code: PlaceCode,
    /// The operator to which it belongs.
    pub operator: OperatorCode,
    /// What the sign says.
    pub name: Line<NAME_BYTES_MAX>,
    /// The zone in which it lies; if none, that of the place around it.
    pub zone: Option<ZoneCode>,
    /// How much is at stake; if none, as in the place around it, at last [`ZoneClass::Normal`].
    pub class: Option<ZoneClass>,
    /// When it was added.
    pub added_at: Instant,
    /// Counts the writes, from 1.
    pub version: u32,
}

/// A standing permission: passes of a product open every door within a place, whatever zones or
/// places the pass names. Given by the operator of the place, also to products of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The operator that gives it; it has force at doors of that operator only.
    pub operator: OperatorCode,
    /// Where it has force.
    pub place: PlaceCode,
    /// The operator of the product.
    pub product_operator: OperatorCode,
    /// The product.
    pub product: ProductCode,
    /// The class that the pass must have, if any is asked.
    pub class: Option<ClassCode>,
    /// When it was given.
    pub granted_at: Instant,
}

/// All places of the city, in a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceTree {
    places: BTreeMap<PlaceCode, Place>,
}

/// Why places make no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceError {
    /// The code is taken.
    Taken(PlaceCode),
    /// The place would lie inside, or around, a place of another operator.
    Foreign(PlaceCode),
    /// There are more than [`PLACES_MAX`] places.
    TooMany,
    /// The operator has [`PLACES_PER_OPERATOR_MAX`] places already.
    TooManyOwn,
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(code) => write!(f, "place `{code}` exists"),
            Self::Foreign(code) => write!(f, "place `{code}` touches one of another operator"),
            Self::TooMany => write!(f, "there are more than {PLACES_MAX} places"),
            Self::TooManyOwn => {
                write!(f, "the operator has {PLACES_PER_OPERATOR_MAX} places already")
            }
        }
    }
}

impl std::error::Error for PlaceError {}

impl PlaceTree {
    /// The tree of `places`, in any order.
    ///
    /// # Errors
    /// [`PlaceError`] with the first place that does not fit.
    pub fn new(places: impl IntoIterator<Item = Place>) -> Result<Self, PlaceError> {
        let mut tree = Self::default();
        for place in places {
            if tree.places.len() == PLACES_MAX {
                return Err(PlaceError::TooMany);
            }
            if let Some(taken) = tree.places.insert(place.code.clone(), place) {
                return Err(PlaceError::Taken(taken.code));
            }
        }
        let foreign = tree.places.values().find(|place| !tree.is_at_home(place));
        match foreign {
            Some(place) => Err(PlaceError::Foreign(place.code.clone())),
            None => Ok(tree),
        }
    }

    /// The tree of as many of `places` as make one, the older before the younger, and why each of
    /// the others is left out: what is damaged costs those places their force, not the city.
    #[must_use]
    pub fn mended(mut places: Vec<Place>) -> (Self, Vec<PlaceError>) {
        places.sort_by(|a, b| (a.added_at, &a.code).cmp(&(b.added_at, &b.code)));
        let mut tree = Self::default();
        let mut left_out = Vec::new();
        for place in places {
            match tree.accepts(&place) {
                Ok(()) => drop(tree.places.insert(place.code.clone(), place)),
                Err(error) => left_out.push(error),
            }
        }
        (tree, left_out)
    }

    /// How many places `operator` has.
    #[must_use]
    pub fn count(&self, operator: &OperatorCode) -> usize {
        self.places.values().filter(|place| place.operator == *operator).count()
    }

    /// Whether `place` could be added: its code is free, and it touches nothing of another operator.
    ///
    /// # Errors
    /// [`PlaceError`] with the reason why it could not.
    pub fn accepts(&self, place: &Place) -> Result<(), PlaceError> {
        if self.places.contains_key(&place.code) {
            return Err(PlaceError::Taken(place.code.clone()));
        }
        if self.places.len() >= PLACES_MAX {
            return Err(PlaceError::TooMany);
        }
        let is_city = place.operator.as_str() == CITY;
        // Codes that begin alike stand together, so what lies inside is one run of the map.
        let mut inside = self.places.range(&place.code..).map(|(_, other)| other);
        let is_around_foreign = inside
            .by_ref()
            .take_while(|other| other.code.as_str().starts_with(place.code.as_str()))
            .filter(|other| place.code.contains(&other.code))
            .any(|other| other.operator != place.operator && !is_city);
        if is_around_foreign || !self.is_at_home(place) {
            return Err(PlaceError::Foreign(place.code.clone()));
        }
        Ok(())
    }

    /// The place of `code`, if there is one.
    #[must_use]
    pub fn get(&self, code: &PlaceCode) -> Option<&Place> {
        self.places.get(code)
    }

    /// Every place, ascending by code.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.values()
    }

    /// The zone in which `code` lies, by itself or by the nearest place around it.
    #[must_use]
    pub fn zone(&self, code: &PlaceCode) -> Option<&ZoneCode> {
        self.upwards(code).find_map(|place| place.zone.as_ref())
    }

    /// How much is at stake at `code`, by itself or by the nearest place around it.
    #[must_use]
    pub fn class(&self, code: &PlaceCode) -> ZoneClass {
        self.upwards(code).find_map(|place| place.class).unwrap_or(ZoneClass::Normal)
    }

    /// `code`'s place and those around it, nearest first.
    fn upwards(&self, code: &PlaceCode) -> impl Iterator<Item = &Place> {
        let codes = std::iter::successors(Some(code.clone()), |code| {
            code.as_str().rsplit_once('/')?.0.parse().ok()
        });
        codes.filter_map(|code| self.places.get(&code))
    }

    fn is_at_home(&self, place: &Place) -> bool {
        self.upwards(&place.code)
            .all(|around| around.operator == place.operator || around.operator.as_str() == CITY)
    }
}
