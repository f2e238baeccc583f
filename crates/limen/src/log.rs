//! `limen log`: the audit log as files (C2SP tlog-tiles), fetched from a server, verified offline.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use api::event::Event;
use api::trust::Trust;
use audit::checkpoint::{self, Verified};
use audit::folder::{self, CHECKPOINT_PATH, Log};
use audit::merkle::{Tree, prove_consistency, verify_consistency};
use audit::note::VerifierKey;
use audit::tiles::{ENTRY_BYTES_MAX, TILE_WIDTH, Tile, TileReader, changed};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::call::Call;
use crate::client::Client;
use crate::failure::{Failure, OrFail, chain};
use crate::output;
use crate::table::{Part, Shown};

/// Bytes in one file of a log: a whole entry bundle.
const FILE_BYTES_MAX: usize = TILE_WIDTH as usize * (2 + ENTRY_BYTES_MAX);
/// The checkpoint that a folder held before the last fetch.
const EARLIER: &str = "checkpoint.earlier";
/// A checkpoint that contradicts the one that the folder holds.
const REFUSED: &str = "checkpoint.refused";
/// Entries of a log that is fetched: a server may claim any number.
const FETCH_ENTRIES_MAX: u64 = 1 << 28;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Verify a whole log from its files, offline: exit status 3 when it does not hold.
    Verify(Verify),
    /// Download a log into a folder, or what is new of it.
    Fetch(Fetch),
    /// List the deeds of an operator, as its auditors read them.
    #[command(after_help = "Example:\n  limen log events --limit 20")]
    Events(Events),
}

#[derive(Args)]
#[command(after_help = "Checked are the signature of the checkpoint, every tile, every entry \
    bundle, the inclusion of\nevery entry and, with --older, that the log goes on where it was.\
    \n\nExamples:\n  \
    limen log verify log/ --key city.example/log+3f0a1b2c+AYk...\n  \
    limen log verify log/ --key log.key --older log/checkpoint.earlier")]
pub(crate) struct Verify {
    /// The folder that holds `checkpoint` and `tile/`.
    folder: PathBuf,
    /// The key that signs the log (`name+keyid+base64`), or a file that holds it. Repeated while one
    /// key is followed by the next: the signature of one of them is enough.
    #[arg(long, value_name = "VERIFIER_KEY", required = true)]
    key: Vec<String>,
    /// A checkpoint of the same log that was kept from earlier.
    #[arg(long, value_name = "CHECKPOINT")]
    older: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "A checkpoint that the folder held before is kept as \
    `checkpoint.earlier`. A log that does not go on\nwhere that of the folder ends is refused, and \
    its checkpoint kept as `checkpoint.refused`.\n\nExample:\n  \
    limen log fetch log/ --server https://city.example")]
pub(crate) struct Fetch {
    /// The folder; made where it is missing.
    folder: PathBuf,
    /// The key that signs the log, or a file that holds it; else the server's word is taken.
    #[arg(long, value_name = "VERIFIER_KEY")]
    key: Vec<String>,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct Events {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::Fetch(fetch) => fetch.run(),
            Self::Events(Events { part, call }) => part.list::<Event>(&call, "/v1/events"),
        }
    }
}

impl Verify {
    fn run(self) -> Result<ExitCode, Failure> {
        let keys = parse_keys(&self.key)?;
        let origin = origin_of(&keys)?;
        let older = self.older.as_deref().map(|path| open_older(path, &keys)).transpose()?;
        if !self.folder.is_dir() {
            let message = format!("cannot read `{}`: it is no folder", self.folder.display());
            return Err(Failure::usage(message));
        }
        let mut broken = None;
        let lookup = |path: &str| match read_file(&self.folder.join(path)) {
            Ok(bytes) => bytes,
            Err(failure) => {
                broken.get_or_insert(failure);
                None
            }
        };
        let log = Log { lookup, origin, keys: &keys, older: older.as_ref() };
        let outcome = folder::verify(log, |_, _| {});
        if let Some(failure) = broken {
            return Err(failure);
        }
        let (value, text, code) = match outcome {
            Ok(verified) => {
                let tree = verified.tree();
                let root = tree.root.to_string();
                let value = json!({
                    "verified": true, "origin": origin, "size": tree.size, "root": root,
                });
                let text = format!(
                    "The log `{origin}` holds: {} entries, root {root}{}.\n",
                    tree.size,
                    if older.is_some() { ", and it goes on where it was" } else { "" },
                );
                (value, text, ExitCode::SUCCESS)
            }
            Err(error) => {
                let reason = output::printable(&chain(&error));
                let value = json!({ "verified": false, "reason": reason });
                (value, format!("The log does not hold: {reason}\n"), ExitCode::from(3))
            }
        };
        if self.json {
            output::json(&value)?;
        } else {
            output::text(&text)?;
        }
        Ok(code)
    }
}

/// Keys of one log.
fn parse_keys(texts: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let keys = texts.iter().map(|text| parse_key(text)).collect::<Result<Vec<_>, _>>()?;
    if keys.iter().any(|key| keys.first().is_some_and(|first| first.name() != key.name())) {
        return Err(Failure::usage("the keys are of different logs"));
    }
    Ok(keys)
}

fn origin_of(keys: &[VerifierKey]) -> Result<&str, Failure> {
    let first = keys.first().ok_or_else(|| Failure::usage("the log has no key"))?;
    Ok(first.name())
}

fn parse_key(text: &str) -> Result<VerifierKey, Failure> {
    let path = Path::new(text);
    let content = if path.is_file() {
        let bytes = crate::input::read(path)?;
        String::from_utf8_lossy(&bytes).trim().to_owned()
    } else {
        text.to_owned()
    };
    content.parse().map_err(|error| {
        Failure::usage(format!("--key `{}`: {error}", output::printable(text)))
            .hint("it is the `log_key` at `/v1/trust` of a server; take it from who you trust")
    })
}

fn open_older(path: &Path, keys: &[VerifierKey]) -> Result<Verified, Failure> {
    let bytes = crate::input::read(path)?;
    checkpoint::verify(&bytes, origin_of(keys)?, keys).map_err(|error| {
        let reason = output::printable(&chain(&error));
        Failure::usage(format!("--older `{}`: {reason}", path.display()))
    })
}

/// A file of the log; `None` where it is missing.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let unreadable =
        |error: io::Error| Failure::broken(format!("cannot read `{}`: {error}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    // One byte more than a file may have: what is longer cannot be equal to what is expected.
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Some(bytes))
}

impl Fetch {
    fn run(self) -> Result<ExitCode, Failure> {
        let client = self.call.client()?;
        let keys = if self.key.is_empty() {
            let Trust { log_key, log_keys, .. } = client.get_json("/v1/trust")?;
            parse_keys(&if log_keys.is_empty() { vec![log_key] } else { log_keys })?
        } else {
            parse_keys(&self.key)?
        };
        let note = client.get_bytes("/v1/log/checkpoint", "text/plain")?;
        let verified = checkpoint::verify(&note, origin_of(&keys)?, &keys).map_err(|error| {
            let reason = output::printable(&chain(&error));
            Failure::broken(format!("the server's checkpoint is not accepted: {reason}"))
        })?;
        let size = verified.tree().size;
        if size > FETCH_ENTRIES_MAX {
            let message = format!("the server's log claims {size} entries");
            return Err(Failure::broken(message)
                .hint(format!("at most {FETCH_ENTRIES_MAX} entries are fetched")));
        }
        let new = self.fetch_tiles(&client, size)?;
        if let Err(failure) = self.check_goes_on(&keys, verified.tree()) {
            // What came with a log that is not this one must not be taken for a part of it.
            new.iter().try_for_each(fs::remove_file).or_fail("cannot undo the fetch")?;
            write_whole(&self.folder.join(REFUSED), &note)?;
            return Err(failure);
        }
        let new = new.len();
        self.keep_checkpoint(&note)?;
        if self.call.json {
            let folder = self.folder.display().to_string();
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            return self
                .call
                .value(&json!({ "folder": folder, "size": size, "files": new, "key": keys.first(), "keys": keys }));
        }
        let folder = self.folder.display();
        let named: String = keys.iter().map(|key| format!(" --key '{key}'")).collect();
        output::text(&format!(
            "{size} entries are in {folder}, {new} files are new.\n\nNext:\n  \
             limen log verify {folder}{named}\n"
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Passes when the log of this tree goes on where that of the folder ends.
    fn check_goes_on(&self, keys: &[VerifierKey], tree: &Tree) -> Result<(), Failure> {
        let Some(note) = read_file(&self.folder.join(CHECKPOINT_PATH))? else { return Ok(()) };
        let older = checkpoint::verify(&note, origin_of(keys)?, keys);
        let older = older.or_fail("the checkpoint in the folder is not of this log")?;
        let older = older.tree();
        let tile = |tile: &Tile| read_file(&self.folder.join(tile.path())).ok().flatten();
        let mut reader = TileReader::new(tree.size, tile);
        let is_continued = older.size <= tree.size
            && prove_consistency(older.size, tree.size, |node| reader.root(node))
                .is_ok_and(|proof| verify_consistency(older, tree, &proof).is_ok());
        if is_continued {
            return Ok(());
        }
        let message = format!(
            "the server's log of {} entries does not go on where that of {} entries in `{}` ends: \
             it was rewritten",
            tree.size,
            older.size,
            self.folder.display()
        );
        Err(Failure::broken(message).hint(format!(
            "keep `{CHECKPOINT_PATH}` and `{REFUSED}`: both are signed, and contradict each other"
        )))
    }

    /// Fetches the files that the folder lacks. A file of a given name never changes.
    fn fetch_tiles(&self, client: &Client, size: u64) -> Result<Vec<PathBuf>, Failure> {
        let paths: BTreeSet<String> = changed(0, size).iter().map(|tile| tile.path()).collect();
        let mut new = Vec::new();
        for path in paths {
            let place = self.folder.join(&path);
            if place.exists() {
                continue;
            }
            let octets = "application/octet-stream";
            let bytes = client.get_bytes(&format!("/v1/log/{path}"), octets)?;
            write_whole(&place, &bytes)?;
            new.push(place);
        }
        Ok(new)
    }

    /// The checkpoint comes last, so that the folder always holds what it promises.
    fn keep_checkpoint(&self, note: &[u8]) -> Result<(), Failure> {
        let place = self.folder.join(CHECKPOINT_PATH);
        let before = read_file(&place)?;
        if let Some(before) = before.filter(|before| before != note) {
            write_whole(&self.folder.join(EARLIER), &before)?;
        }
        write_whole(&place, note)
    }
}

/// Writes beside the file and renames.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let attempt = || format!("cannot write `{}`", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).or_fail(attempt())?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, bytes).or_fail(attempt())?;
    fs::rename(&beside, path).or_fail(attempt())
}

impl Shown for Event {
    const COLUMNS: &'static [&'static str] = &["sequence", "at", "kind", "actor", "object"];

    fn cells(&self) -> Vec<String> {
        let [actor, object] =
            [&self.actor, &self.object].map(|text| text.clone().unwrap_or_default());
        vec![self.sequence.to_string(), self.at.clone(), self.kind.clone(), actor, object]
    }
}
