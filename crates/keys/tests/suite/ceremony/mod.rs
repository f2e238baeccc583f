//! Ceremonies on sealed files: held, verified, restored; and all that must be refused.

mod approvals;
pub(crate) mod hall;
mod held;
mod on_tokens;
mod plans;
mod restored;
mod shares;
mod transcripts;
