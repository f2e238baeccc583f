//! `limen config`: the one file that a server is told everything by.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use server::config::Config;

use crate::failure::{Failure, chain};
use crate::output;

/// A configuration to begin with; every setting with its default or an example.
const EXAMPLE: &str = r#"# Configuration of `limen serve`. Relative paths start at the folder of this file.

[http]
listen = "127.0.0.1:8080"             # plain HTTP is served on loopback only
public_url = "http://127.0.0.1:8080"  # the base of every URL that is handed out
# tls_cert = "tls/chain.pem"          # both together switch TLS 1.3 on
# tls_key = "tls/key.pem"

[store]
data = "data"                         # database and audit log

[keys]
service = "run/keys.sock"             # the socket of the key service: `limen key serve`
pairing = "server/key-service.pairing"  # the secret shared with it: `limen key pair`
# client = "server"                   # the name under which the key service knows this server
# service_uid = 990                   # its user; by default the owner of the socket's folder
# Without a key service the server opens a keystore itself. In place of the lines above:
# keystore = "keys/city.keys"         # sealed
# key_file = "secret/city.key"        # opens it; outside of `data` and of its backups
# passphrase_file = "secret/phrase"   # instead of `key_file`

[limits]                              # these are the defaults
body_bytes_max = 1048576
header_timeout_ms = 5000
request_timeout_ms = 30000
connections_max = 4096
requests_per_minute = 6000            # of one token, or of one address without token
"#;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a configuration, without touching what it names: exit status 2 when it is not taken.
    Check(Check),
    /// Print a configuration to begin with.
    #[command(after_help = "Example:\n  limen config example > limen.toml")]
    Example,
}

#[derive(Args)]
#[command(after_help = "Example:\n  limen config check limen.toml")]
pub(crate) struct Check {
    /// The configuration, TOML.
    file: PathBuf,
    /// Answer as JSON: the settings with their defaults.
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Check(check) => check.run(),
            Self::Example => output::text(EXAMPLE).map(|()| ExitCode::SUCCESS),
        }
    }
}

impl Check {
    fn run(self) -> Result<ExitCode, Failure> {
        let file = self.file.display();
        let config = Config::load(&self.file).map_err(|error| {
            Failure::usage(format!("`{file}`: {}", output::printable_lines(&chain(&error))))
                .hint("`limen config example` prints one that is taken")
        })?;
        if self.json {
            output::json(&json!({ "file": file.to_string(), "config": config }))?;
        } else {
            output::text(&format!("{file} is taken.\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_taken_and_its_limits_are_the_defaults() {
        let config = Config::parse(EXAMPLE).unwrap();
        let defaults = server::config::Limits::default();
        assert_eq!(format!("{:?}", config.limits), format!("{defaults:?}"));
    }

    #[test]
    fn what_the_example_leaves_out_is_named_right() {
        let with_tls = EXAMPLE.replace("# tls_", "tls_");
        assert!(Config::parse(&with_tls).unwrap().http.tls_key.is_some());
        let served = EXAMPLE.replace("# client", "client").replace("# service_uid", "service_uid");
        assert_eq!(Config::parse(&served).unwrap().keys.client.as_deref(), Some("server"));
        let embedded = EXAMPLE.replace("\nservice", "\n#").replace("\npairing", "\n#");
        let embedded = embedded.replace("# keystore", "keystore");
        let key_file = embedded.replace("# key_file", "key_file");
        assert!(Config::parse(&key_file).unwrap().keys.key_file.is_some());
        let phrase = embedded.replace("# passphrase", "passphrase");
        assert!(Config::parse(&phrase).unwrap().keys.passphrase_file.is_some());
    }
}
