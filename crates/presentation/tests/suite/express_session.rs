//! One express tap with all that it takes as values, step by step: for vectors, games, foreign peers and
//! benchmarks, which include this file.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "not all who include it use all of it; tests may panic"
)]

use credential::crypto::Crypto;
use credential::rustcrypto::RustCrypto;
use presentation::express::handle::{Content, HANDLE_BYTES, Handle, Index, TapKey};
use presentation::express::holder::{Gate, Hands, HolderEnd, Pocket, PocketError, Shown, Standing};
use presentation::express::reader::{
    Counted, HandleOpener, KeysInMemory, OpenError, Presence, Proven, ReaderEnd, ReaderError, Step,
    Terms,
};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::Apdu;
use presentation::express::{Context, FRESH_BYTES, ScopeId, Transport};
use vocabulary::id::ReaderId;

/// What both ends bring to a tap.
#[derive(Clone, Debug)]
pub struct Session {
    pub epoch_key: [u8; 32],
    pub operator: String,
    pub zone: Option<String>,
    pub epoch: u32,
    pub content: Content,
    pub nonce: [u8; 12],
    /// A device without a handle answers with noise.
    pub has_handle: bool,
    pub transport: Transport,
    pub reader_fresh: [u8; FRESH_BYTES],
    pub noise: [u8; HANDLE_BYTES],
    pub holder_fresh: [u8; FRESH_BYTES],
    pub reader: [u8; 16],
    pub at: u32,
    pub standing: Standing,
    /// What the gate writes, if the use is counted.
    pub next: Option<Counted>,
}

impl Session {
    pub fn context(&self) -> Context {
        let zone = self.zone.as_ref().map(|zone| zone.parse().unwrap());
        let scope = ScopeId::new(&RustCrypto, &self.operator.parse().unwrap(), zone.as_ref());
        Context { scope, epoch: self.epoch }
    }

    pub fn keys(&self) -> ScopeKeys {
        ScopeKeys::derive(&RustCrypto, &self.epoch_key, self.context())
    }

    pub fn handle(&self) -> (Handle, TapKey) {
        self.keys().seal(&RustCrypto, &self.content, self.nonce)
    }

    pub fn gate(&self) -> GateRun {
        let terms = Terms {
            transport: self.transport,
            context: self.context(),
            fresh: self.reader_fresh,
            reader: ReaderId::from_bytes(self.reader),
            at: self.at,
        };
        let next = self.next.filter(|_| self.content.is_counted);
        GateRun { end: ReaderEnd::new(terms), keys: [self.keys()], next, proven: None }
    }

    pub fn device(&self) -> Device {
        let fresh = if self.has_handle { vec![self.handle()] } else { Vec::new() };
        let pocket = OnePass { context: self.context(), fresh, standing: self.standing };
        let mut entropy = [0; HANDLE_BYTES + FRESH_BYTES];
        entropy[..HANDLE_BYTES].copy_from_slice(&self.noise);
        entropy[HANDLE_BYTES..].copy_from_slice(&self.holder_fresh);
        Device { end: HolderEnd::new(self.transport), pocket, entropy }
    }

    /// Runs both ends; `bend` may change what is on its way.
    pub fn run(&self, mut bend: impl FnMut(&mut Vec<u8>)) -> (Outcome, Device, Vec<Exchange>) {
        let (mut gate, mut device) = (self.gate(), self.device());
        let mut log = Vec::new();
        let mut turn = gate.turn(None);
        loop {
            let mut command = match turn {
                Turn::Command(command) => command,
                Turn::Over(outcome) => return (outcome, device, log),
            };
            bend(&mut command);
            let mut answer = device.answer(&command);
            bend(&mut answer);
            turn = gate.turn(Some(&answer));
            log.push(Exchange { command, answer });
        }
    }
}

/// A command and its answer, as each end took them.
pub struct Exchange {
    pub command: Vec<u8>,
    pub answer: Vec<u8>,
}

/// What came of a tap at the gate.
pub type Outcome = Result<(Proven, bool), ReaderError>;

/// What a gate does.
pub enum Turn {
    Command(Vec<u8>),
    /// With whether a state was written.
    Over(Outcome),
}

pub struct GateRun {
    pub end: ReaderEnd,
    pub keys: [ScopeKeys; 1],
    pub next: Option<Counted>,
    proven: Option<Proven>,
}

impl GateRun {
    /// Takes the answer to the last command, none at the beginning.
    pub fn turn(&mut self, answer: Option<&[u8]>) -> Turn {
        let Some(answer) = answer else {
            return Turn::Command(Apdu::select().as_bytes().to_vec());
        };
        match self.step(answer) {
            Ok(Some(command)) => Turn::Command(command.as_bytes().to_vec()),
            Ok(None) => {
                let proven = self.proven.take().ok_or(ReaderError::Unexpected);
                Turn::Over(proven.map(|proven| (proven, self.next.is_some())))
            }
            Err(error) => Turn::Over(Err(error)),
        }
    }

    /// The next command; none when the tap is over.
    pub fn step(&mut self, answer: &[u8]) -> Result<Option<Apdu>, ReaderError> {
        let keys = self.keys.clone();
        let opener = KeysInMemory { crypto: &RustCrypto, keys: &keys };
        self.step_with(&RustCrypto, &opener, answer)
    }

    pub fn step_with(
        &mut self,
        crypto: &dyn Crypto,
        opener: &dyn HandleOpener,
        answer: &[u8],
    ) -> Result<Option<Apdu>, ReaderError> {
        match self.end.handle(crypto, opener, answer)? {
            Step::Command(command) => Ok(Some(command)),
            Step::Opened(_) => self.end.prove(crypto).map(Some),
            Step::Proven(proven) => {
                self.proven = Some(proven);
                self.next.map(|next| self.end.commit(crypto, next)).transpose()
            }
            Step::Committed => Ok(None),
        }
    }
}

/// Why a gate refused, in words that a peer has too.
pub fn word(error: ReaderError) -> String {
    match error {
        ReaderError::Status(status) => format!("status {:04x}", status.0),
        ReaderError::Open(OpenError::Handle(_)) => "handle".to_owned(),
        ReaderError::Proof => "proof".to_owned(),
        ReaderError::Version => "version".to_owned(),
        ReaderError::Malformed => "malformed".to_owned(),
        error => error.to_string(),
    }
}

/// A device and its answers.
pub struct Device {
    pub end: HolderEnd,
    pub pocket: OnePass,
    pub entropy: [u8; HANDLE_BYTES + FRESH_BYTES],
}

impl Device {
    pub fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        let mut hands =
            Hands { crypto: &RustCrypto, pocket: &mut self.pocket, entropy: self.entropy };
        self.end.handle(&mut hands, command).as_bytes().to_vec()
    }
}

/// The pocket of a device with one pass, in memory.
pub struct OnePass {
    pub context: Context,
    /// Handles never shown, the next one last.
    pub fresh: Vec<(Handle, TapKey)>,
    /// As it will be said at the next tap.
    pub standing: Standing,
}

impl Pocket for OnePass {
    fn show(&mut self, context: Context) -> Result<Option<Shown>, PocketError> {
        let shown = if context == self.context { self.fresh.pop() } else { None };
        Ok(shown.map(|(handle, tap_key)| Shown { handle, tap_key, pass: 0 }))
    }

    fn used(&mut self, _: &Shown, _: Gate) -> Result<Standing, PocketError> {
        let standing = self.standing;
        self.standing.taps = standing.taps.wrapping_add(1);
        Ok(standing)
    }

    fn write(&mut self, _: &Shown, next: Counted) -> Result<(), PocketError> {
        if Some(next.sequence) != self.standing.counted.sequence.checked_add(1) {
            return Err(PocketError::Sequence);
        }
        self.standing.counted = next;
        Ok(())
    }
}

/// Bytes that look random and are the same in every run.
pub struct Draw {
    seed: u64,
    count: u64,
}

impl Draw {
    pub const fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(32) {
            self.count += 1;
            let block = [self.seed.to_be_bytes(), self.count.to_be_bytes()].concat();
            let digest = RustCrypto.sha256(&block);
            chunk.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        }
        bytes
    }

    pub fn number(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        self.number() % bound
    }

    /// A tap of random ends; one in sixteen devices has no handle.
    pub fn session(&mut self) -> Session {
        let epoch = 20_000 + self.below(2_000);
        let zone = ["", "a", "b", "ring"][self.below(4) as usize];
        let counted =
            Counted { sequence: self.below(100_000), value: self.number(), mark: self.bytes() };
        let next =
            Counted { sequence: counted.sequence + 1, value: self.number(), mark: self.bytes() };
        Session {
            epoch_key: self.bytes(),
            operator: ["metro", "tram", "ferry"][self.below(3) as usize].to_owned(),
            zone: Some(zone.to_owned()).filter(|zone| !zone.is_empty()),
            epoch,
            content: self.content(epoch),
            nonce: self.bytes(),
            has_handle: self.below(16) != 0,
            transport: if self.below(2) == 0 { Transport::Nfc } else { Transport::Ble },
            reader_fresh: self.bytes(),
            noise: self.bytes(),
            holder_fresh: self.bytes(),
            reader: self.bytes(),
            at: self.number(),
            standing: Standing {
                taps: 1 + self.below(64),
                presence: [Presence::None, Presence::Unlocked, Presence::Confirmed]
                    [self.below(3) as usize],
                has_mail: self.below(2) == 0,
                counted,
            },
            next: Some(next),
        }
    }

    fn content(&mut self, epoch: u32) -> Content {
        let class: [u8; 4] = self.bytes();
        Content {
            needs_presence: self.below(2) == 0,
            is_counted: self.below(2) == 0,
            product: self.bytes(),
            class: (self.below(2) == 0).then_some(class).filter(|class| *class != [0; 4]),
            status: Index { list: self.bytes(), index: self.number() },
            not_before: epoch * 86_400 + self.below(43_200),
            not_after: epoch * 86_400 + 43_200 + self.below(43_200),
            number: u16::try_from(self.below(64)).unwrap(),
        }
    }
}
