//! The nonces that make a proof of possession fresh: `c_nonce` (OpenID4VCI 1.0, 7).
//!
//! Anybody may ask for a nonce, so asking must not write: a nonce carries its expiry, randomness
//! and a message authentication code under a key of the server, and only its use is written, as a
//! mark that a second use finds. A nonce is of one operator and of no use to another.

use core::fmt;
use core::time::Duration;

use credential::crypto::{Crypto, constant_time_eq};
use credential::jose::base64url;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::once::{Once, OnceScope};

/// How long a nonce may be used.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Bytes of randomness in a nonce.
pub const NONCE_ENTROPY_BYTES: usize = 16;

const EXPIRY_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = EXPIRY_BYTES + NONCE_ENTROPY_BYTES + TAG_BYTES;

/// The server's key for nonces: 32 random bytes, which may change at every start of the server at
/// the price of one more request for a few wallets. It has no `Debug`.
#[derive(Clone)]
pub struct NonceKey([u8; 32]);

impl NonceKey {
    /// The key made of `entropy`.
    #[must_use]
    pub const fn new(entropy: [u8; 32]) -> Self {
        Self(entropy)
    }
}

/// A new nonce for wallets of `operator`: 54 characters of base64url.
#[must_use]
pub fn mint(
    crypto: &dyn Crypto,
    key: &NonceKey,
    operator: &OperatorCode,
    now: Instant,
    entropy: [u8; NONCE_ENTROPY_BYTES],
) -> String {
    let expires_at = now.saturating_add(NONCE_LIFETIME).unix_seconds();
    let body = [&expires_at.to_be_bytes()[..], &entropy[..]].concat();
    let tag = tag(crypto, key, operator, &body);
    base64url::encode(&[&body[..], &tag[..]].concat())
}

/// Checks a nonce and gives the mark of its use, which the caller commits: finding it there means
/// that the nonce was used before.
///
/// # Errors
/// [`NonceError`] when it is not one of ours or too old.
pub fn spend(
    crypto: &dyn Crypto,
    key: &NonceKey,
    operator: &OperatorCode,
    text: &str,
    now: Instant,
) -> Result<Once, NonceError> {
    let bytes = base64url::decode(text).filter(|bytes| bytes.len() == NONCE_BYTES);
    let bytes = bytes.ok_or(NonceError::Unknown)?;
    let (body, given) =
        bytes.split_at_checked(NONCE_BYTES - TAG_BYTES).ok_or(NonceError::Unknown)?;
    if !constant_time_eq(&tag(crypto, key, operator, body), given) {
        return Err(NonceError::Unknown);
    }
    let expiry = body.first_chunk::<EXPIRY_BYTES>().ok_or(NonceError::Unknown)?;
    let expires_at = Instant::from_unix_seconds(i64::from_be_bytes(*expiry));
    if now >= expires_at {
        return Err(NonceError::Expired);
    }
    Ok(Once { scope: OnceScope::Nonce, digest: crypto.sha256(text.as_bytes()), expires_at })
}

/// Why a nonce is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceError {
    /// It is not one that this server gave to wallets of this operator.
    Unknown,
    /// It is older than [`NONCE_LIFETIME`].
    Expired,
}

impl fmt::Display for NonceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the nonce was not given by this issuer",
            Self::Expired => "the nonce has expired",
        })
    }
}

impl core::error::Error for NonceError {}

fn tag(
    crypto: &dyn Crypto,
    key: &NonceKey,
    operator: &OperatorCode,
    body: &[u8],
) -> [u8; TAG_BYTES] {
    // The operator has no zero byte, so the three parts cannot be mistaken for one another.
    let message = [b"limen c_nonce\0", operator.as_str().as_bytes(), b"\0", body].concat();
    let mut tag = [0; TAG_BYTES];
    let code = crypto.hmac_sha256(&key.0, &message);
    tag.iter_mut().zip(code).for_each(|(to, from)| *to = from);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::rustcrypto::RustCrypto;

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_seconds(seconds)
    }

    #[test]
    fn nonce_is_good_for_its_lifetime_and_its_operator_alone() {
        let key = NonceKey::new([1; 32]);
        let (harbour, other): (OperatorCode, OperatorCode) =
            ("harbour".parse().unwrap(), "other".parse().unwrap());
        let nonce = mint(&RustCrypto, &key, &harbour, at(1000), [7; 16]);
        let check =
            |key: &NonceKey, operator, text: &str, seconds, expected: Option<NonceError>| {
                assert_eq!(spend(&RustCrypto, key, operator, text, at(seconds)).err(), expected);
            };
        check(&key, &harbour, &nonce, 1000, None);
        check(&key, &harbour, &nonce, 1299, None);
        check(&key, &harbour, &nonce, 1300, Some(NonceError::Expired));
        check(&key, &other, &nonce, 1000, Some(NonceError::Unknown));
        check(&NonceKey::new([2; 32]), &harbour, &nonce, 1000, Some(NonceError::Unknown));
        check(&key, &harbour, "", 1000, Some(NonceError::Unknown));
        check(&key, &harbour, &nonce[1..], 1000, Some(NonceError::Unknown));
        let mut later = base64url::decode(&nonce).unwrap();
        later[7] ^= 0x40;
        check(&key, &harbour, &base64url::encode(&later), 1000, Some(NonceError::Unknown));
    }

    #[test]
    fn two_uses_of_a_nonce_make_one_mark_and_two_nonces_two() {
        let key = NonceKey::new([1; 32]);
        let operator: OperatorCode = "harbour".parse().unwrap();
        let spent = |entropy, seconds| {
            let nonce = mint(&RustCrypto, &key, &operator, at(1000), entropy);
            spend(&RustCrypto, &key, &operator, &nonce, at(seconds)).unwrap()
        };
        assert_eq!(spent([7; 16], 1000), spent([7; 16], 1200));
        assert_ne!(spent([7; 16], 1000).digest, spent([8; 16], 1000).digest);
    }
}
