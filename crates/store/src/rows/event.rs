//! The audit log's leaves and what they commit to.

use audit::entry::Entry;
use vocabulary::id::{EventId, PassId};

use crate::commit::{AuditEntry, CommitError, Detail, PAYLOAD_BYTES_MAX, Plan, Table, row};
use crate::engine::{Statement, Value};
use crate::event::Event;
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities, entity};
use crate::store::{CityStore, TenantStore};

/// Writes the details and then the leaf, whose sequence the step returns.
pub(crate) fn plan(plan: &mut Plan<'_>, audit: &AuditEntry) -> Result<(), CommitError> {
    let entry = &audit.entry;
    plan.own(&entry.operator)?;
    if let Some(Detail { payload, key }) = &audit.detail {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(CommitError::TooLarge);
        }
        plan.one(
            row(Table::Leaf, entry.event),
            "INSERT INTO event_detail (event, operator, payload, commitment_key) \
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            vec![
                entry.event.as_bytes().into(),
                entry.operator.as_str().into(),
                payload.as_str().into(),
                key.into(),
            ],
        );
    }
    plan.one(
        row(Table::Leaf, entry.event),
        "INSERT INTO leaf (sequence, event, operator, entry) \
         VALUES ((SELECT coalesce(max(sequence) + 1, 0) FROM leaf), $1, $2, $3) \
         ON CONFLICT DO NOTHING RETURNING sequence",
        vec![entry.event.as_bytes().into(), entry.operator.as_str().into(), entry.encode().into()],
    );
    Ok(())
}

/// As [`plan`], and that it is a finding.
pub(crate) fn plan_finding(
    of: &mut Plan<'_>,
    audit: &AuditEntry,
    pass: Option<PassId>,
) -> Result<(), CommitError> {
    plan(of, audit)?;
    let entry = &audit.entry;
    let values = vec![
        entry.event.as_bytes().into(),
        entry.operator.as_str().into(),
        pass.map(|pass| pass.as_bytes().to_vec()).into(),
    ];
    let sql = "INSERT INTO finding (event, operator, pass) VALUES ($1, $2, $3) \
               ON CONFLICT DO NOTHING";
    of.one(row(Table::Finding, entry.event), sql, values);
    Ok(())
}

fn event(columns: &mut Columns) -> Option<Event> {
    let sequence = columns.take()?;
    let entry = Entry::decode(&columns.take::<Vec<u8>>()?).ok()?;
    let payload: Option<String> = columns.take()?;
    let key: Option<[u8; 32]> = columns.take()?;
    let detail = payload.zip(key).map(|(payload, key)| Detail { payload, key });
    Some(Event { sequence, entry, detail })
}

impl TenantStore {
    /// The event `id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn event(&self, id: EventId) -> Result<Option<Event>, ReadError> {
        let sql = "SELECT leaf.sequence, leaf.entry, event_detail.payload, \
                   event_detail.commitment_key FROM leaf \
                   LEFT JOIN event_detail ON event_detail.event = leaf.event \
                   WHERE leaf.operator = $1 AND leaf.event = $2";
        let values = vec![self.tenant(), id.as_bytes().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Leaf, event)
    }

    /// The events of this operator in the order of the log.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn events(&self, page: &Page) -> Result<Listing<Event>, ReadError> {
        let sql = "SELECT leaf.sequence, leaf.entry, event_detail.payload, \
                   event_detail.commitment_key FROM leaf \
                   LEFT JOIN event_detail ON event_detail.event = leaf.event \
                   WHERE leaf.operator = $1 AND leaf.sequence > $2 \
                   ORDER BY leaf.sequence LIMIT $3";
        self.listing(sql, page).await
    }

    /// The events that tell of taps that should not have been, in the order of the log.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn findings(&self, page: &Page) -> Result<Listing<Event>, ReadError> {
        let sql = "SELECT leaf.sequence, leaf.entry, event_detail.payload, \
                   event_detail.commitment_key FROM finding \
                   JOIN leaf ON leaf.event = finding.event \
                   LEFT JOIN event_detail ON event_detail.event = finding.event \
                   WHERE finding.operator = $1 AND leaf.sequence > $2 \
                   ORDER BY leaf.sequence LIMIT $3";
        self.listing(sql, page).await
    }

    async fn listing(&self, sql: &'static str, page: &Page) -> Result<Listing<Event>, ReadError> {
        let values = vec![self.tenant(), Cursor::number(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Leaf, event)?;
        Ok(Listing::of(items, page.size, |item| Key::Number(item.sequence)))
    }

    /// How many findings are of `pass`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn findings_of_pass(&self, pass: PassId) -> Result<usize, ReadError> {
        let sql = "SELECT count(*) FROM finding WHERE operator = $1 AND pass = $2";
        let values = vec![self.tenant(), pass.as_bytes().into()];
        self.count(sql, values, Table::Finding).await
    }
}

/// The newest checkpoint as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogHead {
    pub(crate) size: u64,
    pub(crate) note: String,
}

impl CityStore {
    /// How many leaves there are.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leaves_count(&self) -> Result<u64, ReadError> {
        let sql = "SELECT coalesce(max(sequence) + 1, 0) FROM leaf";
        let rows = self.engine().read(Statement::row(sql, vec![])).await?;
        entity(rows, Table::Leaf, |columns| columns.take()).map(Option::unwrap_or_default)
    }

    /// The newest entry.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn newest_entry(&self) -> Result<Option<Entry>, ReadError> {
        let sql = "SELECT entry FROM leaf ORDER BY sequence DESC LIMIT 1";
        let rows = self.engine().read(Statement::row(sql, vec![])).await?;
        entity(rows, Table::Leaf, |columns| Entry::decode(&columns.take::<Vec<u8>>()?).ok())
    }

    /// The bytes of at most `limit` leaves from `first` on, in order.
    pub(crate) async fn leaves(&self, first: u64, limit: u32) -> Result<Vec<Vec<u8>>, ReadError> {
        let first = i64::try_from(first).map_err(|_| ReadError::Corrupt(Table::Leaf))?;
        let sql = "SELECT entry FROM leaf WHERE sequence >= $1 ORDER BY sequence LIMIT $2";
        let values = vec![Value::Integer(first), limit.into()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        entities(rows, Table::Leaf, |columns| columns.take())
    }

    pub(crate) async fn log_head(&self) -> Result<Option<LogHead>, ReadError> {
        let sql = "SELECT size, note FROM log_head WHERE id = 1";
        let rows = self.engine().read(Statement::row(sql, vec![])).await?;
        entity(rows, Table::Leaf, |columns| {
            Some(LogHead { size: columns.take()?, note: columns.take()? })
        })
    }

    /// Puts `head` in place of a head of `older` entries; a conflict means that another process
    /// published in between.
    pub(crate) async fn swap_log_head(
        &self,
        older: Option<u64>,
        head: &LogHead,
    ) -> Result<(), CommitError> {
        let name = row(Table::Leaf, head.size);
        let size = crate::rows::number(head.size, &name)?;
        let note = Value::from(head.note.as_str());
        let step = match older {
            None => Statement::row(
                "INSERT INTO log_head (id, size, note) VALUES (1, $1, $2) ON CONFLICT DO NOTHING",
                vec![size, note],
            ),
            Some(older) => Statement::row(
                "UPDATE log_head SET size = $1, note = $2 WHERE id = 1 AND size = $3",
                vec![size, note, crate::rows::number(older, &name)?],
            ),
        };
        match self.engine().transact(vec![step.expecting_one()]).await {
            Ok(_) => Ok(()),
            Err(crate::engine::EngineError::Conflict { .. }) => Err(CommitError::Conflict(name)),
            Err(crate::engine::EngineError::Full) => Err(CommitError::Full),
            Err(other) => Err(CommitError::Failed(other)),
        }
    }
}
