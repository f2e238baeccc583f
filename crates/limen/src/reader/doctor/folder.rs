//! One folder: who the reader is, what it knows, and whether others can read its key.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use credential::aws_lc::AwsLc;
use credential::x509::Certificate;
use edge::reader_host::{HostError, Identity, ReaderHost};
use reader::bundle::Bundle;
use reader::engine::{CLOCK_LAG_MAX, Engine};
use serde_json::{Value, json};
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use super::Report;
use crate::failure::chain;

/// A bundle that ends within this time is worth a word.
const SOON: Duration = Duration::from_secs(2 * 86_400);

pub(super) fn look(report: &mut Report, folder: &Path, doors: &[&PlaceCode], now: Instant) {
    let name = folder.display().to_string();
    look_at_modes(report, folder);
    let identity = match Identity::load(folder) {
        Ok(identity) => identity,
        Err(error) => {
            let next = "enrol it: `limen reader invite`, then `limen reader enrol --folder DIR`";
            return report.wrong(chain(&error), next);
        }
    };
    look_at_certificate(report, &name, &identity, now);
    let mut entry = json!({ "name": name, "id": identity.reader.to_string() });
    match ReaderHost::open(folder, Box::new(AwsLc)) {
        Ok(host) => {
            look_at_knowledge(report, &name, host.engine(), doors, now, &mut entry);
            put(&mut entry, "journal_records_waiting", host.records_pending().into());
            for rejection in host.disbelieved() {
                let next = "run `limen reader sync`, or enrol the reader anew";
                report.warn(format!("`{name}` no longer believes: {rejection}"), next);
            }
        }
        Err(HostError::Locked { .. }) => put(&mut entry, "state", "at work".into()),
        Err(error) => report.wrong(chain(&error), "restore the folder, or enrol the reader anew"),
    }
    report.folders.push(entry);
}

fn put(entry: &mut Value, name: &str, value: Value) {
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(name.into(), value);
    }
}

/// Nobody but its owner may look into the folder.
fn look_at_modes(report: &mut Report, folder: &Path) {
    for path in [folder.to_path_buf(), folder.join("reader.key"), folder.join("uplink.toml")] {
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            report.wrong(
                format!("`{path}` is open to others than its owner (mode {mode:03o})"),
                format!("chmod go= '{path}'; if others were here, enrol the reader anew"),
            );
        }
    }
}

fn look_at_certificate(report: &mut Report, name: &str, identity: &Identity, now: Instant) {
    let next = "run `limen reader sync`, or have `[sync]` in the configuration";
    match Certificate::parse(&identity.certificate) {
        Ok(certificate) if certificate.not_after <= now => {
            report.wrong(format!("the certificate of `{name}` has expired"), next);
        }
        Ok(certificate) if certificate.not_before > now => {
            let what = format!("the clock lies before the certificate of `{name}`");
            report.wrong(what, "set the clock, by NTP if there is a network");
        }
        Ok(_) => {
            if super::super::sync::is_half_over(&identity.certificate, now).unwrap_or(true) {
                report.warn(format!("the certificate of `{name}` is past half of its life"), next);
            }
        }
        Err(error) => report.wrong(format!("the certificate of `{name}`: {error}"), next),
    }
}

fn look_at_knowledge(
    report: &mut Report,
    name: &str,
    engine: &Engine,
    doors: &[&PlaceCode],
    now: Instant,
    entry: &mut Value,
) {
    let sync = "run `limen reader sync`";
    let Some(bundle) = engine.bundle() else {
        return report.wrong(format!("`{name}` has no bundle and opens nothing"), sync);
    };
    let Bundle { epoch, issued_at, expires_at, table, .. } = bundle.bundle();
    put(entry, "bundle_epoch", (*epoch).into());
    put(entry, "bundle_age_hours", (now.duration_since(*issued_at).as_secs() / 3600).into());
    if now.saturating_add(CLOCK_LAG_MAX) < *issued_at {
        let what = format!("the clock lies before {issued_at}, when the city signed to `{name}`");
        report.wrong(what, "set the clock, by NTP if there is a network");
    }
    if *expires_at <= now {
        report.wrong(format!("the bundle of `{name}` expired at {expires_at}"), sync);
    } else if *expires_at <= now.saturating_add(SOON) {
        report.warn(format!("the bundle of `{name}` expires at {expires_at}"), sync);
    }
    for door in doors.iter().filter(|door| table.door(door).is_none()) {
        let known: Vec<&str> = table.doors().iter().map(|door| door.place().as_str()).collect();
        report.wrong(
            format!("the bundle of `{name}` does not know the door {door}"),
            format!("name one that it knows: {}", known.join(", ")),
        );
    }
    match engine.watermark().status_issued_at {
        Some(at) => {
            put(entry, "status_age_hours", (now.duration_since(at).as_secs() / 3600).into());
        }
        None => {
            report.warn(format!("`{name}` has no status list: no pass that names one opens"), sync)
        }
    }
}
