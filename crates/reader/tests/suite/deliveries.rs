//! Keys delivered to a reader: which are taken, which refused, which forgotten.
//!
//! The element here unwraps nothing; that is tested where one does (`keys`, `edge`). It tells what the
//! rules of this crate had it do.

use credential::crypto::{SharedSecret, Signature};
use credential::delivery::recipient::Recipient;
use credential::delivery::schedule::{Agreed, Inner, Sent, seal};
use credential::delivery::{
    Context, DELIVERY_BYTES_MAX, Delivery, DeliveryError, Kcv, Purpose, Scope,
};
use presentation::express;
use presentation::express::handle::{Content, Handle, TapKey};
use presentation::express::reader::{HandleOpener, OpenError};
use reader::bundle::{Bundle, DELIVERIES_MAX};
use reader::delivery::{
    ElementError, GENERATIONS_HELD, Held, MARKS_MAX, Mark, SecureElement, Taken, take,
};

use crate::city::{CRYPTO, City, READER, noon};

/// An element that opens what is sealed with a key that both know.
struct Element {
    recipient: Recipient,
    held: Vec<Held>,
    marks: Vec<Mark>,
    aside: Vec<Held>,
    is_full: bool,
}

fn agreed() -> SharedSecret {
    SharedSecret::from_bytes([7; 32])
}

impl Element {
    fn new() -> Self {
        let recipient = Recipient::new([4; 65], None).unwrap();
        let (held, marks, aside) = (Vec::new(), Vec::new(), Vec::new());
        Self { recipient, held, marks, aside, is_full: false }
    }

    fn take(&mut self, deliveries: &[Vec<u8>]) -> Taken {
        take(self, READER, deliveries).unwrap()
    }

    fn names(&self) -> Vec<(u64, u32)> {
        let mut names: Vec<_> = self.held.iter().map(|held| (held.epoch, held.version)).collect();
        names.sort_unstable();
        names
    }
}

impl HandleOpener for Element {
    fn open(&self, _: express::Context, _: &Handle) -> Result<(Content, TapKey), OpenError> {
        Err(OpenError::NoKey)
    }
}

impl SecureElement for Element {
    fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    fn prove(&self, _: &[u8]) -> Result<Signature, ElementError> {
        Err(ElementError::Fault)
    }

    fn held(&self) -> &[Held] {
        &self.held
    }

    fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn unwrap(&mut self, delivery: &Delivery) -> Result<(), ElementError> {
        let shared = agreed();
        let agreed = Agreed { p256: &shared, ml_kem: None };
        let opened =
            credential::delivery::schedule::open(CRYPTO, delivery, &self.recipient, &agreed);
        opened.map_err(ElementError::Delivery)?;
        self.aside.push(Held::of(delivery));
        Ok(())
    }

    fn commit(&mut self, kept: &[Held], marks: Vec<Mark>) -> Result<(), ElementError> {
        let new = core::mem::take(&mut self.aside);
        if self.is_full {
            return Err(ElementError::Storage);
        }
        self.held = kept.iter().cloned().chain(new).collect();
        self.marks = marks;
        Ok(())
    }

    fn mac(&self, _: &Held, _: &[u8]) -> Result<[u8; 16], ElementError> {
        Err(ElementError::Fault)
    }
}

fn scope(zone: &str) -> Scope {
    Scope { operator: "tram".parse().unwrap(), zone: Some(zone.parse().unwrap()) }
}

fn context(purpose: Purpose, epoch: u64, version: u32) -> Context {
    let kcv = Kcv([purpose.number(), epoch.to_be_bytes()[7], version.to_be_bytes()[3], 0, 0]);
    let subject = if purpose == Purpose::Card { vec![1; 16] } else { Vec::new() };
    let recipient = *READER.as_bytes();
    Context { recipient, purpose, scope: scope("B"), epoch, version, subject, kcv }
}

fn sealed(context: Context) -> Vec<u8> {
    let recipient = Recipient::new([4; 65], None).unwrap();
    let wrapped = vec![1; context.purpose.wrapped_bytes()];
    let inner = Inner { ephemeral: [5; 65], wrapped };
    let sent = Sent { ephemeral: [6; 65], encapsulated: None };
    let shared = agreed();
    let agreed = Agreed { p256: &shared, ml_kem: None };
    seal(CRYPTO, context, &recipient, sent, &agreed, &inner).unwrap().encode()
}

fn epoch(epoch: u64, version: u32) -> Vec<u8> {
    sealed(context(Purpose::Epoch, epoch, version))
}

fn codes(taken: &Taken) -> Vec<&'static str> {
    taken.refused.iter().map(|rejection| rejection.code).collect()
}

#[test]
fn keys_come_forward_and_old_ones_go() {
    let mut element = Element::new();
    let taken = element.take(&[epoch(10, 1), epoch(11, 1)]);
    assert_eq!((taken.installed.len(), taken.known, taken.forgotten), (2, 0, 0));
    assert_eq!(element.take(&[epoch(10, 1), epoch(11, 1)]).known, 2);
    element.take(&[epoch(11, 1), epoch(12, 1)]);
    assert_eq!(element.names(), [(10, 1), (11, 1), (12, 1)]);
    let taken = element.take(&[epoch(12, 1), epoch(13, 1)]);
    assert_eq!(taken.forgotten, 1);
    assert_eq!(element.names(), [(11, 1), (12, 1), (13, 1)]);
    assert_eq!(GENERATIONS_HELD, 3);
}

/// A replayed delivery is the right key of a past epoch, sealed for this reader. The control is a
/// reader that has not seen the later ones.
#[test]
fn a_replayed_delivery_is_refused() {
    let mut element = Element::new();
    element.take(&[epoch(12, 1), epoch(13, 1)]);
    let replayed = element.take(&[epoch(10, 1)]);
    assert_eq!(codes(&replayed), ["delivery-old"]);
    assert_eq!(element.names(), [(12, 1), (13, 1)]);
    assert_eq!(Element::new().take(&[epoch(10, 1)]).installed.len(), 1, "control");
    // One generation back is still in the window.
    assert_eq!(element.take(&[epoch(11, 1), epoch(12, 1)]).installed.len(), 1);
    // The mark stays when the keys are forgotten because the reader was moved to another zone.
    let moved = sealed(Context { scope: scope("C"), ..context(Purpose::Zone, 0, 1) });
    assert_eq!(element.take(&[moved]).forgotten, 3);
    assert_eq!(codes(&element.take(&[epoch(10, 1)])), ["delivery-old"]);
}

#[test]
fn a_second_key_of_an_epoch_takes_the_place_of_the_first_and_never_the_other_way() {
    let mut element = Element::new();
    element.take(&[epoch(10, 1)]);
    element.take(&[epoch(10, 2)]);
    assert_eq!(element.names(), [(10, 2)]);
    assert_eq!(codes(&element.take(&[epoch(10, 1)])), ["delivery-old"]);
    assert_eq!(codes(&element.take(&[epoch(10, 3), epoch(10, 2)])), ["delivery-old"]);
    assert_eq!(element.names(), [(10, 3)]);
    let other = Context { kcv: Kcv([9; 5]), ..context(Purpose::Epoch, 10, 3) };
    assert_eq!(codes(&element.take(&[sealed(other)])), ["delivery-changed"]);
}

#[test]
fn zone_keys_come_forward_by_version() {
    let mut element = Element::new();
    let zone = |version| sealed(context(Purpose::Zone, 0, version));
    element.take(&[zone(1), zone(2)]);
    element.take(&[zone(4)]);
    assert_eq!(element.names(), [(0, 2), (0, 4)]);
    assert_eq!(codes(&element.take(&[zone(1)])), ["delivery-old"]);
}

#[test]
fn what_is_not_for_this_reader_is_refused_and_the_rest_taken() {
    let mut element = Element::new();
    let other = Context { recipient: [9; 16], ..context(Purpose::Epoch, 10, 1) };
    let card = context(Purpose::Card, 0, 1);
    // Epoch 11 under the name of epoch 10: the associated data is another.
    let swapped = Delivery::parse(&epoch(11, 1)).unwrap();
    let swapped = Delivery { context: context(Purpose::Epoch, 10, 1), ..swapped }.encode();
    let taken = element.take(&[sealed(other), sealed(card), swapped, vec![0], epoch(12, 1)]);
    let expected = ["delivery-reader", "delivery-purpose", "delivery-sealed", "delivery-form"];
    assert_eq!(codes(&taken), expected);
    assert_eq!(element.names(), [(12, 1)]);
}

#[test]
fn a_bundle_without_keys_leaves_those_that_are_there() {
    let mut element = Element::new();
    element.take(&[epoch(10, 1)]);
    assert_eq!(element.take(&[]), Taken::default());
    // Nor does one whose keys are all refused.
    element.take(&[vec![0]]);
    assert_eq!(element.names(), [(10, 1)]);
}

#[test]
fn keys_that_cannot_be_stored_are_not_in_use() {
    let mut element = Element::new();
    element.take(&[epoch(10, 1)]);
    element.is_full = true;
    let failed = take(&mut element, READER, &[epoch(11, 1)]);
    assert_eq!(failed, Err(ElementError::Storage));
    assert_eq!(element.names(), [(10, 1)]);
}

#[test]
fn one_scope_past_the_limit_is_refused() {
    let mut element = Element::new();
    let zone = |number: usize| {
        sealed(Context { scope: scope(&format!("Z{number}")), ..context(Purpose::Zone, 0, 1) })
    };
    let all: Vec<Vec<u8>> = (0..=MARKS_MAX).map(zone).collect();
    let taken = element.take(&all);
    assert_eq!(taken.installed.len(), MARKS_MAX);
    assert_eq!(codes(&taken), ["delivery-scopes"]);
}

fn check(change: impl FnOnce(&mut Bundle), expected: Result<(), &'static str>) {
    use credential::x509::TrustAnchors;
    use reader::bundle::{Pin, VerifiedBundle};
    let city = City::new();
    let mut bundle = city.bundle(5);
    change(&mut bundle);
    let root = TrustAnchors::from_ders([city.root.der.as_slice()]).unwrap();
    let pin = Pin { root: &root, reader: READER, epoch: 5, at: noon() };
    let verified = VerifiedBundle::verify(CRYPTO, &city.signed(&bundle), &pin);
    let verified = verified.map(|it| it.bundle().clone()).map_err(|rejection| rejection.code);
    assert_eq!(verified, expected.map(|()| bundle));
}

#[test]
fn a_bundle_holds_deliveries_up_to_its_limits() {
    let fill =
        |count, bytes| move |bundle: &mut Bundle| bundle.deliveries = vec![vec![0; bytes]; count];
    check(fill(DELIVERIES_MAX, DELIVERY_BYTES_MAX), Ok(()));
    check(fill(DELIVERIES_MAX + 1, 1), Err("bundle-form"));
    check(fill(1, DELIVERY_BYTES_MAX + 1), Err("bundle-form"));
    assert_eq!(Delivery::parse(&[0; DELIVERY_BYTES_MAX + 1]), Err(DeliveryError::TooLong));
}
