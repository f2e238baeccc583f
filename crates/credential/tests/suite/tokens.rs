//! Keys and signatures for tests that make tokens of their own.

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey, Signature};
use credential::jose::{HeaderParts, base64url, sign};
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, TrustAnchors};
use serde_json::Value;
use vocabulary::time::Instant;

/// Both providers.
pub(crate) const PROVIDERS: [&dyn Crypto; 2] = [&RustCrypto, &AwsLc];

/// An ES256 key pair that follows from one byte.
pub(crate) struct Signatory {
    secret: P256Secret,
    pub(crate) key: PublicKey,
}

impl Signatory {
    pub(crate) fn new(seed: u8) -> Self {
        let secret = P256Secret::from_bytes([seed; 32]);
        let key = PublicKey::P256(RustCrypto.p256_public(&secret).unwrap());
        Self { secret, key }
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Signature {
        RustCrypto.p256_sign(&self.secret, message).unwrap()
    }

    pub(crate) fn sign<T>(&self, unsigned: Unsigned<T>) -> T {
        let signature = self.signature(unsigned.to_be_signed());
        unsigned.complete(&signature)
    }

    /// A JWS over `claims`.
    pub(crate) fn jws(&self, typ: &str, claims: &Value) -> String {
        let header = HeaderParts::new(self.key.algorithm(), typ);
        self.sign(sign(header, claims.as_object().unwrap())).into_string()
    }

    /// A JWS over a header and a payload as they are, whatever they are.
    pub(crate) fn raw_jws(&self, header: &str, payload: &str) -> String {
        let [header, payload] = [header, payload].map(|text| base64url::encode(text.as_bytes()));
        let input = format!("{header}.{payload}");
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", base64url::encode(signature.as_bytes()))
    }

    /// Trust in this very key.
    pub(crate) fn pinned(&self) -> TrustAnchors {
        let mut anchors = TrustAnchors::new();
        anchors.add_key(self.key.clone()).unwrap();
        anchors
    }
}

pub(crate) fn at(seconds: i64) -> Instant {
    Instant::from_unix_seconds(seconds)
}

/// The certificates of an authority and of a leaf under it, valid from 1,000,000 to 2,000,000,000
/// seconds.
pub(crate) fn chain(authority: &Signatory, leaf: &Signatory) -> [Vec<u8>; 2] {
    let request = |purpose, name, key| Request {
        purpose,
        subject: Subject { common_name: name, organization: None, country: "DE" },
        key,
        not_before: at(1_000_000),
        not_after: at(2_000_000_000),
        serial_entropy: [7; 16],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let root = request(Purpose::Root, "root", &authority.key);
    let root = authority.sign(build::certificate(&root, Signer::Subject).unwrap()).into_bytes();
    let signer = Certificate::parse(&root).unwrap();
    let leaf = request(Purpose::Leaf, "leaf", &leaf.key);
    let leaf = build::certificate(&leaf, Signer::Authority(&signer)).unwrap();
    [authority.sign(leaf).into_bytes(), root]
}
