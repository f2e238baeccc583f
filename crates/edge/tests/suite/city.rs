//! A small city: its authorities, one reader with its instructions, and tickets.

use core::time::Duration;

use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::mdoc::{self, ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::rights::{DOC_TYPE, NAME_SPACE, Rights};
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use edge::reader_host::Identity;
use reader::bundle::{Bundle, Freshness, Issuer};
use reader::snapshot::{ClassPolicy, Stale};
use reader::table::{AccessTable, Door, Need, Rule, ZoneClass};
use vocabulary::code::PlaceCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;
use wallet::trust::{Parts, Trust};

pub(crate) const CRYPTO: &dyn Crypto = &RustCrypto;
pub(crate) const READER: ReaderId = ReaderId::from_bytes([7; 16]);
pub(crate) const UNLOCK_MS: u32 = 3000;

/// Noon of the day on which everything happens.
pub(crate) fn noon() -> Instant {
    Instant::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

pub(crate) fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// The door of the reader, in zone B.
pub(crate) fn door() -> PlaceCode {
    "harbour/gate-b".parse().unwrap()
}

/// A key and its certificate.
struct Certified {
    key: P256Secret,
    der: Vec<u8>,
}

fn public(key: &P256Secret) -> PublicKey {
    PublicKey::P256(CRYPTO.p256_public(key).unwrap())
}

fn sign<T: 'static>(key: &P256Secret, unsigned: Unsigned<T>) -> T {
    let signature = CRYPTO.p256_sign(key, unsigned.to_be_signed()).unwrap();
    unsigned.complete(&signature)
}

fn certified(number: u8, purpose: Purpose, by: Option<&Certified>) -> Certified {
    certified_for(number, purpose, by, 400)
}

fn certified_for(number: u8, purpose: Purpose, by: Option<&Certified>, life: u64) -> Certified {
    let own = P256Secret::from_bytes([number; 32]);
    let name = format!("Test {number}");
    let request = Request {
        purpose,
        subject: Subject { common_name: &name, organization: None, country: "UT" },
        key: &public(&own),
        not_before: noon().saturating_sub(days(10)),
        not_after: noon().saturating_add(days(if by.is_some() { life } else { 4000 })),
        serial_entropy: [number; build::SERIAL_ENTROPY_BYTES],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let above = by.map(|authority| Certificate::parse(&authority.der).unwrap());
    let signer = above.as_ref().map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, signer).unwrap();
    let der = sign(by.map_or(&own, |authority| &authority.key), unsigned).into_bytes();
    Certified { key: own, der }
}

pub(crate) struct City {
    root: Certified,
    authority: Certified,
    signer: Certified,
    reader_authority: Certified,
    reader: Certified,
    bundle_signer: Certified,
}

impl City {
    pub(crate) fn new() -> Self {
        Self::of(0)
    }

    /// A city that has no key in common with the first.
    #[cfg(feature = "pcsc")]
    pub(crate) fn another() -> Self {
        Self::of(100)
    }

    fn of(base: u8) -> Self {
        let root = certified(base + 1, Purpose::Root, None);
        let authority = certified(base + 2, Purpose::Authority, Some(&root));
        let reader_authority = certified(base + 3, Purpose::Authority, Some(&root));
        Self {
            signer: certified(base + 4, Purpose::DocumentSigner, Some(&authority)),
            reader: certified(base + 5, Purpose::Reader, Some(&reader_authority)),
            bundle_signer: certified(base + 6, Purpose::BundleSigner, Some(&root)),
            root,
            authority,
            reader_authority,
        }
    }

    /// What the reader is, and its key.
    pub(crate) fn identity(&self) -> (Identity, P256Secret) {
        let (root, certificate) = (self.root.der.clone(), self.reader.der.clone());
        (Identity { reader: READER, root, certificate, standard: None }, self.reader.key.clone())
    }

    /// Another certificate for the key of the reader.
    pub(crate) fn next_reader_certificate(&self) -> Vec<u8> {
        certified_for(5, Purpose::Reader, Some(&self.reader_authority), 399).der
    }

    /// Whom wallets of this city trust.
    pub(crate) fn trust(&self) -> Trust {
        let (issuer, reader) = (self.authority.der.clone(), self.reader_authority.der.clone());
        let (issuers, readers) = (vec![issuer], vec![reader]);
        Trust::new(Parts { issuers, readers, ..Parts::default() }).unwrap()
    }

    /// Instructions of this epoch.
    pub(crate) fn bundle(&self, epoch: u64) -> Vec<u8> {
        self.bundle_with(epoch, Vec::new())
    }

    /// Instructions of this epoch, with keys for the reader.
    pub(crate) fn bundle_with(&self, epoch: u64, deliveries: Vec<Vec<u8>>) -> Vec<u8> {
        // The documents here name no status list, so that the class of the door decides.
        let policy = ClassPolicy { status_age_max: days(1), stale: Stale::Accept };
        let rule = Rule {
            operator: "transit".parse().unwrap(),
            product: "ticket".parse().unwrap(),
            class: None,
            need: Need::Zone,
        };
        let zone = Some("B".parse().unwrap());
        let door = Door::new(door(), zone, ZoneClass::Low, vec![rule]).unwrap();
        let bundle = Bundle {
            city: "Testville".parse().unwrap(),
            reader: READER,
            epoch,
            issued_at: noon().saturating_sub(days(1)).saturating_add(Duration::from_secs(epoch)),
            expires_at: noon().saturating_add(days(90)),
            roots: Vec::new(),
            issuers: vec![Issuer {
                operator: "transit".parse().unwrap(),
                certificate: self.authority.der.clone(),
            }],
            status_signers: Vec::new(),
            freshness: Freshness { low: policy, normal: policy, high: policy },
            unlock_ms: UNLOCK_MS,
            taps: reader::taps::Taps::default(),
            deliveries,
            table: AccessTable::new(vec![door]).unwrap(),
        };
        sign(&self.bundle_signer.key, bundle.unsigned(&self.bundle_signer.der))
    }

    /// A ticket for zones A and B, bound to this key.
    pub(crate) fn ticket(&self, device: &PublicKey) -> Vec<u8> {
        let rights = Rights {
            operator: "transit".parse().unwrap(),
            product: "ticket".parse().unwrap(),
            class: None,
            zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
            places: Vec::new(),
            recurrence: None,
            valid_from: noon().saturating_sub(days(2)),
            valid_until: noon().saturating_add(days(25)),
            uses_max: None,
            holder_only: false,
        };
        let elements = rights.to_elements().unwrap();
        let elements: Vec<(&str, &[u8])> =
            elements.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let request = IssueRequest {
            doc_type: DOC_TYPE,
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
        let bytes = elements.len() * ENTROPY_BYTES_PER_ELEMENT;
        let entropy: Vec<u8> = (0..=255_u8).cycle().take(bytes).collect();
        let unsigned = mdoc::issue(CRYPTO, &request, &[&self.signer.der], &entropy).unwrap();
        sign(&self.signer.key, unsigned).into_bytes()
    }
}
