//! The JSON and the forms of OpenID4VCI 1.0 and OAuth 2.0: the only place with a serialization
//! framework.
//!
//! What comes from a wallet is read strictly: size first, then form; members that stand twice and
//! members that nobody knows are refused. The standards ask issuers to pass over unknown members;
//! Limen does not, since a wallet that asks for something must not believe that it got it. The
//! registered parameters that other profiles of OAuth 2.0 send along are known and passed over.

pub mod credential;
pub mod error;
#[cfg(test)]
mod examples;
pub mod metadata;
pub mod notification;
pub mod offer;
pub mod percent;
pub mod recurrence;
pub mod token;

/// The JSON of an answer of ours.
pub(crate) fn to_json<T: serde::Serialize>(answer: &T) -> String {
    // INVARIANT: answers are structs with text keys, whose serialization cannot fail.
    serde_json::to_string(answer).unwrap_or_default()
}
