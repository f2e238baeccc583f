//! A card on the bench: memory that can be cut, gates, and a city with two operators.

use core::cell::RefCell;
use std::rc::Rc;

use card::memory::{Memory, MemoryFault, PAGE_BYTES};
use card::{Card, ENTROPY_BYTES, Kind, PAGES, Scope, management};
use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::delivery;
use presentation::express::handle::{Content, Index};
use presentation::express::issuing::Batch;
use presentation::express::reader::{
    Counted, KeysInMemory, Proven, ReaderEnd, ReaderError, Step, Terms,
};
use presentation::express::schedule::ScopeKeys;
use presentation::express::wire::Apdu;
use presentation::express::{Context, ScopeId, Transport, list_tag, product_tag};
use vocabulary::id::ReaderId;

use crate::desk::{Desk, Fault};

pub(crate) const EPOCH: u32 = 20_787;
pub(crate) const IDENTIFIER: [u8; 7] = [4, 1, 2, 3, 4, 5, 6];
pub(crate) const METRO: &str = "metro";
pub(crate) const TOWN_HALL: &str = "town-hall";

/// What a power cut does to the pages that were written and not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tear {
    /// The bytes before the cut are new, those after it old.
    Prefix,
    /// As that, and the byte at the cut is neither.
    Garbage,
    /// Of the pages written since the last settling every other one is lost: those of even number, or
    /// of odd.
    Lost(usize),
}

/// A memory that loses its power after so many bytes. Copies of it are the same memory.
#[derive(Clone)]
pub(crate) struct TestMemory(Rc<RefCell<Inner>>);

struct Inner {
    pages: Image,
    unsettled: Vec<(usize, [u8; PAGE_BYTES])>,
    /// Bytes until the cut.
    left: usize,
    tear: Tear,
    is_off: bool,
    /// Whether both slots of a record are one.
    is_in_place: bool,
    /// What a reader with a stop watch sees: `w` for a page, `s` for a settling.
    trace: String,
}

pub(crate) type Image = Vec<[u8; PAGE_BYTES]>;

impl TestMemory {
    pub(crate) fn of(pages: Image) -> Self {
        let (unsettled, trace) = (Vec::new(), String::new());
        let (left, tear, is_off, is_in_place) = (usize::MAX, Tear::Prefix, false, false);
        Self(Rc::new(RefCell::new(Inner {
            pages,
            unsettled,
            left,
            tear,
            is_off,
            is_in_place,
            trace,
        })))
    }

    /// Cuts the power after `left` more bytes.
    pub(crate) fn cut_after(&self, left: usize, tear: Tear) {
        let mut inner = self.0.borrow_mut();
        (inner.left, inner.tear) = (left, tear);
    }

    pub(crate) fn set_in_place(&self, is_in_place: bool) {
        self.0.borrow_mut().is_in_place = is_in_place;
    }

    pub(crate) fn is_off(&self) -> bool {
        self.0.borrow().is_off
    }

    pub(crate) fn trace(&self) -> String {
        core::mem::take(&mut self.0.borrow_mut().trace)
    }

    /// What is left when the power comes again.
    pub(crate) fn image(&self) -> Image {
        let mut inner = self.0.borrow_mut();
        let unsettled = core::mem::take(&mut inner.unsettled);
        if let (true, Tear::Lost(parity)) = (inner.is_off, inner.tear) {
            for (page, old) in unsettled.into_iter().rev() {
                if page % 2 == parity {
                    inner.pages[page] = old;
                }
            }
        }
        inner.pages.clone()
    }
}

impl Inner {
    const fn place(&self, page: usize) -> usize {
        let is_second = self.is_in_place && page < 90 && page % 10 >= 5;
        if is_second { page - 5 } else { page }
    }
}

impl Memory for TestMemory {
    fn read(&self, page: usize) -> Result<[u8; PAGE_BYTES], MemoryFault> {
        let inner = self.0.borrow();
        if inner.is_off {
            Err(MemoryFault)
        } else {
            inner.pages.get(inner.place(page)).copied().ok_or(MemoryFault)
        }
    }

    fn write(&mut self, page: usize, bytes: &[u8; PAGE_BYTES]) -> Result<(), MemoryFault> {
        let inner = &mut *self.0.borrow_mut();
        if inner.is_off {
            return Err(MemoryFault);
        }
        inner.trace.push('w');
        let page = inner.place(page);
        let place = inner.pages.get_mut(page).ok_or(MemoryFault)?;
        inner.unsettled.push((page, *place));
        let come = inner.left.min(PAGE_BYTES);
        place[..come].copy_from_slice(&bytes[..come]);
        inner.left -= if inner.left == usize::MAX { 0 } else { come };
        if come < PAGE_BYTES {
            if inner.tear == Tear::Garbage {
                place[come] = !bytes[come] ^ 0x55;
            }
            inner.is_off = true;
            return Err(MemoryFault);
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), MemoryFault> {
        let mut inner = self.0.borrow_mut();
        if inner.is_off {
            return Err(MemoryFault);
        }
        inner.trace.push('s');
        inner.unsettled.clear();
        Ok(())
    }
}

/// A card with its entropy.
pub(crate) struct Bench {
    pub(crate) card: Card<TestMemory>,
    pub(crate) memory: TestMemory,
    pub(crate) drawn: u64,
    /// Every command, where somebody listens.
    pub(crate) heard: Option<RefCell<Vec<Vec<u8>>>>,
}

impl Bench {
    pub(crate) fn blank() -> Self {
        let memory = TestMemory::of(vec![[0; PAGE_BYTES]; PAGES]);
        let card = Card::make(memory.clone(), &AwsLc, IDENTIFIER).unwrap();
        Self { card, memory, drawn: 0, heard: None }
    }

    pub(crate) fn of(image: &Image) -> Self {
        Self::on(&TestMemory::of(image.clone()))
    }

    pub(crate) fn on(memory: &TestMemory) -> Self {
        let card = Card::open(memory.clone(), &AwsLc).unwrap();
        Self { card, memory: memory.clone(), drawn: 1_000, heard: None }
    }

    /// What the card is after its power was cut and came again.
    pub(crate) fn again(&self) -> Self {
        Self::of(&self.memory.image())
    }

    /// The card of a rider: a ticket and a badge of two operators, with handles for today.
    pub(crate) fn personalised(handles: u16) -> Self {
        let mut bench = Self::blank();
        Desk::maker(&mut bench).unwrap().create(card::ROOT, 0, &city_keys(1)).unwrap();
        let mut desk = Desk::open(&mut bench, card::ROOT, 0, &city_keys(1)[0].0).unwrap();
        desk.create(scope(METRO), Kind::Ticket.byte(), &operator_keys(METRO, 1)).unwrap();
        desk.create(scope(TOWN_HALL), Kind::Badge.byte(), &operator_keys(TOWN_HALL, 1)).unwrap();
        for operator in [METRO, TOWN_HALL] {
            bench.load(operator, &batch(operator, EPOCH, 0..handles)).unwrap();
        }
        let mut desk = bench.update(METRO).unwrap();
        desk.write(management::COUNTED_FILE, 0, &[0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 0]).unwrap();
        bench.card.reset();
        bench
    }

    pub(crate) fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.drawn += 1;
        if let Some(heard) = &self.heard {
            heard.borrow_mut().push(apdu.to_vec());
        }
        let draw = |block: u8| AwsLc.sha256(&[&self.drawn.to_be_bytes()[..], &[block]].concat());
        let entropy = [draw(0), draw(1), draw(2)].concat();
        let entropy: &[u8; ENTROPY_BYTES] = entropy.first_chunk().unwrap();
        self.card.command(&AwsLc, entropy, apdu)
    }

    pub(crate) fn update(&mut self, operator: &str) -> Result<Desk<'_>, Fault> {
        let key = operator_keys(operator, 1)[usize::from(management::UPDATE_KEY)].0;
        Desk::open(self, scope(operator), management::UPDATE_KEY, &key)
    }

    pub(crate) fn load(&mut self, operator: &str, batch: &Batch) -> Result<(), Fault> {
        self.update(operator)?.load(batch)
    }

    pub(crate) fn standing(&self, operator: &str) -> Option<management::Standing> {
        self.card.danger_standing(&AwsLc, &scope(operator)).unwrap()
    }

    /// A whole tap at a gate of `operator`; a counted use where `next` makes one.
    pub(crate) fn tap(
        &mut self,
        operator: &str,
        next: impl Fn(Counted) -> Option<Counted>,
    ) -> Result<(Proven, bool), TapError> {
        let keys = [keys(operator, EPOCH), keys(operator, EPOCH + 1)];
        let opener = KeysInMemory { crypto: &AwsLc, keys: &keys };
        let mut gate = ReaderEnd::new(terms(operator));
        let mut answer = self.command(Apdu::select().as_bytes());
        let mut found = None;
        loop {
            let step = gate.handle(&AwsLc, &opener, &answer).map_err(TapError::Gate)?;
            let command = match step {
                Step::Command(command) => command,
                Step::Opened(_) => gate.prove(&AwsLc).map_err(TapError::Gate)?,
                Step::Proven(proven) => {
                    found = Some(proven);
                    match next(proven.counted) {
                        Some(next) => gate.commit(&AwsLc, next).map_err(TapError::Gate)?,
                        None => return Ok((proven, false)),
                    }
                }
                Step::Committed => return Ok((found.unwrap(), true)),
            };
            answer = self.command(command.as_bytes());
            if answer.is_empty() {
                return Err(TapError::Gone);
            }
        }
    }
}

#[derive(Debug)]
pub(crate) enum TapError {
    Gate(ReaderError),
    Gone,
}

/// One ride less.
pub(crate) fn ride(counted: Counted) -> Option<Counted> {
    let Counted { sequence, value, .. } = counted;
    Some(Counted { sequence: sequence + 1, value: value.saturating_sub(1), mark: [0xAB; 4] })
}

pub(crate) const fn none(_: Counted) -> Option<Counted> {
    None
}

pub(crate) fn scope(operator: &str) -> Scope {
    ScopeId::new(&AwsLc, &operator.parse().unwrap(), None).0
}

pub(crate) fn keys(operator: &str, epoch: u32) -> ScopeKeys {
    let key = AwsLc.sha256(format!("epoch key {operator} {epoch}").as_bytes());
    let context = Context { scope: ScopeId(scope(operator)), epoch };
    ScopeKeys::derive(&AwsLc, &key, context)
}

pub(crate) fn terms(operator: &str) -> Terms {
    Terms {
        transport: Transport::Nfc,
        context: Context { scope: ScopeId(scope(operator)), epoch: EPOCH },
        fresh: [0x5F; 16],
        reader: ReaderId::from_bytes([9; 16]),
        at: EPOCH * 86_400 + 43_200,
    }
}

/// Handles for one card, as the key service makes them.
pub(crate) fn batch(operator: &str, epoch: u32, numbers: core::ops::Range<u16>) -> Batch {
    let keys = keys(operator, epoch);
    let mut handles = Vec::new();
    for number in numbers {
        let content = Content {
            needs_presence: false,
            is_counted: operator == METRO,
            product: product_tag(&AwsLc, "month-pass"),
            class: None,
            status: Index { list: list_tag(&AwsLc, "https://city.example/status/1"), index: 7 },
            not_before: epoch * 86_400,
            not_after: epoch * 86_400 + 86_399,
            number,
        };
        let nonce = AwsLc.sha256(format!("{operator} {epoch} {number}").as_bytes());
        handles.push(keys.seal(&AwsLc, &content, *nonce.first_chunk().unwrap()));
    }
    let scope = delivery::Scope { operator: operator.parse().unwrap(), zone: None };
    Batch { scope, epoch: epoch.into(), handles }
}

pub(crate) type KeyAndVersion = ([u8; 16], u8);

pub(crate) fn city_keys(version: u8) -> [KeyAndVersion; 3] {
    operator_keys("city", version)
}

pub(crate) fn operator_keys(operator: &str, version: u8) -> [KeyAndVersion; 3] {
    [0, 1, 2].map(|number: u8| {
        let digest = AwsLc.sha256(format!("{operator} {version} {number}").as_bytes());
        (*digest.first_chunk().unwrap(), version)
    })
}
