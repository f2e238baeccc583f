//! Identifiers: sixteen bytes, a time part that sorts and eighty bits of entropy, with one type each.
//!
//! The text form is a prefix, an underscore and 26 characters of Crockford's Base32 in lower
//! case (`pass_01j9zk...`). The layout is that of ULID: 48 bits of milliseconds since 1970, big
//! endian, then 80 bits of entropy. Both are arguments: this crate reads no clock and no generator.

use core::fmt;
use core::str::FromStr;

use crate::time::Instant;

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What the text form begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// An identifier made at `at` from eighty bits of `entropy`.
            #[must_use]
            pub fn new(at: Instant, entropy: [u8; 10]) -> Self {
                Self(assemble(at, entropy))
            }

            /// An identifier from its sixteen bytes; every value is valid.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes, big endian, as they are stored.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_text($prefix, &self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_text($prefix, text).map(Self)
            }
        }
    )*};
}

identifiers! {
    /// A person who may hold passes.
    PersonId = "person";
    /// A pass: one right of one person, whatever the number of documents that carry it.
    PassId = "pass";
    /// One issued document (a batch holds several for one pass).
    CredentialId = "credential";
    /// An offer to collect a pass (OpenID4VCI).
    OfferId = "offer";
    /// A reader at a gate, a door, a vehicle.
    ReaderId = "reader";
    /// A place and a one-time code that wait for a reader.
    EnrolmentId = "enrolment";
    /// A staff access token.
    TokenId = "token";
    /// A background job.
    JobId = "job";
    /// An event in the audit log.
    EventId = "event";
}

/// Why a text is not an identifier of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseIdError {
    /// The text does not begin with the prefix of this type and an underscore.
    Prefix {
        /// The prefix that was expected.
        expected: &'static str,
    },
    /// The part after the underscore is not 26 characters long.
    Length,
    /// A character is not of Crockford's Base32 in lower case, or the value exceeds 128 bits.
    Character,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { expected } => write!(f, "identifier does not begin with `{expected}_`"),
            Self::Length => f.write_str("identifier does not have 26 characters after its prefix"),
            Self::Character => f.write_str("identifier holds a character outside Crockford Base32"),
        }
    }
}

impl core::error::Error for ParseIdError {}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

fn assemble(at: Instant, entropy: [u8; 10]) -> [u8; 16] {
    let millis = u64::try_from(at.unix_micros() / 1000).unwrap_or(0);
    let [_, _, time @ ..] = millis.to_be_bytes();
    let mut bytes = [0; 16];
    let (head, tail) = bytes.split_at_mut(6);
    head.copy_from_slice(&time);
    tail.copy_from_slice(&entropy);
    bytes
}

fn write_text(prefix: &str, bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = u128::from_be_bytes(*bytes);
    let mut text = [0_u8; TEXT_LENGTH];
    for (position, character) in text.iter_mut().rev().enumerate() {
        let digit = (value >> (5 * position)) & 31;
        // INVARIANT: five bits index an alphabet of thirty-two.
        *character = ALPHABET.get(digit as usize).copied().unwrap_or(b'0');
    }
    write!(f, "{prefix}_{}", core::str::from_utf8(&text).unwrap_or_default())
}

fn parse_text(prefix: &'static str, text: &str) -> Result<[u8; 16], ParseIdError> {
    let digits = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or(ParseIdError::Prefix { expected: prefix })?;
    if digits.len() != TEXT_LENGTH {
        return Err(ParseIdError::Length);
    }
    let mut value: u128 = 0;
    for (position, character) in digits.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|&a| a == character).ok_or(ParseIdError::Character)?;
        // 26 digits hold 130 bits: the first may only use three of its five.
        if position == 0 && digit > 7 {
            return Err(ParseIdError::Character);
        }
        value = (value << 5) | digit as u128;
    }
    Ok(value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_form_returns_to_the_same_bytes(bytes: [u8; 16]) {
            let id = PassId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<PassId>(), Ok(id));
        }

        #[test]
        fn arbitrary_text_never_panics(text: alloc::string::String) {
            let _ = text.parse::<PassId>();
        }
    }

    #[test]
    fn identifier_of_another_type_is_refused() {
        let person = PersonId::from_bytes([7; 16]).to_string();
        assert_eq!(person.parse::<PassId>(), Err(ParseIdError::Prefix { expected: "pass" }));
    }

    #[test]
    fn one_character_more_or_less_is_refused() {
        let text = PassId::from_bytes([7; 16]).to_string();
        assert_eq!(text[..text.len() - 1].parse::<PassId>(), Err(ParseIdError::Length));
        assert_eq!((text + "0").parse::<PassId>(), Err(ParseIdError::Length));
    }

    #[test]
    fn value_past_128_bits_is_refused() {
        let text = alloc::format!("pass_8{}", "0".repeat(25));
        assert_eq!(text.parse::<PassId>(), Err(ParseIdError::Character));
    }

    #[test]
    fn later_identifier_sorts_later() {
        let early = PassId::new(Instant::from_unix_seconds(1_700_000_000), [255; 10]);
        let late = PassId::new(Instant::from_unix_seconds(1_700_000_001), [0; 10]);
        assert!(early < late);
        assert!(early.to_string() < late.to_string());
    }
}
