//! Commands and answers in an EV2-style session (NXP AN12196), the side of the reader: with a MAC, or
//! encrypted and with a MAC.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::cipher::{CardCipher, SoftwareKey};
use super::error::CardError;
use super::ev2::{self, Session};

const BLOCK: usize = 16;
const MAC_BYTES: usize = 8;

/// A session and how many commands it has had.
#[derive(Debug)]
pub struct Channel {
    session: Session,
    counter: u16,
}

impl Channel {
    /// The channel of a session that has just begun.
    #[must_use]
    pub const fn new(session: Session) -> Self {
        Self { session, counter: 0 }
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Commands since the authentication.
    #[must_use]
    pub const fn counter(&self) -> u16 {
        self.counter
    }

    /// The data of a command whose `header` travels in clear, with a MAC.
    ///
    /// # Errors
    /// [`CardError`] when the session has no transaction or the cipher failed.
    pub fn authenticated(&self, command: u8, header: &[u8]) -> Result<Vec<u8>, CardError> {
        ev2::command(&self.session, command, self.counter, header, &[])
    }

    /// The data of a command whose `body` is encrypted.
    ///
    /// # Errors
    /// As [`Channel::authenticated`].
    pub fn encrypted(&self, command: u8, header: &[u8], body: &[u8]) -> Result<Vec<u8>, CardError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(body.len() + BLOCK));
        plain.extend_from_slice(body);
        plain.push(0x80);
        let whole = plain.len().next_multiple_of(BLOCK);
        plain.resize(whole, 0);
        let key = SoftwareKey::new(Zeroizing::new(*self.session.danger_encryption_key()));
        let iv = ev2::command_iv(&key, &self.session, self.counter)?;
        let sealed = key.encrypt(&iv, &plain)?;
        ev2::command(&self.session, command, self.counter, header, &sealed)
    }

    /// The data of an answer that came with a MAC.
    ///
    /// # Errors
    /// [`CardError::Card`] when the MAC is wrong: it is no answer of this card to this command.
    pub fn take<'a>(&mut self, answer: &'a [u8]) -> Result<&'a [u8], CardError> {
        let (data, tag) = answer.split_last_chunk::<MAC_BYTES>().ok_or(CardError::Length)?;
        let counter = self.counter.checked_add(1).ok_or(CardError::Length)?;
        let ti = self.session.transaction().ok_or(CardError::Length)?;
        let message = [&[0], counter.to_le_bytes().as_slice(), ti, data].concat();
        let key = SoftwareKey::new(Zeroizing::new(*self.session.danger_mac_key()));
        let own = ev2::short(&key.mac(&message)?);
        verify_slices_are_equal(&own, tag).map_err(|_| CardError::Card)?;
        self.counter = counter;
        Ok(data)
    }

    /// The data of an answer that came encrypted.
    ///
    /// # Errors
    /// As [`Channel::take`].
    pub fn take_encrypted(&mut self, answer: &[u8]) -> Result<Zeroizing<Vec<u8>>, CardError> {
        let sealed = self.take(answer)?;
        if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
            return Err(CardError::Length);
        }
        let key = SoftwareKey::new(Zeroizing::new(*self.session.danger_encryption_key()));
        let iv = ev2::answer_iv(&key, &self.session, self.counter)?;
        let mut plain = key.decrypt(&iv, sealed)?;
        let end = plain.iter().rposition(|byte| *byte != 0).ok_or(CardError::Card)?;
        if plain.get(end) != Some(&0x80) {
            return Err(CardError::Card);
        }
        plain.truncate(end);
        Ok(plain)
    }
}
