//! Collecting what was offered: the client side of OpenID4VCI 1.0, as a conversation without a
//! network. [`Collection::poll`] says what to send, [`Collection::receive`] takes the answer,
//! [`Collection::keep`] verifies the documents and keeps them, and [`Collection::end`] cleans up.
//!
//! One access token serves all kinds of passes in the offer, bound to a key by DPoP (RFC 9449).
//! Each document gets a device key of its own, made here, and an honest word about where it lives.

mod keep;
mod metadata;
mod request;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use credential::crypto::Crypto;
use credential::jose::json;
use credential::rejection::Rejection;
use serde_json::Value;
use vocabulary::time::Instant;

use self::metadata::{Configuration, Metadata};
pub use self::request::Request;
use crate::offer::Offer;
use crate::pass::PASSES_MAX;
use crate::secure_element::{DeviceKey, Presence, PresenceRule, SecureElement, SecureElementError};

/// Bytes in one answer of an issuer: as much JSON as is read.
pub const ANSWER_BYTES_MAX: usize = json::LENGTH_MAX;
/// Documents of one kind that are collected at a time, if the issuer allows as many.
pub const BATCH_MAX: usize = 8;
/// The code by which a city says that nobody signs at present (RFC 9457, `/v1`).
const KEYS_UNAVAILABLE: &str = "keys-unavailable";

/// What a collection works with, handed in with every step.
pub struct Hands<'h> {
    /// Provider of cryptography.
    pub crypto: &'h dyn Crypto,
    /// Where device keys are made.
    pub element: &'h mut dyn SecureElement,
    /// Fresh entropy, 32 bytes at a time.
    pub entropy: &'h mut dyn FnMut() -> [u8; 32],
    /// Now.
    pub now: Instant,
}

/// How many documents of each kind to ask for, and what their keys demand.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Documents of each kind, at most [`BATCH_MAX`].
    pub documents: usize,
    /// Whether the holder must confirm each use.
    pub presence: PresenceRule,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this and hand the answer to [`Collection::receive`].
    Send(Request),
    /// Nothing more to send. First all documents are here: call [`Collection::keep`], then go on,
    /// so that the issuer learns what became of them. After that, [`Collection::end`].
    Done,
}

/// An answer of the issuer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `DPoP-Nonce`, if there is one.
    pub dpop_nonce: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// Why nothing was collected. [`Collection::end`] destroys the keys that were made for it. After
/// [`CollectError::Away`] the collection may go on; after all others it is over.
#[derive(Debug)]
pub enum CollectError {
    /// An answer is not what the standard describes.
    Answer {
        /// To which request.
        to: &'static str,
        /// The member that is missing or wrong.
        member: &'static str,
    },
    /// The issuer said no.
    Refused {
        /// To which request.
        to: &'static str,
        /// The HTTP status.
        status: u16,
        /// The issuer's error code.
        code: String,
    },
    /// Who signs for the issuer is away: nothing was issued, and later it will be. Wait, and go on with
    /// [`Collection::poll`]: the offer or the access token is as good as before.
    Away {
        /// To which request.
        to: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// The issuer offers what this wallet cannot keep.
    Unsupported {
        /// The configuration.
        configuration: String,
    },
    /// A document that came does not hold.
    Document(Rejection),
    /// The secure element did not make or use a key.
    Element(SecureElementError),
    /// The wallet holds as many passes as it can.
    Full,
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { to, member } => {
                write!(f, "the issuer's answer to the {to} request lacks a good `{member}`")
            }
            Self::Refused { to, status, code } => {
                write!(
                    f,
                    "the issuer refused the {to} request: `{}` ({status})",
                    code.escape_debug()
                )
            }
            Self::Away { to, status } => write!(
                f,
                "the city cannot sign at present, so the {to} request was not done ({status})"
            ),
            Self::Unsupported { configuration } => {
                write!(
                    f,
                    "the issuer offers `{}`, which this wallet cannot keep",
                    configuration.escape_debug()
                )
            }
            Self::Document(_) => f.write_str("the issuer's document does not hold"),
            Self::Element(_) => f.write_str("the secure element did not make a key"),
            Self::Full => write!(f, "the wallet holds {PASSES_MAX} passes already"),
        }
    }
}

impl core::error::Error for CollectError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Document(source) => Some(source),
            Self::Element(source) => Some(source),
            _ => None,
        }
    }
}

/// A collection under way.
#[derive(Debug)]
pub struct Collection {
    offer: Offer,
    transaction_code: Option<String>,
    wish: Wish,
    stage: Stage,
    metadata: Metadata,
    dpop: Option<DeviceKey>,
    dpop_nonce: Option<String>,
    retried: bool,
    token: Option<Token>,
    nonce: String,
    open: Vec<Configuration>,
    passes: Vec<Found>,
    notifications: Vec<String>,
    /// Whether the documents were kept, once that is known.
    is_kept: bool,
    pending_keys: Vec<DeviceKey>,
}

/// What came for one kind of pass, and the keys that were shown for it.
#[derive(Debug)]
struct Found {
    kind: Configuration,
    documents: Vec<String>,
    keys: Vec<DeviceKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Issuer,
    Server,
    Token,
    Nonce,
    Credential,
    /// All documents are here and wait for [`Collection::keep`].
    Collected,
    Notification,
    Done,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Issuer => "metadata",
            Self::Server => "server metadata",
            Self::Token => "token",
            Self::Nonce => "nonce",
            Self::Credential => "credential",
            Self::Collected | Self::Notification | Self::Done => "notification",
        }
    }
}

#[derive(Debug)]
struct Token {
    text: String,
    is_dpop: bool,
}

impl Collection {
    /// Begins to collect `offer`, with the code that the owner entered, if one was asked for.
    #[must_use]
    pub fn new(offer: Offer, transaction_code: Option<String>, wish: Wish) -> Self {
        Self {
            offer,
            transaction_code,
            wish,
            stage: Stage::Issuer,
            metadata: Metadata::default(),
            dpop: None,
            dpop_nonce: None,
            retried: false,
            token: None,
            nonce: String::new(),
            open: Vec::new(),
            passes: Vec::new(),
            notifications: Vec::new(),
            is_kept: false,
            pending_keys: Vec::new(),
        }
    }

    /// What to do next; call again after every [`Collection::receive`].
    ///
    /// # Errors
    /// [`CollectError`]; the collection is over then.
    pub fn poll(&mut self, hands: &mut Hands<'_>) -> Result<Step, CollectError> {
        let request = match self.stage {
            Stage::Issuer => {
                Request::get(well_known(&self.offer.issuer, "openid-credential-issuer"))
            }
            Stage::Server => {
                Request::get(well_known(&self.metadata.server, "oauth-authorization-server"))
            }
            Stage::Token => self.token_request(hands)?,
            Stage::Nonce => Request::post(self.metadata.nonce_endpoint.clone()),
            Stage::Credential => self.credential_request(hands)?,
            Stage::Notification => match self.notification_request(hands)? {
                Some(request) => request,
                None => return Ok(Step::Done),
            },
            Stage::Collected | Stage::Done => return Ok(Step::Done),
        };
        Ok(Step::Send(request))
    }

    /// Whether the offer is used up: an access token was given for it, which this collection alone has.
    #[must_use]
    pub const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether all documents came, kept or not: then the issuer may be told what became of them.
    #[must_use]
    pub const fn is_collected(&self) -> bool {
        matches!(self.stage, Stage::Collected | Stage::Notification | Stage::Done)
    }

    /// Takes the answer to the last request.
    ///
    /// # Errors
    /// [`CollectError`]; the collection is over then, unless it is [`CollectError::Away`].
    pub fn receive(&mut self, answer: Answer<'_>) -> Result<(), CollectError> {
        if let Some(nonce) = answer.dpop_nonce {
            self.dpop_nonce = Some(nonce.into());
        }
        let to = self.stage.name();
        if self.stage == Stage::Notification {
            // A lost notification changes nothing for the holder.
            self.notifications.pop();
            return Ok(());
        }
        let wrong = |member| CollectError::Answer { to, member };
        if answer.body.len() > ANSWER_BYTES_MAX {
            return Err(wrong("length"));
        }
        if !(200..300).contains(&answer.status) {
            return self.refused(to, answer);
        }
        self.retried = false;
        let body = json::parse(answer.body).map_err(|_| wrong("JSON"))?;
        match self.stage {
            Stage::Issuer => self.take_metadata(&body),
            Stage::Server => {
                self.metadata.read_server(&body).map_err(wrong)?;
                self.stage = Stage::Token;
                Ok(())
            }
            Stage::Token => self.take_token(&body).map_err(wrong),
            Stage::Nonce => {
                let nonce = body.get("c_nonce").and_then(Value::as_str);
                self.nonce = nonce.ok_or(wrong("c_nonce"))?.into();
                self.stage = Stage::Credential;
                Ok(())
            }
            Stage::Credential => self.take_credentials(&body).map_err(wrong),
            Stage::Collected | Stage::Notification | Stage::Done => Ok(()),
        }
    }

    fn refused(&mut self, to: &'static str, answer: Answer<'_>) -> Result<(), CollectError> {
        let error = json::parse(answer.body).ok();
        let member = |name| error.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
        let status = answer.status;
        if status == 503 && member("code") == Some(KEYS_UNAVAILABLE) {
            if self.stage == Stage::Credential {
                // The keys that were made are shown again, under a nonce of then.
                self.stage = Stage::Nonce;
            }
            return Err(CollectError::Away { to, status });
        }
        let code = member("error").unwrap_or("no error code");
        // RFC 9449, section 8: the server may ask for its own nonce, once.
        if code == "use_dpop_nonce" && answer.dpop_nonce.is_some() && !self.retried {
            self.retried = true;
            return Ok(());
        }
        Err(CollectError::Refused { to, status, code: code.to_string() })
    }

    fn take_metadata(&mut self, body: &Value) -> Result<(), CollectError> {
        let to = "metadata";
        self.metadata = Metadata::read_issuer(body, &self.offer.issuer)
            .map_err(|member| CollectError::Answer { to, member })?;
        // The last is collected first. What is not understood, or not given any more, keeps nobody from
        // the rest.
        let offered = self.offer.configurations.iter().rev();
        self.open = offered.filter_map(|id| Configuration::read(body, id)).collect();
        if self.open.is_empty() {
            let configuration = self.offer.configurations.first().cloned().unwrap_or_default();
            return Err(CollectError::Unsupported { configuration });
        }
        self.stage = Stage::Server;
        Ok(())
    }

    fn take_token(&mut self, body: &Value) -> Result<(), &'static str> {
        let text = body.get("access_token").and_then(Value::as_str).ok_or("access_token")?;
        let kind = body.get("token_type").and_then(Value::as_str).ok_or("token_type")?;
        self.token = Some(Token { text: text.into(), is_dpop: kind.eq_ignore_ascii_case("DPoP") });
        self.stage = Stage::Nonce;
        Ok(())
    }

    fn take_credentials(&mut self, body: &Value) -> Result<(), &'static str> {
        let list = body.get("credentials").and_then(Value::as_array).ok_or("credentials")?;
        let texts: Option<Vec<String>> = list
            .iter()
            .map(|item| item.get("credential").and_then(Value::as_str).map(String::from))
            .collect();
        let documents = texts.ok_or("credentials")?;
        if documents.is_empty() || documents.len() > self.pending_keys.len() {
            return Err("credentials");
        }
        let kind = self.open.pop().ok_or("credentials")?;
        let keys = core::mem::take(&mut self.pending_keys);
        if let Some(id) = body.get("notification_id").and_then(Value::as_str) {
            self.notifications.push(id.into());
        }
        self.passes.push(Found { kind, documents, keys });
        self.stage = if self.open.is_empty() { Stage::Collected } else { Stage::Nonce };
        Ok(())
    }

    fn presence(&self) -> Presence {
        // The owner has just accepted the offer: that is the confirmation.
        Presence::Confirmed
    }
}

/// Where metadata lies: the well-known segment stands between host and path (RFC 8615 in the form of
/// OpenID4VCI 1.0, section 12.2.2).
fn well_known(identifier: &str, name: &str) -> String {
    let scheme_end = identifier.find("://").map_or(0, |at| at + 3);
    let path_start = identifier
        .get(scheme_end..)
        .and_then(|rest| rest.find('/'))
        .map_or(identifier.len(), |at| scheme_end + at);
    let (origin, path) = identifier.split_at_checked(path_start).unwrap_or((identifier, ""));
    alloc::format!("{origin}/.well-known/{name}{}", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_segment_stands_before_the_path() {
        for (identifier, expected) in [
            ("https://c.example", "https://c.example/.well-known/x"),
            ("https://c.example/", "https://c.example/.well-known/x"),
            ("https://c.example:8/a/b", "https://c.example:8/.well-known/x/a/b"),
        ] {
            assert_eq!(well_known(identifier, "x"), expected);
        }
    }
}
