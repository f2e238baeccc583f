//! The express profile (`specs/express-tap.md`), driven to its proof, and to its counted use.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::Crypto;
use presentation::express::Context;
use presentation::express::handle::{Content, Handle, TapKey};
use presentation::express::reader::{
    self as end, Counted, HandleOpener, OpenError, ReaderEnd, Terms,
};
use presentation::express::wire::Apdu;
use vocabulary::time::Instant;

use super::{Next, Step};
use crate::decision::Reason;
use crate::engine::judge::Verdict;

/// For how long a whole express tap may take, whatever the door allows.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a secure element made of a handle.
pub(in crate::engine) type Opened = Result<(Content, TapKey), OpenError>;

/// A tap with a holder of handles.
#[derive(Debug)]
pub(super) struct Express {
    end: ReaderEnd,
    context: Context,
    deadline: Instant,
    /// The answer whose handle is with the secure element.
    shown: Option<Vec<u8>>,
    /// The verdict that waits for the holder to write its counted use.
    waiting: Option<Verdict>,
    next: VecDeque<Next>,
}

/// The answer of the secure element, for the end of the tap that asks for it.
struct Given(Opened);

impl HandleOpener for Given {
    fn open(&self, _: Context, _: &Handle) -> Opened {
        self.0.clone()
    }
}

impl Express {
    pub(super) fn new(now: Instant, terms: Terms) -> Self {
        let context = terms.context;
        let mut express = Self {
            end: ReaderEnd::new(terms),
            context,
            deadline: now.saturating_add(TIMEOUT),
            shown: None,
            waiting: None,
            next: VecDeque::new(),
        };
        express.command(&Apdu::select());
        express
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn step(&mut self) -> Option<Next> {
        self.next.pop_front()
    }

    pub(super) fn response(&mut self, crypto: &dyn Crypto, now: Instant, bytes: &[u8]) {
        if now >= self.deadline {
            return self.lost();
        }
        match self.end.shown(bytes) {
            Some((context, handle)) => {
                self.shown = Some(bytes.to_vec());
                self.next.push_back(Next::Step(Step::OpenHandle(context, handle)));
            }
            None => self.advance(crypto, &Given(Err(OpenError::NoKey)), bytes),
        }
    }

    pub(super) fn opened(&mut self, crypto: &dyn Crypto, now: Instant, opened: Opened) {
        if now >= self.deadline {
            return self.lost();
        }
        if let Some(bytes) = self.shown.take() {
            self.advance(crypto, &Given(opened), &bytes);
        }
    }

    fn advance(&mut self, crypto: &dyn Crypto, opener: &dyn HandleOpener, bytes: &[u8]) {
        let step = match self.end.handle(crypto, opener, bytes) {
            Ok(end::Step::Command(command)) => return self.command(&command),
            Ok(end::Step::Opened(_)) => match self.end.prove(crypto) {
                Ok(command) => return self.command(&command),
                Err(_) => Step::Ended(Reason::ReaderFault, None),
            },
            Ok(end::Step::Proven(proven)) => Step::Proven(self.context, proven),
            Ok(end::Step::Committed) => match self.waiting.take() {
                Some(verdict) => Step::Committed(verdict),
                None => Step::Ended(Reason::ReaderFault, None),
            },
            // Whatever is wrong with the answer, the state may have been written.
            Err(_) => match self.torn() {
                Some(verdict) => Step::Torn(verdict),
                None => return self.next.push_back(Next::Stronger),
            },
        };
        self.next.push_back(Next::Step(step));
    }

    /// Has the holder write its counted use.
    pub(super) fn commit(&mut self, crypto: &dyn Crypto, next: Counted, verdict: Verdict) {
        match self.end.commit(crypto, next) {
            Ok(command) => {
                self.waiting = Some(verdict);
                self.command(&command);
            }
            Err(_) => {
                self.next.push_back(Next::Step(Step::Ended(Reason::ReaderFault, None)));
            }
        }
    }

    /// The holder has gone, or says nothing.
    pub(super) fn lost(&mut self) {
        let step = self.torn().map_or(Step::Ended(Reason::Interrupted, None), Step::Torn);
        self.next.push_back(Next::Step(step));
    }

    /// Where the use may have been written and may not.
    pub(super) const fn torn(&mut self) -> Option<Verdict> {
        self.waiting.take()
    }

    fn command(&mut self, command: &Apdu) {
        self.next.push_back(Next::Step(Step::Command(command.as_bytes().to_vec())));
    }
}
