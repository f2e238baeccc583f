//! Checkpoints: the signed head of the log (C2SP tlog-checkpoint v1).
//!
//! A [`Verified`] checkpoint comes only from [`verify`]. Extension lines are kept as they are and
//! never interpreted; Limen writes none.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::hash::Hash;
use crate::merkle::Tree;
use crate::note::{self, NoteError, Unsigned, VerifierKey};

/// What a checkpoint says, trusted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The identity of the log: one line, not empty.
    pub origin: String,
    /// Size and root.
    pub tree: Tree,
    /// Further lines, each ending in a newline; empty in checkpoints that Limen writes.
    pub extension: String,
}

impl Checkpoint {
    /// The checkpoint of the log that `key` signs for: its origin is the name of the key.
    ///
    /// # Errors
    /// [`NoteError`] when the name cannot stand in a note.
    pub fn unsigned(tree: &Tree, key: &VerifierKey) -> Result<Unsigned, NoteError> {
        Unsigned::new(format!("{}\n{}\n{}\n", key.name(), tree.size, tree.root), key)
    }

    fn parse(text: &str) -> Option<Self> {
        let (origin, rest) = text.split_once('\n')?;
        let (size, rest) = rest.split_once('\n')?;
        let (root, extension) = rest.split_once('\n')?;
        let size = parse_number(size)?;
        let root = Hash::parse_base64(root)?;
        let lines_empty = extension.split_inclusive('\n').any(|line| line == "\n");
        (!origin.is_empty() && !lines_empty).then(|| Self {
            origin: String::from(origin),
            tree: Tree { size, root },
            extension: String::from(extension),
        })
    }
}

/// A checkpoint whose signature by a trusted key was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified(Checkpoint);

impl Verified {
    /// What it says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.0
    }

    /// Size and root.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.0.tree
    }
}

/// Why a checkpoint is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// The note is not accepted.
    Note(NoteError),
    /// The text of the note is not a checkpoint.
    Form,
    /// The checkpoint is of another log.
    Origin {
        /// The origin that it names.
        found: String,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(_) => f.write_str("verifying a checkpoint: its note is not accepted"),
            Self::Form => f.write_str("verifying a checkpoint: not origin, size and root"),
            Self::Origin { found } => write!(f, "verifying a checkpoint of another log, `{found}`"),
        }
    }
}

impl core::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Note(source) => Some(source),
            _ => None,
        }
    }
}

/// Verifies a checkpoint of the log `origin`, signed by one of `keys`.
///
/// # Errors
/// [`CheckpointError`] when it is not signed, malformed or of another log.
pub fn verify(
    note: &[u8],
    origin: &str,
    keys: &[VerifierKey],
) -> Result<Verified, CheckpointError> {
    let text = note::open(note, keys).map_err(CheckpointError::Note)?;
    let checkpoint = Checkpoint::parse(text).ok_or(CheckpointError::Form)?;
    if checkpoint.origin == origin {
        Ok(Verified(checkpoint))
    } else {
        Err(CheckpointError::Origin { found: checkpoint.origin })
    }
}

/// A decimal number without sign and leading zeroes.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if digits && !padded { text.parse().ok() } else { None }
}
