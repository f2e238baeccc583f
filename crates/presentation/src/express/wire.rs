//! The APDUs of the express tap. Commands and answers have fixed lengths, but for the answer to SELECT.

use core::fmt;

use super::handle::HANDLE_BYTES;
use super::schedule::join;
use super::{APPLICATION, CONTEXT_BYTES, Context, FRESH_BYTES, VERSION};

/// Class of all commands but SELECT.
pub const CLASS: u8 = 0x80;
/// Instruction of OPEN.
pub const OPEN: u8 = 0x50;
/// Instruction of PROVE.
pub const PROVE: u8 = 0x52;
/// Instruction of COMMIT.
pub const COMMIT: u8 = 0x54;

/// Bytes of the data of OPEN.
pub const OPEN_BYTES: usize = 2 + CONTEXT_BYTES + FRESH_BYTES;
/// Bytes of its answer, without status word.
pub const OPENED_BYTES: usize = HANDLE_BYTES + FRESH_BYTES;
/// Bytes of the data of PROVE, sealed.
pub const PROVE_BYTES: usize = 20 + 16;
/// Bytes of its answer, sealed, without status word.
pub const PROVEN_BYTES: usize = 18 + 16;
/// Bytes of the data of COMMIT, sealed.
pub const COMMIT_BYTES: usize = 12 + 16;
/// Bytes of its answer, sealed, without status word.
pub const COMMITTED_BYTES: usize = 4 + 16;
/// Bytes of the proprietary template in the answer to SELECT.
pub const PROPRIETARY_BYTES_MAX: usize = 32;
/// Bytes of the longest answer: that to OPEN, and its status word.
pub const RESPONSE_BYTES_MAX: usize = OPENED_BYTES + 2;

/// A command or an answer, without memory of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Apdu {
    bytes: [u8; RESPONSE_BYTES_MAX],
    length: usize,
}

impl Apdu {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum::<usize>().min(RESPONSE_BYTES_MAX);
        Self { bytes: join(parts), length }
    }

    /// SELECT of the application.
    #[must_use]
    pub fn select() -> Self {
        Self::of(&[&[0x00, 0xA4, 0x04, 0x00, 7], &APPLICATION, &[0]])
    }

    pub(super) fn command(instruction: u8, data: &[u8]) -> Self {
        // INVARIANT: the data of every command is at most `PROVE_BYTES` long.
        let length = u8::try_from(data.len()).unwrap_or(0);
        Self::of(&[&[CLASS, instruction, 0, 0, length], data, &[0]])
    }

    pub(super) fn answer(data: &[u8]) -> Self {
        Self::of(&[data, &[0x90, 0x00]])
    }
}

impl fmt::Debug for Apdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The value of tag A5 in the answer to SELECT, as it came: at most [`PROPRIETARY_BYTES_MAX`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proprietary {
    bytes: [u8; PROPRIETARY_BYTES_MAX],
    length: usize,
}

impl Proprietary {
    /// From its bytes.
    #[must_use]
    pub fn new(value: &[u8]) -> Option<Self> {
        let is_short = value.len() <= PROPRIETARY_BYTES_MAX;
        is_short.then(|| Self { bytes: join(&[value]), length: value.len() })
    }

    /// What a holder of this version says.
    #[must_use]
    pub fn own() -> Self {
        let [high, low] = VERSION.to_be_bytes();
        Self { bytes: join(&[&[0x5C, 2, high, low]]), length: 4 }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Whether `version` is offered: tag 5C, two bytes for each version. Other objects are passed over.
    #[must_use]
    pub fn offers(&self, version: u16) -> bool {
        let mut rest = self.as_bytes();
        while let Some((tag, value, after)) = object(rest) {
            if tag == 0x5C {
                return value.len().is_multiple_of(2)
                    && value.chunks_exact(2).any(|pair| *pair == version.to_be_bytes());
            }
            rest = after;
        }
        false
    }
}

impl fmt::Debug for Proprietary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The answer to SELECT of a device that says `proprietary`, without status word.
pub(super) fn template(proprietary: &Proprietary) -> Apdu {
    let value = proprietary.as_bytes();
    // INVARIANT: all lengths are below 128.
    let length = u8::try_from(value.len()).unwrap_or(0);
    let own = APPLICATION.len().try_into().unwrap_or(0);
    Apdu::of(&[&[0x6F, length + 4 + own, 0x84, own], &APPLICATION, &[0xA5, length], value])
}

/// Reads an answer to SELECT: this application, and the proprietary template.
pub(super) fn read_template(data: &[u8]) -> Option<Proprietary> {
    let (0x6F, inner, []) = object(data)? else { return None };
    let (0x84, name, rest) = object(inner)? else { return None };
    let (0xA5, value, []) = object(rest)? else { return None };
    (name == APPLICATION).then(|| Proprietary::new(value))?
}

/// The first data object: a tag of one byte, a length of one byte below 128, the value; and what
/// follows.
fn object(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk::<2>()?;
    if tag & 0x1F == 0x1F || length >= 0x80 {
        return None;
    }
    let (value, rest) = rest.split_at_checked(usize::from(length))?;
    Some((tag, value, rest))
}

/// The data of OPEN.
pub(super) fn open_data(context: Context, fresh: &[u8; FRESH_BYTES]) -> [u8; OPEN_BYTES] {
    join(&[&VERSION.to_be_bytes(), &context.to_bytes(), fresh])
}

/// Reads the data of OPEN: version and context.
pub(super) fn read_open(data: &[u8; OPEN_BYTES]) -> (u16, Context) {
    let mut version = [0; 2];
    let mut context = [0; CONTEXT_BYTES];
    let to = version.iter_mut().chain(&mut context);
    to.zip(data).for_each(|(to, from)| *to = *from);
    (u16::from_be_bytes(version), Context::from_bytes(context))
}
