//! Percent-encoding (RFC 3986, 2.1), and its inverse as HTML forms use it.

/// `text` with everything but unreserved characters escaped.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The text of a form value: `+` is a space, `%` begins two hexadecimal digits.
#[must_use]
pub fn decode_form(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_the_same(text: String) {
            prop_assert_eq!(decode_form(&encode(&text)), Some(text));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = decode_form(&text);
        }
    }

    #[test]
    fn broken_escapes_are_refused() {
        for text in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(decode_form(text), None, "{text}");
        }
        assert_eq!(decode_form("a+b%2Bc").as_deref(), Some("a b+c"));
    }
}
