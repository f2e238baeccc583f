//! Small files that are either the old or the new one after a crash, never something between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces the file at `path` by `bytes`, readable by its owner only, and returns once that is
/// durable.
///
/// # Errors
/// [`io::Error`] that names the file; the old content is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.new"));
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error| named(&error, "cannot write", path))
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
    fn a_write_that_fails_leaves_the_old_content() {
        let folder = Folder::new("failure");
        let path = folder.0.join("state");
        replace(&path, b"old").unwrap();
        fs::create_dir(folder.0.join(".state.new")).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(read(&path, 10).unwrap().as_deref(), Some(&b"old"[..]));
    }
}
