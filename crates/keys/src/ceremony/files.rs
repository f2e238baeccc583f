//! The files of a ceremony: made with mode 600, never over another one, read with a limit.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::shares::Share;
use crate::file::{self, FileError};

/// Bytes in the file of a share, with its heading.
pub const SHARE_FILE_BYTES_MAX: usize = 4096;

/// Where the record of a ceremony lies that has not come to its end.
#[must_use]
pub fn partial(transcript: &Path) -> PathBuf {
    let mut name = transcript.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Makes the file `path`, and its folder where that is missing. It must not exist.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    make_folder_of(path)?;
    file::create_secret(path, bytes)
}

/// Puts `bytes` in place of the file `path`, or makes it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    make_folder_of(path)?;
    file::replace_secret(path, bytes)
}

/// Makes the folder in which `path` is to lie, for its owner alone.
///
/// # Errors
/// [`FileError::Io`].
pub fn make_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Some(folder) = folder else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| FileError::Io { deed: "create", path: folder.into(), source })
}

/// Removes `path`; `Ok` as well where it is not there.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Io { deed: "remove", path: path.into(), source })
        }
        _ => Ok(()),
    }
}

/// Reads at most `bytes_max` bytes; what is longer is [`FileError::TooLarge`].
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let fail = |source| FileError::Io { deed: "read", path: path.into(), source };
    let file = File::open(path).map_err(fail)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max.min(8192)));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > bytes_max {
        return Err(FileError::TooLarge { path: path.into() });
    }
    Ok(bytes)
}

/// The text of the file of a share: lines that begin with `#` are for people.
pub(crate) fn share_text(heading: &[String], share: &Share) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(SHARE_FILE_BYTES_MAX));
    for line in heading {
        text.push_str("# ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&share.danger_text());
    text.push('\n');
    text
}

/// The share in the text of such a file, or typed from paper.
#[must_use]
pub fn without_heading(text: &str) -> Zeroizing<String> {
    let mut share = Zeroizing::new(String::with_capacity(text.len()));
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        share.push_str(line);
        share.push('\n');
    }
    share
}
