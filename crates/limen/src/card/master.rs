//! `limen card make-master`.

use std::process::ExitCode;

use clap::Args;
use keys::custody::State;
use keys::vault::diversify::Kdf;
use keys::vault::{NewSecret, SecretKind, Vault};
use serde_json::json;

use super::{Service, Where};
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::{output, world};

#[derive(Args)]
#[command(after_help = "Example:\n  limen card make-master --service run/keys.sock \\\n    \
    --pairing personaliser.pairing --operator harbour --kdf an10922-cbc-fallback\n\n\
    Cards move on to a newer master, each when it is held to `limen card change-key`.")]
pub(crate) struct MakeMaster {
    #[command(flatten)]
    service: Service,
    #[command(flatten)]
    place: Where,
    /// How card keys are derived: sp800-108-cmac, or an10922-cbc-fallback where the token lacks it.
    /// Never another than is named here.
    #[arg(long, value_name = "KDF")]
    kdf: Kdf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl MakeMaster {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let request = NewSecret {
            kind: SecretKind::CardMaster,
            scope: Some(self.place.scope()),
            epoch: 0,
            kdf: Some(self.kdf),
            state: State::Active,
            after: 0,
            at: world::now(),
        };
        let made = runtime()?.block_on(async {
            let vault = self.service.vault().await?;
            vault.generate(request).await.or_fail("cannot make a card master")
        })?;
        if self.json {
            output::json(&json!({
                "handle": made.handle.to_string(),
                "version": made.version,
                "kdf": self.kdf.as_str(),
                "check_value": made.kcv.to_string(),
                "held_by": &*made.held_by,
            }))?;
        } else {
            output::text(&format!(
                "{}  version {}, {}, check {}\n",
                made.handle,
                made.version,
                self.kdf.as_str(),
                made.kcv
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
