//! A custodian that refuses what a test wants it to, as a key service or a token can.

use std::sync::Arc;

use credential::crypto::Signature;
use keys::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, SignError, State};
use keys::object::TypedObject;
use keys::software::Keystore;
use vocabulary::time::Instant;

/// What a custodian is asked for.
pub enum Asked<'a> {
    Sign,
    Generate(&'a NewKey),
    Destroy,
}

/// A keystore behind a will of its own.
pub struct Wilful<W> {
    pub keys: Keystore,
    /// Whether it refuses.
    pub refuses: W,
}

impl<W: Fn(Asked<'_>) -> bool + Send + Sync> Custody for Wilful<W> {
    fn keys(&self) -> Arc<[Key]> {
        self.keys.keys()
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        if (self.refuses)(Asked::Sign) {
            return Box::pin(async { Err(SignError::Unavailable) });
        }
        self.keys.sign(handle, object)
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        if (self.refuses)(Asked::Generate(&request)) {
            return Box::pin(async { Err(KeepError::Full) });
        }
        self.keys.generate(request)
    }

    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError> {
        self.keys.attach_certificate(handle, certificate)
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError> {
        self.keys.set_state(handle, state, at)
    }

    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError> {
        if (self.refuses)(Asked::Destroy) {
            return Box::pin(async { Err(KeepError::Unavailable) });
        }
        self.keys.destroy(handle)
    }
}
