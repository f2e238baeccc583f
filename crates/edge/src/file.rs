//! Small files that are either the old or the new one after a crash, never something between.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const CHECK_SUM_BYTES: usize = 32;

/// Makes the folder at `path`, and those above it, for its owner only. One that is there stays as
/// it is.
///
/// # Errors
/// [`io::Error`] that names the folder.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| named(&error, "cannot make folder", path))
}

/// Replaces the file at `path` by `bytes`, readable by its owner only, and returns once that is
/// durable.
///
/// # Errors
/// [`io::Error`] that names the file; the old content is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    let written = create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What was written in vain takes no room on a full disk.
        let _ = fs::remove_file(&temporary);
    }
    let durable = written.and_then(|()| sync_folder(path));
    durable.map_err(|error| named(&error, "cannot write", path))
}

/// [`replace`], with a check sum (SHA-256) before the bytes, for [`read_checked`].
///
/// # Errors
/// Those of [`replace`].
pub fn replace_checked(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, &[&Sha256::digest(bytes)[..], bytes].concat())
}

/// Reads the file at `path`, or nothing where there is none.
///
/// # Errors
/// [`io::Error`] that names the file, also if it exceeds `bytes_max`.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(&error, "cannot read", path)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| named(&error, "cannot read", path))?;
    if bytes.len() as u64 > bytes_max {
        let size =
            io::Error::new(io::ErrorKind::FileTooLarge, format!("exceeds {bytes_max} bytes"));
        return Err(named(&size, "cannot read", path));
    }
    Ok(Some(bytes))
}

/// Reads what [`replace_checked`] wrote, or nothing where there is no file.
///
/// # Errors
/// [`io::Error`] that names the file; of kind `InvalidData` if it is damaged.
pub fn read_checked(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(mut bytes) = read(path, bytes_max.saturating_add(CHECK_SUM_BYTES as u64))? else {
        return Ok(None);
    };
    match bytes.split_first_chunk::<CHECK_SUM_BYTES>() {
        Some((sum, content)) if <[u8; 32]>::from(Sha256::digest(content)) == *sum => {
            bytes.drain(..CHECK_SUM_BYTES);
            Ok(Some(bytes))
        }
        _ => Err(damaged(path)),
    }
}

/// The error of a file whose content cannot be used.
pub(crate) fn damaged(path: &Path) -> io::Error {
    let error = io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
    named(&error, "cannot read", path)
}

/// Where the next content of the file at `path` is written.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// A new file for its owner only; one that a crash left there is removed.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Returns once the name of the file at `path` is durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

pub(crate) fn named(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{what} `{}`: {error}", path.display()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder of its own for one test, removed with it.
    pub(crate) struct Folder(pub(crate) std::path::PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("limen-edge-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_for_its_owner_only() {
        let folder = Folder::new("replace");
        let path = folder.0.join("state");
        assert_eq!(read(&path, 10).unwrap(), None);
        for content in [&b"first"[..], b"second"] {
            replace(&path, content).unwrap();
            assert_eq!(read(&path, 10).unwrap().as_deref(), Some(content));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn a_file_past_the_limit_is_refused() {
        let folder = Folder::new("limit");
        let path = folder.0.join("state");
        replace(&path, &[0; 11]).unwrap();
        assert!(read(&path, 11).is_ok());
        assert_eq!(read(&path, 10).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn every_changed_bit_of_a_checked_file_is_noticed() {
        let folder = Folder::new("checked");
        let path = folder.0.join("state");
        assert_eq!(read_checked(&path, 10).unwrap(), None);
        replace_checked(&path, b"content").unwrap();
        assert_eq!(read_checked(&path, 7).unwrap().as_deref(), Some(&b"content"[..]));
        assert_eq!(read_checked(&path, 6).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[position] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                let error = read_checked(&path, 7).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            }
            fs::write(&path, &whole[..position]).unwrap();
            assert!(read_checked(&path, 7).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn a_folder_is_made_for_its_owner_only() {
        let folder = Folder::new("folder");
        let path = folder.0.join("a/b");
        make_folder(&path).unwrap();
        make_folder(&path).unwrap();
        for made in [path.as_path(), path.parent().unwrap()] {
            assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn what_a_crash_left_is_overwritten_and_not_written_through() {
        let folder = Folder::new("left");
        let path = folder.0.join("state");
        let other = folder.0.join("other");
        fs::write(&other, b"other").unwrap();
        std::os::unix::fs::symlink(&other, folder.0.join(".state.new")).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"other");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content() {
        let folder = Folder::new("failure");
        let path = folder.0.join("state");
        replace(&path, b"old").unwrap();
        fs::create_dir(folder.0.join(".state.new")).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(read(&path, 10).unwrap().as_deref(), Some(&b"old"[..]));
    }
}
