//! The root of a city that is founded: made by a ceremony, on a token, or in the city's own folder.

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
use server::city::files::RootFile;
use server::config::Config;

use super::Files;
use crate::ceremony::place::{RootFilePlace, open_root_file};
use crate::failure::{Failure, OrFail};
use crate::hsm::Tokens;

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
    pub(super) fn open(&self, tokens: &Tokens) -> Result<Option<Root>, Failure> {
        let verified = self.root_transcript.as_deref().map(verified_ceremony).transpose()?;
        let root = match (self.file.place(), &verified) {
            (Some(_), None) => {
                return Err(Failure::usage("a root needs the transcript of its ceremony")
                    .hint("name it with --root-transcript"));
            }
            (Some(place), Some(_)) => Some(Root::File(open_root_file(&place)?)),
            (None, _) => tokens.root()?.map(Root::Token),
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
        return Err(Failure::usage("the transcript is of a rehearsal, whose keys may not be used"));
    }
    Ok(verified)
}

/// The root in the city's own folder.
pub(super) fn open_own(files: &Files, config: &Config) -> Result<Root, Failure> {
    let folder = files.root_folder();
    let unlock = Unlock::key_file(&folder.join("root.key"), &config.store.data)
        .or_fail("cannot open the root")?;
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
