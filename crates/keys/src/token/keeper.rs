//! What a custodian does on its token, on a thread that may wait.
//!
//! Changes go one at a time. A key counts from the moment that its private object has its label, and
//! is gone from the moment that this object is destroyed; what a crash leaves on either side of that
//! is swept away at the next opening.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant as Moment};

use credential::crypto::{Algorithm, Signature};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::custody::{KeyHandle, SignError};
use crate::object::TypedObject;
use crate::token::listing::Listing;
use crate::token::lock::{Held, Lock};
use crate::token::mechanism::SuiteOnToken;
use crate::token::pin::Pin;
use crate::token::pool::{Pool, PoolError};
use crate::token::quirks::Quirks;
use crate::token::{Role, TokenError};

/// How old the list of keys may be before it is read again.
pub(crate) const LISTING_AGE_MAX: Duration = Duration::from_secs(5);
/// How often at most the list is read because somebody names a key that is not in it.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Keeper {
    pub(super) pool: Pool,
    pub(super) role: Role,
    /// The PIN of the security officer, in a ceremony.
    pub(super) officer: Option<Pin>,
    held_by: Arc<str>,
    pub(super) quirks: &'static Quirks,
    pub(super) mechanisms: Vec<MechanismType>,
    lock: Lock,
    listing: RwLock<Arc<Listing>>,
    read_at: Mutex<Moment>,
    refreshing: AtomicBool,
    /// One change at a time.
    pub(super) writer: Mutex<()>,
    trouble: Mutex<Option<String>>,
}

/// A signature that was asked for, ready for the token.
pub(crate) struct Order {
    handle: KeyHandle,
    on_token: &'static SuiteOnToken,
    algorithm: Algorithm,
    to_sign: Vec<u8>,
}

/// Why the token did not do what it was asked.
pub(super) enum Trouble {
    Pool(PoolError),
    TakenOver(String),
}

impl From<PoolError> for Trouble {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl Keeper {
    pub(crate) fn open(pool: Pool, role: Role, officer: Option<Pin>) -> Result<Self, TokenError> {
        let (token, mechanisms) = pool.with_slot(|library, slot| {
            Ok((library.get_token_info(slot)?, library.get_mechanism_list(slot)?))
        })?;
        let label = pool.label().to_owned();
        let held_by: Arc<str> = format!("token:{label}").into();
        let lock = Lock::new(role);
        if let Some(holder) = pool.once(|session| lock.place(session))? {
            return Err(TokenError::InUse { label, holder });
        }
        let opened = pool
            .with_connection(|session, connection| {
                Listing::read(session, connection, role, &held_by)
            })
            .map_err(TokenError::Pool)
            .and_then(|listing| {
                match listing.refused.iter().any(|key| key.fault.is_of_other_role()) {
                    true if role == Role::City => Err(TokenError::HoldsRoot { label }),
                    true => Err(TokenError::HoldsOthers { label }),
                    false => Ok(listing),
                }
            });
        let listing = match opened {
            Ok(listing) => listing,
            Err(error) => {
                // Whatever goes wrong now changes nothing about the error that is told.
                let _ = pool.once(|session| lock.remove(session));
                return Err(error);
            }
        };
        let keeper = Self {
            quirks: Quirks::of(token.manufacturer_id(), token.model()),
            pool,
            role,
            officer,
            held_by,
            mechanisms,
            lock,
            listing: RwLock::new(Arc::new(listing)),
            read_at: Mutex::new(Moment::now()),
            refreshing: AtomicBool::new(false),
            writer: Mutex::new(()),
            trouble: Mutex::new(None),
        };
        if let Err(error) = keeper.sweep() {
            keeper.leave();
            return Err(TokenError::Pool(error));
        }
        Ok(keeper)
    }

    /// Gives the token up to others.
    pub(crate) fn leave(&self) {
        // A token that cannot be reached keeps the mark, which then names a process that has ended.
        let _ = self.pool.once(|session| self.lock.remove(session));
    }

    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) const fn quirks(&self) -> &'static Quirks {
        self.quirks
    }

    /// Whether a key that leaves under a trusted wrapping key alone can leave at all.
    pub(super) const fn can_trust(&self) -> bool {
        self.quirks.officer_can_trust || self.officer.is_some()
    }

    pub(crate) fn listing(&self) -> Arc<Listing> {
        Arc::clone(&self.listing.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the caller is the one who must now have the list read.
    pub(crate) fn begin_refresh_if_old(&self) -> bool {
        let age = self.read_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        age > LISTING_AGE_MAX && !self.refreshing.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn refresh_not_begun(&self) {
        self.refreshing.store(false, Ordering::Release);
    }

    pub(crate) fn refresh_begun(&self) {
        // What went wrong is in `trouble`; the old list stands meanwhile.
        let _ = self.refresh();
        self.refresh_not_begun();
    }

    pub(crate) fn refresh_for_unknown(&self) {
        let age = self.read_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if age > UNKNOWN_PAUSE {
            let _ = self.refresh();
        }
    }

    pub(super) fn refresh(&self) -> Result<(), Trouble> {
        let read = self.note(self.read_listing());
        // An attempt that failed counts too: a token that is away is not asked all the time.
        *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = Moment::now();
        *self.listing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read?);
        Ok(())
    }

    /// Reads the keys while the mark says that they are ours. A token without the mark has lost more
    /// than that, or was given up by a person.
    fn read_listing(&self) -> Result<Listing, Trouble> {
        let mut is_fresh = false;
        for _ in 0..3 {
            let read = self.pool.with_connection(|session, connection| {
                Ok(match self.lock.held(session)? {
                    Held::Ours => Ok(Listing::read(session, connection, self.role, &self.held_by)?),
                    held => Err((held, connection)),
                })
            })?;
            match read {
                Ok(listing) => return Ok(listing),
                Err((Held::Others(holder), _)) => return Err(Trouble::TakenOver(holder)),
                Err((_, connection)) if !is_fresh => {
                    self.pool.suspect(connection);
                    is_fresh = true;
                }
                Err(_) => {
                    let other = self.pool.once(|session| self.lock.place(session))?;
                    if let Some(holder) = other {
                        return Err(Trouble::TakenOver(holder));
                    }
                }
            }
        }
        Err(Trouble::Pool(PoolError::Away { label: self.pool.label().to_owned() }))
    }

    /// Whether the token still has the mark of this custodian.
    pub(super) fn is_ours(&self, session: &Session) -> Result<bool, Error> {
        Ok(self.lock.held(session)? == Held::Ours)
    }

    /// Remembers what went wrong until something goes right.
    pub(super) fn note<T>(&self, answer: Result<T, Trouble>) -> Result<T, Trouble> {
        let text = answer.as_ref().err().map(|trouble| match trouble {
            Trouble::Pool(error) => error
                .source()
                .map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
            Trouble::TakenOver(holder) => {
                format!("use token: another custodian has taken it (`{holder}`)")
            }
        });
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = text;
        answer
    }

    /// Checks what may be signed, and takes the hash. Does not call the token.
    pub(crate) fn prepare(
        &self,
        handle: &KeyHandle,
        object: &TypedObject<'_>,
    ) -> Result<Order, SignError> {
        let listing = self.listing();
        let (key, _) = listing.find(handle).ok_or(SignError::UnknownKey { handle: *handle })?;
        key.may_sign(object)?;
        let on_token = SuiteOnToken::of(key.suite).ok_or(SignError::Unavailable)?;
        let algorithm = key.public_key.algorithm();
        Ok(Order {
            handle: *handle,
            on_token,
            algorithm,
            to_sign: on_token.to_sign(object.bytes()),
        })
    }

    /// Has the token sign.
    pub(crate) fn sign(&self, order: &Order) -> Result<Signature, SignError> {
        match self.note(self.sign_on_token(order)) {
            Ok(bytes) => {
                Signature::new(order.algorithm, &bytes).map_err(|_| SignError::Unavailable)
            }
            Err(_) => {
                // The key may be gone, and not the token.
                let handle = order.handle;
                match self.refresh() {
                    Ok(()) if self.listing().find(&handle).is_none() => {
                        Err(SignError::UnknownKey { handle })
                    }
                    _ => Err(SignError::Unavailable),
                }
            }
        }
    }

    fn sign_on_token(&self, order: &Order) -> Result<Vec<u8>, Trouble> {
        let listing = self.listing();
        let listed = listing.find(&order.handle).map(|(_, private)| private);
        let mechanism = order.on_token.signing();
        // The second time is on a connection that was made because of the first.
        for _ in 0..2 {
            let signed = self.pool.with_connection(|session, connection| {
                let private = match listed {
                    Some(private) if connection == listing.connection => Some(private),
                    _ => self.look_up(session, &order.handle)?,
                };
                let Some(private) = private else { return Ok(Err(connection)) };
                match session.sign(&mechanism, private, &order.to_sign) {
                    Err(Error::Pkcs11(
                        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid,
                        _,
                    )) => Ok(Err(connection)),
                    signed => signed.map(|signature| Ok((signature, connection))),
                }
            })?;
            match signed {
                Ok((signature, connection)) => {
                    if connection != listing.connection {
                        self.make_old();
                    }
                    return Ok(signature);
                }
                Err(connection) => self.pool.suspect(connection),
            }
        }
        Err(Trouble::Pool(PoolError::Away { label: self.pool.label().to_owned() }))
    }

    /// The private key `handle` on the present connection.
    fn look_up(
        &self,
        session: &Session,
        handle: &KeyHandle,
    ) -> Result<Option<ObjectHandle>, Error> {
        let wanted =
            [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(handle.as_bytes().to_vec())];
        Ok(session.find_objects(&wanted)?.first().copied())
    }

    /// Has the list read again soon: its handles are those of an earlier connection.
    fn make_old(&self) {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = Moment::now().checked_sub(LISTING_AGE_MAX) {
            *read_at = earlier;
        }
    }
}
