//! Bundles: what a reader is told holds for that reader, grows in epoch, and tells no more.

use std::time::Duration;

use credential::crypto::PublicKey;
use credential::rustcrypto::RustCrypto;
use credential::x509::build::{self, Purpose, Request, Signer, Subject};
use credential::x509::{Certificate, TrustAnchors};
use fleet::bundle::{City, LIFE_MAX, Numbered, make_bundle};
use fleet::change::Change;
use fleet::reader::{Reader, retire_reader};
use fleet::refusal::Refusal;
use policy::action::Action;
use policy::compile::Product;
use policy::place::{Grant, PlaceTree};
use reader::bundle::{
    Bundle, Freshness, Issuer, Pin, STATUS_SIGNERS_MAX, UNLOCK_MS_MAX, VerifiedBundle,
};
use reader::snapshot::{ClassPolicy, Stale};
use reader::table::RULES_MAX;
use vocabulary::time::Instant;

use crate::city::{Key, LATER, NOW, enrolled, operator, own_permit, permit, tree};

const DAY: Duration = Duration::from_secs(86_400);

fn certificate(purpose: Purpose, key: &Key, signer: Option<(&Key, &[u8])>) -> Vec<u8> {
    let request = Request {
        purpose,
        subject: Subject { common_name: "City", organization: None, country: "UT" },
        key: &PublicKey::P256(key.public()),
        not_before: NOW,
        not_after: LATER,
        serial_entropy: [2; 16],
        issuer_uri: "https://city.example",
        crl_uri: "https://city.example/crl",
    };
    match signer {
        None => {
            let unsigned = build::certificate(&request, Signer::Subject).unwrap();
            key.complete(unsigned).into_bytes()
        }
        Some((authority, der)) => {
            let parsed = Certificate::parse(der).unwrap();
            let unsigned = build::certificate(&request, Signer::Authority(&parsed)).unwrap();
            authority.complete(unsigned).into_bytes()
        }
    }
}

/// The keys and certificates of a city, and what it knows.
struct World {
    root: Vec<u8>,
    signer_key: Key,
    signer: Vec<u8>,
    tree: PlaceTree,
    products: Vec<Product>,
    grants: Vec<Grant>,
    issuers: Vec<Issuer>,
    status_signers: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let (root_key, signer_key) = (Key::new(11), Key::new(12));
        let root = certificate(Purpose::Root, &root_key, None);
        let signed = |purpose, key: &Key| certificate(purpose, key, Some((&root_key, &root)));
        let issuer = |code: &str, seed| Issuer {
            operator: operator(code),
            certificate: signed(Purpose::Authority, &Key::new(seed)),
        };
        let product =
            |of: &str, code: &str| Product { operator: operator(of), code: code.parse().unwrap() };
        Self {
            signer: signed(Purpose::BundleSigner, &signer_key),
            issuers: vec![issuer("harbour", 13), issuer("airport", 14), issuer("museum", 15)],
            status_signers: vec![signed(Purpose::Leaf, &Key::new(16))],
            tree: tree(),
            products: vec![product("harbour", "badge"), product("airport", "ticket")],
            grants: Vec::new(),
            signer_key,
            root,
        }
    }

    fn city<'a>(&'a self, name: &'a vocabulary::text::Line<64>) -> City<'a> {
        let policy = ClassPolicy { status_age_max: DAY, stale: Stale::Refuse };
        City {
            name,
            tree: &self.tree,
            products: &self.products,
            grants: &self.grants,
            roots: &[],
            issuers: &self.issuers,
            status_signers: &self.status_signers,
            freshness: Freshness { low: policy, normal: policy, high: policy },
            unlock_ms: 5_000,
            taps: reader::taps::Taps::default(),
            life: 7 * DAY,
            signer: &self.signer,
            deliveries: &[],
        }
    }

    fn make(
        &self,
        reader: &Reader,
        change: impl FnOnce(&mut City<'_>),
    ) -> Result<(Reader, Vec<u8>), Refusal> {
        let name = "Utopia".parse().unwrap();
        let mut city = self.city(&name);
        change(&mut city);
        let permit = own_permit(Action::BundleFetch, reader);
        let Numbered { change, bundle } = make_bundle(&permit, reader, &city, NOW)?;
        let Change::UpdateReader(next) = change else { panic!("{change:?}") };
        Ok((next, self.signer_key.complete(bundle)))
    }

    fn verify(
        &self,
        bytes: &[u8],
        reader: &Reader,
        epoch: u64,
        at: Instant,
    ) -> Result<Bundle, &'static str> {
        let root = TrustAnchors::from_ders([self.root.as_slice()]).unwrap();
        let pin = Pin { root: &root, reader: reader.id, epoch, at };
        let verified = VerifiedBundle::verify(&RustCrypto, bytes, &pin);
        verified.map(|bundle| bundle.bundle().clone()).map_err(|rejection| rejection.code)
    }
}

#[test]
fn reader_believes_its_bundle() {
    let (_, reader, _) = enrolled(1);
    let world = World::new();
    let (next, bytes) = world.make(&reader, |_| ()).unwrap();
    assert_eq!((next.bundle_epoch, next.version), (1, 2));
    let bundle = world.verify(&bytes, &reader, 0, NOW).unwrap();
    assert_eq!((bundle.reader, bundle.epoch), (reader.id, 1));
    assert_eq!(bundle.expires_at, NOW.saturating_add(7 * DAY));
    let doors: Vec<_> = bundle.table.doors().iter().map(|door| door.place().as_str()).collect();
    assert_eq!(doors, ["hall/door"]);
}

#[test]
fn every_bundle_has_an_epoch_of_its_own() {
    let (_, reader, _) = enrolled(1);
    let world = World::new();
    let (reader, first) = world.make(&reader, |_| ()).unwrap();
    let (reader, second) = world.make(&reader, |_| ()).unwrap();
    assert_eq!(world.verify(&second, &reader, 1, NOW).unwrap().epoch, 2);
    // Yesterday's rules do not come back; the control: they held before the second was seen.
    assert_eq!(world.verify(&first, &reader, 2, NOW), Err("bundle-epoch"));
    assert!(world.verify(&first, &reader, 1, NOW).is_ok());
}

#[test]
fn bundle_is_for_its_reader_alone() {
    let (_, reader, _) = enrolled(1);
    let (_, mut other, _) = enrolled(2);
    other.id = vocabulary::id::ReaderId::from_bytes([8; 16]);
    let world = World::new();
    let (_, bytes) = world.make(&reader, |_| ()).unwrap();
    assert_eq!(world.verify(&bytes, &other, 0, NOW), Err("bundle-reader"));
}

fn named_issuers(world: &World) -> Vec<String> {
    let (_, reader, _) = enrolled(1);
    let (_, bytes) = world.make(&reader, |_| ()).unwrap();
    let bundle = world.verify(&bytes, &reader, 0, NOW).unwrap();
    bundle.issuers.iter().map(|issuer| issuer.operator.to_string()).collect()
}

#[test]
fn bundle_names_the_issuers_that_its_doors_accept() {
    let mut world = World::new();
    assert_eq!(named_issuers(&world), ["harbour"]);
    world.grants.push(Grant {
        operator: operator("harbour"),
        place: "hall/door".parse().unwrap(),
        product_operator: operator("museum"),
        product: "guide".parse().unwrap(),
        class: None,
        granted_at: NOW,
    });
    assert_eq!(named_issuers(&world), ["harbour", "museum"]);
    world.grants.clear();
    world.products.clear();
    assert_eq!(named_issuers(&world), ["harbour"]);
}

#[test]
fn bundle_holds_to_its_limits() {
    let (_, reader, _) = enrolled(1);
    let world = World::new();
    let certificates = vec![world.signer.clone(); STATUS_SIGNERS_MAX + 1];
    let made =
        |change: &dyn Fn(&mut City<'_>)| world.make(&reader, |city| change(city)).map(|_| ());
    assert_eq!(made(&|city| city.unlock_ms = UNLOCK_MS_MAX), Ok(()));
    assert_eq!(made(&|city| city.unlock_ms = UNLOCK_MS_MAX + 1), Err(Refusal::Bundle));
    let name = "Utopia".parse().unwrap();
    let permit = own_permit(Action::BundleFetch, &reader);
    for (count, is_made) in [(STATUS_SIGNERS_MAX, true), (STATUS_SIGNERS_MAX + 1, false)] {
        let city = City { status_signers: &certificates[..count], ..world.city(&name) };
        assert_eq!(make_bundle(&permit, &reader, &city, NOW).is_ok(), is_made, "{count}");
    }
    let (_, bytes) = world.make(&reader, |city| city.life = LIFE_MAX + DAY).unwrap();
    let bundle = world.verify(&bytes, &reader, 0, NOW).unwrap();
    assert_eq!(bundle.expires_at, NOW.saturating_add(LIFE_MAX));
}

#[test]
fn operator_with_more_products_than_a_table_takes_is_told_so() {
    let (_, reader, _) = enrolled(1);
    let mut world = World::new();
    let product = |n: usize| Product {
        operator: reader.operator.clone(),
        code: format!("p-{n}").parse().unwrap(),
    };
    world.products = (0..=RULES_MAX).map(product).collect();
    let refusal = world.make(&reader, |_| ()).unwrap_err();
    assert_eq!(refusal.code(), "bundle-table");
    let text = refusal.to_string();
    assert!(text.contains("1025 products of operator `harbour`"), "{text}");
    world.products.truncate(2);
    assert!(world.make(&reader, |_| ()).is_ok(), "control");
}

#[test]
fn retired_or_foreign_reader_gets_no_bundle() {
    let (_, reader, _) = enrolled(1);
    let world = World::new();
    let retire = permit(Action::ReaderRetire, "harbour");
    let Change::UpdateReader(retired) = retire_reader(&retire, &reader, NOW).unwrap() else {
        panic!()
    };
    assert_eq!(world.make(&retired, |_| ()).unwrap_err(), Refusal::Retired);
    let name = "Utopia".parse().unwrap();
    let fetch = |permit| make_bundle(&permit, &reader, &world.city(&name), NOW).map(|_| ());
    let foreign = fetch(permit(Action::BundleFetch, "airport")).unwrap_err();
    assert_eq!(foreign.code(), "wrong-permit");
    // The control: staff of its own operator may carry one.
    assert_eq!(fetch(permit(Action::BundleFetch, "harbour")), Ok(()));
}

#[test]
fn permit_for_one_reader_is_not_for_another() {
    let (_, reader, _) = enrolled(1);
    let mut other = reader.clone();
    other.id = vocabulary::id::ReaderId::from_bytes([8; 16]);
    let world = World::new();
    let name = "Utopia".parse().unwrap();
    let own = own_permit(Action::BundleFetch, &reader);
    let fetched = make_bundle(&own, &other, &world.city(&name), NOW).map(|_| ());
    assert_eq!(fetched.unwrap_err().code(), "wrong-permit");
}
