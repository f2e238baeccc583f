//! PEM text of certificates and public keys (RFC 7468), one or many in one text.
//!
//! Text around the blocks is passed over, blocks of other labels too: bundles of certificates
//! come with comments. A private key in the text is never returned.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64, Encoding};

/// The label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// The label of a SubjectPublicKeyInfo.
pub const PUBLIC_KEY: &str = "PUBLIC KEY";
/// Blocks in one text.
pub const BLOCKS_MAX: usize = 1024;

const LINE_CHARACTERS: usize = 64;

/// Why a text is not the PEM that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemError {
    /// A block is begun and not ended.
    Unended,
    /// A block holds something else than Base64.
    Base64,
    /// More than [`BLOCKS_MAX`] blocks.
    BlocksTooMany,
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unended => "PEM block has no end",
            Self::Base64 => "PEM block holds something else than Base64",
            Self::BlocksTooMany => "PEM text has too many blocks",
        })
    }
}

impl core::error::Error for PemError {}

/// The DER contents of all blocks with `label`, in order.
///
/// # Errors
/// [`PemError`] when a block with this label cannot be read.
pub fn decode(text: &str, label: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !is_boundary(line, "BEGIN", label) {
            continue;
        }
        let mut base64 = String::new();
        loop {
            let line = lines.next().ok_or(PemError::Unended)?;
            if is_boundary(line, "END", label) {
                break;
            }
            base64.extend(line.chars().filter(|character| !character.is_ascii_whitespace()));
        }
        if blocks.len() == BLOCKS_MAX {
            return Err(PemError::BlocksTooMany);
        }
        blocks.push(Base64::decode_vec(&base64).map_err(|_| PemError::Base64)?);
    }
    Ok(blocks)
}

/// One block of text with a line feed at its end.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let base64 = Base64::encode_string(der);
    let mut text = alloc::format!("-----BEGIN {label}-----\n");
    for (position, character) in base64.chars().enumerate() {
        if position > 0 && position % LINE_CHARACTERS == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    if !base64.is_empty() {
        text.push('\n');
    }
    text.push_str(&alloc::format!("-----END {label}-----\n"));
    text
}

fn is_boundary(line: &str, word: &str, label: &str) -> bool {
    line.trim()
        .strip_prefix("-----")
        .and_then(|rest| rest.strip_suffix("-----"))
        .and_then(|rest| rest.strip_prefix(word))
        .and_then(|rest| rest.strip_prefix(' '))
        == Some(label)
}
