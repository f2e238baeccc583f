//! A small city: its keys and certificates, its passes, its bundles and status lists.

use core::time::Duration;

use credential::access_document;
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::mdoc::{self, ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::rights::{DOC_TYPE, NAME_SPACE, Rights};
use credential::rustcrypto::RustCrypto;
use credential::status::StatusReference;
use credential::status::{Bits, CwtHeader, Status, StatusList, StatusListClaims};
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, TrustAnchors, compressed};
use presentation::profile::Profile;
use reader::bundle::{Bundle, Freshness, Issuer};
use reader::engine::{Config, ReaderKey, StandardIdentity};
use reader::snapshot::{ClassPolicy, Stale};
use reader::table::{AccessTable, Door, Need, Rule, ZoneClass};
use vocabulary::code::PlaceCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

pub(crate) const CRYPTO: &dyn Crypto = &RustCrypto;
pub(crate) const STATUS_URI: &str = "https://city.example/status/1";
pub(crate) const GATE: &str = "harbour/gate-b";
pub(crate) const GATE_C: &str = "harbour/gate-c";
pub(crate) const VAULT: &str = "harbour/vault";
pub(crate) const READER: ReaderId = ReaderId::from_bytes([7; 16]);
pub(crate) const UNLOCK_MS: u32 = 3000;

/// Noon of the day on which everything happens.
pub(crate) fn noon() -> Instant {
    Instant::parse_rfc3339("2026-11-22T12:00:00Z").unwrap()
}

pub(crate) fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

pub(crate) fn days(days: u64) -> Duration {
    hours(24 * days)
}

/// A key and its certificate.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) key: P256Secret,
    pub(crate) der: Vec<u8>,
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

pub(crate) fn identity(number: u8, purpose: Purpose, by: Option<&Identity>) -> Identity {
    certified(number, purpose, by, days(0))
}

/// A bundle signer of the root, certified so much later than the others.
pub(crate) fn later(number: u8, root: &Identity, by: Duration) -> Identity {
    certified(number, Purpose::BundleSigner, Some(root), by)
}

fn certified(number: u8, purpose: Purpose, by: Option<&Identity>, delay: Duration) -> Identity {
    let from = noon().saturating_sub(days(10)).saturating_add(delay);
    let until = noon().saturating_add(days(if by.is_some() { 400 } else { 4000 }));
    dated(number, purpose, by, (from, until))
}

pub(crate) fn dated(
    number: u8,
    purpose: Purpose,
    by: Option<&Identity>,
    (not_before, not_after): (Instant, Instant),
) -> Identity {
    let own = key(number);
    let name = format!("Test {number}");
    let request = Request {
        purpose,
        subject: Subject { common_name: &name, organization: None, country: "UT" },
        key: &public(&own),
        not_before,
        not_after,
        serial_entropy: [number; build::SERIAL_ENTROPY_BYTES],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let parsed = by.map(|authority| Certificate::parse(&authority.der).unwrap());
    let signer = parsed.as_ref().map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, signer).unwrap();
    let signing_key = by.map_or(&own, |authority| &authority.key);
    let der = sign(signing_key, unsigned).into_bytes();
    Identity { key: own, der }
}

pub(crate) struct City {
    pub(crate) root: Identity,
    pub(crate) transit: Identity,
    pub(crate) transit_signer: Identity,
    pub(crate) landlord: Identity,
    pub(crate) landlord_signer: Identity,
    pub(crate) reader_authority: Identity,
    pub(crate) reader: Identity,
    pub(crate) bundle_signer: Identity,
    pub(crate) status_signer: Identity,
}

impl City {
    pub(crate) fn new() -> Self {
        let root = identity(1, Purpose::Root, None);
        let authority = |number| identity(number, Purpose::Authority, Some(&root));
        let (transit, landlord, reader_authority) = (authority(2), authority(3), authority(4));
        Self {
            transit_signer: identity(5, Purpose::DocumentSigner, Some(&transit)),
            landlord_signer: identity(6, Purpose::DocumentSigner, Some(&landlord)),
            reader: identity(7, Purpose::Reader, Some(&reader_authority)),
            bundle_signer: identity(8, Purpose::BundleSigner, Some(&root)),
            status_signer: identity(9, Purpose::Leaf, Some(&root)),
            root,
            transit,
            landlord,
            reader_authority,
        }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            reader: READER,
            root: TrustAnchors::from_ders([self.root.der.as_slice()]).unwrap(),
            chain: vec![self.reader.der.clone(), self.reader_authority.der.clone()],
            key: ReaderKey::Held(self.reader.key.clone()),
            journal_records_max: 1000,
            link: presentation::apdu::LinkLimits::EXTENDED,
            bounds: reader::taps::TimeBounds::default(),
            restarts: 1,
            standard: None,
            least: Profile::Express,
        }
    }

    pub(crate) fn bundle(&self, epoch: u64) -> Bundle {
        let policy = |stale| ClassPolicy { status_age_max: hours(24), stale };
        Bundle {
            city: "Testville".parse().unwrap(),
            reader: READER,
            epoch,
            issued_at: noon().saturating_sub(hours(2)),
            expires_at: noon().saturating_add(days(90)),
            roots: Vec::new(),
            issuers: vec![issuer("transit", &self.transit), issuer("landlord", &self.landlord)],
            status_signers: vec![self.status_signer.der.clone()],
            freshness: Freshness {
                low: policy(Stale::Accept),
                normal: policy(Stale::Refuse),
                high: policy(Stale::Accept),
            },
            unlock_ms: UNLOCK_MS,
            taps: reader::taps::Taps::default(),
            deliveries: Vec::new(),
            table: table(),
        }
    }

    pub(crate) fn signed(&self, bundle: &Bundle) -> Vec<u8> {
        sign(&self.bundle_signer.key, bundle.unsigned(&self.bundle_signer.der))
    }

    /// A status list of this age; passes 1 and 2 are revoked and suspended in it.
    pub(crate) fn status_list(&self, age: Duration) -> Vec<u8> {
        let mut list = StatusList::new(Bits::Two, 64).unwrap();
        list.set(1, Status::Invalid).unwrap();
        list.set(2, Status::Suspended).unwrap();
        self.signed_list(list, age)
    }

    pub(crate) fn signed_list(&self, list: StatusList, age: Duration) -> Vec<u8> {
        self.list_of(STATUS_URI, list, noon().saturating_sub(age), None)
    }

    /// A status list without a revoked pass.
    pub(crate) fn clean_list(
        &self,
        uri: &str,
        issued_at: Instant,
        end: Option<Instant>,
    ) -> Vec<u8> {
        self.list_of(uri, StatusList::new(Bits::Two, 64).unwrap(), issued_at, end)
    }

    pub(crate) fn list_of(
        &self,
        uri: &str,
        list: StatusList,
        issued_at: Instant,
        expires_at: Option<Instant>,
    ) -> Vec<u8> {
        let uri = uri.to_owned();
        let claims = StatusListClaims { uri, issued_at, expires_at, ttl: None, list };
        let header = CwtHeader {
            algorithm: credential::crypto::Algorithm::Es256,
            kid: None,
            x5chain: &[&self.status_signer.der],
        };
        sign(&self.status_signer.key, claims.cwt(header))
    }

    /// What a reader with a certificate for standard taps has; the certificate holds until `not_after`.
    pub(crate) fn standard(&self, not_after: Instant) -> StandardIdentity {
        let authority = public(&self.reader_authority.key);
        let name: String = READER.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = compressed::Request {
            serial: &[7; 8],
            issuer: "Test 4",
            subject: &name,
            not_before: noon().saturating_sub(days(1)),
            not_after,
            key: &CRYPTO.p256_public(&self.reader.key).unwrap(),
        };
        let unsigned = compressed::issue(&request, &authority).unwrap();
        let certificate = sign(&self.reader_authority.key, unsigned);
        let group_key = CRYPTO.p256_public(&self.reader_authority.key).unwrap();
        StandardIdentity { group_key, certificate }
    }

    /// A reader that does standard taps.
    pub(crate) fn standard_config(&self) -> Config {
        let standard = Some(self.standard(noon().saturating_add(days(30))));
        Config { standard, ..self.config() }
    }

    /// A bundle that names the document signers, too.
    pub(crate) fn standard_bundle(&self, epoch: u64) -> Bundle {
        let mut bundle = self.bundle(epoch);
        bundle.issuers.push(issuer("transit", &self.transit_signer));
        bundle.issuers.push(issuer("landlord", &self.landlord_signer));
        bundle
    }

    /// An access document by `signer` with these rights, for the device with this key.
    pub(crate) fn access_document(
        &self,
        signer: &P256Secret,
        rights: &Rights,
        status_index: Option<u64>,
        device: &P256Secret,
    ) -> Vec<u8> {
        let status = status_index.map(|index| StatusReference { uri: STATUS_URI, index });
        let value = access_document::pass::value(rights, status).unwrap();
        let request = access_document::IssueRequest {
            device_key: Some(&public(device)),
            elements: &[(access_document::pass::ELEMENT, &value)],
            validity: Validity {
                signed: noon().saturating_sub(days(1)),
                valid_from: noon().saturating_sub(days(1)),
                valid_until: noon().saturating_add(days(20)),
                expected_update: None,
            },
            needs_clock: true,
        };
        let entropy = [9; ENTROPY_BYTES_PER_ELEMENT];
        let unsigned = access_document::issue(CRYPTO, &request, &public(signer), &entropy).unwrap();
        sign(signer, unsigned).into_bytes()
    }

    /// A pass by `signer` with these rights, for the device with this key.
    pub(crate) fn pass(
        &self,
        signer: &Identity,
        rights: &Rights,
        status_index: Option<u64>,
        device: &P256Secret,
    ) -> Vec<u8> {
        let elements = rights.to_elements().unwrap();
        let elements: Vec<(&str, &[u8])> =
            elements.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let entropy: Vec<u8> =
            (0..=255_u8).cycle().take(elements.len() * ENTROPY_BYTES_PER_ELEMENT).collect();
        let request = IssueRequest {
            doc_type: DOC_TYPE,
            name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
            device_key: &public(device),
            authorized_name_spaces: &[],
            validity: Validity {
                signed: noon().saturating_sub(days(1)),
                valid_from: noon().saturating_sub(days(1)),
                valid_until: noon().saturating_add(days(20)),
                expected_update: None,
            },
            status: status_index.map(|index| StatusReference { uri: STATUS_URI, index }),
        };
        let unsigned = mdoc::issue(CRYPTO, &request, &[&signer.der], &entropy).unwrap();
        sign(&signer.key, unsigned).into_bytes()
    }
}

/// A first-class ticket of the transit operator for zones A and B.
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

pub(crate) fn place(text: &str) -> PlaceCode {
    text.parse().unwrap()
}

pub(crate) fn issuer(operator: &str, authority: &Identity) -> Issuer {
    Issuer { operator: operator.parse().unwrap(), certificate: authority.der.clone() }
}

/// A gate of low class in zone B, one of normal class in zone C, and a vault of high class.
pub(crate) fn table() -> AccessTable {
    let rule = |need| Rule {
        operator: "transit".parse().unwrap(),
        product: "ticket".parse().unwrap(),
        class: None,
        need,
    };
    let door = |code, zone: &str, class, rules| {
        Door::new(place(code), Some(zone.parse().unwrap()), class, rules).unwrap()
    };
    AccessTable::new(vec![
        door(GATE, "B", ZoneClass::Low, vec![rule(Need::Zone)]),
        door(GATE_C, "C", ZoneClass::Normal, vec![rule(Need::Zone)]),
        door(VAULT, "C", ZoneClass::High, vec![rule(Need::Nothing)]),
    ])
    .unwrap()
}
