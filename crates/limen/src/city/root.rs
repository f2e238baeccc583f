//! The root of a city at hand, in its file or on its token, and what is done with it.

use keys::custody::Custody;
use keys::software::Keystore;
use keys::token::Token;
use keys::unlock::Unlock;
use server::city::ceremony::{CeremonyError, Custodians};
use server::city::files::{RootFile, open_keeper};
use server::city::rotation::Sharing;
use server::config::Config;
use server::start::StartError;

use super::{Files, runtime, with_service};
use crate::failure::{Failure, OrFail};
use crate::hsm::RootToken;

/// Who holds the root.
pub(crate) enum Root {
    File(Keystore),
    Token(Token),
}

impl Root {
    /// Opens the token that is named, or the file in the folder of the city.
    fn open(files: &Files, token: &RootToken, config: &Config) -> Result<Self, Failure> {
        if let Some(token) = token.open()? {
            return Ok(Self::Token(token));
        }
        let folder = files.root_folder();
        let attempt = "cannot open the root";
        let unlock =
            Unlock::key_file(&folder.join("root.key"), &config.store.data).or_fail(attempt)?;
        let path = folder.join("root.keys");
        RootFile { path: &path, unlock: &unlock }.open().map(Self::File).or_fail(attempt)
    }

    pub(super) fn custody(&self) -> &dyn Custody {
        match self {
            Self::File(keys) => keys,
            Self::Token(token) => token,
        }
    }
}

/// Holds a ceremony with the root of a city and with whoever holds its other keys; a key service that
/// does not run does here, for as long as it takes.
pub(crate) fn with_root<T>(
    files: &Files,
    token: &RootToken,
    config: &Config,
    ceremony: impl AsyncFnOnce(Custodians<'_>, Sharing) -> Result<T, CeremonyError>,
) -> Result<T, Failure> {
    let root = Root::open(files, token, config)?;
    runtime()?.block_on(async {
        match open_keeper(config).await {
            Err(StartError::KeyService(_)) if files.keys_config().exists() => {
                let alone = async |keys: &dyn Custody| {
                    let custodians = Custodians { root: root.custody(), city: keys };
                    ceremony(custodians, Sharing::Alone).await
                };
                with_service(&files.keys_config(), config, alone).await
            }
            keeper => {
                let keeper = keeper.or_fail("cannot reach the keys of the city")?;
                let is_shared = keeper.service.is_some();
                let sharing = if is_shared { Sharing::Shared } else { Sharing::Alone };
                let custodians = Custodians { root: root.custody(), city: &*keeper.custody };
                ceremony(custodians, sharing).await.or_fail("cannot hold the ceremony")
            }
        }
    })
}
