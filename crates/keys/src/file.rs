//! Secret files on disk: permissions, bounded reads, atomic replacement.
//!
//! A secret file is refused when its group or others may read or write it. A replacement is
//! written beside the old file, flushed, renamed over it, and the directory is flushed: at every
//! moment the name leads to a whole file, the old or the new.

use core::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Bytes that a secret file may hold (32 MiB).
pub const FILE_BYTES_MAX: u64 = 32 << 20;

/// Reads a secret file.
///
/// # Errors
/// [`FileError::Loose`] when the group or others have any permission; [`FileError::TooLarge`] past
/// [`FILE_BYTES_MAX`]; [`FileError::NotAFile`] for a directory or device.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let fail = |source| FileError::Io { deed: "read", path: path.into(), source };
    let file = File::open(path).map_err(fail)?;
    // Asked of the open file, not of the name: the name may lead elsewhere a moment later.
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.into() });
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::Loose { path: path.into(), mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.into() });
    }
    let capacity = usize::try_from(metadata.len()).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity + 1));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// Puts `bytes` in place of the file `path`, or makes it, with mode 600.
///
/// # Errors
/// [`FileError::Io`]; the old file is then untouched.
pub(crate) fn replace_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let staged = staged_path(path);
    let written = write_staged(&staged, bytes)
        .and_then(|()| fs::rename(&staged, path))
        .and_then(|()| sync_folder(path));
    written.map_err(|source| {
        // What is left of an attempt is of no use; failing to remove it changes nothing.
        let _ = fs::remove_file(&staged);
        FileError::Io { deed: "write", path: path.into(), source }
    })
}

/// Makes the file `path`, with mode 600, which must not exist.
///
/// # Errors
/// [`FileError::Io`], of kind [`io::ErrorKind::AlreadyExists`] when something stands there.
pub(crate) fn create_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let staged = staged_path(path);
    // A hard link, unlike a rename, does not replace what stands there.
    let written = write_staged(&staged, bytes).and_then(|()| fs::hard_link(&staged, path));
    let removed = fs::remove_file(&staged);
    written.and(removed).and_then(|()| sync_folder(path)).map_err(|source| FileError::Io {
        deed: "create",
        path: path.into(),
        source,
    })
}

/// Whether `path` lies in `folder`, both resolved through links. A folder that does not exist
/// contains nothing.
///
/// # Errors
/// [`FileError::Io`] when `path` or `folder` cannot be resolved.
pub(crate) fn lies_inside(path: &Path, folder: &Path) -> Result<bool, FileError> {
    let resolve = |path: &Path| {
        fs::canonicalize(path).map_err(|source| FileError::Io {
            deed: "resolve",
            path: path.into(),
            source,
        })
    };
    match fs::exists(folder) {
        Ok(false) => Ok(false),
        _ => Ok(resolve(path)?.starts_with(resolve(folder)?)),
    }
}

fn staged_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn write_staged(staged: &Path, bytes: &[u8]) -> io::Result<()> {
    // A leftover of a process that died between write and rename.
    match fs::remove_file(staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(staged)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Flushes the folder in which `path` lies.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Why a secret file was not read or written.
#[derive(Debug)]
pub enum FileError {
    /// The operating system said no.
    Io {
        /// `read`, `write`, `create` or `resolve`.
        deed: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner have permissions.
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, a device or a socket.
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// More than [`FILE_BYTES_MAX`].
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { deed, path, .. } => write!(f, "{deed} `{}`", path.display()),
            Self::Loose { path, mode } => {
                let path = path.display();
                write!(f, "`{path}` is open to others (mode `{mode:03o}`): run `chmod 600 {path}`")
            }
            Self::NotAFile { path } => write!(f, "`{}` is not a plain file", path.display()),
            Self::TooLarge { path } => {
                write!(f, "`{}` is larger than `{FILE_BYTES_MAX}` bytes", path.display())
            }
        }
    }
}

impl core::error::Error for FileError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
