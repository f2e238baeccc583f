//! X.509 certificates (RFC 5280) in the profile of ISO/IEC 18013-5:2021, Annex B.
//!
//! A certificate is read without copying, judged against trust anchors that the caller brings, and
//! built as bytes that wait for a signature. There is no store of roots here, no network, no
//! revocation list: status travels in status lists, and an anchor that is no longer trusted is
//! taken out of the anchors.

mod anchors;
pub mod build;
mod cache;
mod certificate;
pub mod compressed;
pub mod der;
mod key_id;
pub mod oid;
pub mod pem;
mod profile;
pub mod succession;
mod trust;

pub use anchors::{ANCHORS_MAX, AnchorError, TrustAnchors};
pub use cache::{SIGNER_CACHE_ENTRIES_MAX, SignerCache};
pub use certificate::{
    BasicConstraints, CERTIFICATE_BYTES_MAX, Certificate, CertificateError, EXTENSIONS_MAX,
    ExtendedKeyUsage, KeyUsage, Name, SERIAL_BYTES_MAX,
};
pub use profile::Profile;
pub use trust::{CHAIN_LENGTH_MAX, Judgement, TrustedSigner};
