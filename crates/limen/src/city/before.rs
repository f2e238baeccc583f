//! What lay where a city is to be made, so that one that failed takes away what it made and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files and folders that may lie there.
const ENTRIES_MAX: usize = 10_000;

/// What lay at some places before.
pub(super) struct Before {
    places: Vec<PathBuf>,
    there: BTreeSet<PathBuf>,
}

impl Before {
    /// Looks at `places`, and at all that is in those that are folders. Folders above them that are
    /// missing are looked at, too, since whoever makes a place makes them.
    pub(super) fn of(places: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let places: Vec<PathBuf> = places.into_iter().map(first_missing).collect();
        let mut there = BTreeSet::new();
        let mut left = places.clone();
        while let Some(path) = left.pop() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                left.extend(children(&path)?);
            }
            there.insert(path);
            if there.len() > ENTRIES_MAX {
                let message = format!("more than {ENTRIES_MAX} files lie there already");
                return Err(io::Error::other(message));
            }
        }
        Ok(Self { places, there })
    }

    /// Removes what was not there; what does not go stays.
    pub(super) fn restore(&self) {
        let mut left = self.places.clone();
        while let Some(path) = left.pop() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let _ = match (self.there.contains(&path), metadata.is_dir()) {
                (true, true) => children(&path).map(|inside| left.extend(inside)),
                (true, false) => Ok(()),
                (false, true) => fs::remove_dir_all(&path),
                (false, false) => fs::remove_file(&path),
            };
        }
    }
}

fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// `path`, or the folder above it that is missing and furthest up.
fn first_missing(path: PathBuf) -> PathBuf {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let above = path.ancestors().skip(1).take_while(is_missing).last();
    above.map(Path::to_path_buf).unwrap_or(path)
}
