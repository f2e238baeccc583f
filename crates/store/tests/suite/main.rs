//! The store on a real file system: deeds, tenants, pages, jobs, the log, crashes, a full disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod commits;
mod crash;
mod entities;
mod folder;
mod full;
mod handles;
mod jobs;
mod logs;
mod pages;
mod samples;
mod tenants;
