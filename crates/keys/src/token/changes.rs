//! Changes to the keys on a token: made, moved on, given a certificate, destroyed, swept.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use aws_lc_rs::rand;
use credential::x509::Certificate;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use vocabulary::time::Instant;

use crate::custody::{CERTIFICATE_BYTES_MAX, KEYS_MAX, KeepError, Key, KeyHandle, NewKey, State};
use crate::object::certificate;
use crate::token::class::Class;
use crate::token::keeper::{Keeper, Trouble};
use crate::token::label::{self, Description};
use crate::token::listing::{certificate_objects, id_of, label_of};
use crate::token::mechanism::SuiteOnToken;
use crate::token::pool::PoolError;

impl Keeper {
    pub(crate) fn generate(&self, request: NewKey) -> Result<Key, KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let NewKey { purpose, suite, .. } = request;
        if !self.role.holds(purpose) {
            return Err(KeepError::PurposeNotHere { purpose });
        }
        let on_token = SuiteOnToken::of(suite).filter(|_| purpose.allows(suite));
        let on_token = on_token.ok_or(KeepError::SuiteNotHere { purpose, suite })?;
        if let Some(missing) =
            on_token.needs().into_iter().find(|needed| !self.mechanisms.contains(needed))
        {
            return Err(KeepError::MechanismMissing { purpose, mechanism: missing.to_string() });
        }
        self.refresh().map_err(|_| KeepError::Unavailable)?;
        let listing = self.listing();
        if listing.keys.len() >= KEYS_MAX {
            return Err(KeepError::Full);
        }
        let description = Description {
            number: listing.number_max.saturating_add(1),
            purpose,
            operator: request.operator,
            suite,
            created_at: request.at,
            state: request.state,
            state_since: request.at,
        };
        let label = description.to_string();
        // An instant that has no place in the calendar would leave a key that nobody can read.
        if Description::parse(&label).as_ref() != Some(&description) {
            return Err(KeepError::Cryptography);
        }
        let handle =
            self.change(|session| self.make(session, on_token, Class::of(purpose), &label))?;
        let handle = handle.ok_or(KeepError::Cryptography)?;
        match self.find(&handle) {
            Ok(key) => Ok(key),
            // The token gave it other attributes than it was asked for.
            Err(KeepError::UnknownKey { .. }) => {
                self.change(|session| remove(session, &handle))?;
                Err(KeepError::Cryptography)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a pair of keys. The label of the private key, which makes it count, comes last.
    fn make(
        &self,
        session: &Session,
        on_token: &SuiteOnToken,
        class: Class,
        label: &str,
    ) -> Result<Option<KeyHandle>, Error> {
        let mut name = [0; 16];
        // Until the public half is known. A name that is not random can only clash with itself.
        let _ = rand::fill(&mut name);
        let shared = [
            Attribute::Token(true),
            Attribute::Id(name.to_vec()),
            Attribute::Label(label::UNFINISHED.into()),
        ];
        let mut public = shared.to_vec();
        public.extend([
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(on_token.curve.to_vec()),
        ]);
        let mut private = class.rules().template(self.can_trust());
        private.extend(shared.into_iter().filter(|one| !matches!(one, Attribute::Token(_))));
        let (public, private) = session.generate_key_pair(&on_token.making(), &public, &private)?;
        let point = session.get_attributes(public, &[AttributeType::EcPoint])?;
        let public_key = point.iter().find_map(|attribute| match attribute {
            Attribute::EcPoint(point) => on_token.public_key(point),
            _ => None,
        });
        let Some(public_key) = public_key else {
            session.destroy_object(private)?;
            session.destroy_object(public)?;
            return Ok(None);
        };
        let handle = KeyHandle::of(public_key.as_bytes());
        let named = [
            Attribute::Id(handle.as_bytes().to_vec()),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        session.update_attributes(public, &named)?;
        session.update_attributes(private, &named)?;
        Ok(Some(handle))
    }

    pub(crate) fn attach(&self, handle: &KeyHandle, der: &[u8]) -> Result<Key, KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.find(handle)?;
        let parsed = Certificate::parse(der).map_err(|_| KeepError::Certificate)?;
        if der.len() > CERTIFICATE_BYTES_MAX || !certificate::certifies(der, &key.public_key) {
            return Err(KeepError::Certificate);
        }
        self.change(|session| {
            let id = handle.as_bytes().to_vec();
            let all = certificate_objects(session)?;
            let earlier: Vec<_> = all.into_iter().filter(|(_, of, _)| *of == id).collect();
            let last = earlier.iter().map(|(_, _, number)| *number).max().unwrap_or(0);
            session.create_object(&[
                Attribute::Class(ObjectClass::CERTIFICATE),
                Attribute::CertificateType(CertificateType::X_509),
                Attribute::Token(true),
                Attribute::Private(false),
                Attribute::Subject(parsed.subject.as_der().to_vec()),
                Attribute::Issuer(parsed.issuer.as_der().to_vec()),
                Attribute::SerialNumber(der_integer(parsed.serial)),
                Attribute::Id(id),
                Attribute::Label(label::of_certificate(last.saturating_add(1)).into_bytes()),
                Attribute::Value(der.to_vec()),
            ])?;
            // The one with the highest number counts, should this be cut short.
            earlier.iter().try_for_each(|(object, _, _)| session.destroy_object(*object))
        })?;
        self.find(handle)
    }

    pub(crate) fn set_state(
        &self,
        handle: &KeyHandle,
        state: State,
        at: Instant,
    ) -> Result<Key, KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.find(handle)?;
        if state < key.state {
            return Err(KeepError::Backwards { state: key.state });
        }
        if state == key.state {
            return Ok(key);
        }
        let listing = self.listing();
        let number = listing.number(handle).ok_or(KeepError::UnknownKey { handle: *handle })?;
        let label = Description::of(number, &Key { state, state_since: at, ..key }).to_string();
        if Description::parse(&label).is_none() {
            return Err(KeepError::Cryptography);
        }
        self.change(|session| {
            let label = [Attribute::Label(label.as_bytes().to_vec())];
            // The label of the private key counts, so it comes first.
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                for object in objects(session, class, handle)? {
                    session.update_attributes(object, &label)?;
                }
            }
            Ok(())
        })?;
        self.find(handle)
    }

    pub(crate) fn destroy(&self, handle: &KeyHandle) -> Result<(), KeepError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.find(handle)?;
        if key.state != State::Retired {
            return Err(KeepError::Backwards { state: key.state });
        }
        self.change(|session| remove(session, handle))?;
        match self.find(handle) {
            Err(KeepError::UnknownKey { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(KeepError::Cryptography),
        }
    }

    /// Removes what a crash left: keys whose making was not finished, public keys and certificates
    /// of ours without a private key.
    pub(crate) fn sweep(&self) -> Result<(), PoolError> {
        self.pool.once(|session| {
            // Private keys are read last: if the token goes away in between, nothing is an orphan.
            let publics = ours(session, ObjectClass::PUBLIC_KEY)?;
            let certificates = certificate_objects(session)?;
            let mut alive = BTreeSet::new();
            for private in session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])? {
                let asked = [AttributeType::Label, AttributeType::Id];
                let attributes = session.get_attributes(private, &asked)?;
                if label_of(&attributes) == label::UNFINISHED {
                    session.destroy_object(private)?;
                } else {
                    alive.insert(id_of(&attributes));
                }
            }
            if !self.is_ours(session)? {
                return Ok(());
            }
            let certificates = certificates.into_iter().map(|(object, id, _)| (object, id));
            for (object, _) in
                publics.into_iter().chain(certificates).filter(|(_, id)| !alive.contains(id))
            {
                session.destroy_object(object)?;
            }
            Ok(())
        })
    }

    /// The key as the token has it now.
    fn find(&self, handle: &KeyHandle) -> Result<Key, KeepError> {
        self.refresh().map_err(|_| KeepError::Unavailable)?;
        let listing = self.listing();
        let found = listing.find(handle).map(|(key, _)| key.clone());
        found.ok_or(KeepError::UnknownKey { handle: *handle })
    }

    /// Runs `work` at most once.
    fn change<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, KeepError> {
        self.note(self.pool.once(work).map_err(Trouble::Pool)).map_err(|trouble| match trouble {
            Trouble::Pool(PoolError::Token { source: Error::Pkcs11(answer, _) }) => match answer {
                RvError::DeviceMemory | RvError::HostMemory => KeepError::Full,
                _ if PoolError::is_loss_answer(&answer) => KeepError::Unavailable,
                _ => KeepError::Cryptography,
            },
            _ => KeepError::Unavailable,
        })
    }
}

/// Destroys the private key first: from then on it signs nothing.
fn remove(session: &Session, handle: &KeyHandle) -> Result<(), Error> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in objects(session, class, handle)? {
            session.destroy_object(object)?;
        }
    }
    for (object, id, _) in certificate_objects(session)? {
        if id == handle.as_bytes() {
            session.destroy_object(object)?;
        }
    }
    Ok(())
}

/// The objects of ours of `class` that belong to the key `handle`.
pub(super) fn objects(
    session: &Session,
    class: ObjectClass,
    handle: &KeyHandle,
) -> Result<Vec<ObjectHandle>, Error> {
    let ours = ours(session, class)?.into_iter();
    Ok(ours.filter(|(_, id)| id == handle.as_bytes()).map(|(object, _)| object).collect())
}

/// The objects of `class` with a label of ours, and the `CKA_ID` of each.
fn ours(session: &Session, class: ObjectClass) -> Result<Vec<(ObjectHandle, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    for object in session.find_objects(&[Attribute::Class(class)])? {
        let asked = [AttributeType::Label, AttributeType::Id];
        let attributes = session.get_attributes(object, &asked)?;
        if label_of(&attributes).starts_with(label::PREFIX) {
            found.push((object, id_of(&attributes)));
        }
    }
    Ok(found)
}

/// DER of a positive INTEGER.
fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = bytes.get(first..).unwrap_or_default();
    let pad = digits.first().is_none_or(|byte| *byte & 0x80 != 0);
    let mut der = vec![0x02, u8::try_from(digits.len() + usize::from(pad)).unwrap_or(u8::MAX)];
    der.extend(pad.then_some(0));
    der.extend_from_slice(digits);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_number_is_a_positive_integer_in_der() {
        for (bytes, der) in [
            (&[0x01][..], &[2, 1, 1][..]),
            (&[0x00, 0x01], &[2, 1, 1]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[], &[2, 1, 0]),
        ] {
            assert_eq!(der_integer(bytes), der);
        }
    }
}
