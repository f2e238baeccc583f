//! Random secrets that are handed out once and kept as digests: codes, tokens, notification names.
//!
//! The text is 32 bytes of entropy in base64url without padding, 43 characters. What is stored is
//! SHA-256 over a label of its use and the text, so a copied database opens nothing.

use credential::jose::base64url;
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// Characters of a secret as text.
pub const SECRET_LENGTH: usize = 43;

/// A secret on its way out. It is never stored, never logged, and has no `Debug`.
pub struct Secret(String);

/// What a secret is for. The same text has another digest in another use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretUse {
    /// The pre-authorized code of an offer.
    OfferCode,
    /// An access token.
    AccessToken,
    /// The name of one credential response in notifications.
    Notification,
}

impl Secret {
    /// A secret made of `entropy`.
    #[must_use]
    pub fn new(entropy: [u8; 32]) -> Self {
        Self(base64url::encode(&entropy))
    }

    /// The text to hand out.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The digest under which the secret `text` is stored and found.
#[must_use]
pub fn digest(purpose: SecretUse, text: &str) -> Digest {
    let label: &[u8] = match purpose {
        SecretUse::OfferCode => b"limen offer code\0",
        SecretUse::AccessToken => b"limen access token\0",
        SecretUse::Notification => b"limen notification\0",
    };
    Sha256::new().chain_update(label).chain_update(text.as_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_43_characters_and_its_digest_depends_on_its_use() {
        let secret = Secret::new([7; 32]);
        assert_eq!(secret.reveal().len(), SECRET_LENGTH);
        let code = digest(SecretUse::OfferCode, secret.reveal());
        let token = digest(SecretUse::AccessToken, secret.reveal());
        assert_ne!(code, token);
        assert_ne!(code, digest(SecretUse::OfferCode, Secret::new([8; 32]).reveal()));
    }
}
