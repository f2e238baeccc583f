//! Two vaults as one, while a city moves from the one to the other.
//!
//! Secrets do not move. A kind of key that the old vault holds for a scope and an epoch goes on there,
//! so that its versions stay in order; what is made for an epoch of which the old one holds nothing is
//! made in the new one. Epoch keys move so by themselves within a few epochs. Zone keys and card
//! masters stay where they are: who holds cards or readers by them needs the same bytes.

use std::sync::Arc;

use credential::delivery::Delivery;
use credential::delivery::recipient::VerifiedRecipient;
use vocabulary::time::Instant;

use super::diversify::CardInput;
use super::ev2::{self, Mode};
use super::{
    CardAnswer, CardError, NewSecret, RunId, Secret, SecretHandle, Vault, VaultError, WrapError,
};
use crate::custody::{Pending, State};

/// An old vault and the new one.
pub struct VaultPair {
    old: Arc<dyn Vault>,
    new: Arc<dyn Vault>,
}

impl VaultPair {
    /// `old` with the secrets of a city, `new` where those of its next epochs are made.
    #[must_use]
    pub fn new(old: Arc<dyn Vault>, new: Arc<dyn Vault>) -> Self {
        Self { old, new }
    }

    fn holder(&self, handle: &SecretHandle) -> &dyn Vault {
        let is_old = self.old.secrets().iter().any(|secret| secret.handle == *handle);
        if is_old { &*self.old } else { &*self.new }
    }
}

impl Vault for VaultPair {
    fn secrets(&self) -> Arc<[Secret]> {
        self.old.secrets().iter().chain(self.new.secrets().iter()).cloned().collect()
    }

    fn look(&self) -> Pending<'_, (), VaultError> {
        Box::pin(async move {
            self.old.look().await?;
            self.new.look().await
        })
    }

    fn generate(&self, request: NewSecret) -> Pending<'_, Secret, VaultError> {
        let is_begun = self.old.secrets().iter().any(|secret| {
            secret.kind == request.kind
                && secret.scope == request.scope
                && secret.epoch == request.epoch
        });
        if is_begun { self.old.generate(request) } else { self.new.generate(request) }
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a SecretHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Secret, VaultError> {
        self.holder(handle).set_state(handle, state, at)
    }

    fn destroy<'a>(&'a self, handle: &'a SecretHandle) -> Pending<'a, (), VaultError> {
        self.holder(handle).destroy(handle)
    }

    fn wrap_for<'a>(
        &'a self,
        handle: &'a SecretHandle,
        recipient: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError> {
        self.holder(handle).wrap_for(handle, recipient)
    }

    fn answer_card<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        mode: Mode,
        challenge: &'a [u8; 16],
    ) -> Pending<'a, CardAnswer, CardError> {
        self.holder(handle).answer_card(handle, card, mode, challenge)
    }

    /// The run belongs to one of the two, and the other does not know it.
    fn finish_card<'a>(
        &'a self,
        run: &'a RunId,
        response: &'a [u8],
    ) -> Pending<'a, ev2::Session, CardError> {
        Box::pin(async move {
            match self.new.finish_card(run, response).await {
                Err(CardError::NoRun { .. }) => self.old.finish_card(run, response).await,
                finished => finished,
            }
        })
    }

    fn wrap_card_key<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        process: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError> {
        self.holder(handle).wrap_card_key(handle, card, process)
    }
}
