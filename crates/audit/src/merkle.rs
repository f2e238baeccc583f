//! The Merkle tree: growing it at its right edge, proofs of inclusion and of consistency, and
//! their verification (RFC 6962, section 2.1; verification as in RFC 9162, 2.1.3.2 and 2.1.4.2).
//!
//! Never trusts a proof's length or a tree size: every step is bounded by the 64 bits of a size.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::hash::{self, Hash, node_hash};

/// Hashes in a proof, at most: one for each bit of a tree size and one more.
pub const PROOF_HASHES_MAX: usize = 65;

const LEVELS: usize = 64;

/// A complete subtree: the `index`-th one of `2^level` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The height, 0 for a leaf, at most 63.
    pub level: u8,
    /// Its place among the subtrees of this height, from the left, from 0.
    pub index: u64,
}

/// The right edge of a tree: the roots of the complete subtrees that its size is the sum of.
/// All that is needed to append and to know the root.
#[derive(Clone, Debug)]
pub struct Frontier {
    size: u64,
    /// At `level`: the root of the complete subtree of that height, valid if the bit is set in `size`.
    roots: [Hash; LEVELS],
}

impl Default for Frontier {
    fn default() -> Self {
        Self { size: 0, roots: [Hash::from_bytes([0; hash::HASH_BYTES]); LEVELS] }
    }
}

impl Frontier {
    /// The edge of a tree of `size` leaves; `read` gives the root of a complete subtree.
    ///
    /// # Errors
    /// [`MissingNode`] when `read` does not know a subtree.
    pub fn of(size: u64, mut read: impl FnMut(Node) -> Option<Hash>) -> Result<Self, MissingNode> {
        let mut frontier = Self { size, ..Self::default() };
        for (level, root) in (0_u8..).zip(&mut frontier.roots) {
            if size >> level & 1 == 1 {
                let node = Node { level, index: (size >> level) - 1 };
                *root = read(node).ok_or(MissingNode { node })?;
            }
        }
        Ok(frontier)
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf and tells `completed` of every subtree that it completes, itself first,
    /// from the lowest to the highest.
    ///
    /// The caller keeps the size below `u64::MAX`.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Node, &Hash)) {
        let mut root = leaf;
        for (level, slot) in (0_u8..).zip(&mut self.roots) {
            let index = self.size >> level;
            completed(Node { level, index }, &root);
            if index & 1 == 0 {
                *slot = root;
                break;
            }
            root = node_hash(slot, &root);
        }
        self.size += 1;
    }

    /// The root of the tree (RFC 6962, 2.1: the Merkle Tree Hash).
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for (level, left) in self.roots.iter().enumerate() {
            if self.size >> level & 1 == 1 {
                root = Some(root.map_or(*left, |right| node_hash(left, &right)));
            }
        }
        root.unwrap_or_else(hash::empty_root)
    }
}

/// A subtree that was needed is not known to the reader that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingNode {
    /// The subtree that was asked for.
    pub node: Node,
}

impl fmt::Display for MissingNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node { level, index } = self.node;
        write!(f, "reading subtree `{index}` of level `{level}`: its tile is missing or damaged")
    }
}

impl core::error::Error for MissingNode {}

/// Why a proof could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProveError {
    /// The leaf or the older tree lies beyond the tree.
    Range,
    /// A subtree is not known.
    Missing(MissingNode),
}

impl fmt::Display for ProveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range => f.write_str("proving a leaf or a tree that lies beyond the log"),
            Self::Missing(missing) => missing.fmt(f),
        }
    }
}

impl core::error::Error for ProveError {}

/// The proof that leaf `index` is in the tree of `size` leaves, from the leaf's sibling upwards
/// (RFC 6962, 2.1.1). `read` gives the root of a complete subtree.
///
/// # Errors
/// [`ProveError`] when `index` is not below `size` or `read` does not know a subtree.
pub fn prove_inclusion(
    index: u64,
    size: u64,
    mut read: impl FnMut(Node) -> Option<Hash>,
) -> Result<Vec<Hash>, ProveError> {
    if index >= size {
        return Err(ProveError::Range);
    }
    let mut siblings = Vec::with_capacity(PROOF_HASHES_MAX);
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let middle = range.start + split(range.end - range.start);
        if index < middle {
            siblings.push(middle..range.end);
            range.end = middle;
        } else {
            siblings.push(range.start..middle);
            range.start = middle;
        }
    }
    roots_upwards(&siblings, &mut read)
}

/// The proof that the tree of `size` leaves continues the tree of `older` leaves (RFC 6962, 2.1.2).
/// Empty if the sizes are equal or the older tree is empty.
///
/// # Errors
/// [`ProveError`] when `older` is above `size` or `read` does not know a subtree.
pub fn prove_consistency(
    older: u64,
    size: u64,
    mut read: impl FnMut(Node) -> Option<Hash>,
) -> Result<Vec<Hash>, ProveError> {
    if older > size {
        return Err(ProveError::Range);
    }
    if older == 0 || older == size {
        return Ok(Vec::new());
    }
    let mut parts = Vec::with_capacity(PROOF_HASHES_MAX);
    let mut range = 0..size;
    while older != range.end {
        let middle = range.start + split(range.end - range.start);
        if older <= middle {
            parts.push(middle..range.end);
            range.end = middle;
        } else {
            parts.push(range.start..middle);
            range.start = middle;
        }
    }
    // The older root itself is known to the verifier: it is left out when it is a whole subtree.
    if range.start != 0 {
        parts.push(range);
    }
    roots_upwards(&parts, &mut read)
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The leaf or the older tree lies beyond the tree.
    Range,
    /// The proof has too few or too many hashes for these sizes.
    Length,
    /// The proof leads to another root.
    Root,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Range => "verifying a proof for a leaf or a tree that lies beyond the log",
            Self::Length => "verifying a proof: the number of hashes does not fit the sizes",
            Self::Root => "verifying a proof: it leads to another root",
        })
    }
}

impl core::error::Error for ProofError {}

/// A tree as a checkpoint names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The number of leaves.
    pub size: u64,
    /// The root.
    pub root: Hash,
}

/// Checks that `leaf` is at `index` in `tree` (RFC 9162, 2.1.3.2).
///
/// # Errors
/// [`ProofError`] when it is not proved.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    tree: &Tree,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if index >= tree.size {
        return Err(ProofError::Range);
    }
    let mut path = Path { node: index, last: tree.size - 1 };
    let mut root = *leaf;
    for sibling in proof {
        root = match path.step()? {
            Side::Left => node_hash(sibling, &root),
            Side::Right => node_hash(&root, sibling),
        };
    }
    path.finish()?;
    if root == tree.root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that `newer` continues `older`: every leaf of the older tree is in its place in the
/// newer one (RFC 9162, 2.1.4.2).
///
/// # Errors
/// [`ProofError`] when it is not proved.
pub fn verify_consistency(older: &Tree, newer: &Tree, proof: &[Hash]) -> Result<(), ProofError> {
    if older.size > newer.size {
        return Err(ProofError::Range);
    }
    if older.size == 0 || older.size == newer.size {
        let expected = if older.size == 0 { hash::empty_root() } else { newer.root };
        return match (proof, older.root == expected) {
            ([], true) => Ok(()),
            ([], false) => Err(ProofError::Root),
            _ => Err(ProofError::Length),
        };
    }
    let shift = (older.size - 1).trailing_ones();
    let mut path = Path { node: (older.size - 1) >> shift, last: (newer.size - 1) >> shift };
    let (start, rest) = if older.size.is_power_of_two() {
        (older.root, proof)
    } else {
        let (start, rest) = proof.split_first().ok_or(ProofError::Length)?;
        (*start, rest)
    };
    let (mut older_root, mut newer_root) = (start, start);
    for part in rest {
        match path.step()? {
            Side::Left => {
                older_root = node_hash(part, &older_root);
                newer_root = node_hash(part, &newer_root);
            }
            Side::Right => newer_root = node_hash(&newer_root, part),
        }
    }
    path.finish()?;
    if older_root == older.root && newer_root == newer.root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Where a verification stands: a node and the last node of its level.
struct Path {
    node: u64,
    last: u64,
}

/// On which side of the path the next hash of a proof stands.
enum Side {
    Left,
    Right,
}

impl Path {
    fn step(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::Length);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // At the right edge a node without a sibling rises unchanged.
            while self.node & 1 == 0 && self.node != 0 {
                self.node >>= 1;
                self.last >>= 1;
            }
            Side::Left
        } else {
            Side::Right
        };
        self.node >>= 1;
        self.last >>= 1;
        Ok(side)
    }

    fn finish(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::Length) }
    }
}

/// The largest power of two below `leaves`, which is at least 2 (RFC 6962, 2.1: `k`).
const fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

fn roots_upwards(
    ranges: &[Range<u64>],
    read: &mut impl FnMut(Node) -> Option<Hash>,
) -> Result<Vec<Hash>, ProveError> {
    ranges.iter().rev().map(|range| range_root(range.clone(), read)).collect()
}

/// The root over a range that a split made: its complete subtrees, joined from the right.
fn range_root(
    range: Range<u64>,
    read: &mut impl FnMut(Node) -> Option<Hash>,
) -> Result<Hash, ProveError> {
    let mut frontier = Vec::with_capacity(LEVELS);
    let mut start = range.start;
    while start < range.end {
        // INVARIANT: an ilog2 of a u64 is at most 63.
        let level = u8::try_from((range.end - start).ilog2()).unwrap_or(0);
        let node = Node { level, index: start >> level };
        frontier.push(read(node).ok_or(ProveError::Missing(MissingNode { node }))?);
        start += 1 << level;
    }
    let root = frontier.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    Ok(root.unwrap_or_else(hash::empty_root))
}
