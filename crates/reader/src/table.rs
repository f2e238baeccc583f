//! The access table: which products open which doors of one reader, compiled by the city.
//!
//! A table is flat, bounded and total: for every door and every claim it gives one answer, without
//! loops over people and without reading anything else. `policy` compiles it from places, products
//! and grants; the reader gets it inside its signed trust bundle. It bounds what a pass can do: a
//! door opens only if the table *and* the pass say so.
//!
//! It knows nothing of validity, status or recurrence, which stand in the pass and are judged
//! beside it; and it has no word for the way out, which is always free.

use alloc::vec::Vec;
use core::fmt;

use credential::cbor::Encoder;
use vocabulary::code::{ClassCode, OperatorCode, PlaceCode, ProductCode, ZoneCode};

pub mod wire;

/// Doors of one reader.
pub const DOORS_MAX: usize = 8;
/// Rules of one door.
pub const RULES_MAX: usize = 1_024;
/// Bytes of a whole table in its encoded form.
pub const TABLE_BYTES_MAX: usize = 64 * 1024;

/// What one reader's doors accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTable {
    doors: Vec<Door>,
}

/// A door (or gate, or printer) and what it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    place: PlaceCode,
    zone: Option<ZoneCode>,
    class: ZoneClass,
    rules: Vec<Rule>,
}

/// How much is at stake behind a door. It decides how old the reader's knowledge may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZoneClass {
    /// Little: a bus stop, a park.
    Low,
    /// The usual: a gate, a front door.
    Normal,
    /// Much: a server room, a laboratory.
    High,
}

/// One product that a door accepts, and on what condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// The operator of the product.
    pub operator: OperatorCode,
    /// The product.
    pub product: ProductCode,
    /// The class that the pass must have, if any is asked.
    pub class: Option<ClassCode>,
    /// What the pass itself must name.
    pub need: Need,
}

/// What a pass must name for a rule to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Nothing more: being a pass of the product suffices.
    Nothing,
    /// The zone of the door.
    Zone,
    /// The place of the door, or one around it.
    Place,
}

/// What a verified pass claims, as far as the table asks.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The operator that issued the pass.
    pub operator: &'a OperatorCode,
    /// The product of the pass.
    pub product: &'a ProductCode,
    /// Its class, if it has one.
    pub class: Option<&'a ClassCode>,
    /// The zones that it names.
    pub zones: &'a [ZoneCode],
    /// The places that it names.
    pub places: &'a [PlaceCode],
}

/// Why the table does not open a door. The later variants come nearer to a yes; of several
/// reasons, the nearest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    /// The table does not know the door.
    Door,
    /// The door does not accept the product.
    Product,
    /// The door asks for another class.
    Class,
    /// The pass does not name the place of the door.
    Place,
    /// The pass does not name the zone of the door.
    Zone,
}

impl Closed {
    /// The stable code, as it stands in decisions and journals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door-unknown",
            Self::Product => "product-not-accepted",
            Self::Class => "class-not-accepted",
            Self::Place => "place-not-covered",
            Self::Zone => "zone-not-covered",
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Door => "this reader has no such door",
            Self::Product => "this product is not accepted here",
            Self::Class => "another class is needed here",
            Self::Place => "the pass does not cover this place",
            Self::Zone => "the pass does not cover this zone",
        })
    }
}

/// Why doors and rules are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// A reader has 1 to [`DOORS_MAX`] doors.
    Doors,
    /// A door has more than [`RULES_MAX`] rules.
    Rules,
    /// A door stands in the table twice, or out of order.
    Order,
    /// A rule needs a zone, but its door has none.
    Zone,
    /// The encoded table is longer than [`TABLE_BYTES_MAX`].
    Size,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doors => write!(f, "access table does not have 1 to {DOORS_MAX} doors"),
            Self::Rules => write!(f, "door of an access table has more than {RULES_MAX} rules"),
            Self::Order => f.write_str("entry of an access table is repeated or out of order"),
            Self::Zone => f.write_str("rule of an access table needs a zone that its door lacks"),
            Self::Size => write!(f, "access table is longer than {TABLE_BYTES_MAX} bytes"),
        }
    }
}

impl core::error::Error for TableError {}

impl Door {
    /// A door with its rules, in any order; equal ones count once.
    ///
    /// # Errors
    /// [`TableError::Rules`], [`TableError::Zone`].
    pub fn new(
        place: PlaceCode,
        zone: Option<ZoneCode>,
        class: ZoneClass,
        mut rules: Vec<Rule>,
    ) -> Result<Self, TableError> {
        rules.sort();
        rules.dedup();
        let door = Self { place, zone, class, rules };
        door.check()?;
        Ok(door)
    }

    /// Where the door is.
    #[must_use]
    pub const fn place(&self) -> &PlaceCode {
        &self.place
    }

    /// The zone that lies behind it, if it is in one.
    #[must_use]
    pub const fn zone(&self) -> Option<&ZoneCode> {
        self.zone.as_ref()
    }

    /// How much is at stake behind it.
    #[must_use]
    pub const fn class(&self) -> ZoneClass {
        self.class
    }

    /// The rules, ascending.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The first rule that opens this door to `claim`.
    ///
    /// # Errors
    /// The nearest reason why none does.
    pub fn judge(&self, claim: &Claim<'_>) -> Result<&Rule, Closed> {
        let wanted = (claim.operator, claim.product);
        let first = self.rules.partition_point(|rule| (&rule.operator, &rule.product) < wanted);
        let mut nearest = Closed::Product;
        for rule in self.rules.iter().skip(first) {
            if (&rule.operator, &rule.product) != wanted {
                break;
            }
            match self.fails(rule, claim) {
                None => return Ok(rule),
                Some(reason) => nearest = nearest.max(reason),
            }
        }
        Err(nearest)
    }

    fn fails(&self, rule: &Rule, claim: &Claim<'_>) -> Option<Closed> {
        if rule.class.is_some() && rule.class.as_ref() != claim.class {
            return Some(Closed::Class);
        }
        let is_zone_named = || self.zone.as_ref().is_some_and(|zone| claim.zones.contains(zone));
        let is_place_named = || claim.places.iter().any(|place| place.contains(&self.place));
        match rule.need {
            Need::Zone if !is_zone_named() => Some(Closed::Zone),
            Need::Place if !is_place_named() => Some(Closed::Place),
            Need::Nothing | Need::Zone | Need::Place => None,
        }
    }

    fn check(&self) -> Result<(), TableError> {
        if self.rules.len() > RULES_MAX {
            return Err(TableError::Rules);
        }
        if !self.rules.is_sorted_by(|left, right| left < right) {
            return Err(TableError::Order);
        }
        if self.zone.is_none() && self.rules.iter().any(|rule| rule.need == Need::Zone) {
            return Err(TableError::Zone);
        }
        Ok(())
    }
}

impl AccessTable {
    /// A table of these doors, in any order.
    ///
    /// # Errors
    /// [`TableError`] for a repeated door and for every limit passed.
    pub fn new(mut doors: Vec<Door>) -> Result<Self, TableError> {
        doors.sort_by(|left, right| left.place.cmp(&right.place));
        let table = Self { doors };
        table.check()?;
        let mut encoder = Encoder::new();
        table.write(&mut encoder);
        if encoder.as_bytes().len() > TABLE_BYTES_MAX {
            return Err(TableError::Size);
        }
        Ok(table)
    }

    /// The doors, ascending by place.
    #[must_use]
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// The door at `place`, if this table has it.
    #[must_use]
    pub fn door(&self, place: &PlaceCode) -> Option<&Door> {
        self.doors.iter().find(|door| door.place == *place)
    }

    /// The rule that opens the door at `place` to `claim`.
    ///
    /// # Errors
    /// [`Closed`] with the nearest reason why none does.
    pub fn judge(&self, place: &PlaceCode, claim: &Claim<'_>) -> Result<&Rule, Closed> {
        self.door(place).ok_or(Closed::Door)?.judge(claim)
    }

    fn check(&self) -> Result<(), TableError> {
        if self.doors.is_empty() || self.doors.len() > DOORS_MAX {
            return Err(TableError::Doors);
        }
        if !self.doors.is_sorted_by(|left, right| left.place < right.place) {
            return Err(TableError::Order);
        }
        self.doors.iter().try_for_each(Door::check)
    }
}

impl ZoneClass {
    /// Every class, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The name: `normal`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The number in encoded tables; never reused.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Low => 1,
            Self::Normal => 2,
            Self::High => 3,
        }
    }

    /// The class of a number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.number() == number)
    }
}

#[cfg(test)]
mod tests;
