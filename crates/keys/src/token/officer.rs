//! The security officer's part in a ceremony: a wrapping key that the token trusts.
//!
//! A key with `CKA_WRAP_WITH_TRUSTED` leaves its token only under a key with `CKA_TRUSTED`, which the
//! officer alone can set (PKCS #11 2.40, 4.10). An officer sees no private objects, so the wrapping key
//! is not private; it is an object of one session, which is closed in the same call. A login belongs to
//! the process: nobody else uses the token meanwhile.

use std::sync::PoisonError;
use std::time::Instant;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::TokenInfo;

use crate::token::desk::Link;
use crate::token::error::{PinRefusal, PoolError};
use crate::token::module::State;
use crate::token::pin::Pin;
use crate::token::pool::{Inner, PAUSE_MIN, Pool, SESSION_WAIT};

/// Why nothing was done under a trusted key.
pub(crate) enum OfficerError {
    /// The token was not reached.
    Pool(PoolError),
    /// The token does not take the officer's PIN.
    Pin(PinRefusal),
    /// The officer is logged in and cannot make a trusted key; what the token answered, if anything.
    CannotTrust(Option<Error>),
    /// The work with the key failed.
    Work(Error),
}

impl From<PoolError> for OfficerError {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl Pool {
    /// Has the security officer make a trusted object by `template`, and then, logged in as the user
    /// again, does `work` with it. The object is of the session and gone afterwards.
    ///
    /// An officer's PIN that the token refused is not shown to it again by this process.
    pub(super) fn with_trusted<T>(
        &self,
        officer: &Pin,
        template: &[Attribute],
        work: impl FnOnce(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, OfficerError> {
        let inner = &*self.0;
        let name = format!("{}\0officer", inner.label);
        if inner.module.has_refused(&name, officer) {
            return Err(OfficerError::Pin(PinRefusal::Incorrect));
        }
        let _one = inner.connecting.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = inner.module.hold();
        let (user, serial) = inner.clear(&hold)?;
        let (slot, token) = inner.find(&hold, serial.as_deref())?;
        let session = inner.module.library().open_rw_session_no_drop(slot);
        let session = session.map_err(PoolError::of)?;
        let answer = make_trusted(&session, &token, officer, template).and_then(|object| {
            log_in_user(&session, &user, &inner.label)?;
            check_trusted(&session, object)?;
            work(&session, object).map_err(OfficerError::Work)
        });
        // Takes the object along, and whoever is logged in.
        let _ = session.close();
        if let Err(OfficerError::Pin(PinRefusal::Incorrect)) = &answer {
            inner.module.remember_refused(&name, Some(officer.clone()));
        }
        answer
    }
}

impl Inner {
    /// Closes every session; the next caller logs in anew. Answers what it takes to log in.
    fn clear(&self, hold: &State) -> Result<(Pin, Option<String>), PoolError> {
        let until = Instant::now() + SESSION_WAIT;
        let mut desk = self.desk();
        loop {
            match &desk.link {
                Link::Closed => return Err(PoolError::Closed { label: self.label.clone() }),
                Link::Up(up) if up.lent > 0 => {}
                Link::Up(_) | Link::Down { .. } => break,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(PoolError::Busy { label: self.label.clone() });
            }
            let woken = self.returned.wait_timeout(desk, left);
            desk = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let down = Link::Down { until: Instant::now(), pause: PAUSE_MIN };
        if let Link::Up(up) = core::mem::replace(&mut desk.link, down)
            && up.generation == hold.generation
        {
            up.close();
        }
        Ok((desk.pin.clone(), desk.serial.clone()))
    }
}

/// Logs the officer in, has the object made, and logs the officer out.
fn make_trusted(
    session: &Session,
    token: &TokenInfo,
    officer: &Pin,
    template: &[Attribute],
) -> Result<ObjectHandle, OfficerError> {
    if token.so_pin_final_try() {
        return Err(OfficerError::Pin(PinRefusal::FinalTry));
    }
    session.login(UserType::So, Some(&officer.for_login())).map_err(|error| {
        PinRefusal::of(&error)
            .map_or_else(|| OfficerError::Pool(PoolError::of(error)), OfficerError::Pin)
    })?;
    let made = session.create_object(template);
    session.logout().map_err(PoolError::of)?;
    made.map_err(|error| OfficerError::CannotTrust(Some(error)))
}

fn log_in_user(session: &Session, user: &Pin, label: &str) -> Result<(), PoolError> {
    session.login(UserType::User, Some(&user.for_login())).map_err(|error| {
        match PinRefusal::of(&error) {
            Some(refusal) => PoolError::Pin { label: label.to_owned(), refusal },
            None => PoolError::of(error),
        }
    })
}

/// A token may take the attribute and pass over it.
fn check_trusted(session: &Session, object: ObjectHandle) -> Result<(), OfficerError> {
    let found = session.get_attributes(object, &[AttributeType::Trusted]);
    match found.map_err(PoolError::of)?.as_slice() {
        [Attribute::Trusted(true)] => Ok(()),
        _ => Err(OfficerError::CannotTrust(None)),
    }
}
