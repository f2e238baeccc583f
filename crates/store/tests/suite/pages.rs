//! Pages neither skip nor repeat, at their limit and one past it.

use store::page::{Listing, PAGE_SIZE_MAX, Page, PageSize};
use store::store::TenantStore;
use vocabulary::id::PersonId;

use crate::folder::Folder;
use crate::samples::{deed, harbour, insert_person};

async fn people(tenant: &TenantStore, size: u16, after: Option<String>) -> Listing<PersonId> {
    let after = after.map(|text| text.parse().unwrap());
    let page = Page { size: PageSize::new(size).unwrap(), after };
    let Listing { items, next } = tenant.people(&page).await.unwrap();
    Listing { items: items.into_iter().map(|person| person.id).collect(), next }
}

async fn tenant_with(folder: &Folder, count: u64) -> TenantStore {
    let tenant = folder.store().for_operator(&harbour());
    let changes = (0..count).map(|number| insert_person(&harbour(), number)).collect();
    tenant.commit(deed(&harbour(), 0, changes)).await.unwrap();
    tenant
}

#[tokio::test]
async fn list_of_exactly_one_page_has_no_next() {
    for (count, items, more) in [
        (u64::from(PAGE_SIZE_MAX), PAGE_SIZE_MAX, false),
        (u64::from(PAGE_SIZE_MAX) + 1, PAGE_SIZE_MAX, true),
        (0, 0, false),
    ] {
        let folder = Folder::new();
        let tenant = tenant_with(&folder, count).await;
        let page = people(&tenant, PAGE_SIZE_MAX, None).await;
        assert_eq!((page.items.len(), page.next.is_some()), (usize::from(items), more), "{count}");
    }
}

#[tokio::test]
async fn pages_together_are_the_whole_list_while_others_write() {
    let folder = Folder::new();
    let tenant = tenant_with(&folder, 10).await;
    let mut seen = Vec::new();
    let mut after = None;
    for round in 0_u64.. {
        let page = people(&tenant, 3, after).await;
        seen.extend(page.items);
        // A person who sorts before all that is still to come.
        let early = insert_person(&harbour(), 1_000_000 + round);
        tenant.commit(deed(&harbour(), 10 + round, vec![early])).await.unwrap();
        match page.next {
            Some(cursor) if round < 3 => after = Some(cursor.to_string()),
            _ => break,
        }
    }
    let expected: Vec<_> =
        (0..10).map(|n| PersonId::from_bytes(crate::samples::bytes(n))).collect();
    assert_eq!(seen[..10], expected);
}

#[tokio::test]
async fn events_come_in_the_order_of_the_log() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&harbour());
    for number in 0..5 {
        tenant.commit(deed(&harbour(), 100 - number, vec![])).await.unwrap();
    }
    let size = PageSize::new(3).unwrap();
    let first = tenant.events(&Page { size, after: None }).await.unwrap();
    let second = tenant.events(&Page { size, after: first.next.clone() }).await.unwrap();
    let sequences: Vec<_> =
        first.items.iter().chain(&second.items).map(|event| event.sequence).collect();
    assert_eq!(sequences, [0, 1, 2, 3, 4]);
    assert_eq!(second.next, None);
}
