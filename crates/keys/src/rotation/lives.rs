//! How long the keys of each purpose live, and why.

use core::time::Duration;

use crate::purpose::{Purpose, Suite};

const DAY: Duration = Duration::from_secs(86_400);

/// How long a trust bundle counts where the city does not say otherwise. A reader without a network
/// acts for so long on what it was told, so whatever a bundle teaches takes so long to be known.
pub const BUNDLE_LIFE_DEFAULT: Duration = DAY.saturating_mul(7);
/// The longest life of a bundle that a city can choose.
pub const BUNDLE_LIFE_MAX: Duration = DAY.saturating_mul(30);
/// Added to every lead: clocks differ, and a server looks after its keys once an hour.
pub const LEARNING_MARGIN: Duration = DAY;
/// How long wallets and auditors have to fetch the city's trust: they have no life that forces them,
/// so a month is a promise to those who look once a month, and written in the guide.
pub const WALLET_LEARNING: Duration = DAY.saturating_mul(30);
/// How long an old key stays at hand beside its successor: answers under way and a second server
/// finish with the one that they began with.
pub const OVERLAP: Duration = DAY;
/// How long the certificate of a document signer holds; no document outlives it.
pub const DOCUMENT_SIGNER_LIFE: Duration = DAY.saturating_mul(90);
/// How long before that end the next document signer is made: a month for a person to find out that
/// an issuing authority cannot be reached.
pub const DOCUMENT_SIGNER_RENEWAL: Duration = DAY.saturating_mul(30);
/// How long the certificate of a reader holds.
pub const READER_CERTIFICATE_LIFE: Duration = DAY.saturating_mul(7);
/// How long a status list holds.
pub const STATUS_LIST_LIFE: Duration = DAY.saturating_mul(7);
/// How long before the end of a certificate made with the root its successor is due: a quarter of a
/// year to bring the custodians together.
pub const RENEWAL: Duration = DAY.saturating_mul(90);

/// The life of a key of one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Published for so long before its first use; see [`Lives::lead`].
    pub lead: Duration,
    /// Active for so long when its successor is made. It signs until the successor has had its lead.
    pub successor_after: Duration,
    /// Its successor is due so long before the end of its certificate, whatever its age.
    pub renew_before: Duration,
    /// Active beside its successor for so long.
    pub overlap: Duration,
    /// Retired for so long before it is destroyed: what it signed is alive no longer than this.
    pub hold: Duration,
}

/// The lives of all purposes in a city.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    bundle_life: Duration,
    leads: Leads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leads {
    Kept,
    Skipped,
}

impl Default for Lives {
    fn default() -> Self {
        Self::new(BUNDLE_LIFE_DEFAULT)
    }
}

impl Lives {
    /// The lives in a city whose bundles count for `bundle_life`, at most [`BUNDLE_LIFE_MAX`].
    #[must_use]
    pub const fn new(bundle_life: Duration) -> Self {
        let longest = BUNDLE_LIFE_MAX.as_secs();
        let seconds = bundle_life.as_secs();
        let seconds = if seconds < longest { seconds } else { longest };
        Self { bundle_life: Duration::from_secs(seconds), leads: Leads::Kept }
    }

    /// The same lives, but a key signs as soon as it is made. Whoever has not heard of it refuses
    /// what it signed: for the control of a test, and for a key whose predecessor is worse.
    #[must_use]
    pub const fn danger_without_leads(self) -> Self {
        Self { leads: Leads::Skipped, ..self }
    }

    /// How long a bundle counts.
    #[must_use]
    pub const fn bundle_life(&self) -> Duration {
        self.bundle_life
    }

    /// The life of a key of `purpose`.
    #[must_use]
    pub const fn of(&self, purpose: Purpose) -> Life {
        let life = self.kept(purpose);
        match self.leads {
            Leads::Kept => life,
            Leads::Skipped => Life { lead: Duration::ZERO, ..life },
        }
    }

    /// For how long a key of `purpose` and `suite` is published before its first use: documents name a
    /// hybrid document signer instead of carrying its certificate, so readers must know it before.
    #[must_use]
    pub const fn lead(&self, purpose: Purpose, suite: Suite) -> Duration {
        match (self.leads, purpose, suite) {
            (Leads::Kept, Purpose::DocumentSignerMdoc, Suite::Es256MlDsa44) => {
                self.bundle_life.saturating_add(LEARNING_MARGIN)
            }
            _ => self.of(purpose).lead,
        }
    }

    const fn kept(&self, purpose: Purpose) -> Life {
        // A bundle from before the publication is dead everywhere by then.
        let readers_learn = self.bundle_life.saturating_add(LEARNING_MARGIN);
        let wallets_learn = longer(readers_learn, WALLET_LEARNING);
        let life = Life {
            lead: Duration::ZERO,
            successor_after: DAY.saturating_mul(365),
            renew_before: RENEWAL,
            overlap: OVERLAP,
            hold: readers_learn,
        };
        match purpose {
            // Readers follow the link from the old root to the new one and could do so at once;
            // wallets and verifiers fetch it. What the old root certified is certified anew when the
            // new one is made, so nothing needs it once every bundle under it has ended.
            Purpose::CityRoot => Life {
                lead: wallets_learn,
                successor_after: DAY.saturating_mul(5 * 365),
                renew_before: DAY.saturating_mul(365),
                overlap: wallets_learn,
                ..life
            },
            // Readers learn it from bundles, wallets from the city. Its last document signer lives
            // for 90 days, and documents end with their signer.
            Purpose::IssuingAuthority => Life {
                lead: wallets_learn,
                successor_after: DAY.saturating_mul(3 * 365),
                hold: DOCUMENT_SIGNER_LIFE.saturating_add(LEARNING_MARGIN),
                ..life
            },
            // No lead but for the hybrid suite: readers and verifiers trust the issuing authority, and the
            // signer's certificate travels in every document, but for access documents, in whose place a
            // reader takes the mdoc. Documents end with that certificate.
            Purpose::DocumentSignerMdoc | Purpose::DocumentSignerSdJwt => Life {
                successor_after: DOCUMENT_SIGNER_LIFE.saturating_sub(DOCUMENT_SIGNER_RENEWAL),
                renew_before: DOCUMENT_SIGNER_RENEWAL,
                hold: DOCUMENT_SIGNER_RENEWAL,
                ..life
            },
            // Wallets prove readers against it. Its last reader certificate lives for a week.
            Purpose::ReaderAuthority => Life {
                lead: wallets_learn,
                successor_after: DAY.saturating_mul(3 * 365),
                hold: READER_CERTIFICATE_LIFE.saturating_add(LEARNING_MARGIN),
                ..life
            },
            // Readers learn it from bundles.
            Purpose::StatusList => {
                let list_ends = STATUS_LIST_LIFE.saturating_add(LEARNING_MARGIN);
                Life { lead: readers_learn, hold: longer(readers_learn, list_ends), ..life }
            }
            // No lead: its certificate by the root travels in every bundle.
            Purpose::Bundle => life,
            // Auditors pin it. Both keys sign every checkpoint through the overlap; nothing that is
            // still wanted is signed by the old one alone after it.
            Purpose::Checkpoint => {
                Life { lead: wallets_learn, overlap: wallets_learn, hold: LEARNING_MARGIN, ..life }
            }
            // Approvals are checked by the city's own machines, which know a key at once.
            Purpose::Staff => life,
            // Readers learn it from bundles; an image waits on a shelf for no longer than a bundle.
            Purpose::Firmware => {
                Life { lead: readers_learn, successor_after: DAY.saturating_mul(2 * 365), ..life }
            }
        }
    }
}

const fn longer(one: Duration, other: Duration) -> Duration {
    if one.as_secs() > other.as_secs() { one } else { other }
}
