//! A desk and our own card: personalised whole, broken off at every command, and moved on to new keys.

use card::memory::{Memory, MemoryFault, PAGE_BYTES};
use card::{Card, ENTROPY_BYTES, PAGES};
use credential::aws_lc::AwsLc;
use credential::crypto::P256Secret;
use credential::delivery::Scope;
use keys::custody::State;
use keys::vault::applications::plan::{Done, DoneApplication, Plan, Planned};
use keys::vault::applications::{Desk, DeskError, Held, Place, ROOT};
use keys::vault::diversify::Kdf;
use keys::vault::exchange::{self, CardKey, Link, Outcome};
use keys::vault::personalise::Process;
use keys::vault::software::SoftwareVault;
use keys::vault::{CardError, NewSecret, SecretKind, Vault};
use presentation::express::ScopeId;
use presentation::express::handle::{Handle, TapKey};
use presentation::express::issuing::Batch;

use crate::folder::Folder;
use crate::keystore::wait;
use crate::vault::{now, software};

const IDENTIFIER: [u8; 7] = [9, 8, 7, 6, 5, 4, 3];
const TICKET: u8 = 1;
const LIBRARY: u8 = 3;

#[derive(Clone)]
struct Pages(Vec<[u8; PAGE_BYTES]>);

impl Memory for Pages {
    fn read(&self, page: usize) -> Result<[u8; PAGE_BYTES], MemoryFault> {
        self.0.get(page).copied().ok_or(MemoryFault)
    }

    fn write(&mut self, page: usize, bytes: &[u8; PAGE_BYTES]) -> Result<(), MemoryFault> {
        *self.0.get_mut(page).ok_or(MemoryFault)? = *bytes;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), MemoryFault> {
        Ok(())
    }
}

/// How a card goes away.
#[derive(Clone, Copy, PartialEq)]
enum Pulled {
    /// Before the command came.
    Before,
    /// After it was done, so that nobody heard the answer.
    After,
}

/// A card at the desk, which is pulled away at a command.
struct AtDesk {
    card: Card<Pages>,
    commands: usize,
    pulled: Option<(usize, Pulled)>,
}

impl AtDesk {
    fn blank() -> Self {
        let memory = Pages(vec![[0; PAGE_BYTES]; PAGES]);
        Self { card: Card::make(memory, &AwsLc, IDENTIFIER).unwrap(), commands: 0, pulled: None }
    }
}

impl Link for AtDesk {
    fn exchange(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        self.commands += 1;
        let mut entropy = [0; ENTROPY_BYTES];
        aws_lc_rs::rand::fill(&mut entropy).unwrap();
        match self.pulled {
            Some((at, Pulled::Before)) if self.commands >= at => None,
            Some((at, Pulled::After)) if self.commands >= at => {
                if self.commands == at {
                    self.card.command(&AwsLc, &entropy, command);
                }
                None
            }
            _ => Some(self.card.command(&AwsLc, &entropy, command)),
        }
    }
}

fn scope(operator: &str) -> Scope {
    Scope { operator: operator.parse().unwrap(), zone: None }
}

fn place(operator: &str) -> Place {
    let scope = scope(operator);
    Place { id: ScopeId::new(&AwsLc, &scope.operator, None).0, scope }
}

fn root() -> Place {
    Place { id: ROOT, scope: scope("city") }
}

/// A vault with a master of each operator.
struct Works {
    folder: Folder,
    vault: SoftwareVault,
}

impl Works {
    fn new() -> Self {
        let folder = Folder::new();
        let vault = software(&folder);
        let works = Self { folder, vault };
        ["city", "metro", "library"].into_iter().for_each(|operator| works.master(operator));
        works
    }

    fn master(&self, operator: &str) {
        let request = NewSecret {
            kind: SecretKind::CardMaster,
            scope: Some(scope(operator)),
            epoch: 0,
            kdf: Some(Kdf::Sp800108Cmac),
            state: State::Active,
            after: 0,
            at: now(),
        };
        wait(self.vault.generate(request)).unwrap();
    }

    fn process(&self) -> Process {
        Process::begin(&self.folder.path("ledger")).unwrap()
    }

    fn run(&self, held: &mut AtDesk) -> Result<Done, DeskError> {
        let ticket = Planned { place: place("metro"), kind: TICKET, value: Some(20) };
        let library = Planned { place: place("library"), kind: LIBRARY, value: None };
        let plan = Plan { root: root(), applications: vec![ticket, library] };
        let mut desk = Desk { vault: &self.vault, link: held };
        wait(desk.personalise(&mut self.process(), &plan, now()))
    }

    fn held(&self, held: &mut AtDesk, place: &Place) -> Result<Held, DeskError> {
        let mut desk = Desk { vault: &self.vault, link: held };
        desk.select()?;
        let identifier = wait(desk.identifier(place))?;
        assert_eq!(identifier, IDENTIFIER);
        wait(desk.held(place, &identifier))
    }
}

#[test]
fn a_blank_card_gets_keys_applications_and_handles_and_a_second_run_changes_nothing() {
    let works = Works::new();
    let mut held = AtDesk::blank();
    let done = works.run(&mut held).unwrap();
    let new = DoneApplication { is_new: true, keys_moved: 0 };
    let expected =
        Done { identifier: IDENTIFIER, is_new: true, keys_moved: 0, applications: vec![new, new] };
    assert_eq!(done, expected);
    let old = DoneApplication { is_new: false, keys_moved: 0 };
    let expected = Done { is_new: false, applications: vec![old, old], ..expected };
    assert_eq!(works.run(&mut held).unwrap(), expected);
    let ticket = works.held(&mut held, &place("metro")).unwrap();
    assert_eq!(ticket.counted, Some((1, 20, [0; 4])));
    assert_eq!(ticket.versions, [1, 1, 1]);
    let library = works.held(&mut held, &place("library")).unwrap();
    assert_eq!((library.kind, library.counted, library.batches), (LIBRARY, None, vec![]));
    // Each key that came out stands in the ledger: three of the card, three of each application.
    let ledger = std::fs::read_to_string(works.folder.path("ledger")).unwrap();
    assert_eq!(ledger.lines().count(), 3);
    assert!(ledger.lines().all(|line| line.contains("card.create-application")));
    // An operator without an application on this card is told so, and one without a master, too.
    let stranger =
        works.held(&mut held, &Place { id: [7; 8], scope: scope("library") }).unwrap_err();
    assert!(stranger.to_string().contains("no such application"), "{stranger}");
    let unknown = works.held(&mut held, &place("harbour")).unwrap_err();
    assert!(matches!(unknown, DeskError::NoMaster { .. }), "{unknown}");
}

#[test]
fn a_card_that_is_pulled_away_at_any_command_is_held_there_again_and_is_whole() {
    let works = Works::new();
    let mut whole = AtDesk::blank();
    works.run(&mut whole).unwrap();
    let all = whole.commands;
    assert!(all > 40, "{all}");
    for pulled in [Pulled::Before, Pulled::After] {
        for at in 1..=all {
            let mut held = AtDesk::blank();
            held.pulled = Some((at, pulled));
            let error = works.run(&mut held).unwrap_err();
            assert!(matches!(error, DeskError::Gone { .. }), "{at}: {error}");
            held.pulled = None;
            held.card.reset();
            works.run(&mut held).unwrap_or_else(|error| panic!("{at}: {error}"));
            let ticket = works.held(&mut held, &place("metro")).unwrap();
            assert_eq!(ticket.counted, Some((1, 20, [0; 4])), "{at}");
            works.held(&mut held, &place("library")).unwrap();
        }
    }
}

#[test]
fn keys_move_on_in_a_pocket_wherever_the_card_is_pulled_away() {
    let works = Works::new();
    let mut first = AtDesk::blank();
    works.run(&mut first).unwrap();
    let memory = first.card.into_memory();
    works.master("metro");
    let again = |pulled| {
        let card = Card::open(memory.clone(), &AwsLc).unwrap();
        AtDesk { card, commands: 0, pulled }
    };
    let mut held = again(None);
    let done = works.run(&mut held).unwrap();
    assert_eq!((done.keys_moved, done.applications[0].keys_moved), (0, 3));
    assert_eq!(done.applications[1].keys_moved, 0);
    let all = held.commands;
    for pulled in [Pulled::Before, Pulled::After] {
        for at in 1..=all {
            let mut held = again(Some((at, pulled)));
            works.run(&mut held).unwrap_err();
            held.pulled = None;
            held.card.reset();
            works.run(&mut held).unwrap_or_else(|error| panic!("{at}: {error}"));
            let ticket = works.held(&mut held, &place("metro")).unwrap();
            assert_eq!((ticket.versions, ticket.counted), (vec![2, 2, 2], Some((1, 20, [0; 4]))));
        }
    }
}

/// The exchange for cards of other makers (`limen card change-key`) works with ours, too.
#[test]
fn the_exchange_of_one_key_changes_the_master_key_of_an_application() {
    let works = Works::new();
    let mut held = AtDesk::blank();
    works.run(&mut held).unwrap();
    works.master("metro");
    let metro = place("metro");
    let input = [&IDENTIFIER[..], &metro.id, &[0], b"limen"].concat();
    let input = keys::vault::diversify::CardInput::new(&input).unwrap();
    let card = CardKey { input, number: 0, scope: scope("metro") };
    let mut process = works.process();
    for expected in [Outcome::Changed { from: 1, to: 2 }, Outcome::Kept { version: 2 }] {
        // It begins where the application is selected.
        let mut desk = Desk { vault: &works.vault, link: &mut held };
        desk.select().unwrap();
        desk.version(&metro, 0).unwrap();
        let done = exchange::change_key(&works.vault, &mut process, &card, &mut held, now());
        assert_eq!(wait(done).unwrap(), expected);
    }
}

/// The wrong card, the wrong answer: nothing is believed that a MAC does not stand for.
#[test]
fn an_answer_that_was_changed_on_its_way_is_noticed() {
    struct Bent<'h>(&'h mut AtDesk, usize, usize);
    impl Link for Bent<'_> {
        fn exchange(&mut self, command: &[u8]) -> Option<Vec<u8>> {
            let mut answer = self.0.exchange(command)?;
            let length = answer.len() - 2;
            if self.0.commands == self.1 && length > 0 {
                answer[self.2 % length] ^= 4;
            }
            Some(answer)
        }
    }
    let works = Works::new();
    let mut held = AtDesk::blank();
    works.run(&mut held).unwrap();
    let ask = |held: &mut AtDesk, at, byte| {
        held.commands = 0;
        held.card.reset();
        let mut bent = Bent(held, at, byte);
        let mut desk = Desk { vault: &works.vault, link: &mut bent };
        desk.select()?;
        wait(desk.held(&place("metro"), &IDENTIFIER))
    };
    let expected = ask(&mut held, 0, 0).unwrap();
    let commands = held.commands;
    let mut noticed = 0;
    for at in 1..=commands {
        for byte in 0..40 {
            match ask(&mut held, at, byte) {
                // What a card tells in clear is the answer to SELECT, which nobody reads.
                Ok(told) => assert_eq!(told, expected, "{at} {byte}"),
                Err(DeskError::Card { source: CardError::Card, .. }) => noticed += 1,
                Err(_) => {}
            }
        }
    }
    assert!(noticed > 200, "{noticed}");
}

/// The key service seals five handles for the card.
fn load(works: &Works, held: &mut AtDesk) -> Result<(), DeskError> {
    let place = place("metro");
    let mut desk = Desk { vault: &works.vault, link: held };
    desk.select()?;
    let identifier = wait(desk.identifier(&place))?;
    let mut session = wait(desk.session(&place, &identifier))?;
    let point = session.draw_agreement()?;
    let handles =
        (1..6).map(|number| (Handle([number; 60]), TapKey::from_bytes([number; 32]))).collect();
    let batch = Batch { scope: place.scope.clone(), epoch: 20_000, handles };
    let sealed = batch.seal(&AwsLc, &P256Secret::from_bytes([9; 32]), &point).unwrap();
    session.load(&sealed.encode())
}

#[test]
fn a_card_that_is_pulled_away_from_its_handles_has_all_or_none_and_gets_them_later() {
    let works = Works::new();
    let mut first = AtDesk::blank();
    works.run(&mut first).unwrap();
    let memory = first.card.into_memory();
    let again = |pulled| {
        let card = Card::open(memory.clone(), &AwsLc).unwrap();
        AtDesk { card, commands: 0, pulled }
    };
    let mut held = again(None);
    load(&works, &mut held).unwrap();
    let all = held.commands;
    let mut seen = [false; 2];
    for pulled in [Pulled::Before, Pulled::After] {
        for at in 1..=all {
            let mut held = again(Some((at, pulled)));
            let error = load(&works, &mut held).unwrap_err();
            assert!(matches!(error, DeskError::Gone { .. }), "{at}: {error}");
            held.pulled = None;
            held.card.reset();
            let batches = works.held(&mut held, &place("metro")).unwrap().batches;
            assert!(batches.iter().all(|batch| batch.count == 5));
            seen[batches.len()] = true;
            load(&works, &mut held).unwrap();
            assert_eq!(works.held(&mut held, &place("metro")).unwrap().batches.len(), 1);
        }
    }
    assert_eq!(seen, [true; 2]);
    // A card without a pass says so, and one whose session has ended does nothing more.
    let place = place("metro");
    let mut desk = Desk { vault: &works.vault, link: &mut held };
    assert!(wait(desk.pass(&place, &IDENTIFIER)).unwrap().is_none());
    let mut session = wait(desk.session(&place, &IDENTIFIER)).unwrap();
    let forbidden = session.sign(0, b"a message of any kind").unwrap_err();
    assert!(matches!(forbidden, DeskError::Status { status: [0x91, 0x9D], .. }), "{forbidden}");
    let over = session.draw_signing().unwrap_err();
    assert!(matches!(over, DeskError::Status { status: [0x91, 0xAE], .. }), "{over}");
}
