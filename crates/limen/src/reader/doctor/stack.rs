//! The reader stack: the service, its readers, the cards in them, and how fast they answer.

use std::ffi::CString;
use std::time::Duration;

use edge::link::WAIT;
use edge::pcsc::{CardLink, Error, Listed, Presence, Unfound, connect, establish, find, list};
use edge::transport::Transport;
use presentation::ndef::tag;
use serde_json::{Value, json};

use super::{Report, Slot};

/// SELECTs of a measurement, and of a look. A phone answers 256 commands outside of a session.
const BENCH: usize = 250;
const LOOK: usize = 5;

pub(super) fn look(report: &mut Report, slots: &[Slot], bench: bool) {
    let listed = match list() {
        Ok(listed) => listed,
        Err(Error::NoService | Error::ServiceStopped) => {
            let next =
                "install the package `pcscd` and start it: `systemctl enable --now pcscd.socket`";
            return report.wrong("the PC/SC service does not run", next);
        }
        Err(Error::SecurityViolation | Error::NoAccess) => {
            let next = "allow it by a rule of polkit (docs/guide/readers.md), or run as the user of the reader";
            return report.wrong("this user may not use the PC/SC service", next);
        }
        Err(error) => {
            return report.wrong(format!("the PC/SC service fails: {error}"), "see its journal");
        }
    };
    if listed.is_empty() {
        let next = "plug one in; `lsusb` shows it, and the package `libccid` has the driver";
        report.wrong("PC/SC knows no reader", next);
    }
    let names: Vec<&str> = listed.iter().map(|reader| reader.name.as_str()).collect();
    for slot in slots {
        match find(&slot.reader, &names) {
            Ok(_) => {}
            Err(Unfound::Missing) => report.wrong(
                format!("reader `{}` is missing, which serves {}", slot.reader, slot.door),
                format!("plug it in, or name one that is there: {}", names.join(", ")),
            ),
            Err(Unfound::Ambiguous(names)) => report.wrong(
                format!("the name `{}` means several readers", slot.reader),
                format!("name one with its numbers: {}", names.join(", ")),
            ),
        }
    }
    for reader in &listed {
        let slot = slots.iter().find(|slot| find(&slot.reader, &names) == Ok(&reader.name));
        let entry = describe(report, reader, slot, if bench { BENCH } else { LOOK });
        report.readers.push(entry);
    }
    let has_card = |reader: &Listed| matches!(reader.card, Presence::Card { .. });
    if bench && !listed.iter().any(has_card) {
        report.wrong("there is no card to measure", "lay one on a reader");
    }
}

fn describe(report: &mut Report, reader: &Listed, slot: Option<&Slot>, count: usize) -> Value {
    let name = reader.name.as_str();
    let (card, atr, apdu_us) = match &reader.card {
        Presence::Empty => ("none", None, None),
        Presence::Taken => ("in use by another program", None, None),
        Presence::Mute => {
            let next = "turn it over; cards of another technology do not answer";
            report.warn(format!("the card in `{name}` does not answer"), next);
            ("mute", None, None)
        }
        Presence::Card { atr } => {
            let atr: String = atr.iter().map(|byte| format!("{byte:02x}")).collect();
            let measured = measure(name, count).unwrap_or_else(|error| {
                let next = "another program may use it, or it was taken away";
                report.warn(format!("the card in `{name}` cannot be asked: {error}"), next);
                Value::Null
            });
            ("present", Some(atr), Some(measured))
        }
    };
    json!({
        "name": name, "door": slot.map(|slot| slot.door.as_str()),
        "card": card, "atr": atr, "select_us": apdu_us,
    })
}

/// The time of a SELECT with the card, which answers it by whatever status.
fn measure(reader: &str, count: usize) -> Result<Value, String> {
    let reader = CString::new(reader).map_err(|error| error.to_string())?;
    let text = |error: Error| error.to_string();
    let mut card = establish().and_then(|context| connect(&context, &reader)).map_err(text)?;
    let took = ask(&mut card, count);
    card.close();
    let mut took = took?;
    took.sort();
    let at = |part: usize| took.get(took.len().saturating_sub(1) * part / 100).copied();
    let micros = |part| at(part).unwrap_or_default().as_micros();
    let [median, p99] = [micros(50), micros(99)].map(|us| u64::try_from(us).unwrap_or(u64::MAX));
    Ok(json!({ "count": took.len(), "median": median, "p99": p99 }))
}

fn ask(card: &mut CardLink, count: usize) -> Result<Vec<Duration>, String> {
    let select = tag::select_application(&tag::APPLICATION).encode();
    let select = select.map_err(|error| error.to_string())?;
    let asked = (0..count).map(|_| card.exchange(&select, WAIT).map(|answer| answer.took));
    asked.collect::<Result<_, _>>().map_err(|error| error.to_string())
}
