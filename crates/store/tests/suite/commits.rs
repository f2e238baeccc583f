//! A deed is written whole or not at all, and never without its record.

use std::sync::Arc;

use store::commit::{Change, CommitError, PAYLOAD_BYTES_MAX, SETTING_BYTES_MAX, Setting, Table};
use store::engine::STEPS_MAX;
use store::job::NewJob;
use store::page::{Page, PageSize};
use store::sqlite::{BATCH_MAX, OpenError, Options, Sqlite};
use vocabulary::id::JobId;

use crate::folder::Folder;
use crate::samples::{self, at, audit, bytes, deed, harbour, insert_person, registration};

fn setting(name: &str, value: Vec<u8>, version: u32) -> Change {
    Change::Setting(Setting { name: name.to_owned(), value, version })
}

#[tokio::test]
async fn deed_is_there_with_its_record_and_its_jobs_after_reopening() {
    let folder = Folder::new();
    let mut commit = registration(&harbour(), 1);
    commit.jobs.push(NewJob {
        id: JobId::from_bytes(bytes(1)),
        kind: "welcome".to_owned(),
        payload: "{}".to_owned(),
        dedup: None,
        run_at: at(0),
    });
    let committed = folder.store().for_operator(&harbour()).commit(commit).await.unwrap();
    assert_eq!(committed.sequence, 0);
    let store = folder.store();
    let tenant = store.for_operator(&harbour());
    let person = samples::person(&harbour(), 1);
    assert_eq!(tenant.person(person.id).await.unwrap(), Some(person.clone()));
    assert_eq!(tenant.person_by_reference("R1").await.unwrap(), Some(person));
    let recorded = audit(&harbour(), 1);
    let event = tenant.event(recorded.entry.event).await.unwrap().unwrap();
    assert_eq!((event.sequence, event.entry), (0, recorded.entry));
    assert_eq!(event.detail.unwrap().payload, recorded.detail.unwrap().payload);
    let jobs = store.city().lease_jobs(at(0), std::time::Duration::from_secs(9), 9).await.unwrap();
    assert_eq!(jobs.len(), 1);
}

/// Each failing part undoes the parts that would have succeeded; the control is the same deed
/// without it.
#[tokio::test]
async fn failing_part_undoes_the_whole_deed() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&harbour());
    tenant.commit(registration(&harbour(), 1)).await.unwrap();
    let stale: Change = {
        let mut token = samples::token(&harbour(), 1);
        token.version = 2;
        identity::change::Change::UpdateToken(token).into()
    };
    let dangling: Change = issuance::change::Change::Pass(samples::pass(&harbour(), 1, 99)).into();
    for (what, bad, table) in [
        ("a key that is taken", insert_person(&harbour(), 1), Table::Person),
        ("a version that is not there", stale, Table::Token),
        ("a person who is not there", dangling, Table::Pass),
    ] {
        let commit = deed(&harbour(), 2, vec![insert_person(&harbour(), 2), bad]);
        let (CommitError::Conflict(row) | CommitError::Dangling(row)) =
            tenant.commit(commit).await.unwrap_err()
        else {
            panic!("{what}")
        };
        assert_eq!(row.table, table, "{what}");
        let other = samples::person(&harbour(), 2).id;
        assert_eq!(tenant.person(other).await.unwrap(), None, "{what}");
        assert!(tenant.event(audit(&harbour(), 2).entry.event).await.unwrap().is_none(), "{what}");
    }
    let committed = tenant.commit(registration(&harbour(), 2)).await.unwrap();
    assert_eq!(committed.sequence, 1, "failed deeds leave no gap in the log");
}

#[tokio::test]
async fn taken_reference_is_a_conflict_that_does_not_name_it() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&harbour());
    tenant.commit(registration(&harbour(), 1)).await.unwrap();
    let mut twin = samples::person(&harbour(), 2);
    twin.reference = Some("R1".parse().unwrap());
    let change = identity::change::Change::InsertPerson(twin).into();
    let error = tenant.commit(deed(&harbour(), 2, vec![change])).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict(_)));
    assert!(!error.to_string().contains("R1"), "{error}");
}

#[tokio::test]
async fn event_that_was_recorded_is_not_recorded_again() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&harbour());
    tenant.commit(deed(&harbour(), 1, vec![])).await.unwrap();
    let error = tenant.commit(deed(&harbour(), 1, vec![])).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict(row) if row.table == Table::Leaf));
}

#[tokio::test]
async fn one_of_many_racing_updates_wins() {
    const RACERS: u64 = 64;
    let folder = Folder::new();
    let tenant = Arc::new(folder.store().for_operator(&harbour()));
    tenant.commit(deed(&harbour(), 0, vec![setting("s", vec![0], 1)])).await.unwrap();
    let race = (1..=RACERS).map(|number| {
        let tenant = Arc::clone(&tenant);
        let value = vec![u8::try_from(number).unwrap()];
        let commit = deed(&harbour(), number, vec![setting("s", value, 2)]);
        tokio::spawn(async move { tenant.commit(commit).await.is_ok().then_some(number) })
    });
    let mut winners = Vec::new();
    for racer in race.collect::<Vec<_>>() {
        winners.extend(racer.await.unwrap());
    }
    let [winner] = winners[..] else { panic!("{winners:?}") };
    let stored = tenant.setting("s").await.unwrap().unwrap();
    assert_eq!((stored.value, stored.version), (vec![u8::try_from(winner).unwrap()], 2));
}

/// Many writers at once, every fourth of them failing: who succeeded is there, who failed is not,
/// and the log has no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_among_many_writers_touch_nobody_else() {
    let many = u64::try_from(BATCH_MAX).unwrap() * 3;
    let folder = Folder::new();
    let tenant = Arc::new(folder.store().for_operator(&harbour()));
    let writers = (0..many).map(|number| {
        let tenant = Arc::clone(&tenant);
        let mut changes = vec![insert_person(&harbour(), number)];
        if number % 4 == 3 {
            changes.push(insert_person(&harbour(), number));
        }
        tokio::spawn(
            async move { (number, tenant.commit(deed(&harbour(), number, changes)).await) },
        )
    });
    let mut sequences = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        let (number, answer) = writer.await.unwrap();
        let is_there =
            tenant.person(samples::person(&harbour(), number).id).await.unwrap().is_some();
        assert_eq!(answer.is_ok(), number % 4 != 3, "{number}");
        assert_eq!(answer.is_ok(), is_there, "{number}");
        sequences.extend(answer.ok().map(|committed| committed.sequence));
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (0..many * 3 / 4).collect::<Vec<_>>());
}

#[tokio::test]
async fn once_is_once() {
    use issuance::once::{Once, OnceScope};
    let folder = Folder::new();
    let store = folder.store();
    let tenant = store.for_operator(&harbour());
    let once = |scope, digest| -> Change {
        issuance::change::Change::Once(Once { scope, digest, expires_at: at(10) }).into()
    };
    let (nonce, proof) = (OnceScope::Nonce, OnceScope::DpopProof);
    for (number, change, accepted) in [
        (1, once(nonce, [1; 32]), true),
        (2, once(nonce, [1; 32]), false),
        (3, once(proof, [1; 32]), true),
        (4, once(nonce, [2; 32]), true),
    ] {
        let answer = tenant.commit(deed(&harbour(), number, vec![change])).await;
        assert_eq!(answer.is_ok(), accepted, "{number}");
    }
    assert_eq!(store.city().forget_used(at(9)).await.unwrap(), 0);
    assert_eq!(store.city().forget_used(at(10)).await.unwrap(), 3);
}

#[tokio::test]
async fn sizes_are_accepted_at_their_limits_and_refused_one_past_them() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&harbour());
    let payload = |bytes: usize| {
        let mut commit = deed(&harbour(), 1_000_000 + u64::try_from(bytes).unwrap(), vec![]);
        commit.entry.detail.as_mut().unwrap().payload = "x".repeat(bytes);
        commit
    };
    let value = |bytes: usize| {
        let number = 2_000_000 + u64::try_from(bytes).unwrap();
        deed(&harbour(), number, vec![setting("s", vec![0; bytes], 1)])
    };
    // Besides the changes there are two steps for the record.
    let rows = |rows: usize| {
        let number = 3_000_000 + u64::try_from(rows).unwrap();
        let one = |n| setting(&format!("{rows}-{n}"), vec![], 1);
        deed(&harbour(), number, (0..rows - 2).map(one).collect())
    };
    for (what, commit, accepted) in [
        ("payload", payload(PAYLOAD_BYTES_MAX), true),
        ("payload", payload(PAYLOAD_BYTES_MAX + 1), false),
        ("setting", value(SETTING_BYTES_MAX), true),
        ("setting", value(SETTING_BYTES_MAX + 1), false),
        ("rows", rows(STEPS_MAX), true),
        ("rows", rows(STEPS_MAX + 1), false),
    ] {
        match tenant.commit(commit).await {
            Ok(_) => assert!(accepted, "{what}"),
            Err(CommitError::TooLarge) => assert!(!accepted, "{what}"),
            Err(other) => panic!("{what}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn people_of_a_busy_day_are_listed_in_the_order_of_their_identifiers() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&harbour());
    for number in [3, 1, 2] {
        tenant.commit(registration(&harbour(), number)).await.unwrap();
    }
    let page = Page { size: PageSize::new(2).unwrap(), after: None };
    let first = tenant.people(&page).await.unwrap();
    let expected = [1, 2].map(|number| samples::person(&harbour(), number));
    assert_eq!(first.items, expected);
}

#[test]
fn database_of_a_newer_program_is_left_alone() {
    let folder = Folder::new();
    let options = Options { folder: folder.path().to_owned(), pages_max: None };
    drop(Sqlite::open(&options).unwrap());
    let path = folder.path().join(store::sqlite::FILE_NAME);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let version = store::sqlite::SCHEMA_VERSION + 1;
    connection.pragma_update(None, "user_version", version).unwrap();
    drop(connection);
    assert!(matches!(
        Sqlite::open(&options),
        Err(OpenError::NewerSchema { found }) if found == version
    ));
}

#[test]
fn files_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _store = crate::folder::open(&folder.path().join("data"));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("data")), 0o700);
    for entry in folder.path().join("data").read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
