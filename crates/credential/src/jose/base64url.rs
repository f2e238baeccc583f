//! base64url without padding (RFC 4648, section 5; RFC 7515, section 2), one spelling per value.
//!
//! Never accepts padding, white space or set trailing bits: two texts for the same bytes would
//! let a token change without its meaning changing.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64UrlUnpadded, Encoding};

/// The text of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// The bytes of `text`, or nothing if it is not the one spelling of some bytes.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_spelling_is_read() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("AA", Some(&[0][..])),
            ("_-8", Some(&[0xff, 0xef][..])),
            ("AB", None),
            ("AA==", None),
            ("A", None),
            ("+/8", None),
            ("AA\n", None),
            (" AA", None),
            ("AAB", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_returns_what_was_written(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[A-Za-z0-9_-]{0,12}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
