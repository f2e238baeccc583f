//! What a pool has in hand: the connection, its sessions, and those that are lent.

use std::time::{Duration, Instant};

use cryptoki::session::Session;
use cryptoki::slot::{Limit, Slot, TokenInfo};

use crate::token::error::PoolError;
use crate::token::pin::Pin;
use crate::token::pool::{Connection, Inner, PAUSE_MIN, SESSIONS_MAX};

pub(super) struct Desk {
    pub(super) pin: Pin,
    /// Of the token that was opened first: another one with its label is not taken for it.
    pub(super) serial: Option<String>,
    pub(super) connections: u64,
    pub(super) link: Link,
}

pub(super) enum Link {
    Up(Up),
    /// Not before `until` is the token looked for again.
    Down {
        until: Instant,
        pause: Duration,
    },
    /// The token refused the PIN.
    Closed,
}

pub(super) struct Up {
    pub(super) slot: Slot,
    pub(super) generation: u64,
    pub(super) connection: Connection,
    /// Never lent: a token logs out when the last session is closed.
    pub(super) anchor: Session,
    pub(super) idle: Vec<Session>,
    pub(super) lent: usize,
    pub(super) lent_max: usize,
    /// How long to pause if this connection is lost; shortest once it has served.
    pub(super) pause: Duration,
}

/// What is lent to one piece of work.
pub(super) struct Loan<'a> {
    pub(super) inner: &'a Inner,
    pub(super) connection: Connection,
    pub(super) slot: Slot,
    pub(super) session: Option<Session>,
}

pub(super) enum Taken<'a> {
    Loan(Loan<'a>),
    Down,
}

/// What the token allows, without the session that is never lent.
pub(super) fn lent_max(token: &TokenInfo) -> usize {
    [token.max_session_count(), token.max_rw_session_count()]
        .into_iter()
        .filter_map(|limit| match limit {
            Limit::Max(limit) => usize::try_from(limit).ok(),
            _ => None,
        })
        .fold(SESSIONS_MAX, |least, limit| least.min(limit.saturating_sub(1)))
        .max(1)
}

impl Desk {
    /// Gives up the connection. Only while the module is held, so that its sessions are closed in the
    /// generation that they are of.
    pub(super) fn lose(&mut self) {
        let until = Instant::now();
        let link = core::mem::replace(&mut self.link, Link::Down { until, pause: PAUSE_MIN });
        match link {
            Link::Up(up) => {
                // A connection that never served pauses; the first loss after service does not.
                let until = if up.pause > PAUSE_MIN { until + up.pause } else { until };
                self.link = Link::Down { until, pause: up.pause };
                up.close();
            }
            other => self.link = other,
        }
    }
}

impl Up {
    /// The sessions may be dead already; then there is nothing to close.
    pub(super) fn close(self) {
        for session in self.idle {
            let _ = session.close();
        }
        let _ = self.anchor.close();
    }
}

impl Loan<'_> {
    pub(super) fn give_back<T>(mut self, answer: &Result<T, PoolError>) {
        let Some(session) = self.session.take() else { return };
        let mut desk = self.inner.desk();
        match &mut desk.link {
            Link::Up(up) if up.connection == self.connection => {
                up.lent -= 1;
                match answer {
                    Ok(_) => {
                        up.pause = PAUSE_MIN;
                        up.idle.push(session);
                    }
                    // An operation may have been left half done in it.
                    Err(error) => {
                        let _ = session.close();
                        if error.is_loss() {
                            desk.lose();
                        }
                    }
                }
            }
            _ => drop(session.close()),
        }
        self.inner.returned.notify_one();
    }
}

impl Drop for Loan<'_> {
    /// Still there only when the work panicked.
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let mut desk = self.inner.desk();
            if let Link::Up(up) = &mut desk.link
                && up.connection == self.connection
            {
                up.lent -= 1;
            }
            let _ = session.close();
            self.inner.returned.notify_one();
        }
    }
}
