//! What SELECT, AUTH0, AUTH1 and CONTROL FLOW carry, as data objects.
//!
//! A device reads commands strictly: a tag that does not belong there is refused. A reader passes
//! over objects of a device that it does not know, since newer devices may say more.

use alloc::vec::Vec;

use super::tlv::{Objects, TlvError, put};
use super::{Dialect, EXPEDITED_APPLICATION, ReaderIdentifier, SignalingWidth, Version};

/// Protocol versions of one offer.
pub const VERSIONS_MAX: usize = 8;
/// Bytes of a vendor extension in SELECT and AUTH0.
pub const VENDOR_BYTES_MAX: usize = 127;
/// Bytes of a vendor extension in the answer to AUTH0.
pub const VENDOR_ANSWER_BYTES_MAX: usize = 128;
/// Bytes of mailbox data in the answer to AUTH1.
pub const MAILBOX_DATA_BYTES_MAX: usize = 1_024;
/// Bytes of domain data in CONTROL FLOW.
pub const DOMAIN_DATA_BYTES_MAX: usize = 128;
/// Bytes of the proof of the fast phase.
pub const CRYPTOGRAM_BYTES: usize = 64;

/// The type of a device that is a phone.
const TYPE_MOBILE: [u8; 2] = [0, 0];

/// What a device offers when it is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The versions that it speaks, the preferred first.
    pub versions: Vec<Version>,
    /// Object A5 as it came, which the salts of the transaction hold.
    pub proprietary: Vec<u8>,
}

impl Offer {
    /// The offer of a device that speaks these versions, with a vendor extension if it has one.
    #[must_use]
    pub fn new(versions: &[Version], vendor: Option<&[u8]>) -> Self {
        let list: Vec<u8> = versions.iter().take(VERSIONS_MAX).flat_map(|v| v.0).collect();
        let mut inner = Vec::new();
        put(&mut inner, 0x80, &TYPE_MOBILE);
        put(&mut inner, 0x5C, &list);
        if let Some(vendor) = vendor {
            put(&mut inner, 0xB3, vendor);
        }
        let mut proprietary = Vec::new();
        put(&mut proprietary, 0xA5, &inner);
        Self { versions: versions.iter().take(VERSIONS_MAX).copied().collect(), proprietary }
    }

    /// Reads the answer to the selection of the expedited application.
    ///
    /// # Errors
    /// [`TlvError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let outer = Objects::parse_only(bytes, &[0x6F])?.object(0x6F)?;
        let template = Objects::parse(outer.value)?;
        if template.object(0x84)?.value != EXPEDITED_APPLICATION {
            return Err(TlvError::Value(0x84));
        }
        let proprietary = template.object(0xA5)?;
        let inner = Objects::parse(proprietary.value)?;
        inner.array::<2>(0x80)?;
        inner.optional(0xB3, VENDOR_BYTES_MAX)?;
        let (pairs, rest) = inner.object(0x5C)?.value.as_chunks::<2>();
        if !rest.is_empty() || !(1..=VERSIONS_MAX).contains(&pairs.len()) {
            return Err(TlvError::Value(0x5C));
        }
        let versions = pairs.iter().copied().map(Version).collect();
        Ok(Self { versions, proprietary: proprietary.raw.to_vec() })
    }

    /// The bytes that [`Offer::parse`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (mut template, mut out) = (Vec::new(), Vec::new());
        put(&mut template, 0x84, &EXPEDITED_APPLICATION);
        template.extend(&self.proprietary);
        put(&mut out, 0x6F, &template);
        out
    }
}

/// The bit of AUTH0's parameters by which the fast phase is asked for.
const FAST_BIT: u8 = 1;

/// The data of AUTH0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth0 {
    /// Whether the reader asks for the fast phase.
    pub fast: bool,
    /// Tag 42: sources read it as a transaction code or as an authentication policy. It is handed
    /// through, and bound into the keys.
    pub policy: u8,
    /// The version that the reader chose.
    pub version: Version,
    /// The reader's ephemeral key, uncompressed.
    pub reader_ephemeral: [u8; 65],
    /// The transaction identifier.
    pub transaction: [u8; 16],
    /// Who the reader claims to be.
    pub reader: ReaderIdentifier,
    /// A vendor extension.
    pub vendor: Option<Vec<u8>>,
}

impl Auth0 {
    /// Reads the data of the command.
    ///
    /// # Errors
    /// [`TlvError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let tags = [0x41, 0x42, 0x5C, 0x87, 0x4C, 0x4D, 0xB1];
        let objects = Objects::parse_only(bytes, &tags)?;
        let [parameters] = objects.array(0x41)?;
        if parameters & !FAST_BIT != 0 {
            return Err(TlvError::Value(0x41));
        }
        let [policy] = objects.array(0x42)?;
        Ok(Self {
            fast: parameters == FAST_BIT,
            policy,
            version: Version(objects.array(0x5C)?),
            reader_ephemeral: objects.array(0x87)?,
            transaction: objects.array(0x4C)?,
            reader: ReaderIdentifier::from_bytes(&objects.array(0x4D)?),
            vendor: objects.optional(0xB1, VENDOR_BYTES_MAX)?.map(<[u8]>::to_vec),
        })
    }

    /// The bytes that [`Auth0::parse`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        let [parameters, policy] = self.flags();
        put(&mut out, 0x41, &[parameters]);
        put(&mut out, 0x42, &[policy]);
        put(&mut out, 0x5C, &self.version.0);
        put(&mut out, 0x87, &self.reader_ephemeral);
        put(&mut out, 0x4C, &self.transaction);
        put(&mut out, 0x4D, &self.reader.to_bytes());
        if let Some(vendor) = &self.vendor {
            put(&mut out, 0xB1, vendor);
        }
        out
    }

    /// The values of tags 41 and 42, which the salts hold.
    #[must_use]
    pub const fn flags(&self) -> [u8; 2] {
        [if self.fast { FAST_BIT } else { 0 }, self.policy]
    }
}

/// The answer to AUTH0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth0Answer {
    /// The device's ephemeral key, uncompressed.
    pub device_ephemeral: [u8; 65],
    /// The proof of the fast phase, exactly where that was asked for.
    pub cryptogram: Option<[u8; CRYPTOGRAM_BYTES]>,
    /// A vendor extension.
    pub vendor: Option<Vec<u8>>,
}

impl Auth0Answer {
    /// Reads the answer to a command that asked for the fast phase, or did not.
    ///
    /// # Errors
    /// [`TlvError`]; also when a cryptogram is there and was not asked for, or the other way.
    pub fn parse(bytes: &[u8], fast: bool) -> Result<Self, TlvError> {
        let objects = Objects::parse(bytes)?;
        let cryptogram = objects.optional_array(0x9D)?;
        match (fast, &cryptogram) {
            (true, None) => return Err(TlvError::Missing(0x9D)),
            (false, Some(_)) => return Err(TlvError::Unknown(0x9D)),
            _ => {}
        }
        Ok(Self {
            device_ephemeral: objects.array(0x86)?,
            cryptogram,
            vendor: objects.optional(0xB2, VENDOR_ANSWER_BYTES_MAX)?.map(<[u8]>::to_vec),
        })
    }

    /// The bytes that [`Auth0Answer::parse`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        put(&mut out, 0x86, &self.device_ephemeral);
        if let Some(cryptogram) = &self.cryptogram {
            put(&mut out, 0x9D, cryptogram);
        }
        if let Some(vendor) = &self.vendor {
            put(&mut out, 0xB2, vendor);
        }
        out
    }
}

/// By what a device says which credential it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By the slot of its key, eight bytes that the reader's side knows.
    KeySlot,
    /// By its public key.
    PublicKey,
}

/// The data of AUTH1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth1 {
    /// By what the device shall name its credential.
    pub naming: Naming,
    /// The reader's signature, r and s.
    pub signature: [u8; 64],
    /// The reader's certificate, compressed.
    pub certificate: Option<Vec<u8>>,
}

impl Auth1 {
    /// Reads the data of the command.
    ///
    /// # Errors
    /// [`TlvError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let objects = Objects::parse_only(bytes, &[0x41, 0x9E, 0x90])?;
        let naming = match objects.array(0x41)? {
            [0] => Naming::KeySlot,
            [1] => Naming::PublicKey,
            _ => return Err(TlvError::Value(0x41)),
        };
        let room = credential::x509::compressed::COMPRESSED_BYTES_MAX;
        let certificate = objects.optional(0x90, room)?.map(<[u8]>::to_vec);
        Ok(Self { naming, signature: objects.array(0x9E)?, certificate })
    }

    /// The bytes that [`Auth1::parse`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(72);
        put(&mut out, 0x41, &[u8::from(self.naming == Naming::PublicKey)]);
        put(&mut out, 0x9E, &self.signature);
        if let Some(certificate) = &self.certificate {
            put(&mut out, 0x90, certificate);
        }
        out
    }
}

/// The credential that a device used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialName {
    /// The slot of its key.
    KeySlot([u8; 8]),
    /// Its public key, uncompressed.
    PublicKey([u8; 65]),
}

/// What a device says of its documents and its mailbox: bits from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signaling(pub u16);

impl Signaling {
    /// An access document is there.
    pub const ACCESS_DOCUMENT: Self = Self(1);
    /// A revocation document is there.
    pub const REVOCATION_DOCUMENT: Self = Self(1 << 1);
    /// The documents are to be had after another SELECT.
    pub const STEP_UP_SELECT: Self = Self(1 << 2);
    /// The mailbox holds data.
    pub const MAILBOX_DATA: Self = Self(1 << 3);
    /// The mailbox may be read.
    pub const MAILBOX_READABLE: Self = Self(1 << 4);
    /// The mailbox may be written.
    pub const MAILBOX_WRITABLE: Self = Self(1 << 5);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// When the documents of a device were signed, as the text of 20 bytes that the device sent; zeros
/// where there is none. The device's word alone: for choosing whether to fetch a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// Of the access document.
    pub access: [u8; 20],
    /// Of the revocation document.
    pub revocation: [u8; 20],
}

/// The answer to AUTH1, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth1Answer {
    /// The credential.
    pub credential: CredentialName,
    /// The device's signature, r and s.
    pub signature: [u8; 64],
    /// Mailbox data that the device gives without being asked.
    pub mailbox: Option<Vec<u8>>,
    /// Documents and mailbox.
    pub signaling: Signaling,
    /// When its documents were signed, if it says so.
    pub timestamps: Option<Timestamps>,
}

impl Auth1Answer {
    /// Reads the opened answer.
    ///
    /// # Errors
    /// [`TlvError`].
    pub fn parse(bytes: &[u8], dialect: &Dialect) -> Result<Self, TlvError> {
        let objects = Objects::parse(bytes)?;
        let credential = match (objects.optional_array(0x4E)?, objects.optional_array(0x5A)?) {
            (Some(slot), None) => CredentialName::KeySlot(slot),
            (None, Some(key)) => CredentialName::PublicKey(key),
            (None, None) => return Err(TlvError::Missing(0x5A)),
            (Some(_), Some(_)) => return Err(TlvError::Unknown(0x4E)),
        };
        let access = objects.optional_array(0x91)?;
        let revocation = objects.optional_array(0x92)?;
        let timestamps = (access.is_some() || revocation.is_some()).then(|| Timestamps {
            access: access.unwrap_or_default(),
            revocation: revocation.unwrap_or_default(),
        });
        Ok(Self {
            credential,
            signature: objects.array(0x9E)?,
            mailbox: objects.optional(0x4B, MAILBOX_DATA_BYTES_MAX)?.map(<[u8]>::to_vec),
            signaling: match dialect.signaling {
                SignalingWidth::Two => Signaling(u16::from_be_bytes(objects.array(0x5E)?)),
                SignalingWidth::One => Signaling(objects.array::<1>(0x5E)?[0].into()),
            },
            timestamps,
        })
    }

    /// The bytes that [`Auth1Answer::parse`] reads.
    #[must_use]
    pub fn encode(&self, dialect: &Dialect) -> Vec<u8> {
        let mut out = Vec::with_capacity(200);
        match &self.credential {
            CredentialName::KeySlot(slot) => put(&mut out, 0x4E, slot),
            CredentialName::PublicKey(key) => put(&mut out, 0x5A, key),
        }
        put(&mut out, 0x9E, &self.signature);
        if let Some(mailbox) = &self.mailbox {
            put(&mut out, 0x4B, mailbox);
        }
        let [high, low] = self.signaling.0.to_be_bytes();
        match dialect.signaling {
            SignalingWidth::Two => put(&mut out, 0x5E, &[high, low]),
            SignalingWidth::One => put(&mut out, 0x5E, &[low]),
        }
        if let Some(timestamps) = &self.timestamps {
            put(&mut out, 0x91, &timestamps.access);
            put(&mut out, 0x92, &timestamps.revocation);
        }
        out
    }
}

/// The data of CONTROL FLOW: how the transaction ended for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlFlow {
    /// 01 where it succeeded, 00 where it failed.
    pub s1: u8,
    /// Why: 00 for no reason.
    pub s2: u8,
}

impl ControlFlow {
    /// It succeeded.
    pub const SUCCESS: Self = Self { s1: 1, s2: 0 };
    /// It failed; the reader does not say why.
    pub const FAILURE: Self = Self { s1: 0, s2: 0 };
    /// There is no version that both speak.
    pub const NO_VERSION: Self = Self { s1: 0, s2: 0x27 };

    /// Reads the data of the command; domain data are passed over.
    ///
    /// # Errors
    /// [`TlvError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let objects = Objects::parse_only(bytes, &[0x41, 0x42, 0x43])?;
        objects.optional(0x43, DOMAIN_DATA_BYTES_MAX)?;
        let ([s1], [s2]) = (objects.array(0x41)?, objects.array(0x42)?);
        Ok(Self { s1, s2 })
    }

    /// The bytes that [`ControlFlow::parse`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(6);
        put(&mut out, 0x41, &[self.s1]);
        put(&mut out, 0x42, &[self.s2]);
        out
    }
}
