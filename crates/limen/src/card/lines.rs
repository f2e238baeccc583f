//! APDUs as lines of hexadecimal digits.

/// Characters of a line; the longest APDU here has 261 bytes.
pub(super) const LINE_BYTES_MAX: u64 = 1024;

/// Bytes of an argument or a line.
#[derive(Clone, Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

pub(super) fn hexadecimal(text: &str) -> Result<Bytes, String> {
    let wrong = || String::from("expected pairs of hexadecimal digits");
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let pair = core::str::from_utf8(pair).map_err(|_| wrong())?;
        u8::from_str_radix(pair, 16).map_err(|_| wrong())
    });
    pairs.collect::<Result<_, _>>().map(Bytes)
}

pub(super) fn line(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
