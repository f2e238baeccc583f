//! `limen reader list|show|invite`: readers as the server knows them.

use std::process::ExitCode;

use api::reader::{Enrolment, NewEnrolment, Reader};
use clap::Args;
use vocabulary::code::PlaceCode;
use vocabulary::id::ReaderId;

use crate::call::Call;
use crate::failure::Failure;
use crate::output;
use crate::table::{Part, Shown};

/// `limen reader list`.
#[derive(Args)]
#[command(after_help = "Example:\n  limen reader list --all")]
pub(crate) struct List {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    call: Call,
}

/// `limen reader show`.
#[derive(Args)]
#[command(after_help = "Example:\n  limen reader show reader_01kapzzzzz0000000000000000")]
pub(crate) struct Show {
    /// The reader's identifier.
    id: ReaderId,
    #[command(flatten)]
    call: Call,
}

/// `limen reader invite`.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen reader invite 'Gate 3' --door central/gate-3")]
pub(crate) struct Invite {
    /// What the reader will be called.
    label: String,
    /// A door that it will serve; may be repeated.
    #[arg(long = "door", value_name = "PLACE", required = true)]
    doors: Vec<PlaceCode>,
    #[command(flatten)]
    call: Call,
}

impl List {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        self.part.list::<Reader>(&self.call, "/v1/readers")
    }
}

impl Show {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let found: Reader = self.call.client()?.get_json(&format!("/v1/readers/{}", self.id))?;
        self.call.show(&found, &[])
    }
}

impl Invite {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let doors = self.doors.iter().map(ToString::to_string).collect();
        let new = NewEnrolment { label: self.label, doors };
        let client = self.call.client()?;
        let made: Enrolment = client.post_json("/v1/readers/enrolments", &new)?;
        let (server, code) = (client.base(), output::printable(&made.code));
        let next = format!("limen reader enrol --folder FOLDER --server {server} --code {code}");
        self.call.show(&made, &["on the machine of the reader:".into(), next])
    }
}

impl Shown for Reader {
    const COLUMNS: &'static [&'static str] =
        &["id", "label", "doors", "state", "certificate until", "bundle", "records"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.label.clone(),
            self.doors.join(", "),
            self.state.clone(),
            self.certificate_until.clone(),
            self.bundle_epoch.to_string(),
            self.journal_records.to_string(),
        ]
    }
}

impl Shown for Enrolment {
    const COLUMNS: &'static [&'static str] = &["id", "code", "valid until"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.clone(), self.code.clone(), self.expires_at.clone()]
    }
}
