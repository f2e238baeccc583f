//! The socket: where it is, however long its path, and who is at the other end.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Bytes in the path of a socket that every system takes.
const PATH_BYTES_MAX: usize = 100;

/// A way to the socket `path` that is short enough, and what must stay open meanwhile.
fn short(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path.into(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    // Linux: the open folder has a short name.
    Ok((Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name), Some(folder)))
}

/// Listens at `path`, where nothing may stand.
///
/// # Errors
/// [`io::Error`] of the system.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (path, _folder) = short(path)?;
    UnixListener::bind(path)
}

/// Connects to the service at `path`. Who listens must be the owner of the folder in which the
/// socket lies, for nobody else could have put it there in earnest, or `uid` where that is said.
///
/// # Errors
/// [`io::Error`], of kind [`io::ErrorKind::PermissionDenied`] when somebody else listens.
pub async fn connect(path: &Path, uid: Option<u32>) -> io::Result<UnixStream> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let owner = std::fs::metadata(folder.unwrap_or(Path::new(".")))?.uid();
    let (short, _folder) = short(path)?;
    let stream = UnixStream::connect(short).await?;
    let peer = stream.peer_cred()?.uid();
    if peer != uid.unwrap_or(owner) {
        let text = format!("user `{peer}` listens there, who is not the key service");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(stream)
}
