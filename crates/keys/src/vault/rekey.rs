//! Which key a card gets next: cards change their keys in pockets, at a tap with a reader that has the
//! city at the other end (`specs/card-keys.md`).

use crate::custody::State;

/// A version of one card master, as the vault holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1; a card stores it in one byte.
    pub number: u8,
    /// Where the master stands in its life.
    pub state: State,
}

/// What to do with a card that is at a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its key is the newest in use.
    Keep,
    /// Authenticate with the key that it has, then write the one of this version.
    Change {
        /// The version to write.
        to: u8,
    },
    /// Its key is of a version that the city uses no more, or never held: it is replaced by hand.
    Replace,
}

/// The deed for a card with a key of version `has`, where the city holds `held`.
///
/// A card is never moved back, and never to a version that is not in use yet: a version is active only
/// once every online reader's way to the vault knows it. An old version stays active for as long as
/// its cards come in; once it is retired, those that are left are replaced.
#[must_use]
pub fn next(has: u8, held: &[Version]) -> Next {
    let is_usable = |version: &Version| version.number == has && version.state != State::Retired;
    if !held.iter().any(is_usable) {
        return Next::Replace;
    }
    let active = held.iter().filter(|version| version.state == State::Active);
    match active.map(|version| version.number).max() {
        Some(newest) if newest > has => Next::Change { to: newest },
        _ => Next::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(has: u8, held: &[(u8, State)], expected: Next) {
        let held: Vec<Version> =
            held.iter().map(|(number, state)| Version { number: *number, state: *state }).collect();
        assert_eq!(next(has, &held), expected, "{has} {held:?}");
    }

    #[test]
    fn a_card_moves_on_to_the_newest_version_in_use_and_never_back() {
        use State::{Active, Published, Retired};
        check(1, &[(1, Active)], Next::Keep);
        check(1, &[(1, Active), (2, Published)], Next::Keep);
        check(1, &[(1, Active), (2, Active)], Next::Change { to: 2 });
        check(1, &[(1, Active), (2, Active), (3, Active)], Next::Change { to: 3 });
        check(1, &[(1, Active), (2, Active), (3, Published)], Next::Change { to: 2 });
        check(1, &[(1, Retired), (2, Active)], Next::Replace);
        check(2, &[(1, Active), (2, Published)], Next::Keep);
        check(2, &[(1, Active), (2, Retired)], Next::Replace);
        check(1, &[(2, Active)], Next::Replace);
        check(9, &[(2, Active)], Next::Replace);
        check(1, &[], Next::Replace);
    }

    /// Whatever is held, no card is ever moved back, and what it is moved to is in use.
    #[test]
    fn no_state_of_the_vault_moves_a_card_back() {
        for has in 1..=4_u8 {
            for states in 0..4_u32.pow(4) {
                let held: Vec<Version> = (0..4_u8)
                    .filter_map(|place| {
                        let state = states / 4_u32.pow(place.into()) % 4;
                        let state = State::ALL.get(usize::try_from(state).unwrap()).copied()?;
                        Some(Version { number: place + 1, state })
                    })
                    .collect();
                if let Next::Change { to } = next(has, &held) {
                    assert!(to > has);
                    assert!(held.contains(&Version { number: to, state: State::Active }));
                }
            }
        }
    }
}
