//! Handles of the express tap in the wallet: which there are, which are shown, and that none is shown
//! twice (`specs/express-tap.md`, "The holder").
//!
//! What changes is made durable before an answer leaves: [`Pocket::keep`] says whether it was.

pub mod fetch;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use credential::cbor::{CborError, Decoder, Encoder, Kind};
use credential::delivery::Scope;
use presentation::express::handle::{HANDLES_MAX, Handle, TapKey};
use presentation::express::holder::{self, Gate, PocketError, Shown, Standing};
use presentation::express::reader::{Counted, Presence};
use presentation::express::{Context, SHOWN_FOR_NOTHING_MAX, ScopeId};
use vocabulary::time::Instant;

use crate::log::{self, Entry};
use crate::pass::PASSES_MAX;
use crate::state::{State, list};

/// Passes, scopes and epochs for which a wallet keeps handles.
pub const STOCKS_MAX: usize = 512;
/// The epoch at `at`.
#[must_use]
pub fn epoch_at(at: Instant) -> u32 {
    u32::try_from(credential::delivery::epoch_at(at)).unwrap_or(0)
}

/// All that a wallet keeps for the express tap.
#[derive(Clone, Debug, Default)]
pub struct Express {
    /// Whether the owner wants none.
    is_off: bool,
    /// Passes that the owner keeps out of it, by their places among the passes.
    kept_out: BTreeSet<u32>,
    /// Handles in a row that were shown without a proof in return.
    shown_for_nothing: u8,
    /// Counted states, by pass.
    counted: Vec<(u32, Counted)>,
    stocks: Vec<Stock>,
}

/// Fresh handles of one pass, scope and epoch. A handle that is shown is here no more.
#[derive(Clone, Debug)]
struct Stock {
    /// The place of the pass among the passes.
    pass: u32,
    scope: Scope,
    context: Context,
    /// Taps with handles of this index.
    taps: u32,
    handles: Vec<(Handle, TapKey)>,
}

/// What a wallet has for one pass, scope and epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left<'a> {
    /// The place of the pass among the passes.
    pub pass: usize,
    /// Where.
    pub scope: &'a Scope,
    /// When: whole days since 1970 UTC.
    pub epoch: u32,
    /// Handles that were not shown.
    pub handles: usize,
    /// Taps with the others.
    pub taps: u32,
}

impl Express {
    /// Whether the express tap of `pass` is on.
    #[must_use]
    pub fn is_on(&self, pass: usize) -> bool {
        !self.is_off && !u32::try_from(pass).is_ok_and(|pass| self.kept_out.contains(&pass))
    }

    /// Switches the express tap of `pass`, or of all passes, on or off. Switched off, its handles are
    /// destroyed. How many taps there were is kept: a count that begins anew looks like a second device.
    pub fn switch(&mut self, pass: Option<usize>, is_on: bool) {
        let place = pass.and_then(|pass| u32::try_from(pass).ok());
        match (place, is_on) {
            (Some(pass), true) => {
                self.kept_out.remove(&pass);
            }
            (Some(pass), false) => {
                self.kept_out.insert(pass);
            }
            (None, is_on) => {
                self.is_off = !is_on;
                self.kept_out.clear();
            }
        }
        let Self { is_off, kept_out, stocks, .. } = self;
        stocks.retain_mut(|stock| {
            let is_out = *is_off || kept_out.contains(&stock.pass);
            if is_out {
                stock.handles.clear();
            }
            !is_out || stock.taps > 0
        });
    }

    /// What there is.
    pub fn left(&self) -> impl Iterator<Item = Left<'_>> {
        self.stocks.iter().map(|stock| Left {
            pass: usize::try_from(stock.pass).unwrap_or(usize::MAX),
            scope: &stock.scope,
            epoch: stock.context.epoch,
            handles: stock.handles.len(),
            taps: stock.taps,
        })
    }

    /// The keys of the handles, for who looks for them elsewhere.
    pub fn danger_tap_keys(&self) -> impl Iterator<Item = &TapKey> {
        self.stocks.iter().flat_map(|stock| &stock.handles).map(|(_, key)| key)
    }

    /// Forgets the handles of days that are over.
    pub fn prune(&mut self, now: Instant) {
        let today = epoch_at(now);
        self.stocks.retain(|stock| stock.context.epoch.saturating_add(1) >= today);
    }

    /// A tap of another profile succeeded: its reader proved itself by certificate.
    pub const fn other_tap_succeeded(&mut self) {
        self.shown_for_nothing = 0;
    }

    fn counted(&mut self, pass: u32) -> Option<&mut Counted> {
        let found = self.counted.iter_mut().find(|(of, _)| *of == pass);
        found.map(|(_, counted)| counted)
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.array(5).bool(self.is_off).array(self.kept_out.len());
        self.kept_out.iter().for_each(|pass| {
            out.unsigned((*pass).into());
        });
        out.unsigned(self.shown_for_nothing.into()).array(self.counted.len());
        for (pass, Counted { sequence, value, mark }) in &self.counted {
            out.array(4).unsigned((*pass).into()).unsigned((*sequence).into());
            out.unsigned((*value).into()).bytes(mark);
        }
        out.array(self.stocks.len());
        for stock in &self.stocks {
            out.array(7).unsigned(stock.pass.into()).text(stock.scope.operator.as_str());
            match &stock.scope.zone {
                Some(zone) => out.text(zone.as_str()),
                None => out.null(),
            };
            out.bytes(&stock.context.scope.0).unsigned(stock.context.epoch.into());
            out.unsigned(stock.taps.into()).array(stock.handles.len());
            for (handle, key) in &stock.handles {
                out.array(2).bytes(&handle.0).bytes(key.danger_bytes());
            }
        }
    }

    /// Reads what was written; nothing where it breaks a limit.
    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>, CborError> {
        decoder.array_of(5)?;
        let is_off = decoder.bool()?;
        let kept_out: Vec<u64> = list(decoder, |it| it.unsigned())?;
        let shown_for_nothing = decoder.unsigned()?;
        let counted = list(decoder, |it| {
            it.array_of(4)?;
            Ok((it.unsigned()?, it.unsigned()?, it.unsigned()?, it.byte_array()?))
        })?;
        let stocks = list(decoder, decode_stock)?;
        let short = |number: u64| u32::try_from(number).ok();
        let express = (|| {
            let counted = counted.into_iter().map(|(pass, sequence, value, mark)| {
                let counted = Counted { sequence: short(sequence)?, value: short(value)?, mark };
                Some((short(pass)?, counted))
            });
            Some(Self {
                is_off,
                kept_out: kept_out.into_iter().map(short).collect::<Option<_>>()?,
                shown_for_nothing: u8::try_from(shown_for_nothing).ok()?,
                counted: counted.collect::<Option<_>>()?,
                stocks: stocks.into_iter().collect::<Option<_>>()?,
            })
        })();
        Ok(express.filter(|it| it.stocks.len() <= STOCKS_MAX && it.counted.len() <= PASSES_MAX))
    }
}

fn decode_stock(decoder: &mut Decoder<'_>) -> Result<Option<Stock>, CborError> {
    decoder.array_of(7)?;
    let pass = u32::try_from(decoder.unsigned()?).ok();
    let operator = decoder.text()?.parse().ok();
    let zone = match decoder.kind() {
        Kind::Null => decoder.null().map(|()| Some(None))?,
        _ => decoder.text()?.parse().ok().map(Some),
    };
    let scope_id = ScopeId(decoder.byte_array()?);
    let epoch = u32::try_from(decoder.unsigned()?).ok();
    let taps = u32::try_from(decoder.unsigned()?).ok();
    let handles = list(decoder, |it| {
        it.array_of(2)?;
        Ok((Handle(it.byte_array()?), TapKey::from_bytes(it.byte_array()?)))
    })?;
    let stock = (|| {
        let scope = Scope { operator: operator?, zone: zone? };
        let context = Context { scope: scope_id, epoch: epoch? };
        Some(Stock { pass: pass?, scope, context, taps: taps?, handles })
    })();
    Ok(stock.filter(|stock| stock.handles.len() <= HANDLES_MAX.into()))
}

/// The wallet's side of one express tap.
pub struct Pocket<'p> {
    /// What the wallet keeps.
    pub state: &'p mut State,
    /// Makes the state durable, and says whether it did.
    pub keep: &'p mut dyn FnMut(&State) -> bool,
    /// Now.
    pub now: Instant,
    /// How the owner is present.
    pub presence: Presence,
    /// The gate that proved itself and the pass that was used, once that is so.
    pub used: Option<(String, String)>,
}

impl Pocket<'_> {
    /// The pass whose handle is shown: of those that have a fresh one and hold now, one with uses left,
    /// and of these the newest. One without is shown if there is no other, since a gate may owe its last ride.
    fn choose(&self, context: Context) -> Option<u32> {
        let State { express, passes, .. } = &*self.state;
        let fresh = |stock: &&Stock| stock.context == context && !stock.handles.is_empty();
        let holds = |stock: &&Stock| {
            let pass = usize::try_from(stock.pass).ok().and_then(|place| passes.get(place));
            pass.is_some_and(|pass| fetch::holds(pass, self.now))
        };
        let has_uses = |of: u32| {
            let mut counted = express.counted.iter();
            counted.find(|(pass, _)| *pass == of).is_none_or(|(_, counted)| counted.value > 0)
        };
        let able = express.stocks.iter().filter(fresh).filter(holds).map(|stock| stock.pass);
        able.max_by_key(|pass| (has_uses(*pass), *pass))
    }

    /// Changes the state by `change` and makes it durable; where that fails, it is what it was.
    fn durably<T>(
        &mut self,
        change: impl FnOnce(&mut State) -> Result<T, PocketError>,
    ) -> Result<T, PocketError> {
        let (express, last) = (self.state.express.clone(), self.state.log.last().cloned());
        let done = change(self.state);
        if done.is_ok() && (self.keep)(self.state) {
            return done;
        }
        self.state.express = express;
        if self.state.log.last() != last.as_ref() {
            self.state.log.pop();
        }
        done.and(Err(PocketError::Storage))
    }
}

impl holder::Pocket for Pocket<'_> {
    fn show(&mut self, context: Context) -> Result<Option<Shown>, PocketError> {
        if self.state.express.shown_for_nothing >= SHOWN_FOR_NOTHING_MAX {
            return Ok(None);
        }
        let Some(pass) = self.choose(context) else { return Ok(None) };
        self.durably(|state| {
            let express = &mut state.express;
            express.shown_for_nothing = express.shown_for_nothing.saturating_add(1);
            let stock = stock_of(express, pass, context).ok_or(PocketError::Storage)?;
            let taken = stock.handles.pop();
            Ok(taken.map(|(handle, tap_key)| Shown { handle, tap_key, pass }))
        })
    }

    fn used(&mut self, shown: &Shown, gate: Gate) -> Result<Standing, PocketError> {
        let (now, presence) = (self.now, self.presence);
        let (standing, used) = self.durably(|state| {
            let name = usize::try_from(shown.pass).ok().and_then(|pass| state.passes.get(pass));
            let pass = name.map(|pass| pass.name.clone()).unwrap_or_default();
            let express = &mut state.express;
            express.shown_for_nothing = 0;
            let counted = express.counted(shown.pass).copied().unwrap_or_default();
            let stock = stock_of(express, shown.pass, gate.context).ok_or(PocketError::Storage)?;
            stock.taps = stock.taps.saturating_add(1);
            let taps = stock.taps;
            let zone = stock.scope.zone.as_ref();
            let zone = zone.map(|zone| format!(", zone {zone}")).unwrap_or_default();
            let with = format!("{} ({}{zone})", gate.reader, stock.scope.operator);
            let entry = Entry {
                at: now,
                with: with.clone(),
                pass: pass.clone(),
                disclosed: Vec::new(),
                outcome: "express tap".into(),
            };
            log::append(&mut state.log, entry);
            Ok((Standing { taps, presence, has_mail: false, counted }, (with, pass)))
        })?;
        self.used = Some(used);
        Ok(standing)
    }

    fn write(&mut self, shown: &Shown, next: Counted) -> Result<(), PocketError> {
        self.durably(|state| {
            let counted = state.express.counted(shown.pass).ok_or(PocketError::Sequence)?;
            if counted.sequence.checked_add(1) != Some(next.sequence) {
                return Err(PocketError::Sequence);
            }
            *counted = next;
            Ok(())
        })
    }
}

fn stock_of(express: &mut Express, pass: u32, context: Context) -> Option<&mut Stock> {
    let mut stocks = express.stocks.iter_mut();
    stocks.find(|stock| stock.pass == pass && stock.context == context)
}
