//! One process at a time works in the folder of a reader or a wallet.

use std::process::Command;

use credential::crypto::P256Secret;
use edge::reader_host::{HostError, Identity, StandardCertificate};
use edge::wallet_host::{WalletError, WalletHost};
use vocabulary::id::ReaderId;

use crate::city::{CRYPTO, City};
use crate::place::{Place, WALLET_KEY, chain, fresh, granted, save};

const CHILD: &str = "LIMEN_EDGE_LOCK_CHILD";

/// Does nothing by itself: the child of the test below, which says what it finds in a folder.
#[test]
fn child_looks_into_a_folder() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let place = Place::at(path.as_ref());
    let reader = place.try_reader().err().map_or("open".into(), |error| chain(&error));
    let wallet = WalletHost::open(&place.wallet_folder(), CRYPTO, WALLET_KEY);
    let wallet = wallet.err().map_or("open".into(), |error| chain(&error));
    println!("reader: {reader}\nwallet: {wallet}");
}

fn seen_by_another_process(place: &Place) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::child_looks_into_a_folder", "--nocapture"])
        .env(CHILD, &place.path)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn second_process_is_told_who_is_in_its_way() {
    let city = City::new();
    let place = Place::ready(&city);
    let (reader, wallet) = (place.reader(), place.wallet());
    let seen = seen_by_another_process(&place);
    let (reader_folder, wallet_folder) = (place.reader_folder(), place.wallet_folder());
    for expected in [
        format!("another process works with the reader in `{}`", reader_folder.display()),
        format!("another process works with the wallet in `{}`", wallet_folder.display()),
    ] {
        assert!(seen.contains(&expected), "{seen}");
    }
    drop((reader, wallet));
    let seen = seen_by_another_process(&place);
    assert!(seen.contains("reader: open") && seen.contains("wallet: open"), "control: {seen}");
}

#[test]
fn second_host_in_one_process_is_refused_too() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    assert!(matches!(place.try_reader(), Err(HostError::Locked { .. })));
    let second = WalletHost::open(&place.wallet_folder(), CRYPTO, WALLET_KEY);
    assert!(matches!(second, Err(WalletError::Locked { .. })));
    let nonces = [fresh(), fresh()];
    let second = WalletHost::create(&place.wallet_folder(), CRYPTO, WALLET_KEY, nonces);
    assert!(matches!(second, Err(WalletError::Locked { .. })));
    granted(&mut reader, &mut wallet);
    save(&wallet);
}

#[test]
fn reader_and_wallet_are_not_made_over_another() {
    let city = City::new();
    let place = Place::ready(&city);
    let (identity, key) = city.identity();
    let other_reader = Identity { reader: ReaderId::from_bytes([8; 16]), ..identity.clone() };
    let other_certificate = Identity { certificate: identity.root.clone(), ..identity.clone() };
    let other_key = P256Secret::from_bytes([9; 32]);
    for (identity, key) in
        [(&other_reader, &key), (&other_certificate, &key), (&identity, &other_key)]
    {
        let again = identity.store(&place.reader_folder(), key).unwrap_err();
        assert!(matches!(again, HostError::Enrolled { .. }), "{again}");
    }
    let nonces = [fresh(), fresh()];
    let again = WalletHost::create(&place.wallet_folder(), CRYPTO, [1; 32], nonces);
    assert!(matches!(again, Err(WalletError::Present { .. })));
    granted(&mut place.reader(), &mut place.wallet());
}

#[test]
fn certificate_of_a_reader_is_made_anew_while_nobody_works_with_it() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    granted(&mut reader, &mut wallet);
    let (mut identity, key) = city.identity();
    identity.certificate = city.next_reader_certificate();
    let early = identity.store(&place.reader_folder(), &key).unwrap_err();
    assert!(matches!(early, HostError::Locked { .. }));
    drop(reader);
    // Each form of the file follows the other: with and without the standard tap.
    let mut with = identity.clone();
    with.standard = Some(StandardCertificate { group_key: [4; 65], certificate: vec![5; 220] });
    for identity in [&with, &identity, &with] {
        identity.store(&place.reader_folder(), &key).unwrap();
        assert_eq!(Identity::load(&place.reader_folder()).unwrap(), *identity);
    }
    let mut reader = place.reader();
    granted(&mut reader, &mut wallet);
    assert_eq!(reader.records_pending(), 2);
}

#[test]
fn certificate_of_a_reader_is_made_anew_while_it_works() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    crate::place::granted(&mut reader, &mut wallet);
    let next = city.next_reader_certificate();
    reader.renew_certificate(next.clone(), None).unwrap();
    crate::place::granted(&mut reader, &mut wallet);
    // One for another key changes nothing.
    let (identity, _) = city.identity();
    let other = identity.root;
    let error = reader.renew_certificate(other, None).unwrap_err();
    assert!(error.to_string().contains("not for the key of this reader"), "{error}");
    drop(reader);
    assert_eq!(Identity::load(&place.reader_folder()).unwrap().certificate, next);
    crate::place::granted(&mut place.reader(), &mut wallet);
}
