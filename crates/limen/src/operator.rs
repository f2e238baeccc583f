//! `limen operator`: who runs something in the city, and thereby the tenants.

use std::process::ExitCode;

use api::operator::{NewOperator, Operator};
use clap::{Args, Subcommand};
use vocabulary::code::OperatorCode;

use crate::call::Call;
use crate::failure::Failure;
use crate::table::{Part, Shown};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Register an operator.
    Register(Register),
    /// List operators.
    #[command(after_help = "Example:\n  limen operator list")]
    List(List),
    /// Show an operator.
    #[command(after_help = "Example:\n  limen operator show harbour-transit")]
    Show(Show),
}

#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen operator register harbour-transit 'Harbour Transit'")]
pub(crate) struct Register {
    /// 1 to 32 of `a-z 0-9 -`; never changes.
    code: OperatorCode,
    /// What people call it.
    name: String,
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
    /// The operator's code.
    code: OperatorCode,
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Register(Register { code, name, call }) => {
                let new = NewOperator { code: code.to_string(), name };
                let made: Operator = call.client()?.post_json("/v1/operators", &new)?;
                call.show(&made, &[])
            }
            Self::List(List { part, call }) => part.list::<Operator>(&call, "/v1/operators"),
            Self::Show(Show { code, call }) => {
                let found: Operator = call.client()?.get_json(&format!("/v1/operators/{code}"))?;
                call.show(&found, &[])
            }
        }
    }
}

impl Shown for Operator {
    const COLUMNS: &'static [&'static str] = &["code", "name", "registered"];

    fn cells(&self) -> Vec<String> {
        vec![self.code.clone(), self.name.clone(), self.registered_at.clone()]
    }
}
