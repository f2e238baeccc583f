//! What a wallet reports about the documents it was sent (OpenID4VCI 1.0, 11).
//!
//! A report is about all documents of one response. Documents that the wallet could not keep, or
//! that its holder declined, are put out of force: nobody has them, so nobody may show them.
//! Reports are idempotent, and a wallet need not send any.

use core::fmt;

use policy::action::Action;
use policy::authorize::{Permit, WrongPermit};

use crate::access::Access;
use crate::change::Change;
use crate::document::{Delivery, Document, Standing};
use crate::names::names;
use crate::secret::{Digest, SecretUse, digest};

/// A notification request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRequest {
    /// The name that the credential response gave to its documents.
    pub notification_id: String,
    /// What became of them.
    pub event: NotificationEvent,
}

impl NotificationRequest {
    /// The digest under which the documents are found.
    #[must_use]
    pub fn notification_digest(&self) -> Digest {
        digest(SecretUse::Notification, &self.notification_id)
    }
}

/// What became of the documents of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotificationEvent {
    /// The wallet keeps them.
    Accepted,
    /// The wallet could not keep them.
    Failure,
    /// The holder did not want them.
    Deleted,
}

names!(NotificationEvent {
    Accepted = "credential_accepted",
    Failure = "credential_failure",
    Deleted = "credential_deleted",
});

/// Takes a wallet's word. `documents` are those that the store found under the digest of the
/// notification's name; they must be of the pass of the access token.
///
/// # Errors
/// [`NotificationRefusal`]
pub fn note_delivery(
    permit: &Permit,
    access: &Access,
    request: &NotificationRequest,
    documents: &[Document],
) -> Result<Vec<Change>, NotificationRefusal> {
    let grant = access.grant();
    permit
        .covers(Action::CredentialNotify, &grant.operator)
        .map_err(NotificationRefusal::Permit)?;
    let digest = request.notification_digest();
    let own = |document: &Document| {
        document.operator == grant.operator
            && document.pass == grant.pass
            && document.notification_digest == digest
    };
    if documents.is_empty() || !documents.iter().all(own) {
        return Err(NotificationRefusal::Unknown);
    }
    let changed = documents.iter().filter_map(|document| after(document, request.event));
    let once = access.once().map(|once| Change::Once(once.clone()));
    Ok(changed.map(Change::Document).chain(once).collect())
}

/// The next version of a document after a report; none when the report says nothing new. What was
/// reported lost stays lost.
fn after(document: &Document, event: NotificationEvent) -> Option<Document> {
    let (delivery, standing) = match event {
        NotificationEvent::Accepted if document.delivery != Delivery::Sent => return None,
        NotificationEvent::Accepted => (Delivery::Accepted, document.standing),
        NotificationEvent::Failure => (Delivery::Failed, Standing::Invalid),
        NotificationEvent::Deleted => (Delivery::Deleted, Standing::Invalid),
    };
    if (delivery, standing) == (document.delivery, document.standing) {
        return None;
    }
    let version = document.version.saturating_add(1);
    Some(Document { delivery, standing, version, ..document.clone() })
}

/// Why a report is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationRefusal {
    /// The permit is for another deed or operator.
    Permit(WrongPermit),
    /// The request is malformed, too long, or has a member that is unknown or stands twice.
    Form,
    /// No documents have this name, or they are of another pass.
    Unknown,
}

impl NotificationRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::Form => "notification-request",
            Self::Unknown => "notification-id",
        }
    }

    /// The error code that the wallet sees (OpenID4VCI 1.0, 11.3).
    #[must_use]
    pub const fn oauth_error(&self) -> &'static str {
        match self {
            Self::Permit(_) | Self::Form => "invalid_notification_request",
            Self::Unknown => "invalid_notification_id",
        }
    }
}

impl fmt::Display for NotificationRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit(wrong) => return write!(f, "{wrong}"),
            Self::Form => "the notification request is malformed",
            Self::Unknown => "there is no such notification",
        })
    }
}

impl core::error::Error for NotificationRefusal {}
