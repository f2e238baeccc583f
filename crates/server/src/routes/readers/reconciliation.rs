//! What a journal tells of express taps, held against what the city gave out, in the transaction that
//! takes the journal in.

use std::collections::HashMap;

use ::reader::decision::Reason;
use ::reader::journal::{HandleTrace, Outcome, Tapped};
use fleet::bundle::scopes_of;
use fleet::journal::Told;
use fleet::reader::Reader;
use issuance::handles::{HandleIndex, Tap, epoch_at};
use issuance::issuer::Issuer;
use issuance::reconciliation::{self, Finding, Kind, reconcile_taps};
use policy::authorize::Permit;
use presentation::express::{ScopeId, list_tag};
use serde_json::{Value, json};
use store::commit::Change;
use store::store::TenantStore;
use vocabulary::code::ProductCode;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use crate::problem::Problem;
use crate::record::Deed;
use crate::routes::places::tree;
use crate::server::Server;

/// Findings of one piece of journal that get an event each.
const FINDINGS_MAX: usize = 256;

/// The changes that come of the express taps among `events`, with an event for each finding.
pub(super) async fn reconcile(
    server: &Server,
    permit: &Permit,
    reader: &Reader,
    events: &[Told],
    at: Instant,
) -> Result<(Vec<Change>, Vec<Finding>), Problem> {
    let taps: Vec<_> = events.iter().filter_map(|told| Some((told, express(told)?))).collect();
    if taps.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let scopes = scopes_of(reader, &tree(server).await?);
    let scopes: Vec<_> = scopes
        .iter()
        .map(|scope| ScopeId::new(&server.crypto, &scope.operator, scope.zone.as_ref()))
        .collect();
    // It has no key of another scope: what it tells of one accuses nobody but itself.
    let (taps, foreign): (Vec<_>, Vec<_>) =
        taps.into_iter().partition(|(_, trace)| scopes.contains(&trace.context.scope));
    let reader = reader.id;
    let issuer = server.issuer(permit.operator()).await?.ok_or_else(Problem::internal)?;
    let tenant = server.store.for_operator(permit.operator());
    let mut found = Vec::with_capacity(taps.len());
    for (_, trace) in &taps {
        found.push(drawn(server, &tenant, &issuer, trace).await?);
    }
    let told: Vec<_> = taps
        .iter()
        .zip(&found)
        .map(|((told, trace), found)| reconciliation::Told {
            epoch: trace.context.epoch,
            drawn: found.as_ref().map(|(index, product)| (index, product)),
            product: told.event.as_ref().and_then(|event| Some(&event.pass.as_ref()?.product)),
            tap: Tap {
                number: trace.number,
                taps: trace.taps,
                reader,
                sequence: told.sequence,
                at: told.at,
            },
        })
        .collect();
    let reconciled =
        reconcile_taps(permit, &told, epoch_at(at)).map_err(|_| Problem::internal())?;
    let mut changes: Vec<Change> = reconciled.changes.into_iter().map(Into::into).collect();
    changes.extend(told_of(server, permit, reader, &reconciled.findings, at)?);
    if !foreign.is_empty() {
        tracing::error!(%reader, "a journal tells of handles of scopes that are not its reader's");
        changes.push(counted(
            server,
            permit,
            reader,
            ("handles.foreign-scope", foreign.len()),
            at,
        )?);
    }
    Ok((changes, reconciled.findings))
}

/// Raises the alarm, once what was found is durable.
pub(super) fn alarm(reader: ReaderId, findings: &[Finding]) {
    let findings = findings.iter().filter(|finding| finding.kind != Kind::TooLate);
    for Finding { kind, evidence, pass, tap, .. } in findings.take(FINDINGS_MAX) {
        let (kind, evidence) = (kind.as_str(), evidence.as_str());
        let pass = pass.map(|pass| pass.to_string());
        tracing::error!(kind, evidence, pass, %reader, record = tap.sequence,
            "an express tap should not have been; see `limen pass findings`");
    }
}

/// The handle of an express tap; nothing where a record says once more what became of the tap before.
fn express(told: &Told) -> Option<HandleTrace> {
    let event = told.event.as_ref()?;
    match event.tap {
        _ if event.outcome == Outcome::Refused(Reason::RecordLate) => None,
        Some(Tapped::Express(trace)) => Some(trace),
        _ => None,
    }
}

/// The index of a handle, and the product of its pass.
async fn drawn(
    server: &Server,
    tenant: &TenantStore,
    issuer: &Issuer,
    trace: &HandleTrace,
) -> Result<Option<(HandleIndex, ProductCode)>, Problem> {
    let at = tenant.handle_indexes_at(trace.context.epoch, trace.status.index).await?;
    let crypto = &server.crypto;
    let is_it = |(index, _): &(HandleIndex, ProductCode)| {
        list_tag(crypto, &issuer.status_uri(index.status_list)) == trace.status.list
            && ScopeId::new(crypto, &index.operator, Some(&index.zone)) == trace.context.scope
    };
    Ok(at.into_iter().find(is_it))
}

/// Events of the findings. What cannot be told any more is one event for all.
fn told_of(
    server: &Server,
    permit: &Permit,
    reader: ReaderId,
    findings: &[Finding],
    at: Instant,
) -> Result<Vec<Change>, Problem> {
    let (late, mut findings): (Vec<_>, Vec<_>) =
        findings.iter().partition(|finding| finding.kind == Kind::TooLate);
    // Who forges many hides no copy among them, and who shows one copy many times no other one.
    let mut told: HashMap<_, usize> = HashMap::new();
    findings.sort_by_cached_key(|finding| {
        let count = told.entry((finding.kind, finding.pass, finding.tap.number)).or_default();
        *count = count.saturating_add(1);
        (finding.kind == Kind::Forged, *count)
    });
    let mut changes = Vec::new();
    for finding in findings.iter().take(FINDINGS_MAX) {
        let object = finding.pass.map_or_else(|| reader.to_string(), |pass| pass.to_string());
        let deed = Deed::of(permit, object, at);
        let deed = Deed { what: word(finding.kind), more: Some(details(finding)), ..deed };
        changes.push(Change::Found(server.recorder.entry(&deed)?, finding.pass));
    }
    let rest = findings.len().saturating_sub(FINDINGS_MAX);
    for (what, count) in [("handles.more-findings", rest), ("handles.too-late", late.len())] {
        if count > 0 {
            changes.push(counted(server, permit, reader, (what, count), at)?);
        }
    }
    Ok(changes)
}

/// One event for many taps.
fn counted(
    server: &Server,
    permit: &Permit,
    reader: ReaderId,
    (what, count): (&'static str, usize),
    at: Instant,
) -> Result<Change, Problem> {
    let more = Some(json!({ "count": count }));
    let deed = Deed { what, more, ..Deed::of(permit, reader.to_string(), at) };
    Ok(Change::Noted(server.recorder.entry(&deed)?))
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Forged => "handles.forged",
        Kind::Copied => "handles.copied",
        Kind::Cloned => "handles.cloned",
        Kind::TooLate => "handles.too-late",
    }
}

fn details(finding: &Finding) -> Value {
    let tap = |tap: &Tap| {
        json!({
            "reader": tap.reader.to_string(),
            "record": tap.sequence,
            "at": tap.at.to_string(),
            "number": tap.number,
            "count": tap.taps,
        })
    };
    json!({
        "kind": finding.kind.as_str(),
        "evidence": finding.evidence.as_str(),
        "pass": finding.pass.map(|pass| pass.to_string()),
        "zone": finding.zone.as_ref().map(|zone| zone.as_str()),
        "epoch": finding.epoch,
        "tap": tap(&finding.tap),
        "other": finding.other.as_ref().map(tap),
    })
}
