//! What the city tells an engine: bundles and status lists, and how they are kept.

use alloc::string::String;
use alloc::vec::Vec;

use credential::crypto::Crypto;
use credential::rejection::Rejection;
use vocabulary::time::Instant;

use super::{Config, Engine, Memory, Output, StandardIdentity};
use crate::bundle::{Pin, VerifiedBundle};
use crate::snapshot::{Kept, StatusSnapshot, no_bundle};

impl Engine {
    /// Shows wallets other certificates for the same key, from the next tap on.
    pub fn renew_chain(&mut self, chain: Vec<Vec<u8>>, standard: Option<StandardIdentity>) {
        self.config.chain = chain;
        self.config.standard = standard;
    }

    pub(super) fn receive_bundle(&mut self, crypto: &dyn Crypto, now: Instant, bytes: &[u8]) {
        if self.bundle.as_ref().is_some_and(|bundle| bundle.as_bytes() == bytes) {
            return self.outputs.push_back(Output::Installed(self.watermark()));
        }
        let verified = match self.verify_bundle(crypto, bytes, now.max(self.floor)) {
            _ if self.staged.is_some() => {
                let message = String::from("another bundle is being stored");
                Err(Rejection::wire("bundle-pending", message))
            }
            verified => verified,
        };
        match verified {
            Ok(bundle) => {
                self.staged = Some(bundle);
                self.persist();
            }
            Err(rejection) => self.outputs.push_back(Output::Rejected(rejection)),
        }
    }

    pub(super) fn verify_bundle(
        &self,
        crypto: &dyn Crypto,
        bytes: &[u8],
        at: Instant,
    ) -> Result<VerifiedBundle, Rejection> {
        let Config { reader, .. } = self.config;
        let pin = Pin { root: &self.roots, reader, epoch: self.epoch, at };
        let bundle = VerifiedBundle::verify(crypto, bytes, &pin)?;
        // A signer that was followed by another gives no more orders, whoever has its key.
        if self.bundle.as_ref().is_some_and(|held| bundle.signer_since() < held.signer_since()) {
            let message = String::from("bundle is of a signer that another has followed");
            return Err(Rejection::trust("bundle-signer", message));
        }
        Ok(bundle)
    }

    /// A status list counts at once: it can only be newer than what was known.
    pub(super) fn receive_status(&mut self, crypto: &dyn Crypto, now: Instant, token: &[u8]) {
        match self.take_status(crypto, token, now.max(self.floor)) {
            Ok(()) => self.persist(),
            Err(rejection) => self.outputs.push_back(Output::Rejected(rejection)),
        }
    }

    fn take_status(
        &mut self,
        crypto: &dyn Crypto,
        token: &[u8],
        at: Instant,
    ) -> Result<(), Rejection> {
        let bundle = self.staged.as_ref().or(self.bundle.as_ref());
        let bundle = bundle.ok_or_else(no_bundle)?;
        let issued_at = self.status.update(crypto, token, bundle.status_signers(), at)?;
        self.floor = self.floor.max(issued_at);
        Ok(())
    }

    /// Takes the lists that were stored, by the signers that the bundle in force names; what does
    /// not hold any more is told.
    pub(super) fn restore_status(&mut self, crypto: &dyn Crypto, kept: Vec<Kept>, is_beyond: bool) {
        let signers = self.bundle.as_ref().map(VerifiedBundle::status_signers);
        let (status, rejections) = StatusSnapshot::restore(crypto, signers, kept, is_beyond);
        self.status = status;
        self.outputs.extend(rejections.into_iter().map(Output::Rejected));
    }

    fn persist(&mut self) {
        let bundle = self.staged.as_ref().or(self.bundle.as_ref());
        let floor = bundle.map_or(self.floor, |bundle| self.floor.max(bundle.bundle().issued_at));
        let roots = bundle.map_or(&self.roots, VerifiedBundle::roots);
        let memory = Memory {
            floor,
            pinned: self.config.pinned().to_vec(),
            roots: roots.certificates().map(<[u8]>::to_vec).collect(),
            epoch: bundle.map_or(self.epoch, |bundle| self.epoch.max(bundle.bundle().epoch)),
            bundle: bundle.map(|bundle| bundle.as_bytes().to_vec()),
            status: self.status.kept(),
            is_beyond: self.status.is_beyond(),
        };
        self.persisting = self.persisting.saturating_add(1);
        self.outputs.push_back(Output::Persist(memory.encode()));
    }

    pub(super) fn persist_failed(&mut self) {
        self.persisting = self.persisting.saturating_sub(1);
        self.staged = None;
    }

    pub(super) fn persisted(&mut self, crypto: &dyn Crypto) {
        self.persisting = self.persisting.saturating_sub(1);
        // A bundle counts by the memory that holds it, not by one given out before.
        if self.persisting > 0 {
            return;
        }
        if let Some(bundle) = self.staged.take() {
            self.epoch = self.epoch.max(bundle.bundle().epoch);
            self.floor = self.floor.max(bundle.bundle().issued_at);
            self.roots = bundle.roots().clone();
            self.bundle = Some(bundle);
            // A signer of status lists that the new bundle does not name is not believed any more.
            self.restore_status(crypto, self.status.kept(), self.status.is_beyond());
        }
        self.outputs.push_back(Output::Installed(self.watermark()));
    }
}
