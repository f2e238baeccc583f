//! Codes: short names that people choose for operators, products, classes, zones and places.
//!
//! A code is what stands inside a pass and on a sign; it never changes once used. Places form a
//! tree that is written as a path (`harbour/town-hall/2/door-14`).

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Bytes in an operator, product or class code.
pub const SLUG_BYTES_MAX: usize = 32;
/// Bytes in a zone code.
pub const ZONE_BYTES_MAX: usize = 16;
/// Segments in the path of a place.
pub const PLACE_SEGMENTS_MAX: usize = 8;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $valid:path;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The code as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseCodeError;

            fn from_str(text: &str) -> Result<Self, ParseCodeError> {
                if $valid(text) {
                    Ok(Self(String::from(text)))
                } else {
                    Err(ParseCodeError { what: $what })
                }
            }
        }
    )*};
}

codes! {
    /// An operator, which is also the tenant: `harbour-transit`. One to 32 of `a-z 0-9 -`, no dash first.
    OperatorCode, "operator", is_slug;
    /// A product of an operator: `day-ticket`. Same form as an operator code.
    ProductCode, "product", is_slug;
    /// A class of service: `first`. Same form as an operator code.
    ClassCode, "class", is_slug;
    /// A fare or access zone: `B`. One to 16 of `A-Z a-z 0-9 -`, no dash first.
    ZoneCode, "zone", is_zone;
    /// A place in the tree: one to 8 segments of `a-z 0-9 -` (at most 32 bytes each) joined by `/`.
    PlaceCode, "place", is_place;
}

impl PlaceCode {
    /// Whether `other` is this place or lies inside it. Whole segments count: `a/b` does not
    /// contain `a/bc`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other
            .0
            .strip_prefix(self.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A text that is not a code of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCodeError {
    what: &'static str,
}

impl fmt::Display for ParseCodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.what {
            "zone" => "1 to 16 letters, digits or dashes",
            "place" => "1 to 8 segments of lower-case letters, digits or dashes, joined by `/`",
            _ => "1 to 32 lower-case letters, digits or dashes",
        };
        write!(f, "not a {} code: expected {form}", self.what)
    }
}

impl core::error::Error for ParseCodeError {}

fn is_slug(text: &str) -> bool {
    text.len() <= SLUG_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.is_empty()
        && !text.starts_with('-')
}

fn is_zone(text: &str) -> bool {
    text.len() <= ZONE_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.is_empty()
        && !text.starts_with('-')
}

fn is_place(text: &str) -> bool {
    text.split('/').all(is_slug) && text.split('/').count() <= PLACE_SEGMENTS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(text: &str, valid: bool) {
        assert_eq!(text.parse::<T>().is_ok(), valid, "{text}");
    }

    #[test]
    fn codes_hold_to_their_form_and_limit() {
        check::<OperatorCode>("harbour-transit", true);
        check::<OperatorCode>("", false);
        check::<OperatorCode>("-a", false);
        check::<OperatorCode>("Harbour", false);
        check::<OperatorCode>(&"a".repeat(SLUG_BYTES_MAX), true);
        check::<OperatorCode>(&"a".repeat(SLUG_BYTES_MAX + 1), false);
        check::<ZoneCode>(&"B".repeat(ZONE_BYTES_MAX), true);
        check::<ZoneCode>(&"B".repeat(ZONE_BYTES_MAX + 1), false);
        check::<PlaceCode>(&["a"; PLACE_SEGMENTS_MAX].join("/"), true);
        check::<PlaceCode>(&["a"; PLACE_SEGMENTS_MAX + 1].join("/"), false);
        check::<PlaceCode>("a//b", false);
        check::<PlaceCode>("/a", false);
        check::<PlaceCode>("a/", false);
    }

    #[test]
    fn place_contains_itself_and_what_lies_inside() {
        let hall: PlaceCode = "harbour/hall".parse().unwrap();
        for (other, inside) in [
            ("harbour/hall", true),
            ("harbour/hall/2", true),
            ("harbour/hallway", false),
            ("harbour", false),
        ] {
            assert_eq!(hall.contains(&other.parse().unwrap()), inside, "{other}");
        }
    }
}
