//! The root in a ceremony: out of the token under the custodians' wrapping key, and back.
//!
//! The wrapping key comes into the token as an object of the session (`CKA_TOKEN` false) that wraps and
//! unwraps only; it is destroyed in the same call, and a process that dies meanwhile takes it along. A
//! root is wrapped as PKCS#8 (PKCS #11 2.40, 2.14.3) by `CKM_AES_KEY_WRAP_PAD`; where the security officer
//! takes part, under a key that the officer made trusted ([`super::officer`]).

use std::sync::PoisonError;

use aws_lc_rs::rand;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::{Zeroize, Zeroizing};

use crate::ceremony::seat::{RootSeat, SeatError, WrappedRoot};
use crate::ceremony::wrapping::{WRAPPING_KEY_BYTES, WrapError, WrappingKey};
use crate::custody::{Key, KeyHandle, Pending, State};
use crate::purpose::{Purpose, Suite};
use crate::token::changes::objects;
use crate::token::class::{Class, Flag};
use crate::token::keeper::Keeper;
use crate::token::label::{self, Description};
use crate::token::mechanism::SuiteOnToken;
use crate::token::officer::OfficerError;
use crate::token::pin::Pin;
use crate::token::pool::PoolError;
use crate::token::{Role, Token};

type Bytes = Zeroizing<[u8; WRAPPING_KEY_BYTES]>;

/// A root that comes back, as it travels to the thread that waits for the token.
struct Returning {
    wrapped: Vec<u8>,
    point: Vec<u8>,
    suite: Suite,
    at: vocabulary::time::Instant,
}

impl RootSeat for Token {
    fn held_by(&self) -> String {
        format!("token:{}", self.pool().label())
    }

    fn trusts_by_officer(&self) -> bool {
        self.keeper.officer.is_some()
    }

    fn check_ready(&self) -> Pending<'_, (), SeatError> {
        Box::pin(async move { self.ask(Keeper::check_ready).await.unwrap_or(Err(SeatError::Away)) })
    }

    fn wrap_root<'a>(
        &'a self,
        handle: &'a KeyHandle,
        key: &'a WrappingKey,
    ) -> Pending<'a, Vec<u8>, SeatError> {
        let (handle, key) = (*handle, Zeroizing::new(*key.danger_bytes()));
        Box::pin(async move {
            let wrapped = self.ask(move |keeper| keeper.wrap_root(&handle, &key)).await;
            wrapped.unwrap_or(Err(SeatError::Away))
        })
    }

    fn unwrap_root<'a>(
        &'a self,
        root: &'a WrappedRoot<'a>,
        key: &'a WrappingKey,
    ) -> Pending<'a, Key, SeatError> {
        let key = Zeroizing::new(*key.danger_bytes());
        let returning = Returning {
            wrapped: root.wrapped.to_vec(),
            point: root.public_key.as_bytes().to_vec(),
            suite: root.suite,
            at: root.at,
        };
        Box::pin(async move {
            let kept = self.ask(move |keeper| keeper.unwrap_root(&returning, &key)).await;
            kept.unwrap_or(Err(SeatError::Away))
        })
    }
}

impl Keeper {
    /// Told before anything is made: a root that cannot be wrapped is a root without a backup. With the
    /// officer it is tried, on a key of the session in place of the root.
    fn check_ready(&self) -> Result<(), SeatError> {
        self.check_role()?;
        let Some(officer) = &self.officer else {
            return match self.quirks.officer_can_trust {
                true => Err(SeatError::NeedsOfficer { label: self.pool.label().to_owned() }),
                false => Ok(()),
            };
        };
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Bytes::default();
        rand::fill(key.as_mut()).map_err(|_| SeatError::Wrap(WrapError::Cryptography))?;
        let on_token = SuiteOnToken::of(Suite::Es256).ok_or(SeatError::OtherRoot)?;
        let tried = self.with_trusted(officer, &key, |session, wrapping| {
            let root = stand_in(session, on_token)?;
            Ok(session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, root))
        });
        let wrapped = tried
            .and_then(|wrapped| wrapped.map_err(|answer| OfficerError::CannotTrust(Some(answer))));
        wrapped.map(drop).map_err(|error| self.officer_failed(error))
    }

    fn check_role(&self) -> Result<(), SeatError> {
        let label = || self.pool.label().to_owned();
        if self.role != Role::Root {
            return Err(SeatError::OtherRole { label: label() });
        }
        if !self.mechanisms.contains(&MechanismType::AES_KEY_WRAP_PAD) {
            return Err(SeatError::NoWrapping { label: label() });
        }
        Ok(())
    }

    fn wrap_root(&self, handle: &KeyHandle, key: &Bytes) -> Result<Vec<u8>, SeatError> {
        self.check_role()?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let wrap = |session: &Session, wrapping| {
            let root = objects(session, ObjectClass::PRIVATE_KEY, handle)?;
            let Some(root) = root.first() else { return Ok(None) };
            session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, *root).map(Some)
        };
        let wrapped = match &self.officer {
            Some(officer) => {
                let wrapped = self.with_trusted(officer, key, wrap);
                wrapped.map_err(|error| self.officer_failed(error))?
            }
            None => self
                .pool
                .once(|session| with_wrapping_key(session, key, |wrapping| wrap(session, wrapping)))
                .map_err(refused)?,
        };
        wrapped.ok_or(SeatError::NoRoot { handle: *handle })
    }

    /// Does `work` with the wrapping key, which the officer makes trusted.
    fn with_trusted<T>(
        &self,
        officer: &Pin,
        key: &Bytes,
        work: impl FnOnce(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, OfficerError> {
        let mut template = template(key);
        template.retain(|one| Flag::Private.value(one).is_none());
        template.extend([Attribute::Private(false), Attribute::Trusted(true)]);
        let done = self.pool.with_trusted(officer, &template, work);
        wipe(&mut template);
        done
    }

    fn officer_failed(&self, error: OfficerError) -> SeatError {
        let label = self.pool.label().to_owned();
        match error {
            OfficerError::Pool(error) => refused(error),
            OfficerError::Work(error) => refused(PoolError::of(error)),
            OfficerError::Pin(refusal) => SeatError::Officer { label, refusal },
            OfficerError::CannotTrust(answer) => {
                SeatError::CannotTrust { label, source: answer.map(Into::into) }
            }
        }
    }

    fn unwrap_root(&self, root: &Returning, key: &Bytes) -> Result<Key, SeatError> {
        self.check_role()?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = KeyHandle::of(&root.point);
        self.refresh().map_err(|_| SeatError::Away)?;
        let listing = self.listing();
        if listing.find(&handle).is_some() {
            return Err(SeatError::Present { handle });
        }
        let on_token = SuiteOnToken::of(root.suite).ok_or(SeatError::OtherRoot)?;
        let description = Description {
            number: listing.number_max.saturating_add(1),
            purpose: Purpose::CityRoot,
            operator: None,
            suite: root.suite,
            created_at: root.at,
            state: State::Active,
            state_since: root.at,
        };
        let label = description.to_string().into_bytes();
        self.pool
            .once(|session| {
                let public = make_public(session, on_token, root, &handle, &label)?;
                let taken = with_wrapping_key(session, key, |wrapping| {
                    let template = private_template(&handle);
                    let mechanism = Mechanism::AesKeyWrapPad;
                    session.unwrap_key(&mechanism, wrapping, &root.wrapped, &template)
                });
                // From this label on the key counts; until then it is swept like any half-made one.
                let named = taken.and_then(|private| {
                    session.update_attributes(private, &[Attribute::Label(label.clone())])
                });
                if named.is_err() {
                    session.destroy_object(public)?;
                }
                named
            })
            .map_err(refused)?;
        self.refresh().map_err(|_| SeatError::Away)?;
        let listing = self.listing();
        let kept = listing.find(&handle).map(|(key, _)| key.clone());
        kept.ok_or(SeatError::OtherRoot)
    }
}

/// Imports the wrapping key, does `work` with it, and destroys it whatever came of that.
fn with_wrapping_key<T>(
    session: &Session,
    key: &Bytes,
    work: impl FnOnce(ObjectHandle) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut template = template(key);
    let imported = session.create_object(&template);
    wipe(&mut template);
    let wrapping = imported?;
    let done = work(wrapping);
    session.destroy_object(wrapping)?;
    done
}

/// The wrapping key as an object of the session.
fn template(key: &Bytes) -> Vec<Attribute> {
    let mut template = Class::Custodians.rules().template(false);
    template.retain(|one| Flag::Token.value(one).is_none());
    template.extend([
        Attribute::Token(false),
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Value(key.to_vec()),
    ]);
    template
}

fn wipe(template: &mut [Attribute]) {
    for attribute in template {
        if let Attribute::Value(bytes) = attribute {
            bytes.zeroize();
        }
    }
}

/// A private key of the session that may do what a root may, to be wrapped for a trial.
fn stand_in(session: &Session, on_token: &SuiteOnToken) -> Result<ObjectHandle, Error> {
    let public = [
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(on_token.curve.to_vec()),
    ];
    let mut private = Class::Root.rules().template(true);
    private.retain(|one| Flag::Token.value(one).is_none());
    private.push(Attribute::Token(false));
    session.generate_key_pair(&on_token.making(), &public, &private).map(|(_, private)| private)
}

/// A root that came back is not extractable again: its backup is still there.
fn private_template(handle: &KeyHandle) -> Vec<Attribute> {
    let mut template = Class::Root.rules().template(false);
    template.retain(|one| Flag::Extractable.value(one).is_none());
    template.extend([
        Attribute::Extractable(false),
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Id(handle.as_bytes().to_vec()),
        Attribute::Label(label::UNFINISHED.into()),
    ]);
    template
}

fn make_public(
    session: &Session,
    on_token: &SuiteOnToken,
    root: &Returning,
    handle: &KeyHandle,
    label: &[u8],
) -> Result<ObjectHandle, Error> {
    // CKA_EC_POINT is an OCTET STRING around the point; both curves keep its length in one byte.
    let length = u8::try_from(root.point.len()).unwrap_or(u8::MAX);
    let point = [&[0x04, length], root.point.as_slice()].concat();
    session.create_object(&[
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(on_token.curve.to_vec()),
        Attribute::EcPoint(point),
        Attribute::Id(handle.as_bytes().to_vec()),
        Attribute::Label(label.to_vec()),
    ])
}

fn refused(error: PoolError) -> SeatError {
    use RvError::{WrappedKeyInvalid, WrappedKeyLenRange};
    let answer = match &error {
        PoolError::Token { source: Error::Pkcs11(answer, _) } => Some(answer),
        _ => None,
    };
    match answer {
        Some(WrappedKeyInvalid | WrappedKeyLenRange) => SeatError::Wrap(WrapError::OtherKey),
        _ => SeatError::Token(Box::new(error)),
    }
}
