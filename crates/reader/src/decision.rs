//! Decisions: what became of one tap, with a reason from a closed list.
//!
//! Codes are stable: they stand in journals and in machine-readable answers. The words are for
//! people. A reason never says more about a pass than that it does not open this door now.

use core::fmt;

use credential::rejection::{Culprit, Rejection};

use crate::table::Closed;

/// What the reader does about a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The door opens.
    Granted {
        /// The place of the rule among the rules of the door, from 0, in the bundle of the watermark.
        rule: u16,
        /// How long it stays unlocked, in milliseconds.
        unlock_ms: u32,
    },
    /// It stays closed.
    Refused(Reason),
}

/// Why a door stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The table of this reader does not open this door to this pass.
    Closed(Closed),
    /// The pass is good, but not yet.
    NotYetValid,
    /// The pass, or what vouches for it, was good until earlier.
    Expired,
    /// The pass does not hold at this hour or on this day.
    OutsideHours,
    /// The pass was revoked.
    Revoked,
    /// The pass is suspended.
    Suspended,
    /// The reader cannot tell the status of the pass.
    StatusUnknown,
    /// What the reader knows of the status is too old for this door.
    StatusStale,
    /// The device does not hold the key of the pass.
    HolderMismatch,
    /// The pass was changed after it was issued.
    PassAltered,
    /// The issuer's signature does not hold, or it signed what it must not.
    PassForged,
    /// Nobody whom this reader trusts vouches for the issuer of the pass.
    IssuerUnknown,
    /// The pass names another operator than the one that vouches for its issuer.
    OperatorMismatch,
    /// The message was changed on its way, or is of another session.
    WireTampered,
    /// The phone sent what no wallet sends.
    Malformed,
    /// The holder declined.
    Declined,
    /// The phone has no pass that was asked for.
    NoPass,
    /// The phone withheld a claim without which the pass gives no rights.
    Withheld,
    /// The pass counts its uses, which this reader cannot.
    UsesCounted,
    /// The phone left, or did not answer in time.
    Interrupted,
    /// An answer took longer than this door allows: a relay is suspected.
    TooSlow,
    /// The pass needs its owner to be present to the device, and nobody was.
    NoPresence,
    /// The handle was used here before: the pass is on two devices.
    HandleCopied,
    /// All uses of the pass are used.
    UsesSpent,
    /// The phone or card left before it said whether the use was written.
    Unratified,
    /// The door asks for more than this tap proved: a bundle said so while it was under way.
    ProfileTooLow,
    /// The reader has no trust bundle yet.
    NoBundle,
    /// The reader's trust bundle has expired.
    BundleExpired,
    /// The reader's clock shows less than a time that was signed.
    ClockBehind,
    /// The reader cannot record: no record, no deed.
    JournalFull,
    /// The record of a grant took too long to become durable.
    RecordLate,
    /// The reader's own key or entropy failed.
    ReaderFault,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 36] = [
        Self::Closed(Closed::Door),
        Self::Closed(Closed::Product),
        Self::Closed(Closed::Class),
        Self::Closed(Closed::Place),
        Self::Closed(Closed::Zone),
        Self::NotYetValid,
        Self::Expired,
        Self::OutsideHours,
        Self::Revoked,
        Self::Suspended,
        Self::StatusUnknown,
        Self::StatusStale,
        Self::HolderMismatch,
        Self::PassAltered,
        Self::PassForged,
        Self::IssuerUnknown,
        Self::OperatorMismatch,
        Self::WireTampered,
        Self::Malformed,
        Self::Declined,
        Self::NoPass,
        Self::Withheld,
        Self::UsesCounted,
        Self::Interrupted,
        Self::TooSlow,
        Self::NoPresence,
        Self::HandleCopied,
        Self::UsesSpent,
        Self::Unratified,
        Self::ProfileTooLow,
        Self::NoBundle,
        Self::BundleExpired,
        Self::ClockBehind,
        Self::JournalFull,
        Self::RecordLate,
        Self::ReaderFault,
    ];

    /// The stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed(closed) => closed.as_str(),
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::OutsideHours => "outside-hours",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::StatusUnknown => "status-unknown",
            Self::StatusStale => "status-stale",
            Self::HolderMismatch => "holder-key-mismatch",
            Self::PassAltered => "pass-altered",
            Self::PassForged => "pass-forged",
            Self::IssuerUnknown => "issuer-unknown",
            Self::OperatorMismatch => "operator-mismatch",
            Self::WireTampered => "wire-tampered",
            Self::Malformed => "malformed",
            Self::Declined => "declined",
            Self::NoPass => "no-pass",
            Self::Withheld => "rights-withheld",
            Self::UsesCounted => "uses-counted",
            Self::Interrupted => "interrupted",
            Self::TooSlow => "too-slow",
            Self::NoPresence => "presence-needed",
            Self::HandleCopied => "handle-copied",
            Self::UsesSpent => "uses-spent",
            Self::Unratified => "unratified",
            Self::ProfileTooLow => "profile-too-low",
            Self::NoBundle => "no-bundle",
            Self::BundleExpired => "bundle-expired",
            Self::ClockBehind => "clock-behind",
            Self::JournalFull => "journal-full",
            Self::RecordLate => "record-late",
            Self::ReaderFault => "reader-fault",
        }
    }

    /// The reason of a code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code)
    }

    /// The reason that a rejected credential or session is told with.
    #[must_use]
    pub fn of(rejection: &Rejection) -> Self {
        match (rejection.culprit, rejection.code) {
            (Culprit::Time, code) if code.ends_with("expired") => Self::Expired,
            (Culprit::Time, _) => Self::NotYetValid,
            (Culprit::Trust, _) => Self::IssuerUnknown,
            (Culprit::Issuer, _) => Self::PassForged,
            (Culprit::Holder, "session-undecryptable") => Self::WireTampered,
            (Culprit::Holder, "session-declined") => Self::Declined,
            (Culprit::Holder, "no-document" | "response-status") => Self::NoPass,
            (Culprit::Holder, "rights-withheld") => Self::Withheld,
            (Culprit::Holder, code) if is_alteration(code) => Self::PassAltered,
            (Culprit::Holder, _) => Self::HolderMismatch,
            (Culprit::Wire, "link-lost" | "session-timed-out") => Self::Interrupted,
            (Culprit::Wire, "too-slow") => Self::TooSlow,
            (Culprit::Wire, _) => Self::Malformed,
            (Culprit::Reader, _) => Self::ReaderFault,
        }
    }
}

/// Whether a code of `credential::mdoc` says that disclosed elements are not those issued.
fn is_alteration(code: &str) -> bool {
    code.starts_with("digest-") || code.starts_with("element-") || code.starts_with("doc-type-")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(closed) => return fmt::Display::fmt(closed, f),
            Self::NotYetValid => "the pass is not valid yet",
            Self::Expired => "the pass has expired",
            Self::OutsideHours => "the pass does not hold at this hour",
            Self::Revoked => "the pass was revoked",
            Self::Suspended => "the pass is suspended",
            Self::StatusUnknown => "the status of the pass is not known here",
            Self::StatusStale => "the reader's knowledge of revoked passes is too old",
            Self::HolderMismatch => "this device does not hold the key of the pass",
            Self::PassAltered => "the pass was changed after it was issued",
            Self::PassForged => "the issuer's signature on the pass does not hold",
            Self::IssuerUnknown => "nobody trusted here vouches for the issuer of the pass",
            Self::OperatorMismatch => "the pass names an operator that did not issue it",
            Self::WireTampered => "the answer was changed on its way or is of another session",
            Self::Malformed => "the phone sent something that is no answer",
            Self::Declined => "the holder declined",
            Self::NoPass => "the phone has no pass for this door",
            Self::Withheld => "the phone withheld a part of the pass that is needed",
            Self::UsesCounted => "the pass counts its uses, which this reader cannot",
            Self::Interrupted => "the phone left before it had answered",
            Self::TooSlow => "the answer took too long to come from here: a relay is suspected",
            Self::NoPresence => "the owner must confirm on the device",
            Self::HandleCopied => "this pass is on another device, too",
            Self::UsesSpent => "all uses of the pass are used",
            Self::Unratified => "the card left too early: hold it to the reader again",
            Self::ProfileTooLow => "this door asks for more by now: hold the device to it again",
            Self::NoBundle => "the reader has no instructions from the city yet",
            Self::BundleExpired => "the reader's instructions from the city have expired",
            Self::ClockBehind => "the reader's clock is wrong",
            Self::JournalFull => "the reader cannot write its journal",
            Self::RecordLate => "the reader was too slow to write its journal",
            Self::ReaderFault => "the reader is out of order",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::from_code("granted"), None);
    }
}
