//! An operator whose document signers cannot be renewed stands alone: the city goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use credential::crypto::Signature;
use keys::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, SignError, State};
use keys::object::TypedObject;
use keys::software::Keystore;
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::client::Client;
use crate::phone::{Key as PhoneKey, Phone};
use crate::staff::{pass, ticket};
use crate::town::Town;

/// A custodian that makes no key for one operator.
struct Stuck {
    keys: Keystore,
    operator: OperatorCode,
}

impl Custody for Stuck {
    fn keys(&self) -> Arc<[Key]> {
        self.keys.keys()
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        self.keys.sign(handle, object)
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        if request.operator.as_ref() == Some(&self.operator) {
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
        self.keys.destroy(handle)
    }
}

#[test]
fn operator_without_signers_issues_nothing_and_the_city_goes_on() {
    let mut town = Town::closed(|_| {});
    // `harbour` comes before `hill`: what fails first must not stop what follows.
    town.open_behind(|keys| Arc::new(Stuck { keys, operator: "harbour".parse().unwrap() }));
    let collect = |owner: Client| {
        let pass = pass(&owner, &ticket("first-class"));
        let offer = owner.send("POST", &format!("/v1/passes/{pass}/offers"), &[], None);
        let phone = Phone::follow(&town.anyone(), &offer.text("uri"));
        let token = phone.token(None, false);
        phone.collect(&token, "mso_mdoc", &[&PhoneKey::new(7)], false)
    };
    assert_eq!(collect(town.harbour()).problem(503), "key-missing");
    collect(town.hill()).expect(200);
    let ready = town.anyone().get("/readyz");
    assert_eq!(ready.status, 200);
    let told = String::from_utf8(ready.body).unwrap();
    assert_eq!(told, "ready\ndocument signers of `harbour` are not renewed\n");
}

/// A custodian that is away at times, as a key service or a token can be.
struct Away {
    keys: Keystore,
    is_away: Arc<AtomicBool>,
}

impl Custody for Away {
    fn keys(&self) -> Arc<[Key]> {
        self.keys.keys()
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Box::pin(async { Err(SignError::Unavailable) });
        }
        self.keys.sign(handle, object)
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
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
        self.keys.destroy(handle)
    }
}

#[test]
fn what_needs_a_signature_waits_for_the_custodian_and_nothing_else_does() {
    let mut town = Town::closed(|_| {});
    let is_away = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_away);
    town.open_behind(|keys| Arc::new(Away { keys, is_away }));
    let owner = town.harbour();
    let held = pass(&owner, &ticket("first-class"));
    let collect = |pass: &str, key: u8| {
        let offer = owner.send("POST", &format!("/v1/passes/{pass}/offers"), &[], None);
        let phone = Phone::follow(&town.anyone(), &offer.text("uri"));
        let token = phone.token(None, false);
        phone.collect(&token, "mso_mdoc", &[&PhoneKey::new(key)], false)
    };
    switch.store(true, Ordering::Relaxed);
    let refused = collect(&held, 7);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.problem(503), "keys-unavailable");
    let meanwhile = pass(&owner, &ticket("day"));
    owner.get(&format!("/v1/passes/{meanwhile}")).expect(200);
    switch.store(false, Ordering::Relaxed);
    collect(&held, 7).expect(200);
    collect(&meanwhile, 8).expect(200);
}
