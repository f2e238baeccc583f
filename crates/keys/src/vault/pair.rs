//! Two vaults as one, while a city moves from the one to the other.
//!
//! Secrets do not move: what is made next is made in the new vault, with the version that follows those
//! of both. Epoch keys go over so with the epochs. A card master stays for as long as cards are
//! carried whose keys follow from it.

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
        let secrets = self.old.secrets();
        let like = secrets.iter().filter(|secret| {
            secret.kind == request.kind
                && secret.scope == request.scope
                && secret.epoch == request.epoch
        });
        let after = like.map(|secret| secret.version).max().unwrap_or(0).max(request.after);
        self.new.generate(NewSecret { after, ..request })
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
