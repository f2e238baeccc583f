//! Entities with every field filled, and deeds around them.

use std::time::Duration;

use audit::entry::{Commitment, CommitmentKey, Entry, Pseudonym};
use fleet::enrolment::{CodeHash, Enrolment, TRIES_MAX};
use fleet::reader::{JournalHead, Reader, ReaderCertificate, ReaderState, Watermark};
use fleet::secret::SecretHash;
use identity::person::Person;
use identity::token::{StaffToken, TokenHash};
use issuance::document::{Delivery, Document, Standing};
use issuance::offer::{Offer, OfferState};
use issuance::pass::{Pass, PassState};
use issuance::product::{
    AttestationLevel, Bearer, Display, Format, Product, RightsTemplate, Stake, Terms,
    TransactionCode,
};
use issuance::token::{Grant, Remaining};
use policy::role::Role;
use store::commit::{AuditEntry, Change, Commit, Detail};
use vocabulary::code::OperatorCode;
use vocabulary::id::{
    CredentialId, EnrolmentId, EventId, OfferId, PassId, PersonId, ReaderId, TokenId,
};
use vocabulary::time::Instant;

pub(crate) fn harbour() -> OperatorCode {
    "harbour".parse().unwrap()
}

pub(crate) fn island() -> OperatorCode {
    "island".parse().unwrap()
}

pub(crate) fn at(second: i64) -> Instant {
    Instant::from_unix_seconds(1_790_000_000 + second)
}

/// Sixteen bytes that sort by `number`.
pub(crate) fn bytes(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

pub(crate) fn audit(operator: &OperatorCode, number: u64) -> AuditEntry {
    let payload = format!("{{\"number\":{number}}}");
    let key = CommitmentKey::from_bytes([9; 32]);
    let entry = Entry {
        at: at(0),
        event: EventId::from_bytes(bytes(number)),
        kind: "person-registered".parse().unwrap(),
        operator: operator.clone(),
        actor: Pseudonym::of(&key, b"clerk"),
        object: Pseudonym::of(&key, &bytes(number)),
        commitment: Commitment::over(&key, payload.as_bytes()),
    };
    AuditEntry { entry, detail: Some(Detail { payload, key: [9; 32] }) }
}

pub(crate) fn deed(operator: &OperatorCode, number: u64, changes: Vec<Change>) -> Commit {
    Commit { changes, entry: audit(operator, number), jobs: vec![] }
}

pub(crate) fn person(operator: &OperatorCode, number: u64) -> Person {
    Person {
        id: PersonId::from_bytes(bytes(number)),
        operator: operator.clone(),
        name: "Ada Lovelace".parse().unwrap(),
        contact: Some("ada@example.org".parse().unwrap()),
        reference: Some(format!("R{number}").parse().unwrap()),
        registered_at: at(1),
        version: 1,
    }
}

pub(crate) fn insert_person(operator: &OperatorCode, number: u64) -> Change {
    identity::change::Change::InsertPerson(person(operator, number)).into()
}

/// A deed that registers the person `number`.
pub(crate) fn registration(operator: &OperatorCode, number: u64) -> Commit {
    deed(operator, number, vec![insert_person(operator, number)])
}

pub(crate) fn token(operator: &OperatorCode, number: u64) -> StaffToken {
    StaffToken {
        id: TokenId::from_bytes(bytes(number)),
        operator: operator.clone(),
        label: "front desk".parse().unwrap(),
        roles: Role::ALL.into_iter().filter(|role| role.is_staff()).take(2).collect(),
        hash: TokenHash::from_bytes([7; 32]),
        created_at: at(0),
        expires_at: at(1000),
        revoked_at: None,
        version: 1,
    }
}

pub(crate) fn product(operator: &OperatorCode) -> Product {
    let terms = Terms {
        display: vec![Display {
            language: "en".to_owned(),
            name: "Day ticket".to_owned(),
            description: "One day".to_owned(),
        }],
        stake: Stake::High,
        doc_type: "city.limen.pass.1".to_owned(),
        vct: "urn:limen:pass:1".to_owned(),
        formats: vec![Format::Mdoc, Format::SdJwt, Format::AccessDocument],
        rights: RightsTemplate {
            class: Some("first".parse().unwrap()),
            zones: vec!["A".parse().unwrap(), "B".parse().unwrap()],
            places: vec!["harbour/hall".parse().unwrap()],
            recurrence: Some("FREQ=WEEKLY;BYDAY=MO,FR".parse().unwrap()),
            uses_max: Some(3),
            bearer: Bearer::HolderOnly,
        },
        pass_period_max: Duration::from_secs(86_400),
        document_life: Duration::from_secs(3_600),
        batch_max: 4,
        handles_max: 40,
        attestation_min: AttestationLevel::Software,
        transaction_code: TransactionCode::Required,
    };
    let code = "day-ticket".parse().unwrap();
    Product { operator: operator.clone(), code, terms, changed_at: at(2), version: 1 }
}

pub(crate) fn pass(operator: &OperatorCode, number: u64, person: u64) -> Pass {
    Pass {
        id: PassId::from_bytes(bytes(number)),
        operator: operator.clone(),
        person: PersonId::from_bytes(bytes(person)),
        product: "day-ticket".parse().unwrap(),
        product_version: 1,
        state: PassState::Issued,
        valid_from: at(0),
        valid_until: at(86_400),
        issued_at: at(3),
        collected_at: None,
        changed_at: at(3),
        version: 1,
    }
}

pub(crate) fn offer(operator: &OperatorCode, number: u64, pass: u64) -> Offer {
    Offer {
        id: OfferId::from_bytes(bytes(number)),
        operator: operator.clone(),
        pass: PassId::from_bytes(bytes(pass)),
        product: "day-ticket".parse().unwrap(),
        formats: vec![Format::Mdoc, Format::SdJwt, Format::AccessDocument],
        code_digest: [1; 32],
        transaction_code_digest: Some([2; 32]),
        tries_left: 5,
        state: OfferState::Open,
        expires_at: at(600),
        version: 1,
    }
}

pub(crate) fn grant(operator: &OperatorCode, offer: u64, pass: u64) -> Grant {
    Grant {
        token_digest: [3; 32],
        operator: operator.clone(),
        offer: OfferId::from_bytes(bytes(offer)),
        pass: PassId::from_bytes(bytes(pass)),
        remaining: vec![
            Remaining { format: Format::Mdoc, documents: 4 },
            Remaining { format: Format::SdJwt, documents: 0 },
            Remaining { format: Format::AccessDocument, documents: 3 },
        ],
        key_thumbprint: Some([4; 32]),
        expires_at: at(900),
        version: 1,
    }
}

pub(crate) fn document(operator: &OperatorCode, number: u64, pass: u64) -> Document {
    Document {
        id: CredentialId::from_bytes(bytes(number)),
        operator: operator.clone(),
        pass: PassId::from_bytes(bytes(pass)),
        format: Format::Mdoc,
        key_thumbprint: [u8::try_from(number).unwrap(); 32],
        status_list: 0,
        status_index: u32::try_from(number).unwrap(),
        standing: Standing::Valid,
        delivery: Delivery::Sent,
        notification_digest: [6; 32],
        issued_at: at(4),
        valid_until: at(3_600),
        version: 1,
    }
}

pub(crate) fn enrolment(operator: &OperatorCode, number: u64) -> Enrolment {
    Enrolment {
        id: EnrolmentId::from_bytes(bytes(number)),
        operator: operator.clone(),
        label: "gate 1".parse().unwrap(),
        doors: vec!["harbour/gate-1".parse().unwrap(), "harbour/gate-2".parse().unwrap()],
        hash: CodeHash::from_bytes([5; 32]),
        tries_left: TRIES_MAX,
        created_at: at(0),
        expires_at: at(100),
        used_by: None,
        version: 1,
    }
}

pub(crate) fn reader(operator: &OperatorCode, number: u64) -> Reader {
    Reader {
        id: ReaderId::from_bytes(bytes(number)),
        operator: operator.clone(),
        label: "gate 1".parse().unwrap(),
        doors: vec!["harbour/gate-1".parse().unwrap()],
        state: ReaderState::Enrolled,
        key: [4; 65],
        secret: SecretHash::from_bytes([8; 32]),
        certificate: ReaderCertificate { der: vec![0x30, 0], not_before: at(0), not_after: at(9) },
        bundle_epoch: 7,
        journal: JournalHead { next: 0, hash: [0; 32] },
        watermark: Some(Watermark { bundle_epoch: 6, status_issued_at: None, at: at(5) }),
        delivery_keys: Some(vec![0x85, 1]),
        enrolled_at: at(6),
        version: 1,
    }
}
