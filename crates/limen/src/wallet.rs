//! `limen wallet`: a resident's phone, as a folder on this machine.

pub(crate) mod accept;
mod express;
pub(crate) mod present;
pub(crate) mod trust;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use credential::aws_lc::AwsLc;
use edge::wallet_host::WalletHost;
use serde_json::json;
use wallet::pass::Content;

use crate::client::Connection;
use crate::failure::{Failure, OrFail};
use crate::field::get;
use crate::{output, world};

#[derive(Subcommand)]
#[command(after_help = "Example:\n  \
    limen wallet init --server https://city.example\n  \
    limen wallet accept 'openid-credential-offer://?...' --code 493536\n  \
    limen wallet present --reader 127.0.0.1:7000")]
pub(crate) enum Command {
    /// Make an empty wallet that trusts the city of a server.
    #[command(after_help = "Example:\n  limen wallet init --server https://city.example")]
    Init(trust::Init),
    /// Hear from the city whom it trusts now: reader authorities change while a phone lies in a pocket.
    Refresh(trust::Refresh),
    /// Accept an offer: collect the passes into the wallet (OpenID4VCI).
    Accept(accept::Accept),
    /// Show the handles of the express tap, or switch it on or off.
    Express(express::Express),
    /// List the passes.
    #[command(after_help = "Example:\n  limen wallet list --json")]
    List(Look),
    /// Show the owner's log: which reader asked for what, and what was shown.
    #[command(after_help = "Example:\n  limen wallet log")]
    Log(Look),
    /// Hold the phone to a reader.
    Present(present::Present),
    /// Write the documents of a pass into files.
    #[command(after_help = "Example:\n  limen wallet export --out documents")]
    Export(Export),
    /// Put somebody else's document into this wallet, bound to a key of its own: an attack.
    #[command(hide = true)]
    DangerImport(present::DangerImport),
}

/// Where the wallet is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The folder of the wallet.
    #[arg(long, default_value = "limen-wallet", value_name = "DIR")]
    folder: PathBuf,
    /// The file of 32 bytes that opens it; beside the folder, with the ending `.key`, by default.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// How to look at a wallet.
#[derive(Args)]
pub(crate) struct Look {
    #[command(flatten)]
    place: Place,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// How to reach a city without a token.
#[derive(Args, Clone, Debug)]
pub(crate) struct City {
    /// The base of the server's URLs.
    #[arg(long, env = "LIMEN_SERVER", value_name = "URL")]
    server: String,
    /// A PEM file of the only roots to trust for TLS.
    #[arg(long, env = "LIMEN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl City {
    pub(crate) fn connection(&self) -> Connection {
        Connection { server: self.server.clone(), token: None, ca: self.ca.clone() }
    }
}

/// `limen wallet export`.
#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    place: Place,
    /// The folder for the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Init(init) => init.run(),
            Self::Refresh(refresh) => refresh.run(),
            Self::Accept(accept) => accept.run(),
            Self::Express(express) => express.run(),
            Self::List(look) => list(&look),
            Self::Log(look) => log(&look),
            Self::Present(present) => present.run(),
            Self::Export(export) => export.run(),
            Self::DangerImport(import) => import.run(),
        }
    }
}

impl Place {
    fn key_path(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| {
            let mut name = self.folder.clone().into_os_string();
            name.push(".key");
            PathBuf::from(name)
        })
    }

    /// Opens the wallet.
    pub(crate) fn open(&self) -> Result<WalletHost, Failure> {
        let path = self.key_path();
        let missing = || {
            Failure::usage(format!("no wallet in `{}`", self.folder.display()))
                .hint("make one with `limen wallet init --server URL`")
        };
        let key = edge::file::read(&path, 32).or_fail("cannot open the wallet")?;
        let key = key.ok_or_else(missing)?;
        let key = <[u8; 32]>::try_from(key).map_err(|_| {
            Failure::broken(format!("key file `{}` does not hold 32 bytes", path.display()))
        })?;
        WalletHost::open(&self.folder, &AwsLc, key).or_fail("cannot open the wallet")
    }

    /// Writes the wallet.
    pub(crate) fn save(&self, host: &WalletHost) -> Result<(), Failure> {
        let nonces = [world::entropy()?, world::entropy()?];
        host.save(&AwsLc, nonces).or_fail("cannot save the wallet")
    }
}

fn list(look: &Look) -> Result<ExitCode, Failure> {
    let host = look.place.open()?;
    let now = world::now();
    let passes: Vec<_> = host
        .state
        .passes
        .iter()
        .map(|pass| {
            let until = pass.documents.iter().map(|document| document.valid_until).max();
            let current = pass.documents.iter().filter(|document| document.is_current(now)).count();
            json!({
                "name": pass.name,
                "issuer": pass.issuer,
                "kind": pass.configuration,
                "documents": pass.documents.len(),
                "current": current,
                "valid_until": until.map(|at| at.to_string()),
            })
        })
        .collect();
    if look.json {
        output::json(&json!({ "passes": passes }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if passes.is_empty() {
        output::text("no passes yet; accept an offer with `limen wallet accept LINK`\n")?;
    }
    for pass in &passes {
        let text = |name: &str| pass[name].as_str().unwrap_or_default().escape_debug().to_string();
        output::text(&format!(
            "{}  ({})  {} of {} documents current, until {}\n",
            text("name"),
            text("kind"),
            get(pass, "current"),
            get(pass, "documents"),
            text("valid_until"),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn log(look: &Look) -> Result<ExitCode, Failure> {
    let host = look.place.open()?;
    let entries = host.state.log.iter().map(|entry| {
        json!({
            "at": entry.at.to_string(),
            "with": entry.with,
            "pass": entry.pass,
            "disclosed": entry.disclosed,
            "outcome": entry.outcome,
        })
    });
    let entries: Vec<_> = entries.collect();
    if look.json {
        output::json(&json!({ "entries": entries }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for entry in &host.state.log {
        let disclosed = entry.disclosed.join(", ");
        output::text(&format!(
            "{}  {}  {}  {}  {}\n",
            entry.at.floor_to_second(),
            entry.with.escape_debug(),
            entry.pass.escape_debug(),
            entry.outcome.escape_debug(),
            disclosed.escape_debug(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Export {
    fn run(self) -> Result<ExitCode, Failure> {
        let host = self.place.open()?;
        std::fs::create_dir_all(&self.out).or_fail("cannot make the folder")?;
        for pass in &host.state.passes {
            for (number, document) in pass.documents.iter().enumerate() {
                let (ending, bytes) = match &document.content {
                    Content::Mdoc(bytes) => ("cbor", bytes.as_slice()),
                    Content::SdJwt(text) => ("sd-jwt", text.as_bytes()),
                    Content::AccessDocument(bytes) => ("access", bytes.as_slice()),
                };
                let safe = pass.configuration.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
                let path = self.out.join(format!("{safe}-{}.{ending}", number + 1));
                edge::file::replace(&path, bytes).or_fail("cannot export")?;
                output::text(&format!("{}\n", path.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where a reader's field is.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address such as `127.0.0.1:7000`"))
}
