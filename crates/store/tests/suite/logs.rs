//! The published log: whole for a foreign verifier, and never ahead of or apart from the database.

use std::fs;
use std::sync::Arc;

use audit::checkpoint::{self, Verified};
use audit::folder;
use audit::note::{SIGNATURE_BYTES, VerifierKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use store::log::Folder as LogFolder;
use store::log::sequencer::{CheckpointSigner, POOL_LEAVES_MAX, SequenceError, Sequencer, Signing};
use store::store::Store;
use tokio::sync::watch;

use crate::folder::Folder;
use crate::samples::{audit, deed, harbour};

const ORIGIN: &str = "limen.example/log";

struct Signer {
    pair: Ed25519KeyPair,
    key: VerifierKey,
    is_out: std::sync::atomic::AtomicBool,
}

impl Signer {
    fn new() -> Arc<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let key = VerifierKey::new(ORIGIN, public).unwrap();
        Arc::new(Self { pair, key, is_out: false.into() })
    }

    fn set_out(&self, is_out: bool) {
        self.is_out.store(is_out, std::sync::atomic::Ordering::Relaxed);
    }
}

impl CheckpointSigner for Signer {
    fn keys(&self) -> Vec<VerifierKey> {
        vec![self.key.clone()]
    }

    fn sign<'a>(&'a self, _: &'a VerifierKey, text: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            let is_out = self.is_out.load(std::sync::atomic::Ordering::Relaxed);
            let sign = || <[u8; SIGNATURE_BYTES]>::try_from(self.pair.sign(text).as_ref()).unwrap();
            (!is_out).then(sign)
        })
    }
}

async fn sequencer(store: &Store, folder: &Folder) -> Result<Sequencer, SequenceError> {
    Sequencer::open(store, LogFolder::new(&folder.path().join("log")), Signer::new()).await
}

async fn deeds(store: &Store, numbers: std::ops::Range<u64>) {
    let tenant = store.for_operator(&harbour());
    let all = numbers.map(|number| {
        let tenant = tenant.clone();
        tokio::spawn(async move { tenant.commit(deed(&harbour(), number, vec![])).await.unwrap() })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}

/// Verifies the whole folder as anybody can and returns the entries.
fn verify(folder: &Folder, older: Option<&Verified>) -> (Verified, Vec<Vec<u8>>) {
    let mut entries = Vec::new();
    let log = folder::Log {
        lookup: |path: &str| fs::read(folder.path().join("log").join(path)).ok(),
        origin: ORIGIN,
        keys: &[Signer::new().key.clone()],
        older,
    };
    let verified = folder::verify(log, |_, entry| entries.push(entry.to_vec())).unwrap();
    (verified, entries)
}

#[tokio::test]
async fn every_deed_is_in_a_log_that_verifies_and_grows_consistently() {
    let folder = Folder::new();
    let store = folder.store();
    let mut sequencer = sequencer(&store, &folder).await.unwrap();
    assert_eq!(sequencer.publish().await.unwrap(), 0);
    let (mut older, entries) = verify(&folder, None);
    assert!(entries.is_empty());
    let mut known = 0;
    for size in [1, 2, 255, 256, 257, 700] {
        deeds(&store, known..size).await;
        known = size;
        assert_eq!(sequencer.publish().await.unwrap(), size);
        let (verified, entries) = verify(&folder, Some(&older));
        assert_eq!(verified.tree().size, size);
        let mut expected: Vec<_> =
            (0..size).map(|number| audit(&harbour(), number).entry.encode()).collect();
        let mut found = entries;
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        older = verified;
    }
    assert!(
        !folder.path().join("log/tile/entries/000.p").exists(),
        "full tiles replace partial ones"
    );
}

#[tokio::test]
async fn sequencer_goes_on_after_a_restart_at_every_size_of_the_edge() {
    let folder = Folder::new();
    let mut older = None;
    for size in [0, 1, 200, 256, 300] {
        let store = folder.store();
        deeds(&store, older.as_ref().map_or(0, |v: &Verified| v.tree().size)..size).await;
        let mut sequencer = sequencer(&store, &folder).await.unwrap();
        assert_eq!(sequencer.publish().await.unwrap(), size);
        older = Some(verify(&folder, older.as_ref()).0);
    }
}

#[tokio::test]
async fn missing_signature_delays_the_checkpoint_and_harms_nothing() {
    let folder = Folder::new();
    let store = folder.store();
    let signer = Signer::new();
    let log = LogFolder::new(&folder.path().join("log"));
    let mut sequencer = Sequencer::open(&store, log, signer.clone()).await.unwrap();
    deeds(&store, 0..3).await;
    sequencer.publish().await.unwrap();
    signer.set_out(true);
    deeds(&store, 3..300).await;
    assert!(matches!(sequencer.publish().await, Err(SequenceError::NotSigned)));
    assert_eq!(verify(&folder, None).0.tree().size, 3);
    signer.set_out(false);
    assert_eq!(sequencer.publish().await.unwrap(), 300);
    verify(&folder, None);
}

/// What a crash leaves behind: the head in the database is new, the checkpoint file is old.
#[tokio::test]
async fn checkpoint_file_that_lags_behind_is_written_again() {
    let folder = Folder::new();
    let store = folder.store();
    let mut first = sequencer(&store, &folder).await.unwrap();
    deeds(&store, 0..5).await;
    first.publish().await.unwrap();
    let path = folder.path().join("log/checkpoint");
    let old = fs::read(&path).unwrap();
    deeds(&store, 5..9).await;
    first.publish().await.unwrap();
    for leftover in [Some(old), None] {
        match leftover {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let mut again = sequencer(&store, &folder).await.unwrap();
        assert_eq!(verify(&folder, None).0.tree().size, 9);
        assert_eq!(again.publish().await.unwrap(), 9);
    }
}

#[tokio::test]
async fn old_copy_of_the_database_is_refused_instead_of_forking_the_log() {
    let folder = Folder::new();
    {
        let store = folder.store();
        deeds(&store, 0..5).await;
        sequencer(&store, &folder).await.unwrap().publish().await.unwrap();
    }
    let other = Folder::new();
    let copy = other.store();
    deeds(&copy, 10..12).await;
    let log = LogFolder::new(&folder.path().join("log"));
    let answer = Sequencer::open(&copy, log, Signer::new()).await;
    assert!(matches!(answer, Err(SequenceError::Behind)));
}

#[tokio::test]
async fn second_sequencer_that_would_turn_the_log_back_fails() {
    let folder = Folder::new();
    let store = folder.store();
    // The first round makes the head, the second replaces it.
    for round in 0..2 {
        let mut first = sequencer(&store, &folder).await.unwrap();
        let mut second = sequencer(&store, &folder).await.unwrap();
        deeds(&store, round * 10..round * 10 + 2).await;
        first.publish().await.unwrap();
        let answer = second.publish().await;
        assert!(matches!(answer, Err(SequenceError::Head(_))), "{answer:?}");
        assert_eq!(second.publish().await.unwrap(), round * 2 + 2, "it takes up the new head");
    }
}

#[tokio::test]
async fn damaged_tile_is_noticed_when_the_log_is_taken_up() {
    let folder = Folder::new();
    let store = folder.store();
    deeds(&store, 0..5).await;
    sequencer(&store, &folder).await.unwrap().publish().await.unwrap();
    let path = folder.path().join("log/tile/0/000.p/5");
    let mut tile = fs::read(&path).unwrap();
    tile[40] ^= 1;
    fs::write(&path, &tile).unwrap();
    assert!(matches!(sequencer(&store, &folder).await, Err(SequenceError::OtherRoot)));
    fs::remove_file(&path).unwrap();
    assert!(matches!(sequencer(&store, &folder).await, Err(SequenceError::Resume(_))));
}

#[tokio::test]
async fn running_sequencer_publishes_by_itself_and_once_more_at_the_end() {
    let folder = Folder::new();
    let store = folder.store();
    let sequencer = sequencer(&store, &folder).await.unwrap();
    let mut published = sequencer.published();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(sequencer.run(stopped));
    deeds(&store, 0..1).await;
    published.wait_for(|size| *size == 1).await.unwrap();
    deeds(&store, 1..POOL_LEAVES_MAX + 1).await;
    published.wait_for(|size| *size == POOL_LEAVES_MAX + 1).await.unwrap();
    deeds(&store, POOL_LEAVES_MAX + 1..POOL_LEAVES_MAX + 3).await;
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(verify(&folder, None).0.tree().size, POOL_LEAVES_MAX + 3);
}

#[test]
fn paths_that_are_no_log_files_are_not_read() {
    let folder = Folder::new();
    fs::write(folder.path().join("secret"), b"x").unwrap();
    let log = LogFolder::new(folder.path());
    for path in ["secret", "../secret", "tile/../secret", "tile/0/../../secret", "", "/etc/passwd"]
    {
        assert_eq!(log.read(path).unwrap(), None, "{path}");
    }
    fs::write(folder.path().join("checkpoint"), b"x").unwrap();
    assert_eq!(log.read("checkpoint").unwrap(), Some(b"x".to_vec()));
    let key = [Signer::new().key.clone()];
    assert!(checkpoint::verify(b"x", ORIGIN, &key).is_err());
}
