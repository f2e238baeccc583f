//! Damaged files: the error names the file, and nothing is written.

use std::fs;
use std::path::Path;

use edge::wallet_host::WalletHost;

use crate::city::{CRYPTO, City, noon};
use crate::place::{Place, WALLET_KEY, chain, granted};

/// Damages the file in several ways; `open` must tell of each with the name of the file, and change
/// nothing.
fn check(path: &Path, used: usize, open: &dyn Fn() -> Option<String>) {
    let whole = fs::read(path).unwrap();
    let mut flipped: Vec<Vec<u8>> = Vec::new();
    for at in (0..used).step_by((used / 12).max(1)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        flipped.push(bytes);
    }
    let cut = [whole[..used / 2].to_vec(), Vec::new(), vec![0xA5; 20_000]];
    let is_journal = path.ends_with("journal");
    // A journal that was cut, or is empty, is one whose last records were never written.
    let cut = cut.into_iter().filter(|bytes| !is_journal || bytes.len() == 20_000);
    for bytes in flipped.into_iter().chain(cut) {
        fs::write(path, &bytes).unwrap();
        let error = open().unwrap_or_else(|| panic!("{} is taken as it is", path.display()));
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(path).unwrap(), bytes, "{error}");
    }
    fs::write(path, &whole).unwrap();
    assert_eq!(open(), None, "control");
}

#[test]
fn each_file_of_a_reader_is_named_when_it_is_damaged() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    for _ in 0..3 {
        granted(&mut reader, &mut wallet);
    }
    reader.acknowledged(noon(), 1).unwrap();
    let first = reader.pending_upload(noon()).unwrap().unwrap().records[0].len();
    drop(reader);
    let open = || place.try_reader().err().map(|error| chain(&error));
    for name in ["reader.cbor", "reader.key", "memory", "journal.base"] {
        let path = place.reader_folder().join(name);
        check(&path, fs::read(&path).unwrap().len(), &open);
    }
    check(&place.reader_folder().join("journal"), first, &open);
    granted(&mut place.reader(), &mut wallet);
}

#[test]
fn missing_files_are_named_or_made() {
    let city = City::new();
    let place = Place::ready(&city);
    granted(&mut place.reader(), &mut place.wallet());
    let away = place.path.join("away");
    for (name, expected) in [
        ("reader.cbor", Some("no reader is enrolled in")),
        ("reader.key", Some("reader.key` is damaged")),
        ("memory", None),
    ] {
        let path = place.reader_folder().join(name);
        fs::rename(&path, &away).unwrap();
        let error = place.try_reader().err().map(|error| chain(&error));
        match expected {
            Some(expected) => assert!(error.unwrap().contains(expected), "{name}"),
            None => assert_eq!(error, None, "a reader without a memory waits for the city"),
        }
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(place.reader().records_pending(), 1);
}

#[test]
fn key_of_another_reader_is_no_key_of_this_one() {
    let city = City::new();
    let place = Place::ready(&city);
    let path = place.reader_folder().join("reader.key");
    for other in [[9; 32], [0; 32], [0xFF; 32]] {
        fs::write(&path, other).unwrap();
        let error = chain(&place.try_reader().err().unwrap());
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn wallet_is_named_when_it_is_damaged_or_the_key_is_another() {
    let city = City::new();
    let place = Place::ready(&city);
    let path = place.wallet_folder().join("wallet.sealed");
    let open = |key| {
        WalletHost::open(&place.wallet_folder(), CRYPTO, key).err().map(|error| chain(&error))
    };
    check(&path, fs::read(&path).unwrap().len(), &|| open(WALLET_KEY));
    let error = open([1; 32]).unwrap();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("under this key"), "{error}");
    fs::remove_file(&path).unwrap();
    assert!(open(WALLET_KEY).unwrap().contains("no wallet in"));
}

#[test]
fn wallet_that_cannot_be_saved_is_the_one_that_was() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    let blocked = place.wallet_folder().join(".wallet.sealed.new");
    fs::create_dir(&blocked).unwrap();
    granted(&mut reader, &mut wallet);
    let nonces = [crate::place::fresh(), crate::place::fresh()];
    let error = chain(&wallet.save(CRYPTO, nonces).unwrap_err());
    assert!(error.contains("wallet.sealed"), "{error}");
    drop(wallet);
    let mut wallet = place.wallet();
    assert!(wallet.state.log.is_empty());
    fs::remove_dir(&blocked).unwrap();
    granted(&mut reader, &mut wallet);
    crate::place::save(&wallet);
    drop(wallet);
    assert_eq!(place.wallet().state.log.len(), 1, "control");
}
