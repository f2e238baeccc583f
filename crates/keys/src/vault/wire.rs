//! Requests to a vault in another process and what it answers, in CBOR (`specs/key-delivery.md`).
//!
//! Bytes in, bytes out: the key service carries them in one verb and need not know them.

use credential::cbor::{CborError, Decoder, Encoder, Kind};
use credential::delivery::recipient::Recipient;
use credential::delivery::{Kcv, Scope};
use vocabulary::time::Instant;

use super::diversify::{CardInput, Kdf};
use super::ev2::{Mode, Session};
use super::{RunId, Secret, SecretHandle, SecretKind};
use crate::custody::State;

/// Secrets in one answer.
pub(crate) const SECRETS_PER_ANSWER: usize = 64;

/// What is asked of a vault. Time is that of the vault's own process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    List {
        from: u64,
    },
    Generate {
        kind: SecretKind,
        scope: Option<Scope>,
        epoch: u64,
        kdf: Option<Kdf>,
        state: State,
    },
    SetState {
        handle: SecretHandle,
        state: State,
    },
    Destroy {
        handle: SecretHandle,
    },
    /// The statement of a reader and its certificate: the vault looks at both itself.
    Wrap {
        handle: SecretHandle,
        statement: Vec<u8>,
        certificate: Vec<u8>,
    },
    Answer {
        handle: SecretHandle,
        card: CardInput,
        mode: Mode,
        challenge: [u8; 16],
    },
    Finish {
        run: RunId,
        response: Vec<u8>,
    },
    CardKey {
        handle: SecretHandle,
        card: CardInput,
        run: [u8; 16],
        point: [u8; 65],
    },
    /// A request of a device for handles of the express tap, which the vault's own desk looks at.
    Handles {
        request: Vec<u8>,
    },
}

/// What a vault answers.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Secrets {
        total: u64,
        secrets: Vec<Secret>,
    },
    Secret(Box<Secret>),
    Done,
    Delivery(Vec<u8>),
    Answer {
        run: RunId,
        answer: [u8; 32],
    },
    Session(Session),
    /// A batch, sealed for the device.
    Handles(Vec<u8>),
    /// A word, and a detail of some of them.
    Refused {
        word: String,
        detail: Option<String>,
    },
}

impl Ask {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(512);
        match self {
            Self::List { from } => {
                out.array(2).text("list").unsigned(*from);
            }
            Self::Generate { kind, scope, epoch, kdf, state } => {
                out.array(7).text("generate").text(kind.as_str());
                write_scope(&mut out, scope.as_ref());
                out.unsigned(*epoch);
                text_or_null(&mut out, kdf.map(Kdf::as_str));
                out.text(state.as_str());
            }
            Self::SetState { handle, state } => {
                out.array(3).text("set-state").bytes(handle.as_bytes()).text(state.as_str());
            }
            Self::Destroy { handle } => {
                out.array(2).text("destroy").bytes(handle.as_bytes());
            }
            Self::Wrap { handle, statement, certificate } => {
                out.array(4).text("wrap").bytes(handle.as_bytes());
                out.bytes(statement).bytes(certificate);
            }
            Self::Answer { handle, card, mode, challenge } => {
                out.array(5).text("answer").bytes(handle.as_bytes()).bytes(card.as_bytes());
                out.bool(*mode == Mode::First).bytes(challenge);
            }
            Self::Finish { run, response } => {
                out.array(3).text("finish").bytes(&run.0).bytes(response);
            }
            Self::CardKey { handle, card, run, point } => {
                out.array(5).text("card-key").bytes(handle.as_bytes()).bytes(card.as_bytes());
                out.bytes(run).bytes(point);
            }
            Self::Handles { request } => {
                out.array(2).text("handles").bytes(request);
            }
        }
        out.into_bytes()
    }

    /// Reads a request; nothing where it is none of this version.
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Decoder::new(body).ok()?;
        let _ = reader.array().ok()?;
        let ask = Self::arguments(&mut reader).ok().flatten()?;
        reader.finish().ok()?;
        // One form only.
        (ask.encode() == body).then_some(ask)
    }

    fn arguments(reader: &mut Decoder<'_>) -> Result<Option<Self>, CborError> {
        let verb = reader.text()?;
        if verb == "list" {
            return Ok(Some(Self::List { from: reader.unsigned()? }));
        }
        if verb == "generate" {
            return generate(reader);
        }
        if verb == "handles" {
            return Ok(Some(Self::Handles { request: reader.bytes()?.to_vec() }));
        }
        if verb == "finish" {
            let run = RunId(reader.byte_array()?);
            return Ok(Some(Self::Finish { run, response: reader.bytes()?.to_vec() }));
        }
        let handle = SecretHandle::from_bytes(reader.byte_array()?);
        Ok(match verb {
            "set-state" => state(reader)?.map(|state| Self::SetState { handle, state }),
            "destroy" => Some(Self::Destroy { handle }),
            "wrap" => Some(Self::Wrap {
                handle,
                statement: reader.bytes()?.to_vec(),
                certificate: reader.bytes()?.to_vec(),
            }),
            "answer" => {
                let card = CardInput::new(reader.bytes()?).ok();
                let mode = if reader.bool()? { Mode::First } else { Mode::NonFirst };
                let challenge = reader.byte_array()?;
                card.map(|card| Self::Answer { handle, card, mode, challenge })
            }
            "card-key" => {
                let card = CardInput::new(reader.bytes()?).ok();
                let (run, point) = (reader.byte_array()?, reader.byte_array()?);
                card.map(|card| Self::CardKey { handle, card, run, point })
            }
            _ => None,
        })
    }
}

fn generate(reader: &mut Decoder<'_>) -> Result<Option<Ask>, CborError> {
    let kind = reader.text()?.parse().ok();
    let scope = read_scope(reader)?;
    let epoch = reader.unsigned()?;
    let kdf = match reader.kind() {
        Kind::Null => reader.null().map(|()| Some(None))?,
        _ => reader.text()?.parse().ok().map(Some),
    };
    let state = state(reader)?;
    let (Some(kind), Some(scope), Some(kdf), Some(state)) = (kind, scope, kdf, state) else {
        return Ok(None);
    };
    Ok(Some(Ask::Generate { kind, scope, epoch, kdf, state }))
}

impl Told {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(512);
        match self {
            Self::Secrets { total, secrets } => {
                out.array(3).text("secrets").unsigned(*total).array(secrets.len());
                secrets.iter().for_each(|secret| write_secret(&mut out, secret));
            }
            Self::Secret(secret) => {
                out.array(2).text("secret");
                write_secret(&mut out, secret);
            }
            Self::Done => {
                out.array(1).text("done");
            }
            Self::Delivery(bytes) => {
                out.array(2).text("delivery").bytes(bytes);
            }
            Self::Answer { run, answer } => {
                out.array(3).text("answer").bytes(&run.0).bytes(answer);
            }
            Self::Session(session) => {
                out.array(4).text("session").bytes(session.danger_encryption_key());
                out.bytes(session.danger_mac_key());
                match session.transaction() {
                    Some(transaction) => out.bytes(transaction),
                    None => out.null(),
                };
            }
            Self::Handles(answer) => {
                out.array(2).text("handles").bytes(answer);
            }
            Self::Refused { word, detail } => {
                out.array(3).text("refused").text(word);
                text_or_null(&mut out, detail.as_deref());
            }
        }
        out.into_bytes()
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Decoder::new(body).ok()?;
        let _ = reader.array().ok()?;
        let told = Self::content(&mut reader).ok().flatten()?;
        reader.finish().ok()?;
        Some(told)
    }

    fn content(reader: &mut Decoder<'_>) -> Result<Option<Self>, CborError> {
        Ok(match reader.text()? {
            "secrets" => {
                let total = reader.unsigned()?;
                let (mut rest, mut secrets) = (reader.array()?, Vec::new());
                while reader.more(&mut rest)? {
                    let Some(secret) = read_secret(reader)? else { return Ok(None) };
                    secrets.push(secret);
                }
                Some(Self::Secrets { total, secrets })
            }
            "secret" => read_secret(reader)?.map(|secret| Self::Secret(Box::new(secret))),
            "done" => Some(Self::Done),
            "delivery" => Some(Self::Delivery(reader.bytes()?.to_vec())),
            "handles" => Some(Self::Handles(reader.bytes()?.to_vec())),
            "answer" => {
                let run = RunId(reader.byte_array()?);
                Some(Self::Answer { run, answer: reader.byte_array()? })
            }
            "session" => {
                let (encryption, mac) = (reader.byte_array()?, reader.byte_array()?);
                let transaction = match reader.kind() {
                    Kind::Null => reader.null().map(|()| None)?,
                    _ => Some(reader.byte_array()?),
                };
                Some(Self::Session(Session::new(encryption, mac, transaction)))
            }
            "refused" => {
                let word = reader.text()?.to_owned();
                let detail = match reader.kind() {
                    Kind::Null => reader.null().map(|()| None)?,
                    _ => Some(reader.text()?.to_owned()),
                };
                Some(Self::Refused { word, detail })
            }
            _ => None,
        })
    }
}

/// The point of a process as the keys to which a card key is wrapped.
pub(crate) fn process_keys(point: [u8; 65]) -> Option<Recipient> {
    Recipient::new(point, None)
}

fn text_or_null(out: &mut Encoder, text: Option<&str>) {
    match text {
        Some(text) => out.text(text),
        None => out.null(),
    };
}

fn write_scope(out: &mut Encoder, scope: Option<&Scope>) {
    text_or_null(out, scope.map(|scope| scope.operator.as_str()));
    text_or_null(out, scope.and_then(|scope| scope.zone.as_ref()).map(|zone| zone.as_str()));
}

fn read_scope(reader: &mut Decoder<'_>) -> Result<Option<Option<Scope>>, CborError> {
    let operator = match reader.kind() {
        Kind::Null => reader.null().map(|()| Some(None))?,
        _ => reader.text()?.parse().ok().map(Some),
    };
    let zone = match reader.kind() {
        Kind::Null => reader.null().map(|()| Some(None))?,
        _ => reader.text()?.parse().ok().map(Some),
    };
    Ok(match (operator, zone) {
        (Some(Some(operator)), Some(zone)) => Some(Some(Scope { operator, zone })),
        (Some(None), Some(None)) => Some(None),
        _ => None,
    })
}

fn state(reader: &mut Decoder<'_>) -> Result<Option<State>, CborError> {
    let word = reader.text()?;
    Ok(State::ALL.into_iter().find(|state| state.as_str() == word))
}

fn write_secret(out: &mut Encoder, secret: &Secret) {
    out.array(12).bytes(secret.handle.as_bytes()).text(secret.kind.as_str());
    write_scope(out, secret.scope.as_ref());
    out.unsigned(secret.epoch).unsigned(secret.version.into());
    text_or_null(out, secret.kdf.map(Kdf::as_str));
    out.bytes(&secret.kcv.0).text(secret.state.as_str());
    out.integer(secret.state_since.unix_micros()).integer(secret.created_at.unix_micros());
    out.text(&secret.held_by);
}

fn read_secret(reader: &mut Decoder<'_>) -> Result<Option<Secret>, CborError> {
    reader.array_of(12)?;
    let handle = SecretHandle::from_bytes(reader.byte_array()?);
    let kind = reader.text()?.parse().ok();
    let scope = read_scope(reader)?;
    let epoch = reader.unsigned()?;
    let version = u32::try_from(reader.unsigned()?).ok();
    let kdf = match reader.kind() {
        Kind::Null => reader.null().map(|()| Some(None))?,
        _ => reader.text()?.parse().ok().map(Some),
    };
    let kcv = Kcv(reader.byte_array()?);
    let state = state(reader)?;
    let state_since = Instant::from_unix_micros(reader.integer()?);
    let created_at = Instant::from_unix_micros(reader.integer()?);
    let held_by = reader.text()?.into();
    let (Some(kind), Some(scope), Some(version), Some(kdf), Some(state)) =
        (kind, scope, version, kdf, state)
    else {
        return Ok(None);
    };
    let secret = Secret {
        handle,
        kind,
        scope,
        epoch,
        version,
        kdf,
        kcv,
        state,
        state_since,
        created_at,
        held_by,
    };
    Ok(Some(secret))
}
