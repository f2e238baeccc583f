//! What an express tap costs each end: answers are recorded once and given to the gate again, so that no time of the
//! device is counted as the gate's. Nothing here draws at random: costs do not depend on the bytes.

use std::hint::black_box;
use std::time::Duration;

use ::credential::crypto::Crypto;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use presentation::express::handle::{Content, HANDLE_BYTES, Handle, Index, PreparedKeys, TapKey};
use presentation::express::holder::{Gate, Hands, HolderEnd, Pocket, PocketError, Shown, Standing};
use presentation::express::reader::{Counted, Presence, ReaderEnd, ReaderError, Step, Terms};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::Apdu;
use presentation::express::{Context, FRESH_BYTES, ScopeId, Transport};
use vocabulary::id::ReaderId;

use super::measure::{Clock, Pair};
use super::profile::Profile;

/// How long a round of a measurement is.
const ROUND: Duration = Duration::from_millis(10);
const EPOCH: u32 = 20_787;

/// A tap without a counted use, as `limen tap bench` shows it.
pub(crate) fn measure(crypto: &dyn Crypto, clock: Clock) -> Result<Profile, ReaderError> {
    let city = City::new(crypto);
    let recording = city.record(crypto, 1)?;
    let mut bare = Bare::new();
    let reader = Pair::measure(clock, ROUND, || city.gate(crypto, &recording), || bare.run());
    let mut device = Device::of(&city, crypto, 1);
    let wallet = || device.play(crypto, &recording);
    let wallet = Pair::measure(clock, ROUND, wallet, || bare.run());
    let bytes = recording
        .exchanges
        .iter()
        .map(|(command, answer)| command.as_bytes().len() + answer.as_bytes().len());
    Ok(Profile {
        profile: "express",
        apdus: recording.exchanges.len(),
        bytes_on_air: bytes.sum(),
        reader_us: reader.job_ns / 1e3,
        wallet_us: wallet.job_ns / 1e3,
        bare_us: reader.baseline_ns / 1e3,
        reader_ratio: reader.ratio,
    })
}

/// A scope of gates.
pub(crate) struct City {
    keys: ScopeKeys,
    /// As a gate has them.
    prepared: Vec<PreparedKeys>,
    terms: Terms,
}

/// The commands and answers of one tap.
pub(crate) struct Recording {
    exchanges: Vec<(Apdu, Apdu)>,
}

impl City {
    pub(crate) fn new(crypto: &dyn Crypto) -> Self {
        let context = Context { scope: ScopeId([1; 8]), epoch: EPOCH };
        let keys = ScopeKeys::derive(crypto, &[7; 32], context);
        let prepared = vec![keys.prepare(crypto)];
        let terms = Terms {
            transport: Transport::Nfc,
            context,
            fresh: [2; FRESH_BYTES],
            reader: ReaderId::from_bytes([9; 16]),
            at: EPOCH * 86_400 + 43_200,
        };
        Self { keys, prepared, terms }
    }

    /// A tap of the rider with this number.
    pub(crate) fn record(&self, crypto: &dyn Crypto, rider: u32) -> Result<Recording, ReaderError> {
        let mut device = Device::of(self, crypto, rider);
        let mut gate = ReaderEnd::new(self.terms.clone());
        let mut command = Apdu::select();
        let mut exchanges = Vec::new();
        loop {
            let answer = device.answer(crypto, command.as_bytes());
            exchanges.push((command, answer));
            command = match gate.handle(crypto, &self.prepared, answer.as_bytes())? {
                Step::Command(command) => command,
                Step::Opened(_) => gate.prove(crypto)?,
                Step::Proven(_) | Step::Committed => return Ok(Recording { exchanges }),
            };
        }
    }

    /// The gate's part of a recorded tap.
    pub(crate) fn gate(&self, crypto: &dyn Crypto, recording: &Recording) {
        let mut gate = ReaderEnd::new(self.terms.clone());
        for (_, answer) in &recording.exchanges {
            let step = gate.handle(crypto, &self.prepared, answer.as_bytes());
            if let Ok(Step::Opened(_)) = step {
                let _ = black_box(gate.prove(crypto));
            }
            // That a recording is accepted was seen when it was made.
            let _ = black_box(step);
        }
    }
}

/// A device that shows one handle again and again, as none may.
struct Device {
    end: HolderEnd,
    pocket: OneHandle,
}

impl Device {
    fn of(city: &City, crypto: &dyn Crypto, rider: u32) -> Self {
        let content = Content {
            needs_presence: false,
            is_counted: false,
            product: [3; 8],
            class: None,
            status: Index { list: [4; 4], index: rider },
            not_before: EPOCH * 86_400,
            not_after: EPOCH * 86_400 + 86_399,
            number: 0,
        };
        let mut nonce = [5; 12];
        nonce.iter_mut().zip(rider.to_be_bytes()).for_each(|(to, from)| *to = from);
        let (handle, tap_key) = city.keys.seal(crypto, &content, nonce);
        Self { end: HolderEnd::new(Transport::Nfc), pocket: OneHandle { handle, tap_key } }
    }

    fn answer(&mut self, crypto: &dyn Crypto, command: &[u8]) -> Apdu {
        let entropy = [6; HANDLE_BYTES + FRESH_BYTES];
        let mut hands = Hands { crypto, pocket: &mut self.pocket, entropy };
        self.end.handle(&mut hands, command)
    }

    fn play(&mut self, crypto: &dyn Crypto, recording: &Recording) {
        for (command, _) in &recording.exchanges {
            black_box(self.answer(crypto, command.as_bytes()));
        }
    }
}

struct OneHandle {
    handle: Handle,
    tap_key: TapKey,
}

impl Pocket for OneHandle {
    fn show(&mut self, _: Context) -> Result<Option<Shown>, PocketError> {
        Ok(Some(Shown { handle: self.handle, tap_key: self.tap_key.clone(), pass: 0 }))
    }

    fn used(&mut self, _: &Shown, _: Gate) -> Result<Standing, PocketError> {
        let counted = Counted::default();
        Ok(Standing { taps: 1, presence: Presence::Unlocked, has_mail: false, counted })
    }

    fn write(&mut self, _: &Shown, _: Counted) -> Result<(), PocketError> {
        Err(PocketError::Sequence)
    }
}

/// What a gate must compute, straight in AWS-LC over bytes of the same lengths: keys of the scope are read beforehand,
/// keys of the tap are read once, nothing is put together.
pub(crate) struct Bare {
    seal: Option<LessSafeKey>,
    hold: hmac::Key,
    handle: [u8; 48],
    tap_info: [u8; 80],
    transcript: [u8; TRANSCRIPT_BYTES],
    key_info: [u8; 55],
    prove: [u8; 20],
    proven: [u8; 34],
}

/// Label, transport, length, four bytes of versions, OPEN, handle, fresh value.
const TRANSCRIPT_BYTES: usize = 15 + 2 + 4 + 30 + 60 + 16;

impl Bare {
    pub(crate) fn new() -> Self {
        let mut handle = [0; 48];
        let mut proven = [0; 34];
        seal(cipher(&[1; 32]).as_ref(), &[3; 34], &mut handle);
        seal(cipher(&[4; 32]).as_ref(), &[2; 32], &mut proven);
        Self {
            seal: cipher(&[1; 32]),
            hold: hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]),
            handle,
            tap_info: [3; 80],
            transcript: [4; TRANSCRIPT_BYTES],
            key_info: [5; 55],
            prove: [6; 20],
            proven,
        }
    }

    pub(crate) fn run(&mut self) {
        let mut handle = self.handle;
        black_box(open(self.seal.as_ref(), &[3; 34], &mut handle));
        let tap = hmac::sign(&self.hold, &self.tap_info);
        black_box(digest::digest(&digest::SHA256, &self.transcript));
        let tap = hmac::Key::new(hmac::HMAC_SHA256, tap.as_ref());
        black_box((hmac::sign(&tap, &self.key_info), hmac::sign(&tap, &self.key_info)));
        let mut prove = [0; 36];
        prove.iter_mut().zip(&self.prove).for_each(|(to, from)| *to = *from);
        seal(cipher(&[3; 32]).as_ref(), &[2; 32], &mut prove);
        black_box(prove);
        let mut proven = self.proven;
        black_box(open(cipher(&[4; 32]).as_ref(), &[2; 32], &mut proven));
    }
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, black_box(key)).map(LessSafeKey::new).ok()
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn seal(key: Option<&LessSafeKey>, aad: &[u8], buffer: &mut [u8]) {
    if let (Some(key), Some((text, tag))) = (key, buffer.split_last_chunk_mut::<16>()) {
        let made = key.seal_in_place_separate_tag(nonce(), Aad::from(aad), text);
        made.iter().for_each(|made| tag.copy_from_slice(made.as_ref()));
    }
}

fn open(key: Option<&LessSafeKey>, aad: &[u8], buffer: &mut [u8]) -> bool {
    key.is_some_and(|key| key.open_in_place(nonce(), Aad::from(aad), buffer).is_ok())
}
