//! Shares: any threshold of them gives the key, fewer never, and each wrong one is named.

use keys::ceremony::shares::{
    CUSTODIANS_MAX, CeremonyId, SHARE_CHARACTERS_MAX, SPLIT_ENTROPY_BYTES, Share, ShareError,
    Split, combine, split,
};
use keys::ceremony::wrapping::WrappingKey;
use proptest::prelude::*;
use zeroize::Zeroizing;

const ID: CeremonyId = CeremonyId::from_bytes(*b"0123456789");

fn entropy(seed: u8) -> Zeroizing<[u8; SPLIT_ENTROPY_BYTES]> {
    let mut state = u64::from(seed) + 1;
    Zeroizing::new(std::array::from_fn(|_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    }))
}

fn shares(key: &WrappingKey, threshold: u8, custodians: u8) -> Vec<Share> {
    split(key, ID, Split::new(threshold, custodians).unwrap(), &entropy(7)).unwrap()
}

fn copy(share: &Share) -> Share {
    share.danger_text().parse().unwrap()
}

#[test]
fn every_threshold_of_shares_gives_the_key_at_the_limits() {
    let key = WrappingKey::generate().unwrap();
    for (threshold, custodians) in [(2, 2), (2, 16), (9, 16), (16, 16)] {
        let shares = shares(&key, threshold, custodians);
        let some: Vec<Share> = shares.iter().rev().take(threshold.into()).map(copy).collect();
        let combined = combine(&some, ID).unwrap();
        assert_eq!(combined.check_value().unwrap(), key.check_value().unwrap());
        assert_eq!(shares.len(), usize::from(custodians));
    }
    for (threshold, custodians) in [(1, 2), (3, 2), (2, CUSTODIANS_MAX + 1)] {
        let error = ShareError::Split { threshold, custodians };
        assert_eq!(Split::new(threshold, custodians), Err(error));
    }
}

#[test]
fn too_few_shares_or_one_twice_or_of_another_ceremony_are_named() {
    let key = WrappingKey::generate().unwrap();
    let shares = shares(&key, 3, 5);
    let given = |places: &[usize]| places.iter().map(|i| copy(&shares[*i])).collect::<Vec<_>>();
    assert!(combine(&given(&[0, 2, 4]), ID).is_ok());
    let few = combine(&given(&[0, 2]), ID).unwrap_err();
    assert_eq!(few, ShareError::TooFew { found: 2, needed: 3 });
    assert_eq!(combine(&[], ID).unwrap_err(), ShareError::TooFew { found: 0, needed: 2 });
    let twice = combine(&given(&[0, 2, 0]), ID).unwrap_err();
    assert_eq!(twice, ShareError::Twice { position: 3, index: 1 });
    let other = CeremonyId::from_bytes([0; 10]);
    let foreign = split(&key, other, Split::new(3, 5).unwrap(), &entropy(7)).unwrap();
    let mixed = vec![copy(&shares[0]), copy(&foreign[1]), copy(&shares[2])];
    let error = combine(&mixed, ID).unwrap_err();
    assert_eq!(error, ShareError::OtherCeremony { position: 2, found: other });
}

#[test]
fn fewer_shares_than_the_threshold_are_not_the_key_even_to_the_library() {
    // The control of the test above: without our count, two of three put together to nonsense.
    let key = WrappingKey::generate().unwrap();
    let (three, two) = (shares(&key, 3, 5), shares(&key, 2, 5));
    let points = |shares: &[Share]| -> Vec<Vec<u8>> {
        let point = |share: &Share| {
            let text = share.danger_text().replace(['-', '\n'], "");
            let bits: String = text.chars().map(|c| format!("{:05b}", digit(c))).collect();
            let bytes: Vec<u8> = bits
                .as_bytes()
                .chunks(8)
                .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
                .collect();
            bytes[12..45].to_vec()
        };
        shares.iter().map(point).collect()
    };
    let library = |shares: &[Share]| vsss_rs::Gf256::combine_bytes(points(shares)).unwrap();
    assert_eq!(library(&two[..2]), library(&two[3..]));
    assert_eq!(library(&three[..3]), library(&three[2..]));
    assert_eq!(library(&three[..3]), library(&two[..2]));
    assert_ne!(library(&three[..2]), library(&three[..3]));
}

fn digit(character: char) -> usize {
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(character).unwrap()
}

#[test]
fn slips_of_the_pen_are_told_with_their_place() {
    let key = WrappingKey::generate().unwrap();
    let text = shares(&key, 2, 3)[0].danger_text().to_string();
    assert!(text.lines().all(|line| line.len() == 23) && text.lines().count() == 4);
    let read = |text: &str| text.parse::<Share>().err();
    assert_eq!(read(&text), None);
    assert_eq!(read(&text.to_lowercase().replace('-', " ")), None);
    let wrong = text.replacen(text.chars().nth(30).unwrap(), "U", 1);
    assert!(matches!(read(&wrong), Some(ShareError::Character { .. })));
    assert_eq!(read(&text[1..]), Some(ShareError::Length { found: 79 }));
    assert_eq!(read(&format!("{text}0")), Some(ShareError::Length { found: 81 }));
    let blanks = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    assert_eq!(read(&blanks(SHARE_CHARACTERS_MAX)), None);
    assert!(read(&blanks(SHARE_CHARACTERS_MAX + 1)).is_some());
    for (place, character) in text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
        let other = if character == '7' { "8" } else { "7" };
        let mut changed = text.clone();
        changed.replace_range(place..=place, other);
        assert_eq!(read(&changed), Some(ShareError::Checksum), "{place}");
    }
}

#[test]
fn commitments_tell_shares_apart() {
    let key = WrappingKey::generate().unwrap();
    let shares = shares(&key, 2, 16);
    let commitments: std::collections::BTreeSet<_> = shares.iter().map(Share::commitment).collect();
    assert_eq!(commitments.len(), 16);
    assert_eq!(copy(&shares[3]).commitment(), shares[3].commitment());
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text: String) {
        let _ = text.parse::<Share>();
    }

    #[test]
    fn any_choice_of_shares_gives_the_key(
        (threshold, custodians, order) in (2_u8..=6).prop_flat_map(|threshold| {
            (Just(threshold), threshold..=8).prop_flat_map(|(threshold, custodians)| {
                let places: Vec<usize> = (0..usize::from(custodians)).collect();
                (Just(threshold), Just(custodians), Just(places).prop_shuffle())
            })
        }),
        seed: u8,
    ) {
        let key = WrappingKey::generate().unwrap();
        let split_of = Split::new(threshold, custodians).unwrap();
        let shares = split(&key, ID, split_of, &entropy(seed)).unwrap();
        let chosen: Vec<Share> =
            order.iter().take(threshold.into()).map(|place| copy(&shares[*place])).collect();
        let combined = combine(&chosen, ID).unwrap();
        prop_assert_eq!(combined.check_value().unwrap(), key.check_value().unwrap());
    }
}
