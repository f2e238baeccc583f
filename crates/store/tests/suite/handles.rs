//! Indexes of handles: versions, uniqueness, and what is forgotten with an epoch.

use issuance::change::Change as Issuance;
use issuance::document::Standing;
use issuance::handles::{Draw, HandleIndex, Tap};
use issuance::status_list::StatusList;
use store::commit::{Change, Setting};
use vocabulary::id::ReaderId;

use crate::entities::Clerk;
use crate::folder::Folder;
use crate::samples::{self, at, harbour};

fn list(number: u32, epoch: Option<u32>) -> StatusList {
    StatusList { operator: harbour(), number, capacity: 64, epoch, opened_at: at(0), version: 1 }
}

fn index(number: u32, epoch: u32) -> HandleIndex {
    HandleIndex {
        operator: harbour(),
        pass: samples::pass(&harbour(), 1, 1).id,
        zone: "B".parse().unwrap(),
        epoch,
        status_list: 1,
        status_index: number,
        standing: Standing::Valid,
        given: 16,
        draws: vec![Draw { first: 0, device: [4; 32] }, Draw { first: 10, device: [5; 32] }],
        seen: vec![Tap {
            number: 3,
            taps: 1,
            reader: ReaderId::from_bytes([6; 16]),
            sequence: 1 << 40,
            at: at(-7),
        }],
        version: 1,
    }
}

#[tokio::test]
async fn index_of_handles_comes_back_and_follows_its_versions() {
    let folder = Folder::new();
    let mut clerk = Clerk::with_pass(&folder).await;
    clerk.change(Issuance::StatusList(list(0, None))).await;
    clerk.change(Issuance::StatusList(list(1, Some(20)))).await;
    let mut first = index(4, 20);
    clerk.change(Issuance::HandleIndex(first.clone())).await;
    clerk.conflict(Issuance::HandleIndex(HandleIndex { status_index: 5, ..first.clone() })).await;
    // Another zone with the same index, and the control with an index of its own.
    let zone = HandleIndex { zone: "C".parse().unwrap(), ..first.clone() };
    clerk.conflict(Issuance::HandleIndex(zone.clone())).await;
    let zone = HandleIndex { status_index: 6, ..zone };
    clerk.change(Issuance::HandleIndex(zone.clone())).await;
    (first.given, first.standing, first.version) = (32, Standing::Suspended, 2);
    clerk.change(Issuance::HandleIndex(first.clone())).await;
    clerk.conflict(Issuance::HandleIndex(first.clone())).await;
    let next = index(7, 21);
    clerk.change(Issuance::HandleIndex(next.clone())).await;
    let tenant = &clerk.tenant;
    let found = tenant.handle_index(first.pass, &first.zone, 20).await.unwrap();
    assert_eq!(found.as_ref(), Some(&first));
    assert_eq!(tenant.handle_index(first.pass, &first.zone, 22).await.unwrap(), None);
    let all = tenant.handle_indexes_of_pass(first.pass, 20).await.unwrap();
    assert_eq!(all, [first.clone(), next.clone(), zone]);
    assert_eq!(tenant.handle_indexes_of_pass(first.pass, 21).await.unwrap(), [next]);
    assert_eq!(tenant.handle_indexes_not_valid(1).await.unwrap(), [first]);
    assert_eq!(tenant.handle_indexes_in_list(1).await.unwrap(), 3);
    assert_eq!(tenant.handle_indexes_in_list(0).await.unwrap(), 0);
    assert!(tenant.is_handle_index_taken(1, 4).await.unwrap());
    assert!(!tenant.is_handle_index_taken(1, 5).await.unwrap());
    assert_eq!(tenant.status_lists().await.unwrap(), [list(0, None), list(1, Some(20))]);
    let document = samples::document(&harbour(), 2, 1);
    clerk.change(Issuance::Document(document.clone())).await;
    let tenant = &clerk.tenant;
    assert_eq!(tenant.pass_of_key(&document.key_thumbprint).await.unwrap(), Some(document.pass));
    assert_eq!(tenant.pass_of_key(&[77; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn an_epoch_that_is_over_is_forgotten_with_its_lists() {
    let folder = Folder::new();
    let mut clerk = Clerk::with_pass(&folder).await;
    for (number, epoch) in [(0, None), (1, Some(20)), (2, Some(21))] {
        clerk.change(Issuance::StatusList(list(number, epoch))).await;
        for name in ["", "-cwt", "-jwt"] {
            let name = format!("status-{number}{name}");
            let setting = Setting { name, value: vec![1], version: 1 };
            clerk.change(Change::Setting(setting)).await;
        }
    }
    let (old, new) = (index(4, 20), HandleIndex { status_list: 2, ..index(4, 21) });
    clerk.change(Issuance::HandleIndex(old.clone())).await;
    clerk.change(Issuance::HandleIndex(new.clone())).await;
    let city = folder.store().city();
    assert_eq!(city.forget_handles(20).await.unwrap(), 0);
    let all = clerk.tenant.handle_indexes_of_pass(old.pass, 0).await.unwrap();
    assert_eq!(all.len(), 2, "control: nothing is over yet");
    assert_eq!(city.forget_handles(21).await.unwrap(), 1);
    // A signed list outlives its indexes by one round.
    assert_eq!(clerk.tenant.status_lists().await.unwrap().len(), 3);
    assert_eq!(city.forget_handles(21).await.unwrap(), 0);
    let left = clerk.tenant.status_lists().await.unwrap();
    assert_eq!(left, [list(0, None), list(2, Some(21))]);
    assert_eq!(clerk.tenant.handle_indexes_of_pass(old.pass, 0).await.unwrap(), [new]);
    for (name, is_left) in
        [("status-0", true), ("status-1", false), ("status-1-cwt", false), ("status-2-jwt", true)]
    {
        let setting = clerk.tenant.setting(name).await.unwrap();
        assert_eq!(setting.is_some(), is_left, "{name}");
    }
}

/// A database of the version before gets the new table, and its lists are of documents.
#[tokio::test]
async fn a_database_of_before_is_brought_forward() {
    let folder = Folder::new();
    let mut clerk = Clerk::with_pass(&folder).await;
    clerk.change(Issuance::StatusList(list(0, None))).await;
    let deeds = clerk.deeds;
    drop(clerk);
    let path = folder.path().join(store::sqlite::FILE_NAME);
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "DROP TABLE finding; DROP TABLE handle_index; ALTER TABLE status_list DROP COLUMN epoch; \
             UPDATE product SET terms = replace(terms, '\"handles_max\":40,', ''); \
             PRAGMA user_version = 2;",
        )
        .unwrap();
    drop(connection);
    let mut clerk = Clerk { deeds, ..Clerk::of(&folder) };
    assert_eq!(clerk.tenant.status_lists().await.unwrap(), [list(0, None)]);
    let product = samples::product(&harbour());
    let product = clerk.tenant.product(&product.code).await.unwrap().unwrap();
    assert_eq!(product.terms.handles_max, 32, "what a product says that says nothing");
    clerk.change(Issuance::HandleIndex(index(4, 20))).await;
}
