//! `limen login` and `limen logout`: remember a server and a token for this user.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;
use ureq::http::Method;

use crate::client::{self, Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::output;
use crate::profile::{self, Profile};

/// Bytes in a token.
const TOKEN_BYTES_MAX: u64 = 1024;

#[derive(Args)]
#[command(after_help = "The token is asked for, or read from standard input, and never shown.\n\n\
    Examples:\n  \
    limen login --server https://city.example\n  \
    limen login --server https://localhost:8443 --ca root.pem --profile work < token.txt\n  \
    limen pass list --profile work")]
pub(crate) struct Login {
    /// The base of the server's URLs.
    #[arg(long, value_name = "URL", env = "LIMEN_SERVER")]
    server: String,
    /// A PEM file of the only roots to trust.
    #[arg(long, value_name = "FILE", env = "LIMEN_CA")]
    ca: Option<PathBuf>,
    /// The name under which it is remembered.
    #[arg(long, value_name = "NAME", env = "LIMEN_PROFILE", default_value = profile::DEFAULT)]
    profile: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "The token stays in force until it is revoked: \
    `limen admin token revoke`.\n\nExample:\n  limen logout --profile work")]
pub(crate) struct Logout {
    /// The profile to forget.
    #[arg(long, value_name = "NAME", env = "LIMEN_PROFILE", default_value = profile::DEFAULT)]
    profile: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Login {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let ca = self.ca.map(std::path::absolute).transpose();
        let ca = ca.or_fail("cannot find the current folder")?;
        let server = self.server.trim_end_matches('/').to_owned();
        // A wrong URL is told before a token is asked for.
        let client =
            Client::new(Connection { server: server.clone(), token: None, ca: ca.clone() })?;
        let token = read_token(&server)?;
        check(&client, &token)?;
        let path = profile::save(&self.profile, Profile { server: server.clone(), token, ca })?;
        let (name, path) = (self.profile, path.display().to_string());
        if self.json {
            output::json(&json!({ "server": server, "profile": name, "file": path }))?;
        } else {
            output::text(&format!("Signed in at {server}.\nProfile `{name}` is in {path}.\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Logout {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let known = profile::remove(&self.profile)?;
        let name = self.profile;
        if self.json {
            output::json(&json!({ "profile": name, "forgotten": known }))?;
        } else if known {
            output::text(&format!("Profile `{name}` is forgotten.\n"))?;
        } else {
            output::text(&format!("There is no profile `{name}`.\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows the token to the server. A token that may not list operators is still a good one.
fn check(client: &Client, token: &str) -> Result<(), Failure> {
    let url = format!("{}/v1/operators?limit=1", client.base());
    let bearer = format!("Bearer {token}");
    let headers = [("accept", "application/json"), ("authorization", bearer.as_str())];
    let answer = client.send(Method::GET, &url, &headers, &[])?;
    match (answer.status, answer.problem()) {
        (200, _) | (403, Some(_)) => Ok(()),
        (401, Some(_)) => Err(Failure::broken("the server does not know this token")
            .hint("it may be mistyped, expired or revoked; nothing was remembered")),
        _ => Err(client::refused(&url, &answer)),
    }
}

fn read_token(server: &str) -> Result<String, Failure> {
    let input = io::stdin();
    let mut line = Vec::new();
    if input.is_terminal() {
        let _ = write!(io::stderr(), "Token for {server}: ");
        let hidden = Hidden::new();
        let read = input.lock().take(TOKEN_BYTES_MAX + 1).read_until(b'\n', &mut line);
        drop(hidden);
        let _ = writeln!(io::stderr());
        read.or_fail("cannot read the token")?;
    } else {
        let read = input.lock().take(TOKEN_BYTES_MAX + 1).read_to_end(&mut line);
        read.or_fail("cannot read the token from standard input")?;
    }
    let text = String::from_utf8(line).unwrap_or_default();
    let token = text.trim();
    let printable = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.is_empty() || !printable || text.len() as u64 > TOKEN_BYTES_MAX {
        return Err(Failure::usage("standard input holds no token")
            .hint("give the text that `limen admin token create` printed, and nothing else"));
    }
    Ok(token.to_owned())
}

/// While it lives the terminal does not show what is typed.
pub(crate) struct Hidden(Option<rustix::termios::Termios>);

impl Hidden {
    pub(crate) fn new() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &silent);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}
