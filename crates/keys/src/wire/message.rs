//! Requests and answers, in CBOR; layout in `specs/key-service.md`.
//!
//! A request for a signature names a key and holds the bytes, and says nothing of what they are: the
//! service finds that out. Every answer tells how often the keys have changed, so that a client knows
//! when its list of them is old.

use credential::cbor::{CborError, Decoder, Encoder};
use vocabulary::time::Instant;

use super::refusal::Refusal;
use crate::custody::{Key, KeyHandle, NewKey, State};
use crate::wire::key;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The keys from number `from` on.
    Keys {
        /// How many keys the client has of this list already.
        from: u64,
    },
    /// A signature by `handle` over `object`.
    Sign {
        /// The key.
        handle: KeyHandle,
        /// The message to sign, not a digest.
        object: &'a [u8],
    },
    /// A new key.
    Generate(NewKey),
    /// To keep a certificate beside a key.
    Attach {
        /// The key.
        handle: KeyHandle,
        /// DER.
        certificate: &'a [u8],
    },
    /// To move a key on.
    SetState {
        /// The key.
        handle: KeyHandle,
        /// Where to.
        state: State,
        /// Now.
        at: Instant,
    },
    /// To destroy a retired key.
    Destroy {
        /// The key.
        handle: KeyHandle,
    },
    /// Records of the journal of uses from number `from` on, as many as fit into an answer.
    Uses {
        /// The first record.
        from: u64,
    },
    /// What the service says of itself.
    Status,
}

/// A request with its number, or what came in place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The number that the answer will bear.
    pub id: u64,
    /// The request; none for a verb or an argument that this version does not know.
    pub request: Option<Request<'a>>,
}

/// Writes the request number `id`.
#[must_use]
pub fn write_request(id: u64, request: &Request<'_>) -> Vec<u8> {
    let size = match request {
        Request::Sign { object, .. } => object.len(),
        Request::Attach { certificate, .. } => certificate.len(),
        _ => 0,
    };
    let mut out = Encoder::with_capacity(size + 64);
    let head = |out: &mut Encoder, count: usize, verb: &str| {
        out.array(count).unsigned(id).text(verb);
    };
    match request {
        Request::Keys { from } => {
            head(&mut out, 3, "keys");
            out.unsigned(*from);
        }
        Request::Sign { handle, object } => {
            head(&mut out, 4, "sign");
            out.bytes(handle.as_bytes()).bytes(object);
        }
        Request::Generate(new) => {
            head(&mut out, 7, "generate");
            out.text(new.purpose.as_str());
            key::write_operator(&mut out, new.operator.as_ref());
            out.text(new.suite.as_str()).text(new.state.as_str()).integer(new.at.unix_micros());
        }
        Request::Attach { handle, certificate } => {
            head(&mut out, 4, "attach");
            out.bytes(handle.as_bytes()).bytes(certificate);
        }
        Request::SetState { handle, state, at } => {
            head(&mut out, 5, "set-state");
            out.bytes(handle.as_bytes()).text(state.as_str()).integer(at.unix_micros());
        }
        Request::Destroy { handle } => {
            head(&mut out, 3, "destroy");
            out.bytes(handle.as_bytes());
        }
        Request::Uses { from } => {
            head(&mut out, 3, "uses");
            out.unsigned(*from);
        }
        Request::Status => head(&mut out, 2, "status"),
    }
    out.into_bytes()
}

/// Reads a request.
///
/// # Errors
/// [`CborError`] where not even its number can be read; the connection is then of no use.
pub fn read_request(body: &[u8]) -> Result<Asked<'_>, CborError> {
    let mut reader = Decoder::new(body)?;
    let _ = reader.array()?;
    let id = reader.unsigned()?;
    Ok(Asked { id, request: arguments(reader).ok().flatten() })
}

fn arguments(mut reader: Decoder<'_>) -> Result<Option<Request<'_>>, CborError> {
    let request = match reader.text()? {
        "keys" => Request::Keys { from: reader.unsigned()? },
        "sign" => Request::Sign { handle: key::handle(&mut reader)?, object: reader.bytes()? },
        "generate" => Request::Generate(NewKey {
            purpose: key::word(&mut reader, "a purpose")?,
            operator: key::operator(&mut reader)?,
            suite: key::word(&mut reader, "a suite")?,
            state: key::state(&mut reader)?,
            at: key::instant(&mut reader)?,
        }),
        "attach" => {
            Request::Attach { handle: key::handle(&mut reader)?, certificate: reader.bytes()? }
        }
        "set-state" => Request::SetState {
            handle: key::handle(&mut reader)?,
            state: key::state(&mut reader)?,
            at: key::instant(&mut reader)?,
        },
        "destroy" => Request::Destroy { handle: key::handle(&mut reader)? },
        "uses" => Request::Uses { from: reader.unsigned()? },
        "status" => Request::Status,
        _ => return Ok(None),
    };
    reader.finish()?;
    Ok(Some(request))
}

/// What the service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the request.
    pub id: u64,
    /// How often the keys have changed since the service started.
    pub version: u64,
    /// What comes of the request.
    pub outcome: Result<Given, Refusal>,
}

/// What a request is answered with when it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Some of the keys; there are `total` of them.
    Keys {
        /// How many there are.
        total: u64,
        /// These.
        keys: Vec<Key>,
    },
    /// A signature.
    Signature(Vec<u8>),
    /// A key as it is now.
    Key(Box<Key>),
    /// It is done.
    Done,
    /// Records of the journal of uses, one behind the other.
    Uses {
        /// The name of the journal.
        journal: [u8; 16],
        /// How many records it has in all.
        entries: u64,
        /// The records.
        records: Vec<u8>,
    },
    /// What the service says of itself, as JSON for people.
    Status(String),
}

/// Writes an answer.
#[must_use]
pub fn write_answer(answer: &Answer) -> Vec<u8> {
    let mut out = Encoder::new();
    let mut head = |count: usize, word: &str| {
        out.array(count + 3).unsigned(answer.id).unsigned(answer.version).text(word);
    };
    match &answer.outcome {
        Err(refusal) => {
            head(4, "refused");
            refusal.write(&mut out);
        }
        Ok(Given::Keys { total, keys }) => {
            head(2, "keys");
            out.unsigned(*total).array(keys.len());
            keys.iter().for_each(|one| key::write(&mut out, one));
        }
        Ok(Given::Signature(signature)) => {
            head(1, "signature");
            out.bytes(signature);
        }
        Ok(Given::Key(one)) => {
            head(1, "key");
            key::write(&mut out, one);
        }
        Ok(Given::Done) => head(0, "done"),
        Ok(Given::Uses { journal, entries, records }) => {
            head(3, "uses");
            out.bytes(journal).unsigned(*entries).bytes(records);
        }
        Ok(Given::Status(text)) => {
            head(1, "status");
            out.text(text);
        }
    }
    out.into_bytes()
}

/// Reads an answer.
///
/// # Errors
/// [`CborError`].
pub fn read_answer(body: &[u8]) -> Result<Answer, CborError> {
    let mut reader = Decoder::new(body)?;
    let _ = reader.array()?;
    let (id, version) = (reader.unsigned()?, reader.unsigned()?);
    let outcome = match reader.text()? {
        "refused" => Err(Refusal::read(&mut reader)?),
        "keys" => {
            let total = reader.unsigned()?;
            let mut rest = reader.array()?;
            let mut keys = Vec::new();
            while reader.more(&mut rest)? {
                keys.push(key::read(&mut reader)?);
            }
            Ok(Given::Keys { total, keys })
        }
        "signature" => Ok(Given::Signature(reader.bytes()?.to_vec())),
        "key" => Ok(Given::Key(Box::new(key::read(&mut reader)?))),
        "done" => Ok(Given::Done),
        "uses" => Ok(Given::Uses {
            journal: reader.byte_array()?,
            entries: reader.unsigned()?,
            records: reader.bytes()?.to_vec(),
        }),
        "status" => Ok(Given::Status(reader.text()?.to_owned())),
        _ => return Err(reader.unexpected("an answer")),
    };
    reader.finish()?;
    Ok(Answer { id, version, outcome })
}
