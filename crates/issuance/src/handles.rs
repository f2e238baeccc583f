//! Handles of the express tap: the index that those of one pass, zone and epoch share, and how many
//! are given out for it (`specs/express-tap.md`).
//!
//! The city keeps an index and a count, and neither a handle nor a key: those are made in the key
//! service and sealed for the device. An index moves with its pass, as documents do.

use core::fmt;

use policy::action::Action;
use policy::actor::Object;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::code::{OperatorCode, ZoneCode};
use vocabulary::id::{PassId, ReaderId};
use vocabulary::time::Instant;

use crate::change::Change;
use crate::document::Standing;
use crate::once::Once;
use crate::pass::{Pass, PassRefusal, collect_pass};
use crate::product::{Bearer, Product};
use crate::secret::Digest;
use crate::status_list::{Listed, StatusList};

/// How long an index is kept after its epoch, in epochs: longer than a signed list is believed.
pub const EPOCHS_KEPT: u32 = 8;

/// The epoch at `at`, a day, as the keys of readers have it.
#[must_use]
pub fn epoch_at(at: Instant) -> u32 {
    u32::try_from(credential::delivery::epoch_at(at)).unwrap_or(0)
}

/// Where the status of the handles of one pass, zone and epoch stands, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleIndex {
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// The pass.
    pub pass: PassId,
    /// The zone in which the handles are good.
    pub zone: ZoneCode,
    /// The epoch in which they are.
    pub epoch: u32,
    /// Number of the status list of this operator.
    pub status_list: u32,
    /// Index in that list; unique within it.
    pub status_index: u32,
    /// What the list says of them.
    pub standing: Standing,
    /// How many were given out. Their numbers are below this.
    pub given: u16,
    /// Which device got which, ascending.
    pub draws: Vec<Draw>,
    /// The taps with them that gates have told of, in the order in which the city heard of them; one for a
    /// number.
    pub seen: Vec<Tap>,
    /// 1 when drawn, one more with every change.
    pub version: u32,
}

/// Handles that went to one device in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The number of the first; the next draw begins where this one ends.
    pub first: u16,
    /// The thumbprint of the device key that asked.
    pub device: Digest,
}

/// A tap with a handle, as a gate wrote it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The number of the handle among those of its index.
    pub number: u16,
    /// The taps with handles of the index, this one counted, as the device counts them.
    pub taps: u32,
    /// The gate.
    pub reader: ReaderId,
    /// The record of its journal.
    pub sequence: u64,
    /// When, by the gate's clock.
    pub at: Instant,
}

impl HandleIndex {
    /// The next version of this index with another `standing`; none when nothing changes. What is
    /// invalid stays invalid.
    #[must_use]
    pub fn with_standing(&self, standing: Standing) -> Option<Self> {
        if self.standing == standing || self.standing == Standing::Invalid {
            return None;
        }
        Some(Self { standing, version: self.version.saturating_add(1), ..self.clone() })
    }
}

impl Listed for HandleIndex {
    fn place(&self) -> (&OperatorCode, u32, u32) {
        (&self.operator, self.status_list, self.status_index)
    }

    fn standing(&self) -> Standing {
        self.standing
    }
}

/// What a wallet asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlesRequest {
    /// In which zone.
    pub zone: ZoneCode,
    /// For which epoch.
    pub epoch: u32,
    /// How many.
    pub count: u16,
    /// The thumbprint of the device key that asks.
    pub device: Digest,
    /// The mark of the request, which counts once.
    pub once: Once,
}

/// What the store found; everything is of the permit's operator.
#[derive(Clone, Copy, Debug)]
pub struct HandlesState<'a> {
    /// The pass whose device key signed.
    pub pass: &'a Pass,
    /// The version of the product that the pass names.
    pub product: &'a Product,
    /// The index of this pass, zone and epoch, if one was drawn.
    pub drawn: Option<&'a HandleIndex>,
    /// The newest status list of this epoch.
    pub status_list: &'a StatusList,
    /// An index of that list that is free, drawn at random.
    pub free_index: Option<u32>,
}

/// What the key service shall make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// What to commit before the handles leave.
    pub changes: Vec<Change>,
    /// Number of the status list.
    pub status_list: u32,
    /// Index in that list.
    pub status_index: u32,
    /// The number of the first handle.
    pub first: u16,
    /// How many; at least one.
    pub count: u16,
}

/// Whether handles may be drawn for a pass at all, whatever was given out before; the permit is for
/// the pass. Gives the pass as it is then: its version counts up, so that a suspension that happens
/// meanwhile is not overtaken.
///
/// # Errors
/// [`HandlesRefusal`]
pub fn may_draw(
    permit: &Permit,
    pass: &Pass,
    product: &Product,
    request: &HandlesRequest,
    now: Instant,
) -> Result<Pass, HandlesRefusal> {
    let action = Action::HandlesDraw;
    permit.covers(action, &pass.operator).map_err(HandlesRefusal::Permit)?;
    if permit.object() != Object::Pass(pass.id) {
        let wrong = WrongPermit { given: permit.action(), needed: action };
        return Err(HandlesRefusal::Permit(wrong));
    }
    if !pass.is_of(product) {
        return Err(HandlesRefusal::State);
    }
    if product.terms.rights.bearer == Bearer::HolderOnly {
        return Err(HandlesRefusal::HolderOnly);
    }
    if !product.terms.rights.zones.contains(&request.zone) {
        return Err(HandlesRefusal::Zone);
    }
    let today = epoch_at(now);
    if ![today, today.saturating_add(1)].contains(&request.epoch) {
        return Err(HandlesRefusal::Epoch);
    }
    collect_pass(pass, now).map_err(HandlesRefusal::Pass)
}

/// Draws handles for a pass: the same index each time for one zone and epoch, and together never
/// more than the product allows. The permit is for the pass.
///
/// # Errors
/// [`HandlesRefusal`]
pub fn draw_handles(
    permit: &Permit,
    state: HandlesState<'_>,
    request: &HandlesRequest,
    now: Instant,
) -> Result<Drawn, HandlesRefusal> {
    let HandlesState { pass, product, drawn, status_list, .. } = state;
    let next = may_draw(permit, pass, product, request, now)?;
    let is_of_request = |index: &HandleIndex| {
        index.pass == pass.id && index.zone == request.zone && index.epoch == request.epoch
    };
    let is_list = status_list.operator == pass.operator && status_list.epoch == Some(request.epoch);
    if !is_list || !drawn.is_none_or(is_of_request) {
        return Err(HandlesRefusal::State);
    }
    let before = drawn.map_or(0, |index| index.given);
    let count = request.count.min(product.terms.handles_max.saturating_sub(before));
    if count == 0 {
        return Err(HandlesRefusal::Exhausted);
    }
    let draw = Draw { first: before, device: request.device };
    let index = match drawn {
        Some(index) => HandleIndex {
            given: before.saturating_add(count),
            draws: index.draws.iter().copied().chain([draw]).collect(),
            version: index.version.saturating_add(1),
            ..index.clone()
        },
        None => HandleIndex {
            operator: pass.operator.clone(),
            pass: pass.id,
            zone: request.zone.clone(),
            epoch: request.epoch,
            status_list: status_list.number,
            status_index: state.free_index.ok_or(HandlesRefusal::StatusIndexes)?,
            standing: Standing::Valid,
            given: count,
            draws: vec![draw],
            seen: Vec::new(),
            version: 1,
        },
    };
    let HandleIndex { status_list, status_index, .. } = index;
    let once = Change::Once(request.once.clone());
    let changes = vec![once, Change::Pass(next), Change::HandleIndex(index)];
    Ok(Drawn { changes, status_list, status_index, first: before, count })
}

/// Why no handles are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlesRefusal {
    /// The permit is for another deed, operator or pass.
    Permit(WrongPermit),
    /// The loaded state does not belong together: a mistake of the caller.
    State,
    /// Only its holder may use the pass.
    HolderOnly,
    /// The product does not name the zone.
    Zone,
    /// The epoch is not the one at hand or the next.
    Epoch,
    /// The pass is not in force.
    Pass(PassRefusal),
    /// All that the product allows were given out, or none was asked for.
    Exhausted,
    /// No free status index was found.
    StatusIndexes,
}

impl HandlesRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::State => "handles-state",
            Self::HolderOnly => "handles-holder-only",
            Self::Zone => "handles-scope",
            Self::Epoch => "handles-epoch",
            Self::Pass(refusal) => refusal.code(),
            Self::Exhausted => "handles-exhausted",
            Self::StatusIndexes => "status-indexes",
        }
    }
}

impl fmt::Display for HandlesRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit(wrong) => return write!(f, "{wrong}"),
            Self::State => "the loaded state does not belong together",
            Self::HolderOnly => "only its holder may use the pass; it has no express handles",
            Self::Zone => "the pass does not name the zone",
            Self::Epoch => "express handles are drawn for today and tomorrow alone",
            Self::Pass(refusal) => return write!(f, "{refusal}"),
            Self::Exhausted => "all express handles of this pass, zone and day are given out",
            Self::StatusIndexes => "no free status index was found",
        })
    }
}

impl core::error::Error for HandlesRefusal {}
