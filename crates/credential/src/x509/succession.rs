//! How roots follow one another: a new root, signed by itself, and a link, which is its key and name
//! certified by the key of a root before it (RFC 5280 section 3.2, self-issued; `newWithOld` in RFC
//! 4210 section 4.4).
//!
//! Only a root makes a link: an operator's authority is certified by the root as well, but it has
//! another name and may not stand above authorities. Roots only follow one another: the newest that
//! is believed stays until one after it is here. No root follows one of a stronger suite.

use alloc::vec::Vec;
use core::fmt;

use vocabulary::time::Instant;

use super::Certificate;
use crate::crypto::Crypto;

/// A root as its city lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'d> {
    /// The certificate that it signed for itself, DER.
    pub certificate: &'d [u8],
    /// The same key and name, certified by a root before it, DER; none for the city's first.
    pub link: Option<&'d [u8]>,
}

/// Why a list of roots is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuccessionError {
    /// Roots that are believed stand in another order.
    Order,
    /// A root is listed for which no root before it vouches.
    Unlinked,
    /// The newest root that is believed is not listed and vouches for none that is, or no root is
    /// listed at all.
    LeftOut,
}

impl fmt::Display for SuccessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "brings roots out of their order",
            Self::Unlinked => "names a root for which no root before it vouches",
            Self::LeftOut => "leaves out the newest root that is believed",
        })
    }
}

impl core::error::Error for SuccessionError {}

/// The roots that are believed by who believed `present` and is told `listed`, both oldest first.
///
/// What stands before the first root that can be believed is older than the one who is told, and is
/// passed over. From there on every root must be present or linked.
///
/// # Errors
/// [`SuccessionError`]; who is told goes on with `present`.
pub fn follow<'d>(
    crypto: &dyn Crypto,
    present: &[&'d [u8]],
    listed: impl IntoIterator<Item = Listed<'d>>,
    at: Instant,
) -> Result<Vec<&'d [u8]>, SuccessionError> {
    // Those that stay, then those that follow.
    let mut believed: Vec<&[u8]> = Vec::new();
    let mut last_present = None;
    let mut has_followers = false;
    for root in listed {
        let own = root.certificate;
        if let Some(position) = present.iter().position(|der| *der == own) {
            if has_followers || last_present.is_some_and(|last| position <= last) {
                return Err(SuccessionError::Order);
            }
            last_present = Some(position);
        } else {
            // Where no root stays, the newest leads on.
            let newest = present.last().filter(|_| believed.is_empty());
            if !is_linked(crypto, root, believed.iter().chain(newest).copied(), at) {
                if believed.is_empty() {
                    continue;
                }
                return Err(SuccessionError::Unlinked);
            }
            has_followers = true;
        }
        believed.push(own);
    }
    let keeps_newest = last_present.is_none_or(|last| last + 1 == present.len());
    if believed.is_empty() || !keeps_newest {
        return Err(SuccessionError::LeftOut);
    }
    Ok(believed)
}

/// Whether one of `before` certified the key and the name of `root`.
fn is_linked<'d>(
    crypto: &dyn Crypto,
    root: Listed<'_>,
    before: impl Iterator<Item = &'d [u8]>,
    at: Instant,
) -> bool {
    let Some(link) = root.link.and_then(|der| Certificate::parse(der).ok()) else { return false };
    let Ok(own) = Certificate::parse(root.certificate) else { return false };
    let stands_above_authorities = |certificate: &Certificate<'_>| {
        certificate.is_authority()
            && certificate.basic_constraints.is_some_and(|limits| limits.path_length != Some(0))
            && certificate.issuer == certificate.subject
    };
    stands_above_authorities(&own)
        && stands_above_authorities(&link)
        && link.public_key == own.public_key
        && link.subject == own.subject
        && own.is_current(at)
        && link.is_current(at)
        && own.is_signed_by(crypto, &own.public_key)
        && before.filter_map(|der| Certificate::parse(der).ok()).any(|earlier| {
            earlier.subject == link.issuer
                && own.public_key.algorithm().is_as_strong_as(earlier.public_key.algorithm())
                && link.is_signed_by(crypto, &earlier.public_key)
        })
}
