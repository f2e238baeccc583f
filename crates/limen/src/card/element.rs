//! A card as the secure element of a collection: it draws the keys of the documents and signs with them.

use std::cell::RefCell;

use credential::crypto::{Algorithm, Crypto, PublicKey, SharedSecret, Signature};
use keys::vault::applications::{DeskError, Session};
use wallet::secure_element::{
    DeviceKey, Presence, PresenceRule, SecureElement, SecureElementError,
};

/// The key for agreement: it has no number, and the card alone agrees with it.
const AGREEMENT: DeviceKey = DeviceKey(u32::MAX);

pub(super) struct CardElement<'d> {
    session: RefCell<Session<'d>>,
    points: Vec<(DeviceKey, [u8; 65])>,
    /// Why the card did not do as it was told.
    fault: RefCell<Option<DeskError>>,
}

impl<'d> CardElement<'d> {
    pub(super) fn new(session: Session<'d>) -> Self {
        let (points, fault) = (Vec::new(), RefCell::new(None));
        Self { session: RefCell::new(session), points, fault }
    }

    /// Does something else in the session.
    pub(super) fn session(&mut self) -> &mut Session<'d> {
        self.session.get_mut()
    }

    /// What went wrong with the card, which a collection tells in its own words alone.
    pub(super) fn fault(&self) -> Option<DeskError> {
        self.fault.borrow_mut().take()
    }

    fn told<T>(&self, told: Result<T, DeskError>) -> Result<T, SecureElementError> {
        told.map_err(|error| {
            let known = match error {
                DeskError::Status { status: [0x91, 0x0E], .. } => SecureElementError::Full,
                _ => SecureElementError::UnknownKey,
            };
            *self.fault.borrow_mut() = Some(error);
            known
        })
    }
}

impl SecureElement for CardElement<'_> {
    fn generate(
        &mut self,
        _: &dyn Crypto,
        _: [u8; 32],
        rule: PresenceRule,
    ) -> Result<DeviceKey, SecureElementError> {
        if rule == PresenceRule::Needed {
            return Err(SecureElementError::PresenceNeeded);
        }
        let drawn = self.session.borrow_mut().draw_signing();
        let (number, point) = self.told(drawn)?;
        let key = DeviceKey(number.into());
        self.points.push((key, point));
        Ok(key)
    }

    fn public_key(&self, key: DeviceKey) -> Result<PublicKey, SecureElementError> {
        let found = self.points.iter().find(|(held, _)| *held == key);
        found.map(|(_, point)| PublicKey::P256(*point)).ok_or(SecureElementError::UnknownKey)
    }

    fn sign(
        &self,
        _: &dyn Crypto,
        key: DeviceKey,
        message: &[u8],
        _: Presence,
    ) -> Result<Signature, SecureElementError> {
        let number = u8::try_from(key.0).map_err(|_| SecureElementError::UnknownKey)?;
        let signed = self.session.borrow_mut().sign(number, message);
        let signed = self.told(signed)?;
        Signature::new(Algorithm::Es256, &signed).map_err(|_| SecureElementError::UnknownKey)
    }

    fn needs_presence(&self, _: DeviceKey) -> Result<bool, SecureElementError> {
        Ok(false)
    }

    fn generate_agreement(
        &mut self,
        _: &dyn Crypto,
        _: [u8; 32],
    ) -> Result<(DeviceKey, [u8; 65]), SecureElementError> {
        let drawn = self.session.borrow_mut().draw_agreement();
        self.told(drawn).map(|point| (AGREEMENT, point))
    }

    /// Never: what the card agrees on stays in it.
    fn agree(
        &self,
        _: &dyn Crypto,
        _: DeviceKey,
        _: &[u8; 65],
    ) -> Result<SharedSecret, SecureElementError> {
        Err(SecureElementError::Use)
    }

    /// What is not kept goes with the session.
    fn destroy(&mut self, _: DeviceKey) {}

    fn key_storage(&self) -> &'static str {
        wallet::software::KEY_STORAGE
    }
}
