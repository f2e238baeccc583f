//! Trust bundles: what one reader is told, put together and numbered.
//!
//! A bundle holds the slice of the city that concerns the reader's own doors: their rules, and the
//! issuing authorities of the operators that these rules name. It never holds a name of a person.

use core::time::Duration;

use ::reader::bundle::{
    Bundle, CITY_BYTES_MAX, DELIVERIES_MAX, Freshness, ISSUERS_MAX, Issuer, STATUS_SIGNERS_MAX,
    UNLOCK_MS_MAX,
};
use ::reader::roots::{ROOTS_MAX, Root};
use ::reader::table::AccessTable;
use ::reader::taps::Taps;
use credential::delivery::{DELIVERY_BYTES_MAX, Scope};
use credential::unsigned::Unsigned;
use policy::action::Action;
use policy::authorize::Permit;
use policy::compile::{Product, compile};
use policy::place::{Grant, PlaceTree};
use vocabulary::text::Line;
use vocabulary::time::Instant;

use crate::change::Change;
use crate::reader::Reader;
use crate::refusal::Refusal;

/// How long a bundle counts where the city does not say otherwise: what a reader does without a
/// network for so long, it does at full function.
pub const LIFE_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
/// The longest time for which a bundle counts.
pub const LIFE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// What the city knows and wants, from which every reader gets its slice.
#[derive(Clone, Copy, Debug)]
pub struct City<'a> {
    /// Its name.
    pub name: &'a Line<CITY_BYTES_MAX>,
    /// All places.
    pub tree: &'a PlaceTree,
    /// All products; those of the reader's operator are bounded by [`policy::compile::Largest`].
    pub products: &'a [Product],
    /// All grants.
    pub grants: &'a [Grant],
    /// The roots of the city in force, oldest first, at most [`ROOTS_MAX`].
    pub roots: &'a [Root],
    /// The issuing authorities of all operators, and the document signers whom mdocs name by hash.
    pub issuers: &'a [Issuer],
    /// The document signers on P-256 of all operators, whom access documents name by their key. A
    /// bundle lists those that it has room for: a pass whose signer is not there is shown as an mdoc.
    pub document_signers: &'a [Issuer],
    /// The DER certificates of those who sign status lists themselves, none of an authority; at
    /// most [`STATUS_SIGNERS_MAX`].
    pub status_signers: &'a [Vec<u8>],
    /// How fresh the knowledge of a status must be.
    pub freshness: Freshness,
    /// For how long a grant unlocks a door, at most [`UNLOCK_MS_MAX`].
    pub unlock_ms: u32,
    /// What a tap must prove.
    pub taps: Taps,
    /// How long a bundle counts, at most [`LIFE_MAX`]; more is cut.
    pub life: Duration,
    /// The DER certificate of the bundle signer.
    pub signer: &'a [u8],
    /// What the vault has wrapped for this reader and the [`scopes_of`] its doors; at most
    /// [`DELIVERIES_MAX`] of [`DELIVERY_BYTES_MAX`] bytes.
    pub deliveries: &'a [Vec<u8>],
}

/// Where the keys of `reader` are good: at its operator's doors in the zone of each of its own, or in
/// none for those in none. A reader gets no keys of another scope, so none can be stolen with it.
#[must_use]
pub fn scopes_of(reader: &Reader, tree: &PlaceTree) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = Vec::new();
    for door in &reader.doors {
        let zone = tree.zone(door).cloned();
        let scope = Scope { operator: reader.operator.clone(), zone };
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

/// A bundle that waits for the bundle signer, and the change that counts its epoch.
#[derive(Debug)]
pub struct Numbered {
    /// To be committed before the bundle is handed out, so that no epoch is given twice.
    pub change: Change,
    /// To be signed.
    pub bundle: Unsigned<Vec<u8>>,
}

/// Puts together the next bundle of `reader`.
///
/// # Errors
/// [`Refusal::Retired`], [`Refusal::Table`] when its doors' rules do not compile,
/// [`Refusal::Taps`] and [`Refusal::Bundle`] when the city passes a limit of the bundle, [`Refusal::Permit`].
pub fn make_bundle(
    permit: &Permit,
    reader: &Reader,
    city: &City<'_>,
    now: Instant,
) -> Result<Numbered, Refusal> {
    permit.covers(Action::BundleFetch, &reader.operator)?;
    reader.is_object_of(permit)?;
    if !reader.is_enrolled() {
        return Err(Refusal::Retired);
    }
    let table = compile(city.tree, city.products, city.grants, &reader.doors);
    let table = table.map_err(Refusal::Table)?;
    city.taps.check().map_err(Refusal::Taps)?;
    let mut issuers = issuers_of(&table, reader, city.issuers);
    let is_within = city.roots.len() <= ROOTS_MAX
        && issuers.len() <= ISSUERS_MAX
        && city.status_signers.len() <= STATUS_SIGNERS_MAX
        && city.unlock_ms <= UNLOCK_MS_MAX
        && city.deliveries.len() <= DELIVERIES_MAX
        && city.deliveries.iter().all(|delivery| delivery.len() <= DELIVERY_BYTES_MAX);
    if !is_within {
        return Err(Refusal::Bundle);
    }
    let room = ISSUERS_MAX.saturating_sub(issuers.len());
    let mut signers = issuers_of(&table, reader, city.document_signers);
    signers.sort_by_key(|signer| signer.operator != reader.operator);
    issuers.extend(signers.into_iter().take(room));
    let epoch = reader.bundle_epoch.checked_add(1).ok_or(Refusal::Bundle)?;
    let issued_at = now.floor_to_second();
    let bundle = Bundle {
        city: city.name.clone(),
        reader: reader.id,
        epoch,
        issued_at,
        expires_at: issued_at.saturating_add(city.life.min(LIFE_MAX)).floor_to_second(),
        roots: city.roots.to_vec(),
        issuers,
        status_signers: city.status_signers.to_vec(),
        freshness: city.freshness,
        unlock_ms: city.unlock_ms,
        taps: city.taps,
        table,
        deliveries: city.deliveries.to_vec(),
    };
    let change = Change::UpdateReader(Reader { bundle_epoch: epoch, ..reader.next() });
    Ok(Numbered { change, bundle: bundle.unsigned(city.signer) })
}

/// Those of `issuers` that the reader needs: those of its own operator, and of every operator whose
/// products its doors accept.
fn issuers_of(table: &AccessTable, reader: &Reader, issuers: &[Issuer]) -> Vec<Issuer> {
    let is_named = |issuer: &Issuer| {
        let mut rules = table.doors().iter().flat_map(|door| door.rules());
        rules.any(|rule| rule.operator == issuer.operator)
    };
    let needed = issuers.iter();
    let needed = needed.filter(|issuer| issuer.operator == reader.operator || is_named(issuer));
    needed.cloned().collect()
}
