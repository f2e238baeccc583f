//! The outer layer of a delivery, from the side that sends: fresh agreements, then the seal.
//!
//! This layer is made in software, also where the key itself is in a token: what it seals is wrapped
//! already.

use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use aws_lc_rs::rand;
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, SharedSecret};
use credential::delivery::recipient::{Recipient, VerifiedRecipient};
use credential::delivery::schedule::{Agreed, Inner, Sent, seal};
use credential::delivery::{Context, Delivery, DeliveryError, Kcv, Purpose, Scope};

use super::cipher;
use super::error::WrapError;

/// What is delivered.
pub(crate) struct Parcel {
    pub(crate) purpose: Purpose,
    pub(crate) scope: Scope,
    pub(crate) epoch: u64,
    pub(crate) version: u32,
    pub(crate) subject: Vec<u8>,
    pub(crate) kcv: Kcv,
}

/// Seals `inner`, which holds the wrapped key, for `recipient`.
pub(crate) fn deliver(
    recipient: &VerifiedRecipient,
    parcel: Parcel,
    inner: &Inner,
) -> Result<Delivery, WrapError> {
    let keys = recipient.keys();
    let Parcel { purpose, scope, epoch, version, subject, kcv } = parcel;
    let recipient = *recipient.identity();
    let context = Context { recipient, purpose, scope, epoch, version, subject, kcv };
    let (secret, ephemeral) = ephemeral()?;
    let p256 = agree(&secret, keys)?;
    let encapsulated = keys.ml_kem().map(encapsulate).transpose()?;
    let (ciphertext, ml_kem) = encapsulated.unzip();
    let agreed = Agreed { p256: &p256, ml_kem: ml_kem.as_ref() };
    let sent = Sent { ephemeral, encapsulated: ciphertext };
    seal(&AwsLc, context, keys, sent, &agreed, inner).map_err(WrapError::Recipient)
}

/// The inner layer, where the key is in this process.
pub(crate) fn wrap_inner(key: &[u8], recipient: &Recipient) -> Result<Inner, WrapError> {
    let (secret, ephemeral) = ephemeral()?;
    let agreed = agree(&secret, recipient)?;
    let wrapped = cipher::wrap(agreed.danger_bytes(), key)?;
    Ok(Inner { ephemeral, wrapped })
}

/// Whether the recipient's point is one of the curve: asked here before a token is, since tokens
/// differ in what they say of one that is none.
pub(crate) fn check_point(recipient: &Recipient) -> Result<(), WrapError> {
    let (secret, _) = ephemeral()?;
    agree(&secret, recipient).map(drop)
}

fn ephemeral() -> Result<(P256Secret, [u8; 65]), WrapError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| WrapError::Unavailable)?;
    let secret = P256Secret::from_bytes(bytes);
    let public = AwsLc.p256_public(&secret).map_err(|_| WrapError::Unavailable)?;
    Ok((secret, public))
}

fn agree(secret: &P256Secret, recipient: &Recipient) -> Result<SharedSecret, WrapError> {
    let wrong = WrapError::Recipient(DeliveryError::Key("P-256"));
    AwsLc.p256_agree(secret, recipient.p256()).map_err(|_| wrong)
}

fn encapsulate(key: &[u8]) -> Result<(Vec<u8>, SharedSecret), WrapError> {
    let wrong = WrapError::Recipient(DeliveryError::Key("ML-KEM-768"));
    let key = EncapsulationKey::new(&ML_KEM_768, key).map_err(|_| wrong)?;
    let (ciphertext, shared) = key.encapsulate().map_err(|_| wrong)?;
    let shared = shared.as_ref().try_into().map_err(|_| WrapError::Unavailable)?;
    Ok((ciphertext.as_ref().to_vec(), SharedSecret::from_bytes(shared)))
}
