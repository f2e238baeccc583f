//! Asking the city for handles, one pass, zone and day at a time.

use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use credential::crypto::Crypto;
use credential::delivery::Scope;
use credential::jose::json;
use credential::mdoc::IssuerSigned;
use credential::rights::{NAME_SPACE, Rights};
use presentation::express::handle::HANDLES_MAX;
use presentation::express::issuing::{ANSWER_BYTES_MAX, Answer, POINT_BYTES, Statement, Wish};
use presentation::express::reader::Counted;
use presentation::express::{Context, ScopeId};
use serde_json::Value;
use vocabulary::time::Instant;

use super::{STOCKS_MAX, Stock, epoch_at};
use crate::pass::{Content, Document, Pass};
use crate::secure_element::{DeviceKey, Presence, SecureElement, SecureElementError};
use crate::state::State;

/// Handles that a wallet wants to have for one pass, zone and day; asked for once half are shown.
pub const WANTED: u16 = 16;
/// Where a city takes the request.
pub const PATH: &str = "/v1/wallet/express-handles";

/// Handles that the wallet is short of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// The place of the pass among the passes.
    pub pass: u32,
    /// Where.
    pub scope: Scope,
    /// When: whole days since 1970 UTC.
    pub epoch: u32,
    /// How many.
    pub count: u16,
}

/// A request under way.
#[derive(Debug)]
pub struct Fetch {
    short: Short,
    key: DeviceKey,
    point: [u8; POINT_BYTES],
    uses_max: Option<u32>,
}

/// Why there are no handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The pass has no document that shows the right today.
    NoDocument,
    /// The secure element did not sign or agree.
    Element(SecureElementError),
    /// The answer is none, or for another device.
    Answer,
    /// The wallet keeps as many as it can.
    Full,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDocument => "the pass has no document that holds now",
            Self::Element(error) => return error.fmt(f),
            Self::Answer => "the answer holds no handles for this device",
            Self::Full => "the wallet keeps as many express handles as it can",
        })
    }
}

impl core::error::Error for FetchError {}

/// What the wallet is short of at `now`: for the zones of its passes, today and tomorrow. Passes that
/// only their holder may use have none, nor those whose owner confirms each use or wants none.
#[must_use]
pub fn shortages(state: &State, element: &dyn SecureElement, now: Instant) -> Vec<Short> {
    let today = epoch_at(now);
    let mut shortages = Vec::new();
    for (place, pass) in state.passes.iter().enumerate() {
        let Some((document, rights)) = document(pass, now) else { continue };
        let needs_presence = element.needs_presence(document.key).unwrap_or(true);
        let Ok(place_of_pass) = u32::try_from(place) else { continue };
        if rights.holder_only || needs_presence || !state.express.is_on(place) {
            continue;
        }
        for zone in &rights.zones {
            let scope = Scope { operator: rights.operator.clone(), zone: Some(zone.clone()) };
            for epoch in [today, today.saturating_add(1)] {
                let stock = state.express.stocks.iter().find(|stock| {
                    stock.pass == place_of_pass
                        && stock.scope == scope
                        && stock.context.epoch == epoch
                });
                let fresh = stock.map_or(0, |stock| stock.handles.len());
                let fresh = u16::try_from(fresh).unwrap_or(u16::MAX);
                if fresh <= WANTED / 2 {
                    let (pass, scope, count) = (place_of_pass, scope.clone(), WANTED - fresh);
                    shortages.push(Short { pass, scope, epoch, count });
                }
            }
        }
    }
    shortages
}

/// The document of a pass by which handles are asked for, and what it says.
fn document(pass: &Pass, now: Instant) -> Option<(&Document, Rights)> {
    let current = pass.documents.iter().filter(|document| document.is_current(now));
    current.rev().find_map(|document| {
        let Content::Mdoc(bytes) = &document.content else { return None };
        let parsed = IssuerSigned::parse(bytes).ok()?;
        let own = parsed.items.iter().filter(|item| item.name_space == NAME_SPACE);
        let rights = Rights::from_elements(own.map(|item| (item.element, item.value))).ok()?;
        Some((document, rights))
    })
}

/// Whether `pass` holds at `now`, by its document and its hours.
pub(super) fn holds(pass: &Pass, now: Instant) -> bool {
    document(pass, now).is_some_and(|(_, rights)| {
        let is_valid = (rights.valid_from..=rights.valid_until).contains(&now.floor_to_second());
        is_valid && rights.hold_at(now)
    })
}

impl Fetch {
    /// The body of the request for `short`, JSON for [`PATH`], and what takes the answer.
    ///
    /// # Errors
    /// [`FetchError::NoDocument`], [`FetchError::Element`].
    pub fn begin(
        crypto: &dyn Crypto,
        element: &mut dyn SecureElement,
        state: &State,
        short: Short,
        entropy: [u8; 32],
        now: Instant,
    ) -> Result<(Self, Vec<u8>), FetchError> {
        let pass = usize::try_from(short.pass).ok().and_then(|pass| state.passes.get(pass));
        let found = pass.and_then(|pass| document(pass, now)).ok_or(FetchError::NoDocument)?;
        let (document, Rights { uses_max, .. }) = found;
        let Content::Mdoc(bytes) = &document.content else { return Err(FetchError::NoDocument) };
        let made = element.generate_agreement(crypto, entropy);
        let (key, point) = made.map_err(FetchError::Element)?;
        let at = u64::try_from(now.unix_seconds()).unwrap_or(0);
        let (count, epoch) = (short.count, short.epoch.into());
        let wish = Wish { issuer_signed: bytes, scope: &short.scope, epoch };
        let message = Statement::message(crypto, &point, at, count, &wish);
        let signed = element.sign(crypto, document.key, &message, Presence::Unknown);
        let by_device = signed.map_err(|error| {
            element.destroy(key);
            FetchError::Element(error)
        })?;
        let statement = Statement { point, at, count, by_device }.encode();
        let body = serde_json::json!({
            "operator": short.scope.operator.as_str(),
            "zone": short.scope.zone.as_ref().map(|zone| zone.as_str()),
            "epoch": short.epoch,
            "pass": Base64UrlUnpadded::encode_string(bytes),
            "statement": Base64UrlUnpadded::encode_string(&statement),
        });
        let body = serde_json::to_vec(&body).unwrap_or_default();
        Ok((Self { short, key, point, uses_max }, body))
    }

    /// Ends without an answer.
    pub fn give_up(self, element: &mut dyn SecureElement) {
        element.destroy(self.key);
    }

    /// Takes the handles of an answer into the wallet, and says how many. Make the wallet durable
    /// afterwards: what is lost is not given out again.
    ///
    /// # Errors
    /// [`FetchError`]; the wallet is what it was.
    pub fn finish(
        self,
        crypto: &dyn Crypto,
        element: &mut dyn SecureElement,
        state: &mut State,
        body: &[u8],
    ) -> Result<usize, FetchError> {
        let Self { short, key, point, uses_max } = self;
        let answer = sealed(body);
        let opened = answer.and_then(|answer| {
            let agreed = element.agree(crypto, key, &answer.ephemeral);
            let agreed = agreed.map_err(FetchError::Element)?;
            answer.open(crypto, &agreed, &point).map_err(|_| FetchError::Answer)
        });
        element.destroy(key);
        let batch = opened?;
        let is_for_this = batch.scope == short.scope && batch.epoch == u64::from(short.epoch);
        let count = batch.handles.len();
        if !is_for_this || count > short.count.into() {
            return Err(FetchError::Answer);
        }
        let Short { pass, scope, epoch, .. } = short;
        let express = &mut state.express;
        let scope_id = ScopeId::new(crypto, &scope.operator, scope.zone.as_ref());
        let context = Context { scope: scope_id, epoch };
        let has_room = express.stocks.len() < STOCKS_MAX;
        match super::stock_of(express, pass, context) {
            Some(stock) if stock.handles.len() + count <= HANDLES_MAX.into() => {
                stock.handles.extend(batch.handles);
            }
            None if has_room => {
                let handles = batch.handles;
                express.stocks.push(Stock { pass, scope, context, taps: 0, handles });
            }
            _ => return Err(FetchError::Full),
        }
        if let (Some(value), None) = (uses_max, express.counted(pass)) {
            express.counted.push((pass, Counted { sequence: 0, value, mark: [0; 4] }));
        }
        Ok(count)
    }
}

/// The sealed handles in the city's answer, for a device that opens them itself.
///
/// # Errors
/// [`FetchError::Answer`].
pub fn sealed(body: &[u8]) -> Result<Answer, FetchError> {
    let body = json::parse(body).map_err(|_| FetchError::Answer)?;
    let text = body.get("answer").and_then(Value::as_str).ok_or(FetchError::Answer)?;
    if text.len() > ANSWER_BYTES_MAX * 2 {
        return Err(FetchError::Answer);
    }
    let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| FetchError::Answer)?;
    Answer::parse(&bytes).map_err(|_| FetchError::Answer)
}
