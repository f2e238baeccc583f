//! The root of a city at hand: made by a ceremony, on a token, or in the city's own folder.

use std::path::{Path, PathBuf};

use clap::Args;
use keys::ceremony::files;
use keys::ceremony::transcript::TRANSCRIPT_BYTES_MAX;
use keys::ceremony::transcript::verify::{Expected, Verified, verify};
use keys::custody::Custody;
use keys::purpose::Purpose;
use keys::software::Keystore;
use keys::token::Token;
use keys::unlock::Unlock;
use server::city::ceremony::{CeremonyError, Custodians};
use server::city::files::{RootFile, open_keeper};
use server::city::rotation::Sharing;
use server::config::Config;
use server::start::StartError;

use super::{Files, runtime, with_service};
use crate::ceremony::place::{RootFilePlace, open_root_file};
use crate::failure::{Failure, OrFail};
use crate::hsm::RootToken;

/// Who holds the root.
pub(crate) enum Root {
    File(Keystore),
    Token(Token),
}

impl Root {
    pub(super) fn custody(&self) -> &dyn Custody {
        match self {
            Self::File(keys) => keys,
            Self::Token(token) => token,
        }
    }
}

/// The root that a deed needs, wherever it lies.
#[derive(Args, Clone, Debug)]
pub(crate) struct RootAtHand {
    #[command(flatten)]
    token: RootToken,
    #[command(flatten)]
    ceremony: RootOfCeremony,
}

impl RootAtHand {
    fn open(&self, files: &Files, config: &Config) -> Result<Root, Failure> {
        match self.ceremony.open(&self.token)? {
            Some(root) => Ok(root),
            None => open_own(files, config),
        }
    }
}

/// A root that a ceremony made; without one, the root lies in the city's folder.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RootOfCeremony {
    /// The signed transcript of the ceremony that made the root.
    #[arg(long, value_name = "FILE")]
    root_transcript: Option<PathBuf>,
    #[command(flatten)]
    file: RootFilePlace,
}

impl RootOfCeremony {
    /// The root at hand, on its token or in its file. Of a ceremony it must be the one that the
    /// transcript tells of; a root in a file always is of one.
    pub(super) fn open(&self, token: &RootToken) -> Result<Option<Root>, Failure> {
        let verified = self.root_transcript.as_deref().map(verified_ceremony).transpose()?;
        let root = match (self.file.place(), &verified) {
            (Some(_), None) => {
                return Err(Failure::usage("a root needs the transcript of its ceremony")
                    .hint("name it with --root-transcript"));
            }
            (Some(place), Some(_)) => Some(Root::File(open_root_file(&place)?)),
            (None, _) => token.open()?.map(Root::Token),
        };
        let Some(verified) = verified else { return Ok(root) };
        let root = root.ok_or_else(|| {
            Failure::usage("the transcript does not say how to reach the root")
                .hint("name a token (--root-token, --module) or a file (--root-file)")
        })?;
        let key = root.custody().newest(Purpose::CityRoot, None);
        let certificate = key.and_then(|key| key.certificate);
        if certificate.as_deref() != Some(&verified.certificate[..]) {
            return Err(Failure::usage("the root there is not the one of the transcript"));
        }
        Ok(Some(root))
    }
}

/// A transcript that holds, of a ceremony that was not for practice.
fn verified_ceremony(path: &Path) -> Result<Verified, Failure> {
    let bytes = files::read(path, TRANSCRIPT_BYTES_MAX).or_fail("cannot read the transcript")?;
    let verified = verify(&bytes, &Expected::default()).or_fail("cannot use this root")?;
    if verified.rehearsal {
        return Err(Failure::usage("the transcript is of a rehearsal, whose keys may not be used")
            .hint("hold a ceremony: `limen ceremony run PLAN.toml`"));
    }
    Ok(verified)
}

/// The root in the city's own folder.
fn open_own(files: &Files, config: &Config) -> Result<Root, Failure> {
    let folder = files.root_folder();
    let unlock = Unlock::key_file(&folder.join("root.key"), &config.store.data)
        .or_fail("cannot open the root")
        .map_err(|failure| {
            failure.hint(
                "bring its folder back, or say where it lies: --root-token, --root-transcript",
            )
        })?;
    let path = folder.join("root.keys");
    let root = RootFile { path: &path, unlock: &unlock };
    root.open().map(Root::File).or_fail("cannot open the root")
}

/// Makes the root's file in the city's own folder.
pub(super) fn create_own(files: &Files, config: &Config) -> Result<Root, Failure> {
    let attempt = "cannot create the root";
    let (key, path) = (files.root_folder().join("root.key"), files.root_folder().join("root.keys"));
    Unlock::create_key_file(&key).or_fail(attempt)?;
    let unlock = Unlock::key_file(&key, &config.store.data).or_fail(attempt)?;
    let root = RootFile { path: &path, unlock: &unlock };
    root.create().map(Root::File).or_fail(attempt)
}

/// Holds a ceremony with the root of a city and with whoever holds its other keys; a key service that
/// does not run does here, for as long as it takes.
pub(crate) fn with_root<T>(
    files: &Files,
    root: &RootAtHand,
    config: &Config,
    ceremony: impl AsyncFnOnce(Custodians<'_>, Sharing) -> Result<T, CeremonyError>,
) -> Result<T, Failure> {
    let root = root.open(files, config)?;
    with_keys(files, Some(root.custody()), config, ceremony)
}

/// The same with a root that is at hand already, or none.
pub(crate) fn with_keys<T>(
    files: &Files,
    root: Option<&dyn Custody>,
    config: &Config,
    ceremony: impl AsyncFnOnce(Custodians<'_>, Sharing) -> Result<T, CeremonyError>,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        match open_keeper(config).await {
            Err(StartError::KeyService(_)) if files.keys_config().exists() => {
                let alone = async |keys: &dyn Custody| {
                    ceremony(custodians(root, keys), Sharing::Alone).await
                };
                with_service(&files.keys_config(), config, alone).await
            }
            keeper => {
                let keeper = keeper.or_fail("cannot reach the keys of the city")?;
                let is_shared = keeper.service.is_some();
                let sharing = if is_shared { Sharing::Shared } else { Sharing::Alone };
                let custodians = custodians(root, &*keeper.custody);
                ceremony(custodians, sharing).await.or_fail("cannot go on")
            }
        }
    })
}

fn custodians<'c>(root: Option<&'c dyn Custody>, city: &'c dyn Custody) -> Custodians<'c> {
    root.map_or(Custodians::without_root(city), |root| Custodians { root, city })
}
