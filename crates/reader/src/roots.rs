//! Roots of the city that a reader believes, and how it learns the next one.
//!
//! The first root is pinned when the reader is enrolled. A successor comes in a bundle as two
//! certificates, itself and a link ([`credential::x509::succession`]).

use alloc::format;
use alloc::vec::Vec;

use credential::crypto::Crypto;
use credential::rejection::Rejection;
use credential::x509::TrustAnchors;
use credential::x509::succession::{self, Listed};
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
    let listed = listed
        .iter()
        .map(|root| Listed { certificate: &root.certificate, link: root.link.as_deref() });
    let refused = |what| Rejection::trust("bundle-roots", format!("trust bundle {what}"));
    let believed = succession::follow(crypto, &present, listed, at);
    let believed = believed.map_err(|error| refused(format!("{error}")))?;
    let anchors = TrustAnchors::from_ders(believed);
    anchors.map_err(|_| refused("names an unreadable root".into()))
}
