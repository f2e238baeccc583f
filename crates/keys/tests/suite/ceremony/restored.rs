//! Restoring: the right shares bring the root to another file; every wrong one is named.

use credential::x509::Certificate;
use keys::ceremony::backup::{Backup, BackupError};
use keys::ceremony::restore::{RestoreError, open_shares, restore};
use keys::ceremony::seat::SeatError;
use keys::ceremony::shares::{SPLIT_ENTROPY_BYTES, Share, ShareError, Split, split};
use keys::ceremony::wrapping::WrappingKey;
use keys::custody::Custody;
use keys::purpose::Purpose;
use zeroize::Zeroizing;

use super::hall::{Held, NOW, root_file};
use crate::keystore::wait;

fn open(held: &Held, shares: &[Share]) -> Result<WrappingKey, RestoreError> {
    let bytes = held.backup();
    open_shares(&Backup::parse(&bytes).unwrap(), &bytes, &held.verified, shares)
}

#[test]
fn any_two_of_three_shares_bring_the_root_to_another_file() {
    let held = Held::new();
    for (number, pair) in [[1, 2], [3, 1], [2, 3]].into_iter().enumerate() {
        let key = open(&held, &pair.map(|index| held.share(index))).unwrap();
        let seat = root_file(&held.folder, &format!("restored-{number}.keys"));
        let backup = Backup::parse(&held.backup()).unwrap();
        let restored = wait(restore(&seat, &backup, key, NOW)).unwrap();
        assert_eq!(restored.public_key, held.verified.root);
        let there = seat.newest(Purpose::CityRoot, None).unwrap();
        assert_eq!(there.certificate.as_deref(), Some(&held.verified.certificate[..]));
        assert!(Certificate::parse(there.certificate.as_deref().unwrap()).is_ok());
    }
}

#[test]
fn the_root_is_not_restored_where_it_is_already() {
    let held = Held::new();
    let key = open(&held, &[held.share(1), held.share(2)]).unwrap();
    let backup = Backup::parse(&held.backup()).unwrap();
    let error = wait(restore(&held.root, &backup, key, NOW)).unwrap_err();
    assert!(matches!(error, RestoreError::Seat(SeatError::Present { .. })), "{error}");
    assert_eq!(held.root.keys().len(), 1);
}

#[test]
fn too_few_shares_or_one_twice_are_refused() {
    let held = Held::new();
    let error = open(&held, &[held.share(1)]).unwrap_err();
    let few = ShareError::TooFew { found: 1, needed: 2 };
    assert!(matches!(error, RestoreError::Share(found) if found == few), "{error}");
    let error = open(&held, &[held.share(1), held.share(1)]).unwrap_err();
    let twice = ShareError::Twice { position: 2, index: 1 };
    assert!(matches!(error, RestoreError::Share(found) if found == twice), "{error}");
}

#[test]
fn a_forged_share_is_named_with_its_custodian() {
    let held = Held::new();
    // A split of another key, under the same identifier: checksums and places are right.
    let entropy = Zeroizing::new([9; SPLIT_ENTROPY_BYTES]);
    let other = WrappingKey::generate().unwrap();
    let two_of_three = Split::new(2, 3).unwrap();
    let forged = split(&other, held.verified.ceremony, two_of_three, &entropy).unwrap();
    let forged = forged.into_iter().nth(1).unwrap();
    let error = open(&held, &[held.share(1), forged]).unwrap_err();
    assert!(matches!(error, RestoreError::Forged { position: 2, .. }), "{error}");
    assert!(error.to_string().contains("`Bo Quay`"), "{error}");
    // The control: without the commitments nothing but the check value would tell, and not of whom.
    let forged = split(&other, held.verified.ceremony, two_of_three, &entropy).unwrap();
    let mut blind = held.verified.clone();
    blind.custodians[1].commitment = forged[1].commitment();
    let bytes = held.backup();
    let backup = Backup::parse(&bytes).unwrap();
    let forged = forged.into_iter().nth(1).unwrap();
    let error = open_shares(&backup, &bytes, &blind, &[held.share(1), forged]).unwrap_err();
    assert!(matches!(error, RestoreError::CheckValue { .. }), "{error}");
}

#[test]
fn shares_and_backups_of_another_ceremony_are_refused() {
    let (held, other) = (Held::new(), Held::new());
    let error = open(&held, &[held.share(1), other.share(2)]).unwrap_err();
    let found = other.verified.ceremony;
    let foreign = ShareError::OtherCeremony { position: 2, found };
    assert!(matches!(error, RestoreError::Share(found) if found == foreign), "{error}");
    let bytes = other.backup();
    let backup = Backup::parse(&bytes).unwrap();
    let shares = [held.share(1), held.share(2)];
    let error = open_shares(&backup, &bytes, &held.verified, &shares).unwrap_err();
    assert!(matches!(error, RestoreError::OtherBackup { .. }), "{error}");
    assert_eq!(Backup::parse(b"not a backup"), Err(BackupError::NotABackup));
}

#[test]
fn a_backup_under_another_key_does_not_open() {
    let held = Held::new();
    let mut backup = Backup::parse(&held.backup()).unwrap();
    backup.wrapped[20] ^= 1;
    let key = open(&held, &[held.share(1), held.share(3)]).unwrap();
    let seat = root_file(&held.folder, "restored.keys");
    let error = wait(restore(&seat, &backup, key, NOW)).unwrap_err();
    assert!(matches!(error, RestoreError::Seat(SeatError::Wrap(_))), "{error}");
    assert!(seat.keys().is_empty());
}
