//! Delivery keys of readers, and where the keys are good that come to them.

use credential::delivery::Scope;
use credential::delivery::recipient::{Recipient, Statement};
use fleet::bundle::scopes_of;
use fleet::change::Change;
use fleet::delivery::register_delivery_keys;
use fleet::reader::{DOORS_MAX, Reader, ReaderState, retire_reader};
use fleet::refusal::Refusal;
use policy::action::Action;
use policy::place::{Place, PlaceTree};

use credential::rustcrypto::RustCrypto;
use reader::bundle::DELIVERIES_MAX;

use crate::city::{Key, NOW, enrolled, operator, own_permit, permit, place};

/// The statement of `reader` that its delivery key is `delivery`, signed by `key`.
fn statement(reader: &Reader, key: &Key, delivery: &Key) -> Statement {
    let recipient = Recipient::new(delivery.public(), None).unwrap();
    let challenge = recipient.challenge(reader.id);
    let (by_reader, by_delivery_key) = (key.sign(&challenge), delivery.sign(&challenge));
    Statement { reader: reader.id, recipient, by_reader, by_delivery_key }
}

#[test]
fn a_reader_registers_delivery_keys_that_both_of_its_keys_signed() {
    let (key, reader, _) = enrolled(21);
    let delivery = Key::new(99);
    let permit = own_permit(Action::ReaderRenew, &reader);
    let register = |bytes: &[u8]| register_delivery_keys(&permit, &reader, bytes, &RustCrypto);
    let good = statement(&reader, &key, &delivery);
    let Ok(Change::UpdateReader(next)) = register(&good.encode()) else { panic!("refused") };
    let delivery_keys = Some(good.encode());
    assert_eq!(next, Reader { delivery_keys, version: reader.version + 1, ..reader.clone() });
    let other = Key::new(98);
    let (_, mut stranger, _) = enrolled(22);
    stranger.id = vocabulary::id::ReaderId::from_bytes([1; 16]);
    for (what, wrong) in [
        ("signed by another key", statement(&reader, &other, &delivery)),
        ("of another reader", statement(&stranger, &key, &delivery)),
        ("delivery key not held", {
            let by_delivery_key = other.sign(&good.recipient.challenge(reader.id));
            Statement { by_delivery_key, ..good.clone() }
        }),
    ] {
        let refused = register(&wrong.encode()).unwrap_err();
        assert_eq!(refused.code(), "delivery-keys", "{what}");
    }
    let whole = good.encode();
    for length in 0..whole.len() {
        assert!(register(&whole[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn nobody_else_registers_them_and_no_retired_reader_does() {
    let (key, reader, _) = enrolled(21);
    let bytes = statement(&reader, &key, &Key::new(99)).encode();
    let wrong = own_permit(Action::BundleFetch, &reader);
    let refused = register_delivery_keys(&wrong, &reader, &bytes, &RustCrypto);
    assert!(matches!(refused, Err(Refusal::Permit(_))));
    let retire = permit(Action::ReaderRetire, "harbour");
    let Ok(Change::UpdateReader(retired)) = retire_reader(&retire, &reader, NOW) else {
        panic!("not retired")
    };
    assert!(matches!(retired.state, ReaderState::Retired { .. }));
    let permit = own_permit(Action::ReaderRenew, &reader);
    let refused = register_delivery_keys(&permit, &retired, &bytes, &RustCrypto);
    assert_eq!(refused, Err(Refusal::Retired));
}

#[test]
fn keys_of_a_reader_are_good_in_the_zones_of_its_doors_and_nowhere_else() {
    let zoned =
        |code, zone: &str| Place { zone: Some(zone.parse().unwrap()), ..place(code, "harbour") };
    let tree = PlaceTree::new([
        zoned("quay/a", "B"),
        zoned("quay/b", "B"),
        zoned("quay/c", "C"),
        zoned("yard/d", "D"),
        place("hall/door", "harbour"),
    ]);
    let tree = tree.unwrap();
    let (_, reader, _) = enrolled(21);
    let doors = ["quay/a", "quay/b", "quay/c", "hall/door"];
    let doors = doors.into_iter().map(|door| door.parse().unwrap()).collect();
    let reader = Reader { doors, ..reader };
    let scope = |zone: Option<&str>| Scope {
        operator: operator("harbour"),
        zone: zone.map(|zone| zone.parse().unwrap()),
    };
    assert_eq!(scopes_of(&reader, &tree), [scope(Some("B")), scope(Some("C")), scope(None)]);
    // As many as a reader can have fit into its bundle: two epoch and two zone keys for each.
    const { assert!(DOORS_MAX * 4 <= DELIVERIES_MAX) };
}
