//! Bundles: what a reader is told holds for that reader, grows in epoch, and tells no more.

use std::time::Duration;

use credential::access_document;
use credential::crypto::PublicKey;
use credential::mdoc::{ENTROPY_BYTES_PER_ELEMENT, Validity};
use credential::rights::Rights;
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
    Bundle, Freshness, ISSUERS_MAX, Issuer, Pin, STATUS_SIGNERS_MAX, UNLOCK_MS_MAX, VerifiedBundle,
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
    document_signers: Vec<Issuer>,
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
            document_signers: Vec::new(),
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
            document_signers: &self.document_signers,
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

/// A document signer of an operator, whose authority has this seed.
fn document_signer(world: &World, code: &str, authority: u8, key: &Key) -> Issuer {
    let own = world.issuers.iter().find(|issuer| issuer.operator == operator(code)).unwrap();
    let above = Some((&Key::new(authority), own.certificate.as_slice()));
    let certificate = certificate(Purpose::DocumentSigner, key, above);
    Issuer { operator: operator(code), certificate }
}

/// An access document by `signer` for the device of seed 40.
fn access_document(signer: &Key) -> Vec<u8> {
    let rights = Rights {
        operator: operator("harbour"),
        product: "badge".parse().unwrap(),
        class: None,
        zones: Vec::new(),
        places: Vec::new(),
        recurrence: None,
        valid_from: NOW,
        valid_until: LATER,
        uses_max: None,
        holder_only: false,
    };
    let value = access_document::pass::value(&rights, None).unwrap();
    let request = access_document::IssueRequest {
        device_key: Some(&PublicKey::P256(Key::new(40).public())),
        elements: &[(access_document::pass::ELEMENT, &value)],
        validity: Validity {
            signed: NOW,
            valid_from: NOW,
            valid_until: NOW.saturating_add(DAY),
            expected_update: None,
        },
        needs_clock: true,
    };
    let public = PublicKey::P256(signer.public());
    let entropy = [3; ENTROPY_BYTES_PER_ELEMENT];
    let unsigned = access_document::issue(&RustCrypto, &request, &public, &entropy).unwrap();
    signer.complete(unsigned).as_bytes().to_vec()
}

/// Whether a reader with this bundle takes an access document of this operator.
fn takes(world: &World, reader: &Reader, bundle: &[u8], of: &str, document: &[u8]) -> &'static str {
    let root = TrustAnchors::from_ders([world.root.as_slice()]).unwrap();
    let pin = Pin { root: &root, reader: reader.id, epoch: 0, at: NOW };
    let bundle = VerifiedBundle::verify(&RustCrypto, bundle, &pin).unwrap();
    let anchors = bundle.issuers_of(&operator(of));
    let keys = anchors.into_iter().flat_map(|anchors| anchors.document_signer_keys(NOW));
    let expectation = access_document::Expectation {
        crypto: &RustCrypto,
        issuers: &keys.cloned().collect::<Vec<_>>(),
        at: NOW,
        device_key: Some(&PublicKey::P256(Key::new(40).public())),
    };
    let verified = access_document::verify_issuer_signed(document, &expectation);
    verified.map_or_else(|rejection| rejection.code, |_| "taken")
}

/// A document of the next signer is unknown to a reader that has not had its next bundle, so that its
/// holder shows the mdoc; both are taken from then on, until the first signer ends.
#[test]
fn document_signers_follow_each_other_from_bundle_to_bundle() {
    let (_, reader, _) = enrolled(1);
    let mut world = World::new();
    let (first, second) = (Key::new(31), Key::new(32));
    let [old, new] = [&first, &second].map(access_document);
    let bundle = |world: &World| world.make(&reader, |_| ()).unwrap().1;
    let both = |world: &World, bytes: &[u8]| {
        [&old, &new].map(|document| takes(world, &reader, bytes, "harbour", document))
    };
    let none = bundle(&world);
    assert_eq!(both(&world, &none), ["issuer-unknown"; 2], "control");
    world.document_signers.push(document_signer(&world, "harbour", 13, &first));
    let before = bundle(&world);
    world.document_signers.push(document_signer(&world, "harbour", 13, &second));
    let after = bundle(&world);
    world.document_signers.remove(0);
    let later = bundle(&world);
    assert_eq!(both(&world, &before), ["taken", "issuer-unknown"]);
    assert_eq!(both(&world, &after), ["taken", "taken"]);
    assert_eq!(both(&world, &later), ["issuer-unknown", "taken"]);
    // A signer counts for the operator under which it is listed, and only at doors that take it.
    world.document_signers.push(document_signer(&world, "museum", 15, &first));
    assert_eq!(both(&world, &bundle(&world)), ["issuer-unknown", "taken"]);
}

#[test]
fn document_signers_take_the_room_that_authorities_leave() {
    let (_, reader, _) = enrolled(1);
    let mut world = World::new();
    let signer = document_signer(&world, "harbour", 13, &Key::new(31));
    let count = |world: &World| {
        let (_, bytes) = world.make(&reader, |_| ()).unwrap();
        let bundle = world.verify(&bytes, &reader, 0, NOW).unwrap();
        let is_signer = |issuer: &&Issuer| issuer.certificate == signer.certificate;
        (bundle.issuers.len(), bundle.issuers.iter().filter(is_signer).count())
    };
    let authority = world.issuers[0].clone();
    world.document_signers = vec![signer.clone(); 3];
    for (authorities, expected) in [
        (ISSUERS_MAX - 3, (ISSUERS_MAX, 3)),
        (ISSUERS_MAX - 1, (ISSUERS_MAX, 1)),
        (ISSUERS_MAX, (ISSUERS_MAX, 0)),
    ] {
        world.issuers = vec![authority.clone(); authorities];
        assert_eq!(count(&world), expected, "{authorities} authorities");
    }
    world.issuers = vec![authority; ISSUERS_MAX + 1];
    assert_eq!(world.make(&reader, |_| ()).unwrap_err(), Refusal::Bundle);
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
