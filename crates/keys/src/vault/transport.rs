//! A transport key of this process, to which the vault wraps a key that must exist here in plain:
//! for personalisation, and for sealing handles of the express tap.

use aws_lc_rs::rand;
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret};
use credential::delivery::recipient::{Recipient, VerifiedRecipient};
use credential::delivery::schedule::{Agreed, open};
use credential::delivery::{Delivery, DeliveryError};
use zeroize::Zeroizing;

use super::error::CipherFault;
use super::{Bytes, cipher};

/// A transport key, erased when dropped.
pub(crate) struct Transport {
    secret: P256Secret,
    recipient: VerifiedRecipient,
}

/// Why a delivery does not open.
pub(crate) enum OpenError {
    /// It is none for this key.
    Delivery(DeliveryError),
    /// It is for another run, or the key has another check value.
    Other,
    /// The cipher failed.
    Cryptography,
}

impl Transport {
    /// A fresh one, under a fresh name.
    pub(crate) fn draw() -> Result<Self, CipherFault> {
        let (mut run, mut scalar) = ([0; 16], Zeroizing::new([0; 32]));
        rand::fill(&mut run)?;
        rand::fill(scalar.as_mut())?;
        let secret = P256Secret::from_bytes(*scalar);
        let public = AwsLc.p256_public(&secret).map_err(|_| CipherFault)?;
        let keys = Recipient::new(public, None).ok_or(CipherFault)?;
        Ok(Self { secret, recipient: VerifiedRecipient::danger_process(run, keys) })
    }

    /// Its public half, for the vault.
    pub(crate) const fn recipient(&self) -> &VerifiedRecipient {
        &self.recipient
    }

    /// The key in `delivery`, whose context the caller looks at.
    pub(crate) fn open(&self, delivery: &Delivery) -> Result<Bytes, OpenError> {
        if delivery.context.recipient != *self.recipient.identity() {
            return Err(OpenError::Other);
        }
        let agree = |point| {
            let wrong = OpenError::Delivery(DeliveryError::Key("P-256"));
            AwsLc.p256_agree(&self.secret, point).map_err(|_| wrong)
        };
        let p256 = agree(&delivery.ephemeral)?;
        let agreed = Agreed { p256: &p256, ml_kem: None };
        let inner = open(&AwsLc, delivery, self.recipient.keys(), &agreed);
        let inner = inner.map_err(OpenError::Delivery)?;
        let kek = agree(&inner.ephemeral)?;
        let wrong = OpenError::Delivery(DeliveryError::Sealed);
        let key = cipher::unwrap(kek.danger_bytes(), &inner.wrapped).map_err(|_| wrong)?;
        let kcv = cipher::kcv(&key).map_err(|_| OpenError::Cryptography)?;
        if kcv == delivery.context.kcv { Ok(key) } else { Err(OpenError::Other) }
    }
}
