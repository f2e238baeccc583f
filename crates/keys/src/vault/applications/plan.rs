//! What a card is to hold, and what a desk does until it holds that. What is done is not done again, so
//! that a card which was pulled away is held there once more.

use vocabulary::time::Instant;

use super::{Desk, DeskError, Identifier, MASTER_KEY, Place};
use crate::vault::personalise::Process;

/// What a card is to hold.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The card itself.
    pub root: Place,
    /// Its applications.
    pub applications: Vec<Planned>,
}

/// An application that a card is to have.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Which.
    pub place: Place,
    /// What it is for, as the card numbers it.
    pub kind: u8,
    /// What its counted state begins with. One that has begun keeps what it has.
    pub value: Option<u32>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The card.
    pub identifier: Identifier,
    /// Whether it was blank.
    pub is_new: bool,
    /// Its own keys that moved on to a newer version.
    pub keys_moved: u8,
    /// Its applications, in the order of the plan.
    pub applications: Vec<DoneApplication>,
}

/// What was done to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoneApplication {
    /// Whether it was made now.
    pub is_new: bool,
    /// Its keys that moved on to a newer version.
    pub keys_moved: u8,
}

impl Desk<'_> {
    /// Makes the card hold what `plan` says.
    ///
    /// # Errors
    /// [`DeskError`]. What was done until then is done, and the same call goes on from there.
    pub async fn personalise(
        &mut self,
        process: &mut Process,
        plan: &Plan,
        at: Instant,
    ) -> Result<Done, DeskError> {
        let root = &plan.root;
        self.select()?;
        let is_new = self.version(root, MASTER_KEY)? == 0;
        let identifier = self.identifier(root).await?;
        if is_new {
            self.give_keys(process, root, &identifier, at).await?;
        }
        let keys_moved = self.rekey(process, root, &identifier, at).await?;
        let there = self.applications(root, &identifier).await?;
        let mut applications = Vec::new();
        for Planned { place, kind, value } in &plan.applications {
            let is_new = !there.contains(&place.id);
            if is_new {
                self.create(process, root, (place, *kind), &identifier, at).await?;
            }
            let keys_moved = self.rekey(process, place, &identifier, at).await?;
            if let Some(value) = value {
                let held = self.held(place, &identifier).await?;
                if held.counted.is_some_and(|(sequence, ..)| sequence == 0) {
                    self.set_value(place, &identifier, *value).await?;
                }
            }
            applications.push(DoneApplication { is_new, keys_moved });
        }
        Ok(Done { identifier, is_new, keys_moved, applications })
    }
}
