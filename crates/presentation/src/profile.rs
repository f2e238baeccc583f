//! The profiles of a tap, and which of them is enough.

use core::fmt;
use core::str::FromStr;

/// How a credential is shown at a tap. The order is that of what a tap proves, least first: a zone
/// names the least that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Symmetric, for gates with millions of riders: proves that the holder has a handle of the scope.
    Express,
    /// Symmetric, for doors with few people: proves that the device has met this group of readers.
    Fast,
    /// By key pairs, both ways: proves the key of the device.
    Standard,
    /// ISO/IEC 18013-5: proves the key of the device and attributes of the document.
    Identity,
}

impl Profile {
    /// Every profile, least first.
    pub const ALL: [Self; 4] = [Self::Express, Self::Fast, Self::Standard, Self::Identity];

    /// The name, as written and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Express => "express",
            Self::Fast => "fast",
            Self::Standard => "standard",
            Self::Identity => "identity",
        }
    }

    /// The number in stored and signed formats; never reused.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Express => 1,
            Self::Fast => 2,
            Self::Standard => 3,
            Self::Identity => 4,
        }
    }

    /// The profile of a number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.number() == number)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseProfileError;

impl fmt::Display for ParseProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a profile: expected `express`, `fast`, `standard` or `identity`")
    }
}

impl core::error::Error for ParseProfileError {}

impl FromStr for Profile {
    type Err = ParseProfileError;

    fn from_str(text: &str) -> Result<Self, ParseProfileError> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == text).ok_or(ParseProfileError)
    }
}
