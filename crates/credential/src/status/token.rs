//! What a Status List Token says, whichever form it has (section 5).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use vocabulary::time::Instant;

use super::list::{Bits, Status, StatusList, StatusListError};
use super::reference::StatusReference;
use crate::jose::CLOCK_SKEW_MAX;
use crate::rejection::Rejection;
use crate::x509::TrustAnchors;

/// What a verifier expects of a Status List Token.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// Whom the verifier trusts with status lists: authorities, pinned signers, or bare keys.
    pub anchors: &'a TrustAnchors,
    /// The instant of the judgement.
    pub at: Instant,
    /// The URI by which the list was asked for; it must be the token's `sub`.
    pub uri: Option<&'a str>,
}

/// A status list with its name and dates, about to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusListClaims {
    /// `sub`: the URI of the list, as in [`StatusReference::uri`].
    pub uri: String,
    /// `iat`, in whole seconds.
    pub issued_at: Instant,
    /// `exp`, in whole seconds.
    pub expires_at: Option<Instant>,
    /// `ttl`: how long a copy may be used before a fresh one is fetched, in whole seconds, not 0.
    pub ttl: Option<Duration>,
    /// The list.
    pub list: StatusList,
}

/// A status list whose token held. Made by verification only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedStatusList {
    claims: StatusListClaims,
}

impl VerifiedStatusList {
    /// The URI of the list.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.claims.uri
    }

    /// When the list was signed.
    #[must_use]
    pub const fn issued_at(&self) -> Instant {
        self.claims.issued_at
    }

    /// From when on it must not be believed any more.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Instant> {
        self.claims.expires_at
    }

    /// How long a copy may be used, counted from when it was fetched.
    #[must_use]
    pub const fn ttl(&self) -> Option<Duration> {
        self.claims.ttl
    }

    /// The list.
    #[must_use]
    pub const fn list(&self) -> &StatusList {
        &self.claims.list
    }

    /// The status that `reference` points at.
    ///
    /// # Errors
    /// [`Rejection`] with culprit `trust` if this is another list, of the issuer if the index lies
    /// outside it.
    pub fn status(&self, reference: StatusReference<'_>) -> Result<Status, Rejection> {
        if reference.uri != self.claims.uri {
            let message = format!("status is in `{}`, not in this list", reference.uri);
            return Err(Rejection::trust("status-list-uri", message));
        }
        self.claims
            .list
            .status(reference.index)
            .map_err(|error| Rejection::issuer("status-index", format!("{error}")))
    }
}

/// The claims of a token as they were read, before they are judged.
#[derive(Default)]
pub(super) struct Read<'a> {
    pub(super) uri: Option<&'a str>,
    pub(super) issued_at: Option<Instant>,
    pub(super) not_before: Option<Instant>,
    pub(super) expires_at: Option<Instant>,
    pub(super) ttl: Option<u64>,
    pub(super) bits: Option<u64>,
    pub(super) compressed: Option<Vec<u8>>,
}

impl Read<'_> {
    /// Judges the claims (section 8.3) and inflates the list, last.
    pub(super) fn judge(
        self,
        expectation: &Expectation<'_>,
    ) -> Result<VerifiedStatusList, Rejection> {
        let uri = self.uri.ok_or_else(|| missing("sub"))?;
        let issued_at = self.issued_at.ok_or_else(|| missing("iat"))?;
        if expectation.uri.is_some_and(|expected| expected != uri) {
            let message = format!("status list is `{uri}`, not the one asked for");
            return Err(Rejection::issuer("status-list-uri", message));
        }
        // `nbf` is not foreseen here, but binds where it stands (RFC 7519, section 4.1.5).
        let not_yet = self.not_before.filter(|&begin| expectation.at < begin);
        let future = expectation.at.saturating_add(CLOCK_SKEW_MAX) < issued_at;
        if let Some(begin) = not_yet.or(future.then_some(issued_at)) {
            let message = format!("status list is not valid before `{begin}`");
            return Err(Rejection::time("status-list-not-yet-valid", message));
        }
        if let Some(end) = self.expires_at.filter(|&end| end <= expectation.at) {
            let message = format!("status list expired at `{end}`");
            return Err(Rejection::time("status-list-expired", message));
        }
        if self.ttl == Some(0) {
            return Err(refuse("has a `ttl` of zero"));
        }
        let bits = Bits::from_count(self.bits.ok_or_else(|| missing("bits"))?);
        let bits = bits.ok_or_else(|| refuse("has entries of other than 1, 2, 4 or 8 bits"))?;
        let compressed = self.compressed.ok_or_else(|| missing("lst"))?;
        let list = StatusList::inflate(bits, &compressed).map_err(|error| match error {
            StatusListError::Length => Rejection::wire("status-list-length", format!("{error}")),
            _ => Rejection::wire("status-list-compression", format!("{error}")),
        })?;
        Ok(VerifiedStatusList {
            claims: StatusListClaims {
                uri: uri.into(),
                issued_at,
                expires_at: self.expires_at,
                ttl: self.ttl.map(Duration::from_secs),
                list,
            },
        })
    }
}

fn missing(name: &str) -> Rejection {
    Rejection::issuer("claim-missing", format!("status list has no `{name}`"))
}

pub(super) fn refuse(what: &str) -> Rejection {
    Rejection::issuer("status-list", format!("status list {what}"))
}
