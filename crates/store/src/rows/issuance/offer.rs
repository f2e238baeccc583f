//! Offers, the access tokens they are traded for, and what may be used once.

use issuance::offer::{Offer, OfferState};
use issuance::once::Once;
use issuance::product::Format;
use issuance::secret::Digest;
use issuance::token::{Grant, Remaining};
use vocabulary::id::{OfferId, PassId};
use vocabulary::time::Instant;

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::{EngineError, Statement};
use crate::rows::{Columns, ReadError, entities, entity, words};
use crate::store::{CityStore, TenantStore};

/// Marks of used things that one call forgets.
const FORGOTTEN_MAX: u32 = 10_000;

pub(super) fn plan(plan: &mut Plan<'_>, offer: &Offer) -> Result<(), CommitError> {
    plan.own(&offer.operator)?;
    let sql = match offer.version {
        1 => {
            "INSERT INTO offer (pass, product, formats, code_digest, transaction_code_digest, \
             tries_left, state, expires_at, version, operator, id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE offer SET pass = $1, product = $2, formats = $3, code_digest = $4, \
             transaction_code_digest = $5, tries_left = $6, state = $7, expires_at = $8, \
             version = $9 WHERE operator = $10 AND id = $11 AND version = $9 - 1"
        }
    };
    let values = vec![
        offer.pass.as_bytes().into(),
        offer.product.as_str().into(),
        words(offer.formats.iter().map(|format| format.as_str())),
        (&offer.code_digest).into(),
        offer.transaction_code_digest.as_ref().into(),
        offer.tries_left.into(),
        offer.state.as_str().into(),
        offer.expires_at.into(),
        offer.version.into(),
        offer.operator.as_str().into(),
        offer.id.as_bytes().into(),
    ];
    plan.one(row(Table::Offer, offer.id), sql, values);
    Ok(())
}

pub(super) fn plan_grant(plan: &mut Plan<'_>, grant: &Grant) -> Result<(), CommitError> {
    plan.own(&grant.operator)?;
    let sql = match grant.version {
        1 => {
            "INSERT INTO access_grant (offer, pass, remaining, key_thumbprint, expires_at, \
             version, operator, token_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE access_grant SET offer = $1, pass = $2, remaining = $3, \
             key_thumbprint = $4, expires_at = $5, version = $6 \
             WHERE operator = $7 AND token_digest = $8 AND version = $6 - 1"
        }
    };
    let remaining = grant.remaining.iter();
    let values = vec![
        grant.offer.as_bytes().into(),
        grant.pass.as_bytes().into(),
        words(remaining.map(|left| format!("{}:{}", left.format.as_str(), left.documents))),
        grant.key_thumbprint.as_ref().into(),
        grant.expires_at.into(),
        grant.version.into(),
        grant.operator.as_str().into(),
        (&grant.token_digest).into(),
    ];
    // A digest of a secret is not named in messages; the offer is.
    plan.one(row(Table::Grant, grant.offer), sql, values);
    Ok(())
}

/// The first use inserts; a second finds the row, which is a conflict.
pub(super) fn plan_once(plan: &mut Plan<'_>, once: &Once) {
    let tenant = plan.tenant.as_str().into();
    plan.one(
        row(Table::Once, once.scope.as_str()),
        "INSERT INTO once (operator, scope, digest, expires_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
        vec![tenant, once.scope.as_str().into(), (&once.digest).into(), once.expires_at.into()],
    );
}

fn offer(columns: &mut Columns) -> Option<Offer> {
    Some(Offer {
        id: columns.take()?,
        operator: columns.parse()?,
        pass: columns.take()?,
        product: columns.parse()?,
        formats: columns.words(Format::named)?,
        code_digest: columns.take()?,
        transaction_code_digest: columns.take()?,
        tries_left: columns.take()?,
        state: columns.named(OfferState::named)?,
        expires_at: columns.take()?,
        version: columns.take()?,
    })
}

fn grant(columns: &mut Columns) -> Option<Grant> {
    Some(Grant {
        token_digest: columns.take()?,
        operator: columns.parse()?,
        offer: columns.take()?,
        pass: columns.take()?,
        remaining: columns.words(remaining)?,
        key_thumbprint: columns.take()?,
        expires_at: columns.take()?,
        version: columns.take()?,
    })
}

fn remaining(word: &str) -> Option<Remaining> {
    let (format, documents) = word.split_once(':')?;
    Some(Remaining { format: Format::named(format)?, documents: documents.parse().ok()? })
}

impl TenantStore {
    /// Whether the mark was used. That it was not holds for this moment alone: who uses it commits it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn is_used(&self, once: &Once) -> Result<bool, ReadError> {
        let sql = "SELECT 1 FROM once WHERE operator = $1 AND scope = $2 AND digest = $3";
        let values = vec![self.tenant(), once.scope.as_str().into(), (&once.digest).into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        Ok(!rows.is_empty())
    }

    /// The offer `id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn offer(&self, id: OfferId) -> Result<Option<Offer>, ReadError> {
        let sql = "SELECT id, operator, pass, product, formats, code_digest, \
                   transaction_code_digest, tries_left, state, expires_at, version FROM offer \
                   WHERE operator = $1 AND id = $2";
        let values = vec![self.tenant(), id.as_bytes().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Offer, offer)
    }

    /// The offer under the digest of its code.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn offer_by_code(&self, digest: &Digest) -> Result<Option<Offer>, ReadError> {
        let sql = "SELECT id, operator, pass, product, formats, code_digest, \
                   transaction_code_digest, tries_left, state, expires_at, version FROM offer \
                   WHERE operator = $1 AND code_digest = $2";
        let values = vec![self.tenant(), digest.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Offer, offer)
    }

    /// All offers of `pass`, the first made first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn offers_of_pass(&self, pass: PassId) -> Result<Vec<Offer>, ReadError> {
        let sql = "SELECT id, operator, pass, product, formats, code_digest, \
                   transaction_code_digest, tries_left, state, expires_at, version FROM offer \
                   WHERE operator = $1 AND pass = $2 ORDER BY id";
        let values = vec![self.tenant(), pass.as_bytes().into()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        entities(rows, Table::Offer, offer)
    }

    /// The grant under the digest of its access token.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn grant(&self, digest: &Digest) -> Result<Option<Grant>, ReadError> {
        let sql = "SELECT token_digest, operator, offer, pass, remaining, key_thumbprint, \
                   expires_at, version FROM access_grant \
                   WHERE operator = $1 AND token_digest = $2";
        let values = vec![self.tenant(), digest.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Grant, grant)
    }
}

impl CityStore {
    /// Forgets marks of used things that are refused by their own date at `now`; returns how many,
    /// at most some thousands at once.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn forget_used(&self, now: Instant) -> Result<usize, EngineError> {
        let sql = "DELETE FROM once WHERE (operator, scope, digest) IN (SELECT operator, scope, \
                   digest FROM once WHERE expires_at <= $1 LIMIT $2) RETURNING scope";
        let values = vec![now.into(), FORGOTTEN_MAX.into()];
        let step = Statement::page(sql, values).expecting_any();
        self.engine().transact(vec![step]).await.map(|rows| rows.len())
    }
}
