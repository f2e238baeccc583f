//! The express tap: both ends together, and every APDU at its wrong length, time and place.

use credential::crypto::Crypto;
use credential::rustcrypto::RustCrypto;
use presentation::apdu::StatusWord;
use presentation::express::handle::{Content, HANDLE_BYTES, Handle, Index, TapKey};
use presentation::express::holder::{Gate, Hands, HolderEnd, Pocket, PocketError, Shown, Standing};
use presentation::express::reader::{
    Counted, HandleOpener, KeysInMemory, OpenError, Presence, Proven, ReaderEnd, ReaderError, Step,
    Terms,
};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::Apdu;
use presentation::express::{
    Context, SHOWN_FOR_NOTHING_MAX, ScopeId, Transport, class_tag, list_tag, product_tag,
};
use vocabulary::id::ReaderId;

pub(crate) const EPOCH: u32 = 20_787;
const NOON: u32 = EPOCH * 86_400 + 43_200;

pub(crate) fn context(epoch: u32) -> Context {
    let operator = "metro".parse().unwrap();
    let zone = "a".parse().unwrap();
    Context { scope: ScopeId::new(&RustCrypto, &operator, Some(&zone)), epoch }
}

pub(crate) fn keys(epoch: u32) -> ScopeKeys {
    ScopeKeys::derive(&RustCrypto, &[7; 32], context(epoch))
}

pub(crate) fn content(number: u16) -> Content {
    Content {
        needs_presence: false,
        is_counted: true,
        product: product_tag(&RustCrypto, "month-pass"),
        class: Some(class_tag(&RustCrypto, "first")),
        status: Index { list: list_tag(&RustCrypto, "https://city.example/status/1"), index: 4711 },
        not_before: EPOCH * 86_400,
        not_after: EPOCH * 86_400 + 86_399,
        number,
    }
}

/// A device with one pass, in memory; each change can be made to fail.
pub(crate) struct TestPocket {
    pub(crate) fresh: Vec<(Handle, TapKey)>,
    pub(crate) context: Context,
    pub(crate) for_nothing: u8,
    pub(crate) taps: u32,
    pub(crate) counted: Counted,
    pub(crate) gates: Vec<Gate>,
    pub(crate) fails: bool,
}

impl TestPocket {
    pub(crate) fn with_handles(count: u16) -> Self {
        let keys = keys(EPOCH);
        let seal = |number: u16| {
            let nonce = [u8::try_from(number % 251).unwrap(); 12];
            keys.seal(&RustCrypto, &content(number), nonce)
        };
        Self {
            fresh: (0..count).rev().map(seal).collect(),
            context: keys.context(),
            for_nothing: 0,
            taps: 0,
            counted: Counted { sequence: 3, value: 10, mark: [0; 4] },
            gates: Vec::new(),
            fails: false,
        }
    }
}

impl Pocket for TestPocket {
    fn show(&mut self, context: Context) -> Result<Option<Shown>, PocketError> {
        if self.fails {
            return Err(PocketError::Storage);
        }
        if context != self.context || self.for_nothing >= SHOWN_FOR_NOTHING_MAX {
            return Ok(None);
        }
        self.for_nothing += 1;
        let shown = self.fresh.pop();
        Ok(shown.map(|(handle, tap_key)| Shown { handle, tap_key, pass: 0 }))
    }

    fn used(&mut self, _: &Shown, gate: Gate) -> Result<Standing, PocketError> {
        if self.fails {
            return Err(PocketError::Storage);
        }
        self.for_nothing = 0;
        self.taps += 1;
        self.gates.push(gate);
        let (taps, counted) = (self.taps, self.counted);
        Ok(Standing { taps, presence: Presence::Unlocked, has_mail: true, counted })
    }

    fn write(&mut self, _: &Shown, next: Counted) -> Result<(), PocketError> {
        if self.fails {
            return Err(PocketError::Storage);
        }
        if next.sequence != self.counted.sequence + 1 {
            return Err(PocketError::Sequence);
        }
        self.counted = next;
        Ok(())
    }
}

pub(crate) fn terms(fresh: u8) -> Terms {
    Terms {
        transport: Transport::Nfc,
        context: context(EPOCH),
        fresh: [fresh; 16],
        reader: ReaderId::from_bytes([9; 16]),
        at: NOON,
    }
}

/// A device and its answers.
pub(crate) struct Device {
    pub(crate) end: HolderEnd,
    pub(crate) pocket: TestPocket,
    pub(crate) drawn: u8,
}

impl Device {
    pub(crate) fn new(handles: u16) -> Self {
        let pocket = TestPocket::with_handles(handles);
        Self { end: HolderEnd::new(Transport::Nfc), pocket, drawn: 0 }
    }

    pub(crate) fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        self.drawn = self.drawn.wrapping_add(1);
        let entropy = [self.drawn; HANDLE_BYTES + 16];
        let mut hands = Hands { crypto: &RustCrypto, pocket: &mut self.pocket, entropy };
        self.end.handle(&mut hands, command).as_bytes().to_vec()
    }
}

/// Commands with their answers.
pub(crate) type Log = Vec<(Vec<u8>, Vec<u8>)>;

/// A whole tap, and what went over the link.
pub(crate) fn tap(
    device: &mut Device,
    terms: Terms,
    next: Option<Counted>,
) -> (Result<Proven, ReaderError>, Log) {
    let keys = [keys(EPOCH), keys(EPOCH + 1)];
    let opener = KeysInMemory { crypto: &RustCrypto, keys: &keys };
    drive(device, terms, next, &opener)
}

pub(crate) fn drive(
    device: &mut Device,
    terms: Terms,
    next: Option<Counted>,
    opener: &dyn HandleOpener,
) -> (Result<Proven, ReaderError>, Log) {
    let mut gate = ReaderEnd::new(terms);
    let mut command = Apdu::select();
    let mut log = Vec::new();
    let mut outcome = None;
    loop {
        let answer = device.answer(command.as_bytes());
        log.push((command.as_bytes().to_vec(), answer.clone()));
        command = match gate.handle(&RustCrypto, opener, &answer) {
            Ok(Step::Command(command)) => command,
            Ok(Step::Opened(_)) => gate.prove(&RustCrypto).unwrap(),
            Ok(Step::Proven(proven)) => match next {
                Some(next) => {
                    outcome = Some(proven);
                    gate.commit(&RustCrypto, next).unwrap()
                }
                None => return (Ok(proven), log),
            },
            Ok(Step::Committed) => return (outcome.ok_or(ReaderError::Unexpected), log),
            Err(error) => return (Err(error), log),
        };
    }
}

#[test]
fn a_tap_proves_both_ends_and_says_what_the_handle_says() {
    let mut device = Device::new(2);
    let (outcome, log) = tap(&mut device, terms(1), None);
    let proven = outcome.unwrap();
    assert_eq!(proven.content, content(0));
    assert_eq!((proven.taps, proven.presence, proven.has_mail), (1, Presence::Unlocked, true));
    let gate = Gate { context: context(EPOCH), reader: ReaderId::from_bytes([9; 16]), at: NOON };
    assert_eq!(device.pocket.gates, [gate]);
    assert_eq!(log.len(), 3, "SELECT and two more");
    let bytes: usize = log.iter().map(|(command, answer)| command.len() + answer.len()).sum();
    assert!(bytes <= 350, "{bytes} bytes on air");
}

#[test]
fn prepared_keys_open_what_keys_open() {
    for number in 0..20 {
        let (handle, _) = keys(EPOCH).seal(&RustCrypto, &content(number), [7; 12]);
        let mut forged = handle;
        forged.0[20] ^= 1;
        let prepared = keys(EPOCH).prepare(&RustCrypto);
        assert_eq!(prepared.context(), context(EPOCH));
        let of_bytes = |opened: Result<(Content, TapKey), _>| {
            opened.map(|(content, key)| (content, *key.danger_bytes()))
        };
        for handle in [&handle, &forged] {
            let expected = of_bytes(keys(EPOCH).open(&RustCrypto, handle));
            assert_eq!(of_bytes(prepared.open(handle)), expected);
        }
        let opener = vec![prepared];
        assert_eq!(opener.open(context(EPOCH + 1), &handle).unwrap_err(), OpenError::NoKey);
    }
}

#[test]
fn a_counted_use_is_written_back_in_a_third_command() {
    let mut device = Device::new(1);
    let next = Counted { sequence: 4, value: 9, mark: [1, 2, 3, 4] };
    let (outcome, log) = tap(&mut device, terms(1), Some(next));
    assert_eq!(outcome.unwrap().counted.value, 10);
    assert_eq!(device.pocket.counted, next);
    assert_eq!(log.len(), 4);
}

#[test]
fn a_state_that_does_not_follow_is_not_written() {
    for sequence in [0, 3, 5, u32::MAX] {
        let mut device = Device::new(2);
        let before = device.pocket.counted;
        let next = Counted { sequence, value: 9, mark: [0; 4] };
        let (outcome, _) = tap(&mut device, terms(1), Some(next));
        assert_eq!(outcome, Err(ReaderError::Status(StatusWord::CONDITIONS)), "{sequence}");
        assert_eq!(device.pocket.counted, before);
        assert!(tap(&mut device, terms(2), None).0.is_ok(), "the next tap works");
    }
}

#[test]
fn a_gate_without_the_key_of_the_epoch_learns_nothing() {
    let mut device = Device::new(1);
    let keys = [keys(EPOCH + 1)];
    let opener = KeysInMemory { crypto: &RustCrypto, keys: &keys };
    let (outcome, log) = drive(&mut device, terms(1), None, &opener);
    assert_eq!(outcome, Err(ReaderError::Open(OpenError::NoKey)));
    assert_eq!(log.len(), 2);
    assert_eq!(device.pocket.taps, 0);
}

#[test]
fn handles_are_shown_for_nothing_eight_times_and_no_more() {
    let mut device = Device::new(64);
    let open = open_command(&mut device, 1);
    for round in 0..20_u8 {
        let left = device.pocket.fresh.len();
        device.answer(Apdu::select().as_bytes());
        assert_eq!(device.answer(&open).len(), 78, "round {round}");
        let shown = left - device.pocket.fresh.len();
        assert_eq!(shown, usize::from(round < SHOWN_FOR_NOTHING_MAX - 1), "round {round}");
    }
    assert!(tap(&mut device, terms(2), None).0.is_err(), "express is closed to all");
}

/// The OPEN of a gate; the device has shown one handle for it.
fn open_command(device: &mut Device, fresh: u8) -> Vec<u8> {
    let (_, log) =
        drive(device, terms(fresh), None, &KeysInMemory { crypto: &RustCrypto, keys: &[] });
    log[1].0.clone()
}

#[test]
fn whatever_is_wrong_with_a_command_the_next_tap_works() {
    let mut device = Device::new(2);
    let (_, log) = tap(&mut device, terms(1), Some(Counted { sequence: 4, ..Counted::default() }));
    let commands: Vec<Vec<u8>> = log.into_iter().map(|(command, _)| command).collect();
    for (place, command) in commands.iter().enumerate() {
        for wrong in damaged(command) {
            let mut device = Device::new(3);
            for before in &commands[..place] {
                device.answer(before);
            }
            let answer = device.answer(&wrong);
            let is_status = answer.len() == 2 && answer != [0x90, 0x00];
            // Another fresh value, scope or epoch is a good command.
            let is_harmless =
                place == 1 && wrong.len() == command.len() && wrong[..7] == command[..7];
            assert!(is_status || is_harmless, "{wrong:02x?} answered {answer:02x?}");
            assert!(tap(&mut device, terms(2), None).0.is_ok(), "after {wrong:02x?}");
        }
    }
}

/// Truncated, extended, and with each byte changed.
fn damaged(command: &[u8]) -> Vec<Vec<u8>> {
    let truncated = (0..command.len()).map(|length| command[..length].to_vec());
    // Without Le it is still the command.
    let truncated = truncated.filter(|it| it.len() + 1 != command.len());
    let extended = core::iter::once([command, &[0]].concat());
    let changed = (0..command.len() - 1).map(|place| {
        let mut command = command.to_vec();
        command[place] ^= 0x20;
        command
    });
    truncated.chain(extended).chain(changed).collect()
}

#[test]
fn commands_out_of_turn_are_refused() {
    let mut device = Device::new(2);
    let (_, log) = tap(&mut device, terms(1), Some(Counted { sequence: 4, ..Counted::default() }));
    let command = |place: usize| log[place].0.clone();
    let (select, open, prove, commit) = (command(0), command(1), command(2), command(3));
    for order in [
        vec![&open],
        vec![&prove],
        vec![&commit],
        vec![&select, &prove],
        vec![&select, &commit],
        vec![&select, &open, &commit],
        vec![&select, &open, &prove],
        vec![&select, &open, &select, &prove],
    ] {
        let mut device = Device::new(3);
        device.drawn = 100;
        let last = order.into_iter().map(|command| device.answer(command)).last().unwrap();
        assert_eq!(last.len(), 2);
        assert_ne!(last, [0x90, 0x00]);
        assert!(tap(&mut device, terms(2), None).0.is_ok());
    }
}

#[test]
fn a_gate_takes_no_answer_that_was_changed_cut_or_made_longer() {
    let mut device = Device::new(1);
    let (_, log) = tap(&mut device, terms(1), Some(Counted { sequence: 4, ..Counted::default() }));
    let answers: Vec<Vec<u8>> = log.into_iter().map(|(_, answer)| answer).collect();
    for place in 0..answers.len() {
        for wrong in damaged(&answers[place]) {
            let keys = [keys(EPOCH)];
            let opener = KeysInMemory { crypto: &RustCrypto, keys: &keys };
            let mut gate = ReaderEnd::new(terms(1));
            let mut replay = answers.clone();
            replay[place].clone_from(&wrong);
            let mut outcome = Ok(());
            for answer in &replay {
                outcome = match gate.handle(&RustCrypto, &opener, answer) {
                    Ok(Step::Opened(_)) => gate.prove(&RustCrypto).map(|_| ()),
                    Ok(Step::Proven(_)) => {
                        let next = Counted { sequence: 4, ..Counted::default() };
                        gate.commit(&RustCrypto, next).map(|_| ())
                    }
                    Ok(_) => Ok(()),
                    Err(error) => Err(error),
                };
                if outcome.is_err() {
                    break;
                }
            }
            assert!(outcome.is_err(), "answer {place} as {wrong:02x?}");
        }
    }
}

#[test]
fn a_recording_is_good_for_its_own_fresh_value_alone() {
    let mut device = Device::new(1);
    let (_, log) = tap(&mut device, terms(1), None);
    let replay = |fresh: u8| {
        let keys = [keys(EPOCH)];
        let opener = KeysInMemory { crypto: &RustCrypto, keys: &keys };
        let mut gate = ReaderEnd::new(terms(fresh));
        let mut last = Err(ReaderError::Unexpected);
        for (_, answer) in &log {
            last = gate.handle(&RustCrypto, &opener, answer);
            if let Ok(Step::Opened(_)) = last {
                gate.prove(&RustCrypto).unwrap();
            }
        }
        last.map(|step| matches!(step, Step::Proven(_)))
    };
    assert_eq!(replay(2), Err(ReaderError::Proof));
    // Control: a gate whose generator repeats, and that does nothing about it, is fooled.
    assert_eq!(replay(1), Ok(true));
}

#[test]
fn none_of_ten_thousand_recordings_is_accepted() {
    crate::express_replay::check_recordings(10_000);
}

#[test]
fn a_storage_that_fails_is_told_and_nothing_is_lost() {
    let mut device = Device::new(2);
    device.pocket.fails = true;
    let (outcome, _) = tap(&mut device, terms(1), None);
    assert_eq!(outcome, Err(ReaderError::Status(StatusWord::FAILURE)));
    assert_eq!(device.pocket.fresh.len(), 2);
    device.pocket.fails = false;
    assert!(tap(&mut device, terms(2), None).0.is_ok());
}

#[test]
fn names_of_scopes_and_codes_have_one_tag_each() {
    let scope = |operator: &str, zone: Option<&str>| {
        let zone = zone.map(|zone| zone.parse().unwrap());
        ScopeId::new(&RustCrypto, &operator.parse().unwrap(), zone.as_ref())
    };
    assert_ne!(scope("metro", Some("a")), scope("metro", Some("b")));
    assert_ne!(scope("metro", None), scope("metro", Some("a")));
    let digest = RustCrypto.sha256(b"limen express scope 1\0metro\0a");
    assert_eq!(scope("metro", Some("a")).0, digest[..8]);
}
