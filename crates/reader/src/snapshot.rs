//! The status snapshot: the status lists that a reader holds, and how fresh they are.
//!
//! Lists are Status List Tokens as CWT (Token Status List), verified when they come in. The rule:
//! what is known to be revoked or suspended stays so however old the list is; what is not known,
//! or known too long ago, opens no door of high class, and at the others follows the bundle. Where a
//! list was lost with the trust in its signer, what it knew as revoked must not come back as unknown:
//! until another list is in its place, a pass of a list that is not here opens no door.

use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::Crypto;
use credential::rejection::Rejection;
use credential::status::{Expectation, Status, StatusReference, VerifiedStatusList};
use credential::x509::TrustAnchors;
use vocabulary::time::Instant;

use crate::decision::Reason;
use crate::table::ZoneClass;

/// Status lists that a reader holds at once.
pub const LISTS_MAX: usize = 16;

/// How old the knowledge of a status may be at doors of one class, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassPolicy {
    /// How old a list may be, counted from its signature, in whole seconds.
    pub status_age_max: Duration,
    /// What happens beyond that, and where the list is missing altogether.
    pub stale: Stale,
}

/// What a reader does that cannot prove that its knowledge is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The door stays closed.
    Refuse,
    /// The door goes by what is known. Without effect at doors of high class.
    Accept,
}

/// The status lists of a reader, each with the token that it came in.
#[derive(Debug, Default)]
pub struct StatusSnapshot {
    lists: Vec<Held>,
    /// Lists that were lost and have no other in their place yet.
    lost: usize,
}

#[derive(Debug)]
struct Held {
    list: VerifiedStatusList,
    /// What it came in, and when it was verified.
    token: (Instant, Vec<u8>),
}

impl StatusSnapshot {
    /// No list.
    #[must_use]
    pub const fn new() -> Self {
        Self { lists: Vec::new(), lost: 0 }
    }

    /// Verifies a Status List Token (CWT) and takes it in place of the older one of its URI.
    /// Returns when it was signed.
    ///
    /// # Errors
    /// [`Rejection`]: the token does not hold, is older than the one at hand, or is one list too many.
    pub fn update(
        &mut self,
        crypto: &dyn Crypto,
        token: &[u8],
        anchors: &TrustAnchors,
        at: Instant,
    ) -> Result<Instant, Rejection> {
        let expectation = Expectation { anchors, at, uri: None };
        let list = VerifiedStatusList::verify_cwt(crypto, token, &expectation)?;
        let issued_at = list.issued_at();
        let held = Held { list, token: (at, token.to_vec()) };
        let is_full = self.lists.len() >= LISTS_MAX;
        match self.lists.iter_mut().find(|other| other.list.uri() == held.list.uri()) {
            Some(other) if issued_at < other.list.issued_at() => {
                let message =
                    alloc::format!("status list was signed {issued_at}, a newer one is here");
                Err(Rejection::time("status-list-older", message))
            }
            Some(other) => {
                *other = held;
                Ok(issued_at)
            }
            None if is_full => {
                let message = alloc::format!("reader holds {LISTS_MAX} status lists already");
                Err(Rejection::wire("status-lists-too-many", message))
            }
            None => {
                self.lists.push(held);
                self.lost = self.lost.saturating_sub(1);
                Ok(issued_at)
            }
        }
    }

    /// Notes that a list that was here does not hold any more.
    pub(crate) fn lose(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    /// Whether a pass with this status reference may open a door of `class` at `at`.
    ///
    /// # Errors
    /// [`Reason::Revoked`], [`Reason::Suspended`], [`Reason::StatusUnknown`], [`Reason::StatusStale`].
    pub fn judge(
        &self,
        reference: Option<StatusReference<'_>>,
        class: ZoneClass,
        policy: ClassPolicy,
        at: Instant,
    ) -> Result<(), Reason> {
        let unproved = |reason| match policy.stale {
            Stale::Accept if class != ZoneClass::High => Ok(()),
            Stale::Accept | Stale::Refuse => Err(reason),
        };
        let Some(reference) = reference else { return unproved(Reason::StatusUnknown) };
        let held = self.lists.iter().find(|held| held.list.uri() == reference.uri);
        let Some(Held { list, .. }) = held else {
            let is_lost = self.lost > 0;
            return if is_lost {
                Err(Reason::StatusUnknown)
            } else {
                unproved(Reason::StatusUnknown)
            };
        };
        match list.status(reference) {
            Ok(Status::Valid) => {}
            Ok(Status::Invalid) => return Err(Reason::Revoked),
            Ok(Status::Suspended) => return Err(Reason::Suspended),
            // A position beyond the list, or a value that nobody here understands, is no yes.
            Ok(_) | Err(_) => return Err(Reason::StatusUnknown),
        }
        let is_old = at.duration_since(list.issued_at()) > policy.status_age_max;
        let has_expired = list.expires_at().is_some_and(|end| at >= end);
        if is_old || has_expired { unproved(Reason::StatusStale) } else { Ok(()) }
    }

    /// When the oldest list was signed, if there is one.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.lists.iter().map(|held| held.list.issued_at()).min()
    }

    /// The tokens with the instants at which they were verified, for storing them.
    #[must_use]
    pub fn tokens(&self) -> Vec<(Instant, Vec<u8>)> {
        self.lists.iter().map(|held| held.token.clone()).collect()
    }
}
