//! The vault of the key service, as its clients see it.

use core::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use credential::delivery::Delivery;
use credential::delivery::DeliveryError;
use credential::delivery::recipient::VerifiedRecipient;
use vocabulary::time::Instant;

use super::diversify::CardInput;
use super::error::{CardError, VaultError, WrapError};
use super::ev2::{Mode, Session};
use super::express::HandlesError;
use super::wire::{Ask, Told};
use super::{CardAnswer, NewSecret, RunId, SECRETS_MAX, Secret, SecretHandle, SecretKind, Vault};
use crate::custody::{Pending, State};
use crate::remote::Remote;

/// A vault in the process of the key service.
pub struct RemoteVault {
    remote: Arc<Remote>,
    listed: RwLock<Arc<[Secret]>>,
}

impl RemoteVault {
    /// Reads the list of secrets over a connection that is there.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`], also where the service has no vault or gives this client none.
    pub async fn over(remote: Arc<Remote>) -> Result<Self, VaultError> {
        let vault = Self { remote, listed: RwLock::new(Arc::new([])) };
        vault.look_now().await?;
        Ok(vault)
    }

    async fn ask(&self, ask: Ask) -> Option<Told> {
        Told::decode(&self.remote.ask_vault(&ask.encode()).await?)
    }

    /// Handles of the express tap for a device's `request` (`presentation::express::issuing`): the
    /// batch, sealed for the device.
    ///
    /// # Errors
    /// [`HandlesError`].
    pub async fn handles(&self, request: &[u8]) -> Result<Vec<u8>, HandlesError> {
        match self.ask(Ask::Handles { request: request.to_vec() }).await {
            Some(Told::Handles(answer)) => Ok(answer),
            Some(Told::Refused { word, detail }) => {
                Err(HandlesError::named(&word, detail.as_deref()))
            }
            _ => Err(HandlesError::Unavailable),
        }
    }

    async fn look_now(&self) -> Result<(), VaultError> {
        let mut all = Vec::new();
        loop {
            let from = u64::try_from(all.len()).unwrap_or(u64::MAX);
            let told = self.ask(Ask::List { from }).await;
            let Some(Told::Secrets { total, secrets }) = told else {
                return Err(VaultError::Unavailable);
            };
            let is_last = secrets.is_empty();
            all.extend(secrets);
            let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
            if is_last || count >= total || all.len() > SECRETS_MAX {
                break;
            }
        }
        *self.listed.write().unwrap_or_else(PoisonError::into_inner) = all.into();
        Ok(())
    }

    async fn keep(&self, ask: Ask, request: Named) -> Result<Told, VaultError> {
        let told = match self.ask(ask).await {
            Some(Told::Refused { word, detail }) => {
                return Err(request.error(&word, detail.as_deref()));
            }
            Some(told) => told,
            None => return Err(VaultError::Unavailable),
        };
        self.look_now().await?;
        Ok(told)
    }

    async fn keep_secret(&self, ask: Ask, request: Named) -> Result<Secret, VaultError> {
        match self.keep(ask, request).await? {
            Told::Secret(secret) => Ok(*secret),
            _ => Err(VaultError::Unavailable),
        }
    }

    async fn delivery(&self, ask: Ask, handle: SecretHandle) -> Result<Delivery, WrapError> {
        match self.ask(ask).await {
            Some(Told::Delivery(bytes)) => {
                Delivery::parse(&bytes).map_err(|_| WrapError::Unavailable)
            }
            Some(Told::Refused { word, detail }) => Err(match word.as_str() {
                "unknown-secret" => WrapError::Unknown { handle },
                "retired" => WrapError::Retired { handle },
                "recipient" => WrapError::Recipient(DeliveryError::Key("statement")),
                "kind" => kind(detail.as_deref())
                    .map_or(WrapError::Unavailable, |kind| WrapError::Kind { kind }),
                _ => WrapError::Unavailable,
            }),
            _ => Err(WrapError::Unavailable),
        }
    }
}

/// What a deed was about, to name it when it is refused.
#[derive(Clone, Copy)]
struct Named {
    handle: Option<SecretHandle>,
    kind: SecretKind,
}

impl Named {
    fn error(self, word: &str, detail: Option<&str>) -> VaultError {
        let known = ["scope", "epoch", "kdf", "state"];
        let field = known.into_iter().find(|field| Some(*field) == detail).unwrap_or("request");
        let state = State::ALL.into_iter().find(|state| Some(state.as_str()) == detail);
        match (word, self.handle, state) {
            ("unknown-secret", Some(handle), _) => VaultError::Unknown { handle },
            ("request", ..) => VaultError::Request { kind: self.kind, field },
            ("backwards", _, Some(state)) => VaultError::Backwards { state },
            ("full", ..) => VaultError::Full,
            _ => VaultError::Unavailable,
        }
    }
}

fn kind(word: Option<&str>) -> Option<SecretKind> {
    word?.parse().ok()
}

fn card_error(word: &str, handle: SecretHandle, run: RunId) -> CardError {
    match word {
        "unknown-secret" => CardError::Unknown { handle },
        "not-a-master" => CardError::NotAMaster { handle },
        "no-run" => CardError::NoRun { run },
        "length" => CardError::Length,
        "card" => CardError::Card,
        _ => CardError::Unavailable,
    }
}

impl Vault for RemoteVault {
    fn secrets(&self) -> Arc<[Secret]> {
        Arc::clone(&self.listed.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self) -> Pending<'_, (), VaultError> {
        Box::pin(self.look_now())
    }

    fn generate(&self, request: NewSecret) -> Pending<'_, Secret, VaultError> {
        let NewSecret { kind, scope, epoch, kdf, state, .. } = request;
        let ask = Ask::Generate { kind, scope, epoch, kdf, state };
        Box::pin(self.keep_secret(ask, Named { handle: None, kind }))
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a SecretHandle,
        state: State,
        _: Instant,
    ) -> Pending<'a, Secret, VaultError> {
        let named = Named { handle: Some(*handle), kind: SecretKind::Epoch };
        Box::pin(self.keep_secret(Ask::SetState { handle: *handle, state }, named))
    }

    fn destroy<'a>(&'a self, handle: &'a SecretHandle) -> Pending<'a, (), VaultError> {
        let named = Named { handle: Some(*handle), kind: SecretKind::Epoch };
        Box::pin(async move { self.keep(Ask::Destroy { handle: *handle }, named).await.map(drop) })
    }

    fn wrap_for<'a>(
        &'a self,
        handle: &'a SecretHandle,
        recipient: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError> {
        Box::pin(async move {
            let wrong = WrapError::Recipient(DeliveryError::Key("statement"));
            let (statement, certificate) = recipient.evidence().ok_or(wrong)?;
            let (statement, certificate) = (statement.to_vec(), certificate.to_vec());
            self.delivery(Ask::Wrap { handle: *handle, statement, certificate }, *handle).await
        })
    }

    fn answer_card<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        mode: Mode,
        challenge: &'a [u8; 16],
    ) -> Pending<'a, CardAnswer, CardError> {
        let (handle, card, challenge) = (*handle, card.clone(), *challenge);
        Box::pin(async move {
            match self.ask(Ask::Answer { handle, card, mode, challenge }).await {
                Some(Told::Answer { run, answer }) => Ok(CardAnswer { run, answer }),
                Some(Told::Refused { word, .. }) => Err(card_error(&word, handle, RunId([0; 16]))),
                _ => Err(CardError::Unavailable),
            }
        })
    }

    fn finish_card<'a>(
        &'a self,
        run: &'a RunId,
        response: &'a [u8],
    ) -> Pending<'a, Session, CardError> {
        Box::pin(async move {
            match self.ask(Ask::Finish { run: *run, response: response.to_vec() }).await {
                Some(Told::Session(session)) => Ok(session),
                Some(Told::Refused { word, .. }) => {
                    Err(card_error(&word, SecretHandle::from_bytes([0; 16]), *run))
                }
                _ => Err(CardError::Unavailable),
            }
        })
    }

    fn wrap_card_key<'a>(
        &'a self,
        handle: &'a SecretHandle,
        card: &'a CardInput,
        process: &'a VerifiedRecipient,
    ) -> Pending<'a, Delivery, WrapError> {
        let (run, point) = (*process.identity(), *process.keys().p256());
        let ask = Ask::CardKey { handle: *handle, card: card.clone(), run, point };
        Box::pin(self.delivery(ask, *handle))
    }
}

impl fmt::Debug for RemoteVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteVault(..)")
    }
}
