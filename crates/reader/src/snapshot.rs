//! The status snapshot: the status lists that a reader holds, and how fresh they are.
//!
//! Lists are Status List Tokens as CWT (Token Status List), verified when they come in. The rule:
//! what is known to be revoked or suspended stays so however old the list is; what is not known,
//! or known too long ago, opens no door of high class, and at the others follows the bundle.
//!
//! A list can be lost: with the trust in its signer, or because it is over and another needs its
//! room. What it knew as revoked must not come back as unknown, so its name stays, and a pass of
//! that list opens no door until the list is here again.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::Crypto;
use credential::rejection::Rejection;
use credential::status::{Expectation, Status, StatusReference, VerifiedStatusList};
use credential::x509::TrustAnchors;
use presentation::express::handle::Index;
use presentation::express::list_tag;
use vocabulary::time::Instant;

use crate::decision::Reason;
use crate::table::ZoneClass;

/// Status lists that a reader holds at once.
pub const LISTS_MAX: usize = 32;
/// Names of lost lists that a reader keeps. Beyond them every list that is not here counts as lost.
pub const LOST_MAX: usize = 256;
/// Bytes in the URI of a list.
pub const URI_BYTES_MAX: usize = 1024;
/// A list that ends so soon after it was signed is of handles of one day: nothing that it speaks of
/// outlives it. So it is forgotten when it is over, name and all.
pub const DAY_LIST_LIFE_MAX: Duration = Duration::from_secs(3 * 86_400);
/// After how long a list without an end of its own is over.
pub const LIST_LIFE_MAX: Duration = Duration::from_secs(30 * 86_400);

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
    known: Vec<Known>,
    /// Whether more lists were lost than [`LOST_MAX`].
    is_beyond: bool,
}

/// A list that the reader holds, or held.
#[derive(Debug)]
struct Known {
    uri: String,
    /// Stands for the URI in a handle.
    tag: [u8; 4],
    issued_at: Instant,
    /// Nothing once it is lost.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    list: VerifiedStatusList,
    /// What it came in, and when it was verified.
    token: (Instant, Vec<u8>),
}

/// What is stored of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) uri: String,
    pub(crate) issued_at: Instant,
    /// When it was verified, and its token; nothing once it is lost.
    pub(crate) token: Option<(Instant, Vec<u8>)>,
}

impl Known {
    fn is_over(&self, at: Instant) -> bool {
        let end = self.held.as_ref().and_then(|held| held.list.expires_at());
        at >= end.unwrap_or(self.issued_at.saturating_add(LIST_LIFE_MAX))
    }
}

impl Known {
    /// Whether it is over and nothing is left of which it could speak.
    fn is_of_the_past(&self, at: Instant) -> bool {
        let end = self.held.as_ref().and_then(|held| held.list.expires_at());
        let is_of_days =
            end.is_some_and(|end| end.duration_since(self.issued_at) <= DAY_LIST_LIFE_MAX);
        is_of_days && self.is_over(at)
    }
}

impl StatusSnapshot {
    /// No list.
    #[must_use]
    pub const fn new() -> Self {
        Self { known: Vec::new(), is_beyond: false }
    }

    /// The lists that were stored, with tokens verified again as of when they came in, so that a
    /// revocation is not forgotten when its list grows old. What does not hold any more is lost.
    pub(crate) fn restore(
        crypto: &dyn Crypto,
        anchors: Option<&TrustAnchors>,
        kept: Vec<Kept>,
        is_beyond: bool,
    ) -> (Self, Vec<Rejection>) {
        let mut rejections = Vec::new();
        let mut verify = |(at, token): (Instant, Vec<u8>)| {
            let anchors = anchors.ok_or_else(no_bundle);
            match anchors.and_then(|anchors| verify(crypto, &token, anchors, at)) {
                Ok(list) => Some(Held { list, token: (at, token) }),
                Err(rejection) => {
                    rejections.push(rejection);
                    None
                }
            }
        };
        let mut known = Vec::with_capacity(kept.len());
        for Kept { uri, issued_at, token } in kept {
            let tag = list_tag(crypto, &uri);
            known.push(Known { uri, tag, issued_at, held: token.and_then(&mut verify) });
        }
        let mut snapshot = Self { known, is_beyond };
        snapshot.trim();
        (snapshot, rejections)
    }

    /// Verifies a Status List Token (CWT) and takes it in place of the older one of its URI. With
    /// [`LISTS_MAX`] lists at hand it takes the place of the oldest that is over, if there is one.
    /// Returns when it was signed.
    ///
    /// # Errors
    /// [`Rejection`]: the token does not hold, is older than one that was here, or is one list too
    /// many.
    pub fn update(
        &mut self,
        crypto: &dyn Crypto,
        token: &[u8],
        anchors: &TrustAnchors,
        at: Instant,
    ) -> Result<Instant, Rejection> {
        let list = verify(crypto, token, anchors, at)?;
        let (uri, issued_at) = (list.uri().to_string(), list.issued_at());
        let known = self.known.iter().find(|known| known.uri == uri);
        if known.is_some_and(|known| issued_at < known.issued_at) {
            let message =
                alloc::format!("status list was signed {issued_at}, a newer one was here");
            return Err(Rejection::time("status-list-older", message));
        }
        if known.is_none_or(|known| known.held.is_none()) {
            self.known.retain(|known| !known.is_of_the_past(at));
            self.make_room(at)?;
        }
        self.known.retain(|known| known.uri != uri);
        let held = Some(Held { list, token: (at, token.to_vec()) });
        let tag = list_tag(crypto, &uri);
        self.known.push(Known { uri, tag, issued_at, held });
        Ok(issued_at)
    }

    /// Makes sure that one more list can be held.
    fn make_room(&mut self, at: Instant) -> Result<(), Rejection> {
        if self.known.iter().filter(|known| known.held.is_some()).count() < LISTS_MAX {
            return Ok(());
        }
        let over = self.known.iter_mut().filter(|known| known.held.is_some() && known.is_over(at));
        let Some(oldest) = over.min_by_key(|known| known.issued_at) else {
            let message = alloc::format!("reader holds {LISTS_MAX} status lists already");
            return Err(Rejection::wire("status-lists-too-many", message));
        };
        oldest.held = None;
        self.trim();
        Ok(())
    }

    /// Drops the names of lost lists that pass the limit, oldest first, and notes that.
    fn trim(&mut self) {
        let lost = self.known.iter().filter(|known| known.held.is_none()).count();
        let mut surplus = lost.saturating_sub(LOST_MAX);
        self.is_beyond |= surplus > 0;
        self.known.retain(|known| {
            let goes = surplus > 0 && known.held.is_none();
            surplus -= usize::from(goes);
            !goes
        });
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
        let Some(StatusReference { uri, index }) = reference else {
            return unproved(Reason::StatusUnknown, class, policy);
        };
        let known = self.known.iter().find(|known| known.uri == uri);
        self.judge_known(known, index, (class, policy), at)
    }

    /// As [`StatusSnapshot::judge`], for a status that a handle names by the tag of its list. Where the
    /// tag is that of two lists nobody knows which is meant.
    ///
    /// # Errors
    /// As [`StatusSnapshot::judge`].
    pub fn judge_tagged(
        &self,
        Index { list, index }: Index,
        class: ZoneClass,
        policy: ClassPolicy,
        at: Instant,
    ) -> Result<(), Reason> {
        let mut tagged = self.known.iter().filter(|known| known.tag == list);
        let known = tagged.next();
        if tagged.next().is_some() {
            return Err(Reason::StatusUnknown);
        }
        self.judge_known(known, index.into(), (class, policy), at)
    }

    fn judge_known(
        &self,
        known: Option<&Known>,
        index: u64,
        (class, policy): (ZoneClass, ClassPolicy),
        at: Instant,
    ) -> Result<(), Reason> {
        let list = match known {
            Some(Known { held: Some(Held { list, .. }), .. }) => list,
            None if !self.is_beyond => return unproved(Reason::StatusUnknown, class, policy),
            Some(_) | None => return Err(Reason::StatusUnknown),
        };
        match list.status(StatusReference { uri: list.uri(), index }) {
            Ok(Status::Valid) => {}
            Ok(Status::Invalid) => return Err(Reason::Revoked),
            Ok(Status::Suspended) => return Err(Reason::Suspended),
            // A position beyond the list, or a value that nobody here understands, is no yes.
            Ok(_) | Err(_) => return Err(Reason::StatusUnknown),
        }
        let is_old = at.duration_since(list.issued_at()) > policy.status_age_max;
        let has_expired = list.expires_at().is_some_and(|end| at >= end);
        if is_old || has_expired {
            return unproved(Reason::StatusStale, class, policy);
        }
        Ok(())
    }

    /// When the oldest list was signed, if there is one.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let held = self.known.iter().filter(|known| known.held.is_some());
        held.map(|known| known.issued_at).min()
    }

    /// What to store of the lists.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let keep = |known: &Known| Kept {
            uri: known.uri.clone(),
            issued_at: known.issued_at,
            token: known.held.as_ref().map(|held| held.token.clone()),
        };
        self.known.iter().map(keep).collect()
    }

    /// Whether more lists were lost than there are names kept of.
    pub(crate) const fn is_beyond(&self) -> bool {
        self.is_beyond
    }
}

/// What follows where the reader cannot prove that its knowledge is fresh.
fn unproved(reason: Reason, class: ZoneClass, policy: ClassPolicy) -> Result<(), Reason> {
    match policy.stale {
        Stale::Accept if class != ZoneClass::High => Ok(()),
        Stale::Accept | Stale::Refuse => Err(reason),
    }
}

pub(crate) fn no_bundle() -> Rejection {
    Rejection::trust("no-bundle", "reader has no bundle that names signers of status lists")
}

fn verify(
    crypto: &dyn Crypto,
    token: &[u8],
    anchors: &TrustAnchors,
    at: Instant,
) -> Result<VerifiedStatusList, Rejection> {
    let expectation = Expectation { anchors, at, uri: None };
    let list = VerifiedStatusList::verify_cwt(crypto, token, &expectation)?;
    if list.uri().len() > URI_BYTES_MAX {
        let message = alloc::format!("URI of status list is longer than {URI_BYTES_MAX} bytes");
        return Err(Rejection::issuer("status-list-uri", message));
    }
    Ok(list)
}
