//! Files as people have them: raw bytes, hexadecimal or base64url, recognised by themselves.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use credential::jose::base64url;

use crate::failure::Failure;

/// Bytes in one input file.
pub(crate) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error: io::Error| Failure::usage(format!("cannot read `{}`: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("`{}` exceeds {FILE_BYTES_MAX} bytes", path.display());
        return Err(Failure::usage(message));
    }
    Ok(bytes)
}

/// What a credential file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// CBOR, decoded from hexadecimal or base64url where it came so.
    Cbor(Vec<u8>),
    /// A compact SD-JWT or JWT, or another text.
    Text(String),
}

/// Finds out how a credential was written down.
pub(crate) fn recognise(bytes: Vec<u8>) -> Encoded {
    let Some(text) = std::str::from_utf8(&bytes).ok().map(str::trim) else {
        return Encoded::Cbor(bytes);
    };
    // Compact JWTs have dots, SD-JWTs tildes; neither stands in hexadecimal or base64url.
    if text.starts_with("eyJ") && text.contains('.') {
        return Encoded::Text(text.to_owned());
    }
    let joined: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if let Some(decoded) = decode_hex(&joined).or_else(|| decode_base64url(&joined)) {
        return Encoded::Cbor(decoded);
    }
    // Raw CBOR that happens to be UTF-8 begins with a container or a tag, not with printable text.
    let printable = text.bytes().all(|b| b == b'\n' || b == b'\r' || b == b'\t' || b >= 0x20);
    if printable && !text.is_empty() {
        Encoded::Text(text.to_owned())
    } else {
        Encoded::Cbor(bytes)
    }
}

/// Hexadecimal, base64url or raw bytes that are expected to be CBOR.
pub(crate) fn cbor(bytes: Vec<u8>) -> Vec<u8> {
    match recognise(bytes) {
        Encoded::Cbor(bytes) => bytes,
        Encoded::Text(text) => text.into_bytes(),
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.is_ascii() {
        return None;
    }
    let digits =
        text.bytes().map(|b| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()));
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return None;
    }
    base64url::decode(text.trim_end_matches('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expected: Encoded) {
        assert_eq!(recognise(input.to_vec()), expected);
    }

    #[test]
    fn each_way_of_writing_is_recognised() {
        let cbor = vec![0xa1, 0x61, 0x61, 0xf6];
        check(&cbor, Encoded::Cbor(cbor.clone()));
        check(b"a1 61 61\nF6\n", Encoded::Cbor(cbor.clone()));
        check(b"oWFh9g", Encoded::Cbor(cbor.clone()));
        check(b"oWFh9g==\n", Encoded::Cbor(cbor));
        check(b" eyJh.eyJi.c~\n", Encoded::Text("eyJh.eyJi.c~".into()));
        check(b"hello world", Encoded::Text("hello world".into()));
        check(b"", Encoded::Cbor(vec![]));
    }
}
