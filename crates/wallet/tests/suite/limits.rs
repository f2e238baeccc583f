//! Limits of a wallet, at each and one past it.

use wallet::collect::{Answer, BATCH_MAX, CollectError, Collection, Hands, Step, Wish};
use wallet::log::{ENTRIES_MAX, Entry};
use wallet::pass::PASSES_MAX;
use wallet::secure_element::{DeviceKey, PresenceRule, SecureElement, SecureElementError};
use wallet::software::KEYS_MAX;

use crate::city::{CRYPTO, City, noon};
use crate::gate::Gate;
use crate::issuer::Town;
use crate::phone::Phone;

#[test]
fn log_keeps_the_newest_entries() {
    let city = City::new();
    let (mut phone, mut gate) = (Phone::with_ticket(&city), Gate::new(&city));
    let entry = |number: usize| Entry {
        at: noon(),
        with: number.to_string(),
        pass: String::new(),
        disclosed: Vec::new(),
        outcome: String::new(),
    };
    phone.state.log = (0..ENTRIES_MAX - 1).map(entry).collect();
    for (oldest, taps) in ["0", "1", "2"].into_iter().zip(1..) {
        phone.hold(&mut gate).unwrap();
        assert_eq!(phone.state.log.len(), ENTRIES_MAX);
        assert_eq!(phone.state.log[0].with, oldest);
        let shown = phone.state.log.iter().filter(|entry| entry.outcome == "shown").count();
        assert_eq!(shown, taps);
        assert_eq!(phone.last_entry().outcome, "shown");
    }
}

/// Collects two passes into a wallet that holds so many; gives the keys made for it that are left.
fn collect_into(passes: usize) -> (Result<Vec<String>, CollectError>, Phone, usize) {
    let city = City::new();
    let mut phone = Phone::with_ticket(&city);
    phone.state.passes = vec![phone.state.passes[0].clone(); passes];
    let mut town = Town::new(&city);
    let code = Some(town.transaction_code.clone());
    let wish = Wish { documents: 1, presence: PresenceRule::NotNeeded };
    let collection = Collection::new(town.offered(), code, wish);
    let (kept, keys) = collect(&mut phone, &mut town, collection);
    (kept, phone, keys)
}

fn collect(
    phone: &mut Phone,
    town: &mut Town,
    mut collection: Collection,
) -> (Result<Vec<String>, CollectError>, usize) {
    let count = |phone: &Phone| {
        (0..2048).filter(|key| phone.element.public_key(DeviceKey(*key)).is_ok()).count()
    };
    let before = count(phone);
    let mut number = 0;
    let mut entropy = || {
        number += 1;
        [number; 32]
    };
    let element = &mut phone.element;
    let mut hands = Hands { crypto: CRYPTO, element, entropy: &mut entropy, now: noon() };
    let kept = loop {
        match collection.poll(&mut hands) {
            Ok(Step::Send(request)) => {
                let reply = town.answer(&request);
                let answer = Answer { status: reply.status, dpop_nonce: None, body: &reply.body };
                collection.receive(answer).unwrap();
            }
            Ok(Step::Done) => break collection.keep(&mut hands, &mut phone.state),
            Err(error) => break Err(error),
        }
    };
    collection.end(&mut phone.element);
    (kept, count(phone) - before)
}

#[test]
fn wallet_takes_passes_up_to_its_limit_and_all_of_an_offer_or_none() {
    let (kept, phone, keys) = collect_into(PASSES_MAX - 3);
    assert_eq!((kept.unwrap().len(), phone.state.passes.len(), keys), (1, PASSES_MAX, 3));
    for passes in [PASSES_MAX - 2, PASSES_MAX - 1, PASSES_MAX] {
        let (kept, phone, keys) = collect_into(passes);
        assert!(matches!(kept, Err(CollectError::Full)));
        assert_eq!((phone.state.passes.len(), keys), (passes, 0));
        assert!(phone.state.log.is_empty());
    }
}

#[test]
fn secure_element_that_fills_up_on_the_way_is_left_as_it_was() {
    let city = City::new();
    let mut phone = Phone::empty(&city);
    let wish = Wish { documents: 1, presence: PresenceRule::NotNeeded };
    let fill = |phone: &mut Phone, free: usize| {
        for number in 0..u32::try_from(KEYS_MAX - free).unwrap() {
            let mut entropy = [9; 32];
            entropy[..4].copy_from_slice(&number.to_be_bytes());
            phone.element.generate(CRYPTO, entropy, PresenceRule::NotNeeded).unwrap();
        }
    };
    // Room for the key of the conversation and two documents, and three are offered.
    fill(&mut phone, 3);
    let mut town = Town::new(&city);
    let code = Some(town.transaction_code.clone());
    let collection = Collection::new(town.offered(), code, wish);
    let (kept, keys) = collect(&mut phone, &mut town, collection);
    assert!(matches!(kept, Err(CollectError::Element(SecureElementError::Full))), "{kept:?}");
    assert_eq!(keys, 0);
    for key in 0..1 {
        phone.element.destroy(DeviceKey(key));
    }
    let mut town = Town::new(&city);
    let code = Some(town.transaction_code.clone());
    let collection = Collection::new(town.offered(), code, wish);
    let (kept, keys) = collect(&mut phone, &mut town, collection);
    assert_eq!((kept.unwrap().len(), keys), (1, 3), "control: one more fits");
}

#[test]
fn no_more_documents_are_asked_for_than_a_batch_holds() {
    let city = City::new();
    for (documents, expected) in [(0, 1), (1, 1), (4, 4), (5, 4), (BATCH_MAX + 1, 4)] {
        let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
        let wish = Wish { documents, presence: PresenceRule::NotNeeded };
        let code = Some(town.transaction_code.clone());
        let collection = Collection::new(town.offered(), code, wish);
        let (kept, _) = collect(&mut phone, &mut town, collection);
        kept.unwrap();
        // The product gives four at the most.
        assert_eq!(phone.state.passes[0].documents.len(), expected, "{documents}");
    }
}
