//! Roots of the city that a reader believes, and how it learns the next one.
//!
//! The first root is pinned when the reader is enrolled. A successor comes in a bundle as two
//! certificates: the new root, signed by itself, and a link, which is the new root's key certified
//! by the key of a root before it (RFC 5280 section 3.2, self-issued; `newWithOld` in RFC 4210
//! section 4.4). Only a root makes a link: an operator's authority is certified by the root as
//! well, but it has another name and may not stand above authorities. Roots only follow one
//! another: the newest that a reader believes stays until one after it is here. No root follows one
//! of a stronger suite.

use alloc::format;
use alloc::vec::Vec;

use credential::crypto::Crypto;
use credential::rejection::Rejection;
use credential::x509::{Certificate, TrustAnchors};
use vocabulary::time::Instant;

/// Roots in a bundle, and roots that a reader believes at a time.
pub const ROOTS_MAX: usize = 4;

/// One root of the city, as a bundle names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The certificate that it signed for itself, DER.
    pub certificate: Vec<u8>,
    /// The same key and name, certified by a root before it, DER; none for the city's first.
    pub link: Option<Vec<u8>>,
}

/// The roots that a reader believes once it takes a bundle that names `listed`, oldest first; those
/// in `present` where it names none.
///
/// What stands before the first root that can be believed is older than the reader and is passed
/// over. From there on every root must be present or linked.
///
/// # Errors
/// [`Rejection`] with the code `bundle-roots`.
pub(crate) fn follow(
    crypto: &dyn Crypto,
    present: &TrustAnchors,
    listed: &[Root],
    at: Instant,
) -> Result<TrustAnchors, Rejection> {
    if listed.is_empty() {
        return Ok(present.clone());
    }
    let present: Vec<&[u8]> = present.certificates().collect();
    // Those that stay, then those that follow.
    let mut believed: Vec<&[u8]> = Vec::new();
    let mut last_present = None;
    let mut has_followers = false;
    for root in listed {
        let own = root.certificate.as_slice();
        if let Some(position) = present.iter().position(|der| *der == own) {
            if has_followers || last_present.is_some_and(|last| position <= last) {
                return Err(refused("brings roots out of their order"));
            }
            last_present = Some(position);
        } else {
            // Where no root stays, the newest leads on.
            let newest = present.last().filter(|_| believed.is_empty());
            if !is_linked(crypto, root, believed.iter().chain(newest).copied(), at) {
                if believed.is_empty() {
                    continue;
                }
                return Err(refused("names a root for which no root before it vouches"));
            }
            has_followers = true;
        }
        believed.push(own);
    }
    let keeps_newest = last_present.is_none_or(|last| last + 1 == present.len());
    if believed.is_empty() || !keeps_newest {
        return Err(refused("leaves out the newest root that the reader believes"));
    }
    TrustAnchors::from_ders(believed).map_err(|_| refused("names an unreadable root"))
}

/// Whether one of `before` certified the key and the name of `root`.
fn is_linked<'d>(
    crypto: &dyn Crypto,
    root: &Root,
    before: impl Iterator<Item = &'d [u8]>,
    at: Instant,
) -> bool {
    let Some(link) = root.link.as_deref().and_then(|der| Certificate::parse(der).ok()) else {
        return false;
    };
    let Ok(own) = Certificate::parse(&root.certificate) else { return false };
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

fn refused(what: &str) -> Rejection {
    Rejection::trust("bundle-roots", format!("trust bundle {what}"))
}
