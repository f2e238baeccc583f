//! An operator whose document signers cannot be renewed stands alone: the city goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vocabulary::code::OperatorCode;

use crate::client::{Answer, Client};
use crate::custodian::{Asked, Wilful};
use crate::phone::{Key as PhoneKey, Phone};
use crate::staff::{pass, ticket};
use crate::town::Town;

#[test]
fn operator_without_signers_issues_nothing_and_the_city_goes_on() {
    let mut town = Town::closed(|_| {});
    // `harbour` comes before `hill`: what fails first must not stop what follows.
    town.open_behind(|keys| {
        let harbour: OperatorCode = "harbour".parse().unwrap();
        let refuses = move |asked: Asked<'_>| {
            matches!(asked, Asked::Generate(new) if new.operator.as_ref() == Some(&harbour))
        };
        Arc::new(Wilful { keys, refuses })
    });
    let offered = |owner: Client| {
        let pass = pass(&owner, &ticket("first-class"));
        let offer = owner.send("POST", &format!("/v1/passes/{pass}/offers"), &[], None);
        Phone::follow(&town.anyone(), &offer.text("uri"))
    };
    let phone = offered(town.harbour());
    for _ in 0..2 {
        assert_eq!(phone.token(None, false).problem(503), "key-missing", "the offer is as it was");
    }
    let phone = offered(town.hill());
    let token = phone.token(None, false);
    phone.collect(&token, "mso_mdoc", &[&PhoneKey::new(7)], false).expect(200);
    let ready = town.anyone().get("/readyz");
    assert_eq!(ready.status, 200);
    let told = String::from_utf8(ready.body).unwrap();
    assert_eq!(told, "ready\ndocument signers of `harbour` are not renewed\n");
}

#[test]
fn what_needs_a_signature_waits_for_the_custodian_and_nothing_else_does() {
    let mut town = Town::closed(|_| {});
    let is_away = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_away);
    town.open_behind(|keys| {
        let refuses =
            move |asked: Asked<'_>| matches!(asked, Asked::Sign) && is_away.load(Ordering::Relaxed);
        Arc::new(Wilful { keys, refuses })
    });
    let owner = town.harbour();
    let held = pass(&owner, &ticket("first-class"));
    let offered = |pass: &str| {
        let offer = owner.send("POST", &format!("/v1/passes/{pass}/offers"), &[], None);
        let phone = Phone::follow(&town.anyone(), &offer.text("uri"));
        let token = phone.token(None, false);
        (phone, token)
    };
    let collect = |(phone, token): &(Phone, Answer), key: u8| {
        phone.collect(token, "mso_mdoc", &[&PhoneKey::new(key)], false)
    };
    switch.store(true, Ordering::Relaxed);
    let collecting = offered(&held);
    let refused = collect(&collecting, 7);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.problem(503), "keys-unavailable");
    let meanwhile = pass(&owner, &ticket("day"));
    owner.get(&format!("/v1/passes/{meanwhile}")).expect(200);
    switch.store(false, Ordering::Relaxed);
    collect(&collecting, 7).expect(200);
    collect(&offered(&meanwhile), 8).expect(200);
}
