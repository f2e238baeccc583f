//! What the city remembers: rows, the audit log, and jobs that wait. The only crate that knows a table.
//!
//! [`store::Store`] hands out views: [`store::TenantStore`] sees the rows of one operator and no
//! others, [`store::CityStore`] what belongs to the whole city. Writing is one verb: a
//! [`commit::Commit`] carries changes, one audit entry and follow-up jobs, and is written whole or not
//! at all; it is acknowledged when it is durable. Times are microseconds as `i64`, identifiers
//! 16-byte blobs, structured values JSON text, so that [`engine::Engine`], the small trait beneath, can be
//! SQLite now (WAL, `synchronous=FULL`, group commit) and PostgreSQL next.
//!
//! Two rules hold without exception: no audit entry, no deed; and no call reads or writes across
//! tenants, because the tenant is in the type of what is called.
#![forbid(unsafe_code)]

pub mod commit;
pub mod engine;
pub mod event;
pub mod job;
pub mod log;
pub mod page;
mod rows;
pub mod sqlite;
pub mod store;
