//! The outer layer of a delivery: which key, from which agreements, over which transcript.
//!
//! `Z' = Z || T` as NIST SP 800-56C revision 2, section 2, has it for hybrids: Z of P-256, T of
//! ML-KEM-768 or nothing. Both ciphertexts and both public keys go into the info of HKDF, so that the
//! key is bound to all that was sent. A key seals one message, hence the nonce is zero.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::recipient::Recipient;
use super::{Context, Delivery, DeliveryError, POINT_BYTES, Suite, head};
use crate::crypto::{Crypto, SharedSecret};

const LABEL: &[u8] = b"limen key delivery 1";
const NONCE: [u8; 12] = [0; 12];

/// The inner layer: what the token made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The token's ephemeral point.
    pub ephemeral: [u8; POINT_BYTES],
    /// The key, wrapped by RFC 3394 under the x coordinate of the agreed point.
    pub wrapped: Vec<u8>,
}

/// What the outer agreements gave. The sender has them by its ephemeral keys, the recipient by its own.
#[derive(Debug)]
pub struct Agreed<'a> {
    /// By P-256.
    pub p256: &'a SharedSecret,
    /// By ML-KEM-768, where the suite has it.
    pub ml_kem: Option<&'a SharedSecret>,
}

/// The public side of the outer agreements.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The sender's ephemeral point.
    pub ephemeral: [u8; POINT_BYTES],
    /// The ciphertext of ML-KEM-768, where the suite has it.
    pub encapsulated: Option<Vec<u8>>,
}

/// Seals `inner` for `recipient`.
///
/// # Errors
/// [`DeliveryError::Suite`], [`DeliveryError::OnePoint`], [`DeliveryError::Field`].
pub fn seal(
    crypto: &dyn Crypto,
    context: Context,
    recipient: &Recipient,
    sent: Sent,
    agreed: &Agreed<'_>,
    inner: &Inner,
) -> Result<Delivery, DeliveryError> {
    let Sent { ephemeral, encapsulated } = sent;
    if inner.ephemeral == ephemeral {
        return Err(DeliveryError::OnePoint);
    }
    let suite = recipient.suite();
    let mut delivery = Delivery { suite, context, ephemeral, encapsulated, sealed: Vec::new() };
    let key = key(crypto, &delivery, recipient, agreed)?;
    let mut sealed = [inner.ephemeral.as_slice(), &inner.wrapped].concat();
    let aad = head(suite, &delivery.context);
    crypto.seal_aes256_gcm(&key, &NONCE, &aad, &mut sealed);
    delivery.sealed = sealed;
    delivery.check()?;
    Ok(delivery)
}

/// Opens `delivery` for `recipient`.
///
/// # Errors
/// [`DeliveryError::Suite`], [`DeliveryError::Sealed`], [`DeliveryError::OnePoint`].
pub fn open(
    crypto: &dyn Crypto,
    delivery: &Delivery,
    recipient: &Recipient,
    agreed: &Agreed<'_>,
) -> Result<Inner, DeliveryError> {
    let key = key(crypto, delivery, recipient, agreed)?;
    let aad = head(delivery.suite, &delivery.context);
    let mut plain = delivery.sealed.clone();
    crypto.open_aes256_gcm(&key, &NONCE, &aad, &mut plain).map_err(|_| DeliveryError::Sealed)?;
    let (ephemeral, wrapped) =
        plain.split_first_chunk::<POINT_BYTES>().ok_or(DeliveryError::Sealed)?;
    if *ephemeral == delivery.ephemeral {
        return Err(DeliveryError::OnePoint);
    }
    Ok(Inner { ephemeral: *ephemeral, wrapped: wrapped.to_vec() })
}

fn key(
    crypto: &dyn Crypto,
    delivery: &Delivery,
    recipient: &Recipient,
    agreed: &Agreed<'_>,
) -> Result<Zeroizing<[u8; 32]>, DeliveryError> {
    let mut secret = Zeroizing::new(Vec::with_capacity(64));
    secret.extend_from_slice(agreed.p256.danger_bytes());
    let mut info = [LABEL, &[delivery.suite.number()]].concat();
    info.extend_from_slice(&crypto.sha256(&head(delivery.suite, &delivery.context)));
    info.extend_from_slice(&delivery.ephemeral);
    info.extend_from_slice(recipient.p256());
    match (delivery.suite, agreed.ml_kem, &delivery.encapsulated, recipient.ml_kem()) {
        (Suite::P256, None, None, None) => {}
        (Suite::P256MlKem768, Some(shared), Some(ciphertext), Some(public)) => {
            secret.extend_from_slice(shared.danger_bytes());
            info.extend_from_slice(&crypto.sha256(ciphertext));
            info.extend_from_slice(&crypto.sha256(public));
        }
        _ => return Err(DeliveryError::Suite),
    }
    Ok(Zeroizing::new(crypto.hkdf_sha256(&secret, &[], &info)))
}
