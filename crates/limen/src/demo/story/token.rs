//! Scenes that only a city with its keys on a token has: the token is pulled and comes back.

use std::time::Duration;

use serde_json::Value;

use super::{Ending, Props, taps};
use crate::client::Client;
use crate::demo::stage::Stage;
use crate::example;
use crate::failure::Failure;
use crate::field::get;
use crate::hsm;

/// How often the status lists are asked whether they have changed, and how long to wait in between.
const TRIES: u32 = 600;
const WAIT: Duration = Duration::from_millis(50);

/// Nobody gets a new document while the token is away, and everybody is told so in one way.
pub(super) fn pulled(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    stage.softhsm()?.pull()?;
    let client = stage.operator()?;
    // What needs no key goes on: the pass is issued, and written down.
    let pass = example::issue_badge(&client, super::issue::person(props)?)?;
    let told = super::issue::try_accept(stage, &pass, "mira")?;
    props.waiting = Some(pass);
    match told {
        None => Ok(Ending::done("the phone has a document that nobody can have signed")),
        Some(why) if why.contains("(503)") => {
            Ok(Ending::refused("503: nobody signs now, try again later; the pass itself is issued"))
        }
        Some(why) => Err(Failure::broken(format!("the phone was told something else: {why}"))),
    }
}

pub(super) fn tap(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let ending = taps::once(stage, props, "tap-without-token")?;
    // The journals are brought next: one process at a time works on the folder of a reader.
    props.gate = None;
    Ok(ending)
}

/// A revocation is a decision, and needs no key; that it is published does.
pub(super) fn revoke(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let client = stage.operator()?;
    let badge = props.badge.as_ref().ok_or_else(|| Failure::broken("no badge was issued"))?;
    props.lists = lists(&client)?;
    let pass = example::revoke(&client, badge)?;
    Ok(Ending::done(format!("the pass is {}; the list waits for its signature", pass.state)))
}

/// The token is back: the list is published by the job that waited, and the phone gets its pass.
pub(super) fn returned(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    stage.softhsm()?.put_back()?;
    let client = stage.operator()?;
    let pass = props.waiting.take().ok_or_else(|| Failure::broken("no pass waits"))?;
    for _ in 0..TRIES {
        if lists(&client)? != props.lists {
            return match super::issue::try_accept(stage, &pass, "mira")? {
                None => Ok(Ending::done("the list is published, and the phone has its pass")),
                Some(why) => Ok(Ending::refused(why)),
            };
        }
        std::thread::sleep(WAIT);
    }
    Ok(Ending::refused("the status list is not published"))
}

/// The gate's element holds keys that were made on the token: the check values are those that the token's
/// labels name. Nobody shows a key.
pub(super) fn reader_keys(stage: &mut Stage, _: &mut Props) -> Result<Ending, Failure> {
    let folder = stage.path("readers/gate");
    let shown = stage.must(&["reader", "keys", "--folder", &folder, "--json"])?.json();
    let held = get(&shown, "keys").as_array().cloned().unwrap_or_default();
    let of = |purpose: &str| held.iter().filter(|key| get(key, "purpose") == purpose).count();
    let told = format!("{} keys of epochs and {} of zones", of("epoch"), of("zone"));
    if of("epoch") == 0 || of("zone") == 0 {
        return Ok(Ending::refused(format!("the gate holds {told}")));
    }
    let Some(listed) = stage.softhsm()?.listed_by_foreign_client(hsm::CITY, "secrkey")? else {
        return Ok(Ending::done(format!("{told}; NOT RUN: `pkcs11-tool` is not installed")));
    };
    let check = |key: &Value| get(key, "check_value").as_str().unwrap_or("none").to_owned();
    if let Some(strange) = held.iter().map(check).find(|check| !listed.contains(check.as_str())) {
        return Ok(Ending::refused(format!("the token has no key with the check value {strange}")));
    }
    Ok(Ending::done(format!("{told}, each wrapped by the token for this reader alone")))
}

/// What another program sees on the tokens.
pub(super) fn foreign(stage: &mut Stage, _: &mut Props) -> Result<Ending, Failure> {
    let softhsm = stage.softhsm()?;
    let mut counts = Vec::new();
    for label in [hsm::CITY, hsm::ROOT] {
        let Some(listed) = softhsm.listed_by_foreign_client(label, "privkey")? else {
            return Ok(Ending::done("NOT RUN: `pkcs11-tool` is not installed (package `opensc`)"));
        };
        let keys = listed.matches("Private Key Object").count();
        let guarded = listed.matches("never extractable").count();
        if keys == 0 || (label == hsm::CITY && guarded < keys) {
            return Ok(Ending::refused(format!("{guarded} of {keys} keys on {label} are guarded")));
        }
        counts.push(format!("{keys} on {label}"));
    }
    Ok(Ending::done(format!(
        "private keys: {}; those of the city never leave it",
        counts.join(", ")
    )))
}

/// All status lists as they are published now.
fn lists(client: &Client) -> Result<Vec<Vec<u8>>, Failure> {
    let all: api::status::StatusLists = client.get_json("/v1/status-lists")?;
    let path = |uri: &str| uri.splitn(4, '/').nth(3).map(|path| format!("/{path}"));
    let paths = all.status_lists.iter().filter_map(|uri| path(uri));
    paths.map(|path| client.get_bytes(&path, "application/statuslist+jwt")).collect()
}
