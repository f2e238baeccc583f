//! Attacks on a stored log: every byte, truncation, removal, reorder, fork. The control is the
//! untouched log, which verifies.

use crate::log::{MemoryLog, ORIGIN, entry};
use audit::checkpoint::CheckpointError;
use audit::folder::{CHECKPOINT_PATH, FolderError};
use audit::merkle::ProofError;
use audit::note::NoteError;

const SIZE: u64 = 300;

#[test]
fn every_flipped_byte_is_found() {
    let mut log = MemoryLog::of(SIZE);
    assert_eq!(log.verify(None), Ok(SIZE), "control");
    let paths: Vec<String> = log.files.keys().cloned().collect();
    let mut flips = 0;
    for path in paths {
        for at in 0..log.files[&path].len() {
            log.files.get_mut(&path).unwrap()[at] ^= 1 << (at % 8);
            assert!(log.verify(None).is_err(), "{path}, byte {at}");
            log.files.get_mut(&path).unwrap()[at] ^= 1 << (at % 8);
            flips += 1;
        }
    }
    assert!(flips > 15_000, "{flips}");
    assert_eq!(log.verify(None), Ok(SIZE), "control");
}

#[test]
fn every_missing_cut_or_lengthened_file_is_found() {
    let log = MemoryLog::of(773);
    for (path, bytes) in log.files.clone() {
        let mut broken = MemoryLog::of(773);
        broken.files.remove(&path);
        assert_eq!(broken.verify(None), Err(FolderError::Missing { path: path.clone() }));
        let cut = bytes[..bytes.len() - 1].to_vec();
        let longer = [bytes.as_slice(), &[0]].concat();
        let doubled = [bytes.as_slice(), &bytes].concat();
        for altered in [cut, longer, doubled, Vec::new()] {
            broken.files.insert(path.clone(), altered);
            assert!(broken.verify(None).is_err(), "{path}");
        }
    }
}

#[test]
fn reordered_entries_are_found_even_when_tiles_are_made_to_fit() {
    let honest = MemoryLog::of(SIZE);
    let mut forged = MemoryLog::new();
    for index in 0..SIZE {
        let swapped = match index {
            10 => 11,
            11 => 10,
            _ => index,
        };
        forged.appender.append(&entry(swapped)).unwrap();
    }
    forged.publish();
    // Control: signed by the log itself, the other order is a valid log.
    assert_eq!(forged.verify(None), Ok(SIZE));
    // Against the checkpoint that was seen earlier it is a fork.
    let checkpoint = honest.checkpoint();
    let verdict = forged.verify(Some(&checkpoint));
    let older = SIZE;
    assert_eq!(verdict, Err(FolderError::Consistency { older, source: ProofError::Root }));
    // Under the honest checkpoint its entries do not lead to the root.
    forged.files.insert(CHECKPOINT_PATH.into(), honest.files[CHECKPOINT_PATH].clone());
    assert_eq!(forged.verify(None), Err(FolderError::Root));
}

#[test]
fn truncated_and_forked_logs_are_found_by_the_older_checkpoint() {
    let mut log = MemoryLog::of(257);
    let older = log.checkpoint();
    log.grow(600);
    assert_eq!(log.verify(Some(&older)), Ok(600), "control: growth");
    let newer = log.checkpoint();
    let shorter = MemoryLog::of(257);
    assert_eq!(shorter.verify(None), Ok(257), "control: valid by itself");
    let truncated = FolderError::Consistency { older: 600, source: ProofError::Range };
    assert_eq!(shorter.verify(Some(&newer)), Err(truncated));
    let mut fork = MemoryLog::of(256);
    for index in 256..700 {
        fork.appender.append(&entry(index + 1)).unwrap();
    }
    fork.publish();
    assert_eq!(fork.verify(None), Ok(700), "control: valid by itself");
    let forked = FolderError::Consistency { older: 257, source: ProofError::Root };
    assert_eq!(fork.verify(Some(&older)), Err(forked));
}

#[test]
fn foreign_or_unsigned_checkpoint_is_refused() {
    let mut log = MemoryLog::of(5);
    let mut other = MemoryLog::new();
    other.signer = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    other.grow(5);
    log.files.insert(CHECKPOINT_PATH.into(), other.files[CHECKPOINT_PATH].clone());
    let unknown = CheckpointError::Note(NoteError::Unknown);
    assert_eq!(log.verify(None), Err(FolderError::Checkpoint(unknown)));
    let verdict = audit::checkpoint::verify(&log.files[CHECKPOINT_PATH], "x", &[other.key()]);
    assert_eq!(verdict, Err(CheckpointError::Origin { found: ORIGIN.into() }));
}
