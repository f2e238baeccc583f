//! Everything that a wallet remembers, as one sealed file: passes, trust, log.
//!
//! Layout (CBOR, version 5): `[5, city, [anchor..] roots, [anchor..] issuers, [anchor..] readers,
//! [pass..], [entry..], express, [kept key..]]`; version 4 lacks the last field, version 3 knows no access
//! documents either, version 2 no express tap, version 1 neither city nor roots. The bytes of a document are a byte string for an mdoc, text for an
//! SD-JWT, and a byte string in an array of one for an access document.
//! Sealed by AES-256-GCM under a key of the host, nonce first.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use credential::cbor::{CborError, Decoder, Encoder};
use credential::crypto::{BadCiphertext, Crypto};
use credential::x509::AnchorError;
use presentation::standard::ReaderIdentifier;
use presentation::standard::keyring::{KeptKey, Keyring};
use presentation::standard::schedule::PersistentKey;
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use crate::express::Express;
use crate::log::Entry;
use crate::pass::{Content, Document, Pass};
use crate::secure_element::DeviceKey;
use crate::trust::{Parts, Trust};

const VERSION: u64 = 5;
/// Before the standard tap.
const VERSION_WITHOUT_STANDARD: u64 = 4;
/// Before access documents.
const VERSION_WITHOUT_ACCESS: u64 = 3;
/// Before the express tap.
const VERSION_WITHOUT_EXPRESS: u64 = 2;
/// Before roots were kept.
const VERSION_ROOTLESS: u64 = 1;
const SEAL_LABEL: &[u8] = b"limen/wallet-state/1";

/// Everything that a wallet remembers, device keys excepted.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Whom the wallet trusts.
    pub trust: Trust,
    /// The passes, in the order in which they came.
    pub passes: Vec<Pass>,
    /// The owner's log, oldest first.
    pub log: Vec<Entry>,
    /// Handles of the express tap.
    pub express: Express,
    /// Keys of the fast tap, by reader.
    pub keyring: Keyring,
}

/// Why a state does not open.
#[derive(Debug)]
pub enum OpenError {
    /// The key of the host is another, or the bytes were changed.
    Seal(BadCiphertext),
    /// What was sealed is not what this version understands.
    Content(CborError),
    /// It was written by another version.
    Version {
        /// The version found.
        found: u64,
    },
    /// A certificate in it cannot be used.
    Anchor(AnchorError),
    /// The handles in it break a limit.
    Express,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal(_) => f.write_str("wallet does not open under this key"),
            Self::Content(_) => f.write_str("wallet file is damaged"),
            Self::Version { found } => write!(f, "wallet file is of version {found}"),
            Self::Express => f.write_str("wallet file holds express handles that cannot be read"),
            Self::Anchor(_) => f.write_str("wallet file holds a certificate that cannot be used"),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Seal(source) => Some(source),
            Self::Content(source) => Some(source),
            Self::Anchor(source) => Some(source),
            Self::Version { .. } | Self::Express => None,
        }
    }
}

impl From<CborError> for OpenError {
    fn from(error: CborError) -> Self {
        Self::Content(error)
    }
}

impl From<AnchorError> for OpenError {
    fn from(error: AnchorError) -> Self {
        Self::Anchor(error)
    }
}

impl State {
    /// The state, sealed under `host_key`. `nonce` must be fresh every time.
    #[must_use]
    pub fn seal(&self, crypto: &dyn Crypto, host_key: &[u8; 32], nonce: [u8; 12]) -> Vec<u8> {
        let mut content = self.encode();
        crypto.seal_aes256_gcm(host_key, &nonce, SEAL_LABEL, &mut content);
        [&nonce[..], &content].concat()
    }

    /// What [`State::seal`] sealed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        crypto: &dyn Crypto,
        host_key: &[u8; 32],
        sealed: &[u8],
    ) -> Result<Self, OpenError> {
        let (nonce, content) =
            sealed.split_first_chunk::<12>().ok_or(OpenError::Seal(BadCiphertext))?;
        let mut content = Zeroizing::new(content.to_vec());
        crypto
            .open_aes256_gcm(host_key, nonce, SEAL_LABEL, &mut content)
            .map_err(OpenError::Seal)?;
        Self::decode(&content)
    }

    fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(9).unsigned(VERSION);
        let parts = self.trust.parts();
        encoder.text(&parts.city);
        for list in [&parts.roots, &parts.issuers, &parts.readers] {
            encoder.array(list.len());
            list.iter().for_each(|der| {
                encoder.bytes(der);
            });
        }
        encoder.array(self.passes.len());
        self.passes.iter().for_each(|pass| encode_pass(&mut encoder, pass));
        encoder.array(self.log.len());
        self.log.iter().for_each(|entry| encode_entry(&mut encoder, entry));
        self.express.encode(&mut encoder);
        encoder.array(self.keyring.entries().len());
        for KeptKey { reader, device_key, key } in self.keyring.entries() {
            encoder.array(3).bytes(&reader.to_bytes()).bytes(device_key).bytes(key.danger_bytes());
        }
        encoder.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let mut decoder = Decoder::new(bytes)?;
        let mut ahead = decoder.clone();
        ahead.array()?;
        let version = ahead.unsigned()?;
        let (has_roots, has_express) =
            (version > VERSION_ROOTLESS, version > VERSION_WITHOUT_EXPRESS);
        let fields = match version {
            VERSION => 9,
            VERSION_WITHOUT_STANDARD | VERSION_WITHOUT_ACCESS => 8,
            VERSION_WITHOUT_EXPRESS => 7,
            VERSION_ROOTLESS => 5,
            found => return Err(OpenError::Version { found }),
        };
        decoder.array_of(fields)?;
        decoder.unsigned()?;
        let mut parts = Parts::default();
        let ders = |decoder: &mut Decoder<'_>| list(decoder, |it| Ok(it.bytes()?.to_vec()));
        if has_roots {
            parts.city = decoder.text()?.into();
            parts.roots = ders(&mut decoder)?;
        }
        parts.issuers = ders(&mut decoder)?;
        parts.readers = ders(&mut decoder)?;
        let passes = list(&mut decoder, decode_pass)?;
        let log = list(&mut decoder, decode_entry)?;
        let express = match has_express {
            true => Express::decode(&mut decoder)?.ok_or(OpenError::Express)?,
            false => Express::default(),
        };
        let mut keyring = Keyring::default();
        if version == VERSION {
            list(&mut decoder, decode_key)?.into_iter().for_each(|kept| keyring.keep(kept));
        }
        decoder.finish()?;
        Ok(Self { trust: Trust::new(parts)?, passes, log, express, keyring })
    }
}

fn decode_key(decoder: &mut Decoder<'_>) -> Result<KeptKey, CborError> {
    decoder.array_of(3)?;
    let reader = ReaderIdentifier::from_bytes(&decoder.byte_array()?);
    let (device_key, key) = (decoder.byte_array()?, decoder.byte_array()?);
    Ok(KeptKey { reader, device_key, key: PersistentKey::from_bytes(key) })
}

fn encode_pass(encoder: &mut Encoder, pass: &Pass) {
    encoder.array(4).text(&pass.name).text(&pass.issuer).text(&pass.configuration);
    encoder.array(pass.documents.len());
    for document in &pass.documents {
        encoder.array(6);
        match &document.content {
            Content::Mdoc(bytes) => encoder.bytes(bytes),
            Content::SdJwt(text) => encoder.text(text),
            Content::AccessDocument(bytes) => encoder.array(1).bytes(bytes),
        };
        encoder.unsigned(u64::from(document.key.0)).text(&document.kind);
        encoder.integer(document.valid_from.unix_micros());
        encoder.integer(document.valid_until.unix_micros());
        encoder.unsigned(u64::from(document.shown));
    }
}

fn decode_pass(decoder: &mut Decoder<'_>) -> Result<Pass, CborError> {
    decoder.array_of(4)?;
    Ok(Pass {
        name: decoder.text()?.into(),
        issuer: decoder.text()?.into(),
        configuration: decoder.text()?.into(),
        documents: list(decoder, decode_document)?,
    })
}

fn decode_document(decoder: &mut Decoder<'_>) -> Result<Document, CborError> {
    decoder.array_of(6)?;
    let content = match decoder.kind() {
        credential::cbor::Kind::Text => Content::SdJwt(decoder.text()?.into()),
        credential::cbor::Kind::Array => {
            decoder.array_of(1)?;
            Content::AccessDocument(decoder.bytes()?.to_vec())
        }
        _ => Content::Mdoc(decoder.bytes()?.to_vec()),
    };
    let number = |decoder: &mut Decoder<'_>| {
        decoder.unsigned().map(|value| u32::try_from(value).unwrap_or(u32::MAX))
    };
    Ok(Document {
        content,
        key: DeviceKey(number(decoder)?),
        kind: decoder.text()?.into(),
        valid_from: Instant::from_unix_micros(decoder.integer()?),
        valid_until: Instant::from_unix_micros(decoder.integer()?),
        shown: number(decoder)?,
    })
}

fn encode_entry(encoder: &mut Encoder, entry: &Entry) {
    encoder.array(5).integer(entry.at.unix_micros()).text(&entry.with).text(&entry.pass);
    encoder.array(entry.disclosed.len());
    entry.disclosed.iter().for_each(|element| {
        encoder.text(element);
    });
    encoder.text(&entry.outcome);
}

fn decode_entry(decoder: &mut Decoder<'_>) -> Result<Entry, CborError> {
    decoder.array_of(5)?;
    Ok(Entry {
        at: Instant::from_unix_micros(decoder.integer()?),
        with: decoder.text()?.into(),
        pass: decoder.text()?.into(),
        disclosed: list(decoder, |decoder| Ok(String::from(decoder.text()?)))?,
        outcome: decoder.text()?.into(),
    })
}

pub(crate) fn list<T>(
    decoder: &mut Decoder<'_>,
    mut read: impl FnMut(&mut Decoder<'_>) -> Result<T, CborError>,
) -> Result<Vec<T>, CborError> {
    let mut entries = decoder.array()?;
    let mut items = Vec::new();
    while decoder.more(&mut entries)? {
        items.push(read(decoder)?);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use credential::rustcrypto::RustCrypto;

    fn state() -> State {
        let document = Document {
            content: Content::SdJwt("a.b.c~".into()),
            key: DeviceKey(7),
            kind: "urn:limen:pass:1".into(),
            valid_from: Instant::from_unix_micros(-5),
            valid_until: Instant::from_unix_seconds(9),
            shown: 2,
        };
        let mdoc = Document { content: Content::Mdoc(vec![1, 2]), ..document.clone() };
        let access = Document { content: Content::AccessDocument(vec![3]), ..mdoc.clone() };
        let pass = Pass {
            name: "Staff badge".into(),
            issuer: "https://city.example/vci/hall".into(),
            configuration: "badge.mso_mdoc".into(),
            documents: vec![document, mdoc, access],
        };
        let entry = Entry {
            at: Instant::from_unix_seconds(3),
            with: "CN=Gate 3".into(),
            pass: "Staff badge".into(),
            disclosed: vec!["zones".into()],
            outcome: "shown".into(),
        };
        let mut keyring = Keyring::default();
        let reader = ReaderIdentifier { group: [1; 16], sub_group: [2; 16] };
        keyring.keep(KeptKey {
            reader,
            device_key: [4; 65],
            key: PersistentKey::from_bytes([8; 32]),
        });
        State { passes: vec![pass], log: vec![entry], keyring, ..State::default() }
    }

    #[test]
    fn state_comes_back_from_its_seal() {
        let state = state();
        let sealed = state.seal(&RustCrypto, &[1; 32], [2; 12]);
        let opened = State::open(&RustCrypto, &[1; 32], &sealed).unwrap();
        assert_eq!((opened.passes, opened.log), (state.passes, state.log));
        assert_eq!(opened.keyring.entries(), state.keyring.entries());
        assert!(!sealed.windows(11).any(|window| window == b"Staff badge"));
    }

    /// Wallets that were made before roots were kept still open; they cannot follow their city.
    #[test]
    fn a_state_of_the_version_before_opens() {
        let mut encoder = Encoder::new();
        encoder.array(5).unsigned(VERSION_ROOTLESS).array(0).array(0).array(0).array(0);
        let opened = State::decode(&encoder.into_bytes()).unwrap();
        assert_eq!(opened.trust.parts(), &Parts::default());
        let mut encoder = Encoder::new();
        encoder.array(7).unsigned(VERSION_WITHOUT_EXPRESS).text("");
        encoder.array(0).array(0).array(0).array(0).array(0);
        assert!(State::decode(&encoder.into_bytes()).is_ok());
        let mut encoder = Encoder::new();
        encoder.array(5).unsigned(6).array(0).array(0).array(0).array(0);
        let refused = State::decode(&encoder.into_bytes()).unwrap_err();
        assert!(matches!(refused, OpenError::Version { found: 6 }));
    }

    #[test]
    fn a_changed_or_cut_file_does_not_open() {
        let sealed = state().seal(&RustCrypto, &[1; 32], [2; 12]);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(State::open(&RustCrypto, &[1; 32], &changed).is_err());
            assert!(State::open(&RustCrypto, &[1; 32], &sealed[..position]).is_err());
        }
        assert!(State::open(&RustCrypto, &[3; 32], &sealed).is_err());
    }
}
