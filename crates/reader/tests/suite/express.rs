//! The express tap at a gate: what it takes, when it asks for more, and what it does when a card is torn away.

use std::collections::VecDeque;

use core::time::Duration;
use credential::crypto::P256Secret;
use presentation::express::handle::{Content, HANDLE_BYTES, Handle, Index, TapKey};
use presentation::express::holder::{Gate as Gatekeeper, Hands, HolderEnd, Pocket, PocketError};
use presentation::express::holder::{Shown, Standing};
use presentation::express::reader::{Counted, HandleOpener, KeysInMemory, Presence};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::{COMMIT, OPEN, PROVE};
use presentation::express::{Context, ScopeId, Transport, class_tag, list_tag, product_tag};
use presentation::profile::Profile;
use reader::bundle::Bundle;
use reader::decision::Reason;
use reader::engine::{Input, Output};
use reader::journal::{Outcome, Tapped};
use reader::table::Closed;
use reader::taps::{TapPolicy, Taps};

use crate::city::{CRYPTO, City, GATE, GATE_C, STATUS_URI, VAULT, hours, key, noon, place};
use crate::gate::{Gate, Seen};

fn epoch() -> u32 {
    u32::try_from(noon().unix_seconds() / 86_400).unwrap()
}

fn context(epoch: u32) -> Context {
    let zone = "B".parse().unwrap();
    Context { scope: ScopeId::new(CRYPTO, &"transit".parse().unwrap(), Some(&zone)), epoch }
}

fn keys(epoch: u32) -> ScopeKeys {
    ScopeKeys::derive(CRYPTO, &[7; 32], context(epoch))
}

fn content(number: u16) -> Content {
    Content {
        needs_presence: false,
        is_counted: false,
        product: product_tag(CRYPTO, "ticket"),
        class: Some(class_tag(CRYPTO, "first")),
        status: Index { list: list_tag(CRYPTO, STATUS_URI), index: 0 },
        not_before: epoch() * 86_400,
        not_after: epoch() * 86_400 + 86_399,
        number,
    }
}

/// A card with handles.
#[derive(Clone)]
struct Card {
    handles: VecDeque<(Handle, TapKey)>,
    taps: u32,
    presence: Presence,
    counted: Counted,
    /// The instruction at which it is pulled away: before it is carried out, or after.
    torn: Option<(u8, bool)>,
    /// A bundle that comes to the gate before the answer to this instruction.
    news: Option<(u8, Vec<u8>)>,
}

impl Card {
    fn new(contents: impl IntoIterator<Item = Content>) -> Self {
        let keys = keys(epoch());
        let seal = |content: Content| {
            keys.seal(CRYPTO, &content, [u8::try_from(content.number).unwrap(); 12])
        };
        let handles = contents.into_iter().map(seal).collect();
        let counted = Counted { sequence: 0, value: 2, mark: [0; 4] };
        Self { handles, taps: 0, presence: Presence::None, counted, torn: None, news: None }
    }
}

impl Pocket for Card {
    fn show(&mut self, _: Context) -> Result<Option<Shown>, PocketError> {
        let shown = self.handles.pop_front();
        Ok(shown.map(|(handle, tap_key)| Shown { handle, tap_key, pass: 0 }))
    }

    fn used(&mut self, _: &Shown, _: Gatekeeper) -> Result<Standing, PocketError> {
        self.taps += 1;
        let Self { taps, presence, counted, .. } = *self;
        Ok(Standing { taps, presence, has_mail: false, counted })
    }

    fn write(&mut self, _: &Shown, next: Counted) -> Result<(), PocketError> {
        self.counted = next;
        Ok(())
    }
}

/// One tap of `card`; what the gate says, and how many commands it sent.
fn tap(gate: &mut Gate, card: &mut Card, door: &str, secret: P256Secret) -> (Vec<Seen>, usize) {
    gate.seen.clear();
    let now = noon();
    let keys = [keys(epoch())];
    let opener = KeysInMemory { crypto: CRYPTO, keys: &keys };
    let mut end = HolderEnd::new(Transport::Nfc);
    let mut commands = 0;
    gate.engine.handle(CRYPTO, now, Input::Tap { door: place(door), secret });
    while let Some(output) = gate.engine.poll_output() {
        match output {
            Output::Command(command) => {
                commands += 1;
                let news = card.news.take_if(|(it, _)| command.get(1) == Some(it));
                if let Some((_, bundle)) = news {
                    gate.give(Input::Bundle(&bundle));
                }
                let torn = card.torn.filter(|(instruction, _)| command.get(1) == Some(instruction));
                let is_here = torn.is_none_or(|(_, is_after)| is_after);
                let mut answer = Vec::new();
                if is_here {
                    let entropy = [u8::try_from(commands).unwrap(); HANDLE_BYTES + 16];
                    let mut hands = Hands { crypto: CRYPTO, pocket: card, entropy };
                    answer = end.handle(&mut hands, &command).as_bytes().to_vec();
                }
                let input = match torn {
                    Some(_) => Input::LinkLost,
                    None => Input::Response { bytes: &answer, took: Duration::ZERO },
                };
                gate.engine.handle(CRYPTO, now, input);
            }
            Output::OpenHandle { context, handle } => {
                let opened = opener.open(context, &handle);
                gate.engine.handle(CRYPTO, now, Input::HandleOpened(opened));
            }
            Output::Record(_) if gate.disk_full => {
                gate.engine.handle(CRYPTO, now, Input::RecordFailed);
            }
            Output::Record(record) => {
                gate.journal.push(record);
                gate.engine.handle(CRYPTO, now, Input::Recorded);
            }
            Output::Unlock { .. } => gate.seen.push(Seen::Unlocked),
            Output::Refused { reason, .. } => gate.seen.push(Seen::Refused(reason)),
            other => panic!("{other:?}"),
        }
    }
    (gate.seen.clone(), commands)
}

/// Doors that always ask for the express tap first.
fn express_only() -> Taps {
    let express = TapPolicy { stronger_per_mille: 0, ..Taps::default().low };
    Taps { low: express, normal: express, high: express }
}

fn ready(city: &City, taps: Taps) -> Gate {
    let mut gate = Gate::new(city);
    gate.give(Input::Bundle(&city.signed(&Bundle { taps, ..city.bundle(1) })));
    gate.give(Input::StatusList(&city.status_list(hours(1))));
    gate.engine.hold_epoch_keys(vec![context(epoch())]);
    assert_eq!(gate.rejected, [""; 0]);
    gate
}

/// A gate of `config` with the keys of the epoch.
pub(crate) fn ready_with(city: &City, config: reader::engine::Config) -> Gate {
    let mut gate = Gate::with(config);
    gate.give(Input::Bundle(&city.signed(&Bundle { taps: express_only(), ..city.bundle(1) })));
    gate.give(Input::StatusList(&city.status_list(hours(1))));
    gate.engine.hold_epoch_keys(vec![context(epoch())]);
    gate
}

/// A tap with a card that has a good handle and nothing else.
pub(crate) fn tap_with_handle(gate: &mut Gate) -> Vec<Seen> {
    tap(gate, &mut Card::new([content(0)]), GATE, key(1)).0
}

fn check(contents: Content, expected: Seen) {
    let city = City::new();
    let mut gate = ready(&city, express_only());
    let mut card = Card::new([contents, content(9)]);
    assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [expected], "{contents:?}");
    // Control, and the next tap works.
    assert_eq!(tap(&mut gate, &mut card, GATE, key(2)).0, [Seen::Unlocked]);
}

fn refused(reason: Reason) -> Seen {
    Seen::Refused(reason)
}

#[test]
fn an_express_tap_opens_with_two_commands_after_select_and_is_recorded() {
    let city = City::new();
    let mut gate = ready(&city, express_only());
    let mut card = Card::new([content(0)]);
    assert_eq!(tap(&mut gate, &mut card, GATE, key(1)), (vec![Seen::Unlocked], 3));
    let events = gate.events();
    assert_eq!((events.len(), events[0].outcome), (1, Outcome::Granted { rule: 0 }));
    let Some(Tapped::Express(handle)) = events[0].tap else { panic!("{:?}", events[0].tap) };
    assert_eq!(
        (handle.context, handle.status, handle.number),
        (context(epoch()), content(0).status, 0)
    );
    let pass = events[0].pass.clone().unwrap();
    assert_eq!((pass.product.as_str(), pass.device), ("ticket", handle.pass_trace(CRYPTO)));
}

#[test]
fn what_a_handle_says_is_judged_like_a_pass() {
    let with = |change: &dyn Fn(&mut Content)| {
        let mut content = content(1);
        change(&mut content);
        content
    };
    let now = u32::try_from(noon().unix_seconds()).unwrap();
    check(with(&|it| it.product = [0; 8]), refused(Reason::Closed(Closed::Product)));
    check(with(&|it| it.not_before = now + 1), refused(Reason::NotYetValid));
    check(with(&|it| it.not_before = now), Seen::Unlocked);
    check(with(&|it| it.not_after = now - 1), refused(Reason::Expired));
    check(with(&|it| it.not_after = now), Seen::Unlocked);
    check(with(&|it| it.status.index = 1), refused(Reason::Revoked));
    check(with(&|it| it.status.index = 2), refused(Reason::Suspended));
    check(with(&|it| it.status.index = 64), refused(Reason::StatusUnknown));
    // A list that is not here: the gate is of low class, whose policy accepts that.
    check(with(&|it| it.status.list = [0; 4]), Seen::Unlocked);
    check(with(&|it| it.needs_presence = true), refused(Reason::NoPresence));
}

#[test]
fn a_present_owner_is_believed_to_be_present() {
    let city = City::new();
    let mut gate = ready(&city, express_only());
    let mut card = Card::new([Content { needs_presence: true, ..content(0) }]);
    card.presence = Presence::Unlocked;
    assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [Seen::Unlocked]);
}

#[test]
fn doors_of_another_zone_and_of_high_class_ask_for_a_stronger_profile() {
    let city = City::new();
    let mut gate = ready(&city, express_only());
    for door in [GATE_C, VAULT] {
        let mut card = Card::new([content(0)]);
        let (seen, _) = tap(&mut gate, &mut card, door, key(1));
        assert_ne!(seen, [Seen::Unlocked], "{door}");
        assert_eq!(card.handles.len(), 1, "{door} did not even ask for a handle");
    }
}

#[test]
fn one_lot_in_so_many_goes_by_a_stronger_profile() {
    let city = City::new();
    let all = TapPolicy { stronger_per_mille: 1_000, ..Taps::default().low };
    let half = TapPolicy { stronger_per_mille: 500, ..Taps::default().low };
    for (policy, expected) in [(all, 0..=0), (half, 60..=140)] {
        let mut gate = ready(&city, Taps { low: policy, ..express_only() });
        let mut asked = 0;
        for number in 0..200_u8 {
            let mut card = Card::new([content(number.into())]);
            tap(&mut gate, &mut card, GATE, key(1));
            asked += 1 - card.handles.len();
        }
        assert!(expected.contains(&asked), "{asked} of 200 were express");
    }
}

#[test]
fn a_copied_handle_is_found_where_it_was_used() {
    let city = City::new();
    let mut gate = ready(&city, express_only());
    let mut card = Card::new([content(0), content(1)]);
    let mut copy = card.clone();
    assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [Seen::Unlocked]);
    assert_eq!(tap(&mut gate, &mut copy, GATE, key(2)).0, [refused(Reason::HandleCopied)]);
    assert_eq!(tap(&mut gate, &mut copy, GATE, key(3)).0, [Seen::Unlocked], "its own second one");
    // The copies tell themselves apart by what they count.
    assert_eq!(tap(&mut gate, &mut card, GATE, key(4)).0, [refused(Reason::HandleCopied)]);
}

#[test]
fn a_copied_handle_is_found_after_a_restart() {
    let city = City::new();
    for is_recalled in [true, false] {
        let mut gate = ready(&city, express_only());
        let mut card = Card::new([content(0), content(1)]);
        let mut copy = card.clone();
        assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [Seen::Unlocked]);
        let mut woken = gate.restart(&city);
        woken.engine.hold_epoch_keys(vec![context(epoch())]);
        if is_recalled {
            let records = [&b"no record"[..]].into_iter();
            woken.engine.recall(records.chain(gate.journal.iter().map(Vec::as_slice)));
        }
        // The control: a gate that forgot takes it.
        let expected = if is_recalled { refused(Reason::HandleCopied) } else { Seen::Unlocked };
        assert_eq!(tap(&mut woken, &mut copy, GATE, key(2)).0, [expected]);
        assert_eq!(tap(&mut woken, &mut copy, GATE, key(3)).0, [Seen::Unlocked], "its own");
    }
}

#[test]
fn a_bundle_that_raises_a_door_binds_a_tap_under_way() {
    let city = City::new();
    let raised = TapPolicy { least: Profile::Standard, ..express_only().low };
    let raised = Taps { low: raised, ..express_only() };
    for (taps, expected) in
        [(express_only(), Seen::Unlocked), (raised, refused(Reason::ProfileTooLow))]
    {
        for instruction in [OPEN, PROVE] {
            let mut gate = ready(&city, express_only());
            let mut card = Card::new([Content { is_counted: true, ..content(0) }]);
            card.news = Some((instruction, city.signed(&Bundle { taps, ..city.bundle(2) })));
            assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [expected]);
            assert_eq!(gate.engine.watermark().bundle_epoch, 2);
            let is_paid = card.counted.value == 1;
            assert_eq!(
                is_paid,
                expected == Seen::Unlocked,
                "nobody pays for a door that stays closed"
            );
        }
    }
}

#[test]
fn counted_uses_are_used_up() {
    let city = City::new();
    let mut gate = ready(&city, express_only());
    let counted = |number| Content { is_counted: true, ..content(number) };
    let mut card = Card::new((0..3).map(counted));
    assert_eq!(tap(&mut gate, &mut card, GATE, key(1)), (vec![Seen::Unlocked], 4));
    assert_eq!(tap(&mut gate, &mut card, GATE, key(2)), (vec![Seen::Unlocked], 4));
    assert_eq!((card.counted.sequence, card.counted.value), (2, 0));
    assert_eq!(tap(&mut gate, &mut card, GATE, key(3)).0, [refused(Reason::UsesSpent)]);
}

#[test]
fn a_card_torn_away_while_it_writes_pays_once_and_passes_once() {
    for is_written in [false, true] {
        let city = City::new();
        let mut gate = ready(&city, express_only());
        let counted = |number| Content { is_counted: true, ..content(number) };
        let mut card = Card::new((0..4).map(counted));
        card.torn = Some((COMMIT, is_written));
        assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [refused(Reason::Unratified)]);
        assert_eq!(card.counted.value, if is_written { 1 } else { 2 });
        card.torn = None;
        assert_eq!(tap(&mut gate, &mut card, GATE, key(2)).0, [Seen::Unlocked]);
        assert_eq!(
            card.counted.value, 1,
            "paid once, whether it was written the first time or not"
        );
        assert_eq!(tap(&mut gate, &mut card, GATE, key(3)).0, [Seen::Unlocked]);
        assert_eq!(card.counted.value, 0, "the next ride costs again");
        let outcomes: Vec<Outcome> = gate.events().iter().map(|event| event.outcome).collect();
        assert_eq!(outcomes[0], Outcome::Refused(Reason::Unratified));
    }
}

#[test]
fn a_card_torn_away_before_costs_nothing() {
    let city = City::new();
    for is_after in [false, true] {
        let mut gate = ready(&city, express_only());
        let mut card = Card::new([content(0), content(1)]);
        card.torn = Some((OPEN, is_after));
        assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [refused(Reason::Interrupted)]);
        card.torn = None;
        assert_eq!(tap(&mut gate, &mut card, GATE, key(2)).0, [Seen::Unlocked]);
    }
}

#[test]
fn the_fresh_value_never_repeats_though_the_generator_does() {
    let city = City::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut gate = ready(&city, express_only());
    for _ in 0..50 {
        assert!(seen.insert(fresh(&mut gate)));
    }
    // After a restart the host has counted one more; the journal is the same.
    let config = reader::engine::Config { restarts: 2, ..city.config() };
    let mut woken = gate.restart(&city);
    let memory = reader::engine::Memory::decode(&gate.memory).unwrap();
    let head = *gate.engine.journal_head();
    woken.engine = reader::engine::Engine::new(CRYPTO, config, memory, head, 0);
    woken.engine.hold_epoch_keys(vec![context(epoch())]);
    for _ in 0..50 {
        assert!(seen.insert(fresh(&mut woken)));
    }
    // Control: without the count of restarts the values come again.
    let mut again = ready(&city, express_only());
    assert!(!seen.insert(fresh(&mut again)));
}

/// The fresh value of a tap with the same entropy each time, that ends without a record.
fn fresh(gate: &mut Gate) -> Vec<u8> {
    let now = noon();
    gate.engine.handle(CRYPTO, now, Input::Tap { door: place(GATE), secret: key(1) });
    let mut end = HolderEnd::new(Transport::Nfc);
    let mut fresh = Vec::new();
    while let Some(output) = gate.engine.poll_output() {
        if let Output::Command(command) = output {
            let entropy = [0; HANDLE_BYTES + 16];
            let mut card = Card::new([]);
            let mut hands = Hands { crypto: CRYPTO, pocket: &mut card, entropy };
            let answer = end.handle(&mut hands, &command).as_bytes().to_vec();
            if command[1] == OPEN {
                fresh = command[19..35].to_vec();
                gate.engine.handle(CRYPTO, now, Input::LinkLost);
            } else {
                let input = Input::Response { bytes: &answer, took: Duration::ZERO };
                gate.engine.handle(CRYPTO, now, input);
            }
        }
    }
    assert_eq!(fresh.len(), 16);
    fresh
}

#[test]
fn an_epoch_key_that_is_too_old_too_new_or_of_another_line_opens_nothing() {
    let city = City::new();
    let other = |zone: &str, operator: &str| {
        let scope = ScopeId::new(CRYPTO, &operator.parse().unwrap(), zone.parse().ok().as_ref());
        Context { scope, epoch: epoch() }
    };
    let wrong =
        [context(epoch() - 1), context(epoch() + 1), other("C", "transit"), other("B", "tram")];
    // A gate that has no key but this asks for no handle.
    for held in wrong {
        let mut gate = ready(&city, express_only());
        gate.engine.hold_epoch_keys(vec![held]);
        let mut card = Card::new([content(0)]);
        assert_ne!(tap(&mut gate, &mut card, GATE, key(1)).0, [Seen::Unlocked], "{held:?}");
        assert_eq!(card.handles.len(), 1, "{held:?}");
        gate.engine.hold_epoch_keys(vec![held, context(epoch())]);
        assert_eq!(tap(&mut gate, &mut card, GATE, key(2)).0, [Seen::Unlocked], "control");
    }
    // A handle that was sealed by such a key, with the key that belongs to it.
    for (master, of) in
        wrong.map(|of| ([7; 32], of)).into_iter().chain([([8; 32], context(epoch()))])
    {
        let keys = ScopeKeys::derive(CRYPTO, &master, of);
        let mut gate = ready(&city, express_only());
        let mut card = Card::new([content(1)]);
        card.handles.push_front(keys.seal(CRYPTO, &content(0), [9; 12]));
        assert_ne!(tap(&mut gate, &mut card, GATE, key(1)).0, [Seen::Unlocked], "{of:?}");
        assert_eq!(gate.events().iter().filter(|event| event.tap.is_some()).count(), 0);
        assert_eq!(
            tap(&mut gate, &mut card, GATE, key(2)).0,
            [Seen::Unlocked],
            "the next tap works"
        );
    }
}

#[test]
fn a_holder_without_express_is_asked_for_the_identity_profile() {
    let city = City::new();
    let mut gate = ready(&city, express_only());
    assert_eq!(gate.tap(&crate::taps::phone(&city), GATE), Seen::Unlocked);
}

#[test]
fn nobody_pays_for_a_door_that_cannot_be_recorded() {
    let city = City::new();
    let counted = |number| Content { is_counted: true, ..content(number) };
    // The journal has no room but what is kept for ways out.
    let config = reader::engine::Config { journal_records_max: 64, ..city.config() };
    let mut gate = ready(&city, express_only());
    let memory = reader::engine::Memory::decode(&gate.memory).unwrap();
    let head = *gate.engine.journal_head();
    gate.engine = reader::engine::Engine::new(CRYPTO, config, memory, head, 0);
    gate.engine.hold_epoch_keys(vec![context(epoch())]);
    let mut card = Card::new((0..2).map(counted));
    assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [refused(Reason::JournalFull)]);
    assert_eq!(card.counted.value, 2, "nothing was paid");
}

#[test]
fn what_was_paid_and_not_recorded_opens_the_door_once() {
    let city = City::new();
    let counted = |number| Content { is_counted: true, ..content(number) };
    let mut gate = ready(&city, express_only());
    let mut card = Card::new((0..4).map(counted));
    gate.disk_full = true;
    assert_eq!(tap(&mut gate, &mut card, GATE, key(1)).0, [refused(Reason::JournalFull)]);
    assert_eq!(card.counted.value, 1);
    gate.disk_full = false;
    assert_eq!(tap(&mut gate, &mut card, GATE, key(2)).0, [Seen::Unlocked]);
    assert_eq!(card.counted.value, 1, "it was paid before");
    assert_eq!(tap(&mut gate, &mut card, GATE, key(3)).0, [Seen::Unlocked]);
    assert_eq!(card.counted.value, 0, "the control");
}
