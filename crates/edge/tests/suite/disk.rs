//! A full disk: a small tmpfs, where mounting is permitted.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use edge::reader_host::{HostError, JOURNAL_BYTES};

use crate::city::{CRYPTO, City, door, noon};
use crate::place::{Place, chain, fresh, granted, grants, save};

/// A disk of 10 MiB, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Option<Self> {
        let path = folder.join("disk");
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=10m,mode=700", "limen-test"])
            .arg(&path)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("mounting is not permitted here: nothing was tested");
        None
    }

    /// Takes all space but so many bytes.
    fn fill(&self, free: usize) {
        let mut ballast = fs::File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.saturating_sub(free as u64)).unwrap();
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn reader_without_room_for_its_journal_does_not_start() {
    let folder = Place::empty();
    let Some(disk) = Disk::mount(&folder.path) else { return };
    let city = City::new();
    let place = Place::at(&disk.0);
    place.enrol(&city);
    disk.fill(usize::try_from(JOURNAL_BYTES).unwrap() / 2);
    for _ in 0..2 {
        let error = chain(&place.try_reader().err().unwrap());
        assert!(error.contains(place.reader_folder().join("journal").to_str().unwrap()), "{error}");
    }
    disk.clear();
    let mut reader = place.reader();
    reader.install_bundle(noon(), &city.bundle(1)).unwrap();
    place.make_wallet(&city);
    granted(&mut reader, &mut place.wallet());
}

#[test]
fn full_disk_stops_news_and_not_taps() {
    let folder = Place::empty();
    let Some(disk) = Disk::mount(&folder.path) else { return };
    let city = City::new();
    let place = Place::at(&disk.0);
    place.enrol(&city);
    place.make_wallet(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    reader.install_bundle(noon(), &city.bundle(1)).unwrap();
    granted(&mut reader, &mut wallet);
    save(&wallet);
    disk.fill(0);

    // Taps go on: the journal has taken its room long ago.
    granted(&mut reader, &mut wallet);
    assert!(reader.egress(noon(), door()) > 0);
    // The wallet cannot remember this tap, says so, and is the one that it was.
    let error = chain(&wallet.save(CRYPTO, [fresh(), fresh()]).unwrap_err());
    assert!(error.contains("wallet.sealed"), "{error}");
    // What the city says does not count, and neither does what it has taken.
    let error = reader.install_bundle(noon(), &city.bundle(2)).unwrap_err();
    assert!(matches!(error, HostError::File(_)) && chain(&error).contains("memory"));
    assert_eq!(reader.engine().watermark().bundle_epoch, 1);
    assert!(reader.acknowledged(noon(), 2).is_err());
    assert_eq!(reader.records_pending(), 3);
    // What could not be written whole takes no room.
    for folder in [place.reader_folder(), place.wallet_folder()] {
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_str().unwrap().ends_with(".new"), "{name:?}");
        }
    }

    // Killed and started again on the full disk: everything is there, nothing lies about.
    drop((reader, wallet));
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    assert_eq!((grants(&reader), reader.engine().watermark().bundle_epoch), (2, 1));
    assert_eq!(wallet.state.log.len(), 1);
    granted(&mut reader, &mut wallet);

    disk.clear();
    save(&wallet);
    assert_eq!(reader.install_bundle(noon(), &city.bundle(2)).unwrap().bundle_epoch, 2);
    reader.acknowledged(noon(), 3).unwrap();
    assert_eq!(reader.records_pending(), 1);
    granted(&mut reader, &mut wallet);
}

#[test]
fn room_that_could_not_be_freed_is_freed_once_the_disk_has_space() {
    let folder = Place::empty();
    let Some(disk) = Disk::mount(&folder.path) else { return };
    let city = City::new();
    let place = Place::at(&disk.0);
    place.enrol(&city);
    place.make_wallet(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    reader.install_bundle(noon(), &city.bundle(1)).unwrap();
    for _ in 0..3 {
        granted(&mut reader, &mut wallet);
    }
    // Room for the base, and not for another journal.
    disk.fill(256 * 1024);
    let error = chain(&reader.acknowledged(noon(), 2).unwrap_err());
    assert!(error.contains("journal"), "{error}");
    assert_eq!(reader.records_pending(), 1, "what the city has need not be sent again");
    granted(&mut reader, &mut wallet);
    drop(reader);
    let mut reader = place.reader();
    assert_eq!(reader.records_pending(), 2);
    let journal = place.reader_folder().join("journal");
    let crowded = fs::read(&journal).unwrap();
    disk.clear();
    reader.acknowledged(noon(), 2).unwrap();
    assert_eq!(reader.records_pending(), 2);
    assert_ne!(fs::read(&journal).unwrap(), crowded, "the same acknowledgement frees it");
    granted(&mut reader, &mut wallet);
    drop(reader);
    assert_eq!(place.reader().records_pending(), 3);
}
