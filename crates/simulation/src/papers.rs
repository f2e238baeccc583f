//! What the city hands out ahead of time: documents, status lists, readers' certificates, checkpoints.
//! All are signed for real, by the key that signs at that moment.

use core::time::Duration;

use audit::checkpoint::{self, Checkpoint};
use audit::hash::Hash;
use audit::merkle::Tree;
use audit::note::{VerifierKey, cosign};
use credential::aws_lc::AwsLc;
use credential::crypto::{Algorithm, Crypto, P256Secret, PublicKey};
use credential::mdoc::{self, ENTROPY_BYTES_PER_ELEMENT, IssueRequest, NameSpace, Validity};
use credential::rights::{DOC_TYPE, NAME_SPACE, Rights};
use credential::rustcrypto::RustCrypto;
use credential::status::{Bits, CwtHeader, StatusList, StatusListClaims, StatusReference};
use credential::x509::build;
use vocabulary::code::OperatorCode;

use crate::city::{History, LOG, Sealer, Snapshot, Wanted, certificate};
use crate::run::Fault;
use crate::scenario::{DAY, HOUR, Minute, Scenario, instant};

/// Where the status list is.
pub(crate) const STATUS_URI: &str = "https://city.example/status/1";
/// The one product of every operator.
pub(crate) const PRODUCT: &str = "ticket";
const READER_CERTIFICATE_LIFE: Duration = keys::rotation::lives::READER_CERTIFICATE_LIFE;
const STATUS_LIST_LIFE: Duration = keys::rotation::lives::STATUS_LIST_LIFE;

/// A document that its wallet holds.
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
}

/// A reader's certificate, and its last minute.
pub(crate) struct Paper {
    pub(crate) der: Vec<u8>,
    pub(crate) until: Minute,
}

/// Everything that was handed out.
pub(crate) struct Papers {
    /// By operator, then by day of issue.
    pub(crate) documents: Vec<Vec<Document>>,
    /// By day.
    pub(crate) lists: Vec<Vec<u8>>,
    /// By hour: readers' certificates differ in nothing that is asked here.
    pub(crate) certificates: Vec<Paper>,
    /// By day.
    pub(crate) checkpoints: Vec<String>,
}

impl Papers {
    pub(crate) fn of(scenario: &Scenario, history: &History) -> Result<Self, Fault> {
        let device = P256Secret::from_bytes([7; 32]);
        let device = RustCrypto.p256_public(&device).map_err(|_| Fault("make a key"))?;
        let device = PublicKey::P256(device);
        let days = || (0..=scenario.days).map(|day| day * DAY);
        let of_operator = |(number, operator): (usize, &OperatorCode)| {
            days()
                .map(|at| {
                    let signer = history.at(at)?.document_signers.get(number);
                    let signer = signer.ok_or(Fault("find a document signer"))?;
                    document(scenario, operator, signer, &device, at)
                })
                .collect::<Result<Vec<_>, Fault>>()
        };
        let documents = history.operators.iter().enumerate().map(of_operator);
        let hours = 0..=scenario.days * 24;
        Ok(Self {
            documents: documents.collect::<Result<_, _>>()?,
            lists: days().map(|at| list(history.at(at)?, at)).collect::<Result<_, _>>()?,
            certificates: hours
                .map(|hour| reader_certificate(history.at(hour * HOUR)?, &device, hour))
                .collect::<Result<_, _>>()?,
            checkpoints: days()
                .map(|at| checkpoint(history.at(at)?, at))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn document(
    scenario: &Scenario,
    operator: &OperatorCode,
    signer: &Sealer,
    device: &PublicKey,
    at: Minute,
) -> Result<Document, Fault> {
    let (from, life) = (instant(at), Duration::from_secs(86_400) * scenario.document_life_days);
    let rights = Rights {
        operator: operator.clone(),
        product: PRODUCT.parse().map_err(|_| Fault("name a product"))?,
        class: None,
        zones: Vec::new(),
        places: vec![gate(operator).parse().map_err(|_| Fault("name a place"))?],
        recurrence: None,
        valid_from: from,
        valid_until: from.saturating_add(life),
        uses_max: None,
        holder_only: false,
    };
    let elements = rights.to_elements().map_err(|_| Fault("write rights"))?;
    let elements: Vec<(&str, &[u8])> =
        elements.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let entropy = vec![5; elements.len() * ENTROPY_BYTES_PER_ELEMENT];
    let validity = Validity {
        signed: from,
        valid_from: from,
        valid_until: from.saturating_add(life),
        expected_update: None,
    };
    let request = IssueRequest {
        doc_type: DOC_TYPE,
        name_spaces: &[NameSpace { name: NAME_SPACE, elements: &elements }],
        device_key: device,
        authorized_name_spaces: &[],
        validity,
        status: Some(StatusReference { uri: STATUS_URI, index: 0 }),
    };
    let unsigned = mdoc::issue(&AwsLc, &request, &[&signer.der], &entropy);
    let bytes = signer.sign(unsigned.map_err(|_| Fault("issue a document"))?)?.into_bytes();
    Ok(Document { bytes })
}

/// The one door of an operator.
pub(crate) fn gate(operator: &OperatorCode) -> String {
    format!("gate-{operator}")
}

fn list(city: &Snapshot, at: Minute) -> Result<Vec<u8>, Fault> {
    let claims = StatusListClaims {
        uri: STATUS_URI.to_owned(),
        issued_at: instant(at),
        expires_at: Some(instant(at).saturating_add(STATUS_LIST_LIFE)),
        ttl: None,
        list: StatusList::new(Bits::Two, 64).map_err(|_| Fault("make a status list"))?,
    };
    let chain = [&*city.status_signer.der];
    let header = CwtHeader { algorithm: Algorithm::Es256, kid: None, x5chain: &chain };
    city.status_signer.sign(claims.cwt(header))
}

/// Made within the hour, it begins with it and ends a week after its last minute.
fn reader_certificate(city: &Snapshot, key: &PublicKey, hour: Minute) -> Result<Paper, Fault> {
    let life = READER_CERTIFICATE_LIFE + Duration::from_secs(3600);
    let wanted =
        Wanted { profile: build::Purpose::Reader, name: "gate", key, at: hour * HOUR, life };
    let serial = u128::from(hour).to_be_bytes();
    let authority = &city.reader_authority;
    let der = authority.sign(certificate(&wanted, Some(&authority.der), serial)?)?.into_bytes();
    Ok(Paper { der, until: (hour + 1) * HOUR + 7 * DAY })
}

/// The checkpoint of a log with as many entries as minutes have passed, signed by every active key.
fn checkpoint(city: &Snapshot, at: Minute) -> Result<String, Fault> {
    let tree = Tree { size: u64::from(at), root: Hash::from_bytes([9; 32]) };
    let mut signers = city.log_signers.iter();
    let sign = |pair: &aws_lc_rs::signature::Ed25519KeyPair, text: &[u8]| {
        <[u8; 64]>::try_from(pair.sign(text).as_ref()).map_err(|_| Fault("sign a checkpoint"))
    };
    let (key, pair) = signers.next().ok_or(Fault("find a log key"))?;
    let unsigned = Checkpoint::unsigned(&tree, key).map_err(|_| Fault("write a checkpoint"))?;
    let text = unsigned.to_be_signed().to_vec();
    let signature = sign(pair, &text)?;
    let mut note = unsigned.complete(&signature).map_err(|_| Fault("sign a checkpoint"))?;
    for (key, pair) in signers {
        let signature = sign(pair, &text)?;
        note = cosign(&note, key, &signature).map_err(|_| Fault("sign a checkpoint"))?;
    }
    Ok(note)
}

/// Whether an auditor who knows `keys` believes a checkpoint.
pub(crate) fn believes(note: &str, keys: &[VerifierKey]) -> bool {
    checkpoint::verify(note.as_bytes(), LOG, keys).is_ok()
}
