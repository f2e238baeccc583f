//! `limen ceremony verify`: whether a transcript holds, in plain words.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keys::ceremony::files;
use keys::ceremony::transcript::TRANSCRIPT_BYTES_MAX;
use keys::ceremony::transcript::error::TranscriptError;
use keys::ceremony::transcript::verify::{Expected, Verified, verify};
use keys::custody::KeyHandle;
use serde_json::json;

use super::summary;
use crate::failure::{Failure, OrFail};
use crate::output;

/// `limen ceremony verify`.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen ceremony verify transcript.json --custodian key_0123456789abcdef0123456789abcdef")]
pub(crate) struct Verify {
    /// The transcript.
    transcript: PathBuf,
    /// The handle of a custodian's signing key, as written down in the ceremony; may be repeated.
    /// Each must have signed.
    #[arg(long, value_name = "KEY")]
    custodian: Vec<KeyHandle>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let bytes = read(&self.transcript)?;
        let count = self.custodian.len();
        match verify(&bytes, &Expected { custodians: self.custodian }) {
            Ok(verified) if self.json => output::json(&summary::value(&verified))?,
            Ok(verified) => output::text(&holds(&verified, count))?,
            Err(error) => return rejected(&error, self.json),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads the file of a transcript.
pub(super) fn read(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    // One more, so that what is too long is judged and not merely unread.
    let bytes = files::read(path, TRANSCRIPT_BYTES_MAX + 1);
    Ok(bytes.or_fail("cannot read the transcript")?.to_vec())
}

fn holds(verified: &Verified, compared: usize) -> String {
    let mut text = format!("The transcript holds.\n\n{}\n", summary::text(verified));
    text.push_str(
        "Every step follows on the one before it, nothing was changed, left out or moved, and every\n\
         custodian signed it.\n",
    );
    let count = verified.custodians.len();
    if compared < count {
        text.push_str(&format!(
            "Whether these are the custodians' own keys, the document cannot tell ({compared} of {count} \
             compared):\ngive the keys that they wrote down with --custodian.\n"
        ));
    }
    text
}

fn rejected(error: &TranscriptError, json: bool) -> Result<ExitCode, Failure> {
    let message = output::printable(&error.to_string());
    if json {
        output::json(&json!({ "verdict": "rejected", "message": message }))?;
    } else {
        output::text(&format!(
            "The transcript does not hold: {message}\nDo not rely on what it says; ask for another copy.\n"
        ))?;
    }
    Ok(ExitCode::from(3))
}
