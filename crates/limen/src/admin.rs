//! `limen admin token`: access tokens of staff and services.

use std::process::ExitCode;

use api::token::{CreatedToken, NewToken, Token};
use clap::{Args, Subcommand};
use serde_json::json;
use vocabulary::id::TokenId;
use vocabulary::time::Instant;

use crate::call::Call;
use crate::failure::Failure;
use crate::output;
use crate::table::{Part, Shown};
use crate::tree::Tree;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make, list and revoke access tokens.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make an access token; its secret is shown this once.
    Create(Create),
    /// List access tokens, without their secrets.
    #[command(after_help = "Example:\n  limen admin token list --json")]
    List(List),
    /// Revoke an access token, at once and for good.
    #[command(after_help = "Example:\n  limen admin token revoke token_01kapzzzzz0000000000000000")]
    Revoke(Revoke),
}

#[derive(Args)]
#[command(after_help = "Roles: owner, issuer-clerk, help-desk, fleet-manager, auditor, and \
    registrar for the\ncity itself. Take the least that does.\n\nExamples:\n  \
    limen admin token create 'ticket shop' --role issuer-clerk\n  \
    limen admin token create audit-2027 --role auditor --until 2028-01-01T00:00:00Z")]
pub(crate) struct Create {
    /// What it is for.
    label: String,
    /// What it may do; may be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// Until when it holds; 90 days where absent.
    #[arg(long, value_name = "RFC3339", value_parser = Instant::parse_rfc3339)]
    until: Option<Instant>,
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
pub(crate) struct Revoke {
    /// The token's identifier, as listed.
    id: TokenId,
    #[command(flatten)]
    call: Call,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Self::Token(command) = self;
        match command {
            TokenCommand::Create(Create { label, roles, until, call }) => {
                let expires_at = until.map(|at| at.to_string());
                let new = NewToken { label, roles, expires_at };
                let made: CreatedToken = call.client()?.post_json("/v1/tokens", &new)?;
                let next = "keep the secret; it is not shown again: `limen login` asks for it";
                call.show(&made, &[next.into()])
            }
            TokenCommand::List(List { part, call }) => part.list::<Token>(&call, "/v1/tokens"),
            TokenCommand::Revoke(Revoke { id, call }) => {
                call.client()?.delete(&format!("/v1/tokens/{id}"))?;
                if call.json {
                    return call.value(&json!({ "id": id.to_string(), "revoked": true }));
                }
                output::text(&format!("Token {id} is revoked.\n"))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Shown for Token {
    const COLUMNS: &'static [&'static str] = &["id", "label", "roles", "until", "revoked"];

    fn cells(&self) -> Vec<String> {
        let revoked = self.revoked_at.clone().unwrap_or_default();
        let roles = self.roles.join(", ");
        vec![self.id.clone(), self.label.clone(), roles, self.expires_at.clone(), revoked]
    }
}

impl Shown for CreatedToken {
    const COLUMNS: &'static [&'static str] = Token::COLUMNS;

    fn cells(&self) -> Vec<String> {
        self.token.cells()
    }

    fn tree(&self) -> Tree {
        let mut tree = self.token.tree();
        tree.leaf("secret", self.secret.as_str());
        tree
    }
}
