//! Two custodians as one, while a city moves from the one to the other.
//!
//! Private keys do not move; trust does. New keys are made by the new custodian alone, a key signs
//! where it lives, and from a named instant the old custodian signs nothing, whoever asks for it.
//! When its last key is destroyed it holds nothing, and the new one stands alone.

use std::sync::Arc;

use credential::crypto::Signature;
use vocabulary::time::Instant;

use crate::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, SignError, State};
use crate::object::TypedObject;

/// An old custodian and the new one.
pub struct Pair {
    old: Arc<dyn Custody>,
    new: Arc<dyn Custody>,
}

impl Pair {
    /// `old` with the keys of a city, `new` where its next keys are made.
    #[must_use]
    pub fn new(old: Arc<dyn Custody>, new: Arc<dyn Custody>) -> Self {
        Self { old, new }
    }

    /// The old custodian.
    #[must_use]
    pub fn old(&self) -> &dyn Custody {
        &*self.old
    }

    /// Retires every key of the old custodian, at `at`: from then on it signs nothing. Gives the keys
    /// as they are then.
    ///
    /// # Errors
    /// [`KeepError`] of the first that does not retire; it is done again with the next call.
    pub async fn retire_old(&self, at: Instant) -> Result<Vec<Key>, KeepError> {
        let mut retired = Vec::new();
        for key in self.old.keys().iter().filter(|key| key.state != State::Retired) {
            retired.push(self.old.set_state(&key.handle, State::Retired, at).await?);
        }
        Ok(retired)
    }

    /// The keys for which the new custodian has no active one of the same purpose and owner: what
    /// would stop if the old one signed nothing from now on.
    #[must_use]
    pub fn unready(&self) -> Vec<Key> {
        let new = self.new.keys();
        let has_heir = |key: &Key| {
            new.iter().any(|heir| {
                heir.purpose == key.purpose
                    && heir.operator == key.operator
                    && heir.state == State::Active
            })
        };
        let old = self.old.keys();
        old.iter().filter(|key| key.state == State::Active && !has_heir(key)).cloned().collect()
    }

    fn holder(&self, handle: &KeyHandle) -> &dyn Custody {
        let is_old = self.old.keys().iter().any(|key| key.handle == *handle);
        if is_old { &*self.old } else { &*self.new }
    }
}

impl Custody for Pair {
    /// Those of the old custodian first: its keys are the older ones.
    fn keys(&self) -> Arc<[Key]> {
        self.old.keys().iter().chain(self.new.keys().iter()).cloned().collect()
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        self.holder(handle).sign(handle, object)
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        self.new.generate(request)
    }

    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError> {
        self.holder(handle).attach_certificate(handle, certificate)
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError> {
        self.holder(handle).set_state(handle, state, at)
    }

    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError> {
        self.holder(handle).destroy(handle)
    }
}
