//! `limen person`: people who may hold passes, each known to one operator.

use std::process::ExitCode;

use api::person::{NewPerson, Person};
use clap::{Args, Subcommand};
use vocabulary::id::PersonId;

use crate::call::Call;
use crate::failure::Failure;
use crate::output;
use crate::table::{Part, Shown};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Register a person.
    Register(Register),
    /// List people.
    #[command(after_help = "Example:\n  limen person list --limit 20")]
    List(List),
    /// Show a person.
    #[command(after_help = "Example:\n  limen person show person_01kapzzzzz0000000000000000")]
    Show(Show),
}

#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen person register 'Mira Okafor' --contact mira@example.org --reference E-1041")]
pub(crate) struct Register {
    /// Full name, as the person writes it.
    name: String,
    /// Where an offer can be sent.
    #[arg(long)]
    contact: Option<String>,
    /// The person's number in your own books; unique.
    #[arg(long)]
    reference: Option<String>,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    call: Call,
}

#[derive(Args)]
pub(crate) struct Show {
    /// The person's identifier.
    id: PersonId,
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Register(Register { name, contact, reference, call }) => {
                let new = NewPerson { name, contact, reference };
                let made: Person = call.client()?.post_json("/v1/people", &new)?;
                let id = output::printable(&made.id);
                let next = format!("limen pass issue --person {id} --product CODE --offer");
                call.show(&made, &[next])
            }
            Self::List(List { part, call }) => part.list::<Person>(&call, "/v1/people"),
            Self::Show(Show { id, call }) => {
                let found: Person = call.client()?.get_json(&format!("/v1/people/{id}"))?;
                call.show(&found, &[])
            }
        }
    }
}

impl Shown for Person {
    const COLUMNS: &'static [&'static str] = &["id", "name", "reference", "contact", "registered"];

    fn cells(&self) -> Vec<String> {
        let [reference, contact] =
            [&self.reference, &self.contact].map(|text| text.clone().unwrap_or_default());
        vec![self.id.clone(), self.name.clone(), reference, contact, self.registered_at.clone()]
    }
}
