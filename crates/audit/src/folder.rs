//! Verification of a whole log from its files, offline: the checkpoint's signature, every tile,
//! every bundle, the inclusion of every entry, and that the log continues an older checkpoint.
//!
//! A pure function over a lookup of files by path. It trusts nothing but the keys and the older
//! checkpoint that it is given, and it never stops at the first file: what it accepts is whole.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::checkpoint::{self, CheckpointError, Verified};
use crate::hash::{Hash, leaf_hash};
use crate::merkle::{self, ProofError, ProveError};
use crate::note::VerifierKey;
use crate::tiles::{
    Appender, File, Kind, LOG_SIZE_MAX, TILE_WIDTH, Tile, TileReader, bundles, entries,
};

/// The path of the checkpoint below the log's prefix.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderError {
    /// A file that a log of this size has is missing.
    Missing {
        /// Its path.
        path: String,
    },
    /// The checkpoint is not accepted.
    Checkpoint(CheckpointError),
    /// The checkpoint claims a size that no log has.
    Size {
        /// That size.
        size: u64,
    },
    /// A bundle does not hold exactly the entries that its name says.
    Bundle {
        /// Its path.
        path: String,
    },
    /// A tile does not hold the hashes of the entries.
    Tile {
        /// Its path.
        path: String,
    },
    /// The entries lead to another root than the checkpoint's.
    Root,
    /// An entry is not proved to be in the checkpoint's tree.
    Inclusion {
        /// Its index.
        index: u64,
        /// Why.
        source: ProofError,
    },
    /// A proof cannot be made out of the tiles.
    Prove(ProveError),
    /// The log does not continue the older checkpoint.
    Consistency {
        /// The size of the older checkpoint.
        older: u64,
        /// Why.
        source: ProofError,
    },
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(f, "verifying the log: `{path}` is missing"),
            Self::Checkpoint(_) => f.write_str("verifying the log: its checkpoint is not accepted"),
            Self::Size { size } => write!(f, "verifying a log of `{size}` entries"),
            Self::Bundle { path } => write!(f, "verifying the log: `{path}` is no entry bundle"),
            Self::Tile { path } => {
                write!(f, "verifying the log: `{path}` does not fit the entries")
            }
            Self::Root => f.write_str("verifying the log: the entries lead to another root"),
            Self::Inclusion { index, .. } => {
                write!(f, "verifying the log: entry `{index}` is not proved to be in it")
            }
            Self::Prove(_) => f.write_str("verifying the log: its tiles give no proof"),
            Self::Consistency { older, .. } => {
                write!(f, "verifying the log: it does not continue the checkpoint of `{older}`")
            }
        }
    }
}

impl core::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Checkpoint(source) => Some(source),
            Self::Inclusion { source, .. } | Self::Consistency { source, .. } => Some(source),
            Self::Prove(source) => Some(source),
            _ => None,
        }
    }
}

/// Where a log is and who signs it.
pub struct Log<'a, F> {
    /// Gives the content of a file by its path below the log's prefix.
    pub lookup: F,
    /// The origin that the checkpoint must name.
    pub origin: &'a str,
    /// The keys of which one must have signed.
    pub keys: &'a [VerifierKey],
    /// A checkpoint of this log that was verified earlier.
    pub older: Option<&'a Verified>,
}

/// Verifies a whole log and tells `each` of every entry with its index, in order. What `each`
/// hears counts only once the function has returned `Ok`.
///
/// # Errors
/// [`FolderError`] naming the first thing that is wrong.
pub fn verify<F: FnMut(&str) -> Option<Vec<u8>>>(
    log: Log<'_, F>,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<Verified, FolderError> {
    let Log { mut lookup, origin, keys, older } = log;
    let note = read(&mut lookup, CHECKPOINT_PATH)?;
    let verified = checkpoint::verify(&note, origin, keys).map_err(FolderError::Checkpoint)?;
    let tree = *verified.tree();
    if tree.size > LOG_SIZE_MAX {
        return Err(FolderError::Size { size: tree.size });
    }
    let leaves = rebuild(&mut lookup, tree.size, &tree.root, &mut each)?;
    let mut reader = TileReader::new(tree.size, |tile: &Tile| lookup(&tile.path()));
    for (index, leaf) in (0..).zip(&leaves) {
        let proof = merkle::prove_inclusion(index, tree.size, |node| reader.root(node))
            .map_err(FolderError::Prove)?;
        merkle::verify_inclusion(leaf, index, &tree, &proof)
            .map_err(|source| FolderError::Inclusion { index, source })?;
    }
    if let Some(older) = older.map(Verified::tree) {
        let inconsistent = |source| FolderError::Consistency { older: older.size, source };
        if older.size > tree.size {
            return Err(inconsistent(ProofError::Range));
        }
        let proof = merkle::prove_consistency(older.size, tree.size, |node| reader.root(node))
            .map_err(FolderError::Prove)?;
        merkle::verify_consistency(older, &tree, &proof).map_err(inconsistent)?;
    }
    Ok(verified)
}

/// Grows the log anew from its bundles and compares every file that comes out with the one that
/// is there. Returns the leaf hashes.
fn rebuild(
    lookup: &mut impl FnMut(&str) -> Option<Vec<u8>>,
    size: u64,
    root: &Hash,
    each: &mut impl FnMut(u64, &[u8]),
) -> Result<Vec<Hash>, FolderError> {
    let mut appender = Appender::default();
    let mut leaves = Vec::new();
    for tile in bundles(size) {
        let path = tile.path();
        let bundle = read(lookup, &path)?;
        let mut count = 0_u16;
        for entry in entries(&bundle) {
            let malformed = || FolderError::Bundle { path: path.clone() };
            let entry = entry.map_err(|_| malformed())?;
            count = count.checked_add(1).ok_or_else(malformed)?;
            let index = appender.append(entry).map_err(|_| malformed())?;
            leaves.push(leaf_hash(entry));
            each(index, entry);
        }
        if count != tile.width {
            return Err(FolderError::Bundle { path });
        }
        // Partial tiles of sizes in between need not exist.
        let files = appender.take_files();
        compare_tiles(lookup, files.into_iter().filter(|f| f.tile.width == TILE_WIDTH))?;
    }
    compare_tiles(lookup, appender.partial_files())?;
    if appender.root() == *root { Ok(leaves) } else { Err(FolderError::Root) }
}

fn compare_tiles(
    lookup: &mut impl FnMut(&str) -> Option<Vec<u8>>,
    expected: impl Iterator<Item = File>,
) -> Result<(), FolderError> {
    for File { tile, bytes } in expected.filter(|file| file.tile.kind != Kind::Entries) {
        let path = tile.path();
        if read(lookup, &path)? != bytes {
            return Err(FolderError::Tile { path });
        }
    }
    Ok(())
}

fn read(
    lookup: &mut impl FnMut(&str) -> Option<Vec<u8>>,
    path: &str,
) -> Result<Vec<u8>, FolderError> {
    lookup(path).ok_or_else(|| FolderError::Missing { path: String::from(path) })
}
