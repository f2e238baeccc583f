//! The log as static files: hash tiles of height 8 and entry bundles (C2SP tlog-tiles v1).
//!
//! Pure functions over names and bytes: which files a tree of some size consists of, which
//! change when it grows, what stands in them, and how to read subtree roots back out of them.
//! What is read is not trusted: proofs are verified against a checkpoint, and `folder` checks a
//! whole log.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::hash::{HASH_BYTES, Hash, leaf_hash, node_hash};
use crate::merkle::{Frontier, Node};

/// Hashes in a full tile and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Bytes in one entry, at most: its length is a 16-bit number.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Leaves in a log, at most. Far beyond any disk, and it leaves every shift below in range.
pub const LOG_SIZE_MAX: u64 = 1 << 56;

/// The height of a tile.
const TILE_HEIGHT: u8 = 8;
/// Hash tiles read at once that a [`TileReader`] keeps.
const TILES_KEPT: usize = 16;
const PATH_BYTES_MAX: usize = 64;
const TILE_LEVEL_MAX: u8 = 63;

/// What a file of the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Hashes: the roots of complete subtrees of height `8 * level`, level 0 to 63.
    Hashes {
        /// The level.
        level: u8,
    },
    /// The entries themselves.
    Entries,
}

impl Kind {
    /// The size of a log shifted right by so many bits is the number of hashes or entries of this kind.
    const fn shift(self) -> u8 {
        match self {
            Self::Hashes { level } => TILE_HEIGHT * level,
            Self::Entries => 0,
        }
    }
}

/// The name of one tile or entry bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its place in its level, from 0.
    pub index: u64,
    /// Hashes or entries in it: 1 to 256; below 256 it is partial.
    pub width: u16,
}

impl Tile {
    /// The path below the log's prefix: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let level = match self.kind {
            Kind::Hashes { level } => format!("{level}"),
            Kind::Entries => String::from("entries"),
        };
        if self.width < TILE_WIDTH {
            format!("tile/{level}/{number}.p/{}", self.width)
        } else {
            format!("tile/{level}/{number}")
        }
    }

    /// Parses a path; only the form that [`Tile::path`] writes is accepted.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let (level, place) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match level {
            "entries" => Kind::Entries,
            _ => Kind::Hashes { level: level.parse().ok().filter(|l| *l <= TILE_LEVEL_MAX)? },
        };
        let (number, width) = match place.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (place, TILE_WIDTH),
        };
        let mut index = 0_u64;
        for part in number.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { kind, index, width };
        // One name per tile: signs, missing zeroes and widths out of range fail here.
        ((1..=TILE_WIDTH).contains(&width) && tile.path() == path).then_some(tile)
    }

    /// The whole tile that this one grows into.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }
}

/// The entry bundles of a log of `size` entries, in order.
pub fn bundles(size: u64) -> impl Iterator<Item = Tile> {
    let full = size >> TILE_HEIGHT;
    let partial = partial_width(size);
    let end = full + u64::from(partial > 0);
    (0..end).map(move |index| {
        let width = if index < full { TILE_WIDTH } else { partial };
        Tile { kind: Kind::Entries, index, width }
    })
}

/// The files that must be written when a tree grows from `older` to `newer` leaves: bundles and
/// tiles that become full and the partial ones of the new right edge. From 0 it names all files.
#[must_use]
pub fn changed(older: u64, newer: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if older >= newer {
        return tiles;
    }
    changed_in(Kind::Entries, older, newer, &mut tiles);
    for level in 0..=7 {
        let shift = TILE_HEIGHT * level;
        changed_in(Kind::Hashes { level }, older >> shift, newer >> shift, &mut tiles);
    }
    tiles
}

fn changed_in(kind: Kind, older: u64, newer: u64, tiles: &mut Vec<Tile>) {
    if older == newer {
        return;
    }
    for index in older >> TILE_HEIGHT..newer >> TILE_HEIGHT {
        tiles.push(Tile { kind, index, width: TILE_WIDTH });
    }
    let width = partial_width(newer);
    if width > 0 {
        tiles.push(Tile { kind, index: newer >> TILE_HEIGHT, width });
    }
}

/// The width of the partial tile at the end of a level with `hashes` hashes, 0 if there is none.
fn partial_width(hashes: u64) -> u16 {
    // INVARIANT: a remainder of 256 fits 16 bits.
    u16::try_from(hashes % u64::from(TILE_WIDTH)).unwrap_or(0)
}

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub tile: Tile,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why an entry cannot be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The entry exceeds [`ENTRY_BYTES_MAX`].
    EntryTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The log holds [`LOG_SIZE_MAX`] entries.
    LogFull,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryTooLong { bytes } => write!(f, "appending an entry of `{bytes}` bytes"),
            Self::LogFull => f.write_str("appending to a log that is full"),
        }
    }
}

impl core::error::Error for AppendError {}

/// Why an [`Appender`] cannot take up a log again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResumeError {
    /// A file of the right edge is missing.
    Missing(Tile),
    /// A file of the right edge has another length than its name says.
    Damaged(Tile),
    /// The size exceeds [`LOG_SIZE_MAX`].
    Size(u64),
}

impl fmt::Display for ResumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(tile) => write!(f, "resuming the log: `{}` is missing", tile.path()),
            Self::Damaged(tile) => write!(f, "resuming the log: `{}` is damaged", tile.path()),
            Self::Size(size) => write!(f, "resuming a log of `{size}` entries"),
        }
    }
}

impl core::error::Error for ResumeError {}

/// The growing end of a log: takes entries, gives files and the root.
///
/// An append costs one leaf hash, one node hash on average and the copying of the entry. Call
/// [`Appender::take_files`] after a batch, write the files durably, and only then sign and
/// publish the root.
#[derive(Clone, Debug, Default)]
pub struct Appender {
    frontier: Frontier,
    /// The partial tile of each level, as bytes.
    edge: [Vec<u8>; EDGE_LEVELS],
    bundle: Vec<u8>,
    full: Vec<File>,
    /// The size at the last [`Appender::take_files`].
    taken: u64,
}

const EDGE_LEVELS: usize = 8;
const TILE_BYTES: usize = TILE_WIDTH as usize * HASH_BYTES;

impl Appender {
    /// Takes up a log of `size` entries; `lookup` gives the content of a file. Only the right
    /// edge is read. The caller compares [`Appender::root`] with the checkpoint.
    ///
    /// # Errors
    /// [`ResumeError`] when a file is missing or has a wrong length, or the size is absurd.
    pub fn resume(
        size: u64,
        mut lookup: impl FnMut(&Tile) -> Option<Vec<u8>>,
    ) -> Result<Self, ResumeError> {
        if size > LOG_SIZE_MAX {
            return Err(ResumeError::Size(size));
        }
        let mut appender = Self { taken: size, ..Self::default() };
        let width = partial_width(size);
        if width > 0 {
            let tile = Tile { kind: Kind::Entries, index: size >> TILE_HEIGHT, width };
            appender.bundle = lookup(&tile).ok_or(ResumeError::Missing(tile))?;
            if entries(&appender.bundle).take_while(Result::is_ok).count() != usize::from(width)
                || entries(&appender.bundle).any(|entry| entry.is_err())
            {
                return Err(ResumeError::Damaged(tile));
            }
        }
        for (level, edge) in (0_u8..).zip(&mut appender.edge) {
            let hashes = size >> (TILE_HEIGHT * level);
            let width = partial_width(hashes);
            if width == 0 {
                continue;
            }
            let tile = Tile { kind: Kind::Hashes { level }, index: hashes >> TILE_HEIGHT, width };
            *edge = lookup(&tile).ok_or(ResumeError::Missing(tile))?;
            if edge.len() != usize::from(width) * HASH_BYTES {
                return Err(ResumeError::Damaged(tile));
            }
        }
        appender.frontier = Frontier::of(size, |node| {
            let edge = appender.edge.get(usize::from(node.level / TILE_HEIGHT))?;
            Pyramid::of(edge).root(node)
        })
        .map_err(|_| ResumeError::Size(size))?;
        Ok(appender)
    }

    /// Appends an entry and returns its index.
    ///
    /// # Errors
    /// [`AppendError`] when the entry is too long or the log is full; nothing has changed then.
    pub fn append(&mut self, entry: &[u8]) -> Result<u64, AppendError> {
        let index = self.frontier.size();
        let length = u16::try_from(entry.len())
            .map_err(|_| AppendError::EntryTooLong { bytes: entry.len() })?;
        if index >= LOG_SIZE_MAX {
            return Err(AppendError::LogFull);
        }
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(entry);
        let Self { frontier, edge, full, .. } = self;
        frontier.push(leaf_hash(entry), |node, hash| keep(edge, full, node, hash));
        if partial_width(index + 1) == 0 {
            let room = Vec::with_capacity(self.bundle.len());
            let bytes = core::mem::replace(&mut self.bundle, room);
            let tile = Tile { kind: Kind::Entries, index: index >> TILE_HEIGHT, width: TILE_WIDTH };
            self.full.push(File { tile, bytes });
        }
        Ok(index)
    }

    /// The number of entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over all entries.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The files that changed since the last call: those that [`changed`] names for the two
    /// sizes, in another order. Empty if nothing was appended.
    #[must_use]
    pub fn take_files(&mut self) -> Vec<File> {
        let mut files = core::mem::take(&mut self.full);
        let (older, newer) = (self.taken, self.size());
        self.taken = newer;
        let grown = |tile: &Tile| older >> tile.kind.shift() != newer >> tile.kind.shift();
        files.extend(self.partial_files().filter(|file| grown(&file.tile)));
        files
    }

    /// The partial files of the right edge, whether they changed or not.
    pub fn partial_files(&self) -> impl Iterator<Item = File> {
        let size = self.size();
        let levels = (0..).map(|level| Kind::Hashes { level }).zip(&self.edge);
        levels.chain([(Kind::Entries, &self.bundle)]).filter_map(move |(kind, bytes)| {
            let count = size >> kind.shift();
            let width = partial_width(count);
            let tile = Tile { kind, index: count >> TILE_HEIGHT, width };
            (width > 0).then(|| File { tile, bytes: bytes.clone() })
        })
    }
}

/// Puts the root of a completed subtree into the tile where it belongs, if it belongs in one.
fn keep(edge: &mut [Vec<u8>; EDGE_LEVELS], full: &mut Vec<File>, node: Node, hash: &Hash) {
    if !node.level.is_multiple_of(TILE_HEIGHT) {
        return;
    }
    let level = node.level / TILE_HEIGHT;
    let Some(bytes) = edge.get_mut(usize::from(level)) else { return };
    if bytes.capacity() == 0 {
        bytes.reserve_exact(TILE_BYTES);
    }
    bytes.extend_from_slice(hash.as_bytes());
    if bytes.len() == TILE_BYTES {
        let tile = Tile {
            kind: Kind::Hashes { level },
            index: node.index >> TILE_HEIGHT,
            width: TILE_WIDTH,
        };
        let bytes = core::mem::replace(bytes, Vec::with_capacity(TILE_BYTES));
        full.push(File { tile, bytes });
    }
}

/// A bundle ends within an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleError;

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reading an entry bundle: it ends within an entry")
    }
}

impl core::error::Error for BundleError {}

/// The entries of a bundle: each a big-endian 16-bit length and so many bytes. After an error
/// nothing follows.
pub fn entries(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], BundleError>> {
    let mut rest = bundle;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = rest.split_first_chunk::<2>().and_then(|(length, after)| {
            after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        rest = entry.map_or(&[][..], |(_, after)| after);
        Some(entry.map(|(entry, _)| entry).ok_or(BundleError))
    })
}

/// Reads roots of complete subtrees out of tiles, keeping a few tiles at hand. Hand
/// `|node| reader.root(node)` to the proof makers.
pub struct TileReader<F> {
    size: u64,
    lookup: F,
    kept: BTreeMap<(u8, u64), Pyramid>,
}

impl<F: FnMut(&Tile) -> Option<Vec<u8>>> TileReader<F> {
    /// A reader over a log of `size` entries; `lookup` gives the content of a file. Where a
    /// partial tile is gone, the full one is asked for.
    pub const fn new(size: u64, lookup: F) -> Self {
        Self { size, lookup, kept: BTreeMap::new() }
    }

    /// The root of a complete subtree, or nothing if it is beyond the log or its tile is missing
    /// or has a wrong length.
    pub fn root(&mut self, node: Node) -> Option<Hash> {
        let level = node.level / TILE_HEIGHT;
        let height = node.level % TILE_HEIGHT;
        let hashes = self.size.checked_shr(u32::from(TILE_HEIGHT * level))?;
        let index = node.index >> (TILE_HEIGHT - height);
        if !self.kept.contains_key(&(level, index)) {
            let pyramid = self.read(level, index, hashes)?;
            if self.kept.len() >= TILES_KEPT {
                self.kept.pop_first();
            }
            self.kept.insert((level, index), pyramid);
        }
        self.kept.get(&(level, index))?.root(node)
    }

    fn read(&mut self, level: u8, index: u64, hashes: u64) -> Option<Pyramid> {
        let kind = Kind::Hashes { level };
        let width = match index.cmp(&(hashes >> TILE_HEIGHT)) {
            core::cmp::Ordering::Less => TILE_WIDTH,
            core::cmp::Ordering::Equal => partial_width(hashes),
            core::cmp::Ordering::Greater => 0,
        };
        if width == 0 {
            return None;
        }
        let tile = Tile { kind, index, width };
        let bytes = match (self.lookup)(&tile) {
            Some(bytes) => bytes,
            None if width < TILE_WIDTH => (self.lookup)(&tile.full())?,
            None => return None,
        };
        let held = bytes.get(..usize::from(width) * HASH_BYTES)?;
        let expected = [held.len(), TILE_BYTES];
        expected.contains(&bytes.len()).then(|| Pyramid::of(held))
    }
}

/// The roots of all complete subtrees within one tile, by height.
struct Pyramid(Vec<Vec<Hash>>);

impl Pyramid {
    fn of(bytes: &[u8]) -> Self {
        let hashes = bytes.as_chunks::<HASH_BYTES>().0;
        let mut floors = Vec::with_capacity(usize::from(TILE_HEIGHT) + 1);
        let mut floor: Vec<Hash> = hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect();
        while !floor.is_empty() {
            let pairs = floor.as_chunks::<2>().0;
            let next = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
            floors.push(core::mem::replace(&mut floor, next));
        }
        Self(floors)
    }

    fn root(&self, node: Node) -> Option<Hash> {
        let height = node.level % TILE_HEIGHT;
        let place = node.index % (1 << (TILE_HEIGHT - height));
        self.0.get(usize::from(height))?.get(usize::try_from(place).ok()?).copied()
    }
}
