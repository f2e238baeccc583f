//! One tap: whatever is in the field, driven by one profile after another to its answer.
//!
//! What the door and the holder both can is tried in the order of speed. A profile that comes to nothing
//! gives way to a stronger one, never to a weaker one, and never once the holder has proved itself.

mod express;
mod identity;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use credential::crypto::{BadKey, Crypto, P256Secret, Signature, Signer};
use credential::rejection::Rejection;
use presentation::express::Context;
use presentation::express::handle::Handle;
use presentation::express::reader::{Counted, Proven, Terms};
use presentation::verifier::Input;
use vocabulary::code::PlaceCode;
use vocabulary::time::Instant;

use self::express::Express;
pub(super) use self::express::Opened;
use self::identity::Identity;
use super::Config;
use super::judge::{Presented, Verdict};
use super::pace::Pace;
use crate::decision::Reason;

/// Whatever is in the field at a door.
#[derive(Debug)]
pub(super) struct Tap {
    door: PlaceCode,
    pace: Pace,
    /// For the session of a stronger profile, as long as it has not begun.
    secret: Option<P256Secret>,
    course: Course,
    failure: Option<(Reason, Option<Rejection>)>,
}

#[derive(Debug)]
enum Course {
    Express(Box<Express>),
    Identity(Box<Identity>),
}

/// What the tap wants its engine to do.
#[derive(Debug)]
pub(super) enum Step {
    Command(Vec<u8>),
    Sign(Vec<u8>),
    Answer(Presented),
    /// Have the secure element open this handle.
    OpenHandle(Context, Handle),
    /// The holder proved itself by the express tap.
    Proven(Context, Proven),
    /// The holder has written its counted use: this is the verdict that waited for it.
    Committed(Verdict),
    /// Whether it has, nobody knows.
    Torn(Verdict, Proven),
    /// It ended without an answer.
    Ended(Reason, Option<Rejection>),
    /// It ended after its answer.
    Over,
}

impl Tap {
    /// A tap that begins with the express profile, where there are terms for it, or else with the
    /// identity profile.
    pub(super) fn new(
        crypto: &dyn Crypto,
        now: Instant,
        (door, pace): (PlaceCode, Pace),
        (secret, express): (P256Secret, Option<Terms>),
        config: &Config,
    ) -> Result<Self, BadKey> {
        let (secret, course) = match express {
            Some(terms) => (Some(secret), Course::Express(Box::new(Express::new(now, terms)))),
            None => {
                let identity = Identity::new(crypto, now, secret, config.link)?;
                (None, Course::Identity(Box::new(identity)))
            }
        };
        Ok(Self { door, pace, secret, course, failure: None })
    }

    pub(super) const fn door(&self) -> &PlaceCode {
        &self.door
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.course {
            Course::Express(express) => Some(express.deadline()),
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
        let is_answered =
            matches!(&self.course, Course::Identity(identity) if identity.is_answered());
        let kept = if is_answered { Ok(()) } else { self.pace.count(took) };
        match (kept, &mut self.course) {
            (Err(rejection), _) => self.fail(Reason::of(&rejection), Some(rejection)),
            (Ok(()), Course::Identity(identity)) => {
                identity.handle(crypto, now, Input::Response(bytes));
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

    pub(super) fn timeout(&mut self, crypto: &dyn Crypto, now: Instant) {
        match &mut self.course {
            Course::Identity(identity) => identity.handle(crypto, now, Input::Timeout),
            Course::Express(express) if now >= express.deadline() => express.lost(),
            Course::Express(_) => {}
        }
    }

    pub(super) fn lost(&mut self, crypto: &dyn Crypto, now: Instant) {
        match &mut self.course {
            Course::Identity(identity) => identity.handle(crypto, now, Input::LinkLost),
            Course::Express(express) => express.lost(),
        }
    }

    /// The tap ends without an answer.
    pub(super) fn fail(&mut self, reason: Reason, rejection: Option<Rejection>) {
        self.failure = Some((reason, rejection));
    }

    /// The signature that was asked for is there.
    pub(super) fn signed(&mut self, crypto: &dyn Crypto, now: Instant, signature: &Signature) {
        if let Course::Identity(identity) = &mut self.course {
            identity.signed(crypto, now, signature);
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
            let torn = match &mut self.course {
                Course::Express(express) => express.torn(),
                Course::Identity(_) => None,
            };
            return Some(torn.unwrap_or(Step::Ended(reason, rejection)));
        }
        if let Course::Express(express) = &mut self.course {
            match express.step()? {
                express::Next::Step(step) => return Some(step),
                express::Next::Stronger => {}
            }
            // INVARIANT: a tap that began with the express profile has its secret still.
            let secret = self.secret.take()?;
            match Identity::new(crypto, now, secret, config.link) {
                Ok(identity) => self.course = Course::Identity(Box::new(identity)),
                Err(BadKey) => return Some(Step::Ended(Reason::ReaderFault, None)),
            }
        }
        let Course::Identity(identity) = &mut self.course else { return None };
        identity.step(crypto, now, config, signer)
    }
}
