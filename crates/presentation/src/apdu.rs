//! Command and response APDUs (ISO/IEC 7816-4:2020 clause 5), short and extended length.
//!
//! Pure functions over bytes: nothing here knows a reader, a link or a session. A parser accepts
//! exactly the lengths that the standard defines and nothing behind them; it never reads past
//! what its length fields announce, and never allocates.

pub mod chain;
pub mod object;

use alloc::vec::Vec;
use core::fmt;

/// Bytes in the data field of one command (Lc has two bytes).
pub const COMMAND_DATA_BYTES_MAX: usize = 65_535;
/// Bytes in the data field of one response (Le 0000 in extended form).
pub const RESPONSE_DATA_BYTES_MAX: usize = 65_536;

/// SELECT (ISO/IEC 7816-4 clause 11.2.2).
pub const SELECT: u8 = 0xA4;
/// READ BINARY with an offset in P1-P2 (ISO/IEC 7816-4 clause 11.3.3).
pub const READ_BINARY: u8 = 0xB0;
/// GET RESPONSE (ISO/IEC 7816-4 clause 11.8.1).
pub const GET_RESPONSE: u8 = 0xC0;
/// ENVELOPE (ISO/IEC 7816-4 clause 11.8.2).
pub const ENVELOPE: u8 = 0xC3;
/// Class of a command that stands alone or ends a chain.
pub const CLASS_LAST: u8 = 0x00;
/// Class of a command that is followed by another of the same chain.
pub const CLASS_MORE: u8 = 0x10;

/// What carries the commands; the keys of an express or a standard tap are bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// NFC, or a card reader with contacts.
    Nfc,
    /// Bluetooth Low Energy.
    Ble,
}

impl Transport {
    /// The byte that stands for it in transcripts and salts.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Nfc => 0x5E,
            Self::Ble => 0xC3,
        }
    }
}

/// A command APDU, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// CLA.
    pub class: u8,
    /// INS.
    pub instruction: u8,
    /// P1.
    pub p1: u8,
    /// P2.
    pub p2: u8,
    /// The data field, at most [`COMMAND_DATA_BYTES_MAX`].
    pub data: &'a [u8],
    /// Ne: bytes that the answer may carry, 0 (no Le field) to 65,536.
    pub expected_bytes: u32,
}

impl<'a> Command<'a> {
    /// Parses the four cases of clause 5.1 in short and extended form.
    ///
    /// # Errors
    /// [`ParseCommandError`] when the bytes are not exactly one command.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseCommandError> {
        let Some((&[class, instruction, p1, p2], body)) = bytes.split_first_chunk::<4>() else {
            return Err(ParseCommandError::Header);
        };
        let (data, expected_bytes) = match body {
            [] => (body, 0),
            [le] => (&[][..], short_expected(*le)),
            [0, rest @ ..] => extended_body(rest)?,
            [length, rest @ ..] => short_body(usize::from(*length), rest)?,
        };
        Ok(Self { class, instruction, p1, p2, data, expected_bytes })
    }

    /// The bytes of this command, in short form where it fits.
    ///
    /// # Errors
    /// [`EncodeCommandError`] when the data or the expected length exceeds the extended form.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeCommandError> {
        let length =
            u16::try_from(self.data.len()).map_err(|_| EncodeCommandError::Data)?.to_be_bytes();
        // The length 65,536 is written as zero; so is 256 in the short form.
        let [_, wrap, high, low] = self.expected_bytes.to_be_bytes();
        if self.expected_bytes > 65_536 || (wrap == 1 && (high, low) != (0, 0)) {
            return Err(EncodeCommandError::Expected);
        }
        let mut bytes = Vec::with_capacity(self.data.len() + 9);
        bytes.extend([self.class, self.instruction, self.p1, self.p2]);
        let is_short = self.data.len() <= 255 && self.expected_bytes <= 256;
        if !is_short {
            bytes.push(0);
        }
        if !self.data.is_empty() {
            bytes.extend(if is_short { &length[1..] } else { &length[..] });
            bytes.extend(self.data);
        }
        if self.expected_bytes != 0 {
            if !is_short {
                bytes.push(high);
            }
            bytes.push(low);
        }
        Ok(bytes)
    }
}

/// Bytes that are not one command APDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseCommandError {
    /// Fewer than the four header bytes.
    Header,
    /// The length fields do not account for every byte.
    Length,
}

impl fmt::Display for ParseCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "parse command APDU: fewer than four header bytes",
            Self::Length => "parse command APDU: lengths do not account for every byte",
        })
    }
}

impl core::error::Error for ParseCommandError {}

/// A command that the extended form cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeCommandError {
    /// More data than [`COMMAND_DATA_BYTES_MAX`].
    Data,
    /// More expected than [`RESPONSE_DATA_BYTES_MAX`].
    Expected,
}

impl fmt::Display for EncodeCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "encode command APDU: more than 65,535 data bytes",
            Self::Expected => "encode command APDU: more than 65,536 bytes expected",
        })
    }
}

impl core::error::Error for EncodeCommandError {}

/// A response APDU, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The data field.
    pub data: &'a [u8],
    /// SW1-SW2.
    pub status: StatusWord,
}

impl<'a> Response<'a> {
    /// Parses a response: up to 65,536 bytes and the status word.
    ///
    /// # Errors
    /// [`ParseResponseError`] when it is shorter or longer than a response can be.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseResponseError> {
        let (data, status) = bytes.split_last_chunk::<2>().ok_or(ParseResponseError::Truncated)?;
        if data.len() > RESPONSE_DATA_BYTES_MAX {
            return Err(ParseResponseError::TooLong);
        }
        Ok(Self { data, status: StatusWord(u16::from_be_bytes(*status)) })
    }

    /// The bytes of this response.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.data, &self.status.0.to_be_bytes()].concat()
    }
}

/// Bytes that are not one response APDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseResponseError {
    /// Fewer than the two bytes of the status word.
    Truncated,
    /// More than [`RESPONSE_DATA_BYTES_MAX`] bytes of data.
    TooLong,
}

impl fmt::Display for ParseResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "parse response APDU: no status word",
            Self::TooLong => "parse response APDU: more than 65,536 data bytes",
        })
    }
}

impl core::error::Error for ParseResponseError {}

/// A status word SW1-SW2 (ISO/IEC 7816-4 clause 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Normal processing.
    pub const OK: Self = Self(0x9000);
    /// Wrong length, no further indication.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// Security status not satisfied.
    pub const SECURITY: Self = Self(0x6982);
    /// Conditions of use not satisfied.
    pub const CONDITIONS: Self = Self(0x6985);
    /// Incorrect parameters in the data field.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// File or application not found.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// Incorrect parameters P1-P2.
    pub const WRONG_PARAMETERS: Self = Self(0x6A86);
    /// Offset outside the file.
    pub const WRONG_OFFSET: Self = Self(0x6B00);
    /// Instruction code not supported.
    pub const WRONG_INSTRUCTION: Self = Self(0x6D00);
    /// Class not supported.
    pub const WRONG_CLASS: Self = Self(0x6E00);
    /// No precise diagnosis.
    pub const FAILURE: Self = Self(0x6F00);

    /// 61xx: more data waits. `0` says more than fits the next answer, else the bytes that are left.
    #[must_use]
    pub fn more(self) -> Option<u8> {
        let [first, second] = self.0.to_be_bytes();
        (first == 0x61).then_some(second)
    }

    /// 61xx for `left` bytes.
    #[must_use]
    pub const fn more_left(left: u8) -> Self {
        Self(u16::from_be_bytes([0x61, left]))
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

/// What a link carries in one command and one response: the smaller of what both ends can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    command_data_bytes: u16,
    response_data_bytes: u32,
}

impl LinkLimits {
    /// Short APDUs only; every contactless reader and phone carries them.
    pub const SHORT: Self = Self { command_data_bytes: 255, response_data_bytes: 256 };
    /// Everything that extended length allows.
    pub const EXTENDED: Self = Self { command_data_bytes: 65_535, response_data_bytes: 65_536 };

    /// Limits within ISO/IEC 18013-5 clause 8.3.3.1.2: 255 to 65,535 command bytes and 256 to
    /// 65,536 response bytes.
    #[must_use]
    pub fn new(command_data_bytes: u64, response_data_bytes: u64) -> Option<Self> {
        let command_data_bytes = u16::try_from(command_data_bytes).ok()?;
        let response_data_bytes = u32::try_from(response_data_bytes).ok()?;
        let limits = Self { command_data_bytes, response_data_bytes };
        (command_data_bytes >= 255 && (256..=65_536).contains(&response_data_bytes))
            .then_some(limits)
    }

    /// What both of two ends can carry.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self {
            command_data_bytes: self.command_data_bytes.min(other.command_data_bytes),
            response_data_bytes: self.response_data_bytes.min(other.response_data_bytes),
        }
    }

    /// Bytes in the data field of one command.
    #[must_use]
    pub const fn command_data_bytes(self) -> u16 {
        self.command_data_bytes
    }

    /// Bytes in the data field of one response.
    #[must_use]
    pub const fn response_data_bytes(self) -> u32 {
        self.response_data_bytes
    }
}

fn short_expected(le: u8) -> u32 {
    if le == 0 { 256 } else { u32::from(le) }
}

fn extended_expected(le: [u8; 2]) -> u32 {
    if le == [0, 0] { 65_536 } else { u32::from(u16::from_be_bytes(le)) }
}

/// The body behind a short, non-zero Lc.
fn short_body(length: usize, rest: &[u8]) -> Result<(&[u8], u32), ParseCommandError> {
    match rest.split_at_checked(length) {
        Some((data, [])) => Ok((data, 0)),
        Some((data, [le])) => Ok((data, short_expected(*le))),
        _ => Err(ParseCommandError::Length),
    }
}

/// The body behind the zero byte that announces extended length.
fn extended_body(rest: &[u8]) -> Result<(&[u8], u32), ParseCommandError> {
    let Some((&first, rest)) = rest.split_first_chunk::<2>() else {
        return Err(ParseCommandError::Length);
    };
    if rest.is_empty() {
        return Ok((rest, extended_expected(first)));
    }
    match rest.split_at_checked(usize::from(u16::from_be_bytes(first))) {
        Some(([], _)) | None => Err(ParseCommandError::Length),
        Some((data, [])) => Ok((data, 0)),
        Some((data, &[high, low])) => Ok((data, extended_expected([high, low]))),
        Some(_) => Err(ParseCommandError::Length),
    }
}

#[cfg(test)]
mod tests;
