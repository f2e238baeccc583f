//! A small city: a reader authority, a place with a door, and a device with a key of its own.

use credential::crypto::{Crypto, P256Secret, PublicKey, Signature};
use credential::rustcrypto::RustCrypto;
use credential::unsigned::Unsigned;
use credential::x509::Certificate;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use fleet::certificate::{Authority, LIFE_DEFAULT, ProvenKey};
use fleet::change::Change;
use fleet::enrolment::{
    EnrolRequest, Enrolled, Enrolment, EnrolmentCode, EnrolmentEntropy, Invitation, Presented,
    ReaderEntropy, enrol_reader, invite_reader, present_code,
};
use fleet::reader::Reader;
use fleet::refusal::Refusal;
use fleet::secret::ReaderSecret;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use policy::place::{Place, PlaceTree};
use policy::role::{Role, Roles};
use vocabulary::code::OperatorCode;
use vocabulary::id::TokenId;
use vocabulary::time::Instant;

pub(crate) const NOW: Instant = Instant::from_unix_seconds(1_795_356_000);
pub(crate) const LATER: Instant = Instant::from_unix_seconds(1_795_356_000 + 10 * 365 * 86_400);

pub(crate) fn operator(code: &str) -> OperatorCode {
    code.parse().unwrap()
}

/// A permit of a fleet manager.
pub(crate) fn permit(action: Action, of: &str) -> Permit {
    let staff =
        Actor::staff(operator(of), TokenId::from_bytes([9; 16]), Roles::only(Role::FleetManager));
    authorize(&staff, action, Resource::of(operator(of))).unwrap()
}

/// A permit of the reader itself.
pub(crate) fn own_permit(action: Action, reader: &Reader) -> Permit {
    let resource = Resource::reader(reader.operator.clone(), reader.id);
    authorize(&Actor::reader(reader.operator.clone(), reader.id), action, resource).unwrap()
}

pub(crate) fn place(code: &str, of: &str) -> Place {
    Place {
        code: code.parse().unwrap(),
        operator: operator(of),
        name: code.parse().unwrap(),
        zone: None,
        class: None,
        added_at: NOW,
        version: 1,
    }
}

pub(crate) fn tree() -> PlaceTree {
    PlaceTree::new([place("hall/door", "harbour"), place("yard/gate", "airport")]).unwrap()
}

/// A key in software, as a reader's secure element would hold it.
#[derive(Clone)]
pub(crate) struct Key(P256Secret);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(P256Secret::from_bytes([seed; 32]))
    }

    pub(crate) fn public(&self) -> [u8; 65] {
        RustCrypto.p256_public(&self.0).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        RustCrypto.p256_sign(&self.0, message).unwrap()
    }

    pub(crate) fn prove(&self, challenge: &[u8]) -> ProvenKey {
        ProvenKey { key: self.public(), proof: self.sign(challenge) }
    }

    pub(crate) fn complete<T>(&self, unsigned: Unsigned<T>) -> T {
        let signature = self.sign(unsigned.to_be_signed());
        unsigned.complete(&signature)
    }
}

/// The key and the certificate of the reader authority.
pub(crate) fn authority() -> (Key, Vec<u8>) {
    let key = Key::new(7);
    let request = Request {
        purpose: Purpose::Root,
        subject: Subject { common_name: "Readers", organization: None, country: "UT" },
        key: &PublicKey::P256(key.public()),
        not_before: NOW,
        not_after: LATER,
        serial_entropy: [1; 16],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let certificate = build::certificate(&request, Signer::Subject).unwrap();
    let der = key.complete(certificate).into_bytes();
    (key, der)
}

pub(crate) fn with_authority<T>(then: impl FnOnce(&Authority<'_>, &Key) -> T) -> T {
    let (key, der) = authority();
    let authority = Authority {
        certificate: &Certificate::parse(&der).unwrap(),
        country: "UT",
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
        life: LIFE_DEFAULT,
    };
    then(&authority, &key)
}

pub(crate) fn invitation() -> Invitation {
    Invitation { label: "Staff door".parse().unwrap(), doors: vec!["hall/door".parse().unwrap()] }
}

pub(crate) fn invite(seed: u8) -> (Enrolment, EnrolmentCode) {
    let permit = permit(Action::ReaderInvite, "harbour");
    let entropy = EnrolmentEntropy { id: [seed; 10], secret: [seed ^ 0x5a; 10] };
    let invited = invite_reader(&permit, &tree(), 0, invitation(), NOW, &entropy).unwrap();
    match invited {
        (Change::InsertEnrolment(enrolment), code) => (enrolment, code),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn candidate_permit(enrolment: &Enrolment, code: &EnrolmentCode) -> Permit {
    let Presented::Right(actor) = present_code(Some(enrolment), code, NOW) else {
        panic!("code is wrong")
    };
    let resource = Resource::enrolment(enrolment.operator.clone(), enrolment.id);
    authorize(&actor, Action::ReaderEnrol, resource).unwrap()
}

pub(crate) fn enrol(
    enrolment: &Enrolment,
    request: &EnrolRequest,
    permit: &Permit,
    now: Instant,
) -> Result<(Enrolment, Reader, ReaderSecret), Refusal> {
    with_authority(|authority, key| {
        let entropy = ReaderEntropy { id: [3; 10], serial: [4; 16], secret: [5; 32] };
        let Enrolled { change, secret } =
            enrol_reader(permit, enrolment, request, authority, &RustCrypto, now, &entropy)?;
        match key.complete(change) {
            Change::EnrolReader { enrolment, reader } => Ok((enrolment, reader, secret)),
            other => panic!("{other:?}"),
        }
    })
}

/// A reader that was enrolled with the key of `seed`.
pub(crate) fn enrolled(seed: u8) -> (Key, Reader, ReaderSecret) {
    let (enrolment, code) = invite(seed);
    let key = Key::new(seed);
    let request =
        EnrolRequest { key: key.prove(&code.challenge(&key.public())), code: code.clone() };
    let permit = candidate_permit(&enrolment, &code);
    let (_, reader, secret) = enrol(&enrolment, &request, &permit, NOW).unwrap();
    (key, reader, secret)
}
