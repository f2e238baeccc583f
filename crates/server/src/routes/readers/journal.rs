//! `/v1/readers/{id}/journal`: what a reader hands in. Every record that is new becomes a leaf of
//! the audit log, in the transaction that stores it.

use ::reader::journal::{Event, Outcome};
use api::reader::{JournalReceipt, JournalUpload};
use axum::extract::State;
use axum::response::IntoResponse;
use credential::jose::base64url;
use fleet::change::Change;
use fleet::journal::{Intake, Piece, Told, take_journal};
use fleet::reader::Reader;
use policy::action::Action;
use policy::authorize::Permit;
use serde_json::{Value, json};
use store::commit::{AuditEntry, CommitError};
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use super::reconciliation::{self, reconcile};
use crate::body::{Json, Path, Shown, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::server::Server;
use crate::world::now;

/// Tries against others who change what a piece tells of.
const TRIES_MAX: usize = 8;

pub(in crate::routes) async fn upload(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
    Json(request): Json<JournalUpload>,
) -> Result<impl IntoResponse, Problem> {
    let id: ReaderId = path(&id)?;
    let permit = caller.permit_reader(Action::JournalUpload, id)?;
    let decode = |name: &str, text: &str| {
        base64url::decode(text).ok_or_else(|| Problem::field(name, "not base64url"))
    };
    let records: Result<Vec<_>, _> =
        request.records.iter().map(|record| decode("records", record)).collect();
    let records = records?;
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let signed_head = decode("signed_head", &request.signed_head)?;
    let piece = Piece { records: &records, signed_head: &signed_head };

    for _ in 0..TRIES_MAX {
        if let Some(receipt) = attempt(&server, &permit, id, &piece).await? {
            return Ok(Shown(receipt));
        }
    }
    Err(Problem::refused("conflict", "others change the same things all the time; try again"))
}

/// One try; nothing when somebody else changed the journal or a pass that it tells of.
async fn attempt(
    server: &Server,
    permit: &Permit,
    id: ReaderId,
    piece: &Piece<'_>,
) -> Result<Option<JournalReceipt>, Problem> {
    let tenant = server.store.for_operator(permit.operator());
    let reader = tenant.reader(id).await?.ok_or_else(Problem::not_found)?;
    let stored = tenant.journal_record(id, piece.last_sequence()?).await?;
    let at = now();
    let taken = take_journal(permit, &reader, stored.as_ref(), piece, &server.crypto, at);
    let taken = taken.inspect_err(|refusal| {
        if refusal.is_alarm() {
            tracing::error!(reader = %id, %refusal, "a journal raises an alarm");
        }
    });
    let (change, events) = match taken? {
        Intake::Known => {
            return Ok(Some(JournalReceipt { next: reader.journal.next, accepted: 0 }));
        }
        Intake::New { change, events } => (*change, events),
    };
    let Change::AppendJournal { reader, .. } = &change else { return Err(Problem::internal()) };
    let receipt = JournalReceipt {
        next: reader.journal.next,
        accepted: u64::try_from(events.len()).unwrap_or(u64::MAX),
    };
    let alarm = foreign_doors(reader, &events, permit, at);
    let (reconciled, findings) = reconcile(server, permit, id, &events, at).await?;
    let mut changes = vec![change.into()];
    for told in &events {
        changes.push(store::commit::Change::Noted(leaf(server, permit, told, at)?));
    }
    changes.extend(reconciled);
    if let Some(alarm) = alarm {
        tracing::error!(reader = %id, "a journal tells of doors that are not its reader's");
        changes.push(store::commit::Change::Noted(server.recorder.entry(&alarm)?));
    }
    let deed = Deed::of(permit, id.to_string(), at);
    match server.attempt(deed, changes, Vec::new()).await {
        Ok(_) => {
            reconciliation::alarm(id, &findings);
            Ok(Some(receipt))
        }
        Err(CommitError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The alarm that some of `events` are not of the reader's own doors: one for them all, with the
/// number of the first.
fn foreign_doors(reader: &Reader, events: &[Told], permit: &Permit, at: Instant) -> Option<Deed> {
    let mut foreign = events.iter().filter(|told| told.is_foreign(reader));
    let first = foreign.next()?;
    let more = json!({ "first": first.sequence, "count": foreign.count().saturating_add(1) });
    let deed = Deed::of(permit, reader.id.to_string(), at);
    Some(Deed { what: "journal.foreign-door", more: Some(more), ..deed })
}

/// The leaf of one journal record. Its time is when it came in; the reader's own is in the details.
fn leaf(server: &Server, permit: &Permit, told: &Told, at: Instant) -> Result<AuditEntry, Problem> {
    let (what, door, more) = match &told.event {
        Some(event) => (kind(event), event.door.to_string(), details(event)),
        None => ("door.unknown", "unknown".to_owned(), Value::Null),
    };
    let record = json!({ "sequence": told.sequence, "at": told.at.to_string(), "event": more });
    let deed = Deed { what, more: Some(record), ..Deed::of(permit, door, at) };
    Ok(server.recorder.entry(&deed)?)
}

const fn kind(event: &Event) -> &'static str {
    match event.outcome {
        Outcome::Granted { .. } => "door.granted",
        Outcome::Refused(_) => "door.refused",
        Outcome::Egress => "door.egress",
    }
}

fn details(event: &Event) -> Value {
    let reason = match event.outcome {
        Outcome::Refused(reason) => Some(reason.as_str()),
        Outcome::Granted { .. } | Outcome::Egress => None,
    };
    let product = event.pass.as_ref().map(|pass| format!("{}/{}", pass.operator, pass.product));
    json!({
        "reason": reason,
        "product": product,
        "bundle_epoch": event.watermark.bundle_epoch,
        "missed": event.missed,
    })
}
