//! Nothing of one operator is seen or changed through the store of another.

use policy::place::{Grant, Place};
use store::commit::{Change, CommitError};
use store::page::Page;

use crate::folder::Folder;
use crate::samples::{self, at, deed, harbour, island, registration};

/// A change of every kind that names an operator, for `harbour`.
fn changes_of_harbour() -> Vec<(&'static str, Change)> {
    use fleet::change::Change as Fleet;
    use identity::change::Change as Identity;
    use issuance::change::Change as Issuance;
    let h = &harbour();
    let place = Place {
        code: "harbour".parse().unwrap(),
        operator: harbour(),
        name: "Harbour".parse().unwrap(),
        zone: None,
        class: None,
        added_at: at(0),
        version: 1,
    };
    let grant = Grant {
        operator: harbour(),
        place: "harbour".parse().unwrap(),
        product_operator: island(),
        product: "day-ticket".parse().unwrap(),
        class: None,
        granted_at: at(0),
    };
    vec![
        ("person", Identity::InsertPerson(samples::person(h, 1)).into()),
        ("token", Identity::InsertToken(samples::token(h, 1)).into()),
        ("token update", Identity::UpdateToken(samples::token(h, 1)).into()),
        ("product", Issuance::Product(samples::product(h)).into()),
        ("pass", Issuance::Pass(samples::pass(h, 1, 1)).into()),
        ("offer", Issuance::Offer(samples::offer(h, 1, 1)).into()),
        ("grant", Issuance::Grant(samples::grant(h, 1, 1)).into()),
        ("document", Issuance::Document(samples::document(h, 1, 1)).into()),
        ("place", Fleet::InsertPlace(place).into()),
        ("place grant", Fleet::InsertGrant(grant).into()),
        ("enrolment", Fleet::InsertEnrolment(samples::enrolment(h, 1)).into()),
        ("enrolment update", Fleet::UpdateEnrolment(samples::enrolment(h, 1)).into()),
        ("reader update", Fleet::UpdateReader(samples::reader(h, 1)).into()),
    ]
}

#[tokio::test]
async fn changes_of_one_operator_are_refused_by_the_store_of_another() {
    let folder = Folder::new();
    let tenant = folder.store().for_operator(&island());
    for (what, change) in changes_of_harbour() {
        let answer = tenant.commit(deed(&island(), 1, vec![change])).await;
        assert!(matches!(answer, Err(CommitError::OtherTenant)), "{what}: {answer:?}");
    }
    let answer = tenant.commit(deed(&harbour(), 1, vec![])).await;
    assert!(matches!(answer, Err(CommitError::OtherTenant)), "the record of another operator");
}

#[tokio::test]
async fn rows_of_one_operator_are_not_seen_by_another() {
    let folder = Folder::new();
    let store = folder.store();
    let (harbour_store, island_store) =
        (store.for_operator(&harbour()), store.for_operator(&island()));
    harbour_store.commit(registration(&harbour(), 1)).await.unwrap();
    let token = samples::token(&harbour(), 1);
    let change = identity::change::Change::InsertToken(token.clone()).into();
    harbour_store.commit(deed(&harbour(), 2, vec![change])).await.unwrap();
    let person = samples::person(&harbour(), 1).id;
    let event = samples::audit(&harbour(), 1).entry.event;
    for (tenant, sees) in [(&harbour_store, true), (&island_store, false)] {
        assert_eq!(tenant.person(person).await.unwrap().is_some(), sees);
        assert_eq!(tenant.person_by_reference("R1").await.unwrap().is_some(), sees);
        assert_eq!(tenant.people(&Page::FIRST).await.unwrap().items.is_empty(), !sees);
        assert_eq!(tenant.token(token.id).await.unwrap().is_some(), sees);
        assert_eq!(tenant.tokens(&Page::FIRST).await.unwrap().items.is_empty(), !sees);
        assert_eq!(tenant.tokens_in_force(at(0)).await.unwrap(), usize::from(sees));
        assert_eq!(tenant.event(event).await.unwrap().is_some(), sees);
        assert_eq!(tenant.events(&Page::FIRST).await.unwrap().items.is_empty(), !sees);
    }
    assert_eq!(store.city().token(token.id).await.unwrap(), Some(token));
}

/// The same identifiers in two tenants are two rows; updating one leaves the other.
#[tokio::test]
async fn same_identifiers_in_two_tenants_do_not_meet() {
    let folder = Folder::new();
    let store = folder.store();
    for operator in [harbour(), island()] {
        let number = if operator == harbour() { 1 } else { 2 };
        let change = identity::change::Change::InsertPerson(samples::person(&operator, 7)).into();
        let tenant = store.for_operator(&operator);
        tenant.commit(deed(&operator, number, vec![change])).await.unwrap();
        let people = tenant.people(&Page::FIRST).await.unwrap().items;
        assert_eq!(people, [samples::person(&operator, 7)]);
    }
}

/// A pass cannot name the person of another operator, even with the right identifier.
#[tokio::test]
async fn references_do_not_reach_into_another_tenant() {
    let folder = Folder::new();
    let store = folder.store();
    store.for_operator(&harbour()).commit(registration(&harbour(), 1)).await.unwrap();
    let island_store = store.for_operator(&island());
    let product = issuance::change::Change::Product(samples::product(&island())).into();
    island_store.commit(deed(&island(), 2, vec![product])).await.unwrap();
    let pass = || issuance::change::Change::Pass(samples::pass(&island(), 1, 1)).into();
    let answer = island_store.commit(deed(&island(), 3, vec![pass()])).await;
    assert!(matches!(answer, Err(CommitError::Dangling(_))));
    let own = identity::change::Change::InsertPerson(samples::person(&island(), 1)).into();
    island_store.commit(deed(&island(), 4, vec![own, pass()])).await.unwrap();
}

#[tokio::test]
async fn only_the_city_registers_operators() {
    let folder = Folder::new();
    let store = folder.store();
    let operator = identity::operator::Operator {
        code: harbour(),
        name: "Harbour Transit".parse().unwrap(),
        registered_at: at(0),
        version: 1,
    };
    let register = || identity::change::Change::InsertOperator(operator.clone()).into();
    let answer = store.for_operator(&harbour()).commit(deed(&harbour(), 1, vec![register()])).await;
    assert!(matches!(answer, Err(CommitError::NotTheCity)));
    let city = policy::actor::CITY.parse().unwrap();
    store.for_operator(&city).commit(deed(&city, 1, vec![register()])).await.unwrap();
    assert_eq!(store.city().operator(&harbour()).await.unwrap(), Some(operator.clone()));
    let listed = store.city().operators(&Page::FIRST).await.unwrap();
    assert_eq!(listed.items, [operator]);
}
