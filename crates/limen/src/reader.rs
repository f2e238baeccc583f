//! `limen reader`: a reader at a gate or a door, as a folder on this machine.

#[cfg(feature = "pcsc")]
mod attend;
mod config;
mod doctor;
mod keys;
mod rogue;
mod run;
mod standard;
mod sync;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use credential::aws_lc::AwsLc;
use edge::reader_host::{HostError, ReaderHost, Settings};
use reader::engine::EGRESS_UNLOCK_MS;
use serde_json::json;
use vocabulary::code::PlaceCode;

use crate::failure::{Failure, chain};
use crate::{output, world};

#[derive(Subcommand)]
#[command(after_help = "Example:\n  \
    limen reader invite 'Gate 3' --door harbour/quay/gate-3\n  \
    limen reader enrol --folder gate-3 --server https://city.example --code enrolment_...\n  \
    limen reader sync --folder gate-3\n  \
    limen reader doctor --config reader.toml\n  \
    limen reader run --config reader.toml")]
pub(crate) enum Command {
    /// Enrol this machine as a reader, by a one-time code.
    #[command(after_help = "Example:\n  \
        limen reader enrol --folder gate-3 --server https://city.example --code CODE")]
    Enrol(sync::Enrol),
    /// Fetch bundle and status from the city, and bring it the journal.
    #[command(after_help = "Example:\n  limen reader sync --folder gate-3")]
    Sync(sync::Sync),
    /// Wait for phones and decide, without any network.
    Run(run::Run),
    /// Say what is there and what is wrong: readers, cards, folders, clock.
    Doctor(doctor::Doctor),
    /// Let somebody out: the way out asks nobody.
    #[command(after_help = "Example:\n  \
        limen reader egress --folder gate-3 --door harbour/quay/gate-3")]
    Egress(Egress),
    /// Show what this reader knows.
    #[command(after_help = "Example:\n  limen reader inspect --folder gate-3 --json")]
    Inspect(Inspect),
    /// List the symmetric keys of this reader: purpose, scope, epoch, check value; never a key.
    Keys(keys::Keys),
    /// Await a new reader: the server makes its one-time code.
    Invite(crate::reader_admin::Invite),
    /// List the readers that the server knows.
    List(crate::reader_admin::List),
    /// Show a reader as the server knows it.
    Show(crate::reader_admin::Show),
    /// Be a reader that no city knows: an attack.
    #[command(hide = true)]
    DangerRogue(rogue::Rogue),
}

/// Where the reader is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The folder of the reader.
    #[arg(long, default_value = "limen-reader", value_name = "DIR")]
    folder: PathBuf,
}

/// `limen reader egress`.
#[derive(Args)]
pub(crate) struct Egress {
    #[command(flatten)]
    place: Place,
    /// The door.
    #[arg(long, value_name = "PLACE")]
    door: PlaceCode,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Egress {
    fn run(self) -> Result<ExitCode, Failure> {
        // The way out never depends on what a machine finds in its files.
        let unlock_ms = match self.place.open() {
            Ok(mut host) => host.egress(world::now(), self.door.clone()),
            Err(failure) => {
                eprintln!("limen: opening the way out without a record: {failure}");
                EGRESS_UNLOCK_MS
            }
        };
        if self.json {
            output::json(&json!({ "door": self.door.as_str(), "unlock_ms": unlock_ms }))?;
        } else {
            output::text(&format!("{} is open for {unlock_ms} ms\n", self.door))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// `limen reader inspect`.
#[derive(Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    place: Place,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Enrol(enrol) => enrol.run(),
            Self::Sync(sync) => sync.run(),
            Self::Run(run) => run.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Egress(egress) => egress.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Keys(keys) => keys.run(),
            Self::Invite(invite) => invite.run(),
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::DangerRogue(rogue) => rogue.run(),
        }
    }
}

/// Why a reader does not start, and what to do next.
fn not_started(error: &HostError) -> Failure {
    let failure = Failure::broken(format!("cannot start the reader: {}", chain(error)));
    match error {
        HostError::NotEnrolled { .. } => {
            failure.hint("enrol it with `limen reader enrol --code CODE --server URL`")
        }
        HostError::Locked { .. } => {
            failure.hint("stop `limen reader run`, or give it a table `[sync]`")
        }
        _ => failure,
    }
}

/// Why this program attends no real readers.
#[cfg(not(feature = "pcsc"))]
pub(crate) fn without_pcsc() -> Failure {
    Failure::broken("this program was built without PC/SC").hint(
        "install libpcsclite-dev and pkg-config, then build with \
         `cargo build --release --features limen/pcsc`",
    )
}

impl Place {
    /// Wakes the reader up.
    pub(crate) fn open(&self) -> Result<ReaderHost, Failure> {
        self.open_with(Settings::default())
    }

    /// Wakes the reader up with settings of its own.
    fn open_with(&self, settings: Settings) -> Result<ReaderHost, Failure> {
        let host = ReaderHost::open_with(&self.folder, Box::new(AwsLc), settings);
        host.map_err(|error| not_started(&error))
    }
}

impl Inspect {
    fn run(self) -> Result<ExitCode, Failure> {
        let host = self.place.open()?;
        let watermark = host.engine().watermark();
        let head = host.engine().journal_head();
        let doors: Vec<String> = host
            .engine()
            .bundle()
            .map(|bundle| {
                bundle.bundle().table.doors().iter().map(|d| d.place().to_string()).collect()
            })
            .unwrap_or_default();
        let status_at = watermark.status_issued_at.map(|at| at.to_string());
        if self.json {
            output::json(&json!({
                "bundle_epoch": watermark.bundle_epoch,
                "status_issued_at": status_at,
                "journal_records": head.entries(),
                "doors": doors,
            }))?;
        } else {
            output::text(&format!(
                "bundle epoch     {}\nstatus issued    {}\njournal records  {}\ndoors            {}\n",
                watermark.bundle_epoch,
                status_at.as_deref().unwrap_or("never"),
                head.entries(),
                doors.join(", "),
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
