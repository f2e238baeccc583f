//! Bundles: what a reader takes for its orders, and what not.

use credential::cose::{Sign1Parts, sign1};
use credential::crypto::Algorithm;
use credential::x509::TrustAnchors;
use credential::x509::build::Purpose;
use presentation::profile::Profile;
use reader::bundle::{
    BUNDLE_BYTES_MAX, BUNDLE_TYP, Bundle, ISSUERS_MAX, Pin, STATUS_SIGNERS_MAX, UNLOCK_MS_MAX,
    VerifiedBundle,
};
use reader::decision::Reason;
use reader::engine::Input;
use reader::table::ZoneClass;
use reader::taps::{APDU_MS, Amiss, PER_MILLE_MAX, TOTAL_MS, TapPolicy, Taps, TimeBound};
use vocabulary::id::ReaderId;

use crate::city::{
    CRYPTO, City, GATE, Identity, READER, days, hours, identity, key, later, noon, sign, ticket,
};
use crate::gate::{Bent, Gate, Phone, Seen};

fn verify(city: &City, bytes: &[u8]) -> Result<Bundle, &'static str> {
    let root = TrustAnchors::from_ders([city.root.der.as_slice()]).unwrap();
    let pin = Pin { root: &root, reader: READER, epoch: 5, at: noon() };
    let verified = VerifiedBundle::verify(CRYPTO, bytes, &pin);
    verified.map(|verified| verified.bundle().clone()).map_err(|rejection| rejection.code)
}

fn check(city: &City, change: impl FnOnce(&mut Bundle), expected: Result<(), &'static str>) {
    let mut bundle = city.bundle(5);
    change(&mut bundle);
    let verified = verify(city, &city.signed(&bundle));
    assert_eq!(verified, expected.map(|()| bundle));
}

#[test]
fn bundle_is_held_to_reader_epoch_and_dates() {
    let city = City::new();
    check(&city, |_| {}, Ok(()));
    check(&city, |bundle| bundle.epoch = 6, Ok(()));
    check(&city, |bundle| bundle.epoch = 4, Err("bundle-epoch"));
    check(&city, |bundle| bundle.reader = ReaderId::from_bytes([1; 16]), Err("bundle-reader"));
    check(&city, |bundle| bundle.expires_at = noon(), Err("bundle-expired"));
    let tomorrow = noon().saturating_add(days(1));
    check(&city, |bundle| bundle.issued_at = tomorrow, Ok(()));
}

#[test]
fn bundle_holds_to_its_limits() {
    let city = City::new();
    let fill = |bundle: &mut Bundle, count| {
        bundle.issuers = vec![bundle.issuers[0].clone(); count];
    };
    check(&city, |bundle| fill(bundle, ISSUERS_MAX), Ok(()));
    check(&city, |bundle| fill(bundle, ISSUERS_MAX + 1), Err("bundle-form"));
    let signers = |bundle: &mut Bundle, count| {
        bundle.status_signers = vec![bundle.status_signers[0].clone(); count];
    };
    check(&city, |bundle| signers(bundle, STATUS_SIGNERS_MAX), Ok(()));
    check(&city, |bundle| signers(bundle, STATUS_SIGNERS_MAX + 1), Err("bundle-form"));
    check(&city, |bundle| bundle.unlock_ms = UNLOCK_MS_MAX, Ok(()));
    check(&city, |bundle| bundle.unlock_ms = UNLOCK_MS_MAX + 1, Err("bundle-form"));
    assert_eq!(verify(&city, &vec![0; BUNDLE_BYTES_MAX + 1]), Err("bundle-form"));
    let root = city.root.der.clone();
    check(&city, |bundle| bundle.status_signers = vec![root], Err("bundle-form"));
    check(&city, |bundle| bundle.issuers[0].certificate = vec![0], Err("bundle-form"));
}

#[test]
fn policy_for_taps_holds_to_its_limits() {
    let city = City::new();
    let (apdu, total) = ((*APDU_MS.start(), *APDU_MS.end()), (*TOTAL_MS.start(), *TOTAL_MS.end()));
    let bound =
        |apdu, total| TapPolicy { bound: TimeBound::of_ms(apdu, total), ..Taps::default().low };
    let drawn = |stronger_per_mille| TapPolicy { stronger_per_mille, ..Taps::default().low };
    for (low, is_taken) in [
        (bound(apdu.0, total.0), true),
        (bound(apdu.0 - 1, total.0), false),
        (bound(apdu.0, total.0 - 1), false),
        (bound(apdu.1, total.1), true),
        (bound(apdu.1 + 1, total.1), false),
        (bound(apdu.1, total.1 + 1), false),
        (bound(500, 500), true),
        (bound(501, 500), false),
        (drawn(PER_MILLE_MAX), true),
        (drawn(PER_MILLE_MAX + 1), false),
    ] {
        let taps = Taps { low, ..Taps::default() };
        let expected = if is_taken { Ok(()) } else { Err("bundle-form") };
        check(&city, |bundle| bundle.taps = taps, expected);
        assert_eq!(taps.check().is_ok(), is_taken, "{low:?}");
    }
}

#[test]
fn no_city_sets_less_than_the_standard_tap_for_doors_of_high_class() {
    let city = City::new();
    for least in [Profile::Express, Profile::Fast] {
        let high = TapPolicy { least, ..Taps::default().high };
        let taps = Taps { high, ..Taps::default() };
        let error = taps.check().unwrap_err();
        assert_eq!((error.class, error.amiss), (ZoneClass::High, Amiss::Least(least)));
        assert!(error.to_string().starts_with("`high.least` is `"), "{error}");
        // Where a bundle says so all the same, it does not count.
        check(&city, |bundle| bundle.taps = taps, Ok(()));
        assert_eq!(taps.of(ZoneClass::High).least, Profile::Standard);
    }
    assert_eq!(Taps::default().check(), Ok(()), "control");
}

fn forged(city: &City, signer: &Identity, typ: &str, chain: &[&[u8]]) -> Vec<u8> {
    let honest = city.bundle(5).unsigned(&signer.der);
    // The payload stands last in the Sig_structure, behind five bytes of header at most.
    let signed = sign(&signer.key, honest);
    let payload = credential::cose::Sign1::parse(&signed).unwrap().payload.unwrap().to_vec();
    let parts = Sign1Parts {
        payload: &payload,
        x5chain: chain,
        typ: Some(typ),
        tagged: true,
        ..Default::default()
    };
    sign(&signer.key, sign1(Algorithm::Es256, &parts))
}

#[test]
fn only_a_signer_certified_by_the_root_gives_orders() {
    let city = City::new();
    let of = |signer: &Identity| verify(&city, &forged(&city, signer, BUNDLE_TYP, &[&signer.der]));
    assert!(of(&city.bundle_signer).is_ok(), "control");
    assert_eq!(of(&city.transit_signer), Err("untrusted-signer"));
    assert_eq!(of(&city.transit), Err("certificate-profile"));
    // Certified by the root itself, but to sign status lists.
    assert_eq!(of(&city.status_signer), Err("certificate-profile"));
    let other = identity(80, Purpose::Root, None);
    let stranger = identity(81, Purpose::BundleSigner, Some(&other));
    assert_eq!(of(&stranger), Err("untrusted-signer"));
    // An operator's authority certifies a signer of its own and sends its certificate along.
    let usurper = identity(82, Purpose::BundleSigner, Some(&city.transit));
    let chain = [usurper.der.as_slice(), &city.transit.der];
    let bytes = forged(&city, &usurper, BUNDLE_TYP, &chain);
    assert_eq!(verify(&city, &bytes), Err("bundle-form"));
    let mislabelled = forged(
        &city,
        &city.bundle_signer,
        "application/statuslist+cwt",
        &[&city.bundle_signer.der],
    );
    assert_eq!(verify(&city, &mislabelled), Err("typ"));
}

#[test]
fn every_flipped_byte_of_a_bundle_is_refused() {
    let city = City::new();
    let bytes = city.signed(&city.bundle(5));
    let signature = bytes.len() - 64;
    for at in 0..bytes.len() {
        // One byte in eight, and all of the signature.
        if at % 8 == 0 || at >= signature {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 7);
            assert!(verify(&city, &altered).is_err(), "byte {at}");
        }
    }
    for length in (0..bytes.len()).step_by(97) {
        assert!(verify(&city, &bytes[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn engine_refuses_the_bundle_of_yesterday() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    gate.give(Input::Bundle(&city.signed(&city.bundle(3))));
    assert_eq!(gate.engine.watermark().bundle_epoch, 3);
    gate.give(Input::Bundle(&city.signed(&city.bundle(2))));
    assert_eq!(gate.rejected, ["bundle-epoch"]);
    assert_eq!(gate.engine.watermark().bundle_epoch, 3);
}

#[test]
fn signer_that_was_followed_by_another_gives_no_more_orders() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let signer = later(91, &city.root, hours(1));
    let next = City { bundle_signer: signer, ..City::new() };
    gate.give(Input::Bundle(&city.signed(&city.bundle(2))));
    assert_eq!(gate.rejected, [""; 0], "control: no other has signed yet");
    gate.give(Input::Bundle(&next.signed(&next.bundle(3))));
    let mut gate = gate.restart(&city);
    gate.give(Input::Bundle(&city.signed(&city.bundle(4))));
    assert_eq!(gate.rejected, ["bundle-signer"]);
    assert_eq!(gate.engine.watermark().bundle_epoch, 3);
}

#[test]
fn status_signer_that_a_new_bundle_drops_is_not_believed_any_more() {
    let city = City::new();
    let mut gate = Gate::ready(&city);
    let mut bundle = city.bundle(2);
    bundle.status_signers = vec![city.bundle_signer.der.clone()];
    gate.give(Input::Bundle(&city.signed(&bundle)));
    assert_eq!(gate.rejected, ["untrusted-signer"]);
    assert_eq!(gate.engine.watermark().status_issued_at, None);
}

#[test]
fn revoked_pass_does_not_come_back_when_the_signer_of_its_list_goes() {
    let city = City::new();
    let device = key(50);
    let pass = |status| Phone {
        issuer_signed: city.pass(&city.transit_signer, &ticket(), Some(status), &device),
        device: device.clone(),
        bent: Bent::Not,
    };
    // The gate is of low class: where nothing is known it opens.
    let mut gate = Gate::new(&city);
    gate.give(Input::Bundle(&city.signed(&city.bundle(1))));
    assert_eq!(gate.tap(&pass(1), GATE), Seen::Unlocked, "control: nothing was ever known");
    gate.give(Input::StatusList(&city.status_list(hours(1))));
    assert_eq!(gate.tap(&pass(1), GATE), Seen::Refused(Reason::Revoked));
    let next = City { status_signer: identity(83, Purpose::Leaf, Some(&city.root)), ..City::new() };
    gate.give(Input::Bundle(&next.signed(&next.bundle(2))));
    let unknown = Seen::Refused(Reason::StatusUnknown);
    assert_eq!(gate.tap(&pass(1), GATE), unknown);
    assert_eq!(gate.restart(&city).tap(&pass(1), GATE), unknown, "nor after a restart");
    gate.give(Input::StatusList(&next.status_list(hours(0))));
    assert_eq!(gate.tap(&pass(1), GATE), Seen::Refused(Reason::Revoked));
    assert_eq!(gate.tap(&pass(0), GATE), Seen::Unlocked, "control");
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, at: proptest::sample::Index, value: u8) {
        let city = City::new();
        let _ = verify(&city, &bytes);
        let _ = reader::engine::Memory::decode(&bytes);
        // A payload that is altered before it is signed reaches every field.
        let honest = city.signed(&city.bundle(5));
        let payload = credential::cose::Sign1::parse(&honest).unwrap().payload.unwrap();
        let mut payload = payload.to_vec();
        let at = at.index(payload.len());
        payload[at] = value;
        let chain = [city.bundle_signer.der.as_slice()];
        let parts = Sign1Parts {
            payload: &payload,
            x5chain: &chain,
            typ: Some(BUNDLE_TYP),
            tagged: true,
            ..Default::default()
        };
        let _ = verify(&city, &sign(&city.bundle_signer.key, sign1(Algorithm::Es256, &parts)));
    }
}
