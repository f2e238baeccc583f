//! EV2-style AES secure messaging (NXP AN12196, public parts), the side of the card: authentication,
//! session keys, and commands that are authenticated or authenticated and encrypted.

use alloc::vec::Vec;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::cipher::{self, BLOCK};
use crate::status::{Status, StatusError};

const SV1: [u8; 6] = [0xa5, 0x5a, 0x00, 0x01, 0x00, 0x80];
const SV2: [u8; 6] = [0x5a, 0xa5, 0x00, 0x01, 0x00, 0x80];
/// Bytes of a MAC that travel.
pub(crate) const MAC_BYTES: usize = 8;
/// Bytes of the reader's answer to a challenge.
pub(crate) const ANSWER_BYTES: usize = 32;

/// The transaction of a session: its identifier, and how many commands it has had.
#[derive(Clone, Copy)]
pub(crate) struct Transaction {
    pub(crate) identifier: [u8; 4],
    pub(crate) counter: u16,
}

/// Which of the two authentications.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// The first of a transaction, with the identifier that is drawn for it.
    First([u8; 4]),
    /// A later one: the transaction goes on.
    NonFirst(Transaction),
}

/// An authentication after its first half; erased when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Challenge {
    key: [u8; BLOCK],
    rnd_b: [u8; BLOCK],
    #[zeroize(skip)]
    mode: Mode,
}

impl Challenge {
    /// A challenge with `rnd_b`, which must be fresh, and what is sent of it.
    pub(crate) fn new(key: [u8; BLOCK], rnd_b: [u8; BLOCK], mode: Mode) -> (Self, [u8; BLOCK]) {
        let mut sent = rnd_b;
        cipher::encrypt(&key, [0; BLOCK], &mut sent);
        (Self { key, rnd_b, mode }, sent)
    }

    /// Checks what the reader answered, and gives the session and the card's own answer.
    pub(crate) fn finish(
        &self,
        answer: &[u8; ANSWER_BYTES],
    ) -> Result<(Session, Vec<u8>), StatusError> {
        let mut plain = Zeroizing::new(*answer);
        cipher::decrypt(&self.key, [0; BLOCK], plain.as_mut_slice());
        let (rnd_a, rotated_b) = plain.split_first_chunk::<BLOCK>().ok_or(Status::Length)?;
        if !bool::from(rotated_b.ct_eq(&rotated(&self.rnd_b))) {
            return Err(Status::Authentication.into());
        }
        let (transaction, mut sent) = match self.mode {
            Mode::First(identifier) => {
                let transaction = Transaction { identifier, counter: 0 };
                // Capabilities of card and reader: none.
                (transaction, [&identifier[..], &rotated(rnd_a), &[0; 12]].concat())
            }
            Mode::NonFirst(transaction) => (transaction, rotated(rnd_a).to_vec()),
        };
        cipher::encrypt(&self.key, [0; BLOCK], &mut sent);
        let [encryption, mac] = [SV1, SV2].map(|label| {
            let vector = session_vector(label, rnd_a, &self.rnd_b);
            cipher::mac(&self.key, &[vector.as_slice()])
        });
        Ok((Session { encryption, mac, transaction }, sent))
    }
}

/// How data travels in a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// In clear, with a MAC.
    Mac,
    /// Encrypted, with a MAC.
    Full,
}

/// A session; its keys are erased when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Session {
    encryption: [u8; BLOCK],
    mac: [u8; BLOCK],
    #[zeroize(skip)]
    pub(crate) transaction: Transaction,
}

impl Session {
    /// Takes `data`, which is a header of `header` bytes, a body and a MAC, apart: header and body.
    pub(crate) fn open(
        &self,
        command: u8,
        data: &[u8],
        header: usize,
        protection: Protection,
    ) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), StatusError> {
        let (sent, tag) = data.split_last_chunk::<MAC_BYTES>().ok_or(Status::Length)?;
        let Transaction { identifier, counter } = self.transaction;
        let parts: [&[u8]; 4] = [&[command], &counter.to_le_bytes(), &identifier, sent];
        if !bool::from(short(&cipher::mac(&self.mac, &parts)).ct_eq(tag)) {
            return Err(Status::Integrity.into());
        }
        let (header, body) = sent.split_at_checked(header).ok_or(Status::Length)?;
        let mut body = Zeroizing::new(body.to_vec());
        if protection == Protection::Full {
            if body.is_empty() || !body.len().is_multiple_of(BLOCK) {
                return Err(Status::Length.into());
            }
            let iv = self.iv([0xa5, 0x5a], counter);
            cipher::decrypt(&self.encryption, iv, &mut body);
            let length = unpadded(&body).ok_or(Status::Integrity)?;
            body.truncate(length);
        }
        Ok((header.to_vec(), body))
    }

    /// Counts the command and protects the answer to it, which was good.
    pub(crate) fn seal(
        &mut self,
        data: &[u8],
        protection: Protection,
    ) -> Result<Vec<u8>, StatusError> {
        let counter = self.transaction.counter.checked_add(1).ok_or(Status::Aborted)?;
        self.transaction.counter = counter;
        let mut sent = data.to_vec();
        if protection == Protection::Full {
            sent.push(0x80);
            sent.resize(sent.len().next_multiple_of(BLOCK), 0);
            let iv = self.iv([0x5a, 0xa5], counter);
            cipher::encrypt(&self.encryption, iv, &mut sent);
        }
        let identifier = self.transaction.identifier;
        let parts: [&[u8]; 4] = [&[0], &counter.to_le_bytes(), &identifier, &sent];
        let tag = short(&cipher::mac(&self.mac, &parts));
        sent.extend(tag);
        Ok(sent)
    }

    fn iv(&self, [one, other]: [u8; 2], counter: u16) -> [u8; BLOCK] {
        let ([a, b, c, d], [low, high]) = (self.transaction.identifier, counter.to_le_bytes());
        let mut iv = [one, other, a, b, c, d, low, high, 0, 0, 0, 0, 0, 0, 0, 0];
        cipher::encrypt(&self.encryption, [0; BLOCK], &mut iv);
        iv
    }
}

/// SV1 and SV2 of AN12196: label, `RndA[0..2]`, `RndA[2..8] ^ RndB[0..6]`, `RndB[6..]`, `RndA[8..]`.
fn session_vector(label: [u8; 6], rnd_a: &[u8; BLOCK], rnd_b: &[u8; BLOCK]) -> Zeroizing<[u8; 32]> {
    let mixed = rnd_a.iter().skip(2).zip(rnd_b).take(6).map(|(a, b)| a ^ b);
    let bytes = label.into_iter().chain(rnd_a.iter().take(2).copied()).chain(mixed);
    let bytes = bytes.chain(rnd_b.iter().skip(6).copied()).chain(rnd_a.iter().skip(8).copied());
    let mut vector = Zeroizing::new([0; 32]);
    vector.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    vector
}

fn rotated(random: &[u8; BLOCK]) -> [u8; BLOCK] {
    let mut rotated = *random;
    rotated.rotate_left(1);
    rotated
}

/// The bytes of a MAC that travel: those at odd positions.
fn short(tag: &[u8; BLOCK]) -> [u8; MAC_BYTES] {
    let [_, a, _, b, _, c, _, d, _, e, _, f, _, g, _, h] = *tag;
    [a, b, c, d, e, f, g, h]
}

/// The length of what stands before the padding `80 00..` (ISO/IEC 9797-1, method 2).
pub(crate) fn unpadded(plain: &[u8]) -> Option<usize> {
    let end = plain.iter().rposition(|byte| *byte != 0)?;
    (plain.get(end) == Some(&0x80)).then_some(end)
}
