//! `/v1/readers/{id}/bundle`: what one reader is told, numbered, signed, and its own alone.

use std::time::Duration;

use ::reader::bundle::{Freshness, Issuer};
use ::reader::snapshot::{ClassPolicy, Stale};
use axum::extract::State;
use axum::response::Response;
use credential::x509::Certificate;
use fleet::bundle::{City, LIFE_DEFAULT, Numbered, make_bundle};
use keys::custody::{Custody, Key};
use keys::purpose::{Purpose, Suite};
use policy::action::Action;
use policy::compile::Product;
use store::page::Page;
use store::store::TenantStore;
use vocabulary::id::ReaderId;
use vocabulary::time::Instant;

use super::delivery;
use crate::body::{Path, bytes, path};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::record::Deed;
use crate::routes::places::tree;
use crate::server::Server;
use crate::sign::{certified, is_in_force, sign};
use crate::world::now;

const HOUR: Duration = Duration::from_secs(3_600);
/// For how long a grant unlocks a door.
const UNLOCK_MS: u32 = 5_000;
/// How fresh the knowledge of a status must be, by what is at stake behind the door.
const FRESHNESS: Freshness = Freshness {
    low: ClassPolicy { status_age_max: HOUR.saturating_mul(7 * 24), stale: Stale::Accept },
    normal: ClassPolicy { status_age_max: HOUR.saturating_mul(24), stale: Stale::Refuse },
    high: ClassPolicy { status_age_max: HOUR.saturating_mul(4), stale: Stale::Refuse },
};

pub(in crate::routes) async fn fetch(
    State(server): State<Server>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: ReaderId = path(&id)?;
    let permit = caller.permit_reader(Action::BundleFetch, id)?;
    let tenant = server.store.for_operator(permit.operator());
    let reader = tenant.reader(id).await?.ok_or_else(Problem::not_found)?;
    let at = now();
    let (key, signer) = certified(&*server.custody, Purpose::Bundle, None, at)?;
    let (tree, products) = (tree(&server).await?, products(&tenant).await?);
    let city = City {
        name: &server.city.name,
        tree: &tree,
        products: &products,
        grants: &tenant.place_grants().await?,
        roots: &server.facts().await?.roots,
        issuers: &issuers(&*server.custody, at),
        document_signers: &signers(&*server.custody, at, is_named_by_key),
        status_signers: &certificates(&*server.custody, Purpose::StatusList, at),
        freshness: FRESHNESS,
        unlock_ms: UNLOCK_MS,
        taps: crate::routes::taps::taps(&server).await?,
        life: LIFE_DEFAULT,
        signer: &signer,
        deliveries: &delivery::deliveries(&server, &reader, &tree, at).await,
    };
    let Numbered { change, bundle } = make_bundle(&permit, &reader, &city, at)?;
    let signed = sign(&*server.custody, &key, bundle).await?;
    let deed = Deed::of(&permit, id.to_string(), at);
    server.commit(deed, vec![change.into()], Vec::new()).await?;
    Ok(bytes("application/cbor", "no-store", signed))
}

async fn products(tenant: &TenantStore) -> Result<Vec<Product>, Problem> {
    let mut products = Vec::new();
    let mut wanted = Page::FIRST;
    loop {
        let listing = tenant.products(&wanted).await?;
        let items = listing.items.into_iter();
        products.extend(items.map(|it| Product { operator: it.operator, code: it.code }));
        match listing.next {
            Some(next) => wanted.after = Some(next),
            None => return Ok(products),
        }
    }
}

/// The issuing authorities, and the document signers whom mdocs name instead of carrying their
/// certificates.
fn issuers(custody: &dyn Custody, at: Instant) -> Vec<Issuer> {
    let mut issuers = authorities(custody, at);
    issuers.extend(signers(custody, at, is_named_by_hash));
    issuers
}

/// The issuing authorities.
pub(in crate::routes) fn authorities(custody: &dyn Custody, at: Instant) -> Vec<Issuer> {
    in_force(custody, at, |key| key.purpose == Purpose::IssuingAuthority)
}

/// The document signers of those wanted whose issuing authority is in force, too: nobody who has lost
/// faith in an authority hears of what it certified.
pub(in crate::routes) fn signers(
    custody: &dyn Custody,
    at: Instant,
    is_wanted: fn(&Key) -> bool,
) -> Vec<Issuer> {
    let authorities = authorities(custody, at);
    let mut signers = in_force(custody, at, is_wanted);
    signers.retain(|signer| {
        let Ok(certificate) = Certificate::parse(&signer.certificate) else { return false };
        let mut own = authorities.iter().filter(|it| it.operator == signer.operator);
        own.any(|authority| {
            Certificate::parse(&authority.certificate).is_ok_and(|authority| {
                authority.subject_key_id.is_some()
                    && authority.subject_key_id == certificate.authority_key_id
            })
        })
    });
    signers
}

/// The operators' keys of those wanted whose certificates are in force.
fn in_force(custody: &dyn Custody, at: Instant, is_wanted: fn(&Key) -> bool) -> Vec<Issuer> {
    let issuer = |key: &Key| {
        let certificate = key.certificate.as_deref().filter(|der| is_in_force(der, at))?;
        Some(Issuer { operator: key.operator.clone()?, certificate: certificate.to_vec() })
    };
    custody.keys().iter().filter(|key| is_wanted(key)).filter_map(issuer).collect()
}

/// Whether mdocs name the certificate of this key by its hash: hybrid document signers.
fn is_named_by_hash(key: &Key) -> bool {
    key.purpose == Purpose::DocumentSignerMdoc && key.suite == Suite::Es256MlDsa44
}

/// Whether access documents name this key.
fn is_named_by_key(key: &Key) -> bool {
    key.purpose == Purpose::DocumentSignerMdoc && key.suite == Suite::Es256
}

/// Whether documents name this key, or its certificate, instead of carrying it.
pub(in crate::routes) fn is_named(key: &Key) -> bool {
    is_named_by_hash(key) || is_named_by_key(key)
}

/// The certificates in force of the city's keys of `purpose`.
pub(in crate::routes) fn certificates(
    custody: &dyn Custody,
    purpose: Purpose,
    at: Instant,
) -> Vec<Vec<u8>> {
    let keys = custody.keys();
    let of_purpose = keys.iter().filter(|key| key.purpose == purpose);
    let certified = of_purpose.filter_map(|key| key.certificate.as_deref());
    certified.filter(|der| is_in_force(der, at)).map(<[u8]>::to_vec).collect()
}
