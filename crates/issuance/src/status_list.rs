//! The status lists of an operator: which there are, which index a new document gets, and what is
//! signed about them.
//!
//! IETF Token Status List with two bits per index: valid, invalid, suspended. Indexes are drawn at
//! random among those that are free, so that neither order nor neighbourhood says anything. A list
//! is given no new documents once it is half full, so that a few draws always find a free index.

use core::fmt;
use core::time::Duration;

use credential::delivery::EPOCH_SECONDS;
use credential::status::{Bits, Status, StatusListClaims};
use policy::action::Action;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::code::OperatorCode;
use vocabulary::time::Instant;

use crate::document::{Document, Standing};
use crate::entropy::Entropy;
use crate::issuer::Issuer;

/// Indexes of a list. A power of two, so that random bits draw without favour.
pub const STATUS_CAPACITY: u32 = 1 << 17;
/// Documents after which a list is given no new ones.
pub const STATUS_DOCUMENTS_MAX: u32 = STATUS_CAPACITY / 2;
/// How long a copy of a list may be used before a fresh one is fetched.
pub const STATUS_TTL: Duration = Duration::from_secs(300);
/// For how long after its epoch a list of handles still counts.
pub const EPOCH_LIST_SKEW: Duration = Duration::from_secs(3_600);
/// How long a signed list may be believed at all.
pub const STATUS_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// One status list of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// Its number within the operator, from 0; part of its URI.
    pub number: u32,
    /// How many indexes it has.
    pub capacity: u32,
    /// The epoch whose express handles have their status in it; of documents, if none.
    pub epoch: Option<u32>,
    /// When it was opened.
    pub opened_at: Instant,
    /// 1 when opened, one more with every change.
    pub version: u32,
}

/// The newest of `lists` for documents, or for the handles of `epoch`.
#[must_use]
pub fn newest_status_list(lists: &[StatusList], epoch: Option<u32>) -> Option<&StatusList> {
    lists.iter().filter(|list| list.epoch == epoch).max_by_key(|list| list.number)
}

/// The list to be opened before the next document of `operator`, or the next handles of `epoch`, if
/// one is needed: `lists` are those that there are, and `taken` how many indexes of the newest of this
/// use are taken.
#[must_use]
pub fn next_status_list(
    operator: &OperatorCode,
    lists: &[StatusList],
    epoch: Option<u32>,
    taken: u32,
    now: Instant,
) -> Option<StatusList> {
    if newest_status_list(lists, epoch).is_some() && taken < STATUS_DOCUMENTS_MAX {
        return None;
    }
    let number = match lists.iter().map(|list| list.number).max() {
        None => 0,
        Some(last) => last.checked_add(1)?,
    };
    let (operator, capacity) = (operator.clone(), STATUS_CAPACITY);
    Some(StatusList { operator, number, capacity, epoch, opened_at: now, version: 1 })
}

/// What has its status in a list.
pub trait Listed {
    /// Its operator, the number of its list, and the index in it.
    fn place(&self) -> (&OperatorCode, u32, u32);

    /// What the list says of it.
    fn standing(&self) -> Standing;
}

impl Listed for Document {
    fn place(&self) -> (&OperatorCode, u32, u32) {
        (&self.operator, self.status_list, self.status_index)
    }

    fn standing(&self) -> Standing {
        self.standing
    }
}

/// Indexes drawn at random, all different, among which `wanted` free ones are found for certain
/// enough: when not, draw again with other entropy. The caller asks the store which are free.
#[must_use]
pub fn draw_indexes(list: &StatusList, wanted: usize, entropy: [u8; 32]) -> Vec<u32> {
    // Half of the draws are free at worst; of 4 w + 32 draws, fewer than w are free once in 10^9.
    let draws = wanted.saturating_mul(4).saturating_add(32);
    let mut entropy = Entropy::new(entropy);
    let mut drawn: Vec<u32> = Vec::with_capacity(draws);
    for _ in 0..draws {
        let index = u32::from_be_bytes(entropy.bytes()) % list.capacity.max(1);
        if !drawn.contains(&index) {
            drawn.push(index);
        }
    }
    drawn
}

/// What is to be signed about a list, as JWT or CWT by `StatusListClaims::jwt` and `cwt`.
/// `listed` is all of the list that is not valid; others may be among it.
///
/// # Errors
/// [`StatusListRefusal`]
pub fn publish_status_list<'a, L: Listed + 'a>(
    permit: &Permit,
    issuer: &Issuer,
    list: &StatusList,
    listed: impl IntoIterator<Item = &'a L>,
    now: Instant,
) -> Result<StatusListClaims, StatusListRefusal> {
    permit.covers(Action::StatusPublish, &list.operator).map_err(StatusListRefusal::Permit)?;
    if *issuer.operator() != list.operator {
        return Err(StatusListRefusal::Issuer);
    }
    let capacity = usize::try_from(list.capacity).map_err(|_| StatusListRefusal::Capacity)?;
    let mut packed = credential::status::StatusList::new(Bits::Two, capacity)
        .map_err(|_| StatusListRefusal::Capacity)?;
    for listed in listed {
        let (operator, number, index) = listed.place();
        if *operator != list.operator || number != list.number {
            continue;
        }
        packed
            .set(index.into(), status(listed.standing()))
            .map_err(|_| StatusListRefusal::Index)?;
    }
    Ok(StatusListClaims {
        uri: issuer.status_uri(list.number),
        issued_at: now.floor_to_second(),
        expires_at: Some(end(list, now)),
        ttl: Some(STATUS_TTL),
        list: packed,
    })
}

/// A list of handles is over an hour after their epoch, when nobody can use them any more.
fn end(list: &StatusList, now: Instant) -> Instant {
    let usual = now.floor_to_second().saturating_add(STATUS_LIFETIME);
    let Some(epoch) = list.epoch else { return usual };
    let after = i64::from(epoch).saturating_add(1).saturating_mul(EPOCH_SECONDS.into());
    let over = Instant::from_unix_seconds(after).saturating_add(EPOCH_LIST_SKEW);
    // One that is signed once more after that must not be over before it is signed.
    usual.min(over.max(now.floor_to_second().saturating_add(EPOCH_LIST_SKEW)))
}

const fn status(standing: Standing) -> Status {
    match standing {
        Standing::Valid => Status::Valid,
        Standing::Invalid => Status::Invalid,
        Standing::Suspended => Status::Suspended,
    }
}

/// Why a list is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusListRefusal {
    /// The permit is for another deed or operator.
    Permit(WrongPermit),
    /// The list is not of this issuer.
    Issuer,
    /// The capacity is not one that a list can have.
    Capacity,
    /// Something has an index outside the list.
    Index,
}

impl StatusListRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::Issuer => "status-list-issuer",
            Self::Capacity => "status-list-capacity",
            Self::Index => "status-list-index",
        }
    }
}

impl fmt::Display for StatusListRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit(wrong) => return write!(f, "{wrong}"),
            Self::Issuer => "the status list is of another issuer",
            Self::Capacity => "the capacity of the status list is out of its limits",
            Self::Index => "an index lies outside its status list",
        })
    }
}

impl core::error::Error for StatusListRefusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(number: u32) -> StatusList {
        let operator = "harbour".parse().unwrap();
        let opened_at = Instant::UNIX_EPOCH;
        let (capacity, epoch) = (STATUS_CAPACITY, None);
        StatusList { operator, number, capacity, epoch, opened_at, version: 1 }
    }

    #[test]
    fn next_list_is_opened_when_the_last_is_half_full() {
        let operator = "harbour".parse().unwrap();
        let next = |lists: &[StatusList], epoch, taken| {
            let next = next_status_list(&operator, lists, epoch, taken, Instant::UNIX_EPOCH);
            next.map(|list| (list.number, list.epoch))
        };
        assert_eq!(next(&[], None, 0), Some((0, None)));
        assert_eq!(next(&[list(0)], None, STATUS_DOCUMENTS_MAX - 1), None);
        assert_eq!(next(&[list(0)], None, STATUS_DOCUMENTS_MAX), Some((1, None)));
        // Handles have lists of their own, one epoch at a time.
        let of_epoch = StatusList { epoch: Some(9), ..list(1) };
        let lists = [list(0), of_epoch.clone()];
        assert_eq!(next(&[list(0)], Some(9), 0), Some((1, Some(9))));
        assert_eq!(next(&lists, Some(9), 0), None);
        assert_eq!(next(&lists, Some(10), 0), Some((2, Some(10))));
        assert_eq!(next(&lists, None, STATUS_DOCUMENTS_MAX), Some((2, None)));
        assert_eq!(newest_status_list(&lists, None), Some(&list(0)));
        assert_eq!(newest_status_list(&lists, Some(9)), Some(&of_epoch));
    }

    #[test]
    fn draws_differ_lie_in_the_list_and_depend_on_entropy() {
        let drawn = draw_indexes(&list(0), 32, [1; 32]);
        assert!(drawn.len() > 100 && drawn.iter().all(|&index| index < STATUS_CAPACITY));
        let mut sorted = drawn.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), drawn.len());
        assert_ne!(sorted, drawn, "indexes come in no order");
        assert_ne!(draw_indexes(&list(0), 32, [2; 32]), drawn);
    }

    #[test]
    fn half_full_list_has_a_free_index_for_a_whole_batch() {
        for seed in 0..=255 {
            // Every other index is taken: the worst that a list gets.
            let drawn = draw_indexes(&list(0), 32, [seed; 32]);
            assert!(drawn.iter().filter(|&index| index % 2 == 0).count() >= 32, "{seed}");
        }
    }
}
