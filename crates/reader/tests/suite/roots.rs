//! Roots: how a reader that hears seldom comes from one to the next, and who cannot lead it astray.

use credential::crypto::P256Secret;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, TrustAnchors};
use reader::bundle::{Bundle, Pin, VerifiedBundle};
use reader::engine::{Input, Memory, MemoryError};
use reader::roots::{ROOTS_MAX, Root};

use crate::city::{CRYPTO, City, Identity, READER, days, key, noon, public, sign};
use crate::gate::Gate;

const NAME: &str = "Test root";

/// What `by` certifies as a root of this name with the key `number`; itself where there is no `by`.
fn certified(number: u8, name: &str, purpose: Purpose, by: Option<&Identity>) -> Identity {
    let own = key(number);
    let request = Request {
        purpose,
        subject: Subject { common_name: name, organization: None, country: "UT" },
        key: &public(&own),
        not_before: noon().saturating_sub(days(10)),
        not_after: noon().saturating_add(days(4000)),
        serial_entropy: [number; build::SERIAL_ENTROPY_BYTES],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    let parsed = by.map(|authority| Certificate::parse(&authority.der).unwrap());
    let signer = parsed.as_ref().map_or(Signer::Subject, Signer::Authority);
    let unsigned = build::certificate(&request, signer).unwrap();
    let der = sign(by.map_or(&own, |authority| &authority.key), unsigned).into_bytes();
    Identity { key: own, der }
}

fn root(number: u8) -> Identity {
    certified(number, NAME, Purpose::Root, None)
}

fn first(root: &Identity) -> Root {
    Root { certificate: root.der.clone(), link: None }
}

/// `next` as the root that follows `before`.
fn after(before: &Identity, next: &Identity) -> Root {
    let number = next.key.danger_bytes()[0];
    let link = certified(number, NAME, Purpose::Root, Some(before));
    Root { certificate: next.der.clone(), link: Some(link.der) }
}

/// A city whose bundles are signed under `root`.
fn city(root: &Identity) -> City {
    let bundle_signer = certified(90, "bundles", Purpose::BundleSigner, Some(root));
    City { root: root.clone(), bundle_signer, ..City::new() }
}

fn bundle(city: &City, epoch: u64, roots: &[Root]) -> Vec<u8> {
    city.signed(&Bundle { roots: roots.to_vec(), ..city.bundle(epoch) })
}

/// The roots that a reader with `present` believes after the bundle.
fn verify(present: &[&Identity], bytes: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let present = TrustAnchors::from_ders(present.iter().map(|root| root.der.as_slice())).unwrap();
    let pin = Pin { root: &present, reader: READER, epoch: 1, at: noon() };
    let verified = VerifiedBundle::verify(CRYPTO, bytes, &pin).map_err(|r| r.code)?;
    Ok(verified.roots().certificates().map(<[u8]>::to_vec).collect())
}

fn ders(roots: &[&Identity]) -> Vec<Vec<u8>> {
    roots.iter().map(|root| root.der.clone()).collect()
}

#[test]
fn reader_follows_from_root_to_root_and_not_back() {
    let (a, b, c) = (root(101), root(102), root(103));
    let chain = [first(&a), after(&a, &b), after(&b, &c)];
    let (under_a, under_b, under_c) = (city(&a), city(&b), city(&c));
    let check = |present: &[&Identity],
                 city: &City,
                 roots: &[Root],
                 expected: Result<&[&Identity], &'static str>| {
        assert_eq!(verify(present, &bundle(city, 1, roots)), expected.map(ders));
    };
    check(&[&a], &under_a, &[], Ok(&[&a]));
    check(&[&a], &under_a, &chain[..1], Ok(&[&a]));
    check(&[&a], &under_a, &chain[..2], Ok(&[&a, &b]));
    check(&[&a, &b], &under_b, &chain[..2], Ok(&[&a, &b]));
    check(&[&a, &b], &under_a, &chain[..2], Ok(&[&a, &b]));
    check(&[&a, &b], &under_b, &chain[1..2], Ok(&[&b]));
    // Offline through all of the overlap, or through a whole generation.
    check(&[&a], &under_b, &chain[1..2], Ok(&[&b]));
    check(&[&a], &under_c, &chain[1..], Ok(&[&b, &c]));
    check(&[&a], &under_c, &chain[2..], Err("bundle-roots"));
    // Enrolled after the change, while the old root is still named.
    check(&[&b], &under_b, &chain[..2], Ok(&[&b]));
    check(&[&c], &under_c, &chain, Ok(&[&c]));
    // What is gone does not come back, and the newest never goes without a follower.
    check(&[&b], &under_a, &chain[..2], Err("untrusted-signer"));
    check(&[&a, &b], &under_a, &chain[..1], Err("bundle-roots"));
    check(&[&b], &under_a, &chain[..1], Err("bundle-roots"));
    check(&[&a, &b], &under_b, &[chain[1].clone(), chain[0].clone()], Err("bundle-roots"));
    // A bundle under a root that it leaves out.
    check(&[&a, &b], &under_a, &chain[1..2], Err("untrusted-signer"));
}

#[test]
fn only_a_root_names_its_successor() {
    let (a, other) = (root(101), root(110));
    let city = city(&a);
    let believed = |link: Option<&Identity>, other: &Identity| {
        let link = link.map(|link| link.der.clone());
        let forged = Root { certificate: other.der.clone(), link };
        verify(&[&a], &bundle(&city, 1, &[first(&a), forged]))
    };
    let link = certified(110, NAME, Purpose::Root, Some(&a));
    assert_eq!(believed(Some(&link), &other), Ok(ders(&[&a, &other])), "control");
    let refused = Err("bundle-roots");
    assert_eq!(believed(None, &other), refused, "vouched for by nobody");
    assert_eq!(believed(Some(&other), &other), refused, "by itself");
    // What the root certified for another purpose: an operator's authority, under its own name and
    // under the root's, and the signer of bundles.
    let operator = certified(111, "Trams", Purpose::Authority, Some(&a));
    let alone = certified(111, "Trams", Purpose::Root, None);
    assert_eq!(believed(Some(&operator), &alone), refused, "an authority as the link");
    let namesake = certified(111, NAME, Purpose::Authority, Some(&a));
    let alone = certified(111, NAME, Purpose::Root, None);
    assert_eq!(believed(Some(&namesake), &alone), refused, "an authority of the root's name");
    let by_operator = certified(110, NAME, Purpose::Root, Some(&namesake));
    assert_eq!(believed(Some(&by_operator), &other), refused, "by an operator's authority");
    let by_signer = Identity { der: a.der.clone(), key: city.bundle_signer.key.clone() };
    let by_signer = certified(110, NAME, Purpose::Root, Some(&by_signer));
    assert_eq!(believed(Some(&by_signer), &other), refused, "by the signer of bundles");
    // A link for another key.
    let link = certified(112, NAME, Purpose::Root, Some(&a));
    assert_eq!(believed(Some(&link), &other), refused, "for another key");
}

#[test]
fn bundle_names_no_more_roots_than_its_limit() {
    let roots: Vec<Identity> = (101..=105).map(root).collect();
    let mut chain = vec![first(&roots[0])];
    chain.extend(roots.windows(2).map(|pair| after(&pair[0], &pair[1])));
    let city = city(&roots[0]);
    let present = [&roots[0]];
    assert!(verify(&present, &bundle(&city, 1, &chain[..ROOTS_MAX])).is_ok());
    assert_eq!(verify(&present, &bundle(&city, 1, &chain)), Err("bundle-form"));
}

#[test]
fn learnt_root_counts_once_it_is_stored_and_through_a_restart() {
    let (a, b) = (root(101), root(102));
    let (under_a, under_b) = (city(&a), city(&b));
    let both = [first(&a), after(&a, &b)];
    let mut gate = Gate::new(&under_a);
    gate.disk_full = true;
    gate.give(Input::Bundle(&bundle(&under_a, 1, &both)));
    gate.give(Input::Bundle(&bundle(&under_b, 2, &both[1..])));
    assert_eq!(gate.engine.watermark().bundle_epoch, 0, "nothing was stored");
    gate.disk_full = false;
    gate.give(Input::Bundle(&bundle(&under_a, 1, &both)));
    let mut gate = gate.restart(&under_a);
    gate.give(Input::Bundle(&bundle(&under_b, 2, &both[1..])));
    let mut gate = gate.restart(&under_a);
    assert_eq!(gate.engine.watermark().bundle_epoch, 2, "under the learnt root alone");
    gate.give(Input::Bundle(&bundle(&under_a, 3, &both)));
    assert_eq!(gate.rejected, ["untrusted-signer"], "the old root gives no more orders");
    // The control: a reader whose memory is lost has but its pinned root, and believes it.
    let mut fresh = Gate::new(&under_a);
    fresh.give(Input::Bundle(&bundle(&under_a, 3, &both)));
    assert_eq!(fresh.rejected, [""; 0]);
}

#[test]
fn memory_with_unreadable_roots_is_refused() {
    let a = root(101);
    let mut gate = Gate::new(&city(&a));
    gate.give(Input::Bundle(&bundle(&city(&a), 1, &[])));
    assert!(Memory::decode(&gate.memory).is_ok(), "control");
    // It stands there twice: as the pinned root, and as a root that is believed.
    let mut positions = gate.memory.windows(a.der.len());
    let position = positions.rposition(|part| part == a.der).unwrap();
    let mut altered = gate.memory.clone();
    altered[position] ^= 1;
    assert_eq!(Memory::decode(&altered), Err(MemoryError::Roots));
}

#[test]
fn keys_of_this_test_are_told_apart_by_their_first_byte() {
    assert_eq!(P256Secret::from_bytes([101; 32]).danger_bytes()[0], 101);
}
