//! Reconciliation: honest taps give no finding in whatever order their journals come in; each cheat gives one.

use std::time::Duration;

use issuance::change::Change;
use issuance::document::Standing;
use issuance::handles::{Draw, HandleIndex, Tap, epoch_at};
use issuance::reconciliation::{Evidence, Finding, Kind, Reconciled, Told, reconcile_taps};
use policy::action::Action;
use policy::actor::{Actor, Resource};
use policy::authorize::{Permit, authorize};
use proptest::prelude::*;
use vocabulary::code::ProductCode;
use vocabulary::id::{PassId, ReaderId};

use crate::city::{NOW, at, operator, staff};

const GIVEN: u16 = 40;

fn permit() -> Permit {
    let reader = ReaderId::from_bytes([1; 16]);
    let actor = Actor::reader(operator(), reader);
    authorize(&actor, Action::JournalUpload, Resource::reader(operator(), reader)).unwrap()
}

fn index(draws: &[(u16, u8)]) -> HandleIndex {
    HandleIndex {
        operator: operator(),
        pass: PassId::from_bytes([2; 16]),
        zone: "B".parse().unwrap(),
        epoch: epoch_at(at(NOW)),
        status_list: 3,
        status_index: 77,
        standing: Standing::Valid,
        given: GIVEN,
        draws: draws
            .iter()
            .map(|(first, device)| Draw { first: *first, device: [*device; 32] })
            .collect(),
        seen: Vec::new(),
        version: 1,
    }
}

fn product(code: &str) -> ProductCode {
    code.parse().unwrap()
}

/// A tap at the gate `reader`, `minutes` after noon.
fn tap(number: u16, taps: u32, reader: u8, sequence: u64, minutes: u64) -> Tap {
    let at = at(NOW).saturating_add(Duration::from_secs(minutes * 60));
    Tap { number, taps, reader: ReaderId::from_bytes([reader; 16]), sequence, at }
}

/// Reconciles `taps` one journal after another.
fn reconcile(index: &HandleIndex, taps: &[Tap]) -> (HandleIndex, Vec<Finding>) {
    let (mut index, mut findings) = (index.clone(), Vec::new());
    let (day, permit) = (product("day"), permit());
    for tap in taps {
        let told = Told {
            epoch: index.epoch,
            drawn: Some((&index, &day)),
            product: Some(&day),
            tap: *tap,
        };
        let Reconciled { changes, findings: found } =
            reconcile_taps(&permit, &[told], epoch_at(at(NOW))).unwrap();
        findings.extend(found);
        if let Some(Change::HandleIndex(next)) = changes.into_iter().next() {
            assert_eq!(next.version, index.version + 1);
            index = next;
        }
    }
    (index, findings)
}

fn evidence(findings: &[Finding]) -> Vec<Evidence> {
    findings.iter().map(|finding| finding.evidence).collect()
}

#[test]
fn a_handle_that_was_never_given_out_is_forged() {
    let drawn = index(&[(0, 1)]);
    let today = epoch_at(at(NOW));
    let day = product("day");
    let of = |index: Option<&HandleIndex>, epoch, named: &ProductCode, tap| {
        let drawn = index.map(|index| (index, &day));
        let told = Told { epoch, drawn, product: Some(named), tap };
        let done = reconcile_taps(&permit(), &[told], today).unwrap();
        assert!(done.changes.is_empty() || done.findings.is_empty(), "nothing forged is kept");
        done.findings
    };
    assert!(of(Some(&drawn), today, &day, tap(0, 1, 1, 0, 0)).is_empty(), "control");
    let never = of(None, today, &day, tap(0, 1, 1, 0, 0));
    assert_eq!((never[0].kind, never[0].evidence), (Kind::Forged, Evidence::NeverDrawn));
    assert_eq!((never[0].pass, never[0].other), (None, None));
    let more = of(Some(&drawn), today, &day, tap(GIVEN, 1, 1, 0, 0));
    assert_eq!((more[0].kind, more[0].evidence), (Kind::Forged, Evidence::NeverGiven));
    assert_eq!(more[0].pass, Some(drawn.pass));
    let other = of(Some(&drawn), today, &product("month"), tap(0, 1, 1, 0, 0));
    assert_eq!((other[0].kind, other[0].evidence), (Kind::Forged, Evidence::OtherProduct));
    // What the city has forgotten accuses nobody.
    assert_eq!(of(None, today - 8, &day, tap(0, 1, 1, 0, 0))[0].kind, Kind::Forged);
    let late = of(None, today - 9, &day, tap(0, 1, 1, 0, 0));
    assert_eq!((late[0].kind, late[0].evidence), (Kind::TooLate, Evidence::Forgotten));
}

#[test]
fn a_handle_that_is_used_twice_names_both_taps() {
    let (first, second) = (tap(5, 1, 1, 10, 0), tap(5, 1, 2, 3, 90));
    let (after, findings) = reconcile(&index(&[(0, 1)]), &[first, second]);
    assert_eq!((findings[0].kind, findings[0].evidence), (Kind::Copied, Evidence::SameNumber));
    assert_eq!((findings[0].tap, findings[0].other), (second, Some(first)));
    assert_eq!((findings.len(), after.seen.len()), (1, 1));
}

#[test]
fn counts_that_cannot_be_of_one_device_name_both_taps() {
    let drawn = index(&[(0, 1)]);
    for (what, taps, expected) in [
        ("the same count", [tap(0, 3, 1, 0, 0), tap(1, 3, 2, 0, 5)], Evidence::SameCount),
        ("back at one gate", [tap(0, 3, 1, 0, 0), tap(1, 2, 1, 1, 0)], Evidence::CountWentBack),
    ] {
        let (_, findings) = reconcile(&drawn, &taps);
        assert_eq!(evidence(&findings), [expected], "{what}");
        assert_eq!(findings[0].kind, Kind::Cloned);
        let both = [findings[0].other.unwrap(), findings[0].tap];
        assert_eq!(both, taps, "{what}");
        // Whichever journal comes first.
        let turned = [taps[1], taps[0]];
        assert_eq!(evidence(&reconcile(&drawn, &turned).1), [expected], "{what}, turned");
    }
    for count in [0, u32::from(GIVEN) + 1] {
        let (_, findings) = reconcile(&drawn, &[tap(0, count, 1, 0, 0)]);
        assert_eq!(evidence(&findings), [Evidence::CountOutOfRange]);
    }
    // Clocks of two gates say nothing, and a pass may move to another device, which counts anew.
    assert!(reconcile(&drawn, &[tap(0, 3, 1, 0, 0), tap(1, 2, 2, 0, 600)]).1.is_empty());
    let unknown = index(&[]);
    assert!(reconcile(&unknown, &[tap(0, 1, 1, 0, 0), tap(16, 1, 1, 1, 5)]).1.is_empty());
    let moved = index(&[(0, 1), (16, 2)]);
    let taps = [tap(0, 1, 1, 0, 0), tap(16, 1, 1, 1, 5)];
    assert!(reconcile(&moved, &taps).1.is_empty());
    assert_eq!(evidence(&reconcile(&drawn, &taps).1), [Evidence::SameCount], "control");
}

#[test]
fn what_was_seen_is_bounded_and_a_piece_is_taken_at_once() {
    let drawn = index(&[(0, 1)]);
    let day = product("day");
    let taps: Vec<Tap> = (0..1_000).map(|n| tap(n % 64, u32::from(n), 1, n.into(), 0)).collect();
    let told: Vec<Told<'_>> = taps
        .iter()
        .map(|tap| Told {
            epoch: drawn.epoch,
            drawn: Some((&drawn, &day)),
            product: Some(&day),
            tap: *tap,
        })
        .collect();
    let Reconciled { changes, findings } =
        reconcile_taps(&permit(), &told, epoch_at(at(NOW))).unwrap();
    let [Change::HandleIndex(next)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((next.seen.len(), next.version), (usize::from(GIVEN), 2));
    // All but the first forty, and of those the one that counts from nothing.
    assert_eq!(findings.len(), 961);
    assert!(reconcile_taps(&staff(Action::PassList), &told, 0).is_err(), "another permit");
}

/// An honest day: which numbers are used, in which order, at which gate, and how far each clock is off.
fn honest() -> impl Strategy<Value = Vec<Tap>> {
    let numbers = Just((0..GIVEN).collect::<Vec<u16>>()).prop_shuffle();
    let taps = proptest::collection::vec((0..4_usize, 1..60_u64), 1..usize::from(GIVEN));
    let clocks = proptest::collection::vec(0..1_000_000_u64, 4);
    (numbers, taps, clocks).prop_map(|(numbers, taps, clocks)| {
        let (mut seconds, mut sequences) = (0, [0; 4]);
        let honest = numbers.into_iter().zip(taps).zip(1..);
        honest
            .map(|((number, (gate, pause)), count)| {
                seconds += pause * 60;
                sequences[gate] += 1;
                let clock = Duration::from_secs(seconds + clocks[gate]);
                Tap {
                    number,
                    taps: count,
                    reader: ReaderId::from_bytes([u8::try_from(gate).unwrap(); 16]),
                    sequence: sequences[gate],
                    at: at(NOW).saturating_add(clock),
                }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn honest_taps_give_no_finding_in_any_order(
        (day, order) in honest().prop_flat_map(|day| (Just(day.clone()), Just(day).prop_shuffle())),
    ) {
        let (after, findings) = reconcile(&index(&[(0, 1)]), &order);
        prop_assert_eq!(&findings, &[]);
        prop_assert_eq!(after.seen.len(), day.len());
    }

    /// Two devices with the same handles, from some moment on: each goes on by itself.
    #[test]
    fn copies_are_found_in_any_order(
        day in honest(), from in any::<prop::sample::Index>(), order in any::<u64>(),
    ) {
        let from = from.index(day.len());
        let clone = day[from..].iter().map(|tap| Tap {
            reader: ReaderId::from_bytes([9; 16]),
            ..*tap
        });
        let mut all: Vec<Tap> = day.iter().copied().chain(clone).collect();
        let length = u64::try_from(all.len()).unwrap();
        all.rotate_left(usize::try_from(order % length).unwrap());
        let (_, findings) = reconcile(&index(&[(0, 1)]), &all);
        prop_assert!(findings.iter().all(|it| it.kind != Kind::Forged && it.other.is_some()));
        let copied = findings.iter().filter(|it| it.kind == Kind::Copied).count();
        prop_assert_eq!(copied, day.len() - from, "one for each tap of the copy");
    }

    /// The copy takes the handles from the other end: no number comes twice, and the first count does.
    #[test]
    fn copies_that_use_other_handles_are_found(day in honest()) {
        prop_assume!(day.len() < usize::from(GIVEN));
        let used: Vec<u16> = day.iter().map(|tap| tap.number).collect();
        let other = (0..GIVEN).find(|number| !used.contains(number)).unwrap();
        let clone = Tap { number: other, reader: ReaderId::from_bytes([9; 16]), ..day[0] };
        let all: Vec<Tap> = day.iter().copied().chain([clone]).collect();
        let (_, findings) = reconcile(&index(&[(0, 1)]), &all);
        prop_assert_eq!(evidence(&findings), [Evidence::SameCount]);
    }
}
