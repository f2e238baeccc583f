//! A small city for the tests: an issuing authority, a document signer, a holder and a reader.
//!
//! Foreign peers read the machine's clock, so this city is valid around now.

use credential::crypto::{Algorithm, Crypto as _, P256Secret, PublicKey};
use credential::jose;
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use serde_json::{Value, json};
use vocabulary::time::Instant;

pub(crate) const DOC_TYPE: &str = "city.limen.pass.1";
pub(crate) const NAMESPACE: &str = "city.limen.pass.1";

const DAY_SECONDS: i64 = 86_400;

/// A key pair that peers and Limen both hold.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) secret: P256Secret,
}

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self { secret: P256Secret::from_bytes([seed; 32]) }
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::P256(RustCrypto.p256_public(&self.secret).unwrap())
    }

    /// The private JWK.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = jose::jwk::write(&self.public());
        jwk["d"] = json!(jose::base64url::encode(self.secret.danger_bytes()));
        jwk
    }

    pub(crate) fn sign<T>(&self, unsigned: Unsigned<T>) -> T {
        assert_eq!(unsigned.algorithm(), Algorithm::Es256);
        let signature = RustCrypto.p256_sign(&self.secret, unsigned.to_be_signed()).unwrap();
        unsigned.complete(&signature)
    }
}

pub(crate) struct City {
    pub(crate) now: Instant,
    /// The issuing authority, certified by a root: the trust anchor of documents.
    pub(crate) authority: Vec<u8>,
    pub(crate) signer: Key,
    pub(crate) signer_certificate: Vec<u8>,
    pub(crate) device: Key,
    pub(crate) reader: Key,
}

impl City {
    pub(crate) fn new() -> Self {
        Self::of_keys(1)
    }

    /// Another city, with the same names and other keys.
    pub(crate) fn stranger() -> Self {
        Self::of_keys(0x21)
    }

    fn of_keys(first: u8) -> Self {
        let now = now();
        let [root_key, authority_key, signer, device, reader] =
            [0, 1, 2, 3, 4].map(|offset| Key::new(first + offset));
        let root = certificate(now, Purpose::Root, &root_key, None);
        let root = (Certificate::parse(&root).unwrap(), &root_key);
        let authority = certificate(now, Purpose::Authority, &authority_key, Some(&root));
        let issuer = (Certificate::parse(&authority).unwrap(), &authority_key);
        let signer_certificate = certificate(now, Purpose::DocumentSigner, &signer, Some(&issuer));
        Self { now, authority: authority.clone(), signer, signer_certificate, device, reader }
    }

    /// Days from now, in the form of peers.
    pub(crate) fn day(&self, days: i64) -> String {
        self.at(days).to_string()
    }

    pub(crate) fn at(&self, days: i64) -> Instant {
        Instant::from_unix_seconds(self.now.unix_seconds() + days * DAY_SECONDS)
    }
}

fn now() -> Instant {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Instant::from_unix_seconds(i64::try_from(since.as_secs()).unwrap())
}

/// The certificate of `key`; the lower its issuer, the shorter it is valid.
fn certificate(
    now: Instant,
    purpose: Purpose,
    key: &Key,
    issuer: Option<&(Certificate<'_>, &Key)>,
) -> Vec<u8> {
    let (common_name, days) = match purpose {
        Purpose::Root => ("Root", 3),
        Purpose::Authority => ("Issuing Authority", 2),
        _ => ("Document Signer", 1),
    };
    let around = |days: i64| Instant::from_unix_seconds(now.unix_seconds() + days * DAY_SECONDS);
    let unsigned = build::certificate(
        &Request {
            purpose,
            subject: Subject { common_name, organization: Some("Tramways"), country: "UT" },
            key: &key.public(),
            not_before: around(-days),
            not_after: around(100 * days),
            serial_entropy: [key.secret.danger_bytes()[0]; 16],
            issuer_uri: "https://city.example",
            crl_uri: "https://city.example/crl",
        },
        issuer.map_or(Signer::Subject, |(certificate, _)| Signer::Authority(certificate)),
    )
    .unwrap();
    issuer.map_or(key, |(_, issuer_key)| issuer_key).sign(unsigned).into_bytes()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Claims of a pass in the JSON form of the peers.
pub(crate) fn claims() -> Value {
    json!({ NAMESPACE: {
        "operator": "tramways",
        "product": "first-class",
        "uses_max": 5,
        "portrait": { "bytes": "0102fe" },
        "expiry_date": { "full-date": "2030-01-31" },
    }})
}
