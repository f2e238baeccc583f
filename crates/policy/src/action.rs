//! The closed list of deeds: one action per deed of the city.
//!
//! There is no action for leaving, and none may be added: the way out is free without a question.

use std::fmt;

/// A deed that needs a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Register an operator; a deed upon the city's own operator.
    OperatorRegister,
    /// Read the actor's own operator.
    OperatorShow,
    /// Read the list of all operators; a deed upon the city's own operator.
    OperatorList,
    /// Add a product, or a new version of one.
    ProductAdd,
    /// Read a product.
    ProductShow,
    /// List products.
    ProductList,
    /// Register a person.
    PersonRegister,
    /// Read a person; personal data.
    PersonShow,
    /// List people; personal data.
    PersonList,
    /// Issue a pass and offer it to a wallet.
    PassIssue,
    /// Offer an issued pass again.
    PassOffer,
    /// Read a pass.
    PassShow,
    /// List passes.
    PassList,
    /// Suspend a pass.
    PassSuspend,
    /// Resume a suspended pass.
    PassResume,
    /// Revoke a pass for good.
    PassRevoke,
    /// Redeem an offer: sign documents for the keys of a wallet.
    CredentialCollect,
    /// Take the wallet's word on what became of its documents.
    CredentialNotify,
    /// Have handles of the express tap made for a pass.
    HandlesDraw,
    /// Add a place, a zone or a grant.
    PlaceAdd,
    /// List places and grants.
    PlaceList,
    /// Set what taps must prove, and how fast; a deed upon the city's own operator.
    TapsSet,
    /// Read what taps must prove, and how fast.
    TapsShow,
    /// Make a one-time code for a reader to come.
    ReaderInvite,
    /// Redeem a one-time code: certify the key of a reader.
    ReaderEnrol,
    /// Certify an enrolled reader again, or its next key.
    ReaderRenew,
    /// Read a reader.
    ReaderShow,
    /// List readers.
    ReaderList,
    /// Retire a reader.
    ReaderRetire,
    /// Fetch the trust bundle of a reader.
    BundleFetch,
    /// Hand in the journal of a reader.
    JournalUpload,
    /// Sign status lists.
    StatusPublish,
    /// Read the audit log beyond its public tiles.
    LogRead,
    /// Sign a checkpoint of the audit log.
    LogCheckpoint,
    /// Make a staff token; the resource names the roles that it shall carry.
    TokenCreate,
    /// List staff tokens.
    TokenList,
    /// Revoke a staff token.
    TokenRevoke,
}

impl Action {
    /// Every action, in the order of the authorization matrix.
    pub const ALL: [Self; 37] = [
        Self::OperatorRegister,
        Self::OperatorShow,
        Self::OperatorList,
        Self::ProductAdd,
        Self::ProductShow,
        Self::ProductList,
        Self::PersonRegister,
        Self::PersonShow,
        Self::PersonList,
        Self::PassIssue,
        Self::PassOffer,
        Self::PassShow,
        Self::PassList,
        Self::PassSuspend,
        Self::PassResume,
        Self::PassRevoke,
        Self::CredentialCollect,
        Self::CredentialNotify,
        Self::HandlesDraw,
        Self::PlaceAdd,
        Self::PlaceList,
        Self::TapsSet,
        Self::TapsShow,
        Self::ReaderInvite,
        Self::ReaderEnrol,
        Self::ReaderRenew,
        Self::ReaderShow,
        Self::ReaderList,
        Self::ReaderRetire,
        Self::BundleFetch,
        Self::JournalUpload,
        Self::StatusPublish,
        Self::LogRead,
        Self::LogCheckpoint,
        Self::TokenCreate,
        Self::TokenList,
        Self::TokenRevoke,
    ];

    /// The stable name, noun then verb: `pass.issue`. It stands in the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OperatorRegister => "operator.register",
            Self::OperatorShow => "operator.show",
            Self::OperatorList => "operator.list",
            Self::ProductAdd => "product.add",
            Self::ProductShow => "product.show",
            Self::ProductList => "product.list",
            Self::PersonRegister => "person.register",
            Self::PersonShow => "person.show",
            Self::PersonList => "person.list",
            Self::PassIssue => "pass.issue",
            Self::PassOffer => "pass.offer",
            Self::PassShow => "pass.show",
            Self::PassList => "pass.list",
            Self::PassSuspend => "pass.suspend",
            Self::PassResume => "pass.resume",
            Self::PassRevoke => "pass.revoke",
            Self::CredentialCollect => "credential.collect",
            Self::CredentialNotify => "credential.notify",
            Self::HandlesDraw => "handles.draw",
            Self::PlaceAdd => "place.add",
            Self::PlaceList => "place.list",
            Self::TapsSet => "taps.set",
            Self::TapsShow => "taps.show",
            Self::ReaderInvite => "reader.invite",
            Self::ReaderEnrol => "reader.enrol",
            Self::ReaderRenew => "reader.renew",
            Self::ReaderShow => "reader.show",
            Self::ReaderList => "reader.list",
            Self::ReaderRetire => "reader.retire",
            Self::BundleFetch => "bundle.fetch",
            Self::JournalUpload => "journal.upload",
            Self::StatusPublish => "status.publish",
            Self::LogRead => "log.read",
            Self::LogCheckpoint => "log.checkpoint",
            Self::TokenCreate => "token.create",
            Self::TokenList => "token.list",
            Self::TokenRevoke => "token.revoke",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
