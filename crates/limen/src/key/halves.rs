//! The sealed file of ML-DSA halves beside a token: what a city needs to have hybrid keys there.

use std::path::{Path, PathBuf};

use keys::hybrid::Hybrid;
use keys::purpose::Suite;
use keys::service::config::{Config as Keys, Sealed};
use keys::unlock::Unlock;
use server::city::rotation::Level;
use server::config::Config;

use super::reload::Draft;
use crate::city::{Files, runtime};
use crate::failure::{Failure, OrFail};

/// Files of one folder: more tokens than a city moves over.
const FILES_MAX: usize = 64;

/// A file that was made, with the key file that opens it.
pub(crate) struct Made {
    /// As the configuration names it.
    pub(crate) sealed: Sealed,
    files: [PathBuf; 2],
}

impl Made {
    /// Takes it back; it is empty.
    pub(crate) fn discard(&self) {
        // Left over, it is in nobody's way: the next one gets another name.
        self.files.iter().for_each(|path| drop(std::fs::remove_file(path)));
    }
}

/// Makes an empty file in `folder`, which the configuration names by its place in `base`; `data` is the
/// folder of the city's data, which backups copy.
pub(crate) fn make(base: &Path, folder: &Path, data: &Path) -> Result<Made, Failure> {
    let attempt = "cannot make the file of ML-DSA halves";
    let names = (1..=FILES_MAX).map(|number| match number {
        1 => String::from("halves"),
        number => format!("halves-{number}"),
    });
    let mut named =
        names.map(|name| ["keys", "key"].map(|ending| folder.join(format!("{name}.{ending}"))));
    let [path, key_file] =
        named
            .find(|paths| paths.iter().all(|path| !base.join(path).exists()))
            .ok_or_else(|| Failure::usage(format!("{attempt}: `{}` is full", folder.display())))?;
    let files = [base.join(&path), base.join(&key_file)];
    Unlock::create_key_file(&files[1]).or_fail(attempt)?;
    let unlock = Unlock::key_file(&files[1], data).or_fail(attempt)?;
    Hybrid::create_file(&files[0], &unlock).or_fail(attempt)?;
    Ok(Made { sealed: Sealed { path, key_file: Some(key_file), passphrase_file: None }, files })
}

/// As [`make`], for a city with the configuration `keys` at `path`: beside the journal of uses.
pub(super) fn make_for(path: &Path, keys: &Keys, config: &Config) -> Result<Made, Failure> {
    let base = path.parent().unwrap_or(Path::new(""));
    let folder = keys.journal.parent().unwrap_or(Path::new(""));
    make(base, folder, &config.store.data)
}

/// Gives a city whose keys lie on a token the file that its next keys need, if a suite of `levels` is
/// hybrid and it has none; the service that runs reads its configuration again.
pub(super) fn ensure(files: &Files, config: &Config, levels: &[Level]) -> Result<(), Failure> {
    let mut purposes = levels.iter().flat_map(|level| level.purposes());
    let is_hybrid = purposes.any(|it| config.keys.suites.of(*it) == Suite::Es256MlDsa44);
    let path = files.keys_config();
    if !is_hybrid || config.keys.service.is_none() || !path.exists() {
        return Ok(());
    }
    let draft = Draft::of(&path)?;
    if draft.keys().token.is_none() || draft.keys().halves.is_some() {
        return Ok(());
    }
    let made = make_for(&path, draft.keys(), config)?;
    let next = Keys { halves: Some(made.sealed.clone()), ..draft.keys().clone() };
    let served = runtime()?.block_on(draft.put(config, next));
    served.inspect_err(|_| made.discard())
}
