//! The test document: a driving licence (ISO/IEC 18013-5, 7.2.1) of 29 elements with a portrait of
//! 3 KB, and its presentation in a session of which the reader's end can be set up again and again.

use credential::aws_lc::AwsLc;
use credential::cbor::Encoder;
use credential::crypto::{Crypto as _, P256Secret};
use credential::mdoc::{self, ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::status::StatusReference;
use presentation::engagement;
use presentation::session::message::SessionData;
use presentation::session::{Channel, End, SessionKeys};
use presentation::transcript::{Handover, SessionTranscript};

use super::city::{City, Key};

pub const DOC_TYPE: &str = "org.iso.18013.5.1.mDL";
pub const NAME_SPACE: &str = "org.iso.18013.5.1";
pub const STATUS_URI: &str = "https://city.example/status/1";
pub const STATUS_INDEX: u64 = 412_345;

const PORTRAIT_BYTES: u32 = 3072;
/// What a door or a shop asks for.
pub const SIX: [&str; 6] =
    ["family_name", "given_name", "birth_date", "expiry_date", "document_number", "age_over_21"];

/// Names and CBOR values of the elements of a licence.
pub type Elements = Vec<(String, Vec<u8>)>;

/// The 29 elements of the test document.
pub fn elements() -> Elements {
    let mut all: Elements = [
        ("family_name", "Rodríguez Lindqvist"),
        ("given_name", "Maria Johanna"),
        ("issuing_country", "UT"),
        ("issuing_authority", "Tramways and Roads of Utopia"),
        ("document_number", "UT-1948-0217-33"),
        ("un_distinguishing_sign", "UTO"),
        ("administrative_number", "9001-22-4711"),
        ("eye_colour", "brown"),
        ("hair_colour", "black"),
        ("birth_place", "Amaurot"),
        ("resident_address", "Anydrus Quay 12"),
        ("nationality", "UT"),
        ("resident_city", "Amaurot"),
        ("resident_state", "Amaurot"),
        ("resident_postal_code", "10115"),
        ("resident_country", "UT"),
    ]
    .iter()
    .map(|(name, text)| ((*name).to_owned(), encode(|encoder| encoder.text(text))))
    .collect();
    let dates =
        [("birth_date", "1988-04-30"), ("issue_date", "2026-01-15"), ("expiry_date", "2036-01-14")];
    all.extend(dates.map(|(name, date)| (name.to_owned(), full_date(date))));
    let numbers = [
        ("sex", 2),
        ("height", 171),
        ("weight", 64),
        ("age_in_years", 38),
        ("age_birth_year", 1988),
    ];
    let number = |number| encode(|encoder| encoder.unsigned(number));
    all.extend(numbers.map(|(name, value)| (name.to_owned(), number(value))));
    let ages = ["age_over_18", "age_over_21"];
    all.extend(ages.map(|name| (name.to_owned(), encode(|encoder| encoder.bool(true)))));
    let captured = encode(|encoder| encoder.tag(0).text("2026-01-10T09:30:00Z"));
    all.push(("portrait_capture_date".to_owned(), captured));
    // Bytes without a pattern, as those of a picture.
    let portrait: Vec<u8> =
        (0..PORTRAIT_BYTES).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).collect();
    all.push(("portrait".to_owned(), encode(|encoder| encoder.bytes(&portrait))));
    all.push(("driving_privileges".to_owned(), privileges()));
    assert_eq!(all.len(), 29);
    all
}

/// `count` more or less meaningless elements.
pub fn many_elements(count: usize) -> Elements {
    (0..count).map(|n| (format!("element_{n}"), full_date("2026-11-22"))).collect()
}

fn encode(write: impl FnOnce(&mut Encoder) -> &mut Encoder) -> Vec<u8> {
    let mut encoder = Encoder::new();
    write(&mut encoder);
    encoder.into_bytes()
}

/// A `full-date` (RFC 8943).
fn full_date(date: &str) -> Vec<u8> {
    encode(|encoder| encoder.tag(1004).text(date))
}

fn privileges() -> Vec<u8> {
    encode(|encoder| {
        encoder.array(2);
        for category in ["AM", "B"] {
            encoder.map(3).text("vehicle_category_code").text(category);
            encoder.text("issue_date").raw(&full_date("2026-01-15"));
            encoder.text("expiry_date").raw(&full_date("2036-01-14"));
        }
        encoder
    })
}

/// What is needed to issue a licence.
pub struct Order {
    pub elements: Elements,
    pub entropy: Vec<u8>,
}

impl Order {
    pub fn of(elements: Elements) -> Self {
        let bytes = elements.len() * ENTROPY_BYTES_PER_ELEMENT;
        let entropy = (0_u32..).map(|n| n.wrapping_mul(0x85eb_ca6b).to_be_bytes()[0]);
        Self { entropy: entropy.take(bytes).collect(), elements }
    }

    /// Makes the licence out, all but the signature.
    pub fn with<R>(&self, city: &City, then: impl FnOnce(&IssueRequest<'_>) -> R) -> R {
        let elements: Vec<(&str, &[u8])> =
            self.elements.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        then(&IssueRequest {
            doc_type: DOC_TYPE,
            name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
            device_key: &city.device.public(),
            authorized_name_spaces: &[],
            validity: Validity {
                signed: city.at(0),
                valid_from: city.at(0),
                valid_until: city.at(30),
                expected_update: None,
            },
            status: Some(StatusReference { uri: STATUS_URI, index: STATUS_INDEX }),
        })
    }

    /// The licence, an IssuerSigned.
    pub fn issue(&self, city: &City) -> Vec<u8> {
        let chain: [&[u8]; 1] = [&city.signer_certificate];
        let unsigned =
            self.with(city, |request| mdoc::issue(&AwsLc, request, &chain, &self.entropy)).unwrap();
        city.signer.sign(unsigned).into_bytes()
    }
}

/// A licence on its way to a reader.
pub struct Presentation {
    pub transcript: SessionTranscript,
    /// The DeviceResponse.
    pub response: Vec<u8>,
    /// The SessionData in which it was sent.
    pub message: Vec<u8>,
    /// What the device signed.
    pub device_signed: Vec<u8>,
    device_secret: P256Secret,
    reader_public: [u8; 65],
}

impl Presentation {
    /// Shows `names` of a licence to the reader of the city, whose session begins with a QR picture.
    pub fn new(city: &City, licence: &[u8], names: &[&str]) -> Self {
        let reader_public = AwsLc.p256_public(&city.reader.secret).unwrap();
        let device_secret = Key::new(0x55).secret;
        let engagement = engagement::build(&AwsLc.p256_public(&device_secret).unwrap(), &[]);
        let key_bytes = engagement::key_bytes(&reader_public);
        Self::in_session(
            city,
            licence,
            names,
            (&engagement, device_secret),
            (&key_bytes, reader_public),
        )
    }

    /// Shows `names` of a licence in the session of the phone's engagement and the reader's key.
    pub fn in_session(
        city: &City,
        licence: &[u8],
        names: &[&str],
        (engagement, device_secret): (&[u8], P256Secret),
        (reader_key_bytes, reader_public): (&[u8], [u8; 65]),
    ) -> Self {
        let transcript = SessionTranscript::new(engagement, reader_key_bytes, Handover::Qr);
        let chosen: Vec<(&str, &str)> = names.iter().map(|name| (NAME_SPACE, *name)).collect();
        let unsigned =
            mdoc::disclose(licence, &chosen).unwrap().sign(transcript.as_bytes()).unwrap();
        let device_signed = unsigned.to_be_signed().to_vec();
        let response = mdoc::device_response(&[city.device.sign(unsigned)], &[]);
        let keys = SessionKeys::agree(&AwsLc, &device_secret, &reader_public, &transcript).unwrap();
        let data = Channel::new(End::Holder, keys).seal(&AwsLc, &response).unwrap();
        let message = SessionData { data: Some(&data), status: None }.encode();
        Self { transcript, response, message, device_signed, device_secret, reader_public }
    }

    /// The reader's end of the session, ready for the message.
    pub fn channel(&self) -> Channel {
        // Both ends derive the same keys; the phone's secret stands in for the reader's.
        let Self { transcript, device_secret, reader_public, .. } = self;
        let keys = SessionKeys::agree(&AwsLc, device_secret, reader_public, transcript).unwrap();
        Channel::new(End::Reader, keys)
    }

    /// So many of them.
    pub fn channels(&self, count: usize) -> Vec<Channel> {
        (0..count).map(|_| self.channel()).collect()
    }
}
