//! The tree against published roots and against the definition of RFC 6962 written down plainly.

use audit::hash::{Hash, empty_root, leaf_hash, node_hash};
use audit::merkle::{
    Frontier, Node, ProofError, ProveError, Tree, prove_consistency, prove_inclusion,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;

/// The leaves and roots of the Certificate Transparency test suite (`merkle_tree_test`), which
/// every implementation of RFC 6962 uses.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn published_roots_come_out() {
    let mut frontier = Frontier::default();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(frontier.root().as_bytes().as_slice(), unhex(root), "{size}");
        if let Some(leaf) = LEAVES.get(size) {
            frontier.push(leaf_hash(&unhex(leaf)), |_, _| {});
        }
    }
}

/// MTH of RFC 6962, section 2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// PATH of RFC 6962, section 2.1.1.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) =
        if index < k { (path(index, left), right) } else { (path(index - k, right), left) };
    proof.push(root(sibling));
    proof
}

/// SUBPROOF of RFC 6962, section 2.1.2.
fn subproof(older: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if older == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    if older <= k {
        let mut proof = subproof(older, left, whole);
        proof.push(root(right));
        proof
    } else {
        let mut proof = subproof(older - k, right, false);
        proof.push(root(left));
        proof
    }
}

fn leaves(size: usize) -> Vec<Hash> {
    (0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

fn reader(leaves: &[Hash]) -> impl FnMut(Node) -> Option<Hash> {
    |node| {
        let start = (node.index << node.level) as usize;
        Some(root(leaves.get(start..start + (1 << node.level))?))
    }
}

fn tree(leaves: &[Hash]) -> Tree {
    Tree { size: leaves.len() as u64, root: root(leaves) }
}

#[test]
fn proofs_are_those_of_the_definition_for_all_small_trees() {
    let all = leaves(40);
    let mut frontier = Frontier::default();
    for size in 0..=all.len() {
        let leaves = &all[..size];
        assert_eq!(frontier.root(), root(leaves), "{size}");
        let again = Frontier::of(size as u64, reader(leaves)).unwrap();
        assert_eq!(again.root(), root(leaves), "{size}");
        for index in 0..size {
            let proof = prove_inclusion(index as u64, size as u64, reader(leaves)).unwrap();
            assert_eq!(proof, path(index, leaves), "{index} of {size}");
            let verdict = verify_inclusion(&leaves[index], index as u64, &tree(leaves), &proof);
            assert_eq!(verdict, Ok(()), "{index} of {size}");
        }
        for older in 0..=size {
            let proof = prove_consistency(older as u64, size as u64, reader(leaves)).unwrap();
            if older > 0 {
                assert_eq!(proof, subproof(older, leaves, true), "{older} to {size}");
            }
            let verdict = verify_consistency(&tree(&leaves[..older]), &tree(leaves), &proof);
            assert_eq!(verdict, Ok(()), "{older} to {size}");
        }
        if let Some(leaf) = all.get(size) {
            frontier.push(*leaf, |_, _| {});
        }
    }
}

#[test]
fn what_lies_beyond_the_log_is_neither_proved_nor_accepted() {
    let all = leaves(5);
    assert_eq!(prove_inclusion(5, 5, reader(&all)), Err(ProveError::Range));
    assert_eq!(prove_consistency(6, 5, reader(&all)), Err(ProveError::Range));
    assert!(matches!(prove_inclusion(4, 9, reader(&all)), Err(ProveError::Missing(_))));
    assert_eq!(verify_inclusion(&all[0], 5, &tree(&all), &[]), Err(ProofError::Range));
    let larger = tree(&leaves(6));
    assert_eq!(verify_consistency(&larger, &tree(&all), &[]), Err(ProofError::Range));
}

proptest! {
    #[test]
    fn changed_proof_leaf_index_or_root_is_refused(
        size in 1_usize..200, at in 0_usize..200, part in 0_usize..10, flip in 0_usize..256,
    ) {
        let all = leaves(size);
        let (index, tree) = (at % size, tree(&all));
        let proof = prove_inclusion(index as u64, size as u64, reader(&all)).unwrap();
        let refused = |leaf: &Hash, index: u64, tree: &Tree, proof: &[Hash]| {
            verify_inclusion(leaf, index, tree, proof).is_err()
        };
        prop_assert!(refused(&flipped(&all[index], flip), index as u64, &tree, &proof));
        prop_assert!(refused(&all[index], (index + 1) as u64, &tree, &proof));
        let other = Tree { root: flipped(&tree.root, flip), ..tree };
        prop_assert!(refused(&all[index], index as u64, &other, &proof));
        let mut longer = proof.clone();
        longer.push(all[0]);
        prop_assert!(refused(&all[index], index as u64, &tree, &longer));
        if !proof.is_empty() {
            prop_assert!(refused(&all[index], index as u64, &tree, &proof[1..]));
            let mut changed = proof;
            let part = part % changed.len();
            changed[part] = flipped(&changed[part], flip);
            prop_assert!(refused(&all[index], index as u64, &tree, &changed));
        }
    }

    #[test]
    fn forked_older_tree_is_refused(
        size in 2_usize..200, older in 1_usize..200, leaf in 0_usize..200, flip in 0_usize..256,
    ) {
        let all = leaves(size);
        let older = 1 + older % (size - 1);
        let proof = prove_consistency(older as u64, size as u64, reader(&all)).unwrap();
        let mut forked = all[..older].to_vec();
        let leaf = leaf % older;
        forked[leaf] = flipped(&forked[leaf], flip);
        prop_assert!(verify_consistency(&tree(&forked), &tree(&all), &proof).is_err());
        let mut forked_newer = all.clone();
        forked_newer[leaf] = flipped(&forked_newer[leaf], flip);
        let newer = tree(&forked_newer);
        prop_assert!(verify_consistency(&tree(&all[..older]), &newer, &proof).is_err());
        let honest = prove_consistency(older as u64, size as u64, reader(&forked_newer)).unwrap();
        prop_assert!(verify_consistency(&tree(&all[..older]), &newer, &honest).is_err());
    }

    #[test]
    fn arbitrary_proofs_never_panic(
        index: u64, size: u64, older: u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let proof: Vec<Hash> = hashes.into_iter().map(Hash::from_bytes).collect();
        let newer = Tree { size, root: empty_root() };
        let older = Tree { size: older, root: empty_root() };
        let _ = verify_inclusion(&empty_root(), index, &newer, &proof);
        let _ = verify_consistency(&older, &newer, &proof);
    }
}

fn flipped(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}
