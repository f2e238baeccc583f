//! Which deeds each role carries: the authorization matrix as it is written.
//!
//! What is not listed is denied. A change here shows in the golden file of the tests, where it is
//! to be read role by role before it is taken.

use crate::action::Action;
use crate::role::Role;

/// The deeds that `role` carries within its own operator.
pub(crate) const fn deeds(role: Role) -> &'static [Action] {
    match role {
        Role::Owner => OWNER,
        Role::IssuerClerk => ISSUER_CLERK,
        Role::HelpDesk => HELP_DESK,
        Role::FleetManager => FLEET_MANAGER,
        Role::Auditor => AUDITOR,
        Role::Registrar => REGISTRAR,
        Role::Reader => READER,
        Role::Candidate => CANDIDATE,
        Role::Wallet => WALLET,
        Role::Holder => HOLDER,
        Role::Worker => WORKER,
        Role::Host => HOST,
    }
}

const OWNER: &[Action] = &[
    Action::OperatorShow,
    Action::ProductAdd,
    Action::ProductShow,
    Action::ProductList,
    Action::PersonRegister,
    Action::PersonShow,
    Action::PersonList,
    Action::PassIssue,
    Action::PassOffer,
    Action::PassShow,
    Action::PassList,
    Action::PassSuspend,
    Action::PassResume,
    Action::PassRevoke,
    Action::PlaceAdd,
    Action::PlaceList,
    Action::TapsSet,
    Action::TapsShow,
    Action::ReaderInvite,
    Action::ReaderShow,
    Action::ReaderList,
    Action::ReaderRetire,
    Action::LogRead,
    Action::TokenCreate,
    Action::TokenList,
    Action::TokenRevoke,
];

const ISSUER_CLERK: &[Action] = &[
    Action::OperatorShow,
    Action::ProductShow,
    Action::ProductList,
    Action::PersonRegister,
    Action::PersonShow,
    Action::PersonList,
    Action::PassIssue,
    Action::PassOffer,
    Action::PassShow,
    Action::PassList,
    Action::PassSuspend,
    Action::PassResume,
    Action::PassRevoke,
];

const HELP_DESK: &[Action] = &[
    Action::OperatorShow,
    Action::ProductShow,
    Action::ProductList,
    Action::PersonShow,
    Action::PersonList,
    Action::PassShow,
    Action::PassList,
    Action::PassSuspend,
    Action::PassResume,
];

const FLEET_MANAGER: &[Action] = &[
    Action::OperatorShow,
    Action::ProductShow,
    Action::ProductList,
    Action::PlaceAdd,
    Action::PlaceList,
    Action::TapsShow,
    Action::ReaderInvite,
    Action::ReaderShow,
    Action::ReaderList,
    Action::ReaderRetire,
    Action::BundleFetch,
    Action::JournalUpload,
];

const AUDITOR: &[Action] = &[
    Action::OperatorShow,
    Action::ProductShow,
    Action::ProductList,
    Action::PassShow,
    Action::PassList,
    Action::PlaceList,
    Action::TapsShow,
    Action::ReaderShow,
    Action::ReaderList,
    Action::LogRead,
    Action::TokenList,
];

const REGISTRAR: &[Action] =
    &[Action::OperatorRegister, Action::OperatorShow, Action::OperatorList];

const READER: &[Action] = &[Action::ReaderRenew, Action::BundleFetch, Action::JournalUpload];

const CANDIDATE: &[Action] = &[Action::ReaderEnrol];

const WALLET: &[Action] = &[Action::CredentialCollect, Action::CredentialNotify];

const HOLDER: &[Action] = &[Action::HandlesDraw];

const WORKER: &[Action] = &[Action::StatusPublish, Action::LogCheckpoint];

const HOST: &[Action] = &[
    Action::OperatorRegister,
    Action::OperatorShow,
    Action::OperatorList,
    Action::TokenCreate,
    Action::TokenList,
    Action::TokenRevoke,
];
