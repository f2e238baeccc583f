//! A small city for tests: its authorities, signers, a device, a reader, and documents of both.

use credential::cbor::Encoder;
use credential::cose;
use credential::crypto::{Crypto, P256Secret, PublicKey, Signature};
use credential::mdoc::{
    self, ENTROPY_BYTES_PER_ELEMENT, Expectation, IssueRequest, ItemsRequest, NameSpace,
    RequestedNameSpace, Session, Validity,
};
use credential::rustcrypto::RustCrypto;
use credential::status::StatusReference;
use credential::unsigned::Unsigned;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, TrustAnchors};
use vocabulary::time::Instant;

pub(crate) const DOC_TYPE: &str = "city.limen.pass.1";
pub(crate) const NAME_SPACE: &str = "city.limen.pass.1";
pub(crate) const STATUS: StatusReference<'_> =
    StatusReference { uri: "https://city.example/status/1", index: 42 };

pub(crate) fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

/// A key that every run makes anew from its number.
pub(crate) struct Key {
    pub(crate) secret: P256Secret,
    pub(crate) public: PublicKey,
}

impl Key {
    pub(crate) fn new(number: u8) -> Self {
        let secret = P256Secret::from_bytes([number; 32]);
        let public = PublicKey::P256(RustCrypto.p256_public(&secret).unwrap());
        Self { secret, public }
    }

    pub(crate) fn point(&self) -> [u8; 65] {
        let PublicKey::P256(point) = self.public else { panic!("keys of tests are on P-256") };
        point
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Signature {
        RustCrypto.p256_sign(&self.secret, message).unwrap()
    }

    pub(crate) fn sign<T>(&self, unsigned: Unsigned<T>) -> T {
        let signature = self.signature(unsigned.to_be_signed());
        unsigned.complete(&signature)
    }
}

pub(crate) struct City {
    pub(crate) root_key: Key,
    pub(crate) authority_key: Key,
    pub(crate) signer_key: Key,
    pub(crate) device_key: Key,
    pub(crate) reader_key: Key,
    pub(crate) reader_authority_key: Key,
    pub(crate) ephemeral_reader_key: Key,
    pub(crate) root: Vec<u8>,
    pub(crate) authority: Vec<u8>,
    pub(crate) signer: Vec<u8>,
    pub(crate) reader_authority: Vec<u8>,
    pub(crate) reader: Vec<u8>,
    pub(crate) transcript: Vec<u8>,
}

pub(crate) fn request<'r>(purpose: Purpose, common_name: &'r str, key: &'r Key) -> Request<'r> {
    let (not_before, not_after) = match purpose {
        Purpose::Root => ("2026-01-01T00:00:00Z", "2046-01-01T00:00:00Z"),
        Purpose::Authority => ("2026-01-02T00:00:00Z", "2036-01-01T00:00:00Z"),
        _ => ("2026-02-01T00:00:00Z", "2027-02-01T00:00:00Z"),
    };
    Request {
        purpose,
        subject: Subject { common_name, organization: Some("Harbour City"), country: "DE" },
        key: &key.public,
        not_before: at(not_before),
        not_after: at(not_after),
        serial_entropy: [0x5A; 16],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    }
}

/// The certificate that `request` describes, signed by `authority` with `key`.
pub(crate) fn certify(request: &Request<'_>, authority: Option<&[u8]>, key: &Key) -> Vec<u8> {
    let parsed = authority.map(|der| Certificate::parse(der).unwrap());
    let signer = parsed.as_ref().map_or(Signer::Subject, Signer::Authority);
    key.sign(build::certificate(request, signer).unwrap()).into_bytes()
}

/// CBOR of one text.
pub(crate) fn text(value: &str) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.text(value);
    encoder.into_bytes()
}

pub(crate) fn validity() -> Validity {
    Validity {
        signed: at("2026-03-01T08:00:00Z"),
        valid_from: at("2026-03-01T09:00:00Z"),
        valid_until: at("2026-12-01T00:00:00Z"),
        expected_update: None,
    }
}

/// A SessionTranscript with QR handover, such as foreign verifiers demand.
fn transcript(engaged: &Key, reader: &Key) -> Vec<u8> {
    let cose_key = |key: &Key| {
        let mut encoder = Encoder::new();
        cose::write_key(&mut encoder, &key.public);
        encoder.into_bytes()
    };
    let mut engagement = Encoder::new();
    engagement.map(2).unsigned(0).text("1.0");
    engagement.unsigned(1).array(2).unsigned(1).embedded(&cose_key(engaged));
    let mut transcript = Encoder::new();
    transcript.array(3).embedded(engagement.as_bytes()).embedded(&cose_key(reader)).null();
    transcript.into_bytes()
}

impl City {
    pub(crate) fn new() -> Self {
        let [root_key, authority_key, signer_key, device_key, reader_key, reader_authority_key] =
            [1, 2, 3, 4, 5, 6].map(Key::new);
        let root = certify(&request(Purpose::Root, "City Root", &root_key), None, &root_key);
        let under_root = |name, key: &Key| {
            certify(&request(Purpose::Authority, name, key), Some(&root), &root_key)
        };
        let authority = under_root("Harbour Transit IACA", &authority_key);
        let reader_authority = under_root("City Reader CA", &reader_authority_key);
        let signer = certify(
            &request(Purpose::DocumentSigner, "Harbour Transit DS", &signer_key),
            Some(&authority),
            &authority_key,
        );
        let reader = certify(
            &request(Purpose::Reader, "Gate 7", &reader_key),
            Some(&reader_authority),
            &reader_authority_key,
        );
        let ephemeral_reader_key = Key::new(7);
        let transcript = transcript(&Key::new(8), &ephemeral_reader_key);
        Self {
            root_key,
            authority_key,
            signer_key,
            device_key,
            reader_key,
            reader_authority_key,
            ephemeral_reader_key,
            root,
            authority,
            signer,
            reader_authority,
            reader,
            transcript,
        }
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::from_ders([&self.authority[..]]).unwrap()
    }

    /// An IssuerSigned with `elements` of the city's name space.
    pub(crate) fn issue(&self, elements: &[(&str, Vec<u8>)]) -> Vec<u8> {
        self.issue_as(DOC_TYPE, elements, validity())
    }

    pub(crate) fn issue_as(
        &self,
        doc_type: &str,
        elements: &[(&str, Vec<u8>)],
        validity: Validity,
    ) -> Vec<u8> {
        let elements: Vec<(&str, &[u8])> =
            elements.iter().map(|(name, value)| (*name, &value[..])).collect();
        let request = IssueRequest {
            doc_type,
            name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
            device_key: &self.device_key.public,
            authorized_name_spaces: &[],
            validity,
            status: Some(STATUS),
        };
        let entropy: Vec<u8> = (0..elements.len() * ENTROPY_BYTES_PER_ELEMENT)
            .map(|position| (position * 167 % 251) as u8)
            .collect();
        let unsigned = mdoc::issue(&RustCrypto, &request, &[&self.signer], &entropy).unwrap();
        self.signer_key.sign(unsigned).into_bytes()
    }

    /// A response with one document that discloses `chosen` with a device signature.
    pub(crate) fn respond(&self, issuer_signed: &[u8], chosen: &[&str]) -> Vec<u8> {
        mdoc::device_response(&[self.present(issuer_signed, chosen)], &[])
    }

    pub(crate) fn present(&self, issuer_signed: &[u8], chosen: &[&str]) -> mdoc::DocumentBytes {
        let chosen: Vec<_> = chosen.iter().map(|name| (NAME_SPACE, *name)).collect();
        let disclosure = mdoc::disclose(issuer_signed, &chosen).unwrap();
        self.device_key.sign(disclosure.sign(&self.transcript).unwrap())
    }

    pub(crate) fn present_with_mac(&self, issuer_signed: &[u8], chosen: &[&str]) -> Vec<u8> {
        let chosen: Vec<_> = chosen.iter().map(|name| (NAME_SPACE, *name)).collect();
        let disclosure = mdoc::disclose(issuer_signed, &chosen).unwrap();
        let reader = self.ephemeral_reader_key.point();
        let shared = RustCrypto.p256_agree(&self.device_key.secret, &reader).unwrap();
        let document = disclosure.mac(&RustCrypto, &shared, &self.transcript).unwrap();
        mdoc::device_response(&[document], &[])
    }

    pub(crate) fn session(&self) -> Session<'_> {
        Session {
            transcript: &self.transcript,
            reader_secret: Some(&self.ephemeral_reader_key.secret),
        }
    }

    /// A request for `elements`, signed by the city's reader.
    pub(crate) fn ask(&self, elements: &[(&str, bool)]) -> Vec<u8> {
        let items = ItemsRequest {
            doc_type: DOC_TYPE,
            name_spaces: &[RequestedNameSpace { name: NAME_SPACE, elements }],
        };
        let algorithm = self.reader_key.public.algorithm();
        let unsigned =
            mdoc::doc_request(&items, &self.transcript, algorithm, &[&self.reader]).unwrap();
        mdoc::device_request(&[self.reader_key.sign(unsigned)])
    }
}

/// What a gate of the city expects in June.
pub(crate) fn expectation<'e>(city: &'e City, anchors: &'e TrustAnchors) -> Expectation<'e> {
    Expectation {
        crypto: &RustCrypto,
        anchors,
        at: at("2026-06-01T12:00:00Z"),
        doc_type: Some(DOC_TYPE),
        session: Some(city.session()),
    }
}

/// Six elements, as a gate asks for them.
pub(crate) fn six_elements() -> Vec<(&'static str, Vec<u8>)> {
    ["operator", "product", "class", "zones", "holder_only", "valid_until"]
        .map(|name| (name, text(&format!("value of {name}"))))
        .to_vec()
}
