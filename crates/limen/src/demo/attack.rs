//! Attacks that need no program of their own: playing a recorded session back to a reader.

use std::net::SocketAddr;

use credential::jose::base64url;
use edge::link::Link;
use serde_json::Value;

use crate::failure::{Failure, OrFail};
use crate::field::get;

/// Commands that are answered once the recording is over.
const COMMANDS_MAX: usize = 64;
/// No such application or file (ISO/IEC 7816-4).
const NOT_FOUND: [u8; 2] = [0x6A, 0x82];

/// Answers the reader with what a phone answered in a recorded tap, whatever it asks.
pub(super) fn replay(reader: SocketAddr, recorded: &[[String; 2]]) -> Result<(), Failure> {
    let mut link = Link::connect(reader).or_fail("cannot reach the reader")?;
    for [_, response] in recorded {
        if link.receive().is_err() {
            break;
        }
        let response = base64url::decode(response).unwrap_or_default();
        if link.send(&response).is_err() {
            break;
        }
    }
    // The recording is over, the reader tries its next profiles: the gate itself is to refuse.
    for _ in 0..COMMANDS_MAX {
        if link.receive().is_err() || link.send(&NOT_FOUND).is_err() {
            break;
        }
    }
    Ok(())
}

/// The APDUs of a tap event.
pub(super) fn apdus(event: &Value) -> Vec<[String; 2]> {
    let pair = |pair: &Value| Some([text(pair.get(0)?)?, text(pair.get(1)?)?]);
    get(event, "apdus").as_array().into_iter().flatten().filter_map(pair).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(String::from)
}
