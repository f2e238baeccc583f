//! The express tap in the wallet: handles that are fetched, shown once and never twice, whatever
//! breaks between, and one device that answers for two applications.

use std::collections::BTreeSet;

use base64ct::{Base64UrlUnpadded, Encoding};
use credential::crypto::PublicKey;
use credential::delivery::Scope;
use credential::rights::{Recurrence, Rights, Window};
use presentation::apdu::{LinkLimits, Response, StatusWord};
use presentation::express::handle::{Content, HANDLE_BYTES, Handle, HandleError, Index};
use presentation::express::issuing::{Batch, Statement, Wish};
use presentation::express::reader::{
    Counted, KeysInMemory, OpenError, Proven, ReaderEnd, ReaderError, Step, Terms,
};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::Apdu;
use presentation::express::{Context, SHOWN_FOR_NOTHING_MAX, ScopeId, Transport};
use serde_json::{Value, json};
use vocabulary::id::ReaderId;
use wallet::express::epoch_at;
use wallet::express::fetch::{Fetch, FetchError, Short, WANTED, shortages};
use wallet::secure_element::{Presence, PresenceRule, SecureElement, SecureElementError};
use wallet::state::State;
use wallet::tap::{EXPRESS_COMMANDS_MAX, Hands, Input, Output, Tap, TapError};

use crate::city::{CRYPTO, City, key, noon, ticket};
use crate::phone::Phone;

const HOST_KEY: [u8; 32] = [1; 32];

fn keys_of(scope: &Scope, epoch: u32) -> ScopeKeys {
    let scope = ScopeId::new(CRYPTO, &scope.operator, scope.zone.as_ref());
    ScopeKeys::derive(CRYPTO, &[9; 32], Context { scope, epoch })
}

/// What the key service makes of a request, after it has looked at it as the real one does.
fn served(phone: &Phone, short: &Short, body: &[u8], number: u16) -> Vec<u8> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let bytes = |name: &str| Base64UrlUnpadded::decode_vec(body[name].as_str().unwrap()).unwrap();
    let statement = Statement::parse(&bytes("statement")).unwrap();
    let pass = &phone.state.passes[usize::try_from(short.pass).unwrap()];
    let device = pass.documents[0].key;
    let device: PublicKey = phone.element.public_key(device).unwrap();
    let (issuer_signed, epoch) = (&bytes("pass")[..], body["epoch"].as_u64().unwrap());
    let wish = Wish { issuer_signed, scope: &short.scope, epoch };
    assert!(statement.holds(CRYPTO, &device, &wish, noon().unix_seconds()));
    assert_eq!(body["zone"], short.scope.zone.as_ref().unwrap().as_str());
    let keys = keys_of(&short.scope, short.epoch);
    let handles = (number..number + short.count).map(|number| {
        let content = Content {
            needs_presence: false,
            is_counted: true,
            product: [1; 8],
            class: None,
            status: Index { list: [2; 4], index: 7 },
            not_before: 0,
            not_after: u32::MAX,
            number,
        };
        let [high, low] = number.to_be_bytes();
        keys.seal(CRYPTO, &content, [high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    });
    let (scope, epoch) = (short.scope.clone(), short.epoch.into());
    let batch = Batch { scope, epoch, handles: handles.collect() };
    let answer = batch.seal(CRYPTO, &key(201), &statement.point).unwrap();
    let answer = Base64UrlUnpadded::encode_string(&answer.encode());
    serde_json::to_vec(&json!({ "count": short.count, "answer": answer })).unwrap()
}

fn fetch(phone: &mut Phone, short: &Short, number: u16) -> Result<usize, FetchError> {
    let (state, element) = (&phone.state, &mut phone.element);
    let begun = Fetch::begin(CRYPTO, element, state, short.clone(), [210; 32], noon())?;
    let (fetch, body) = begun;
    let answer = served(phone, short, &body, number);
    fetch.finish(CRYPTO, &mut phone.element, &mut phone.state, &answer)
}

/// A phone with a ticket of ten uses and handles for all of its zones.
fn ready() -> (Phone, Short) {
    let city = City::new();
    let mut phone = Phone::empty(&city);
    let rights = Rights { uses_max: Some(10), holder_only: false, ..ticket() };
    phone.add_with(&city, "Ticket", (1, PresenceRule::NotNeeded), &rights);
    let shorts = shortages(&phone.state, &phone.element, noon());
    assert_eq!(shorts.len(), 2 * rights.zones.len());
    for short in &shorts {
        assert_eq!(fetch(&mut phone, short, 0), Ok(WANTED.into()));
    }
    assert_eq!(shortages(&phone.state, &phone.element, noon()), []);
    let today = shorts.into_iter().find(|short| short.epoch == epoch_at(noon())).unwrap();
    (phone, today)
}

/// A gate that taps the phone whose state is kept by `keep`.
struct Gate<'k> {
    keys: ScopeKeys,
    tap: Tap,
    keep: &'k mut dyn FnMut(&State) -> bool,
    taps: u8,
    handle: Option<[u8; HANDLE_BYTES]>,
}

impl<'k> Gate<'k> {
    fn new(short: &Short, keep: &'k mut dyn FnMut(&State) -> bool) -> Self {
        Self { keys: keys_of(&short.scope, short.epoch), tap: tap(), keep, taps: 0, handle: None }
    }

    fn send(&mut self, phone: &mut Phone, command: &[u8]) -> Vec<u8> {
        self.taps = self.taps.wrapping_add(1);
        let fresh = self.taps;
        let mut entropy = || Some([fresh; 32]);
        let (state, element) = (&mut phone.state, &phone.element);
        let (keep, entropy) = (&mut *self.keep, &mut entropy);
        let mut hands = Hands { crypto: CRYPTO, state, element, keep, entropy };
        self.tap.handle(&mut hands, noon(), Input::Command(command));
        let Some(Output::Response(answer)) = self.tap.poll_output() else { panic!("no answer") };
        if let Some(handle) = answer.first_chunk().filter(|_| command.get(1) == Some(&0x50)) {
            self.handle = Some(*handle);
        }
        answer
    }

    /// A whole tap, with a counted use that is written where `is_written`.
    fn tap(&mut self, phone: &mut Phone, is_written: bool) -> Result<Proven, ReaderError> {
        let context = self.keys.context();
        let (transport, fresh) = (Transport::Nfc, [self.taps; 16]);
        let reader = ReaderId::from_bytes([5; 16]);
        let terms = Terms { transport, context, fresh, reader, at: 1_000 };
        let mut end = ReaderEnd::new(terms);
        let keys = [self.keys.clone()];
        let opener = KeysInMemory { crypto: CRYPTO, keys: &keys };
        let mut command = Apdu::select();
        loop {
            let answer = self.send(phone, command.as_bytes());
            command = match end.handle(CRYPTO, &opener, &answer)? {
                Step::Command(command) => command,
                Step::Opened(_) => end.prove(CRYPTO)?,
                Step::Proven(proven) if is_written => {
                    let Counted { sequence, value, .. } = proven.counted;
                    let next = Counted { sequence: sequence + 1, value: value - 1, mark: [8; 4] };
                    let command = end.commit(CRYPTO, next)?;
                    let answer = self.send(phone, command.as_bytes());
                    assert!(matches!(end.handle(CRYPTO, &opener, &answer)?, Step::Committed));
                    return Ok(proven);
                }
                Step::Proven(proven) => return Ok(proven),
                Step::Committed => panic!("nothing was written"),
            };
        }
    }
}

fn tap() -> Tap {
    Tap::new(CRYPTO, noon(), key(150), LinkLimits::EXTENDED).unwrap()
}

#[test]
fn handles_are_fetched_shown_once_and_counted() {
    let (mut phone, short) = ready();
    let mut keep = |_: &State| true;
    let mut seen = BTreeSet::new();
    for number in 1..=WANTED {
        let mut gate = Gate::new(&short, &mut keep);
        let proven = gate.tap(&mut phone, true).unwrap();
        assert_eq!(proven.taps, u32::from(number));
        let spent = u32::from(number) - 1;
        if number <= 10 {
            assert_eq!((proven.counted.sequence, proven.counted.value), (spent, 10 - spent));
        }
        assert!(seen.insert(proven.content.number), "a handle was shown twice");
        if number == 10 {
            break;
        }
    }
    let entry = phone.state.log.last().unwrap();
    assert_eq!((entry.pass.as_str(), entry.outcome.as_str()), ("Ticket", "express tap"));
    let zone = short.scope.zone.as_ref().unwrap().as_str();
    assert!(entry.with.starts_with("reader_") && entry.with.contains(zone), "{}", entry.with);
    // Half and more are gone: the wallet is short again, and the numbers go on.
    let [more] = &shortages(&phone.state, &phone.element, noon())[..] else { panic!("one") };
    assert_eq!((more.count, more.epoch), (10, short.epoch));
    assert_eq!(fetch(&mut phone, &more.clone(), 16), Ok(10));
    assert_eq!(shortages(&phone.state, &phone.element, noon()), []);
}

#[test]
fn a_device_answers_for_both_applications_and_says_how_a_tap_ended() {
    let (mut phone, short) = ready();
    let mut keep = |_: &State| true;
    let mut gate = Gate::new(&short, &mut keep);
    // The express application is not selected, and then another is.
    let away = gate.send(&mut phone, &[0x80, 0x50, 0, 0, 0]);
    assert_ne!(away, [0x90, 0x00]);
    let mut gate = Gate::new(&short, gate.keep);
    let ndef = [0x00, 0xA4, 0x04, 0x00, 7, 0xD2, 0x76, 0x00, 0x00, 0x85, 0x01, 0x01, 0];
    assert_eq!(gate.send(&mut phone, &ndef), [0x90, 0x00], "control: NDEF");
    gate.tap(&mut phone, false).unwrap();
    assert_eq!(gate.send(&mut phone, &ndef), [0x90, 0x00]);
    let open = [&[0x80, 0x50, 0, 0, 30][..], &[0; 30], &[0]].concat();
    let refused = gate.send(&mut phone, &open);
    assert_eq!(refused.len(), 2, "OPEN is for the express application alone");
    let mut gate = Gate::new(&short, gate.keep);
    gate.tap(&mut phone, false).unwrap();
    let entries = phone.state.log.len();
    let mut entropy = || Some([1; 32]);
    let (state, element, keep) = (&mut phone.state, &phone.element, &mut *gate.keep);
    let mut hands = Hands { crypto: CRYPTO, state, element, keep, entropy: &mut entropy };
    gate.tap.handle(&mut hands, noon(), Input::LinkLost);
    let Some(Output::Finished(Ok(shown))) = gate.tap.poll_output() else { panic!() };
    assert_eq!((shown.pass.as_str(), shown.elements.len()), ("Ticket", 0));
    assert_eq!(phone.state.log.len(), entries, "it stood in the log already");
}

#[test]
fn a_reader_that_proves_nothing_gets_eight_handles_and_then_noise() {
    let (mut phone, short) = ready();
    let left = |phone: &Phone| -> usize {
        let express = &phone.state.express;
        express.left().filter(|left| left.epoch == short.epoch).map(|left| left.handles).sum()
    };
    let before = left(&phone);
    let mut keep = |_: &State| true;
    let context = keys_of(&short.scope, short.epoch).context();
    let mut seen = BTreeSet::new();
    for tap in 0..12 {
        let mut gate = Gate::new(&short, &mut keep);
        gate.send(&mut phone, Apdu::select().as_bytes());
        let open =
            [&[0x80, 0x50, 0, 0, 30, 1, 0][..], &context.to_bytes(), &[tap; 16], &[0]].concat();
        let answer = gate.send(&mut phone, &open);
        assert_eq!(answer.len(), 78, "an answer looks the same with and without a handle");
        seen.insert(gate.handle.unwrap());
    }
    assert_eq!(before - left(&phone), usize::from(SHOWN_FOR_NOTHING_MAX));
    let mut gate = Gate::new(&short, &mut keep);
    let refused = gate.tap(&mut phone, false).unwrap_err();
    assert_eq!(refused, ReaderError::Open(OpenError::Handle(HandleError::Sealed)));
    // A tap of another profile makes it good.
    phone.state.express.other_tap_succeeded();
    let mut gate = Gate::new(&short, &mut keep);
    assert!(gate.tap(&mut phone, false).is_ok());
}

/// The phone loses its power at every write and at every answer: from what was durable then, it goes
/// on, and no handle is seen twice. The control is a phone that answers before it has written.
#[test]
fn no_handle_is_shown_twice_whatever_is_lost() {
    assert_eq!(doubles_after_losses(true), 0);
    assert!(doubles_after_losses(false) > 0, "control: written too late");
}

fn doubles_after_losses(is_written_first: bool) -> usize {
    let (phone, short) = ready();
    let start = phone.state.seal(CRYPTO, &HOST_KEY, [0; 12]);
    let mut doubles = 0;
    // At which write the power goes: before it (even numbers) or after it.
    for moment in 0..14 {
        let mut disk = start.clone();
        let mut seen = BTreeSet::new();
        let mut moments = 0;
        for life in 0..2 {
            let state = State::open(CRYPTO, &HOST_KEY, &disk).unwrap();
            let mut phone = Phone { state, ..ready().0 };
            let mut is_dead = false;
            let mut keep = |state: &State| {
                for written in [false, true] {
                    if life == 0 && moments == moment {
                        is_dead = true;
                    }
                    moments += 1;
                    if !is_dead && written && is_written_first {
                        disk = state.seal(CRYPTO, &HOST_KEY, [0; 12]);
                    }
                }
                !is_dead
            };
            for _ in 0..3 {
                let mut gate = Gate::new(&short, &mut keep);
                // How it ends does not matter: what counts is what has left.
                let _ = gate.tap(&mut phone, true);
                let left = gate.handle.filter(|it| gate.keys.open(CRYPTO, &Handle(*it)).is_ok());
                if left.is_some_and(|handle| !seen.insert(handle)) {
                    doubles += 1;
                }
            }
        }
    }
    doubles
}

#[test]
fn a_pocket_that_cannot_store_shows_nothing_and_loses_nothing() {
    let (mut phone, short) = ready();
    let count = |phone: &Phone| phone.state.express.left().map(|left| left.handles).sum::<usize>();
    let (before, entries) = (count(&phone), phone.state.log.len());
    let mut full = |_: &State| false;
    let refused = Gate::new(&short, &mut full).tap(&mut phone, true).unwrap_err();
    assert_eq!(refused, ReaderError::Status(StatusWord::FAILURE));
    assert_eq!((count(&phone), phone.state.log.len()), (before, entries));
    // The disk is full when the gate has proved itself.
    let mut writes = 0;
    let mut once = |_: &State| {
        writes += 1;
        writes == 1
    };
    let refused = Gate::new(&short, &mut once).tap(&mut phone, true).unwrap_err();
    assert_eq!(refused, ReaderError::Status(StatusWord::FAILURE));
    assert_eq!((count(&phone), phone.state.log.len()), (before - 1, entries));
    let mut keep = |_: &State| true;
    let proven = Gate::new(&short, &mut keep).tap(&mut phone, true).unwrap();
    assert_eq!(proven.taps, 1, "what was not answered was not counted");
}

#[test]
fn what_was_switched_off_and_on_counts_its_taps_on() {
    let (mut phone, short) = ready();
    let mut keep = |_: &State| true;
    for expected in [1, 2] {
        let proven = Gate::new(&short, &mut keep).tap(&mut phone, false).unwrap();
        assert_eq!(proven.taps, expected);
    }
    phone.state.express.switch(None, false);
    assert!(phone.state.express.left().all(|left| left.handles == 0));
    assert_eq!(phone.state.express.danger_tap_keys().count(), 0);
    let sealed = phone.state.seal(CRYPTO, &HOST_KEY, [0; 12]);
    phone.state = State::open(CRYPTO, &HOST_KEY, &sealed).unwrap();
    phone.state.express.switch(None, true);
    let shorts = shortages(&phone.state, &phone.element, noon());
    let again = shorts.iter().find(|it| (&it.scope, it.epoch) == (&short.scope, short.epoch));
    assert_eq!(fetch(&mut phone, again.unwrap(), 16), Ok(WANTED.into()));
    let proven = Gate::new(&short, &mut keep).tap(&mut phone, false).unwrap();
    assert_eq!(proven.taps, 3, "else the city would see two devices");
}

#[test]
fn a_newer_pass_does_not_stand_before_one_that_opens() {
    let (mut phone, short) = ready();
    let city = City::new();
    let once = Rights { uses_max: Some(1), holder_only: false, ..ticket() };
    phone.add_with(&city, "Once", (1, PresenceRule::NotNeeded), &once);
    let night = "FREQ=DAILY".parse::<Recurrence>().unwrap();
    let recurrence = Some(night.within(Window::new(0, 60).unwrap()));
    let by_night = Rights { uses_max: None, holder_only: false, recurrence, ..ticket() };
    phone.add_with(&city, "Night", (1, PresenceRule::NotNeeded), &by_night);
    for more in shortages(&phone.state, &phone.element, noon()) {
        assert_eq!(fetch(&mut phone, &more, 0), Ok(WANTED.into()));
    }
    let mut keep = |_: &State| true;
    let mut tap = |phone: &mut Phone, is_written| {
        Gate::new(&short, &mut keep).tap(phone, is_written).unwrap();
        phone.state.log.last().unwrap().pass.clone()
    };
    // The night has the newest pass; the next newest is used up by one ride.
    assert_eq!(tap(&mut phone, true), "Once");
    assert_eq!(tap(&mut phone, true), "Ticket");
    // A gate may owe the last ride of what is used up: it is shown where nothing else is.
    phone.state.express.switch(Some(0), false);
    assert_eq!(tap(&mut phone, false), "Once");
    phone.state.express.switch(Some(1), false);
    let refused = Gate::new(&short, &mut |_: &State| true).tap(&mut phone, false).unwrap_err();
    assert_eq!(refused, ReaderError::Open(OpenError::Handle(HandleError::Sealed)), "noise");
}

#[test]
fn what_its_owner_keeps_out_has_no_handles() {
    let (mut phone, short) = ready();
    phone.state.express.switch(Some(0), false);
    assert_eq!(phone.state.express.left().count(), 0);
    assert_eq!(shortages(&phone.state, &phone.element, noon()), []);
    let sealed = phone.state.seal(CRYPTO, &HOST_KEY, [0; 12]);
    let mut opened = State::open(CRYPTO, &HOST_KEY, &sealed).unwrap();
    assert!(!opened.express.is_on(0) && opened.express.is_on(1));
    opened.express.switch(None, true);
    assert!(opened.express.is_on(0));
    opened.express.switch(None, false);
    assert!(!opened.express.is_on(0) && !opened.express.is_on(1));
    phone.state.express.switch(Some(0), true);
    assert!(shortages(&phone.state, &phone.element, noon()).contains(&short), "control");
    // Whose owner confirms each use, or is alone allowed to, is not asked for.
    let city = City::new();
    for (rule, holder_only, expected) in [
        (PresenceRule::NotNeeded, false, true),
        (PresenceRule::Needed, false, false),
        (PresenceRule::NotNeeded, true, false),
    ] {
        let mut phone = Phone::empty(&city);
        let rights = credential::rights::Rights { holder_only, ..ticket() };
        phone.add_with(&city, "Ticket", (1, rule), &rights);
        assert_eq!(!shortages(&phone.state, &phone.element, noon()).is_empty(), expected);
    }
}

#[test]
fn an_answer_for_another_device_or_request_changes_nothing() {
    let (mut phone, short) = ready();
    let before: Vec<usize> = phone.state.express.left().map(|left| left.handles).collect();
    let begin = |phone: &mut Phone, short: &Short, entropy| {
        let (state, element) = (&phone.state, &mut phone.element);
        Fetch::begin(CRYPTO, element, state, short.clone(), entropy, noon()).unwrap()
    };
    let (first, body) = begin(&mut phone, &short, [211; 32]);
    let (second, _) = begin(&mut phone, &short, [212; 32]);
    let answer = served(&phone, &short, &body, 16);
    let other = second.finish(CRYPTO, &mut phone.element, &mut phone.state, &answer);
    assert_eq!(other, Err(FetchError::Answer));
    let tomorrow = Short { epoch: short.epoch + 1, ..short.clone() };
    let (third, body) = begin(&mut phone, &tomorrow, [213; 32]);
    let wrong = served(&phone, &short, &body, 16);
    let wrong = third.finish(CRYPTO, &mut phone.element, &mut phone.state, &wrong);
    assert_eq!(wrong, Err(FetchError::Answer), "handles of another day");
    let (fourth, _) = begin(&mut phone, &short, [214; 32]);
    let none = fourth.finish(CRYPTO, &mut phone.element, &mut phone.state, b"{}");
    assert_eq!(none, Err(FetchError::Answer));
    let after: Vec<usize> = phone.state.express.left().map(|left| left.handles).collect();
    assert_eq!(before, after);
    let kept = first.finish(CRYPTO, &mut phone.element, &mut phone.state, &answer);
    assert_eq!(kept, Ok(WANTED.into()), "control");
    // The keys of the requests are gone.
    let (fifth, _) = begin(&mut phone, &short, [215; 32]);
    fifth.give_up(&mut phone.element);
    let key = wallet::secure_element::DeviceKey(2);
    let gone = phone.element.agree(CRYPTO, key, &[4; 65]).err();
    assert_eq!(gone, Some(SecureElementError::UnknownKey));
    let signed = phone.element.sign(CRYPTO, key, b"m", Presence::Confirmed).err();
    assert_eq!(signed, Some(SecureElementError::UnknownKey));
}

#[test]
fn old_days_are_forgotten_and_a_session_has_an_end() {
    let (mut phone, short) = ready();
    let days = |phone: &Phone| phone.state.express.left().count();
    let before = days(&phone);
    phone.state.express.prune(noon());
    assert_eq!(days(&phone), before, "control");
    phone.state.express.prune(noon().saturating_add(core::time::Duration::from_secs(3 * 86_400)));
    assert_eq!(days(&phone), 0);
    let mut keep = |_: &State| true;
    let mut gate = Gate::new(&short, &mut keep);
    for _ in 0..EXPRESS_COMMANDS_MAX {
        let answer = gate.send(&mut phone, Apdu::select().as_bytes());
        assert_eq!(Response::parse(&answer).unwrap().status, StatusWord::OK);
    }
    let answer = gate.send(&mut phone, Apdu::select().as_bytes());
    assert_eq!(Response::parse(&answer).unwrap().status, StatusWord::CONDITIONS);
    let Some(Output::Finished(Err(error))) = gate.tap.poll_output() else { panic!() };
    assert!(matches!(error, TapError::Session(_) | TapError::Unfinished));
}
