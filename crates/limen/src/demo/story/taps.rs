//! Second half of the story: taps without any network, and the refusals.

use presentation::profile::Profile;
use serde_json::Value;

use super::{Ending, Outcome, Props, Tap};
use crate::demo::attack;
use crate::demo::stage::{Process, Stage};
use crate::example;
use crate::failure::{Failure, OrFail};
use crate::field::get;

/// The month after this one has begun by then, and every ticket of this month has ended.
const DAYS_AHEAD: &str = "32";

/// Taps until one goes by the profile that is to be shown.
const TAPS_MAX: usize = 6;

pub(super) fn door(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let keep = stage.path("documents/tap-door");
    tap(stage, props, Which::Door, "mira", &["--pass", example::BADGE_NAME, "--keep", &keep])
}

pub(super) fn gate(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let keep = stage.path("documents/tap-gate");
    let arguments = ["--pass", example::TICKET_NAME, "--confirm", "--keep", &keep];
    let mut seen = None;
    // A fast tap follows a standard one; and of express taps one in fifty is a stronger one.
    for _ in 0..TAPS_MAX {
        let mut ending = tap(stage, props, Which::Gate, "mira", &arguments)?;
        let Some(tap) = &ending.tap else { return Ok(ending) };
        // A reader that was told to drop its records tells no profile either.
        let wanted = stage.profile().as_str();
        let is_wanted = tap.profile.as_deref().is_none_or(|profile| profile == wanted);
        if is_wanted || ending.outcome != Outcome::Granted {
            props.recorded.clone_from(&tap.apdus);
            if let Some(profile) = &tap.profile {
                ending.reason = format!("by the {profile} tap, {}", ending.reason);
            }
            return Ok(ending);
        }
        seen.clone_from(&tap.profile);
    }
    let seen = seen.unwrap_or_default();
    Ok(Ending::refused(format!("the gate only ever took a tap of the profile `{seen}`")))
}

pub(super) fn wrong_zone(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    other_gate(stage, props, "tap-wrong-zone", &["--door", example::GATE_C])
}

pub(super) fn month_later(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let settings = ["--door", example::GATE_B, "--danger-days-ahead", DAYS_AHEAD];
    other_gate(stage, props, "tap-month-later", &settings)
}

/// One tap at the gate of zone B by a reader that is started for it.
pub(super) fn once(stage: &Stage, props: &mut Props, name: &str) -> Result<Ending, Failure> {
    other_gate(stage, props, name, &["--door", example::GATE_B])
}

pub(super) fn copied(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let ticket = stage.path("documents/first-class-month-mso-mdoc-1.cbor");
    let folder = stage.path("phones/old-phone");
    stage.must(&["wallet", "danger-import", "--folder", &folder, &ticket])?;
    let keep = stage.path("documents/tap-copied");
    let arguments = ["--pass", "Somebody else's pass", "--confirm", "--keep", &keep];
    document(stage, props, "old-phone", &arguments)
}

pub(super) fn tampered(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let keep = stage.path("documents/tap-tampered");
    let pass = ["--pass", example::TICKET_NAME, "--confirm", "--keep", &keep];
    document(stage, props, "mira", &[&pass[..], &["--danger-forge", "class=royal"]].concat())
}

/// A document at the gate. The attack is on a document, so the gate asks for one, whatever profile the
/// story is told by.
fn document(
    stage: &Stage,
    props: &mut Props,
    phone: &str,
    arguments: &[&str],
) -> Result<Ending, Failure> {
    if stage.profile() == Profile::Identity {
        return tap(stage, props, Which::Gate, phone, arguments);
    }
    let settings = (Profile::Identity, &["--door", example::GATE_B][..]);
    with_gate(stage, props, settings, (phone, arguments))
}

pub(super) fn replayed(_: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let recorded = props.recorded.clone();
    let (gate, address) = reader(props, Which::Gate)?;
    attack::replay(address.parse().or_fail("the gate has no address")?, &recorded)?;
    let event = gate.event()?;
    Ok(told(props, &event))
}

pub(super) fn rogue(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let (mut rogue, first) = stage.start("rogue", &["reader", "danger-rogue"])?;
    let address = get(&first, "reader").as_str().unwrap_or_default().to_owned();
    let mut arguments = vec!["--pass", example::TICKET_NAME, "--confirm"];
    if stage.breaks("reader-authentication-skipped") {
        arguments.push("--danger-trust-anyone");
    }
    let shown = present(stage, "mira", &address, &arguments)?;
    let event = rogue.event()?;
    let _ = props;
    let outcome =
        if get(&event, "outcome") == "granted" { Outcome::Granted } else { Outcome::Refused };
    let reason = match outcome {
        Outcome::Granted => format!("the phone gave away {} bytes", get(&event, "bytes_harvested")),
        _ => get(&shown, "reason").as_str().unwrap_or("the phone disclosed nothing").to_owned(),
    };
    Ok(Ending { outcome, reason, tap: None })
}

pub(super) fn revoked(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    let keep = stage.path("documents/tap-revoked");
    tap(stage, props, Which::Door, "old-phone", &["--pass", example::BADGE_NAME, "--keep", &keep])
}

pub(super) fn way_out(stage: &mut Stage, props: &mut Props) -> Result<Ending, Failure> {
    props.door = None;
    let folder = stage.path("readers/door");
    let opened = stage.must(&[
        "reader",
        "egress",
        "--folder",
        &folder,
        "--door",
        example::STAFF_DOOR,
        "--json",
    ])?;
    props.deeds += 1;
    let reason = format!(
        "the door is open for {} ms; the way out asks nobody",
        get(&opened.json(), "unlock_ms")
    );
    Ok(Ending { outcome: Outcome::Granted, reason, tap: None })
}

#[derive(Clone, Copy)]
enum Which {
    Door,
    Gate,
}

fn reader(props: &mut Props, which: Which) -> Result<(&mut Process, String), Failure> {
    let slot = match which {
        Which::Door => &mut props.door,
        Which::Gate => &mut props.gate,
    };
    let (process, address) = slot.as_mut().ok_or_else(|| Failure::broken("the reader is gone"))?;
    Ok((process, address.clone()))
}

/// A phone at one of the two readers that wait.
fn tap(
    stage: &Stage,
    props: &mut Props,
    which: Which,
    phone: &str,
    arguments: &[&str],
) -> Result<Ending, Failure> {
    let (process, address) = reader(props, which)?;
    present(stage, phone, &address, arguments)?;
    let event = process.event()?;
    Ok(told(props, &event))
}

/// The ticket at a gate that runs with other settings.
fn other_gate(
    stage: &Stage,
    props: &mut Props,
    name: &str,
    settings: &[&str],
) -> Result<Ending, Failure> {
    let keep = stage.path(&format!("documents/{name}"));
    let arguments = ["--pass", example::TICKET_NAME, "--confirm", "--keep", &keep];
    with_gate(stage, props, (stage.profile(), settings), ("mira", &arguments))
}

/// A phone at the gate as it runs with other settings; the journal is that of the same reader.
fn with_gate(
    stage: &Stage,
    props: &mut Props,
    (profile, settings): (Profile, &[&str]),
    (phone, arguments): (&str, &[&str]),
) -> Result<Ending, Failure> {
    let folder = stage.path("readers/gate");
    // One process at a time works on the folder of a reader.
    props.gate = None;
    let run = ["reader", "run", "--folder", &folder, "--json"];
    let sabotage = stage.reader_sabotage().map(|name| ["--danger-sabotage", name]);
    let broken = sabotage.as_ref().map_or(&[][..], |pair| &pair[..]);
    let by = ["--profile", profile.as_str(), "--taps", "1"];
    let (mut process, first) = stage.start("gate", &[&run[..], broken, settings, &by].concat())?;
    let address = get(&first, "reader").as_str().unwrap_or_default().to_owned();
    present(stage, phone, &address, arguments)?;
    let event = process.event()?;
    drop(process);
    let by = ["--profile", stage.profile().as_str(), "--door", example::GATE_B];
    let (gate, first) = stage.start("gate", &[&run[..], broken, &by].concat())?;
    props.gate = Some((gate, get(&first, "reader").as_str().unwrap_or_default().to_owned()));
    Ok(told(props, &event))
}

fn present(stage: &Stage, phone: &str, reader: &str, arguments: &[&str]) -> Result<Value, Failure> {
    let folder = stage.path(&format!("phones/{phone}"));
    let command = ["wallet", "present", "--folder", &folder, "--reader", reader, "--json"];
    let done = stage.run(&[&command[..], arguments].concat())?;
    match done.code {
        0 | 3 => Ok(done.json()),
        _ => Err(Failure::broken(format!("the phone failed: {}", done.stderr))),
    }
}

/// What the reader told of a tap.
fn told(props: &mut Props, event: &Value) -> Ending {
    let outcome =
        if get(event, "outcome") == "granted" { Outcome::Granted } else { Outcome::Refused };
    // Every deed must stand in the journal; a phone that goes away leaves no mark there.
    if get(event, "code") != "interrupted" {
        props.deeds += 1;
    }
    let tap = Tap {
        duration_us: get(event, "duration_us").as_u64().unwrap_or_default(),
        profile: get(event, "profile").as_str().map(str::to_owned),
        apdus: attack::apdus(event),
    };
    let reason = get(event, "reason").as_str().unwrap_or("the tap broke off").to_owned();
    Ending { outcome, reason, tap: Some(tap) }
}
