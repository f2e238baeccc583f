//! Sessions with one token: a bounded number, logged in once, opened again after the token was away.
//!
//! There is one pool for each token in a process, however often it is opened: login and sessions
//! belong to the process (PKCS #11 2.40, 2.2). When a call says that the token or its module is gone,
//! the pool looks for the token again by its label, and initialises the module anew where that is
//! what it takes; between failures it pauses longer each time and answers at once with
//! [`PoolError::Away`]. A PIN that the token refused is never shown to it twice: the pool is closed
//! until a person opens it again ([`Pool::reopen`]), so that no loop locks a token.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};

use crate::token::Settings;
use crate::token::desk::{Desk, Link, Loan, Taken, Up, lent_max};
pub use crate::token::error::{PinRefusal, PoolError};
use crate::token::module::{Module, State};
use crate::token::pin::Pin;

/// Sessions that a pool lends at one time; fewer where the token allows fewer.
pub const SESSIONS_MAX: usize = 16;
/// How long a caller waits for a session to come back before [`PoolError::Busy`].
pub const SESSION_WAIT: Duration = Duration::from_secs(2);
/// The pause after the first failure to reach the token.
pub const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two attempts to reach the token.
pub const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Sessions with one token. Clones share them.
#[derive(Clone)]
pub struct Pool(pub(super) Arc<Inner>);

/// Which connection to the token is meant. Handles of objects hold within one connection only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection(u64);

pub(crate) struct Inner {
    pub(super) module: Arc<Module>,
    pub(super) label: String,
    desk: Mutex<Desk>,
    /// Woken when a session comes back.
    pub(super) returned: Condvar,
    /// One thread at a time looks for the token.
    pub(super) connecting: Mutex<()>,
}

impl Pool {
    /// Opens the token that `settings` name, or joins the pool that this process has with it.
    ///
    /// A PIN that the token refused is not shown to it again by this process, however often it is
    /// called: that is [`PoolError::Closed`].
    ///
    /// # Errors
    /// [`PoolError`]: among them [`PoolError::NoToken`] with the labels that are present,
    /// [`PoolError::Pin`] when the token refuses the PIN, [`PoolError::OtherPin`] when this process
    /// has the token open with another PIN.
    pub fn open(settings: &Settings, pin: Pin) -> Result<Self, PoolError> {
        let module = Module::load(&settings.module)?;
        if module.has_refused(&settings.label, &pin) {
            return Err(PoolError::Closed { label: settings.label.clone() });
        }
        let mut pools = module.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let open = pools.get(&settings.label).and_then(std::sync::Weak::upgrade);
        let pool = if let Some(inner) = open {
            Self(inner)
        } else {
            let link = Link::Down { until: Instant::now(), pause: PAUSE_MIN };
            let desk = Desk { pin: pin.clone(), serial: None, connections: 0, link };
            let inner = Arc::new(Inner {
                module: Arc::clone(&module),
                label: settings.label.clone(),
                desk: Mutex::new(desk),
                returned: Condvar::new(),
                connecting: Mutex::new(()),
            });
            pools.retain(|_, pool| pool.strong_count() > 0);
            pools.insert(settings.label.clone(), Arc::downgrade(&inner));
            Self(inner)
        };
        drop(pools);
        pool.reopen(pin)?;
        Ok(pool)
    }

    /// Opens a pool anew that was closed because the token refused the PIN. For a person to call.
    ///
    /// # Errors
    /// As [`Pool::open`].
    pub fn reopen(&self, pin: Pin) -> Result<(), PoolError> {
        let generation = self.0.module.hold().generation;
        let mut desk = self.0.desk();
        match &desk.link {
            Link::Closed => {
                desk.pin = pin;
                desk.link = Link::Down { until: Instant::now(), pause: PAUSE_MIN };
                drop(desk);
                // A module may remember the PIN that was right when it started.
                self.0.module.restart(generation)?;
                return self.0.connect();
            }
            _ if !desk.pin.is_same_as(&pin) => {
                return Err(PoolError::OtherPin { label: self.0.label.clone() });
            }
            Link::Up(_) => return Ok(()),
            Link::Down { .. } => {}
        }
        drop(desk);
        self.0.connect()
    }

    /// The label of the token.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Lends a session to `work`, which may run a second time on a new connection when the first was
    /// lost: it must be fit to be repeated. Not to be called from within `work`.
    ///
    /// # Errors
    /// [`PoolError`]; what the token answered to `work` is [`PoolError::Token`].
    pub fn with<T>(
        &self,
        mut work: impl FnMut(&Session) -> Result<T, Error>,
    ) -> Result<T, PoolError> {
        self.with_connection(|session, _| work(session))
    }

    /// As [`Pool::with`], and tells `work` on which connection it is, for handles that it keeps.
    ///
    /// # Errors
    /// As [`Pool::with`].
    pub fn with_connection<T>(
        &self,
        mut work: impl FnMut(&Session, Connection) -> Result<T, Error>,
    ) -> Result<T, PoolError> {
        match self.0.lend(|loan, session| work(session, loan.connection)) {
            Err(error) if error.is_loss() => {
                self.0.lend(|loan, session| work(session, loan.connection))
            }
            answer => answer,
        }
    }

    /// Lends a session to `work`, which runs at most once: for what must not be repeated.
    ///
    /// # Errors
    /// As [`Pool::with`].
    pub fn once<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, PoolError> {
        self.0.lend(|_, session| work(session))
    }

    /// Lends the module and the slot of the token, for questions that need no session.
    ///
    /// # Errors
    /// As [`Pool::with`].
    pub fn with_slot<T>(
        &self,
        mut work: impl FnMut(&Pkcs11, Slot) -> Result<T, Error>,
    ) -> Result<T, PoolError> {
        let library = self.0.module.library();
        match self.0.lend(|loan, _| work(library, loan.slot)) {
            Err(error) if error.is_loss() => self.0.lend(|loan, _| work(library, loan.slot)),
            answer => answer,
        }
    }

    /// Gives up `connection` because what it told cannot be true: objects that the token keeps are
    /// gone. The next call connects anew.
    pub fn suspect(&self, connection: Connection) {
        let _hold = self.0.module.hold();
        let mut desk = self.0.desk();
        if matches!(&desk.link, Link::Up(up) if up.connection == connection) {
            desk.lose();
        }
    }
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pool").field("label", &self.0.label).finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lend<T>(
        &self,
        work: impl FnOnce(&Loan<'_>, &Session) -> Result<T, Error>,
    ) -> Result<T, PoolError> {
        let mut hold = self.module.hold();
        let loan = match self.take(&hold)? {
            Taken::Loan(loan) => loan,
            Taken::Down => {
                drop(hold);
                self.connect()?;
                hold = self.module.hold();
                match self.take(&hold)? {
                    Taken::Loan(loan) => loan,
                    Taken::Down => return Err(PoolError::Away { label: self.label.clone() }),
                }
            }
        };
        let answer = match &loan.session {
            Some(session) => work(&loan, session).map_err(PoolError::of),
            None => Err(PoolError::Away { label: self.label.clone() }),
        };
        loan.give_back(&answer);
        drop(hold);
        answer
    }

    fn take(&self, hold: &State) -> Result<Taken<'_>, PoolError> {
        let until = Instant::now() + SESSION_WAIT;
        let mut desk = self.desk();
        loop {
            let up = match &mut desk.link {
                Link::Up(up) if hold.is_initialised && up.generation == hold.generation => up,
                Link::Up(up) => {
                    // Somebody else's token made the module start anew; ours is not to blame.
                    let pause = up.pause;
                    desk.link = Link::Down { until: Instant::now(), pause };
                    return Ok(Taken::Down);
                }
                Link::Down { .. } => return Ok(Taken::Down),
                Link::Closed => return Err(PoolError::Closed { label: self.label.clone() }),
            };
            if up.lent < up.lent_max {
                let library = self.module.library();
                let opened = match up.idle.pop() {
                    Some(session) => Ok(session),
                    None => library.open_rw_session_no_drop(up.slot),
                };
                let (connection, slot) = (up.connection, up.slot);
                match opened.map_err(PoolError::of) {
                    Ok(session) => {
                        up.lent += 1;
                        let session = Some(session);
                        return Ok(Taken::Loan(Loan { inner: self, connection, slot, session }));
                    }
                    Err(error) if error.is_loss() => {
                        desk.lose();
                        return Ok(Taken::Down);
                    }
                    Err(error) => return Err(error),
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(PoolError::Busy { label: self.label.clone() });
            }
            let woken = self.returned.wait_timeout(desk, left);
            desk = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Looks for the token and logs in, unless somebody did or the pause is not over.
    fn connect(&self) -> Result<(), PoolError> {
        let _one = self.connecting.lock().unwrap_or_else(PoisonError::into_inner);
        let (pin, serial, pause) = {
            let desk = self.desk();
            match &desk.link {
                Link::Up(_) => return Ok(()),
                Link::Closed => return Err(PoolError::Closed { label: self.label.clone() }),
                Link::Down { until, .. } if Instant::now() < *until => {
                    return Err(PoolError::Away { label: self.label.clone() });
                }
                Link::Down { pause, .. } => (desk.pin.clone(), desk.serial.clone(), *pause),
            }
        };
        let mut outcome = self.log_in(&pin, serial.as_deref());
        if let Err((error, generation)) = &outcome
            && error.may_pass_after_a_restart()
        {
            // Soft tokens and some modules see a token that came back only after a new start.
            let restarted = self.module.restart(*generation);
            outcome = match restarted {
                Ok(()) => self.log_in(&pin, serial.as_deref()),
                Err(error) => Err((error, *generation)),
            };
        }
        let mut desk = self.desk();
        match outcome {
            Ok((mut up, serial)) => {
                self.module.remember_refused(&self.label, None);
                desk.connections += 1;
                up.connection = Connection(desk.connections);
                up.pause = (pause * 2).min(PAUSE_MAX);
                desk.serial = Some(serial);
                desk.link = Link::Up(up);
                self.returned.notify_all();
                Ok(())
            }
            Err((error, _)) => {
                desk.link = if let PoolError::Pin { refusal, .. } = &error {
                    if *refusal == PinRefusal::Incorrect {
                        self.module.remember_refused(&self.label, Some(pin));
                    }
                    Link::Closed
                } else {
                    let until = Instant::now() + pause;
                    Link::Down { until, pause: (pause * 2).min(PAUSE_MAX) }
                };
                Err(error)
            }
        }
    }

    /// The token, which is the one that was opened first.
    pub(super) fn find(
        &self,
        hold: &State,
        serial: Option<&str>,
    ) -> Result<(Slot, TokenInfo), PoolError> {
        if !hold.is_initialised {
            return Err(PoolError::Away { label: self.label.clone() });
        }
        let (slot, token) = self.module.find(&self.label)?;
        if serial.is_some_and(|serial| serial != token.serial_number()) {
            return Err(PoolError::OtherToken { label: self.label.clone() });
        }
        Ok((slot, token))
    }

    fn log_in(&self, pin: &Pin, serial: Option<&str>) -> Result<(Up, String), (PoolError, u64)> {
        let hold = self.module.hold();
        let generation = hold.generation;
        self.log_in_held(&hold, pin, serial).map_err(|error| (error, generation))
    }

    fn log_in_held(
        &self,
        hold: &State,
        pin: &Pin,
        serial: Option<&str>,
    ) -> Result<(Up, String), PoolError> {
        let (slot, token) = self.find(hold, serial)?;
        let refuse = |refusal| PoolError::Pin { label: self.label.clone(), refusal };
        if token.user_pin_final_try() {
            return Err(refuse(PinRefusal::FinalTry));
        }
        let library = self.module.library();
        let anchor = library.open_rw_session_no_drop(slot).map_err(PoolError::of)?;
        match anchor.login(UserType::User, Some(&pin.for_login())) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => {
                let _ = anchor.close();
                return Err(PinRefusal::of(&error).map_or(PoolError::of(error), refuse));
            }
        }
        let up = Up {
            slot,
            generation: hold.generation,
            connection: Connection(0),
            anchor,
            idle: Vec::new(),
            lent: 0,
            lent_max: lent_max(&token),
            pause: PAUSE_MIN,
        };
        Ok((up, token.serial_number().to_owned()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let hold = self.module.hold();
        let desk = self.desk.get_mut().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now();
        let link = core::mem::replace(&mut desk.link, Link::Down { until, pause: PAUSE_MIN });
        if let Link::Up(up) = link
            && up.generation == hold.generation
        {
            up.close();
        }
    }
}
