//! Readers, enrolments and what readers handed in.

use fleet::change::Change;
use fleet::enrolment::{CodeHash, Enrolment};
use fleet::journal::{StoredRecord, Upload};
use fleet::reader::{JournalHead, Reader, ReaderCertificate, ReaderState, Watermark};
use fleet::secret::SecretHash;
use vocabulary::id::{EnrolmentId, ReaderId};
use vocabulary::time::Instant;

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::{Statement, Value};
use crate::page::{Cursor, Key, Listing, Page};
use crate::rows::{Columns, ReadError, entities, entity, number, words};
use crate::store::{CityStore, TenantStore};

mod place;
mod taps;

pub(crate) fn plan(plan: &mut Plan<'_>, change: &Change) -> Result<(), CommitError> {
    match change {
        Change::InsertPlace(place) => place::plan(plan, place),
        Change::InsertGrant(grant) => place::plan_grant(plan, grant),
        Change::SetTaps(settings) => taps::plan(plan, settings),
        Change::InsertEnrolment(enrolment) => plan_new_enrolment(plan, enrolment),
        Change::UpdateEnrolment(enrolment) => plan_enrolment(plan, enrolment),
        Change::EnrolReader { enrolment, reader } => {
            plan_enrolment(plan, enrolment)?;
            plan_new_reader(plan, reader)
        }
        Change::UpdateReader(reader) => plan_reader(plan, reader),
        Change::AppendJournal { reader, upload } => {
            plan_reader(plan, reader)?;
            plan_upload(plan, upload)
        }
    }
}

fn plan_new_enrolment(plan: &mut Plan<'_>, enrolment: &Enrolment) -> Result<(), CommitError> {
    plan.own(&enrolment.operator)?;
    plan.one(
        row(Table::Enrolment, enrolment.id),
        "INSERT INTO enrolment (id, operator, label, doors, hash, tries_left, created_at, \
         expires_at, used_by, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT DO NOTHING",
        vec![
            enrolment.id.as_bytes().into(),
            enrolment.operator.as_str().into(),
            enrolment.label.as_str().into(),
            words(&enrolment.doors),
            enrolment.hash.as_bytes().into(),
            enrolment.tries_left.into(),
            enrolment.created_at.into(),
            enrolment.expires_at.into(),
            enrolment.used_by.as_ref().map(|reader| reader.as_bytes()).into(),
            enrolment.version.into(),
        ],
    );
    Ok(())
}

/// What can change about an enrolment is how it is used up.
fn plan_enrolment(plan: &mut Plan<'_>, enrolment: &Enrolment) -> Result<(), CommitError> {
    plan.own(&enrolment.operator)?;
    plan.one(
        row(Table::Enrolment, enrolment.id),
        "UPDATE enrolment SET tries_left = $1, used_by = $2, version = $3 \
         WHERE id = $4 AND operator = $5 AND version = $3 - 1",
        vec![
            enrolment.tries_left.into(),
            enrolment.used_by.as_ref().map(|reader| reader.as_bytes()).into(),
            enrolment.version.into(),
            enrolment.id.as_bytes().into(),
            enrolment.operator.as_str().into(),
        ],
    );
    Ok(())
}

fn plan_new_reader(plan: &mut Plan<'_>, reader: &Reader) -> Result<(), CommitError> {
    let sql = "INSERT INTO reader (label, doors, retired_at, public_key, certificate, \
               certificate_not_before, certificate_not_after, bundle_epoch, journal_next, \
               journal_hash, watermark_bundle_epoch, watermark_status_issued_at, watermark_at, \
               enrolled_at, secret_hash, version, delivery_keys, operator, id) VALUES ($1, $2, $3, \
               $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
               ON CONFLICT DO NOTHING";
    plan_whole_reader(plan, reader, sql)
}

fn plan_reader(plan: &mut Plan<'_>, reader: &Reader) -> Result<(), CommitError> {
    let sql = "UPDATE reader SET label = $1, doors = $2, retired_at = $3, public_key = $4, \
               certificate = $5, certificate_not_before = $6, certificate_not_after = $7, \
               bundle_epoch = $8, journal_next = $9, journal_hash = $10, \
               watermark_bundle_epoch = $11, watermark_status_issued_at = $12, \
               watermark_at = $13, enrolled_at = $14, secret_hash = $15, version = $16, \
               delivery_keys = $17 \
               WHERE operator = $18 AND id = $19 AND version = $16 - 1";
    plan_whole_reader(plan, reader, sql)
}

fn plan_whole_reader(
    plan: &mut Plan<'_>,
    reader: &Reader,
    sql: &'static str,
) -> Result<(), CommitError> {
    plan.own(&reader.operator)?;
    let name = row(Table::Reader, reader.id);
    let retired_at = match reader.state {
        ReaderState::Enrolled => None,
        ReaderState::Retired { at } => Some(at),
    };
    let watermark = reader.watermark.as_ref();
    let watermark_epoch = watermark.map(|known| number(known.bundle_epoch, &name)).transpose()?;
    let values = vec![
        reader.label.as_str().into(),
        words(&reader.doors),
        retired_at.into(),
        (&reader.key).into(),
        reader.certificate.der.as_slice().into(),
        reader.certificate.not_before.into(),
        reader.certificate.not_after.into(),
        number(reader.bundle_epoch, &name)?,
        number(reader.journal.next, &name)?,
        (&reader.journal.hash).into(),
        watermark_epoch.into(),
        watermark.and_then(|known| known.status_issued_at).into(),
        watermark.map(|known| known.at).into(),
        reader.enrolled_at.into(),
        reader.secret.as_bytes().into(),
        reader.version.into(),
        reader.delivery_keys.as_deref().into(),
        reader.operator.as_str().into(),
        reader.id.as_bytes().into(),
    ];
    plan.one(name, sql, values);
    Ok(())
}

fn plan_upload(plan: &mut Plan<'_>, upload: &Upload) -> Result<(), CommitError> {
    plan.own(&upload.operator)?;
    for record in &upload.records {
        let name = row(Table::JournalRecord, format_args!("{} {}", upload.reader, record.sequence));
        let sequence = number(record.sequence, &name)?;
        plan.one(
            name,
            "INSERT INTO journal_record (operator, reader, sequence, written_at, hash, record, \
             received_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            vec![
                upload.operator.as_str().into(),
                upload.reader.as_bytes().into(),
                sequence,
                record.at.into(),
                (&record.hash).into(),
                record.bytes.as_slice().into(),
                upload.received_at.into(),
            ],
        );
    }
    Ok(())
}

fn enrolment(columns: &mut Columns) -> Option<Enrolment> {
    Some(Enrolment {
        id: columns.take()?,
        operator: columns.parse()?,
        label: columns.parse()?,
        doors: columns.words(|word| word.parse().ok())?,
        hash: CodeHash::from_bytes(columns.take()?),
        tries_left: columns.take()?,
        created_at: columns.take()?,
        expires_at: columns.take()?,
        used_by: columns.take()?,
        version: columns.take()?,
    })
}

fn reader(columns: &mut Columns) -> Option<Reader> {
    Some(Reader {
        id: columns.take()?,
        operator: columns.parse()?,
        label: columns.parse()?,
        doors: columns.words(|word| word.parse().ok())?,
        state: match columns.take()? {
            None => ReaderState::Enrolled,
            Some(at) => ReaderState::Retired { at },
        },
        key: columns.take()?,
        certificate: ReaderCertificate {
            der: columns.take()?,
            not_before: columns.take()?,
            not_after: columns.take()?,
        },
        bundle_epoch: columns.take()?,
        journal: JournalHead { next: columns.take()?, hash: columns.take()? },
        watermark: watermark(columns)?,
        delivery_keys: columns.take()?,
        enrolled_at: columns.take()?,
        secret: SecretHash::from_bytes(columns.take()?),
        version: columns.take()?,
    })
}

fn watermark(columns: &mut Columns) -> Option<Option<Watermark>> {
    let bundle_epoch: Option<u64> = columns.take()?;
    let status_issued_at: Option<Instant> = columns.take()?;
    let at: Option<Instant> = columns.take()?;
    let known = |(bundle_epoch, at)| Watermark { bundle_epoch, status_issued_at, at };
    Some(bundle_epoch.zip(at).map(known))
}

fn record(columns: &mut Columns) -> Option<StoredRecord> {
    Some(StoredRecord {
        sequence: columns.take()?,
        at: columns.take()?,
        hash: columns.take()?,
        bytes: columns.take()?,
    })
}

impl CityStore {
    /// The enrolment `id` of whatever operator: who presents a code is not known before this.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn enrolment(&self, id: EnrolmentId) -> Result<Option<Enrolment>, ReadError> {
        let sql = "SELECT id, operator, label, doors, hash, tries_left, created_at, expires_at, \
                   used_by, version FROM enrolment WHERE id = $1";
        let rows = self.engine().read(Statement::row(sql, vec![id.as_bytes().into()])).await?;
        entity(rows, Table::Enrolment, enrolment)
    }

    /// The reader `id` of whatever operator: a reader that shows its certificate is found by this.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn reader(&self, id: ReaderId) -> Result<Option<Reader>, ReadError> {
        let sql = "SELECT id, operator, label, doors, retired_at, public_key, certificate, \
                   certificate_not_before, certificate_not_after, bundle_epoch, journal_next, \
                   journal_hash, watermark_bundle_epoch, watermark_status_issued_at, \
                   watermark_at, delivery_keys, enrolled_at, secret_hash, version FROM reader \
                   WHERE id = $1";
        let rows = self.engine().read(Statement::row(sql, vec![id.as_bytes().into()])).await?;
        entity(rows, Table::Reader, reader)
    }
}

impl TenantStore {
    /// The enrolment `id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn enrolment(&self, id: EnrolmentId) -> Result<Option<Enrolment>, ReadError> {
        let sql = "SELECT id, operator, label, doors, hash, tries_left, created_at, expires_at, \
                   used_by, version FROM enrolment WHERE operator = $1 AND id = $2";
        let values = vec![self.tenant(), id.as_bytes().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Enrolment, enrolment)
    }

    /// How many enrolments wait at `now`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn enrolments_waiting(&self, now: Instant) -> Result<usize, ReadError> {
        let sql = "SELECT count(*) FROM enrolment WHERE operator = $1 AND used_by IS NULL \
                   AND tries_left > 0 AND expires_at > $2";
        let values: Vec<Value> = vec![self.tenant(), now.into()];
        self.count(sql, values, Table::Enrolment).await
    }

    /// The reader `id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn reader(&self, id: ReaderId) -> Result<Option<Reader>, ReadError> {
        let sql = "SELECT id, operator, label, doors, retired_at, public_key, certificate, \
                   certificate_not_before, certificate_not_after, bundle_epoch, journal_next, \
                   journal_hash, watermark_bundle_epoch, watermark_status_issued_at, \
                   watermark_at, delivery_keys, enrolled_at, secret_hash, version FROM reader \
                   WHERE operator = $1 AND id = $2";
        let values = vec![self.tenant(), id.as_bytes().into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Reader, reader)
    }

    /// The readers by their identifiers, the first enrolled first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn readers(&self, page: &Page) -> Result<Listing<Reader>, ReadError> {
        let sql = "SELECT id, operator, label, doors, retired_at, public_key, certificate, \
                   certificate_not_before, certificate_not_after, bundle_epoch, journal_next, \
                   journal_hash, watermark_bundle_epoch, watermark_status_issued_at, \
                   watermark_at, delivery_keys, enrolled_at, secret_hash, version FROM reader \
                   WHERE operator = $1 AND id > $2 ORDER BY id LIMIT $3";
        let values = vec![self.tenant(), Cursor::blob(page.after.as_ref()), page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::Reader, reader)?;
        Ok(Listing::of(items, page.size, |item| Key::Bytes(item.id.as_bytes())))
    }

    /// The record `sequence` in the journal of `reader`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn journal_record(
        &self,
        reader: ReaderId,
        sequence: u64,
    ) -> Result<Option<StoredRecord>, ReadError> {
        // No record has a number that does not fit its column.
        let Ok(sequence) = i64::try_from(sequence) else { return Ok(None) };
        let sql = "SELECT sequence, written_at, hash, record FROM journal_record \
                   WHERE operator = $1 AND reader = $2 AND sequence = $3";
        let values = vec![self.tenant(), reader.as_bytes().into(), Value::Integer(sequence)];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::JournalRecord, record)
    }

    /// The journal of `reader` in its order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn journal(
        &self,
        reader: ReaderId,
        page: &Page,
    ) -> Result<Listing<StoredRecord>, ReadError> {
        let sql = "SELECT sequence, written_at, hash, record FROM journal_record \
                   WHERE operator = $1 AND reader = $2 AND sequence > $3 \
                   ORDER BY sequence LIMIT $4";
        let after = Cursor::number(page.after.as_ref());
        let values = vec![self.tenant(), reader.as_bytes().into(), after, page.size.and_one()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        let items = entities(rows, Table::JournalRecord, record)?;
        Ok(Listing::of(items, page.size, |item| Key::Number(item.sequence)))
    }
}
