//! Signed notes: text with Ed25519 signatures, and the keys that verify them (C2SP signed-note
//! v1.0, signature type 0x01).
//!
//! The text of a note is given out only after a signature of a trusted key was verified. Never
//! holds a private key: signing is a request that someone else completes.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, str};
use base64ct::{Base64, Encoding};
use core::fmt;
use core::str::FromStr;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::hash;

/// Bytes in a note, at most.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Signature lines in a note, at most. The standard asks for at least 16.
pub const SIGNATURES_MAX: usize = 64;
/// Bytes in a key name, at most.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes in an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

const ED25519: u8 = 1;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
const SIGNATURE_MARK: &str = "\u{2014} ";

/// A public key with its name: `name+keyid+base64(0x01 || key)`, the key id in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; KEY_ID_BYTES],
    key: VerifyingKey,
}

/// Why a text or a pair of name and bytes is not a verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifierKeyError {
    /// Not of the form `name+keyid+base64`.
    Form,
    /// The name is empty, too long, or holds a space, a plus or a control character.
    Name,
    /// Not an Ed25519 key, or not a point on the curve.
    Key,
    /// The key id is not the hash of name and key.
    Id,
}

impl fmt::Display for VerifierKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "parsing a verifier key: expected `name+keyid+base64`",
            Self::Name => "parsing a verifier key: the name is not allowed",
            Self::Key => "parsing a verifier key: not an Ed25519 public key",
            Self::Id => "parsing a verifier key: the key id does not belong to name and key",
        })
    }
}

impl core::error::Error for VerifierKeyError {}

impl VerifierKey {
    /// From a name and the 32 bytes of an Ed25519 public key (RFC 8032).
    ///
    /// # Errors
    /// [`VerifierKeyError`] when the name is not allowed or the key is not a point on the curve.
    pub fn new(name: &str, key: &[u8; KEY_BYTES]) -> Result<Self, VerifierKeyError> {
        if !is_name(name) {
            return Err(VerifierKeyError::Name);
        }
        let key = VerifyingKey::from_bytes(key).map_err(|_| VerifierKeyError::Key)?;
        let digest = hash::digest(name.as_bytes(), &[&[b'\n', ED25519], key.as_bytes()]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        Ok(Self { name: String::from(name), id: [a, b, c, d], key })
    }

    /// The name of the key; for a log its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        self.key.as_bytes()
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        <[u8; SIGNATURE_BYTES]>::try_from(signature).is_ok_and(|bytes| {
            self.key.verify_strict(text.as_bytes(), &Signature::from_bytes(&bytes)).is_ok()
        })
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        let (name, rest) = text.split_once('+').ok_or(VerifierKeyError::Form)?;
        let (id, key) = rest.split_once('+').ok_or(VerifierKeyError::Form)?;
        let mut bytes = [0; 1 + KEY_BYTES];
        let decoded = Base64::decode(key, &mut bytes).map_err(|_| VerifierKeyError::Form)?;
        let key = match decoded.split_first_chunk::<1>() {
            Some(([ED25519], key)) => key.try_into().map_err(|_| VerifierKeyError::Key)?,
            _ => return Err(VerifierKeyError::Key),
        };
        let parsed = Self::new(name, key)?;
        if format!("{:08x}", u32::from_be_bytes(parsed.id)) == id {
            Ok(parsed)
        } else {
            Err(VerifierKeyError::Id)
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [ED25519; 1 + KEY_BYTES];
        let [_, key @ ..] = &mut typed;
        key.copy_from_slice(self.key.as_bytes());
        let id = u32::from_be_bytes(self.id);
        write!(f, "{}+{id:08x}+{}", self.name, Base64::encode_string(&typed))
    }
}

/// A text that waits for its signature.
#[derive(Clone, Debug)]
#[must_use = "a note is nothing before it is signed"]
pub struct Unsigned {
    text: String,
    key: VerifierKey,
}

impl Unsigned {
    /// A note over `text`, to be signed by the holder of `key`.
    ///
    /// # Errors
    /// [`NoteError::Text`] when the text does not end in a newline, holds control characters or
    /// is too long.
    pub fn new(text: String, key: &VerifierKey) -> Result<Self, NoteError> {
        let fits = text.len() <= NOTE_BYTES_MAX / 2;
        if fits && text.ends_with('\n') && is_plain(&text) {
            Ok(Self { text, key: key.clone() })
        } else {
            Err(NoteError::Text)
        }
    }

    /// The bytes over which the Ed25519 signature is made.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The key that must sign.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The signed note.
    ///
    /// # Errors
    /// [`NoteError::Signature`] when the signature is not by this note's key over its text.
    pub fn complete(self, signature: &[u8; SIGNATURE_BYTES]) -> Result<String, NoteError> {
        if !self.key.verifies(&self.text, signature) {
            return Err(NoteError::Signature);
        }
        let mut bytes = Vec::with_capacity(KEY_ID_BYTES + SIGNATURE_BYTES);
        bytes.extend_from_slice(&self.key.id);
        bytes.extend_from_slice(signature);
        let line = Base64::encode_string(&bytes);
        Ok(format!("{}\n{SIGNATURE_MARK}{} {line}\n", self.text, self.key.name))
    }
}

/// The note with one more signature line, of `key`, whose signature over the text of `note` this is.
///
/// # Errors
/// [`NoteError::Form`] when `note` is none, [`NoteError::Signature`] when the signature is not by
/// `key` over its text, [`NoteError::TooLong`].
pub fn cosign(
    note: &str,
    key: &VerifierKey,
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<String, NoteError> {
    let blank = note.rfind("\n\n").ok_or(NoteError::Form)?;
    let (text, lines) = note.split_at_checked(blank + 1).ok_or(NoteError::Form)?;
    let unsigned = Unsigned { text: String::from(text), key: key.clone() };
    let signed = unsigned.complete(signature)?;
    let line = signed.get(text.len() + 1..).ok_or(NoteError::Form)?;
    let whole = format!("{note}{line}");
    if whole.len() > NOTE_BYTES_MAX || lines.matches('\n').count() > SIGNATURES_MAX {
        return Err(NoteError::TooLong);
    }
    Ok(whole)
}

/// Why a note is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// The text cannot be the text of a note.
    Text,
    /// Not the form of a signed note.
    Form,
    /// The note or the number of its signatures exceeds the limit.
    TooLong,
    /// A trusted key is named, but its signature is wrong.
    Signature,
    /// No trusted key has signed.
    Unknown,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "making a note of a text that is too long or not plain lines",
            Self::Form => "reading a note: not the form of a signed note",
            Self::TooLong => "reading a note: too many bytes or signatures",
            Self::Signature => "reading a note: the signature of a trusted key is wrong",
            Self::Unknown => "reading a note: no trusted key has signed it",
        })
    }
}

impl core::error::Error for NoteError {}

/// The text of a note, given out if at least one of `keys` has signed it and no signature that
/// claims to be by one of them is wrong. Signatures of other keys are ignored.
///
/// # Errors
/// [`NoteError`] otherwise.
pub fn open<'a>(note: &'a [u8], keys: &[VerifierKey]) -> Result<&'a str, NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLong);
    }
    let note = str::from_utf8(note).map_err(|_| NoteError::Form)?;
    let blank = note.rfind("\n\n").ok_or(NoteError::Form)?;
    let (text, signatures) = note.split_at_checked(blank + 1).ok_or(NoteError::Form)?;
    let lines = signatures.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
    let lines = lines.ok_or(NoteError::Form)?;
    if !is_plain(note) {
        return Err(NoteError::Form);
    }
    let mut trusted = false;
    for (count, line) in lines.split('\n').enumerate() {
        if count >= SIGNATURES_MAX {
            return Err(NoteError::TooLong);
        }
        let (name, bytes) = signature_line(line).ok_or(NoteError::Form)?;
        let (id, signature) = bytes.split_first_chunk().ok_or(NoteError::Form)?;
        for key in keys.iter().filter(|key| key.name == name && key.id == *id) {
            if !key.verifies(text, signature) {
                return Err(NoteError::Signature);
            }
            trusted = true;
        }
    }
    if trusted { Ok(text) } else { Err(NoteError::Unknown) }
}

fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    let bytes = Base64::decode_vec(encoded).ok()?;
    (is_name(name) && bytes.len() > KEY_ID_BYTES).then_some((name, bytes))
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' || byte == b'\n')
}
