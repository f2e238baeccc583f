//! The standard tap and the fast tap: mutual authentication by ephemeral keys on P-256 and
//! signatures of both sides or, at the second tap of a pair, by a key that the first one left.
//!
//! The public Aliro 1.0 vectors pass; the specification itself was not read, and no conformance is
//! claimed (`specs/standard-tap.md` says what is there). The reader's end is [`reader::Reader`], the
//! end of a phone or a card [`device::Device`]. Both are values with the three verbs of this crate.
//!
//! Private keys of long life stay outside: both ends hand out what is to be signed. Every key of a
//! transaction is bound to the version, the transport, the transaction identifier, the reader, both
//! ephemeral keys and the bytes by which the device offered its versions, so that a changed offer
//! leaves the two ends without a common key.

pub mod device;
pub mod exchange;
pub mod keyring;
pub mod mailbox;
pub mod message;
pub mod reader;
pub mod schedule;
pub mod tlv;

use core::fmt;

use credential::crypto::Crypto;

pub use crate::apdu::Transport;

/// The application of the expedited phase.
pub const EXPEDITED_APPLICATION: [u8; 9] = [0xA0, 0, 0, 0x09, 0x09, 0xAC, 0xCE, 0x55, 0x01];
/// The application of the step-up phase.
pub const STEP_UP_APPLICATION: [u8; 9] = [0xA0, 0, 0, 0x09, 0x09, 0xAC, 0xCE, 0x55, 0x02];

/// Class of the commands that are not of ISO/IEC 7816-4.
pub const CLASS: u8 = 0x80;
/// AUTH0: ephemeral keys, and in the fast phase the proof.
pub const AUTH0: u8 = 0x80;
/// AUTH1: signatures of both sides.
pub const AUTH1: u8 = 0x81;
/// LOAD CERT: the certificate of the reader, ahead of AUTH1.
pub const LOAD_CERT: u8 = 0xD1;
/// EXCHANGE: mailbox and messages over the channel.
pub const EXCHANGE: u8 = 0xC9;
/// CONTROL FLOW: how the transaction ended for the reader.
pub const CONTROL_FLOW: u8 = 0x3C;

/// A protocol version: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub [u8; 2]);

impl Version {
    /// Version 1.0.
    pub const V1_0: Self = Self([1, 0]);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor] = self.0;
        write!(f, "{major}.{minor}")
    }
}

/// A reader: its group, which shares a key or an issuer, and itself within the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderIdentifier {
    /// The reader group identifier.
    pub group: [u8; 16],
    /// The reader group sub-identifier.
    pub sub_group: [u8; 16],
}

impl ReaderIdentifier {
    /// From group and sub-group, one after the other.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let (mut group, mut sub_group) = ([0; 16], [0; 16]);
        group.iter_mut().chain(&mut sub_group).zip(bytes).for_each(|(to, from)| *to = *from);
        Self { group, sub_group }
    }

    /// Group and sub-group, one after the other.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let both = self.group.iter().chain(&self.sub_group);
        bytes.iter_mut().zip(both).for_each(|(to, from)| *to = *from);
        bytes
    }
}

/// The group of the readers that an authority with this key certifies: the leftmost bytes of
/// SHA-256(`"limen reader group 1"` || 00 || key, uncompressed).
#[must_use]
pub fn group_of(crypto: &dyn Crypto, authority: &[u8; 65]) -> [u8; 16] {
    let digest = crypto.sha256(&[&b"limen reader group 1\0"[..], authority].concat());
    let mut group = [0; 16];
    group.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    group
}

/// Where public sources differ, which of them is followed. No choice here weakens the key schedule
/// or the signatures: a wrong one makes a tap fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Bytes of the signaling bitmap (tag 5E): two; the published transaction has one.
    pub signaling: SignalingWidth,
    /// Whether AUTH0, LOAD CERT and AUTH1 carry an Le field: yes; one source has none.
    pub expected_length: ExpectedLength,
    /// What stands around the operations of EXCHANGE: a container; an older form has a bare byte.
    pub exchange: ExchangeForm,
    /// What stands around a message of the step-up phase: data object 53 with a CBOR map; one source
    /// has the ciphertext alone.
    pub envelope: EnvelopeForm,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            signaling: SignalingWidth::Two,
            expected_length: ExpectedLength::Present,
            exchange: ExchangeForm::Container,
            envelope: EnvelopeForm::Object,
        }
    }
}

/// Bytes of the signaling bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalingWidth {
    /// One, as in the published transaction.
    One,
    /// Two.
    Two,
}

/// Whether a command that awaits data says how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedLength {
    /// Le is there.
    Present,
    /// Le is left out; what comes may fill a response.
    Absent,
}

/// What stands around the operations of EXCHANGE, and how its results say what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeForm {
    /// Container BA with the atomic flag in tag 8C; results 0001 (range) and 0002 (malformed).
    Container,
    /// A first byte 00 or 01, then the operations; result FFFF for any failure.
    Bare,
}

/// What stands around a message of the step-up phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeForm {
    /// Data object 53 around a CBOR map with the ciphertext under "data".
    Object,
    /// The ciphertext alone.
    Bare,
}
