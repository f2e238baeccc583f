//! The vault behind the key service: who may ask for what, and whose keys may be wrapped to.
//!
//! A client's word is not enough for a key: the service looks at the reader's statement and at its
//! certificate itself, by the reader authorities whose keys it holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use credential::aws_lc::AwsLc;
use credential::delivery::recipient::{Statement, VerifiedRecipient};
use credential::x509::{Certificate, TrustAnchors};
use vocabulary::time::Instant;

use super::error::{CardError, VaultError, WrapError};
use super::express::Handles;
use super::wire::{Ask, SECRETS_PER_ANSWER, Told, process_keys};
use super::{CardAnswer, NewSecret, SecretHandle, SecretKind, Vault};
use crate::custody::Key;
use crate::purpose::Purpose;

/// What a client of the key service may ask the vault for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VaultRight {
    /// Make, list, move on and destroy epoch and zone keys, and have them wrapped for readers.
    Readers,
    /// Authenticate cards.
    Cards,
    /// Make card masters, and get card keys for the process that writes them into cards.
    Personalise,
    /// Have handles of the express tap made for devices that ask for them.
    Handles,
}

impl VaultRight {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Readers, Self::Cards, Self::Personalise, Self::Handles];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Readers => "readers",
            Self::Cards => "cards",
            Self::Personalise => "personalise",
            Self::Handles => "handles",
        }
    }
}

/// What came of a request.
pub(crate) struct Dealt {
    /// The answer.
    pub(crate) body: Vec<u8>,
    /// Whether it must stand in the journal before it leaves; looking at a list need not.
    pub(crate) is_deed: bool,
    /// Whether the client may not ask this.
    pub(crate) is_forbidden: bool,
    /// Whether it was done.
    pub(crate) is_done: bool,
}

/// What the desk works with.
pub(crate) struct Hands<'h> {
    pub(crate) vault: &'h Arc<dyn Vault>,
    /// Where handles are made.
    pub(crate) handles: &'h Handles,
    /// The signing keys of the service.
    pub(crate) keys: &'h [Key],
}

/// Deals with `body` for a client with `rights`.
pub(crate) async fn deal(
    hands: Hands<'_>,
    rights: &BTreeSet<VaultRight>,
    body: &[u8],
    at: Instant,
) -> Dealt {
    let Some(ask) = Ask::decode(body) else { return refused("unknown", false) };
    let is_deed = !matches!(ask, Ask::List { .. });
    if !is_allowed(hands.vault, rights, &ask) {
        return Dealt { is_deed: true, is_forbidden: true, ..refused("not-allowed", false) };
    }
    let told = answer(hands, ask, at).await;
    let is_done = !matches!(told, Told::Refused { .. });
    Dealt { body: told.encode(), is_deed, is_forbidden: false, is_done }
}

fn refused(word: &str, is_deed: bool) -> Dealt {
    let body = Told::Refused { word: word.into(), detail: None }.encode();
    Dealt { body, is_deed, is_forbidden: false, is_done: false }
}

fn is_allowed(vault: &Arc<dyn Vault>, rights: &BTreeSet<VaultRight>, ask: &Ask) -> bool {
    let of_kind = |kind| match kind {
        SecretKind::Epoch | SecretKind::Zone => VaultRight::Readers,
        _ => VaultRight::Personalise,
    };
    let needed = match ask {
        // Who may do anything with secrets sees which there are.
        Ask::List { .. } => return !rights.is_empty(),
        Ask::Wrap { .. } => Some(VaultRight::Readers),
        Ask::Generate { kind, .. } => Some(of_kind(*kind)),
        Ask::SetState { handle, .. } | Ask::Destroy { handle } => {
            let secrets = vault.secrets();
            secrets.iter().find(|secret| secret.handle == *handle).map(|it| of_kind(it.kind))
        }
        Ask::Answer { .. } | Ask::Finish { .. } => Some(VaultRight::Cards),
        Ask::CardKey { .. } => Some(VaultRight::Personalise),
        Ask::Handles { .. } => Some(VaultRight::Handles),
    };
    needed.is_some_and(|needed| rights.contains(&needed))
}

async fn answer(hands: Hands<'_>, ask: Ask, at: Instant) -> Told {
    let Hands { vault, handles, keys } = hands;
    match ask {
        Ask::List { from } => {
            let all = vault.secrets();
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let secrets = all.iter().skip(from).take(SECRETS_PER_ANSWER).cloned().collect();
            Told::Secrets { total: u64::try_from(all.len()).unwrap_or(u64::MAX), secrets }
        }
        Ask::Generate { kind, scope, epoch, kdf, state } => {
            let made =
                vault.generate(NewSecret { kind, scope, epoch, kdf, state, after: 0, at }).await;
            made.map_or_else(|error| of_keeping(&error), |it| Told::Secret(Box::new(it)))
        }
        Ask::SetState { handle, state } => {
            let moved = vault.set_state(&handle, state, at).await;
            moved.map_or_else(|error| of_keeping(&error), |it| Told::Secret(Box::new(it)))
        }
        Ask::Destroy { handle } => {
            let done = vault.destroy(&handle).await;
            done.map_or_else(|error| of_keeping(&error), |()| Told::Done)
        }
        Ask::Wrap { handle, statement, certificate } => {
            let recipient = verified(keys, &statement, &certificate, at);
            let recipient = recipient.filter(|_| is_of_scope(vault, &handle, &certificate));
            let Some(recipient) = recipient else {
                return Told::Refused { word: "recipient".into(), detail: None };
            };
            let wrapped = vault.wrap_for(&handle, &recipient).await;
            wrapped.map_or_else(|error| of_wrapping(&error), |it| Told::Delivery(it.encode()))
        }
        Ask::Answer { handle, card, mode, challenge } => {
            let answered = vault.answer_card(&handle, &card, mode, &challenge).await;
            answered.map_or_else(
                |error| of_card(&error),
                |CardAnswer { run, answer }| Told::Answer { run, answer },
            )
        }
        Ask::Finish { run, response } => {
            let finished = vault.finish_card(&run, &response).await;
            finished.map_or_else(|error| of_card(&error), Told::Session)
        }
        Ask::CardKey { handle, card, run, point } => {
            let Some(keys) = process_keys(point) else {
                return Told::Refused { word: "recipient".into(), detail: None };
            };
            let process = VerifiedRecipient::danger_process(run, keys);
            let wrapped = vault.wrap_card_key(&handle, &card, &process).await;
            wrapped.map_or_else(|error| of_wrapping(&error), |it| Told::Delivery(it.encode()))
        }
        Ask::Handles { request } => {
            let made = handles.deal(&**vault, keys, &request, at).await;
            made.map_or_else(|error| told(error.word(), error.detail()), Told::Handles)
        }
    }
}

/// The recipient, if its certificate is of a reader authority of this city and it signed its keys.
fn verified(
    keys: &[Key],
    statement: &[u8],
    certificate: &[u8],
    at: Instant,
) -> Option<VerifiedRecipient> {
    let authorities = keys.iter().filter(|key| key.purpose == Purpose::ReaderAuthority);
    let ders = authorities.filter_map(|key| key.certificate.as_deref());
    let anchors = TrustAnchors::from_ders(ders).ok()?;
    let statement = Statement::parse(statement).ok()?;
    statement.verify(&AwsLc, certificate, &anchors, at).ok()
}

/// Whether the operator that `certificate` names is that of the key `handle`: whoever mixes up readers in a
/// database gets no keys of another operator. A key that is unknown is told as such.
fn is_of_scope(vault: &Arc<dyn Vault>, handle: &SecretHandle, certificate: &[u8]) -> bool {
    let secrets = vault.secrets();
    let Some(secret) = secrets.iter().find(|secret| secret.handle == *handle) else { return true };
    let certificate = Certificate::parse(certificate).ok();
    let named = certificate.as_ref().and_then(|it| it.subject.organization());
    secret.scope.as_ref().is_none_or(|scope| named == Some(scope.operator.as_str()))
}

fn told(word: &str, detail: Option<&str>) -> Told {
    Told::Refused { word: word.into(), detail: detail.map(str::to_owned) }
}

fn of_keeping(error: &VaultError) -> Told {
    match error {
        VaultError::Unknown { .. } => told("unknown-secret", None),
        VaultError::Request { field, .. } => told("request", Some(field)),
        VaultError::KdfNotHere { mechanism, .. } => told("kdf", Some(mechanism)),
        VaultError::Backwards { state } => told("backwards", Some(state.as_str())),
        VaultError::Full => told("full", None),
        _ => told("unavailable", None),
    }
}

fn of_wrapping(error: &WrapError) -> Told {
    match error {
        WrapError::Unknown { .. } => told("unknown-secret", None),
        WrapError::Kind { kind } => told("kind", Some(kind.as_str())),
        WrapError::Retired { .. } => told("retired", None),
        WrapError::Recipient(_) => told("recipient", None),
        WrapError::KdfNotHere { mechanism, .. } => told("kdf", Some(mechanism)),
        WrapError::Unavailable => told("unavailable", None),
    }
}

fn of_card(error: &CardError) -> Told {
    match error {
        CardError::Unknown { .. } => told("unknown-secret", None),
        CardError::NotAMaster { .. } => told("not-a-master", None),
        CardError::NoRun { .. } => told("no-run", None),
        CardError::Length => told("length", None),
        CardError::Card => told("card", None),
        CardError::KdfNotHere { mechanism, .. } => told("kdf", Some(mechanism)),
        CardError::Unavailable => told("unavailable", None),
    }
}
