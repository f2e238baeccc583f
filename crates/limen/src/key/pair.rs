//! `limen key pair`: a secret that a server and the key service share.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keys::wire::pairing::Pairing;
use serde_json::json;

use super::serve::load;
use crate::failure::{Failure, OrFail};
use crate::output;

#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen key pair server --config harbour/keys.toml --out server.pairing\n\n\
    The secret is written to two files: one for the key service, one for the client. Move the\n\
    client's to where only its user can read it.")]
pub(crate) struct Pair {
    /// The name of the client.
    name: String,
    /// The configuration of the key service.
    #[arg(long, value_name = "FILE", default_value = "limen-city/keys.toml")]
    config: PathBuf,
    /// The client's file; NAME.pairing by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Pair {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let attempt = "cannot pair";
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(is_plain) {
            return Err(Failure::usage(
                "the name of a client has 1 to 64 letters, digits, `-` and `_`",
            ));
        }
        let config = load(&self.config)?;
        let known = config.clients.iter().find(|client| client.name == self.name);
        let folder = self.config.parent().unwrap_or(Path::new("."));
        let own = known.map_or_else(
            || folder.join("pairings").join(format!("{}.pairing", self.name)),
            |client| client.pairing.clone(),
        );
        let own = std::path::absolute(own).or_fail(attempt)?;
        if let Some(folder) = own.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).or_fail(attempt)?;
        }
        let out = self.out.unwrap_or_else(|| PathBuf::from(format!("{}.pairing", self.name)));
        let out = std::path::absolute(out).or_fail(attempt)?;
        Pairing::create(&[&own, &out]).or_fail(attempt).map_err(|failure| {
            failure.hint("no file is written over: to pair anew, first move the old ones away")
        })?;
        let socket = std::path::absolute(&config.socket).or_fail(attempt)?;
        let (own, out, socket) =
            (own.display().to_string(), out.display().to_string(), socket.display().to_string());
        let is_known = known.is_some();
        if self.json {
            output::json(&json!({
                "client": self.name, "service": socket, "pairing": out, "service_pairing": own,
                "is_listed": is_known,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = String::new();
        if !is_known {
            text.push_str(&format!(
                "add to {}, then send the key service SIGHUP, or restart it:\n\n[[client]]\nname = \"{}\"\n\
                 pairing = \"{own}\"\n# uid = 1000          # the user as whom it runs\n\
                 sign = []            # the purposes of the keys that it may use\n\
                 # vault = []         # what it may have done with symmetric keys\n\n",
                self.config.display(),
                self.name,
            ));
        }
        text.push_str(&format!(
            "put into the configuration of the client:\n\n[keys]\nservice = \"{socket}\"\n\
             pairing = \"{out}\"\nclient = \"{}\"\n",
            self.name
        ));
        output::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
