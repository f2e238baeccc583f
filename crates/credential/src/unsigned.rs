//! What waits for a signature: the bytes to be signed, and what becomes of them once signed.
//!
//! Keys live elsewhere (a token, a secure element, a key service), so that making a signed object
//! takes two steps: build an [`Unsigned`], hand its bytes to the custodian, complete it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::crypto::{Algorithm, Signature};

/// An object without its signature. [`Unsigned::complete`] consumes it.
pub struct Unsigned<T> {
    algorithm: Algorithm,
    to_be_signed: Vec<u8>,
    finish: Box<dyn FnOnce(&Signature) -> T + Send>,
}

impl<T> Unsigned<T> {
    /// An object whose signature by `algorithm` over `to_be_signed` is put in place by `finish`.
    pub fn new(
        algorithm: Algorithm,
        to_be_signed: Vec<u8>,
        finish: impl FnOnce(&Signature) -> T + Send + 'static,
    ) -> Self {
        Self { algorithm, to_be_signed, finish: Box::new(finish) }
    }

    /// The algorithm that the object already names.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The message to sign: not a digest.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The object with its signature. Whether that verifies is for its readers to find out.
    #[must_use]
    pub fn complete(self, signature: &Signature) -> T {
        (self.finish)(signature)
    }

    /// The same signature for something that is made from the object.
    #[must_use]
    pub fn map<U: 'static>(self, then: impl FnOnce(T) -> U + Send + 'static) -> Unsigned<U>
    where
        T: 'static,
    {
        let finish = self.finish;
        Unsigned::new(self.algorithm, self.to_be_signed, move |signature| then(finish(signature)))
    }
}

impl<T> core::fmt::Debug for Unsigned<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Unsigned({}, {} bytes)", self.algorithm, self.to_be_signed.len())
    }
}
