//! The city's knowledge of one reader.

use audit::journal::Head;
use policy::action::Action;
use policy::actor::Object;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::code::{OperatorCode, PlaceCode};
use vocabulary::id::ReaderId;
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::change::Change;
use crate::refusal::Refusal;
use crate::secret::SecretHash;

/// Bytes in the label of a reader.
pub const LABEL_BYTES_MAX: usize = 64;
/// Doors that one reader serves.
pub const DOORS_MAX: usize = 8;

/// A reader that has been enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The key.
    pub id: ReaderId,
    /// The operator to which it belongs.
    pub operator: OperatorCode,
    /// What people call it.
    pub label: Line<LABEL_BYTES_MAX>,
    /// The doors that it serves, 1 to [`DOORS_MAX`] places; the first is where it hangs.
    pub doors: Vec<PlaceCode>,
    /// Whether it still counts.
    pub state: ReaderState,
    /// Its public key: an uncompressed point of P-256 (SEC 1, 2.3.3).
    pub key: [u8; 65],
    /// Hash of the secret by which it speaks to the server.
    pub secret: SecretHash,
    /// Its certificate.
    pub certificate: ReaderCertificate,
    /// The epoch of the newest bundle that was made for it; 0 before the first. It only grows.
    pub bundle_epoch: u64,
    /// How far its journal is known.
    pub journal: JournalHead,
    /// What it knew when it wrote the newest journal record that is known.
    pub watermark: Option<Watermark>,
    /// The statement of its delivery keys (`credential::delivery::recipient::Statement`), once it has
    /// made one. Whoever wraps a key for it checks this anew.
    pub delivery_keys: Option<Vec<u8>>,
    /// When it was enrolled.
    pub enrolled_at: Instant,
    /// Counts the writes, from 1.
    pub version: u32,
}

/// Whether a reader still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderState {
    /// In service.
    Enrolled,
    /// Out of service for good; it gets no bundle and no certificate any more. Its journal is still taken.
    Retired {
        /// Since when.
        at: Instant,
    },
}

/// The certificate of a reader (ISO/IEC 18013-5 Annex B.1.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderCertificate {
    /// DER.
    pub der: Vec<u8>,
    /// Its first instant.
    pub not_before: Instant,
    /// Its last instant.
    pub not_after: Instant,
}

/// The end of the known part of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// The number that the next record must have.
    pub next: u64,
    /// The hash of the record before it, or of the journal's name if there is none
    /// (`audit::journal::Head::start` with the bytes of the reader's identifier).
    pub hash: [u8; 32],
}

/// What a reader knew at some moment, as it signed it into its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The epoch of its trust bundle; 0 if it had none.
    pub bundle_epoch: u64,
    /// When the status list that it used was issued, if it had one.
    pub status_issued_at: Option<Instant>,
    /// When it wrote so, by its own clock.
    pub at: Instant,
}

impl JournalHead {
    /// The head of the empty journal of `reader`.
    #[must_use]
    pub fn start(reader: ReaderId) -> Self {
        Self::of(&Head::start(*reader.as_bytes()))
    }

    pub(crate) const fn of(head: &Head) -> Self {
        Self { next: head.entries(), hash: *head.hash().as_bytes() }
    }
}

impl Reader {
    /// The place where the reader hangs: its first door.
    #[must_use]
    pub fn place(&self) -> Option<&PlaceCode> {
        self.doors.first()
    }

    /// Whether the reader is in service.
    #[must_use]
    pub const fn is_enrolled(&self) -> bool {
        matches!(self.state, ReaderState::Enrolled)
    }

    /// Passes when the permit was asked for this very reader, or for readers at large.
    pub(crate) fn is_object_of(&self, permit: &Permit) -> Result<(), WrongPermit> {
        match permit.object() {
            Object::Any => Ok(()),
            Object::Reader(id) if id == self.id => Ok(()),
            _ => Err(WrongPermit { given: permit.action(), needed: permit.action() }),
        }
    }

    /// The next version of this entity.
    pub(crate) fn next(&self) -> Self {
        Self { version: self.version.saturating_add(1), ..self.clone() }
    }
}

/// Takes `reader` out of service for good.
///
/// # Errors
/// [`Refusal::Retired`] when it is so already, [`Refusal::Permit`] for a wrong permit.
pub fn retire_reader(permit: &Permit, reader: &Reader, now: Instant) -> Result<Change, Refusal> {
    permit.covers(Action::ReaderRetire, &reader.operator)?;
    reader.is_object_of(permit)?;
    if !reader.is_enrolled() {
        return Err(Refusal::Retired);
    }
    Ok(Change::UpdateReader(Reader { state: ReaderState::Retired { at: now }, ..reader.next() }))
}
