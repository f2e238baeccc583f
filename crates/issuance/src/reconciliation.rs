//! Reconciliation: the taps with handles that gates have told of, held against what was given out
//! (`specs/express-tap.md`, "Reconciliation").
//!
//! Gates are offline when they open, their clocks differ, and their journals come in whatever order. So
//! nothing here depends on a clock or on when the city heard of a tap.

use std::collections::BTreeMap;

use policy::action::Action;
use policy::authorize::{Permit, WrongPermit};
use vocabulary::code::{ProductCode, ZoneCode};
use vocabulary::id::PassId;

use crate::change::Change;
use crate::handles::{EPOCHS_KEPT, HandleIndex, Tap};
use crate::names::names;

/// A tap by the handle that a gate opened.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The epoch of the handle.
    pub epoch: u32,
    /// The index of the handle and the product of its pass, if it was drawn.
    pub drawn: Option<(&'a HandleIndex, &'a ProductCode)>,
    /// The product that the handle named, if the gate knew it.
    pub product: Option<&'a ProductCode>,
    /// The tap.
    pub tap: Tap,
}

/// A tap that should not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// How it is known.
    pub evidence: Evidence,
    /// The pass of the index, if there is one.
    pub pass: Option<PassId>,
    /// The zone of the index, if there is one.
    pub zone: Option<ZoneCode>,
    /// The epoch.
    pub epoch: u32,
    /// The tap.
    pub tap: Tap,
    /// The tap with which it cannot stand together.
    pub other: Option<Tap>,
}

/// What a finding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The city never gave out this handle: somebody has the key of the scope and epoch.
    Forged,
    /// One handle was used twice: two devices have it.
    Copied,
    /// One count of taps cannot be of one device: two devices have its handles.
    Cloned,
    /// The epoch is forgotten, so that nothing can be said.
    TooLate,
}

names!(Kind { Forged = "forged", Copied = "copied", Cloned = "cloned", TooLate = "too-late" });

/// How a finding is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// No index of that list, zone and epoch was drawn.
    NeverDrawn,
    /// The index was drawn, but not for so many handles.
    NeverGiven,
    /// The index is of a pass of another product.
    OtherProduct,
    /// Two taps with one number.
    SameNumber,
    /// Two handles of one device, with one count.
    SameCount,
    /// A handle of one device, with a smaller count after a greater one at the same gate.
    CountWentBack,
    /// A count of 0, or of more taps than handles were given out.
    CountOutOfRange,
    /// A journal that came in after the index was forgotten.
    Forgotten,
}

names!(Evidence {
    NeverDrawn = "never-drawn",
    NeverGiven = "never-given",
    OtherProduct = "other-product",
    SameNumber = "same-number",
    SameCount = "same-count",
    CountWentBack = "count-went-back",
    CountOutOfRange = "count-out-of-range",
    Forgotten = "forgotten",
});

/// What comes of some taps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The indexes, with the taps that are seen now.
    pub changes: Vec<Change>,
    /// What should not have been, in the order of the taps; at most one for each.
    pub findings: Vec<Finding>,
}

/// Holds `taps` against what was given out. `today` is the epoch at hand; the permit is that of the
/// journal that tells of them.
///
/// # Errors
/// [`WrongPermit`].
pub fn reconcile_taps(
    permit: &Permit,
    taps: &[Told<'_>],
    today: u32,
) -> Result<Reconciled, WrongPermit> {
    permit.covers(Action::JournalUpload, permit.operator())?;
    // Each with how many taps it has seen before.
    let mut indexes: BTreeMap<(PassId, &ZoneCode, u32), (HandleIndex, usize)> = BTreeMap::new();
    let mut findings = Vec::new();
    for told in taps {
        let found = match told.drawn {
            None if told.epoch.saturating_add(EPOCHS_KEPT) < today => {
                Some((Evidence::Forgotten, None))
            }
            None => Some((Evidence::NeverDrawn, None)),
            Some((_, own)) if told.product.is_some_and(|named| named != own) => {
                Some((Evidence::OtherProduct, None))
            }
            Some((drawn, _)) => {
                let key = (drawn.pass, &drawn.zone, drawn.epoch);
                let new = || (drawn.clone(), drawn.seen.len());
                indexes.entry(key).or_insert_with(new).0.see(told.tap)
            }
        };
        let index = told.drawn.map(|(index, _)| index);
        findings.extend(found.map(|(evidence, other)| Finding {
            kind: evidence.kind(),
            evidence,
            pass: index.map(|index| index.pass),
            zone: index.map(|index| index.zone.clone()),
            epoch: told.epoch,
            tap: told.tap,
            other,
        }));
    }
    let changed = indexes.into_values().filter(|(index, before)| index.seen.len() > *before);
    let changes = changed.map(|(index, _)| {
        Change::HandleIndex(HandleIndex { version: index.version.saturating_add(1), ..index })
    });
    Ok(Reconciled { changes: changes.collect(), findings })
}

impl Evidence {
    const fn kind(self) -> Kind {
        match self {
            Self::NeverDrawn | Self::NeverGiven | Self::OtherProduct => Kind::Forged,
            Self::SameNumber => Kind::Copied,
            Self::SameCount | Self::CountWentBack | Self::CountOutOfRange => Kind::Cloned,
            Self::Forgotten => Kind::TooLate,
        }
    }
}

impl HandleIndex {
    /// Takes note of a tap, and says what is wrong with it, and which earlier one shows that.
    fn see(&mut self, tap: Tap) -> Option<(Evidence, Option<Tap>)> {
        if tap.number >= self.given {
            return Some((Evidence::NeverGiven, None));
        }
        if let Some(other) = self.seen.iter().find(|other| other.number == tap.number) {
            return Some((Evidence::SameNumber, Some(*other)));
        }
        let found = self.miscounts(tap);
        // At most one for each number: no more than were given.
        self.seen.push(tap);
        found
    }

    /// What is wrong with the count of `tap`.
    fn miscounts(&self, tap: Tap) -> Option<(Evidence, Option<Tap>)> {
        if tap.taps == 0 || tap.taps > self.given.into() {
            return Some((Evidence::CountOutOfRange, None));
        }
        // A pass may be on two devices, one after the other; each counts for itself.
        let device = self.device_of(tap.number)?;
        let is_of_device = |other: &&Tap| self.device_of(other.number) == Some(device);
        let of_device = self.seen.iter().filter(is_of_device);
        let mut back = None;
        for other in of_device {
            if other.taps == tap.taps {
                return Some((Evidence::SameCount, Some(*other)));
            }
            let (less, more) = if other.taps < tap.taps { (*other, tap) } else { (tap, *other) };
            if less.reader == more.reader && less.sequence > more.sequence {
                back = Some((Evidence::CountWentBack, Some(*other)));
            }
        }
        back
    }

    fn device_of(&self, number: u16) -> Option<[u8; 32]> {
        self.draws.iter().rev().find(|draw| draw.first <= number).map(|draw| draw.device)
    }
}
