//! Settings: named values of a tenant.

use crate::commit::{CommitError, Plan, SETTING_BYTES_MAX, Setting, Table, row};
use crate::engine::Statement;
use crate::rows::{ReadError, entity};
use crate::store::TenantStore;

pub(crate) fn plan(plan: &mut Plan<'_>, setting: &Setting) -> Result<(), CommitError> {
    if setting.value.len() > SETTING_BYTES_MAX {
        return Err(CommitError::TooLarge);
    }
    let sql = match setting.version {
        1 => {
            "INSERT INTO setting (value, version, operator, name) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE setting SET value = $1, version = $2 \
             WHERE operator = $3 AND name = $4 AND version = $2 - 1"
        }
    };
    let values = vec![
        setting.value.as_slice().into(),
        setting.version.into(),
        plan.tenant.as_str().into(),
        setting.name.as_str().into(),
    ];
    plan.one(row(Table::Setting, &setting.name), sql, values);
    Ok(())
}

impl TenantStore {
    /// The setting `name`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn setting(&self, name: &str) -> Result<Option<Setting>, ReadError> {
        let sql = "SELECT name, value, version FROM setting WHERE operator = $1 AND name = $2";
        let values = vec![self.tenant(), name.into()];
        let rows = self.engine().read(Statement::row(sql, values)).await?;
        entity(rows, Table::Setting, |columns| {
            Some(Setting {
                name: columns.take()?,
                value: columns.take()?,
                version: columns.take()?,
            })
        })
    }
}
