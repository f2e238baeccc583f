//! All runs of a bounded model of the express tap, against an intruder in the manner of Dolev and Yao.
//!
//! **The intruder** owns every message: each goes to it and to nobody else, and an end takes whatever the intruder
//! can make. So it intercepts, drops, repeats, delays, reorders and sends to another. It takes apart tuples, and what
//! is sealed under a key that it can make; it makes tuples, digests, HMACs and sealed messages of what it has. It
//! begins with all names and labels, a fresh value of its own, a handle that it harvested, a handle of its own with the
//! tap key (it is a rider, too), and the epoch key of another epoch. Where one key and nonce sealed two different
//! things it gets the key: more than GCM gives away, on the safe side.
//!
//! **Bounds**: two gates with up to three taps, two holders with up to two OPENs together, two contexts (scopes or
//! epochs), some 14,000 states. [`WORLDS`] names them.
//!
//! **What must hold**: epoch keys, tap keys, contents of handles and what was said in a tap stay secret; both ends agree,
//! injectively, on handle, context, both fresh values, versions, name of the gate and what was said (the fresh values
//! belong to one tap each, so that a partner who has the same is nobody else's); what is written is what the gate of the
//! tap sent; a handle is shown once. Nothing is claimed for handles whose epoch key or tap key the intruder has.
//!
//! **Left out**: more taps than the bounds; algebra and guessing (keys and tags are perfect); lengths other than as a flag;
//! time, relays, torn taps after COMMIT; what is linked by lengths, timing or conduct (see `linking`); the key service
//! and the delivery of keys; an end that is itself corrupt beyond the keys named above.

mod search;
mod term;
mod world;

use search::{GATE, HOLDER, SECRECY, SHOWING, WRITING, explore};
use world::{Cast, Protocol, World};

const WHOLE: Protocol = Protocol::WHOLE;

/// Two gates of one scope and epoch, two holders; the key of the other epoch is known.
const CITY: Cast = Cast {
    gates: &[(0, 0), (1, 0)],
    holders: &[&[0, 0, 1], &[0]],
    opens_each: 1,
    has_harvest: true,
    has_insider: true,
    leaked: Some(1),
    has_commit: false,
    has_versions: false,
};

/// Gates of two epochs, whose keys are both good; one holder taps twice.
const EPOCHS: Cast = Cast {
    gates: &[(0, 0), (1, 1)],
    holders: &[&[0, 1, 0]],
    opens_each: 2,
    has_harvest: false,
    has_insider: true,
    leaked: None,
    has_commit: false,
    has_versions: false,
};

/// Counted uses; one holder taps twice.
const COUNTED: Cast = Cast {
    gates: &[(0, 0), (1, 0)],
    holders: &[&[0, 0, 0]],
    opens_each: 2,
    has_harvest: true,
    has_insider: false,
    leaked: Some(1),
    has_commit: true,
    has_versions: false,
};

/// Three taps of gates, and an intruder who changes the versions.
const VERSIONS: Cast = Cast {
    gates: &[(0, 0), (1, 0), (0, 0)],
    holders: &[&[0]],
    opens_each: 1,
    has_harvest: false,
    has_insider: false,
    leaked: None,
    has_commit: false,
    has_versions: true,
};

const WORLDS: [(&str, Cast); 4] =
    [("city", CITY), ("epochs", EPOCHS), ("counted", COUNTED), ("versions", VERSIONS)];

#[test]
fn the_whole_protocol_holds_in_every_world() {
    check_holds(WHOLE, None);
}

fn check_holds(protocol: Protocol, overlooked: Option<&str>) {
    for (name, cast) in WORLDS {
        let seen = explore(&mut World::new(protocol, cast), overlooked);
        let seen = seen.unwrap_or_else(|attack| panic!("{name}: {attack:#?}"));
        assert!(seen > 400, "{name} has {seen} states only");
    }
}

/// The protocol without a part of it has this shortest attack.
fn check_falls(protocol: Protocol, cast: Cast, broken: &str, trace: &[&str]) {
    check_falls_overlooking(protocol, cast, None, broken, trace);
}

fn check_falls_overlooking(
    protocol: Protocol,
    cast: Cast,
    overlooked: Option<&str>,
    broken: &str,
    trace: &[&str],
) {
    let attack = explore(&mut World::new(protocol, cast), overlooked).expect_err("an attack");
    assert_eq!(attack.broken, broken, "{:#?}", attack.trace);
    assert_eq!(attack.trace, trace);
}

/// With ciphers that survive a nonce that comes twice, so that what falls falls by the protocol alone.
const WITH_ROBUST_CIPHER: Protocol = Protocol { has_torn_gcm: false, ..WHOLE };

#[test]
fn without_t_a_recorded_answer_opens_another_gate() {
    let protocol = Protocol {
        has_transcript_in_keys: false,
        has_transcript_in_aad: false,
        ..WITH_ROBUST_CIPHER
    };
    let trace = [
        "holder 0 shows handle 1 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 1 with a value of the intruder",
        "gate 1 (tap 1) is shown handle 1 with a value of the intruder",
        "holder 0 answers PROVE of gate 0",
        "gate 1 (tap 1) accepts standing of holder 0 0",
    ];
    check_falls(protocol, CITY, GATE, &trace);
}

#[test]
fn t_in_the_associated_data_alone_is_not_enough_for_gcm() {
    let protocol = Protocol { has_transcript_in_keys: false, ..WHOLE };
    let trace = [
        "holder 0 shows handle 1 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 1 with a value of the intruder",
        "gate 1 (tap 1) is shown handle 1 with a value of the intruder",
        "holder 0 answers PROVE of a value of the intruder",
    ];
    check_falls(protocol, CITY, HOLDER, &trace);
    // With it in the keys alone nothing falls: in the associated data it is there to be seen.
    check_holds(Protocol { has_transcript_in_aad: false, ..WHOLE }, None);
}

#[test]
fn without_the_readers_fresh_value_a_recorded_answer_opens_another_gate() {
    let protocol = Protocol { has_reader_fresh: false, ..WITH_ROBUST_CIPHER };
    let trace = [
        "holder 0 shows handle 1 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 1 with N_H of holder 0 0",
        "gate 1 (tap 1) is shown handle 1 with N_H of holder 0 0",
        "holder 0 answers PROVE of gate 0",
        "gate 1 (tap 1) accepts standing of holder 0 0",
    ];
    check_falls(protocol, CITY, GATE, &trace);
}

/// The holder's fresh value is the second guard: a handle that is shown once is fresh itself. It counts where a
/// device forgets what it has shown, as one that was restored from a copy.
#[test]
fn without_the_holders_fresh_value_a_device_that_forgets_answers_a_replay() {
    let without = Protocol { has_holder_fresh: false, ..WITH_ROBUST_CIPHER };
    check_holds(without, None);
    let trace = [
        "holder 0 shows handle 0 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 0 with a value of the intruder",
        "holder 0 answers PROVE of gate 0",
        "holder 0 shows handle 0 with N_H of holder 0 1 for N_R of tap 0",
        "holder 0 answers PROVE of gate 0",
    ];
    let forgets = Protocol { marks: false, ..without };
    check_falls_overlooking(forgets, EPOCHS, Some(SHOWING), HOLDER, &trace);
    // With the fresh value even such a device answers each gate once.
    check_holds(Protocol { marks: false, ..WHOLE }, Some(SHOWING));
}

#[test]
fn a_handle_that_is_not_marked_links_two_taps() {
    let trace = ["holder 0 shows handle 0 with N_H of holder 0 0 for N_R of tap 0"];
    check_falls(Protocol { marks: false, ..WHOLE }, CITY, SHOWING, &trace);
}

/// Scope and epoch are bound three times: by an epoch key of their own, in what is derived from it, and in T.
#[test]
fn only_without_all_three_a_handle_of_another_epoch_is_taken() {
    check_holds(Protocol { has_context: false, ..WHOLE }, None);
    check_holds(Protocol { has_context_in_transcript: false, ..WHOLE }, None);
    check_holds(Protocol { has_context: false, has_context_in_transcript: false, ..WHOLE }, None);
    let one_key = Protocol { has_key_per_context: false, ..WHOLE };
    // One key for all epochs is lost with any of them.
    let trace = ["gate 0 (tap 0) is shown handle 0 with a value of the intruder"];
    check_falls(one_key, CITY, SECRECY, &trace);
    let without = Protocol { has_context: false, has_context_in_transcript: false, ..one_key };
    let trace = [
        "holder 0 shows handle 0 with N_H of holder 0 0 for N_R of tap 1",
        "gate 1 (tap 1) is shown handle 0 with N_H of holder 0 0",
        "holder 0 answers PROVE of gate 1",
    ];
    check_falls(without, EPOCHS, HOLDER, &trace);
}

#[test]
fn without_the_versions_in_t_one_can_be_taken_away() {
    let trace = [
        "holder 0 shows handle 0 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 0 with N_H of holder 0 0 and versions cut",
        "holder 0 answers PROVE of gate 0",
    ];
    check_falls(Protocol { has_versions: false, ..WHOLE }, VERSIONS, HOLDER, &trace);
}

/// PROVE and its answer have different lengths, so that nothing can be reflected; but they would share a nonce.
#[test]
fn one_key_for_both_directions_seals_two_things_under_one_nonce() {
    let one_key = Protocol { has_key_per_direction: false, ..WHOLE };
    let trace = [
        "holder 0 shows handle 1 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 1 with N_H of holder 0 0",
        "holder 0 answers PROVE of gate 0",
    ];
    check_falls(one_key, CITY, SECRECY, &trace);
    let without_lengths =
        Protocol { has_key_per_direction: false, checks_length: false, ..WITH_ROBUST_CIPHER };
    let reflected = [
        "gate 0 (tap 0) is shown handle 0 with a value of the intruder",
        "gate 0 (tap 0) accepts gate 0",
    ];
    check_falls(without_lengths, CITY, GATE, &reflected);
    check_holds(Protocol { has_key_per_direction: false, ..WITH_ROBUST_CIPHER }, None);
}

#[test]
fn a_holder_that_answers_before_prove_answers_anybody() {
    let trace = ["holder 0 shows handle 1 with N_H of holder 0 0 for N_R of tap 0"];
    check_falls(Protocol { has_prove: false, ..WHOLE }, CITY, HOLDER, &trace);
}

#[test]
fn a_direction_that_does_not_count_seals_two_things_under_one_nonce() {
    let trace = [
        "holder 0 shows handle 1 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 1 with N_H of holder 0 0",
        "holder 0 answers PROVE of gate 0",
        "gate 0 (tap 0) accepts standing of holder 0 0",
    ];
    check_falls(Protocol { counts: false, ..WHOLE }, COUNTED, SECRECY, &trace);
}

/// Each message of a direction has its own length, which does what the check of the counter does: either alone holds.
#[test]
fn without_counter_and_length_prove_is_taken_for_commit() {
    check_holds(Protocol { checks_counter: false, ..WHOLE }, None);
    check_holds(Protocol { checks_length: false, ..WHOLE }, None);
    let protocol = Protocol { checks_counter: false, checks_length: false, ..WHOLE };
    let trace = [
        "holder 0 shows handle 1 with N_H of holder 0 0 for N_R of tap 0",
        "gate 0 (tap 0) is shown handle 1 with N_H of holder 0 0",
        "holder 0 answers PROVE of gate 0",
        "holder 0 writes gate 0",
    ];
    check_falls(protocol, COUNTED, WRITING, &trace);
}
