//! `/v1/readers`: readers from the one-time code to the journal.

use api::reader::{EnrolRequest, Enrolled, Enrolment, NewEnrolment, Reader, RenewRequest, Renewed};
use axum::extract::State;
use axum::response::IntoResponse;
use credential::crypto::{Algorithm, Signature};
use credential::jose::base64url;
use credential::x509::{Certificate, pem};
use fleet::certificate::{
    Authority, LIFE_DEFAULT, ProvenKey, Renewal, renew_reader, standard_certificate,
};
use fleet::change::Change;
use fleet::enrolment::{
    EnrolmentCode, EnrolmentEntropy, Invitation, Presented, ReaderEntropy, TRIES_MAX, enrol_reader,
    invite_reader, present_code,
};
use fleet::reader::ReaderState;
use fleet::refusal::Refusal;
use keys::custody::Key;
use keys::purpose::Purpose;
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use store::commit::CommitError;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use super::places::tree;
use crate::body::{Created, Json, Paged, Path, Shown, field, page, path};
use crate::caller::{Anyone, Caller};
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::sign::{certified, sign};
use crate::world::{entropy, now};

pub(super) mod bundle;
pub(super) mod delivery;
pub(super) mod journal;
mod reconciliation;

pub(super) async fn invite(
    State(server): State<Server>,
    caller: Caller,
    Json(request): Json<NewEnrolment>,
) -> Result<impl IntoResponse, Problem> {
    let doors: Result<Vec<_>, _> = request.doors.iter().map(|door| field("doors", door)).collect();
    let request = Invitation { label: field("label", &request.label)?, doors: doors? };
    let permit = caller.permit(Action::ReaderInvite)?;
    let at = now();
    let tree = tree(&server).await?;
    let waiting = server.store.for_operator(permit.operator()).enrolments_waiting(at).await?;
    let entropy = EnrolmentEntropy { id: entropy()?, secret: entropy()? };
    let (change, code) = invite_reader(&permit, &tree, waiting, request, at, &entropy)?;
    let Change::InsertEnrolment(enrolment) = &change else { return Err(Problem::internal()) };
    let reply = Enrolment {
        id: enrolment.id.to_string(),
        code: code.danger_text(),
        expires_at: enrolment.expires_at.to_string(),
    };
    let deed = Deed::of(&permit, enrolment.id.to_string(), at);
    server.commit(deed, vec![change.into()], Vec::new()).await?;
    Ok(Created(reply))
}

/// Turns a one-time code and a proven key into a reader with its certificate.
pub(super) async fn enrol(
    State(server): State<Server>,
    _anyone: Anyone,
    Json(request): Json<EnrolRequest>,
) -> Result<impl IntoResponse, Problem> {
    let request = parse(&request)?;
    let at = now();
    let stored = server.store.city().enrolment(request.code.id()).await?;
    let actor = match present_code(stored.as_ref(), &request.code, at) {
        Presented::Right(actor) => actor,
        Presented::Dead => return Err(Refusal::Code.into()),
        Presented::Wrong(change) => {
            spend_try(&server, &request.code, *change, at).await?;
            return Err(Refusal::Code.into());
        }
    };
    let enrolment = stored.ok_or_else(Problem::internal)?;
    let resource = Resource::enrolment(enrolment.operator.clone(), enrolment.id);
    let permit = authorize(&actor, Action::ReaderEnrol, resource)?;
    let (key, authority) = certified(&*server.custody, Purpose::ReaderAuthority, None, at)?;
    let enrolled = decide(&server, &permit, &enrolment, &request, &authority, at)?;
    let change = sign(&*server.custody, &key, enrolled.change).await?;
    let Change::EnrolReader { reader, .. } = &change else { return Err(Problem::internal()) };
    let standard = standard(&server, &key, &authority, reader).await?;
    let reply = Enrolled {
        reader: reader.id.to_string(),
        certificate: pem::encode("CERTIFICATE", &reader.certificate.der),
        reader_authority: Some(pem::encode("CERTIFICATE", &authority)),
        standard_certificate: standard.as_deref().map(base64url::encode),
        city_root: pem::encode("CERTIFICATE", &server.facts().await?.root),
        secret: enrolled.secret.danger_text(),
    };
    let deed = Deed::of(&permit, reader.id.to_string(), at);
    server.commit(deed, vec![change.into()], Vec::new()).await?;
    Ok(Created(reply))
}

fn decide(
    server: &Server,
    permit: &Permit,
    enrolment: &fleet::enrolment::Enrolment,
    request: &fleet::enrolment::EnrolRequest,
    authority: &[u8],
    at: Instant,
) -> Result<fleet::enrolment::Enrolled, Problem> {
    let entropy = ReaderEntropy { id: entropy()?, serial: entropy()?, secret: entropy()? };
    with_authority(server, authority, |authority| {
        enrol_reader(permit, enrolment, request, authority, &server.crypto, at, &entropy)
    })
}

/// Lets the reader authority, whose certificate is given, be asked for a certificate.
fn with_authority<T>(
    server: &Server,
    certificate: &[u8],
    decide: impl FnOnce(&Authority<'_>) -> Result<T, Refusal>,
) -> Result<T, Problem> {
    let certificate = Certificate::parse(certificate).map_err(|error| Problem::fault(&error))?;
    let crl_uri = format!("{}/crl", server.public_url);
    let authority = Authority {
        certificate: &certificate,
        country: &server.city.country,
        issuer_uri: &server.public_url,
        crl_uri: &crl_uri,
        life: LIFE_DEFAULT,
    };
    Ok(decide(&authority)?)
}

/// The certificate of `reader` for the standard tap, by the authority that has just certified it.
async fn standard(
    server: &Server,
    key: &Key,
    authority: &[u8],
    reader: &fleet::reader::Reader,
) -> Result<Option<Vec<u8>>, Problem> {
    let serial = entropy()?;
    let unsigned = with_authority(server, authority, |authority| {
        standard_certificate(reader, authority, serial)
    })?;
    match unsigned {
        Some(unsigned) => Ok(Some(sign(&*server.custody, key, unsigned).await?)),
        None => Ok(None),
    }
}

/// Certifies a reader again, with its key or with its next one.
pub(super) async fn renew(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<RenewRequest>,
) -> Result<impl IntoResponse, Problem> {
    let id: ReaderId = path(&id)?;
    let permit = caller.permit_reader(Action::ReaderRenew, id)?;
    let previous_proof = request.previous_proof.as_deref();
    let previous_proof =
        previous_proof.map(|text| signature("previous_proof", text)).transpose()?;
    let next = proven(&request.public_key, &request.proof)?;
    let renewal = Renewal { next, previous_proof };
    let reader = server.store.for_operator(permit.operator()).reader(id).await?;
    let reader = reader.ok_or_else(Problem::not_found)?;
    let (at, serial) = (now(), entropy()?);
    let (key, authority) = certified(&*server.custody, Purpose::ReaderAuthority, None, at)?;
    let change = with_authority(&server, &authority, |authority| {
        renew_reader(&permit, &reader, &renewal, authority, &server.crypto, at, serial)
    })?;
    let change = sign(&*server.custody, &key, change).await?;
    let Change::UpdateReader(reader) = &change else { return Err(Problem::internal()) };
    let standard = standard(&server, &key, &authority, reader).await?;
    let reply = Renewed {
        certificate: pem::encode("CERTIFICATE", &reader.certificate.der),
        reader_authority: Some(pem::encode("CERTIFICATE", &authority)),
        standard_certificate: standard.as_deref().map(base64url::encode),
    };
    let deed = Deed::of(&permit, id.to_string(), at);
    server.commit(deed, vec![change.into()], Vec::new()).await?;
    Ok(Shown(reply))
}

/// Counts a wrong code. Whoever guesses at the same time is counted too, one after another, until
/// there is no try left to count.
async fn spend_try(
    server: &Server,
    code: &EnrolmentCode,
    change: Change,
    at: Instant,
) -> Result<(), Problem> {
    let mut change = change;
    for _ in 0..TRIES_MAX {
        let Change::UpdateEnrolment(enrolment) = &change else { return Err(Problem::internal()) };
        let deed = Deed {
            operator: enrolment.operator.clone(),
            subject: Actor::candidate(enrolment.operator.clone(), enrolment.id).subject(),
            what: "reader.enrol-wrong-code",
            object: enrolment.id.to_string(),
            at,
            more: None,
        };
        match server.attempt(deed, vec![change.into()], Vec::new()).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let stored = server.store.city().enrolment(code.id()).await?;
        match present_code(stored.as_ref(), code, at) {
            Presented::Wrong(again) => change = *again,
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn parse(request: &EnrolRequest) -> Result<fleet::enrolment::EnrolRequest, Problem> {
    let key = proven(&request.public_key, &request.proof)?;
    Ok(fleet::enrolment::EnrolRequest { code: EnrolmentCode::parse(&request.code)?, key })
}

fn proven(public_key: &str, proof: &str) -> Result<ProvenKey, Problem> {
    let key = decode("public_key", public_key)?;
    let key = key.try_into().map_err(|_| Problem::field("public_key", "not 65 bytes"))?;
    Ok(ProvenKey { key, proof: signature("proof", proof)? })
}

fn signature(name: &str, text: &str) -> Result<Signature, Problem> {
    let signature = Signature::new(Algorithm::Es256, &decode(name, text)?);
    signature.map_err(|_| Problem::field(name, "not 64 bytes"))
}

fn decode(name: &str, text: &str) -> Result<Vec<u8>, Problem> {
    base64url::decode(text).ok_or_else(|| Problem::field(name, "not base64url"))
}

pub(super) async fn list(
    State(server): State<Server>,
    caller: Caller,
    Paged(wanted): Paged,
) -> Result<impl IntoResponse, Problem> {
    let permit = caller.permit(Action::ReaderList)?;
    let listing = server.store.for_operator(permit.operator()).readers(&wanted).await?;
    Ok(page(listing, |reader| wire(&reader)))
}

pub(super) async fn show(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let id: ReaderId = path(&id)?;
    let permit = caller.permit_reader(Action::ReaderShow, id)?;
    let reader = server.store.for_operator(permit.operator()).reader(id).await?;
    Ok(Shown(wire(&reader.ok_or_else(Problem::not_found)?)))
}

fn wire(reader: &fleet::reader::Reader) -> Reader {
    Reader {
        id: reader.id.to_string(),
        label: reader.label.to_string(),
        doors: reader.doors.iter().map(ToString::to_string).collect(),
        state: match reader.state {
            ReaderState::Enrolled => "enrolled".into(),
            ReaderState::Retired { .. } => "retired".into(),
        },
        certificate_until: reader.certificate.not_after.to_string(),
        bundle_epoch: reader.bundle_epoch,
        journal_records: reader.journal.next,
    }
}
