//! `limen card`: cards in software, and keys in cards. `change-key` and `personalise` are the only
//! commands that may ask the key service for a card key.

mod accept;
mod change_key;
mod element;
mod field;
mod handles;
mod inspect;
mod lines;
mod make;
mod master;
mod personalise;
mod place;
mod simulate;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use credential::delivery::Scope;
use keys::remote::{Remote, Settings};
use keys::vault::remote::RemoteVault;
use keys::wire::pairing::Pairing;
use vocabulary::code::{OperatorCode, ZoneCode};

use crate::failure::{Failure, OrFail};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a master from which card keys are derived; a second one is the next version.
    MakeMaster(master::MakeMaster),
    /// Write the next key into a card that is held to a reader.
    ChangeKey(change_key::ChangeKey),
    /// Make a blank card in software: a file.
    Make(make::Make),
    /// Give a card its keys and its applications.
    Personalise(personalise::Personalise),
    /// Accept an offer: a card collects a pass, and handles of the express tap for it.
    Accept(accept::Accept),
    /// Fetch handles of the express tap for the pass on a card.
    Refresh(accept::Refresh),
    /// Show what a card tells everybody, and with keys what is on it.
    Inspect(inspect::Inspect),
    /// Hold a software card to a reader.
    Simulate(simulate::Simulate),
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::MakeMaster(make) => make.run(),
            Self::ChangeKey(change) => change.run(),
            Self::Make(make) => make.run(),
            Self::Personalise(personalise) => personalise.run(),
            Self::Accept(accept) => accept.run(),
            Self::Refresh(refresh) => refresh.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Simulate(simulate) => simulate.run(),
        }
    }
}

/// The key service, and who asks it.
#[derive(Args)]
pub(crate) struct Service {
    /// The socket of the key service.
    #[arg(long, value_name = "SOCKET")]
    service: PathBuf,
    /// The user as whom it runs; the owner of the socket's folder by default.
    #[arg(long, value_name = "UID")]
    service_uid: Option<u32>,
    /// The name of this client, which must have the rights `personalise` and `cards`.
    #[arg(long, value_name = "NAME", default_value = "personaliser")]
    client: String,
    /// The secret that it shares with the key service (`limen key pair`).
    #[arg(long, value_name = "FILE")]
    pairing: PathBuf,
}

impl Service {
    /// The vault of the key service. The connection lives on the runtime that this is called on.
    pub(crate) async fn vault(&self) -> Result<RemoteVault, Failure> {
        let attempt = "cannot reach the key service";
        let pairing = Pairing::open(&self.client, &self.pairing).or_fail(attempt)?;
        let settings = Settings { socket: self.service.clone(), uid: self.service_uid, pairing };
        let remote = Remote::connect(settings).await.or_fail(attempt)?;
        RemoteVault::over(Arc::new(remote)).await.map_err(|_| {
            let message = format!("the key service shows `{}` no vault", self.client);
            Failure::broken(message).hint(
                "give the client `vault = [\"cards\", \"personalise\"]` in the configuration of the \
                 key service",
            )
        })
    }
}

/// Where cards are good.
#[derive(Args)]
pub(crate) struct Where {
    /// The operator whose cards they are.
    #[arg(long, value_name = "CODE")]
    operator: OperatorCode,
    /// The zone; none for cards of all zones.
    #[arg(long, value_name = "ZONE")]
    zone: Option<ZoneCode>,
}

impl Where {
    pub(crate) fn scope(&self) -> Scope {
        Scope { operator: self.operator.clone(), zone: self.zone.clone() }
    }
}
