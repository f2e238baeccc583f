//! A log in memory, for tests: files by path and a key.

use audit::checkpoint::{self, Checkpoint, Verified};
use audit::folder::{self, CHECKPOINT_PATH, FolderError, Log};
use audit::hash::leaf_hash;
use audit::merkle::{self, Tree};
use audit::note::{self, NoteError, VerifierKey};
use audit::proof::{Receipt, ReceiptError};
use audit::tiles::{
    self, AppendError, Appender, ENTRY_BYTES_MAX, Kind, Tile, TileReader, changed, entries,
};
use ed25519_dalek::{Signer, SigningKey};
use std::collections::BTreeMap;

pub(crate) const ORIGIN: &str = "log.example.city/audit";

pub(crate) struct MemoryLog {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) appender: Appender,
    pub(crate) signer: SigningKey,
}

pub(crate) fn entry(index: u64) -> Vec<u8> {
    format!("entry {index} {}", "x".repeat((index % 20) as usize)).into_bytes()
}

impl MemoryLog {
    pub(crate) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            appender: Appender::default(),
            signer: SigningKey::from_bytes(&[9; 32]),
        }
    }

    pub(crate) fn of(size: u64) -> Self {
        let mut log = Self::new();
        log.grow(size);
        log
    }

    pub(crate) fn key(&self) -> VerifierKey {
        VerifierKey::new(ORIGIN, self.signer.verifying_key().as_bytes()).unwrap()
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree { size: self.appender.size(), root: self.appender.root() }
    }

    pub(crate) fn grow(&mut self, to: u64) {
        for index in self.appender.size()..to {
            self.appender.append(&entry(index)).unwrap();
        }
        self.publish();
    }

    pub(crate) fn publish(&mut self) {
        for file in self.appender.take_files() {
            self.files.insert(file.tile.path(), file.bytes);
        }
        let unsigned = Checkpoint::unsigned(&self.tree(), &self.key()).unwrap();
        let signature = self.signer.sign(unsigned.to_be_signed()).to_bytes();
        let note = unsigned.complete(&signature).unwrap();
        self.files.insert(CHECKPOINT_PATH.into(), note.into_bytes());
    }

    pub(crate) fn checkpoint(&self) -> Verified {
        checkpoint::verify(&self.files[CHECKPOINT_PATH], ORIGIN, &[self.key()]).unwrap()
    }

    pub(crate) fn verify(&self, older: Option<&Verified>) -> Result<u64, FolderError> {
        let keys = [self.key()];
        let mut heard = 0;
        let log = Log {
            lookup: |path: &str| self.files.get(path).cloned(),
            origin: ORIGIN,
            keys: &keys,
            older,
        };
        folder::verify(log, |index, _| {
            assert_eq!(index, heard);
            heard += 1;
        })?;
        Ok(heard)
    }

    pub(crate) fn read(&self, tile: &Tile) -> Option<Vec<u8>> {
        self.files.get(&tile.path()).cloned()
    }

    pub(crate) fn receipt(&self, index: u64) -> Receipt {
        let size = self.appender.size();
        let mut reader = TileReader::new(size, |tile: &Tile| self.read(tile));
        let path = merkle::prove_inclusion(index, size, |node| reader.root(node)).unwrap();
        let checkpoint = String::from_utf8(self.files[CHECKPOINT_PATH].clone()).unwrap();
        Receipt { index, path, checkpoint }
    }
}

/// Sizes around the edges of tiles, and beyond one level of them.
pub(crate) const SIZES: [u64; 12] = [0, 1, 2, 3, 255, 256, 257, 511, 512, 773, 65_536, 65_793];

#[test]
fn log_of_any_size_verifies_as_a_whole() {
    for size in SIZES {
        let log = MemoryLog::of(size);
        assert_eq!(log.verify(None), Ok(size), "{size}");
        let paths: Vec<String> = changed(0, size).iter().map(Tile::path).collect();
        let mut expected: Vec<&str> = paths.iter().map(String::as_str).collect();
        expected.push(CHECKPOINT_PATH);
        expected.sort_unstable();
        assert_eq!(log.files.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{size}");
    }
}

#[test]
fn files_taken_are_the_files_named_as_changed() {
    let mut appender = Appender::default();
    let mut older = 0;
    for newer in [1, 2, 2, 200, 256, 256, 300, 511, 513, 1024, 65_535, 65_537, 66_000] {
        for index in older..newer {
            appender.append(&entry(index)).unwrap();
        }
        let mut taken: Vec<Tile> = appender.take_files().iter().map(|file| file.tile).collect();
        let mut named = changed(older, newer);
        taken.sort();
        named.sort();
        assert_eq!(taken, named, "{older} to {newer}");
        older = newer;
    }
}

#[test]
fn resumed_log_goes_on_as_if_it_had_never_stopped() {
    for size in SIZES {
        let log = MemoryLog::of(size);
        let mut resumed = Appender::resume(size, |tile| log.read(tile)).unwrap();
        let mut unbroken = log.appender.clone();
        assert_eq!(resumed.root(), unbroken.root(), "{size}");
        assert!(resumed.take_files().is_empty(), "{size}");
        for index in size..size + 300 {
            resumed.append(&entry(index)).unwrap();
            unbroken.append(&entry(index)).unwrap();
        }
        assert_eq!(resumed.root(), unbroken.root(), "{size}");
        assert_eq!(resumed.take_files(), unbroken.take_files(), "{size}");
    }
}

#[test]
fn log_is_not_resumed_from_a_damaged_edge() {
    let log = MemoryLog::of(773);
    for broken in changed(0, 773).into_iter().filter(|tile| tile.width < tiles::TILE_WIDTH) {
        let missing = Appender::resume(773, |tile| (*tile != broken).then(|| log.read(tile))?);
        assert!(missing.is_err(), "{}", broken.path());
        let cut = Appender::resume(773, |tile| {
            let mut bytes = log.read(tile)?;
            bytes.truncate(bytes.len() - usize::from(*tile == broken));
            Some(bytes)
        });
        assert!(cut.is_err(), "{}", broken.path());
    }
    assert!(Appender::resume(tiles::LOG_SIZE_MAX + 1, |_| None).is_err());
}

#[test]
fn entry_is_appended_at_the_length_limit_and_refused_past_it() {
    let mut appender = Appender::default();
    assert_eq!(appender.append(&vec![7; ENTRY_BYTES_MAX]), Ok(0));
    let bytes = ENTRY_BYTES_MAX + 1;
    assert_eq!(appender.append(&vec![7; bytes]), Err(AppendError::EntryTooLong { bytes }));
    assert_eq!(appender.size(), 1);
    let files = appender.take_files();
    let bundle = files.iter().find(|file| file.tile.kind == Kind::Entries).unwrap();
    assert_eq!(entries(&bundle.bytes).collect::<Vec<_>>(), [Ok(&*vec![7; ENTRY_BYTES_MAX])]);
}

#[test]
fn tile_paths_have_one_form() {
    let tile = |kind, index, width| Tile { kind, index, width };
    for (path, expected) in [
        ("tile/0/000", Some(tile(Kind::Hashes { level: 0 }, 0, 256))),
        ("tile/1/x001/x234/067", Some(tile(Kind::Hashes { level: 1 }, 1_234_067, 256))),
        ("tile/63/999.p/255", Some(tile(Kind::Hashes { level: 63 }, 999, 255))),
        ("tile/entries/x001/000.p/1", Some(tile(Kind::Entries, 1000, 1))),
        ("tile/64/000", None),
        ("tile/00/000", None),
        ("tile/+1/000", None),
        ("tile/0/0", None),
        ("tile/0/x000/001", None),
        ("tile/0/001/000", None),
        ("tile/0/000.p/256", None),
        ("tile/0/000.p/0", None),
        ("tile/0/000.p/01", None),
        ("tile/0/+01", None),
        ("tile/0/x999/x999/x999/x999/x999/x999/x999/999", None),
        ("tile/data/000", None),
        ("", None),
    ] {
        assert_eq!(Tile::parse(path), expected, "{path}");
    }
}

#[test]
fn receipt_proves_its_entry_and_no_other() {
    let log = MemoryLog::of(773);
    let keys = [log.key()];
    for index in [0, 1, 255, 256, 511, 700, 772] {
        let text = log.receipt(index).to_text();
        let receipt = Receipt::parse(text.as_bytes()).unwrap();
        assert_eq!(receipt, log.receipt(index));
        assert!(receipt.verify(&entry(index), ORIGIN, &keys).is_ok(), "{index}");
        assert!(receipt.verify(&entry(index + 1), ORIGIN, &keys).is_err(), "{index}");
        let moved = Receipt { index: index ^ 1, ..receipt.clone() };
        assert!(moved.verify(&entry(index), ORIGIN, &keys).is_err(), "{index}");
        assert!(receipt.verify(&entry(index), "another.example", &keys).is_err());
        for (at, byte) in text.bytes().enumerate() {
            let mut changed = text.clone().into_bytes();
            changed[at] = byte ^ 1;
            let verdict =
                Receipt::parse(&changed).and_then(|r| r.verify(&entry(index), ORIGIN, &keys));
            assert!(verdict.is_err(), "{index}: byte {at} of {text}");
        }
    }
}

#[test]
fn receipt_may_carry_extra_data_and_is_limited() {
    let log = MemoryLog::of(5);
    let text = log.receipt(3).to_text();
    let extra = text.replacen("index", "extra AAAA\nindex", 1);
    assert_eq!(Receipt::parse(extra.as_bytes()), Ok(log.receipt(3)));
    let bad = text.replacen("index", "extra A\nindex", 1);
    assert_eq!(Receipt::parse(bad.as_bytes()), Err(ReceiptError::Form));
    let (first, _) = text.split_once("\n\n").unwrap();
    let line = format!("{}\n", leaf_hash(b"").to_base64());
    let with = |lines: usize| format!("c2sp.org/tlog-proof@v1\nindex 3\n{}\nx", line.repeat(lines));
    assert!(first.starts_with("c2sp.org/tlog-proof@v1\nindex 3\n"));
    assert!(Receipt::parse(with(merkle::PROOF_HASHES_MAX).as_bytes()).is_ok());
    let over = with(merkle::PROOF_HASHES_MAX + 1);
    assert_eq!(Receipt::parse(over.as_bytes()), Err(ReceiptError::TooLong));
}

#[test]
fn note_holds_to_its_form_and_limits() {
    let log = MemoryLog::of(3);
    let keys = [log.key()];
    let note = String::from_utf8(log.files[CHECKPOINT_PATH].clone()).unwrap();
    let stranger = "\u{2014} witness.example AAAAAAAA\n";
    let check = |note: &str, expected: Result<(), NoteError>| {
        assert_eq!(note::open(note.as_bytes(), &keys).map(drop), expected, "{note}");
    };
    check(&note, Ok(()));
    check(&format!("{note}{stranger}"), Ok(()));
    check(&format!("{note}{}", stranger.repeat(note::SIGNATURES_MAX - 1)), Ok(()));
    check(&format!("{note}{}", stranger.repeat(note::SIGNATURES_MAX)), Err(NoteError::TooLong));
    check(&format!("{note}\n"), Err(NoteError::Form));
    check(&note.replace('\n', "\r\n"), Err(NoteError::Form));
    check(note.trim_end(), Err(NoteError::Form));
    check(&note.replace("\n3\n", "\n4\n"), Err(NoteError::Signature));
    check(&format!("a\n\n{stranger}"), Err(NoteError::Unknown));
    check(&"a".repeat(note::NOTE_BYTES_MAX + 1), Err(NoteError::TooLong));
    check("", Err(NoteError::Form));
}

#[test]
fn wrong_signature_does_not_complete_a_checkpoint() {
    let log = MemoryLog::of(3);
    let unsigned = || Checkpoint::unsigned(&log.tree(), &log.key()).unwrap();
    let other = SigningKey::from_bytes(&[8; 32]).sign(unsigned().to_be_signed()).to_bytes();
    assert_eq!(unsigned().complete(&other), Err(NoteError::Signature));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text: String, size: u64) {
        let keys = [MemoryLog::new().key()];
        let _ = note::open(&bytes, &keys);
        let _ = note::open(text.as_bytes(), &keys);
        let _ = checkpoint::verify(text.as_bytes(), ORIGIN, &keys);
        let _ = Receipt::parse(&bytes);
        let _ = Receipt::parse(format!("c2sp.org/tlog-proof@v1\nindex {text}").as_bytes());
        let _ = Tile::parse(&text);
        let _ = Tile::parse(&format!("tile/{text}"));
        let _ = text.parse::<VerifierKey>();
        let _ = entries(&bytes).count();
        let _ = Appender::resume(size, |_| Some(bytes.clone()));
        let mut reader = TileReader::new(size, |_: &Tile| Some(bytes.clone()));
        let _ = reader.root(merkle::Node { level: bytes.first().map_or(0, |b| b % 64), index: size });
    }
}
