//! Our reader and our phone at a real service.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use credential::crypto::P256Secret;
use edge::link::LinkError;
use edge::pcsc::{Attendant, CardLink, Event, attend};
use edge::reader_host::{ReaderHost, TapReport};
use edge::vpcd::{CardApplication, Hand, Inserted};
use edge::wallet_card::{Surroundings, WalletCard};
use edge::wallet_host::WalletHost;
use reader::decision::Reason;
use wallet::secure_element::Presence;
use wallet::tap::{Consent, Shown, TapError};

use super::service::PATIENCE;
use crate::city::{CRYPTO, door, noon};
use crate::place::{deed, fresh};

/// What is heard of a reader.
#[derive(Debug)]
pub(crate) enum Heard {
    Event(String),
    Tap(Box<TapReport>),
}

/// Our reader at one of the virtual ones.
pub(crate) struct Attended {
    stop: Arc<AtomicBool>,
    heard: Receiver<Heard>,
    thread: Option<JoinHandle<()>>,
    pub(crate) host: Arc<Mutex<ReaderHost>>,
}

struct Gate {
    host: Arc<Mutex<ReaderHost>>,
    tell: Sender<Heard>,
}

impl Attendant for Gate {
    fn hear(&mut self, event: Event<'_>) {
        let _ = self.tell.send(Heard::Event(format!("{event:?}")));
    }

    fn serve(&mut self, card: &mut CardLink) {
        let secret = P256Secret::from_bytes(fresh());
        let report = self.host.lock().unwrap().tap(card, door(), secret, &noon).unwrap();
        let _ = self.tell.send(Heard::Tap(Box::new(report)));
    }
}

impl Attended {
    /// Attends the reader called `name`; it need not be there.
    pub(crate) fn start(name: &str, host: ReaderHost) -> Self {
        let (tell, heard) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let host = Arc::new(Mutex::new(host));
        let mut gate = Gate { host: Arc::clone(&host), tell };
        let (name, until) = (name.to_owned(), Arc::clone(&stop));
        let thread = Some(spawn(move || attend(&name, &until, &mut gate)));
        Self { stop, heard, thread, host }
    }

    pub(crate) fn ready(name: &str, host: ReaderHost) -> Self {
        let attended = Self::start(name, host);
        attended.expect("Ready");
        attended
    }

    /// Waits for an event that begins with `word`.
    #[track_caller]
    pub(crate) fn expect(&self, word: &str) {
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok(Heard::Event(event)) if event.starts_with(word) => return,
                // A service that starts fails in more than one way.
                Ok(Heard::Event(event)) if event.starts_with("NoService") => {}
                heard => panic!("{heard:?} in place of `{word}`"),
            }
        }
    }

    /// Waits for the next tap.
    #[track_caller]
    pub(crate) fn tap(&self) -> TapReport {
        match self.heard.recv_timeout(PATIENCE) {
            Ok(Heard::Tap(report)) => *report,
            heard => panic!("{heard:?} in place of a tap"),
        }
    }

    /// As [`Attended::deed`], whatever was heard of the service before.
    #[track_caller]
    pub(crate) fn deed_after_events(&self) -> Result<(), Reason> {
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok(Heard::Tap(report)) => return deed(&report),
                Ok(Heard::Event(_)) => {}
                Err(error) => panic!("{error} in place of a tap"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn deed(&self) -> Result<(), Reason> {
        deed(&self.tap())
    }

    /// Asserts that nothing is heard for a while.
    #[track_caller]
    pub(crate) fn quiet(&self, span: Duration) {
        if let Ok(heard) = self.heard.recv_timeout(span) {
            panic!("{heard:?}");
        }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// What becomes of response number so-and-so; the hand can pull the card.
type Disturb<'d> = dyn FnMut(usize, &Hand, Vec<u8>) -> Vec<u8> + 'd;

/// Holds a wallet to the reader at `address` until a tap has ended, with a card around it that `wrap`
/// may make worse.
pub(crate) fn present(
    wallet: &mut WalletHost,
    address: SocketAddr,
    disturb: &mut Disturb<'_>,
) -> (Result<(), LinkError>, Option<Result<Shown, TapError>>) {
    let mut inserted = Inserted::insert(address, b"Limen").unwrap();
    let hand = inserted.hand().unwrap();
    let mut decide = |_: &_| Consent::Show { candidate: 0, presence: Presence::Unknown };
    let secret = || Some(P256Secret::from_bytes(fresh()));
    let around =
        Surroundings { crypto: CRYPTO, clock: &noon, secret: &secret, decide: &mut decide };
    let mut phone = WalletCard::new(wallet, around);
    let mut card = Disturbed { card: &mut phone, hand, number: 0, disturb };
    let served = inserted.serve(&mut card);
    (served, phone.take())
}

/// As [`present`], of a phone that is as it should be.
pub(crate) fn show(wallet: &mut WalletHost, address: SocketAddr) -> Result<Shown, TapError> {
    let (served, ended) = present(wallet, address, &mut |_, _, response| response);
    served.unwrap();
    ended.unwrap()
}

struct Disturbed<'d> {
    card: &'d mut dyn CardApplication,
    hand: Hand,
    number: usize,
    disturb: &'d mut Disturb<'d>,
}

impl CardApplication for Disturbed<'_> {
    fn reset(&mut self) {
        self.card.reset();
    }

    fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
        let response = self.card.command(apdu);
        self.number += 1;
        (self.disturb)(self.number - 1, &self.hand, response)
    }

    fn is_over(&self) -> bool {
        self.card.is_over()
    }
}
