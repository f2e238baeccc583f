//! The encoded form of an access table, as it stands in a trust bundle.

use alloc::vec::Vec;
use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder, Fault, Kind};
use vocabulary::code::{ClassCode, ZoneCode};

use super::{
    AccessTable, DOORS_MAX, Door, Need, RULES_MAX, Rule, TABLE_BYTES_MAX, TableError, ZoneClass,
};

impl AccessTable {
    /// Writes the table: `[+ [place, zone / null, class, [* [operator, product, class / null, need]]]]`.
    pub fn write(&self, encoder: &mut Encoder) {
        encoder.array(self.doors.len());
        for door in &self.doors {
            encoder.array(4).text(door.place.as_str());
            optional(encoder, door.zone.as_ref().map(ZoneCode::as_str));
            encoder.unsigned(door.class.number()).array(door.rules.len());
            for rule in &door.rules {
                encoder.array(4).text(rule.operator.as_str()).text(rule.product.as_str());
                optional(encoder, rule.class.as_ref().map(ClassCode::as_str));
                encoder.unsigned(rule.need.number());
            }
        }
    }

    /// Reads what [`AccessTable::write`] wrote.
    ///
    /// # Errors
    /// [`ReadTableError`] for other bytes, a value out of range, and every limit passed.
    pub fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadTableError> {
        let start = decoder.position();
        let mut doors = Vec::new();
        let mut remaining = decoder.array()?;
        while decoder.more(&mut remaining)? {
            if doors.len() == DOORS_MAX {
                return Err(TableError::Doors.into());
            }
            doors.push(read_door(decoder)?);
        }
        if decoder.position() - start > TABLE_BYTES_MAX {
            return Err(TableError::Size.into());
        }
        let table = Self { doors };
        table.check()?;
        Ok(table)
    }
}

/// Why bytes are no access table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadTableError {
    /// The bytes have another form.
    Cbor(CborError),
    /// The entries make no table.
    Table(TableError),
}

impl fmt::Display for ReadTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(error) => write!(f, "reading an access table: {error}"),
            Self::Table(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for ReadTableError {}

impl From<CborError> for ReadTableError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}

impl From<TableError> for ReadTableError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl Need {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Zone, Self::Place];

    const fn number(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Zone => 1,
            Self::Place => 2,
        }
    }
}

fn optional(encoder: &mut Encoder, text: Option<&str>) {
    match text {
        Some(text) => encoder.text(text),
        None => encoder.null(),
    };
}

fn read_door(decoder: &mut Decoder<'_>) -> Result<Door, ReadTableError> {
    decoder.array_of(4)?;
    let place = code(decoder)?;
    let zone = optional_code(decoder)?;
    let class = number(decoder, ZoneClass::from_number)?;
    let mut rules = Vec::new();
    let mut remaining = decoder.array()?;
    while decoder.more(&mut remaining)? {
        if rules.len() == RULES_MAX {
            return Err(TableError::Rules.into());
        }
        rules.push(read_rule(decoder)?);
    }
    Ok(Door { place, zone, class, rules })
}

fn read_rule(decoder: &mut Decoder<'_>) -> Result<Rule, CborError> {
    decoder.array_of(4)?;
    let operator = code(decoder)?;
    let product = code(decoder)?;
    let class = optional_code(decoder)?;
    let need =
        number(decoder, |number| Need::ALL.into_iter().find(|need| need.number() == number))?;
    Ok(Rule { operator, product, class, need })
}

fn code<T: core::str::FromStr>(decoder: &mut Decoder<'_>) -> Result<T, CborError> {
    let range = CborError { fault: Fault::Range, offset: decoder.position() };
    decoder.text()?.parse().map_err(|_| range)
}

fn optional_code<T: core::str::FromStr>(decoder: &mut Decoder<'_>) -> Result<Option<T>, CborError> {
    if decoder.kind() == Kind::Null {
        return decoder.null().map(|()| None);
    }
    code(decoder).map(Some)
}

fn number<T>(decoder: &mut Decoder<'_>, of: impl Fn(u64) -> Option<T>) -> Result<T, CborError> {
    let range = CborError { fault: Fault::Range, offset: decoder.position() };
    of(decoder.unsigned()?).ok_or(range)
}
