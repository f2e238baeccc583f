//! Staff keys of custodians: one sealed file each, opened or made while its owner is at the keyboard.

use core::fmt;
use std::path::Path;

use vocabulary::time::Instant;

use super::approval::PersonName;
use super::files;
use super::plan::{Custodian, SealedFile};
use super::room::{Left, Room};
use crate::custody::{Custody, KeepError, Key, KeyHandle, NewKey};
use crate::file::FileError;
use crate::purpose::Purpose;
use crate::seal::{Kind, UnsealError};
use crate::software::{Keystore, OpenError};
use crate::unlock::{Unlock, UnlockError};

/// A custodian who is ready to sign.
pub(super) struct Staff {
    pub(super) name: PersonName,
    pub(super) store: Keystore,
    pub(super) key: Key,
}

/// Opens the file of `custodian`, or makes it with a key in it.
pub(super) async fn open(custodian: &Custodian, room: &mut dyn Room) -> Result<Staff, StaffError> {
    let store = open_file(&custodian.staff, Kind::Server, custodian.name.as_str(), room)?;
    let at: Instant = room.now();
    let key = match store.newest(Purpose::Staff, None) {
        Some(key) => key,
        None => store
            .generate(NewKey::active(Purpose::Staff, None, at))
            .await
            .map_err(StaffError::Keep)?,
    };
    match custodian.staff_key {
        Some(expected) if expected != key.handle => {
            let (name, found) = (custodian.name.clone(), key.handle);
            Err(StaffError::OtherKey { name, expected, found })
        }
        _ => Ok(Staff { name: custodian.name.clone(), store, key }),
    }
}

/// Opens a sealed file of `kind`, or makes it where it is missing, with its key file where the plan
/// names one; otherwise `whose` passphrase is asked for.
///
/// # Errors
/// [`StaffError`].
pub fn open_file(
    file: &SealedFile,
    kind: Kind,
    whose: &str,
    room: &mut dyn Room,
) -> Result<Keystore, StaffError> {
    let is_new = !file.path.exists();
    let unlock = match &file.key_file {
        Some(key_file) => open_key_file(key_file, &file.path, is_new)?,
        None => {
            let text = room.passphrase(whose, is_new).map_err(StaffError::Left)?;
            Unlock::passphrase(&text).map_err(StaffError::Unlock)?
        }
    };
    let opened = match (is_new, kind) {
        // That file is no keystore.
        (_, Kind::Halves) => Err(OpenError::Unseal(UnsealError::Damaged)),
        (true, _) => {
            files::make_folder_of(&file.path).map_err(StaffError::File)?;
            Keystore::create(&file.path, kind, &unlock)
        }
        (false, Kind::Server | Kind::Vault) => Keystore::open_server(&file.path, &unlock),
        (false, Kind::Root) => Keystore::open_root(&file.path, &unlock),
    };
    opened.map_err(StaffError::Open)
}

fn open_key_file(path: &Path, sealed: &Path, is_new: bool) -> Result<Unlock, StaffError> {
    if is_new && !path.exists() {
        files::make_folder_of(path).map_err(StaffError::File)?;
        Unlock::create_key_file(path).map_err(StaffError::Unlock)?;
    }
    // A sealed file is not a folder of data: nothing lies inside it.
    Unlock::key_file(path, sealed).map_err(StaffError::Unlock)
}

/// Why a custodian's sealed file is not used.
#[derive(Debug)]
pub enum StaffError {
    /// Nobody was there to type the passphrase.
    Left(Left),
    /// The passphrase or the key file is none.
    Unlock(UnlockError),
    /// The file did not open.
    Open(OpenError),
    /// A folder could not be made.
    File(FileError),
    /// The key could not be kept.
    Keep(KeepError),
    /// The file holds another key than the plan says.
    OtherKey {
        /// Whose.
        name: PersonName,
        /// The key in the plan.
        expected: KeyHandle,
        /// The key in the file.
        found: KeyHandle,
    },
}

impl fmt::Display for StaffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(error) => write!(f, "{error}"),
            Self::Unlock(error) => write!(f, "{error}"),
            Self::Open(error) => write!(f, "{error}"),
            Self::File(error) => write!(f, "{error}"),
            Self::Keep(error) => write!(f, "{error}"),
            Self::OtherKey { name, expected, found } => write!(
                f,
                "open signing key: the file of `{name}` holds `{found}`, the plan says `{expected}`"
            ),
        }
    }
}

impl core::error::Error for StaffError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unlock(source) => source.source(),
            Self::Open(source) => source.source(),
            Self::File(source) => source.source(),
            Self::Keep(source) => source.source(),
            _ => None,
        }
    }
}
