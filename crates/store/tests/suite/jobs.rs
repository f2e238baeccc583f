//! Jobs: enqueued with their deed, leased, completed, tried again, buried.

use std::time::Duration;

use store::commit::{Commit, CommitError, Table};
use store::job::{
    ATTEMPTS_MAX, AfterFailure, JobError, KIND_BYTES_MAX, LEASED_MAX, NewJob, REASON_BYTES_MAX,
    backoff,
};
use store::page::Page;
use store::store::CityStore;
use vocabulary::id::JobId;
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::samples::{at, bytes, deed, harbour, insert_person, island};

const LEASE: Duration = Duration::from_secs(60);

fn job(number: u64, dedup: Option<&str>) -> NewJob {
    NewJob {
        id: JobId::from_bytes(bytes(number)),
        kind: "send-offer".to_owned(),
        payload: "{}".to_owned(),
        dedup: dedup.map(str::to_owned),
        run_at: at(0),
    }
}

fn with_jobs(number: u64, jobs: Vec<NewJob>) -> Commit {
    Commit { jobs, ..deed(&harbour(), number, vec![]) }
}

async fn lease_one(city: &CityStore, now: Instant) -> Option<store::job::Job> {
    city.lease_jobs(now, LEASE, 1).await.unwrap().pop()
}

#[tokio::test]
async fn job_of_a_failed_deed_does_not_exist() {
    let folder = Folder::new();
    let store = folder.store();
    let tenant = store.for_operator(&harbour());
    let mut commit = with_jobs(1, vec![job(1, None)]);
    commit.changes = vec![insert_person(&harbour(), 1), insert_person(&harbour(), 1)];
    tenant.commit(commit).await.unwrap_err();
    assert_eq!(lease_one(&store.city(), at(0)).await, None);
    tenant.commit(with_jobs(1, vec![job(1, None)])).await.unwrap();
    assert!(lease_one(&store.city(), at(0)).await.is_some());
}

#[tokio::test]
async fn leased_job_is_nobody_elses_until_its_lease_ends() {
    let folder = Folder::new();
    let store = folder.store();
    let city = store.city();
    store.for_operator(&harbour()).commit(with_jobs(1, vec![job(1, None)])).await.unwrap();
    assert_eq!(lease_one(&city, at(-1)).await, None, "not before its time");
    let first = lease_one(&city, at(0)).await.unwrap();
    assert_eq!((first.operator.clone(), first.attempt), (harbour(), 1));
    assert_eq!(lease_one(&city, at(59)).await, None);
    let second = lease_one(&city, at(60)).await.unwrap();
    assert_eq!(second.attempt, 2);
    assert!(matches!(city.complete_job(&first).await, Err(JobError::LeaseLost)));
    assert!(matches!(city.fail_job(&first, "", at(61)).await, Err(JobError::LeaseLost)));
    city.complete_job(&second).await.unwrap();
    assert!(matches!(city.complete_job(&second).await, Err(JobError::LeaseLost)));
    assert_eq!(lease_one(&city, at(10_000)).await, None);
}

#[tokio::test]
async fn failing_job_waits_longer_each_time_and_dies_at_the_limit() {
    let folder = Folder::new();
    let store = folder.store();
    let city = store.city();
    store.for_operator(&harbour()).commit(with_jobs(1, vec![job(1, None)])).await.unwrap();
    let mut now = at(0);
    for attempt in 1..ATTEMPTS_MAX {
        let job = lease_one(&city, now).await.unwrap();
        let after = city.fail_job(&job, "no answer", now).await.unwrap();
        now = now.saturating_add(backoff(attempt));
        assert_eq!(after, AfterFailure::RetryAt(now));
        assert_eq!(lease_one(&city, now.saturating_sub(Duration::from_micros(1))).await, None);
    }
    let last = lease_one(&city, now).await.unwrap();
    let reason = "é".repeat(REASON_BYTES_MAX);
    assert_eq!(city.fail_job(&last, &reason, now).await.unwrap(), AfterFailure::Dead);
    let far = now.saturating_add(Duration::from_secs(1_000_000));
    assert_eq!(lease_one(&city, far).await, None);
    let dead = city.dead_jobs(&Page::FIRST).await.unwrap().items;
    assert_eq!((dead.len(), dead[0].job.attempt), (1, ATTEMPTS_MAX));
    assert_eq!(dead[0].reason.len(), REASON_BYTES_MAX);
    city.revive_job(last.id, far).await.unwrap();
    assert_eq!(lease_one(&city, far).await.unwrap().attempt, 1);
    assert!(matches!(city.revive_job(last.id, far).await, Err(JobError::LeaseLost)));
}

/// A job that must not be given up waits as long as others at first, then no longer than it may.
#[tokio::test]
async fn job_that_is_put_back_never_dies_and_waits_no_longer_than_told() {
    let folder = Folder::new();
    let store = folder.store();
    let city = store.city();
    store.for_operator(&harbour()).commit(with_jobs(1, vec![job(1, None)])).await.unwrap();
    let longest = Duration::from_secs(60);
    let mut now = at(0);
    let mut first = None;
    for attempt in 1..=3 * ATTEMPTS_MAX {
        let job = lease_one(&city, now).await.unwrap();
        assert_eq!(job.attempt, attempt);
        let again = city.put_back_job(&job, longest, now).await.unwrap();
        now = now.saturating_add(backoff(attempt).min(longest));
        assert_eq!(again, now);
        assert_eq!(lease_one(&city, now.saturating_sub(Duration::from_micros(1))).await, None);
        first.get_or_insert(job);
    }
    assert_eq!(city.dead_jobs(&Page::FIRST).await.unwrap().items.len(), 0);
    let lost = city.put_back_job(&first.unwrap(), longest, now).await;
    assert!(matches!(lost, Err(JobError::LeaseLost)));
    let last = lease_one(&city, now).await.unwrap();
    city.complete_job(&last).await.unwrap();
}

#[tokio::test]
async fn unique_job_is_enqueued_once_per_operator_until_it_is_done() {
    let folder = Folder::new();
    let store = folder.store();
    let (city, tenant) = (store.city(), store.for_operator(&harbour()));
    tenant.commit(with_jobs(1, vec![job(1, Some("list-0"))])).await.unwrap();
    tenant.commit(with_jobs(2, vec![job(2, Some("list-0"))])).await.unwrap();
    tenant.commit(with_jobs(3, vec![job(3, Some("list-1"))])).await.unwrap();
    let other = Commit { jobs: vec![job(4, Some("list-0"))], ..deed(&island(), 4, vec![]) };
    store.for_operator(&island()).commit(other).await.unwrap();
    let jobs = city.lease_jobs(at(0), LEASE, LEASED_MAX).await.unwrap();
    let mut ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    ids.sort();
    assert_eq!(ids, [1, 3, 4].map(|number| JobId::from_bytes(bytes(number))));
    for job in &jobs {
        city.complete_job(job).await.unwrap();
    }
    tenant.commit(with_jobs(5, vec![job(5, Some("list-0"))])).await.unwrap();
    assert!(lease_one(&city, at(0)).await.is_some());
}

#[tokio::test]
async fn job_with_an_identifier_that_is_taken_is_a_conflict() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&harbour());
    tenant.commit(with_jobs(1, vec![job(1, None)])).await.unwrap();
    let answer = tenant.commit(with_jobs(2, vec![job(1, None)])).await;
    assert!(matches!(answer, Err(CommitError::Conflict(row)) if row.table == Table::Job));
}

#[tokio::test]
async fn leases_and_kinds_hold_to_their_limits() {
    let folder = Folder::new();
    let store = folder.store();
    let tenant = store.for_operator(&harbour());
    let many = u64::from(LEASED_MAX) + 1;
    let jobs = (0..many).map(|number| job(number, None)).collect();
    tenant.commit(with_jobs(0, jobs)).await.unwrap();
    let leased = store.city().lease_jobs(at(0), LEASE, LEASED_MAX + 1).await.unwrap();
    assert_eq!(leased.len(), usize::from(LEASED_MAX));
    for (number, bytes, accepted) in [(1, KIND_BYTES_MAX, true), (2, KIND_BYTES_MAX + 1, false)] {
        let long = NewJob { kind: "k".repeat(bytes), ..job(1_000 + number, None) };
        assert_eq!(tenant.commit(with_jobs(number, vec![long])).await.is_ok(), accepted);
    }
}
