//! Indexes of handles of the express tap.

use issuance::document::Standing;
use issuance::handles::{Draw, HandleIndex, Tap};
use issuance::secret::Digest;
use vocabulary::code::{ProductCode, ZoneCode};
use vocabulary::id::{PassId, ReaderId};
use vocabulary::time::Instant;

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::{EngineError, Statement};
use crate::rows::{Columns, ReadError, entities, entity};
use crate::store::{CityStore, TenantStore};

/// Rows of one kind that one call forgets.
const FORGOTTEN_MAX: u32 = 10_000;

pub(super) fn plan(plan: &mut Plan<'_>, index: &HandleIndex) -> Result<(), CommitError> {
    plan.own(&index.operator)?;
    let sql = match index.version {
        1 => {
            "INSERT INTO handle_index (status_list, status_index, standing, given, draws, seen, \
             version, operator, pass, zone, epoch) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE handle_index SET status_list = $1, status_index = $2, standing = $3, \
             given = $4, draws = $5, seen = $6, version = $7 WHERE operator = $8 AND pass = $9 \
             AND zone = $10 AND epoch = $11 AND version = $7 - 1"
        }
    };
    let values = vec![
        index.status_list.into(),
        index.status_index.into(),
        index.standing.as_str().into(),
        u32::from(index.given).into(),
        index.draws.iter().flat_map(draw_bytes).collect::<Vec<u8>>().into(),
        index.seen.iter().flat_map(tap_bytes).collect::<Vec<u8>>().into(),
        index.version.into(),
        index.operator.as_str().into(),
        index.pass.as_bytes().into(),
        index.zone.as_str().into(),
        index.epoch.into(),
    ];
    plan.one(row(Table::HandleIndex, index.pass), sql, values);
    Ok(())
}

fn index(columns: &mut Columns) -> Option<HandleIndex> {
    Some(HandleIndex {
        operator: columns.parse()?,
        pass: columns.take()?,
        zone: columns.parse()?,
        epoch: columns.take()?,
        status_list: columns.take()?,
        status_index: columns.take()?,
        standing: columns.named(Standing::named)?,
        given: columns.take::<u32>()?.try_into().ok()?,
        draws: pieces(&columns.take::<Vec<u8>>()?, draw)?,
        seen: pieces(&columns.take::<Vec<u8>>()?, tap)?,
        version: columns.take()?,
    })
}

const DRAW_BYTES: usize = 2 + 32;
const TAP_BYTES: usize = 2 + 4 + 16 + 8 + 8;

fn draw_bytes(draw: &Draw) -> Vec<u8> {
    [&draw.first.to_be_bytes()[..], &draw.device].concat()
}

fn draw(bytes: &[u8; DRAW_BYTES]) -> Option<Draw> {
    let (first, device) = bytes.split_first_chunk()?;
    Some(Draw { first: u16::from_be_bytes(*first), device: device.try_into().ok()? })
}

fn tap_bytes(tap: &Tap) -> Vec<u8> {
    let (number, taps) = (tap.number.to_be_bytes(), tap.taps.to_be_bytes());
    let (sequence, at) = (tap.sequence.to_be_bytes(), tap.at.unix_micros().to_be_bytes());
    [&number[..], &taps, tap.reader.as_bytes(), &sequence, &at].concat()
}

fn tap(bytes: &[u8; TAP_BYTES]) -> Option<Tap> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (taps, rest) = rest.split_first_chunk()?;
    let (reader, rest) = rest.split_first_chunk()?;
    let (sequence, at) = rest.split_first_chunk()?;
    Some(Tap {
        number: u16::from_be_bytes(*number),
        taps: u32::from_be_bytes(*taps),
        reader: ReaderId::from_bytes(*reader),
        sequence: u64::from_be_bytes(*sequence),
        at: Instant::from_unix_micros(i64::from_be_bytes(at.try_into().ok()?)),
    })
}

/// A column of pieces of one length.
fn pieces<const N: usize, T>(
    bytes: &[u8],
    piece: impl Fn(&[u8; N]) -> Option<T>,
) -> Option<Vec<T>> {
    let (pieces, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() { pieces.iter().map(piece).collect() } else { None }
}

impl TenantStore {
    /// The pass of which a document is bound to the device key with this thumbprint.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn pass_of_key(&self, thumbprint: &Digest) -> Result<Option<PassId>, ReadError> {
        let sql = "SELECT pass FROM document WHERE operator = $1 AND key_thumbprint = $2";
        let values = vec![self.tenant(), thumbprint.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Document, |columns| columns.take())
    }

    /// The index of the handles of `pass` in `zone` and `epoch`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn handle_index(
        &self,
        pass: PassId,
        zone: &ZoneCode,
        epoch: u32,
    ) -> Result<Option<HandleIndex>, ReadError> {
        let sql = "SELECT operator, pass, zone, epoch, status_list, status_index, standing, given, \
                   draws, seen, version FROM handle_index \
                   WHERE operator = $1 AND pass = $2 AND zone = $3 AND epoch = $4";
        let values =
            vec![self.tenant(), pass.as_bytes().into(), zone.as_str().into(), epoch.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::HandleIndex, index)
    }

    /// The indexes of `epoch` that have `status_index` in some status list, with their passes' products.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn handle_indexes_at(
        &self,
        epoch: u32,
        status_index: u32,
    ) -> Result<Vec<(HandleIndex, ProductCode)>, ReadError> {
        let sql = "SELECT pass.product, handle_index.operator, handle_index.pass, zone, epoch, \
                   status_list, status_index, standing, given, draws, seen, handle_index.version \
                   FROM handle_index JOIN pass ON pass.operator = handle_index.operator \
                   AND pass.id = handle_index.pass WHERE handle_index.operator = $1 \
                   AND epoch = $2 AND status_index = $3 ORDER BY status_list";
        let values = vec![self.tenant(), epoch.into(), status_index.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entities(rows, Table::HandleIndex, |columns| {
            let product = columns.parse()?;
            Some((index(columns)?, product))
        })
    }

    /// The indexes of the handles of `pass` from `epoch` on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn handle_indexes_of_pass(
        &self,
        pass: PassId,
        epoch: u32,
    ) -> Result<Vec<HandleIndex>, ReadError> {
        let sql = "SELECT operator, pass, zone, epoch, status_list, status_index, standing, given, \
                   draws, seen, version FROM handle_index WHERE operator = $1 AND pass = $2 AND epoch >= $3 \
                   ORDER BY zone, epoch";
        let values = vec![self.tenant(), pass.as_bytes().into(), epoch.into()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        entities(rows, Table::HandleIndex, index)
    }

    /// The indexes of handles in the status list `number` that are not valid.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn handle_indexes_not_valid(
        &self,
        number: u32,
    ) -> Result<Vec<HandleIndex>, ReadError> {
        let sql = "SELECT operator, pass, zone, epoch, status_list, status_index, standing, given, \
                   draws, seen, version FROM handle_index WHERE operator = $1 AND status_list = $2 \
                   AND standing <> 'valid' ORDER BY status_index";
        let values = vec![self.tenant(), number.into()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        entities(rows, Table::HandleIndex, index)
    }

    /// How many indexes of the status list `number` handles have.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn handle_indexes_in_list(&self, number: u32) -> Result<u32, ReadError> {
        let sql = "SELECT count(*) FROM handle_index WHERE operator = $1 AND status_list = $2";
        let values = vec![self.tenant(), number.into()];
        let count = self.count(sql, values, Table::HandleIndex).await?;
        count.try_into().map_err(|_| ReadError::Corrupt(Table::HandleIndex))
    }

    /// Whether handles have `index` of the status list `number`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn is_handle_index_taken(&self, number: u32, index: u32) -> Result<bool, ReadError> {
        let sql = "SELECT 1 FROM handle_index \
                   WHERE operator = $1 AND status_list = $2 AND status_index = $3";
        let values = vec![self.tenant(), number.into(), index.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        Ok(!rows.is_empty())
    }
}

impl CityStore {
    /// Forgets the indexes of handles of epochs before `epoch`, some thousands at a time, and once
    /// those are gone their status lists with what was published of them. Returns how many indexes.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn forget_handles(&self, epoch: u32) -> Result<usize, EngineError> {
        let indexes = "DELETE FROM handle_index WHERE (operator, pass, zone, epoch) IN (SELECT \
                       operator, pass, zone, epoch FROM handle_index WHERE epoch < $1 LIMIT $2) \
                       RETURNING epoch";
        let values = vec![epoch.into(), FORGOTTEN_MAX.into()];
        let step = Statement::page(indexes, values).expecting_any();
        let forgotten = self.engine().transact(vec![step]).await?.len();
        if forgotten > 0 {
            return Ok(forgotten);
        }
        let published = "DELETE FROM setting WHERE EXISTS (SELECT 1 FROM status_list \
                         WHERE status_list.operator = setting.operator \
                         AND status_list.epoch < $1 AND setting.name IN \
                         ('status-' || status_list.number, \
                         'status-' || status_list.number || '-cwt', \
                         'status-' || status_list.number || '-jwt'))";
        let lists = "DELETE FROM status_list WHERE epoch < $1";
        let step = |sql| Statement::page(sql, vec![epoch.into()]).expecting_any();
        self.engine().transact(vec![step(published), step(lists)]).await?;
        Ok(0)
    }
}
