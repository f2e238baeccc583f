//! Transcripts: what was changed, moved or left out is found and named.

use keys::ceremony::approval::ApprovalError;
use keys::ceremony::transcript::TRANSCRIPT_BYTES_MAX;
use keys::ceremony::transcript::error::{TranscriptError, What};
use keys::ceremony::transcript::verify::{Expected, verify};
use keys::ceremony::transcript::wire::Transcript;
use keys::custody::KeyHandle;

use super::hall::Held;

fn judge(bytes: &[u8]) -> Result<(), TranscriptError> {
    verify(bytes, &Expected::default()).map(drop)
}

/// The transcript after `change`, written in its canonical form but not chained anew.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Transcript)) -> Result<(), TranscriptError> {
    let mut transcript: Transcript = serde_json::from_slice(bytes).unwrap();
    change(&mut transcript);
    let mut bytes = serde_json::to_vec_pretty(&transcript).unwrap();
    bytes.push(b'\n');
    judge(&bytes)
}

#[test]
fn no_byte_of_a_transcript_can_be_changed_added_or_cut_off() {
    let bytes = Held::new().transcript();
    assert_eq!(judge(&bytes), Ok(()));
    let mut changed = bytes.clone();
    for position in 0..bytes.len() {
        let bit = if position % 2 == 0 { 0x01 } else { 0x20 };
        changed[position] ^= bit;
        assert!(judge(&changed).is_err(), "byte {position} of {}", bytes.len());
        changed[position] ^= bit;
    }
    assert_eq!(judge(&changed), Ok(()));
    changed.push(b'\n');
    assert!(judge(&changed).is_err());
    for length in (0..bytes.len()).step_by(97) {
        assert!(judge(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_step_that_was_changed_removed_or_moved_is_named() {
    let bytes = Held::new().transcript();
    let step = |number, what| Err(TranscriptError::Step { number, what });
    assert_eq!(changed(&bytes, |_| {}), Ok(()));
    let outcome = changed(&bytes, |it| it.steps[4].content.shown.push('!'));
    assert_eq!(outcome, step(5, What::Digest));
    let outcome = changed(&bytes, |it| drop(it.steps.remove(5)));
    assert_eq!(outcome, step(6, What::Number { found: 7 }));
    let outcome = changed(&bytes, |it| it.steps.swap(8, 9));
    assert_eq!(outcome, step(9, What::Number { found: 10 }));
    let outcome = changed(&bytes, |it| {
        it.steps.remove(5);
        (1..).zip(&mut it.steps).for_each(|(number, step)| step.content.number = number);
    });
    assert_eq!(outcome, step(6, What::Previous));
    let outcome = changed(&bytes, |it| drop(it.steps.pop()));
    assert_eq!(outcome, Err(TranscriptError::Missing { expected: "closed" }));
    assert_eq!(changed(&bytes, |it| it.steps.clear()), Err(TranscriptError::Empty));
    assert!(changed(&bytes, |it| it.head.rehearsal = true).is_err());
    let outcome = changed(&bytes, |it| it.head.format.push('0'));
    assert!(matches!(outcome, Err(TranscriptError::Format { .. })));
}

#[test]
fn a_signature_that_is_missing_moved_or_doubled_is_named() {
    let held = Held::new();
    let bytes = held.transcript();
    let names: Vec<_> = held.verified.custodians.iter().map(|holder| holder.name.clone()).collect();
    let unsigned = |place: usize| Err(TranscriptError::Unsigned { name: names[place].clone() });
    assert_eq!(changed(&bytes, |it| drop(it.approvals.pop())), unsigned(2));
    assert_eq!(changed(&bytes, |it| drop(it.approvals.remove(0))), unsigned(0));
    assert_eq!(changed(&bytes, |it| it.approvals.swap(0, 1)), unsigned(0));
    let outcome = changed(&bytes, |it| {
        let more = it.approvals[0].clone();
        it.approvals.push(more);
    });
    assert_eq!(outcome, Err(TranscriptError::TooManyApprovals));
    // Ada's signature under Bo's name.
    let outcome = changed(&bytes, |it| it.approvals[1].approval = it.approvals[0].approval.clone());
    let twice = ApprovalError::Twice { position: 2, name: names[0].clone() };
    assert_eq!(outcome, Err(TranscriptError::Approval(twice)));
    let outcome = changed(&bytes, |it| {
        let (first, rest) = it.approvals.split_at_mut(1);
        std::mem::swap(&mut first[0].approval, &mut rest[0].approval);
    });
    assert!(matches!(outcome, Err(TranscriptError::Approval(_))), "{outcome:?}");
}

#[test]
fn the_signatures_of_another_ceremony_do_not_count() {
    let (held, other) = (Held::new(), Held::new());
    let foreign: Transcript = serde_json::from_slice(&other.transcript()).unwrap();
    let outcome = changed(&held.transcript(), |it| it.approvals = foreign.approvals);
    assert!(matches!(
        outcome,
        Err(TranscriptError::Approval(ApprovalError::UnknownKey { position: 1, .. }))
    ));
    // Chained anew with the same keys it is a document of its own: they signed another one.
    let outcome = changed(&held.transcript(), |it| it.steps = foreign.steps);
    assert!(outcome.is_err());
}

#[test]
fn keys_that_custodians_wrote_down_must_have_signed() {
    let held = Held::new();
    let bytes = held.transcript();
    let known = held.verified.custodians[1].staff_key;
    let expected = Expected { custodians: vec![known] };
    assert!(verify(&bytes, &expected).is_ok());
    let stranger = KeyHandle::from_bytes([1; 16]);
    let expected = Expected { custodians: vec![known, stranger] };
    let error = verify(&bytes, &expected).unwrap_err();
    assert_eq!(error, TranscriptError::NotSignedBy { key: stranger });
}

#[test]
fn what_is_no_transcript_is_told() {
    assert_eq!(judge(b"{}"), Err(TranscriptError::Json { line: 1 }));
    assert_eq!(judge(&vec![b' '; TRANSCRIPT_BYTES_MAX + 1]), Err(TranscriptError::Size));
    assert_ne!(judge(&vec![b' '; TRANSCRIPT_BYTES_MAX]), Err(TranscriptError::Size));
    let bytes = Held::new().transcript();
    let compact: Transcript = serde_json::from_slice(&bytes).unwrap();
    let compact = serde_json::to_vec(&compact).unwrap();
    assert_eq!(judge(&compact), Err(TranscriptError::Form { line: 1 }));
}
