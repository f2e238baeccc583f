//! Access data: which rules hold for the device, and when.

use alloc::vec::Vec;

use crate::cbor::Decoder;
use crate::rejection::Rejection;

use super::extension::{self, Extension, KnownExtension};
use super::recurrence::Recurrence;

/// Bytes of the identifier of access data.
pub const ID_BYTES_MAX: usize = 16;
/// Rules of one element.
pub const RULES_MAX: usize = 16;
/// Schedules of one element: a rule has a bit for each.
pub const SCHEDULES_MAX: usize = 8;
/// Rules of the reader that one element names.
pub const READER_RULE_IDS_MAX: usize = 64;

/// What an element of an access document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessData<'a> {
    /// Version of the structure.
    pub version: u64,
    /// Its identifier, at most [`ID_BYTES_MAX`] bytes.
    pub id: &'a [u8],
    /// What is allowed or denied.
    pub rules: Vec<AccessRule>,
    /// When; rules name these by their number.
    pub schedules: Vec<Schedule>,
    /// Rules that the reader knows by number.
    pub reader_rule_ids: Vec<u16>,
    /// Extensions that do not bear on access.
    pub other_extensions: Vec<Extension<'a>>,
    /// Extensions that bear on access.
    pub access_extensions: Vec<Extension<'a>>,
}

/// What a rule is about: bits from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u8);

impl Capabilities {
    /// To secure.
    pub const SECURE: Self = Self(1);
    /// To unsecure.
    pub const UNSECURE: Self = Self(1 << 1);
    /// To toggle.
    pub const TOGGLE: Self = Self(1 << 2);
    /// To unsecure for a moment.
    pub const MOMENTARY_UNSECURE: Self = Self(1 << 3);
    /// To unsecure for a longer moment.
    pub const EXTENDED_MOMENTARY_UNSECURE: Self = Self(1 << 4);
    /// To pay.
    pub const PAYMENT: Self = Self(1 << 5);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A rule. Public sources give its encoding and not its meaning: that deny wins is to be expected, and
/// for the caller to hold to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// What it is about.
    pub capabilities: Capabilities,
    /// The schedules in which it allows: bit n for schedule n.
    pub allow: u8,
    /// The schedules in which it denies: bit n for schedule n.
    pub deny: u8,
}

/// When something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From when on, in seconds since 1970.
    pub start: u32,
    /// Until when, in seconds since 1970.
    pub end: Option<u32>,
    /// How it recurs in between.
    pub recurrence: Option<Recurrence>,
    /// Whether the times are UTC; local time of the reader otherwise.
    pub is_utc: bool,
}

impl<'a> AccessData<'a> {
    /// Reads the value of an element.
    ///
    /// # Errors
    /// [`Rejection`] when a part is malformed, past its limit or of no known label, or a critical
    /// extension is not `known`.
    pub fn parse(value: &'a [u8], known: &[KnownExtension]) -> Result<Self, Rejection> {
        let mut decoder = Decoder::new(value)?;
        let mut data = Self {
            version: 0,
            id: &[],
            rules: Vec::new(),
            schedules: Vec::new(),
            reader_rule_ids: Vec::new(),
            other_extensions: Vec::new(),
            access_extensions: Vec::new(),
        };
        let mut version = None;
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match decoder.unsigned()? {
                0 => version = Some(decoder.unsigned()?),
                1 => data.id = id(&mut decoder)?,
                2 => data.rules = list(&mut decoder, RULES_MAX, AccessRule::read)?,
                3 => data.schedules = list(&mut decoder, SCHEDULES_MAX, Schedule::read)?,
                4 => {
                    let read = |decoder: &mut Decoder<'_>| unsigned(decoder, 0xFFFF, "rule");
                    data.reader_rule_ids = list(&mut decoder, READER_RULE_IDS_MAX, read)?;
                }
                5 => data.other_extensions = extension::read(&mut decoder, known)?,
                6 => data.access_extensions = extension::read(&mut decoder, known)?,
                _ => return Err(unreadable("a field of no known label")),
            }
        }
        decoder.finish()?;
        data.version = version.ok_or_else(|| unreadable("no version"))?;
        let named = data.rules.iter().fold(0, |bits, rule| bits | rule.allow | rule.deny);
        if u32::from(named) >> data.schedules.len() != 0 {
            return Err(unreadable("a rule that names a schedule that is not there"));
        }
        Ok(data)
    }
}

impl AccessRule {
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, Rejection> {
        let (mut capabilities, mut allow, mut deny) = (None, 0, 0);
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match decoder.unsigned()? {
                0 => capabilities = Some(unsigned(decoder, 0x3F, "capabilities")?),
                1 => allow = unsigned(decoder, 0xFF, "schedules of a rule")?,
                2 => deny = unsigned(decoder, 0xFF, "schedules of a rule")?,
                _ => return Err(unreadable("a rule with a field of no known label")),
            }
        }
        let capabilities = capabilities.ok_or_else(|| unreadable("a rule about nothing"))?;
        Ok(Self { capabilities: Capabilities(capabilities), allow, deny })
    }
}

impl Schedule {
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, Rejection> {
        let (mut start, mut end, mut recurrence, mut flags) = (None, None, None, 0_u8);
        let mut entries = decoder.map()?;
        while decoder.more(&mut entries)? {
            match decoder.unsigned()? {
                0 => start = Some(unsigned(decoder, u64::from(u32::MAX), "start")?),
                1 => end = Some(unsigned(decoder, u64::from(u32::MAX), "end")?),
                2 => recurrence = Some(Recurrence::read(decoder)?),
                3 => flags = unsigned(decoder, 1, "flags of a schedule")?,
                _ => return Err(unreadable("a schedule with a field of no known label")),
            }
        }
        let start = start.ok_or_else(|| unreadable("a schedule without a start"))?;
        if end.is_some_and(|end| end < start) {
            return Err(unreadable("a schedule that ends before it starts"));
        }
        Ok(Self { start, end, recurrence, is_utc: flags == 1 })
    }
}

/// An identifier of at most [`ID_BYTES_MAX`] bytes.
pub(super) fn id<'a>(decoder: &mut Decoder<'a>) -> Result<&'a [u8], Rejection> {
    let id = decoder.bytes()?;
    if id.len() > ID_BYTES_MAX {
        return Err(unreadable("an identifier of more than 16 bytes"));
    }
    Ok(id)
}

/// An array of at most `max` entries.
pub(super) fn list<'a, T>(
    decoder: &mut Decoder<'a>,
    max: usize,
    mut read: impl FnMut(&mut Decoder<'a>) -> Result<T, Rejection>,
) -> Result<Vec<T>, Rejection> {
    let mut out = Vec::new();
    let mut entries = decoder.array()?;
    while decoder.more(&mut entries)? {
        if out.len() == max {
            let message = alloc::format!("access data: a list of more than {max} entries");
            return Err(Rejection::issuer("access-data", message));
        }
        out.push(read(decoder)?);
    }
    Ok(out)
}

/// An unsigned integer up to `max`.
pub(super) fn unsigned<T: TryFrom<u64>>(
    decoder: &mut Decoder<'_>,
    max: u64,
    what: &str,
) -> Result<T, Rejection> {
    let value = decoder.unsigned()?;
    let fitting = Some(value).filter(|value| *value <= max).and_then(|value| value.try_into().ok());
    fitting.ok_or_else(|| {
        let message = alloc::format!("access data: {what} `{value}` is above {max}");
        Rejection::issuer("access-data", message)
    })
}

pub(super) fn unreadable(what: &str) -> Rejection {
    Rejection::issuer("access-data", alloc::format!("access data: {what}"))
}
