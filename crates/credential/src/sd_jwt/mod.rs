//! SD-JWT (RFC 9901) and SD-JWT VC: issue, disclose, bind to the holder's key, verify.
//!
//! The compact form is `jws~disclosure~...~`, followed by a key binding JWT if the holder proves
//! possession. Digests are taken over the disclosures exactly as they came. Never trusts a
//! claim before every rule of RFC 9901, section 7 held; never discloses what was not chosen.

mod binding;
mod credential;
mod disclosure;
mod holder;
mod issue;
mod process;
mod verify;

pub use binding::{Challenge, KEY_BINDING_TYP, KeyBinding, KeyBindingRule, Presence, Window};
pub use credential::{CREDENTIAL_TYP, CredentialRequest};
pub use disclosure::{DISCLOSURES_MAX, Disclosure, SdJwt};
pub use holder::{DiscloseError, Presentation};
pub use issue::{CompactSdJwt, Decoys, IssueError, IssueRequest, SALT_BYTES, Salt, issue};
pub use process::{Disclosed, PLACE_BYTES_MAX, Processed};
pub use verify::{Expectation, Profile, Verified, verify};

use crate::crypto::HashAlgorithm;

/// The claim that holds the digests of an object.
const DIGESTS: &str = "_sd";
/// The claim that names the hash function, at the top only.
const HASH_NAME: &str = "_sd_alg";
/// The only member of an array element that stands for a digest.
const ELEMENT_DIGEST: &str = "...";

/// The name of a hash function in the registry of RFC 9901, section 4.1.1.
const fn hash_name(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha256 => "sha-256",
        HashAlgorithm::Sha384 => "sha-384",
        HashAlgorithm::Sha512 => "sha-512",
    }
}

/// Names that no claim may have, since they would change what digests mean.
fn is_reserved(name: &str) -> bool {
    matches!(name, DIGESTS | HASH_NAME | ELEMENT_DIGEST)
}
