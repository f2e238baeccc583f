//! What a decide function of this crate wants written, as whole entities.

use policy::place::{Grant, Place};

use crate::enrolment::Enrolment;
use crate::journal::Upload;
use crate::reader::Reader;
use crate::taps::TapSettings;

/// Rows to write, in the transaction that also writes the audit entry.
///
/// Entities carry a `version`. `Insert` needs that nothing of that key exists; `Update` needs
/// that the stored version is one less than the entity's. Otherwise somebody else was faster,
/// nothing is written, and the caller decides anew on what is stored then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new place; key: its code, in the whole city.
    InsertPlace(Place),
    /// A new grant; key: everything but its date. Giving it again changes nothing.
    InsertGrant(Grant),
    /// What taps must prove: version 1 is an insert, the next an update.
    SetTaps(TapSettings),
    /// A new enrolment; key: its id.
    InsertEnrolment(Enrolment),
    /// An enrolment that lost a try.
    UpdateEnrolment(Enrolment),
    /// A reader came to be: the enrolment is used up, the reader is new; both or neither.
    EnrolReader {
        /// The enrolment, used up; an update.
        enrolment: Enrolment,
        /// The reader; an insert.
        reader: Reader,
    },
    /// A reader that changed (certificate, bundle epoch, retired).
    UpdateReader(Reader),
    /// A piece of journal: the reader's new head and the records; all or nothing.
    AppendJournal {
        /// The reader with its new journal head and watermark; an update.
        reader: Reader,
        /// The records; an insert, key: reader and number of the first record.
        upload: Upload,
    },
}
