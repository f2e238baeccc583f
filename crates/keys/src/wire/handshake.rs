//! Three passes in which both ends prove that they hold the same pairing secret, in the manner of
//! ISO/IEC 9798-4 (mutual authentication with a cryptographic check function, HMAC-SHA-256).
//!
//! The service sends its nonce; the client its name, its nonce and a check value; the service a check
//! value of its own. Both are over one transcript (version, name, both nonces) under a label that names
//! the role, so that no message can be sent back to who made it. The keys of the connection come
//! from the same transcript. Nonces are arguments: nothing here draws them.

use core::fmt;

use aws_lc_rs::hmac;
use credential::cbor::{CborError, Decoder, Encoder};

use super::frame::{Channel, TAG_BYTES};
use super::pairing::{NAME_BYTES_MAX, Pairing};

/// The version of all that is said over the line.
pub const VERSION: u64 = 1;
/// Bytes in a nonce.
pub const NONCE_BYTES: usize = 32;

const CLIENT: &[u8] = b"limen/key-service/client\0";
const SERVICE: &[u8] = b"limen/key-service/service\0";
const TO_SERVICE: &[u8] = b"limen/key-service/to-service\0";
const TO_CLIENT: &[u8] = b"limen/key-service/to-client\0";

/// A nonce of one end.
pub type Nonce = [u8; NONCE_BYTES];

/// Why the service turns a client away before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// The name and the secret do not belong together, or the name is unknown: which is not told.
    Pairing,
    /// There are as many connections as there may be.
    Busy,
    /// The process belongs to a user that is no client's.
    User,
}

impl TurnedAway {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Pairing, "pairing"), (Self::Busy, "busy"), (Self::User, "user")];

    /// The message that says so.
    #[must_use]
    pub fn message(self) -> Vec<u8> {
        let code = Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, code)| code);
        let mut message = Encoder::new();
        message.array(2).text("refused").text(code);
        message.into_bytes()
    }
}

/// First pass: the service begins.
#[must_use]
pub fn hello(service: &Nonce) -> Vec<u8> {
    let mut message = Encoder::new();
    message.array(3).text("hello").unsigned(VERSION).bytes(service);
    message.into_bytes()
}

/// Second pass: what a client says of itself.
#[derive(Debug)]
pub struct Claim {
    /// Its name in the configuration of the service.
    pub name: String,
    nonce: Nonce,
    tag: [u8; TAG_BYTES],
}

impl Claim {
    /// Reads the message.
    ///
    /// # Errors
    /// [`HandshakeError::Form`].
    pub fn read(message: &[u8]) -> Result<Self, HandshakeError> {
        let mut reader = Decoder::new(message)?;
        reader.array_of(4)?;
        expect(&mut reader, "claim")?;
        let name = reader.text()?;
        if name.len() > NAME_BYTES_MAX {
            return Err(HandshakeError::Form);
        }
        let name = name.to_owned();
        let (nonce, tag) = (reader.byte_array()?, reader.byte_array()?);
        reader.finish()?;
        Ok(Self { name, nonce, tag })
    }

    /// Checks the claim of who was sent the nonce `service`; gives the answer, which is the third
    /// pass, and the connection.
    ///
    /// # Errors
    /// [`HandshakeError::Pairing`].
    pub fn check(
        &self,
        pairing: &Pairing,
        service: &Nonce,
    ) -> Result<(Vec<u8>, Connection), HandshakeError> {
        let transcript = transcript(&self.name, service, &self.nonce);
        let key = pairing.key();
        let message = [CLIENT, &transcript].concat();
        let is_right =
            self.name == pairing.name() && hmac::verify(&key, &message, &self.tag).is_ok();
        if !is_right {
            return Err(HandshakeError::Pairing);
        }
        let mut answer = Encoder::new();
        answer.array(2).text("proof").bytes(&tag(&key, SERVICE, &transcript));
        let connection = Connection {
            out: Channel::new(&tag(&key, TO_CLIENT, &transcript)),
            into: Channel::new(&tag(&key, TO_SERVICE, &transcript)),
        };
        Ok((answer.into_bytes(), connection))
    }
}

/// A client between the first pass and the third.
pub struct Claiming {
    key: hmac::Key,
    transcript: Vec<u8>,
}

/// Answers the first pass: gives the message of the second.
///
/// # Errors
/// [`HandshakeError`].
pub fn claim(
    hello: &[u8],
    pairing: &Pairing,
    nonce: &Nonce,
) -> Result<(Vec<u8>, Claiming), HandshakeError> {
    let mut reader = Decoder::new(hello)?;
    unless_refused(hello)?;
    reader.array_of(3)?;
    expect(&mut reader, "hello")?;
    let found = reader.unsigned()?;
    if found != VERSION {
        return Err(HandshakeError::Version { found });
    }
    let service = reader.byte_array()?;
    reader.finish()?;
    let (key, transcript) = (pairing.key(), transcript(pairing.name(), &service, nonce));
    let mut message = Encoder::new();
    message.array(4).text("claim").text(pairing.name()).bytes(nonce);
    message.bytes(&tag(&key, CLIENT, &transcript));
    Ok((message.into_bytes(), Claiming { key, transcript }))
}

impl Claiming {
    /// Checks the third pass: only now does the client know who is at the other end.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn conclude(self, proof: &[u8]) -> Result<Connection, HandshakeError> {
        unless_refused(proof)?;
        let mut reader = Decoder::new(proof)?;
        reader.array_of(2)?;
        expect(&mut reader, "proof")?;
        let message = [SERVICE, &self.transcript].concat();
        let shown = reader.bytes()?;
        hmac::verify(&self.key, &message, shown).map_err(|_| HandshakeError::Pairing)?;
        reader.finish()?;
        Ok(Connection {
            out: Channel::new(&tag(&self.key, TO_SERVICE, &self.transcript)),
            into: Channel::new(&tag(&self.key, TO_CLIENT, &self.transcript)),
        })
    }
}

impl fmt::Debug for Claiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claiming(..)")
    }
}

/// Both directions, seen from one end.
#[derive(Debug)]
pub struct Connection {
    /// For what this end sends.
    pub out: Channel,
    /// For what it receives.
    pub into: Channel,
}

fn transcript(name: &str, service: &Nonce, client: &Nonce) -> Vec<u8> {
    let mut transcript = Encoder::new();
    transcript.array(4).unsigned(VERSION).text(name).bytes(service).bytes(client);
    transcript.into_bytes()
}

fn tag(key: &hmac::Key, label: &[u8], transcript: &[u8]) -> [u8; TAG_BYTES] {
    let mut context = hmac::Context::with_key(key);
    context.update(label);
    context.update(transcript);
    let mut bytes = [0; TAG_BYTES];
    bytes.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

fn expect(reader: &mut Decoder<'_>, word: &'static str) -> Result<(), CborError> {
    if reader.text()? == word { Ok(()) } else { Err(reader.unexpected(word)) }
}

fn unless_refused(message: &[u8]) -> Result<(), HandshakeError> {
    let refused = |message| {
        let mut reader = Decoder::new(message)?;
        reader.array_of(2)?;
        expect(&mut reader, "refused")?;
        reader.text()
    };
    match refused(message) {
        Ok(code) => {
            let why = TurnedAway::ALL.iter().find(|(_, known)| *known == code);
            Err(why.map_or(HandshakeError::Form, |(why, _)| HandshakeError::TurnedAway(*why)))
        }
        Err(_) => Ok(()),
    }
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// A message is not what it should be.
    Form,
    /// The other end speaks another version.
    Version {
        /// Which.
        found: u64,
    },
    /// The other end does not hold the same secret.
    Pairing,
    /// The service says no.
    TurnedAway(TurnedAway),
}

impl From<CborError> for HandshakeError {
    fn from(_: CborError) -> Self {
        Self::Form
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("connect to key service: what answers is no key service"),
            Self::Version { found } => write!(
                f,
                "connect to key service: it speaks version `{found}`, not `{VERSION}`: update both"
            ),
            Self::Pairing => {
                f.write_str("connect to key service: the other end holds another pairing secret")
            }
            Self::TurnedAway(TurnedAway::Pairing) => f.write_str(
                "connect to key service: it does not take this pairing: run `limen key pair`",
            ),
            Self::TurnedAway(TurnedAway::Busy) => {
                f.write_str("connect to key service: it has as many connections as it takes")
            }
            Self::TurnedAway(TurnedAway::User) => f.write_str(
                "connect to key service: it lists no client for this user: see `uid` in its \
                 configuration",
            ),
        }
    }
}

impl core::error::Error for HandshakeError {}
