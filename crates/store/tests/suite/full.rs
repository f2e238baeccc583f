//! A full disk: one clear error, nothing by half, and on it goes once there is space.
//!
//! The disk is a small tmpfs where mounting is permitted. Everywhere, SQLite's `max_page_count`
//! stands in for it: that reaches the same error by another way.

use std::path::Path;
use std::process::Command;

use store::commit::CommitError;
use store::sqlite::{Options, Sqlite};
use store::store::{Store, TenantStore};

use crate::folder::Folder;
use crate::samples::{audit, harbour, person, registration};

/// Registers people until the first failure; the number of the one who failed.
async fn fill(tenant: &TenantStore, first: u64) -> (u64, CommitError) {
    for number in first..first + 1_000_000 {
        if let Err(error) = tenant.commit(registration(&harbour(), number)).await {
            return (number, error);
        }
    }
    panic!("the disk is never full")
}

async fn check_full(tenant: &TenantStore) -> u64 {
    let (failed, error) = fill(tenant, 0).await;
    assert!(matches!(error, CommitError::Full), "{error:?}");
    assert_eq!(error.to_string(), "commit: the disk is full, nothing was written");
    // Reads go on, and the failed deed has left nothing.
    let present = |number| async move {
        let registered = tenant.person(person(&harbour(), number).id).await.unwrap().is_some();
        let recorded = tenant.event(audit(&harbour(), number).entry.event).await.unwrap().is_some();
        assert_eq!(registered, recorded, "{number}");
        registered
    };
    assert!(present(failed - 1).await);
    assert!(!present(failed).await);
    failed
}

#[tokio::test]
async fn full_database_refuses_writes_and_goes_on_with_more_space() {
    let folder = Folder::new();
    let options = Options { folder: folder.path().to_owned(), pages_max: Some(80) };
    let store = Store::new(Sqlite::open(&options).unwrap());
    let failed = check_full(&store.for_operator(&harbour())).await;
    drop(store);
    let tenant = folder.store().for_operator(&harbour());
    let committed = tenant.commit(registration(&harbour(), failed)).await.unwrap();
    assert_eq!(committed.sequence, failed, "no gap in the log");
}

#[tokio::test]
async fn full_disk_refuses_writes_and_goes_on_once_there_is_space() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(folder.path()) else {
        eprintln!("mounting is not permitted here: only the page limit was tested");
        return;
    };
    let tenant = crate::folder::open(&disk.0.join("data")).for_operator(&harbour());
    tenant.commit(registration(&harbour(), u64::MAX)).await.unwrap();
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let failed = check_full(&tenant).await;
    let (again, _) = fill(&tenant, failed).await;
    assert_eq!(again, failed, "still full");
    std::fs::remove_file(&ballast).unwrap();
    let committed = tenant.commit(registration(&harbour(), failed)).await.unwrap();
    assert_eq!(committed.sequence, failed + 1, "the same store, without being opened again");
}

/// A disk of 4 MiB, unmounted when dropped.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Option<Self> {
        let path = folder.join("disk");
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m,mode=700", "limen-test"])
            .arg(&path)
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The database may still be closing: detach now, vanish when it has.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
