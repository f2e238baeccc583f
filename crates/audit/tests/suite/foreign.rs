//! The crates `tlog_tiles` and `signed_note`, ported from Go's checksum database, as second
//! voice in both directions.

use crate::log::{MemoryLog, ORIGIN, entry};
use audit::checkpoint::{self, Checkpoint};
use audit::folder::CHECKPOINT_PATH;
use audit::hash::{Hash, leaf_hash, node_hash};
use audit::merkle::{
    Tree, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use audit::tiles::{Tile, TileReader, changed};
use proptest::prelude::*;
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{
    HashReader, TileHashReader, TileReader as ForeignTileReader, check_record, check_tree,
    prove_record, prove_tree, record_hash, stored_hashes, tree_hash,
};

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*hash.as_bytes())
}

fn all_theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(theirs).collect()
}

fn all_ours(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash::from_bytes(hash.0)).collect()
}

/// Their storage of hashes, grown by their own functions.
#[derive(Default)]
struct TheirStore(Vec<tlog_tiles::Hash>);

impl HashReader for TheirStore {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

impl TheirStore {
    fn of(size: u64) -> Self {
        let mut store = Self::default();
        for index in 0..size {
            let hashes = stored_hashes(index, &entry(index), &store).unwrap();
            store.0.extend(hashes);
        }
        store
    }
}

/// Our tiles, handed to their reader: same bytes, their naming.
struct OurTiles<'a>(&'a MemoryLog);

impl ForeignTileReader for OurTiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        Ok(tiles.iter().map(|tile| self.0.files[&renamed(&tile.path())].clone()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// `tile/8/0/000` of the Go checksum database is `tile/0/000` of C2SP.
fn renamed(path: &str) -> String {
    path.replacen("tile/8/", "tile/", 1)
}

#[test]
fn leaf_and_node_hashes_agree() {
    let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
    assert_eq!(theirs(&left), record_hash(b"left"));
    let node = tlog_tiles::tlog::node_hash(theirs(&left), theirs(&right));
    assert_eq!(theirs(&node_hash(&left, &right)), node);
}

#[test]
fn roots_and_proofs_agree_and_cross_over() {
    for size in [1, 2, 3, 7, 8, 255, 256, 257, 700] {
        let log = MemoryLog::of(size);
        let store = TheirStore::of(size);
        let root = tree_hash(size, &store).unwrap();
        assert_eq!(theirs(&log.tree().root), root, "{size}");
        let mut reader = TileReader::new(size, |tile: &Tile| log.read(tile));
        for index in (0..size).step_by(1 + size as usize / 40) {
            let ours = prove_inclusion(index, size, |node| reader.root(node)).unwrap();
            let leaf = leaf_hash(&entry(index));
            check_record(&all_theirs(&ours), size, root, index, theirs(&leaf)).unwrap();
            let foreign = all_ours(&prove_record(size, index, &store).unwrap());
            verify_inclusion(&leaf, index, &log.tree(), &foreign).unwrap();
            let older = index + 1;
            let older_root = tree_hash(older, &store).unwrap();
            let ours = prove_consistency(older, size, |node| reader.root(node)).unwrap();
            check_tree(&all_theirs(&ours), size, root, older, older_root).unwrap();
            let foreign = all_ours(&prove_tree(size, older, &store).unwrap());
            let older = Tree { size: older, root: Hash::from_bytes(older_root.0) };
            verify_consistency(&older, &log.tree(), &foreign).unwrap();
        }
    }
}

/// At 512 leaves, where the root is one subtree. At sizes such as 773 the reader of `tlog_tiles`
/// 0.2.0 takes tiles without holding them to their parents: it skips as many tiles as the root
/// has subtrees, though several of these share a tile. `tampering` shows that ours does not.
#[test]
fn their_reader_authenticates_our_tiles_and_refuses_altered_ones() {
    let mut log = MemoryLog::of(512);
    let indexes: Vec<u64> = (0..512).map(|n| tlog_tiles::stored_hash_index(0, n)).collect();
    let root = theirs(&log.tree().root);
    let hashes = {
        let tiles = OurTiles(&log);
        TileHashReader::new(512, root, &tiles).read_hashes(&indexes).unwrap()
    };
    for (index, hash) in (0..).zip(hashes) {
        assert_eq!(hash, record_hash(&entry(index)));
    }
    log.files.get_mut("tile/0/001").unwrap()[77] ^= 1;
    let tiles = OurTiles(&log);
    assert!(TileHashReader::new(512, root, &tiles).read_hashes(&indexes).is_err());
}

proptest! {
    #[test]
    fn changed_tiles_are_those_of_the_second_voice(older in 0_u64..200_000, by in 0_u64..200_000) {
        let newer = older + by;
        let mut foreign: Vec<String> = tlog_tiles::Tile::new_tiles(8, older, newer)
            .iter()
            .map(|tile| renamed(&tile.path()))
            .collect();
        let ours = changed(older, newer).into_iter().map(|tile| tile.path());
        let mut ours: Vec<String> = ours.filter(|path| !path.contains("entries")).collect();
        foreign.sort();
        ours.sort();
        prop_assert_eq!(ours, foreign);
    }
}

fn their_signer(log: &MemoryLog) -> StandardSigner {
    let key = log.key().to_string();
    let id = key.split('+').nth(1).unwrap().to_owned();
    let seed = [&[1], log.signer.as_bytes().as_slice()].concat();
    let seed = <base64ct::Base64 as base64ct::Encoding>::encode_string(&seed);
    StandardSigner::new(&format!("PRIVATE+KEY+{ORIGIN}+{id}+{seed}")).unwrap()
}

#[test]
fn checkpoints_cross_over() {
    let log = MemoryLog::of(300);
    let verifier = StandardVerifier::new(&log.key().to_string()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let ours = &log.files[CHECKPOINT_PATH];
    let note = Note::from_bytes(ours).unwrap();
    let (verified, unverified) = note.verify(&known).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let foreign = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((foreign.origin(), foreign.size()), (ORIGIN, 300));
    assert_eq!(*foreign.hash(), theirs(&log.tree().root));

    let signer = their_signer(&log);
    let text = tlog_tiles::Checkpoint::new(ORIGIN, 300, theirs(&log.tree().root), "").unwrap();
    let mut note = Note::new(&text.to_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer as &dyn Signer]).unwrap();
    assert_eq!(note.to_bytes(), *ours);
    let checkpoint = checkpoint::verify(&note.to_bytes(), ORIGIN, &[log.key()]).unwrap();
    let expected = Checkpoint { origin: ORIGIN.into(), tree: log.tree(), extension: String::new() };
    assert_eq!(*checkpoint.checkpoint(), expected);
}

#[test]
fn verifier_keys_are_read_alike() {
    let key = MemoryLog::new().key().to_string();
    assert_eq!(key.parse::<audit::note::VerifierKey>().unwrap().to_string(), key);
    for (at, _) in key.char_indices() {
        let mut changed = key.clone().into_bytes();
        changed[at] ^= 1;
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let ours = changed.parse::<audit::note::VerifierKey>().is_ok();
        assert_eq!(ours, StandardVerifier::new(&changed).is_ok(), "{changed}");
        assert!(!ours, "{changed}");
    }
}
