//! One tap: whatever is in the field, driven by one profile after another to its answer.
//!
//! What the door and the holder both can is tried in the order of speed. A profile that comes to nothing
//! gives way to a stronger one, never to a weaker one, and never once the holder has proved itself.

mod express;
mod identity;
mod standard;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::{BadKey, Crypto, P256Secret, Signature, Signer};
use credential::rejection::Rejection;
use presentation::express::Context;
use presentation::express::handle::Handle;
use presentation::express::reader::{Counted, Proven, Terms};
use presentation::standard::reader;
use presentation::verifier::Input;
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use self::express::Express;
pub(super) use self::express::Opened;
use self::identity::Identity;
use self::standard::Standard;
pub(super) use self::standard::Start;
use super::Config;
use super::judge::{Accessed, Presented, Verdict};
use super::pace::Pace;
use crate::decision::Reason;

/// Whatever is in the field at a door.
#[derive(Debug)]
pub(super) struct Tap {
    door: PlaceCode,
    pace: Pace,
    plan: Plan,
    course: Course,
    failure: Option<(Reason, Option<Rejection>)>,
}

#[derive(Debug)]
enum Course {
    Express(Box<Express>),
    Standard(Box<Standard>),
    Identity(Box<Identity>),
}

/// The profiles that are still to be tried, in the order of what they prove, least first.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) express: Option<Terms>,
    pub(super) standard: Option<Start>,
    /// The ephemeral key of its session.
    pub(super) identity: Option<P256Secret>,
}

/// What comes next in a profile that may give way to another.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Next {
    Step(Step),
    /// This profile came to nothing: try a stronger one.
    Stronger,
}

/// What the tap wants its engine to do.
#[derive(Debug)]
pub(super) enum Step {
    Command(Vec<u8>),
    Sign(Vec<u8>),
    Answer(Presented),
    /// The holder proved its key and showed an access document.
    Accessed(Box<Accessed>),
    /// The holder proved its key, and has no document to show.
    Absent(Rejection),
    /// The holder, with this key, proved itself by what an earlier tap left.
    Recognised(Box<[u8; 65]>),
    /// Have the secure element open this handle.
    OpenHandle(Context, Handle),
    /// The holder proved itself by the express tap.
    Proven(Context, Proven),
    /// The holder has written its counted use: this is the verdict that waited for it.
    Committed(Verdict),
    /// Whether it has, nobody knows.
    Torn(Verdict),
    /// It ended without an answer.
    Ended(Reason, Option<Rejection>),
    /// It ended after its answer.
    Over,
}

impl Tap {
    /// A tap that begins with the first profile of its plan.
    pub(super) fn new(
        crypto: &dyn Crypto,
        now: Instant,
        (door, pace): (PlaceCode, Pace),
        mut plan: Plan,
        config: &Config,
    ) -> Result<Self, BadKey> {
        let course = plan.next(crypto, now, config)?.ok_or(BadKey)?;
        Ok(Self { door, pace, plan, course, failure: None })
    }

    pub(super) const fn door(&self) -> &PlaceCode {
        &self.door
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.course {
            Course::Express(express) => Some(express.deadline()),
            Course::Standard(standard) => standard.poll_timeout(),
            Course::Identity(identity) => identity.poll_timeout(),
        }
    }

    /// A response, unless it came too late to be from here.
    pub(super) fn response(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        bytes: &[u8],
        took: Duration,
    ) {
        let is_answered = match &self.course {
            Course::Identity(identity) => identity.is_answered(),
            Course::Standard(standard) => standard.is_answered(),
            Course::Express(_) => false,
        };
        let kept = if is_answered { Ok(()) } else { self.pace.count(took) };
        match (kept, &mut self.course) {
            (Err(rejection), _) => self.fail(Reason::of(&rejection), Some(rejection)),
            (Ok(()), Course::Identity(identity)) => {
                identity.handle(crypto, now, Input::Response(bytes));
            }
            (Ok(()), Course::Standard(standard)) => {
                standard.handle(crypto, now, reader::Input::Response(bytes));
            }
            (Ok(()), Course::Express(express)) => express.response(crypto, now, bytes),
        }
    }

    /// The secure element has opened the handle of [`Step::OpenHandle`], or has not.
    pub(super) fn opened(&mut self, crypto: &dyn Crypto, now: Instant, opened: Opened) {
        if let Course::Express(express) = &mut self.course {
            express.opened(crypto, now, opened);
        }
    }

    /// Has the holder write `next`; `verdict` waits for it.
    pub(super) fn commit(&mut self, crypto: &dyn Crypto, next: Counted, verdict: Verdict) {
        if let Course::Express(express) = &mut self.course {
            express.commit(crypto, next, verdict);
        }
    }

    /// Tells the device whether the door opens.
    pub(super) fn conclude(&mut self, crypto: &dyn Crypto, now: Instant, is_granted: bool) {
        if let Course::Standard(standard) = &mut self.course {
            standard.conclude(crypto, now, is_granted);
        }
    }

    pub(super) fn timeout(&mut self, crypto: &dyn Crypto, now: Instant) {
        match &mut self.course {
            Course::Identity(identity) => identity.handle(crypto, now, Input::Timeout),
            Course::Standard(standard) => standard.handle(crypto, now, reader::Input::Timeout),
            Course::Express(express) if now >= express.deadline() => express.lost(),
            Course::Express(_) => {}
        }
    }

    pub(super) fn lost(&mut self, crypto: &dyn Crypto, now: Instant) {
        match &mut self.course {
            Course::Identity(identity) => identity.handle(crypto, now, Input::LinkLost),
            Course::Standard(standard) => standard.handle(crypto, now, reader::Input::LinkLost),
            Course::Express(express) => express.lost(),
        }
    }

    /// The verdict on a holder of whom nobody knows whether it has written its counted use.
    pub(super) fn torn(&mut self) -> Option<Verdict> {
        match &mut self.course {
            Course::Express(express) => express.torn(),
            Course::Standard(_) | Course::Identity(_) => None,
        }
    }

    /// The tap ends without an answer.
    pub(super) fn fail(&mut self, reason: Reason, rejection: Option<Rejection>) {
        self.failure = Some((reason, rejection));
    }

    /// The signature that was asked for is there.
    pub(super) fn signed(&mut self, crypto: &dyn Crypto, now: Instant, signature: &Signature) {
        match &mut self.course {
            Course::Identity(identity) => identity.signed(crypto, now, signature),
            Course::Standard(standard) => standard.signed(crypto, now, signature),
            Course::Express(_) => {}
        }
    }

    /// The next step, or nothing until more comes in.
    pub(super) fn step(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        config: &Config,
        signer: Option<&dyn Signer>,
    ) -> Option<Step> {
        if let Some((reason, rejection)) = self.failure.take() {
            // What a holder may have written is not forgotten because it was slow.
            return Some(self.torn().map_or(Step::Ended(reason, rejection), Step::Torn));
        }
        loop {
            let next = match &mut self.course {
                Course::Express(express) => express.step()?,
                Course::Standard(standard) => standard.step(crypto, now, config, signer)?,
                Course::Identity(identity) => return identity.step(crypto, now, config, signer),
            };
            if let Next::Step(step) = next {
                return Some(step);
            }
            match self.plan.next(crypto, now, config) {
                Ok(Some(stronger)) => self.course = stronger,
                // INVARIANT: no profile that may give way is the last of a plan.
                Ok(None) | Err(BadKey) => return Some(Step::Ended(Reason::ReaderFault, None)),
            }
        }
    }
}

impl Plan {
    /// Begins the next profile.
    fn next(
        &mut self,
        crypto: &dyn Crypto,
        now: Instant,
        config: &Config,
    ) -> Result<Option<Course>, BadKey> {
        if let Some(terms) = self.express.take() {
            return Ok(Some(Course::Express(Box::new(Express::new(now, terms)))));
        }
        if let Some(start) = self.standard.take() {
            let standard = Standard::new(crypto, now, start, config.link)?;
            return Ok(Some(Course::Standard(Box::new(standard))));
        }
        let Some(secret) = self.identity.take() else { return Ok(None) };
        let identity = Identity::new(crypto, now, secret, config.link)?;
        Ok(Some(Course::Identity(Box::new(identity))))
    }
}
