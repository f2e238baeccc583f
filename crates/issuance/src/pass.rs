//! A pass: one right of one person, from issue to its end.
//!
//! ```text
//!            collect            suspend
//!   issued ----------> active <---------> suspended
//!      |  \               |      resume      |
//!      |   \--------------+------------------+---> revoked   (for good)
//!      +------------------+------------------+---> expired   (by its own date)
//! ```
//!
//! Suspending an issued pass is possible too; it resumes to what it was. A pass that is revoked or
//! expired never changes again. Whatever becomes of a pass becomes of its documents and of the
//! indexes of its handles in the same transaction.

use core::fmt;

use policy::action::Action;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::code::{OperatorCode, ProductCode};
use vocabulary::id::{PassId, PersonId};
use vocabulary::time::Instant;

use crate::change::Change;
use crate::document::{Document, Standing};
use crate::handles::HandleIndex;
use crate::names::names;
use crate::product::Product;

/// The last year that the dates in documents can name (RFC 3339).
pub const YEAR_MAX: i32 = 9_999;

/// One right of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Its identifier.
    pub id: PassId,
    /// The operator, which is the tenant.
    pub operator: OperatorCode,
    /// The person who holds it.
    pub person: PersonId,
    /// The product of which it is.
    pub product: ProductCode,
    /// The version of the product from which it was issued.
    pub product_version: u32,
    /// Where it is in its life.
    pub state: PassState,
    /// First moment at which it holds.
    pub valid_from: Instant,
    /// First moment at which it no longer holds.
    pub valid_until: Instant,
    /// When it was issued.
    pub issued_at: Instant,
    /// When a wallet collected documents for the first time.
    pub collected_at: Option<Instant>,
    /// When it last changed.
    pub changed_at: Instant,
    /// 1 when issued, one more with every change.
    pub version: u32,
}

/// Where a pass is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassState {
    /// Decided; no wallet has collected it yet.
    Issued,
    /// In a wallet and in force.
    Active,
    /// Out of force until resumed.
    Suspended,
    /// Out of force for good.
    Revoked,
    /// Past its own date.
    Expired,
}

names!(PassState {
    Issued = "issued",
    Active = "active",
    Suspended = "suspended",
    Revoked = "revoked",
    Expired = "expired",
});

/// What can happen to a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassEvent {
    /// A wallet collects documents.
    Collect,
    /// Staff put it out of force for a while.
    Suspend,
    /// Staff put it into force again.
    Resume,
    /// Staff put it out of force for good.
    Revoke,
    /// Its date has come.
    Expire,
}

names!(PassEvent {
    Collect = "collect",
    Suspend = "suspend",
    Resume = "resume",
    Revoke = "revoke",
    Expire = "expire",
});

impl PassState {
    /// The state after `event`; none when a pass in this state does not take the event.
    /// A suspended pass resumes to active; see [`resume_pass`] for one that was never collected.
    #[must_use]
    pub const fn after(self, event: PassEvent) -> Option<Self> {
        use PassEvent as E;
        match (self, event) {
            (Self::Issued | Self::Active, E::Collect) | (Self::Suspended, E::Resume) => {
                Some(Self::Active)
            }
            (Self::Issued | Self::Active, E::Suspend) => Some(Self::Suspended),
            (Self::Issued | Self::Active | Self::Suspended, E::Revoke) => Some(Self::Revoked),
            (Self::Issued | Self::Active | Self::Suspended, E::Expire) => Some(Self::Expired),
            _ => None,
        }
    }
}

impl Pass {
    /// Whether `product` is what this pass was issued from: of its operator, its code, its version.
    pub(crate) fn is_of(&self, product: &Product) -> bool {
        product.operator == self.operator
            && product.code == self.product
            && product.version == self.product_version
    }
}

/// A person as the caller has loaded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The operator in whose register the person stands.
    pub operator: OperatorCode,
    /// The person.
    pub id: PersonId,
}

/// What carries a pass: all of it must be loaded before the pass changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried<'a> {
    /// Its documents.
    pub documents: &'a [Document],
    /// The indexes of its handles, of the epochs at hand and to come.
    pub handles: &'a [HandleIndex],
}

/// What is asked for when a pass is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueRequest {
    /// The person who shall hold it.
    pub person: Registered,
    /// First moment at which it shall hold.
    pub valid_from: Instant,
    /// First moment at which it shall no longer hold.
    pub valid_until: Instant,
}

/// Issues a pass of `product`.
///
/// # Errors
/// [`PassRefusal`] when the permit is for something else, or for another operator than the person's
/// or the product's, and when the period is not one of the product.
pub fn issue_pass(
    permit: &Permit,
    product: &Product,
    request: &IssueRequest,
    now: Instant,
    entropy: [u8; 10],
) -> Result<Pass, PassRefusal> {
    permit.covers(Action::PassIssue, &product.operator).map_err(PassRefusal::Permit)?;
    permit.covers(Action::PassIssue, &request.person.operator).map_err(PassRefusal::Permit)?;
    let IssueRequest { ref person, valid_from, valid_until } = *request;
    if valid_until <= valid_from || valid_until <= now || valid_until.civil().date.year > YEAR_MAX {
        return Err(PassRefusal::Period);
    }
    if valid_until.duration_since(valid_from) > product.terms.pass_period_max {
        return Err(PassRefusal::PeriodTooLong);
    }
    Ok(Pass {
        id: PassId::new(now, entropy),
        operator: product.operator.clone(),
        person: person.id,
        product: product.code.clone(),
        product_version: product.version,
        state: PassState::Issued,
        valid_from,
        valid_until,
        issued_at: now,
        collected_at: None,
        changed_at: now,
        version: 1,
    })
}

/// Puts a pass and all that carries it out of force until resumed.
///
/// # Errors
/// [`PassRefusal`] when the permit is for something else or the state does not allow it.
pub fn suspend_pass(
    permit: &Permit,
    pass: &Pass,
    carried: Carried<'_>,
    now: Instant,
) -> Result<Vec<Change>, PassRefusal> {
    permit.covers(Action::PassSuspend, &pass.operator).map_err(PassRefusal::Permit)?;
    let next = step(pass, PassEvent::Suspend, now)?;
    Ok(with_carried(next, carried, Standing::Suspended))
}

/// Puts a suspended pass and all that carries it into force again. A pass that no wallet has
/// collected waits for its wallet again.
///
/// # Errors
/// [`PassRefusal`] when the permit is for something else or the state does not allow it; a
/// revoked pass never resumes.
pub fn resume_pass(
    permit: &Permit,
    pass: &Pass,
    carried: Carried<'_>,
    now: Instant,
) -> Result<Vec<Change>, PassRefusal> {
    permit.covers(Action::PassResume, &pass.operator).map_err(PassRefusal::Permit)?;
    let mut next = step(pass, PassEvent::Resume, now)?;
    if next.collected_at.is_none() {
        next.state = PassState::Issued;
    }
    Ok(with_carried(next, carried, Standing::Valid))
}

/// Puts a pass and all that carries it out of force for good.
///
/// # Errors
/// [`PassRefusal`] when the permit is for something else or the state does not allow it.
pub fn revoke_pass(
    permit: &Permit,
    pass: &Pass,
    carried: Carried<'_>,
    now: Instant,
) -> Result<Vec<Change>, PassRefusal> {
    permit.covers(Action::PassRevoke, &pass.operator).map_err(PassRefusal::Permit)?;
    let next = step(pass, PassEvent::Revoke, now)?;
    Ok(with_carried(next, carried, Standing::Invalid))
}

/// Notes that the date of a pass has come. This needs no permit: the date was permitted when the
/// pass was issued. Documents carry the date themselves and keep their standing.
///
/// # Errors
/// [`PassRefusal::NotYet`] before the date, [`PassRefusal::State`] when it has ended already.
pub fn expire_pass(pass: &Pass, now: Instant) -> Result<Vec<Change>, PassRefusal> {
    if now < pass.valid_until {
        return Err(PassRefusal::NotYet);
    }
    Ok(vec![Change::Pass(step(pass, PassEvent::Expire, now)?)])
}

/// The pass after a wallet collected documents for it: the first time makes it active, every time
/// counts its version up, so that a suspension that happens meanwhile is not overtaken.
///
/// # Errors
/// [`PassRefusal::State`] when the pass is suspended or has ended, [`PassRefusal::Expired`] when
/// its date has come and nobody has noted it yet.
pub fn collect_pass(pass: &Pass, now: Instant) -> Result<Pass, PassRefusal> {
    let next = step(pass, PassEvent::Collect, now)?;
    Ok(Pass { collected_at: next.collected_at.or(Some(now)), ..next })
}

fn step(pass: &Pass, event: PassEvent, now: Instant) -> Result<Pass, PassRefusal> {
    let refusal = PassRefusal::State { state: pass.state, event };
    let state = pass.state.after(event).ok_or(refusal)?;
    if now >= pass.valid_until && event != PassEvent::Expire && event != PassEvent::Revoke {
        return Err(PassRefusal::Expired);
    }
    let version = pass.version.checked_add(1).ok_or(refusal)?;
    Ok(Pass { state, changed_at: now, version, ..pass.clone() })
}

fn with_carried(pass: Pass, carried: Carried<'_>, standing: Standing) -> Vec<Change> {
    let documents = carried.documents.iter().filter(|document| document.pass == pass.id);
    let documents = documents.filter_map(|document| document.with_standing(standing));
    let handles = carried.handles.iter().filter(|index| index.pass == pass.id);
    let handles = handles.filter_map(|index| index.with_standing(standing));
    let carried: Vec<Change> =
        documents.map(Change::Document).chain(handles.map(Change::HandleIndex)).collect();
    core::iter::once(Change::Pass(pass)).chain(carried).collect()
}

/// Why a pass is not issued, or does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassRefusal {
    /// The permit is for another deed or operator.
    Permit(WrongPermit),
    /// The period is empty, backwards, over, or ends after [`YEAR_MAX`].
    Period,
    /// The period is longer than the product allows.
    PeriodTooLong,
    /// A pass in this state does not take this event.
    State {
        /// Where it is.
        state: PassState,
        /// What was asked.
        event: PassEvent,
    },
    /// Its date has come.
    Expired,
    /// Its date has not come.
    NotYet,
}

impl PassRefusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Permit(_) => "wrong-permit",
            Self::Period => "pass-period",
            Self::PeriodTooLong => "pass-period-too-long",
            Self::State { .. } => "pass-state",
            Self::Expired => "pass-expired",
            Self::NotYet => "pass-not-expired",
        }
    }
}

impl fmt::Display for PassRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permit(wrong) => write!(f, "{wrong}"),
            Self::Period => f.write_str(
                "the period of the pass is empty, backwards, over or beyond the year 9999",
            ),
            Self::PeriodTooLong => {
                f.write_str("the period of the pass is longer than its product allows")
            }
            Self::State { state, event } => {
                write!(f, "cannot {} a pass that is {}", event.as_str(), state.as_str())
            }
            Self::Expired => f.write_str("the pass is past its date"),
            Self::NotYet => f.write_str("the pass is not past its date"),
        }
    }
}

impl core::error::Error for PassRefusal {}
