//! Receipts: a proof, verifiable offline, that an entry is in the log (C2SP tlog-proof v1).
//!
//! A receipt carries the checkpoint verbatim and the inclusion proof, not the entry itself.
//! Extra data in a receipt is not authenticated; it is skipped and Limen writes none.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, str};
use base64ct::{Base64, Encoding};
use core::fmt;

use crate::checkpoint::{self, CheckpointError, Verified, parse_number};
use crate::hash::{Hash, leaf_hash};
use crate::merkle::{self, PROOF_HASHES_MAX, ProofError};
use crate::note::{NOTE_BYTES_MAX, VerifierKey};

/// Bytes in a receipt, at most.
pub const RECEIPT_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A receipt for one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The place of the entry, from 0.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling upwards.
    pub path: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// Why a receipt is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptError {
    /// Not the form of a receipt.
    Form,
    /// The receipt or its proof exceeds the limit.
    TooLong,
    /// Its checkpoint is not accepted.
    Checkpoint(CheckpointError),
    /// The entry is not proved to be in the log.
    Proof(ProofError),
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "reading a receipt: not of the form `c2sp.org/tlog-proof@v1`",
            Self::TooLong => "reading a receipt: too many bytes or hashes",
            Self::Checkpoint(_) => "verifying a receipt: its checkpoint is not accepted",
            Self::Proof(_) => "verifying a receipt: the entry is not proved to be in the log",
        })
    }
}

impl core::error::Error for ReceiptError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Checkpoint(source) => Some(source),
            Self::Proof(source) => Some(source),
            Self::Form | Self::TooLong => None,
        }
    }
}

impl Receipt {
    /// The text form, as it is handed to a citizen or a court (`*.tlog-proof`).
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nindex {}\n", self.index);
        for hash in &self.path {
            text.push_str(&hash.to_base64());
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Parses the text form. Nothing in it is trusted before [`Receipt::verify`].
    ///
    /// # Errors
    /// [`ReceiptError::Form`] or [`ReceiptError::TooLong`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong);
        }
        let text = str::from_utf8(bytes).map_err(|_| ReceiptError::Form)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ReceiptError::Form)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(ReceiptError::Form);
        }
        if let Some(extra) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Base64::decode_vec(extra).map_err(|_| ReceiptError::Form)?;
            lines.next();
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(parse_number).ok_or(ReceiptError::Form)?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() >= PROOF_HASHES_MAX {
                return Err(ReceiptError::TooLong);
            }
            path.push(Hash::parse_base64(line).ok_or(ReceiptError::Form)?);
        }
        Ok(Self { index, path, checkpoint: String::from(checkpoint) })
    }

    /// Checks that `entry` is in the log `origin` at this receipt's index, under a checkpoint
    /// signed by one of `keys`.
    ///
    /// # Errors
    /// [`ReceiptError::Checkpoint`] or [`ReceiptError::Proof`].
    pub fn verify(
        &self,
        entry: &[u8],
        origin: &str,
        keys: &[VerifierKey],
    ) -> Result<Verified, ReceiptError> {
        let checkpoint = checkpoint::verify(self.checkpoint.as_bytes(), origin, keys)
            .map_err(ReceiptError::Checkpoint)?;
        let leaf = leaf_hash(entry);
        merkle::verify_inclusion(&leaf, self.index, checkpoint.tree(), &self.path)
            .map_err(ReceiptError::Proof)?;
        Ok(checkpoint)
    }
}
