//! The end of the story: journals, and the audit log that anyone can verify.

use std::path::Path;

use serde_json::json;

use super::{Ending, Props};
use crate::demo::stage::Stage;
use crate::failure::{Failure, OrFail};
use crate::field::get;

/// How often the log is asked whether it has grown, and how long to wait in between.
const LOG_TRIES: u32 = 200;
const LOG_WAIT: std::time::Duration = std::time::Duration::from_millis(25);

pub(super) fn restart(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    (props.door, props.gate) = (None, None);
    stage.start_server()?;
    Ok(Ending::done("the network is back"))
}

pub(super) fn upload(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let mut accepted = 0;
    for reader in ["door", "gate"] {
        let folder = stage.path(&format!("readers/{reader}"));
        let synced = stage.must(&["reader", "sync", "--folder", &folder, "--json"])?.json();
        accepted += get(&synced, "journal_records_accepted").as_u64().unwrap_or_default();
    }
    if accepted == props.deeds {
        return Ok(Ending::done(format!("{accepted} deeds, {accepted} records, no gap")));
    }
    Ok(Ending::refused(format!(
        "{} deeds, but {accepted} records: something is missing",
        props.deeds
    )))
}

pub(super) fn checkpoint(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let client = stage.operator()?;
    let older = tree_size(&std::fs::read_to_string(stage.path("log-older")).unwrap_or_default());
    // One entry for each upload and each deed in it, at least.
    let wanted = older + props.deeds;
    for _ in 0..LOG_TRIES {
        let note = client.get_bytes("/v1/log/checkpoint", "text/plain")?;
        let note = String::from_utf8_lossy(&note).into_owned();
        let size = tree_size(&note);
        if size >= wanted {
            let root = note.lines().nth(2).unwrap_or_default();
            props.log = json!({ "size": size, "root": root, "verified": false });
            return Ok(Ending::done(format!("{size} entries, root {root}")));
        }
        std::thread::sleep(LOG_WAIT);
    }
    Ok(Ending::refused(format!("the log has fewer than {wanted} entries")))
}

pub(super) fn verify(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let (folder, url) = (stage.path("log"), stage.url());
    stage.must(&["log", "fetch", &folder, "--server", &url])?;
    if stage.breaks("log-leaf-altered") {
        alter_a_leaf(Path::new(&folder))?;
    }
    let trust: api::trust::Trust = stage.operator()?.get_json("/v1/trust")?;
    let older = stage.path("log-older");
    let done = stage.run(&[
        "log",
        "verify",
        &folder,
        "--key",
        &trust.log_key,
        "--older",
        &older,
        "--json",
    ])?;
    stage.stop_server()?;
    let is_verified = done.code == 0;
    if let Some(log) = props.log.as_object_mut() {
        log.insert("verified".into(), is_verified.into());
    }
    if is_verified {
        return Ok(Ending::done("every entry is included, and nothing was taken away"));
    }
    let told = get(&done.json(), "reason").as_str().map(String::from);
    Ok(Ending::refused(told.unwrap_or(done.stderr)))
}

/// The checkpoint before the server stops: the log at the end must contain all of it.
pub(super) fn keep_older_checkpoint(stage: &Stage) -> Result<(), Failure> {
    let note = stage.operator()?.get_bytes("/v1/log/checkpoint", "text/plain")?;
    std::fs::write(stage.path("log-older"), note).or_fail("cannot keep the checkpoint")
}

/// The second line of a checkpoint is the number of entries (C2SP tlog-checkpoint).
fn tree_size(note: &str) -> u64 {
    note.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or_default()
}

/// Flips one bit in the middle of the first entry bundle on the disk.
fn alter_a_leaf(folder: &Path) -> Result<(), Failure> {
    let attempt = "cannot alter the log";
    let mut pending = vec![folder.join("tile/entries")];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).or_fail(attempt)?;
            pending.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
            continue;
        }
        let mut bytes = std::fs::read(&path).or_fail(attempt)?;
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
            return std::fs::write(&path, bytes).or_fail(attempt);
        }
    }
    Err(Failure::broken("the log has no entries"))
}
