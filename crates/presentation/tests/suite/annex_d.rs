//! ISO/IEC 18013-5 Annex D: every byte of the session part of the published example.

use std::path::PathBuf;

use credential::aws_lc::AwsLc;
use credential::cbor::Decoder;
use credential::crypto::{Crypto, P256Secret};
use credential::rustcrypto::RustCrypto;
use presentation::engagement::{self, RetrievalMethod};
use presentation::ndef::handover;
use presentation::session::message::{self, SessionData, SessionEstablishment, SessionStatus};
use presentation::session::{Channel, End, SessionKeys};
use presentation::transcript::{Handover, SessionTranscript};
use serde_json::Value;

/// A vector file of the shared folder, or nothing when the folder is absent and nobody insists.
fn vector(name: &str) -> Option<Value> {
    let shared = std::env::var_os("LIMEN_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = shared.join("vectors/iso18013-5-annex-d").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!is_ci, "vector {name} is missing: {error}");
            println!("NOT TESTED: vector {name} is missing ({error}); set LIMEN_SHARED");
            None
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

struct Example {
    messages: Value,
    keys: Value,
}

impl Example {
    fn load() -> Option<Self> {
        Some(Self { messages: vector("messages.json")?, keys: vector("keys.json")? })
    }

    fn message(&self, name: &str) -> Vec<u8> {
        unhex(self.messages[format!("{name}_hex")].as_str().unwrap())
    }

    fn field(&self, key: &str, field: &str) -> Vec<u8> {
        unhex(self.keys[key][format!("{field}_hex")].as_str().unwrap())
    }

    fn secret(&self, key: &str) -> P256Secret {
        P256Secret::from_bytes(self.field(key, "d").try_into().unwrap())
    }

    fn point(&self, key: &str) -> [u8; 65] {
        let bytes = [vec![4], self.field(key, "x"), self.field(key, "y")].concat();
        bytes.try_into().unwrap()
    }

    /// The engagement, Handover Select and Handover Request inside the published transcript.
    fn parts(&self) -> [Vec<u8>; 3] {
        let tagged = self.message("session_transcript_bytes");
        let inner = Decoder::new(&tagged).unwrap().embedded().unwrap().inner;
        let mut decoder = Decoder::new(inner).unwrap();
        decoder.array_of(3).unwrap();
        let engagement = decoder.embedded().unwrap().inner;
        decoder.embedded().unwrap();
        decoder.array_of(2).unwrap();
        let select = decoder.bytes().unwrap();
        let request = decoder.bytes().unwrap();
        [engagement.to_vec(), select.to_vec(), request.to_vec()]
    }

    fn transcript(&self) -> SessionTranscript {
        let [engagement, select, request] = self.parts();
        let establishment = self.message("session_establishment");
        let establishment = SessionEstablishment::parse(&establishment).unwrap();
        let handover = Handover::Nfc { select: &select, request: Some(&request) };
        SessionTranscript::new(&engagement, establishment.reader_key_bytes, handover)
    }

    fn channel(&self, crypto: &dyn Crypto, end: End) -> Channel {
        let (own, peer) = match end {
            End::Holder => ("ephemeral_device", "ephemeral_reader"),
            End::Reader => ("ephemeral_reader", "ephemeral_device"),
        };
        let (secret, peer) = (self.secret(own), self.point(peer));
        let keys = SessionKeys::agree(crypto, &secret, &peer, &self.transcript()).unwrap();
        Channel::new(end, keys)
    }
}

#[test]
fn the_transcript_has_the_published_bytes() {
    let Some(example) = Example::load() else { return };
    assert_eq!(example.transcript().tagged(), example.message("session_transcript_bytes"));
}

#[test]
fn the_engagement_is_read_and_written_as_published() {
    let Some(example) = Example::load() else { return };
    let raw = example.message("device_engagement");
    let parsed = engagement::parse(&raw).unwrap();
    assert_eq!(parsed.device_key, example.point("ephemeral_device"));
    assert_eq!(parsed.device_key_bytes, example.message("e_device_key_bytes"));
    assert!(matches!(
        parsed.methods[..],
        [RetrievalMethod::Ble { peripheral_server: None, central_client: Some(_) }]
    ));
    assert_eq!(engagement::build(&parsed.device_key, &parsed.methods), raw);
    let [in_transcript, select, _] = example.parts();
    let handover = handover::parse(&select).unwrap();
    assert_eq!((handover.engagement, handover.nfc), (&in_transcript[..], None));
    assert_eq!(engagement::build(&parsed.device_key, &[]), in_transcript);
}

#[test]
fn the_session_opens_and_seals_to_the_published_bytes() {
    let Some(example) = Example::load() else { return };
    for crypto in [&RustCrypto as &dyn Crypto, &AwsLc] {
        let mut reader = example.channel(crypto, End::Reader);
        let mut holder = example.channel(crypto, End::Holder);
        let establishment = example.message("session_establishment");
        let parsed = SessionEstablishment::parse(&establishment).unwrap();
        assert_eq!(parsed.reader_key, example.point("ephemeral_reader"));
        let request = holder.open(crypto, parsed.data).unwrap();
        assert_eq!(request, example.message("device_request"));
        let sealed = reader.seal(crypto, &request).unwrap();
        let key_bytes = engagement::key_bytes(&parsed.reader_key);
        assert_eq!(message::establishment(&key_bytes, &sealed), establishment);

        let data = example.message("session_data");
        let parsed = SessionData::parse(&data).unwrap();
        assert_eq!(parsed.status, None);
        let response = reader.open(crypto, parsed.data.unwrap()).unwrap();
        assert_eq!(response, example.message("device_response"));
        let sealed = holder.seal(crypto, &response).unwrap();
        assert_eq!(SessionData { data: Some(&sealed), status: None }.encode(), data);
    }
}

#[test]
fn the_termination_has_the_published_bytes() {
    let Some(example) = Example::load() else { return };
    let bytes = example.message("session_termination");
    let message = SessionData { data: None, status: Some(SessionStatus::Termination) };
    assert_eq!(SessionData::parse(&bytes), Ok(message));
    assert_eq!(message.encode(), bytes);
}

#[test]
fn a_transcript_with_one_byte_changed_opens_nothing() {
    let Some(example) = Example::load() else { return };
    let [mut engagement, select, request] = example.parts();
    *engagement.last_mut().unwrap() ^= 1;
    let establishment = example.message("session_establishment");
    let establishment = SessionEstablishment::parse(&establishment).unwrap();
    let handover = Handover::Nfc { select: &select, request: Some(&request) };
    let transcript = SessionTranscript::new(&engagement, establishment.reader_key_bytes, handover);
    let (secret, peer) = (example.secret("ephemeral_device"), example.point("ephemeral_reader"));
    let keys = SessionKeys::agree(&RustCrypto, &secret, &peer, &transcript).unwrap();
    assert!(Channel::new(End::Holder, keys).open(&RustCrypto, establishment.data).is_err());
}
