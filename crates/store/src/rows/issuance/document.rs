//! Issued documents and the status lists that speak of them.

use issuance::document::{Delivery, Document, Standing};
use issuance::product::Format;
use issuance::secret::Digest;
use issuance::status_list::StatusList;
use vocabulary::id::PassId;

use crate::commit::{CommitError, Plan, Table, row};
use crate::engine::Statement;
use crate::rows::{Columns, ReadError, entities, entity};
use crate::store::TenantStore;

pub(super) fn plan(plan: &mut Plan<'_>, document: &Document) -> Result<(), CommitError> {
    plan.own(&document.operator)?;
    let sql = match document.version {
        1 => {
            "INSERT INTO document (pass, format, key_thumbprint, status_list, status_index, \
             standing, delivery, notification_digest, issued_at, valid_until, version, operator, \
             id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE document SET pass = $1, format = $2, key_thumbprint = $3, status_list = $4, \
             status_index = $5, standing = $6, delivery = $7, notification_digest = $8, \
             issued_at = $9, valid_until = $10, version = $11 \
             WHERE operator = $12 AND id = $13 AND version = $11 - 1"
        }
    };
    let values = vec![
        document.pass.as_bytes().into(),
        document.format.as_str().into(),
        (&document.key_thumbprint).into(),
        document.status_list.into(),
        document.status_index.into(),
        document.standing.as_str().into(),
        document.delivery.as_str().into(),
        (&document.notification_digest).into(),
        document.issued_at.into(),
        document.valid_until.into(),
        document.version.into(),
        document.operator.as_str().into(),
        document.id.as_bytes().into(),
    ];
    plan.one(row(Table::Document, document.id), sql, values);
    Ok(())
}

pub(super) fn plan_list(plan: &mut Plan<'_>, list: &StatusList) -> Result<(), CommitError> {
    plan.own(&list.operator)?;
    let sql = match list.version {
        1 => {
            "INSERT INTO status_list (capacity, epoch, opened_at, version, operator, number) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE status_list SET capacity = $1, epoch = $2, opened_at = $3, version = $4 \
             WHERE operator = $5 AND number = $6 AND version = $4 - 1"
        }
    };
    let values = vec![
        list.capacity.into(),
        list.epoch.into(),
        list.opened_at.into(),
        list.version.into(),
        list.operator.as_str().into(),
        list.number.into(),
    ];
    plan.one(row(Table::StatusList, list.number), sql, values);
    Ok(())
}

fn document(columns: &mut Columns) -> Option<Document> {
    Some(Document {
        id: columns.take()?,
        operator: columns.parse()?,
        pass: columns.take()?,
        format: columns.named(Format::named)?,
        key_thumbprint: columns.take()?,
        status_list: columns.take()?,
        status_index: columns.take()?,
        standing: columns.named(Standing::named)?,
        delivery: columns.named(Delivery::named)?,
        notification_digest: columns.take()?,
        issued_at: columns.take()?,
        valid_until: columns.take()?,
        version: columns.take()?,
    })
}

fn list(columns: &mut Columns) -> Option<StatusList> {
    Some(StatusList {
        operator: columns.parse()?,
        number: columns.take()?,
        capacity: columns.take()?,
        epoch: columns.take()?,
        opened_at: columns.take()?,
        version: columns.take()?,
    })
}

impl TenantStore {
    /// All documents of `pass`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn documents_of_pass(&self, pass: PassId) -> Result<Vec<Document>, ReadError> {
        let sql = "SELECT id, operator, pass, format, key_thumbprint, status_list, status_index, \
                   standing, delivery, notification_digest, issued_at, valid_until, version \
                   FROM document WHERE operator = $1 AND pass = $2 ORDER BY id";
        let values = vec![self.tenant(), pass.as_bytes().into()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        entities(rows, Table::Document, document)
    }

    /// The documents that one response carried, by the digest of its `notification_id`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn documents_by_notification(
        &self,
        digest: &Digest,
    ) -> Result<Vec<Document>, ReadError> {
        let sql = "SELECT id, operator, pass, format, key_thumbprint, status_list, status_index, \
                   standing, delivery, notification_digest, issued_at, valid_until, version \
                   FROM document WHERE operator = $1 AND notification_digest = $2 ORDER BY id";
        let values = vec![self.tenant(), digest.into()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        entities(rows, Table::Document, document)
    }

    /// Whether a document is bound to the device key with this thumbprint.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn is_key_used(&self, thumbprint: &Digest) -> Result<bool, ReadError> {
        let sql = "SELECT 1 FROM document WHERE operator = $1 AND key_thumbprint = $2";
        let values = vec![self.tenant(), thumbprint.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        Ok(!rows.is_empty())
    }

    /// Whether `index` of the status list `number` is taken.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn is_index_taken(&self, number: u32, index: u32) -> Result<bool, ReadError> {
        let sql = "SELECT 1 FROM document \
                   WHERE operator = $1 AND status_list = $2 AND status_index = $3";
        let values = vec![self.tenant(), number.into(), index.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        Ok(!rows.is_empty())
    }

    /// The status list `number`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn status_list(&self, number: u32) -> Result<Option<StatusList>, ReadError> {
        let sql = "SELECT operator, number, capacity, epoch, opened_at, version FROM status_list \
                   WHERE operator = $1 AND number = $2";
        let values = vec![self.tenant(), number.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::StatusList, list)
    }

    /// All status lists of the operator, the oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn status_lists(&self) -> Result<Vec<StatusList>, ReadError> {
        let sql = "SELECT operator, number, capacity, epoch, opened_at, version FROM status_list \
                   WHERE operator = $1 ORDER BY number";
        let rows = self.engine().read(Statement::page(sql, vec![self.tenant()])).await?;
        entities(rows, Table::StatusList, list)
    }

    /// How many documents have an index in the status list `number`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn documents_in_list(&self, number: u32) -> Result<u32, ReadError> {
        let sql = "SELECT count(*) FROM document WHERE operator = $1 AND status_list = $2";
        let count = self.count(sql, vec![self.tenant(), number.into()], Table::Document).await?;
        count.try_into().map_err(|_| ReadError::Corrupt(Table::Document))
    }

    /// The documents of the status list `number` that are not valid, by their index.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn documents_not_valid(&self, number: u32) -> Result<Vec<Document>, ReadError> {
        let sql = "SELECT id, operator, pass, format, key_thumbprint, status_list, status_index, \
                   standing, delivery, notification_digest, issued_at, valid_until, version \
                   FROM document WHERE operator = $1 AND status_list = $2 \
                   AND standing <> 'valid' ORDER BY status_index";
        let values = vec![self.tenant(), number.into()];
        let rows = self.engine().read(Statement::page(sql, values)).await?;
        entities(rows, Table::Document, document)
    }
}
