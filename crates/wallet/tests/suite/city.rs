//! A small city: its authorities, a document signer and a reader.

use core::time::Duration;

use credential::access_document;
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::mdoc::{self, ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::rights::{NAME_SPACE, Rights};
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, compressed};
use reader::engine::StandardIdentity;
use vocabulary::time::Instant;
use wallet::trust::Parts;

pub(crate) const CRYPTO: &dyn Crypto = &RustCrypto;

/// Noon of the day on which everything happens.
pub(crate) fn noon() -> Instant {
    Instant::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

pub(crate) fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

pub(crate) fn key(number: u8) -> P256Secret {
    P256Secret::from_bytes([number; 32])
}

pub(crate) fn public(key: &P256Secret) -> PublicKey {
    PublicKey::P256(CRYPTO.p256_public(key).unwrap())
}

pub(crate) fn sign<T: 'static>(key: &P256Secret, unsigned: Unsigned<T>) -> T {
    let signature = CRYPTO.p256_sign(key, unsigned.to_be_signed()).unwrap();
    unsigned.complete(&signature)
}

/// A key and its certificate.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) key: P256Secret,
    pub(crate) der: Vec<u8>,
}

impl Identity {
    /// Certified by `by` until `until`; a root for none.
    pub(crate) fn until(
        number: u8,
        purpose: Purpose,
        by: Option<&Self>,
        not_after: Instant,
    ) -> Self {
        let own = key(number);
        let request = Request {
            purpose,
            subject: Subject {
                common_name: &format!("Test {number}"),
                organization: None,
                country: "UT",
            },
            key: &public(&own),
            not_before: noon().saturating_sub(days(10)),
            not_after,
            serial_entropy: [number; build::SERIAL_ENTROPY_BYTES],
            issuer_uri: "https://city.example",
            crl_uri: "https://city.example/crl",
        };
        let above = by.map(|authority| Certificate::parse(&authority.der).unwrap());
        let signer = above.as_ref().map_or(Signer::Subject, Signer::Authority);
        let unsigned = build::certificate(&request, signer).unwrap();
        let der = sign(by.map_or(&own, |authority| &authority.key), unsigned).into_bytes();
        Self { key: own, der }
    }

    pub(crate) fn new(number: u8, purpose: Purpose, by: Option<&Self>) -> Self {
        let life = days(if by.is_some() { 400 } else { 4000 });
        Self::until(number, purpose, by, noon().saturating_add(life))
    }
}

pub(crate) struct City {
    pub(crate) root: Identity,
    pub(crate) authority: Identity,
    pub(crate) signer: Identity,
    pub(crate) reader_authority: Identity,
    pub(crate) reader: Identity,
    pub(crate) bundle_signer: Identity,
}

impl City {
    /// A city whose keys begin at this number; it needs ten.
    pub(crate) fn numbered(first: u8) -> Self {
        let root = Identity::new(first, Purpose::Root, None);
        let authority = Identity::new(first + 1, Purpose::Authority, Some(&root));
        let reader_authority = Identity::new(first + 2, Purpose::Authority, Some(&root));
        Self {
            signer: Identity::new(first + 3, Purpose::DocumentSigner, Some(&authority)),
            reader: Identity::new(first + 4, Purpose::Reader, Some(&reader_authority)),
            bundle_signer: Identity::new(first + 5, Purpose::BundleSigner, Some(&root)),
            root,
            authority,
            reader_authority,
        }
    }

    pub(crate) fn new() -> Self {
        Self::numbered(1)
    }

    /// What wallets of this city trust.
    pub(crate) fn parts(&self) -> Parts {
        Parts {
            city: "https://city.example".into(),
            roots: vec![self.root.der.clone()],
            issuers: vec![self.authority.der.clone(), self.signer.der.clone()],
            readers: vec![self.reader_authority.der.clone()],
        }
    }

    /// An access document with these rights.
    pub(crate) fn access_document(&self, rights: &Rights, device: &PublicKey) -> Vec<u8> {
        let value = access_document::pass::value(rights, None).unwrap();
        let request = access_document::IssueRequest {
            device_key: Some(device),
            elements: &[(access_document::pass::ELEMENT, &value)],
            validity: Validity {
                signed: noon().saturating_sub(days(1)),
                valid_from: noon().saturating_sub(days(1)),
                valid_until: noon().saturating_add(days(20)),
                expected_update: None,
            },
            needs_clock: true,
        };
        let issuer = public(&self.signer.key);
        let entropy = [9; ENTROPY_BYTES_PER_ELEMENT];
        let unsigned = access_document::issue(CRYPTO, &request, &issuer, &entropy).unwrap();
        sign(&self.signer.key, unsigned).into_bytes()
    }

    /// What a reader with this name and the reader's key has for standard taps.
    pub(crate) fn standard(&self, name: &str, not_after: Instant) -> StandardIdentity {
        let authority = public(&self.reader_authority.key);
        let request = compressed::Request {
            serial: &[7; 8],
            issuer: "Test",
            subject: name,
            not_before: noon().saturating_sub(days(5)),
            not_after,
            key: &CRYPTO.p256_public(&self.reader.key).unwrap(),
        };
        let unsigned = compressed::issue(&request, &authority).unwrap();
        let certificate = sign(&self.reader_authority.key, unsigned);
        let group_key = CRYPTO.p256_public(&self.reader_authority.key).unwrap();
        StandardIdentity { group_key, certificate }
    }

    /// An IssuerSigned with these rights and one thing more that no gate asks for.
    pub(crate) fn pass(&self, doc_type: &str, rights: &Rights, device: &PublicKey) -> Vec<u8> {
        let birth_date = b"\x6a1990-01-31".to_vec();
        let mut elements = rights.to_elements().unwrap();
        elements.push(("birth_date", birth_date));
        let elements: Vec<(&str, &[u8])> =
            elements.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let entropy: Vec<u8> =
            (0..=255_u8).cycle().take(elements.len() * ENTROPY_BYTES_PER_ELEMENT).collect();
        let request = IssueRequest {
            doc_type,
            name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
            device_key: device,
            authorized_name_spaces: &[],
            validity: Validity {
                signed: noon().saturating_sub(days(1)),
                valid_from: noon().saturating_sub(days(1)),
                valid_until: noon().saturating_add(days(20)),
                expected_update: None,
            },
            status: None,
        };
        let unsigned = mdoc::issue(CRYPTO, &request, &[&self.signer.der], &entropy).unwrap();
        sign(&self.signer.key, unsigned).into_bytes()
    }
}

/// A ticket for zones A and B.
pub(crate) fn ticket() -> Rights {
    Rights {
        operator: "transit".parse().unwrap(),
        product: "ticket".parse().unwrap(),
        class: Some("first".parse().unwrap()),
        zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
        places: Vec::new(),
        recurrence: None,
        valid_from: noon().saturating_sub(days(2)),
        valid_until: noon().saturating_add(days(25)),
        uses_max: None,
        holder_only: false,
    }
}
