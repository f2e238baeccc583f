//! Writing: changes, one audit entry and jobs, together or not at all.

use core::fmt;

use audit::entry::Entry;
use vocabulary::code::OperatorCode;
use vocabulary::id::PassId;

use crate::engine::{EngineError, STEPS_MAX, Statement, Step, Value};
use crate::job::NewJob;
use crate::rows;

/// Bytes in the details of an event.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Bytes in the value of a setting.
pub const SETTING_BYTES_MAX: usize = 64 * 1024;

/// One deed.
#[derive(Clone, Debug)]
pub struct Commit {
    /// What changes.
    pub changes: Vec<Change>,
    /// The record of the deed. There is no deed without one.
    pub entry: AuditEntry,
    /// What must follow.
    pub jobs: Vec<NewJob>,
}

/// A change that a city crate decided on.
#[allow(clippy::large_enum_variant, reason = "a deed has few, and they live for one commit")]
#[derive(Clone, Debug)]
pub enum Change {
    /// Operators, people, tokens.
    Identity(identity::change::Change),
    /// Products, passes, offers, documents.
    Issuance(issuance::change::Change),
    /// Readers, enrolments, journals.
    Fleet(Box<fleet::change::Change>),
    /// A setting of the tenant.
    Setting(Setting),
    /// Something that the deed takes note of, such as a record of a reader's journal: a leaf of its
    /// own, before that of the deed.
    Noted(AuditEntry),
    /// As [`Change::Noted`], of a tap that should not have been: found again as such, and by its pass.
    Found(AuditEntry, Option<PassId>),
}

impl From<identity::change::Change> for Change {
    fn from(change: identity::change::Change) -> Self {
        Self::Identity(change)
    }
}

impl From<issuance::change::Change> for Change {
    fn from(change: issuance::change::Change) -> Self {
        Self::Issuance(change)
    }
}

impl From<fleet::change::Change> for Change {
    fn from(change: fleet::change::Change) -> Self {
        Self::Fleet(Box::new(change))
    }
}

/// A named value of a tenant. Version 1 is inserted, version n + 1 replaces version n.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name, unique within the tenant.
    pub name: String,
    /// At most [`SETTING_BYTES_MAX`] bytes.
    pub value: Vec<u8>,
    /// Counts the writes, from 1.
    pub version: u32,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({}, {} bytes)", self.name, self.value.len())
    }
}

/// What is recorded of a deed: the leaf, and what the leaf commits to.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// The leaf of the log. Its operator must be the tenant.
    pub entry: Entry,
    /// What its commitment opens to; kept beside the log, and may be forgotten without harm to it.
    pub detail: Option<Detail>,
}

/// What a commitment opens to.
#[derive(Clone)]
pub struct Detail {
    /// JSON, at most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: String,
    /// The key under which the commitment was made.
    pub key: [u8; 32],
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Detail({} bytes)", self.payload.len())
    }
}

/// What became of a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The place of its leaf in the log, from 0 and without gaps.
    pub sequence: u64,
}

/// The tables, as errors name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as its entity")]
pub enum Table {
    Operator,
    Setting,
    Token,
    Person,
    Product,
    Pass,
    Offer,
    Grant,
    StatusList,
    Document,
    HandleIndex,
    Once,
    Place,
    PlaceGrant,
    Enrolment,
    Reader,
    JournalRecord,
    Leaf,
    Finding,
    Job,
}

impl Table {
    /// The name, for messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Setting => "setting",
            Self::Token => "token",
            Self::Person => "person",
            Self::Product => "product",
            Self::Pass => "pass",
            Self::Offer => "offer",
            Self::Grant => "grant",
            Self::StatusList => "status-list",
            Self::Document => "document",
            Self::HandleIndex => "handle-index",
            Self::Once => "once",
            Self::Place => "place",
            Self::PlaceGrant => "place-grant",
            Self::Enrolment => "enrolment",
            Self::Reader => "reader",
            Self::JournalRecord => "journal-record",
            Self::Leaf => "leaf",
            Self::Finding => "finding",
            Self::Job => "job",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which row: its table and its key as text; never a personal value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowName {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: String,
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.table, self.key)
    }
}

/// Why a deed was not done. Nothing of it was written.
#[derive(Debug)]
pub enum CommitError {
    /// A row was inserted that exists (a key, a reference or a one-time thing is taken), or an
    /// update found another version: load again and decide again.
    Conflict(RowName),
    /// A row names another that does not exist in this tenant.
    Dangling(RowName),
    /// A change or the entry is of another operator than the tenant.
    OtherTenant,
    /// Only the city's own store registers operators.
    NotTheCity,
    /// More than [`STEPS_MAX`] rows, or a payload or setting over its limit.
    TooLarge,
    /// A number does not fit its column.
    Range(RowName),
    /// The disk is full. Writes succeed again once there is space.
    Full,
    /// The store failed.
    Failed(EngineError),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(row) => {
                write!(f, "commit: {row} exists or was changed by somebody else")
            }
            Self::Dangling(row) => write!(f, "commit: {row} refers to something that is not there"),
            Self::OtherTenant => f.write_str("commit: a change belongs to another operator"),
            Self::NotTheCity => f.write_str("commit: only the city registers operators"),
            Self::TooLarge => f.write_str("commit: too many rows or too long a value"),
            Self::Range(row) => write!(f, "commit: a number of {row} does not fit"),
            Self::Full => f.write_str("commit: the disk is full, nothing was written"),
            Self::Failed(_) => f.write_str("commit: the store failed, nothing was written"),
        }
    }
}

impl core::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Failed(source) => Some(source),
            _ => None,
        }
    }
}

/// The steps of one transaction, each with the name of its row.
pub(crate) struct Plan<'t> {
    pub(crate) tenant: &'t OperatorCode,
    steps: Vec<Step>,
    names: Vec<RowName>,
}

impl<'t> Plan<'t> {
    pub(crate) fn of(tenant: &'t OperatorCode, commit: &Commit) -> Result<Self, CommitError> {
        let mut plan = Self { tenant, steps: Vec::new(), names: Vec::new() };
        for change in &commit.changes {
            match change {
                Change::Identity(change) => rows::identity::plan(&mut plan, change)?,
                Change::Issuance(change) => rows::issuance::plan(&mut plan, change)?,
                Change::Fleet(change) => rows::fleet::plan(&mut plan, change)?,
                Change::Setting(setting) => rows::setting::plan(&mut plan, setting)?,
                Change::Noted(noted) => rows::event::plan(&mut plan, noted)?,
                Change::Found(found, pass) => rows::event::plan_finding(&mut plan, found, *pass)?,
            }
        }
        for job in &commit.jobs {
            job.plan(&mut plan)?;
        }
        // The leaf comes last: its sequence is what the transaction returns.
        rows::event::plan(&mut plan, &commit.entry)?;
        if plan.steps.len() > STEPS_MAX { Err(CommitError::TooLarge) } else { Ok(plan) }
    }

    /// Refuses what belongs to somebody else.
    pub(crate) fn own(&self, operator: &OperatorCode) -> Result<(), CommitError> {
        if operator == self.tenant { Ok(()) } else { Err(CommitError::OtherTenant) }
    }

    /// A write that must hit exactly one row.
    pub(crate) fn one(&mut self, name: RowName, sql: &'static str, values: Vec<Value>) {
        self.push(name, Statement::row(sql, values).expecting_one());
    }

    /// A write that may hit any number of rows.
    pub(crate) fn any(&mut self, name: RowName, sql: &'static str, values: Vec<Value>) {
        self.push(name, Statement::row(sql, values).expecting_any());
    }

    fn push(&mut self, name: RowName, step: Step) {
        self.steps.push(step);
        self.names.push(name);
    }

    pub(crate) fn into_steps(self) -> (Vec<Step>, Names) {
        (self.steps, Names(self.names))
    }
}

/// The names of the rows of a plan, by the position of their steps.
pub(crate) struct Names(Vec<RowName>);

impl Names {
    pub(crate) fn blame(mut self, error: EngineError) -> CommitError {
        let mut name = |step: usize| (step < self.0.len()).then(|| self.0.swap_remove(step));
        match error {
            EngineError::Conflict { step } => {
                name(step).map_or(CommitError::Failed(error), CommitError::Conflict)
            }
            EngineError::Dangling { step } => {
                name(step).map_or(CommitError::Failed(error), CommitError::Dangling)
            }
            EngineError::Full => CommitError::Full,
            other => CommitError::Failed(other),
        }
    }
}

/// Names a row.
pub(crate) fn row(table: Table, key: impl fmt::Display) -> RowName {
    RowName { table, key: key.to_string() }
}
