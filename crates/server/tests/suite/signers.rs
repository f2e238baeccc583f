//! An operator whose document signers cannot be renewed stands alone: the city goes on.

use std::sync::Arc;

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
