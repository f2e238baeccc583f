//! The audit log as static files (C2SP tlog-tiles): `checkpoint` and `tile/...` in one folder.
//!
//! Leaves are rows first, written with their deeds; a [`sequencer::Sequencer`] turns them into tiles and
//! signs checkpoints. A file is whole under its name or not there, and the checkpoint never names
//! a tile that is not durable.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use audit::folder::CHECKPOINT_PATH;
use audit::tiles::{self, TILE_WIDTH, Tile};

pub mod sequencer;

/// The folder of a log.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder `root`; made when the first file is written.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The content of the file that a client asks for by `path`: the checkpoint or a tile. Nothing
    /// for any other path, so that no path leads out of the folder.
    ///
    /// # Errors
    /// [`io::Error`] when the file is there and cannot be read.
    pub fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if path != CHECKPOINT_PATH && Tile::parse(path).is_none() {
            return Ok(None);
        }
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The content of a tile, for proofs. A partial tile that has grown full is cut out of the
    /// full one by whoever reads it.
    #[must_use]
    pub fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        self.read(&tile.path()).ok().flatten()
    }

    pub(crate) fn checkpoint(&self) -> io::Result<Option<String>> {
        Ok(self.read(CHECKPOINT_PATH)?.map(|note| String::from_utf8_lossy(&note).into_owned()))
    }

    /// Writes files so that all are durable when this returns.
    pub(crate) fn write_tiles(&self, files: &[tiles::File]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for file in files {
            self.write(&file.tile.path(), &file.bytes, &mut folders)?;
        }
        sync(&folders)
    }

    pub(crate) fn write_checkpoint(&self, note: &str) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        self.write(CHECKPOINT_PATH, note.as_bytes(), &mut folders)?;
        sync(&folders)
    }

    /// Removes the partial forms of tiles that are full and published: clients ask for the full one.
    pub(crate) fn remove_partials(&self, files: &[tiles::File]) {
        for file in files.iter().filter(|file| file.tile.width == TILE_WIDTH) {
            // What cannot be removed only takes space.
            let _ = fs::remove_dir_all(self.root.join(format!("{}.p", file.tile.path())));
        }
    }

    fn write(&self, path: &str, bytes: &[u8], folders: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        // New folders are entries of their parents, which must be durable too.
        folders
            .extend(folder.ancestors().take_while(|f| f.starts_with(&self.root)).map(Into::into));
        folders.extend(self.root.parent().map(Into::into));
        let mut staged = path.clone().into_os_string();
        staged.push(".new");
        let written = File::create(&staged)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&staged, &path));
        if written.is_err() {
            let _ = fs::remove_file(&staged);
        }
        written
    }
}

fn sync(folders: &BTreeSet<PathBuf>) -> io::Result<()> {
    let named = folders.iter().filter(|folder| !folder.as_os_str().is_empty());
    named.map(File::open).try_for_each(|folder| folder?.sync_all())
}
