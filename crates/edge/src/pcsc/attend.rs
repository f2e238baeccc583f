//! Serving one reader through everything that may happen to it.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, State};

use super::card::rouse;
use super::{CardLink, Unfound, connect, establish, find, names};

/// How long to wait for a notice before looking whether anybody still wants to hear it.
const NOTICE: Duration = Duration::from_secs(1);
/// How long the service may take to notice that a card has gone: it looks every 400 ms. If it has not
/// by then, another card lies there that came too soon after the first.
const DEPARTURE: Duration = Duration::from_millis(500);
/// How often a card is tried again that moves while it is served.
const FAILURES_MAX: u32 = 3;
/// How long to wait before calling a service that is not there once more: at first, and at most. There
/// is no notice of a service that starts.
const CALL_FIRST: Duration = Duration::from_millis(100);
const CALL_LAST: Duration = Duration::from_secs(2);

/// Who serves the cards of one reader.
pub trait Attendant {
    /// Hears what happens to the reader.
    fn hear(&mut self, event: Event<'_>);

    /// Serves one card. It is let go of afterwards, and is not served again until it was taken away.
    fn serve(&mut self, card: &mut CardLink);
}

/// What happens to a reader. Each is told once, until another is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'e> {
    /// It is there and waits for cards.
    Ready {
        /// Its name with the numbers.
        reader: &'e str,
    },
    /// It is not there, or its name means several.
    Unfound(&'e Unfound),
    /// The service does not answer.
    NoService(Error),
    /// There is a card that cannot be used.
    Unusable(Error),
    /// A card fell silent; the reader waits until it is taken away.
    Silent,
}

impl Event<'_> {
    /// Whether this is about the reader as a whole, not about one card.
    const fn is_lasting(self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Unfound(_) | Self::NoService(_))
    }
}

/// Serves the reader called `name` until `stop` is set, which it notices within a second.
pub fn attend(name: &str, stop: &AtomicBool, attendant: &mut dyn Attendant) {
    let mut post = Post { name, stop, attendant, told: None };
    let mut pause = CALL_FIRST;
    while !post.is_over() {
        let ended = establish().and_then(|context| {
            pause = CALL_FIRST;
            post.watch(&context)
        });
        if let Err(error) = ended {
            post.tell(Event::NoService(error));
            std::thread::sleep(pause);
            pause = (pause * 2).min(CALL_LAST);
        }
    }
}

struct Post<'p> {
    name: &'p str,
    stop: &'p AtomicBool,
    attendant: &'p mut dyn Attendant,
    /// The last lasting event, so that it is not told twice.
    told: Option<String>,
}

impl Post<'_> {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn tell(&mut self, event: Event<'_>) {
        let said = format!("{event:?}");
        if event.is_lasting() && self.told.as_ref() == Some(&said) {
            return;
        }
        if event.is_lasting() {
            self.told = Some(said);
        }
        self.attendant.hear(event);
    }

    /// Finds the reader, again and again, and serves it while it is there.
    fn watch(&mut self, context: &Context) -> Result<(), Error> {
        while !self.is_over() {
            let names = names(context)?;
            let texts: Vec<String> =
                names.iter().map(|name| name.to_string_lossy().into()).collect();
            match find(self.name, &texts) {
                Ok(found) => {
                    self.tell(Event::Ready { reader: found });
                    let same = texts.iter().position(|text| text == found);
                    let reader = same.and_then(|at| names.get(at)).ok_or(Error::UnknownReader)?;
                    self.stand_by(context, reader)?;
                }
                Err(unfound) => {
                    self.tell(Event::Unfound(&unfound));
                    await_readers(context, texts.len())?;
                }
            }
        }
        Ok(())
    }

    /// Serves the cards of `reader` until the reader is gone.
    fn stand_by(&mut self, context: &Context, reader: &CStr) -> Result<(), Error> {
        let mut state = ReaderState::new(reader, State::UNAWARE);
        // The count grows when the service notices that a card comes or goes.
        let mut served = None;
        let mut doubt = Doubt::default();
        while !self.is_over() {
            match context.get_status_change(doubt.wait(), std::slice::from_mut(&mut state)) {
                Ok(()) => {}
                Err(Error::Timeout) if doubt.is_there => {
                    let then = self.receive(rouse(context, reader), doubt.may_look());
                    doubt.after(then);
                    served = (then != Then::Nobody).then_some(state.event_count());
                    continue;
                }
                Err(Error::Timeout) => continue,
                Err(Error::UnknownReader | Error::ReaderUnavailable) => return Ok(()),
                Err(error) => return Err(error),
            }
            let (seen, count) = (state.event_state(), state.event_count());
            state.sync_current_state();
            if seen.intersects(State::UNKNOWN | State::UNAVAILABLE | State::IGNORE) {
                return Ok(());
            }
            if !seen.contains(State::PRESENT) {
                // Without growth it was our reset that found nobody.
                if served == Some(count) {
                    doubt.after(Then::Left);
                } else {
                    doubt = Doubt::default();
                }
                served = None;
            } else if served != Some(count) {
                doubt = Doubt::default();
                let then = self.receive(connect(context, reader), doubt.may_look());
                doubt.after(then);
                served = (then != Then::Busy).then_some(count);
            }
        }
        Ok(())
    }

    /// Serves one card. Why it cannot be used is told only where it may not be tried again.
    fn receive(&mut self, card: Result<CardLink, Error>, may_look: bool) -> Then {
        match card {
            Ok(mut card) => {
                self.attendant.serve(&mut card);
                if card.is_silent() {
                    self.tell(Event::Silent);
                }
                if card.close() { Then::Failed } else { Then::Served }
            }
            Err(Error::NoSmartcard | Error::RemovedCard) => Then::Nobody,
            Err(error) if error == Error::SharingViolation => {
                self.tell(Event::Unusable(error));
                Then::Busy
            }
            Err(error) if is_passing(error) && may_look => Then::Failed,
            Err(error) => {
                self.tell(Event::Unusable(error));
                Then::Nobody
            }
        }
    }
}

/// What became of a card.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It was served and lies there, or leaves.
    Served,
    /// It was served and has left, as our reset of it found.
    Left,
    /// It moved or left while it was served.
    Failed,
    /// There is none, or none that can be used.
    Nobody,
    /// Another program has it; the service tells when it is free.
    Busy,
}

/// Whether an error says that the card moved, and not that it is none of ours.
const fn is_passing(error: Error) -> bool {
    matches!(error, Error::UnpoweredCard | Error::UnresponsiveCard | Error::NotTransacted)
}

/// Whether the service may have missed that a card went and another came: then the reader looks itself,
/// once the service has had the time to notice.
#[derive(Default)]
struct Doubt {
    is_there: bool,
    failures: u32,
}

impl Doubt {
    /// Whether a card that moved is tried again.
    const fn may_look(&self) -> bool {
        self.failures < FAILURES_MAX
    }

    const fn wait(&self) -> Duration {
        if self.is_there { DEPARTURE } else { NOTICE }
    }

    const fn after(&mut self, then: Then) {
        match then {
            Then::Left => (self.is_there, self.failures) = (true, 0),
            // After one that was served by a look of ours the next may come as fast.
            Then::Served if self.is_there => self.failures = 0,
            // A card that moved may lie still now; one that never does is left alone.
            Then::Failed if self.may_look() => {
                (self.is_there, self.failures) = (true, self.failures + 1);
            }
            _ => self.is_there = false,
        }
    }
}

/// Waits until a reader comes or goes.
fn await_readers(context: &Context, known: usize) -> Result<(), Error> {
    let name: CString = PNP_NOTIFICATION().into();
    let mut notice = ReaderState::new(name, State::UNAWARE);
    // The first answer says how many there are; one that came since the list was read is not missed.
    match context.get_status_change(Duration::ZERO, std::slice::from_mut(&mut notice)) {
        Ok(()) | Err(Error::Timeout) => notice.sync_current_state(),
        Err(error) => return Err(error),
    }
    if names(context)?.len() != known {
        return Ok(());
    }
    match context.get_status_change(NOTICE, std::slice::from_mut(&mut notice)) {
        Ok(()) | Err(Error::Timeout) => Ok(()),
        Err(error) => Err(error),
    }
}
