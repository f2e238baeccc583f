//! `limen ceremony restore`: the root comes back from its backup and the custodians' shares.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keys::ceremony::backup::{BACKUP_BYTES_MAX, Backup};
use keys::ceremony::files;
use keys::ceremony::restore::{open_shares, restore};
use keys::ceremony::shares::Share;
use keys::ceremony::transcript::verify::{Expected, Verified, verify};
use serde_json::json;

use super::place::{RootPlace, Seat};
use super::terminal::Terminal;
use super::verify::read;
use crate::city::runtime;
use crate::failure::{Failure, OrFail, chain};
use crate::{output, world};

/// `limen ceremony restore`.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    limen ceremony restore --transcript transcript.json --backup root.backup \\\n      \
    --root-token root-2 --module /usr/lib/softhsm/libsofthsm2.so\n  \
    limen ceremony restore --transcript transcript.json --backup root.backup \\\n      \
    --share ada.txt --share bo.txt --root-file restored.keys --root-key-file restored.key\n\n\
    Shares that are not named are typed in, one custodian at a time.")]
pub(crate) struct Restore {
    /// The signed transcript of the ceremony that made the root.
    #[arg(long, value_name = "FILE")]
    transcript: PathBuf,
    /// The backup that it made.
    #[arg(long, value_name = "FILE")]
    backup: PathBuf,
    /// The file of a share; may be repeated.
    #[arg(long, value_name = "FILE")]
    share: Vec<PathBuf>,
    #[command(flatten)]
    to: RootPlace,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let to = self.to.place().ok_or_else(|| {
            Failure::usage("nobody is named who shall hold the root")
                .hint("name a token (--root-token, --module) or a file (--root-file)")
        })?;
        let transcript = verify(&read(&self.transcript)?, &Expected::default())
            .or_fail("cannot restore by this transcript")?;
        let bytes = files::read(&self.backup, BACKUP_BYTES_MAX);
        let bytes = bytes.or_fail("cannot read the backup")?;
        let backup = Backup::parse(&bytes).or_fail("cannot restore")?;
        let mut terminal = Terminal::new();
        let mut shares = Vec::new();
        for path in &self.share {
            shares.push(from_file(path)?);
        }
        while shares.len() < usize::from(transcript.split.threshold()) {
            // A list that came in files is taken as it is: nobody may be there to type.
            if !self.share.is_empty() {
                break;
            }
            shares.push(typed(&mut terminal, &transcript, shares.len() + 1)?);
        }
        let told = |error: &dyn std::error::Error| output::printable(&error.to_string());
        let key = open_shares(&backup, &bytes, &transcript, &shares);
        let key = key.map_err(|error| Failure::broken(told(&error)))?;
        drop(shares);
        let seat = Seat::open(&to, true, &mut terminal)?;
        let restored = runtime()?.block_on(restore(seat.root(), &backup, key, world::now()));
        let restored =
            restored.map_err(|error| Failure::broken(output::printable(&chain(&error))))?;
        if self.json {
            output::json(&json!({
                "restored": restored.handle.to_string(),
                "held_by": restored.held_by.as_ref(),
                "ceremony": transcript.ceremony.to_string(),
                "rehearsal": transcript.rehearsal,
            }))?;
        } else {
            output::text(&format!(
                "The root {} is held by {} and signs there.\nThe wrapping key is wiped; the shares stay \
                 good for the next time.\n",
                restored.handle, restored.held_by
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn from_file(path: &std::path::Path) -> Result<Share, Failure> {
    let bytes = files::read(path, files::SHARE_FILE_BYTES_MAX).or_fail("cannot read the share")?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    files::without_heading(text).parse().or_fail(format!("cannot use `{}`", path.display()))
}

/// A share that its custodian types, over one line or several.
fn typed(
    terminal: &mut Terminal,
    transcript: &Verified,
    position: usize,
) -> Result<Share, Failure> {
    let needed = transcript.split.threshold();
    terminal.print(&format!(
        "\nShare {position} of {needed}: its custodian types it, the others turn away. Line by line."
    ));
    let share = terminal.read_share().or_fail("cannot restore")?;
    terminal.clear();
    Ok(share)
}
