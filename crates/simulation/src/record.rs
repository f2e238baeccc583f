//! What happened, counted: per level, and who believed an old key until when.

use crate::scenario::Minute;

/// A level of keys that is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Root,
    IssuingAuthority,
    DocumentSigner,
    ReaderAuthority,
    ReaderCertificate,
    StatusList,
    Bundle,
    Checkpoint,
}

impl Level {
    pub(crate) const ALL: [Self; 8] = [
        Self::Root,
        Self::IssuingAuthority,
        Self::DocumentSigner,
        Self::ReaderAuthority,
        Self::ReaderCertificate,
        Self::StatusList,
        Self::Bundle,
        Self::Checkpoint,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::IssuingAuthority => "issuing-authority",
            Self::DocumentSigner => "document-signer",
            Self::ReaderAuthority => "reader-authority",
            Self::ReaderCertificate => "reader-certificate",
            Self::StatusList => "status-list",
            Self::Bundle => "bundle",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// The counts of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Who should have been believed and was not.
    pub(crate) wrong_denials: u64,
    /// For everyone who believed the old key: until when.
    pub(crate) believed_until: Vec<Minute>,
    /// Everyone who still believes it at the end.
    pub(crate) alive: u32,
}

impl Counts {
    /// Notes until when one believer believed; `None` where it never did, `Some(None)` where it does.
    pub(crate) fn note(&mut self, until: Option<Option<Minute>>) {
        match until {
            Some(Some(until)) => self.believed_until.push(until),
            Some(None) => self.alive += 1,
            None => {}
        }
    }
}

/// Everything that is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    levels: [Counts; Level::ALL.len()],
    pub(crate) taps: u64,
    pub(crate) refused_expired: u64,
    pub(crate) offline_minutes: u64,
    pub(crate) minutes: u64,
    pub(crate) bundles: u64,
    pub(crate) bundles_sampled: u64,
}

impl Tally {
    pub(crate) fn of(&self, level: Level) -> Counts {
        self.levels.get(level as usize).cloned().unwrap_or_default()
    }

    pub(crate) fn at(&mut self, level: Level) -> &mut Counts {
        let [root, issuing, signer, authority, certificate, status, bundle, checkpoint] =
            &mut self.levels;
        match level {
            Level::Root => root,
            Level::IssuingAuthority => issuing,
            Level::DocumentSigner => signer,
            Level::ReaderAuthority => authority,
            Level::ReaderCertificate => certificate,
            Level::StatusList => status,
            Level::Bundle => bundle,
            Level::Checkpoint => checkpoint,
        }
    }

    /// Adds what another part of the fleet did, which comes after this one.
    pub(crate) fn merge(&mut self, other: Self) {
        for (own, other) in self.levels.iter_mut().zip(other.levels) {
            own.wrong_denials += other.wrong_denials;
            own.believed_until.extend(other.believed_until);
            own.alive += other.alive;
        }
        self.taps += other.taps;
        self.refused_expired += other.refused_expired;
        self.offline_minutes += other.offline_minutes;
        self.minutes += other.minutes;
        self.bundles += other.bundles;
        self.bundles_sampled += other.bundles_sampled;
    }
}
