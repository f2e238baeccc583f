//! Every entity comes back as it was written, and follows its versions.

use fleet::change::Change as Fleet;
use fleet::journal::{StoredRecord, Upload};
use fleet::reader::{JournalHead, Reader, ReaderState};
use fleet::taps::TapSettings;
use identity::change::Change as Identity;
use issuance::change::Change as Issuance;
use issuance::document::Standing;
use issuance::offer::OfferState;
use issuance::pass::PassState;
use issuance::product::RightsTemplate;
use issuance::status_list::StatusList;
use policy::place::{Grant, Place};
use reader::table::ZoneClass;
use reader::taps::{Taps, TimeBound};
use store::commit::{Change, CommitError};
use store::page::Page;
use store::store::TenantStore;

use crate::folder::Folder;
use crate::samples::{self, at, deed, harbour, insert_person, island};

/// Commits deeds one after another.
pub(crate) struct Clerk {
    pub(crate) tenant: TenantStore,
    pub(crate) deeds: u64,
}

impl Clerk {
    pub(crate) fn of(folder: &Folder) -> Self {
        Self { tenant: folder.store().for_operator(&harbour()), deeds: 0 }
    }

    async fn try_change(&mut self, change: impl Into<Change>) -> Result<(), CommitError> {
        self.deeds += 1;
        let commit = deed(&harbour(), self.deeds, vec![change.into()]);
        self.tenant.commit(commit).await.map(drop)
    }

    pub(crate) async fn change(&mut self, change: impl Into<Change>) {
        self.try_change(change).await.unwrap();
    }

    /// The change is refused because of its version, or because its key is taken.
    pub(crate) async fn conflict(&mut self, change: impl Into<Change>) {
        let answer = self.try_change(change).await;
        assert!(matches!(answer, Err(CommitError::Conflict(_))), "{answer:?}");
    }

    /// With a person, a product and a pass, all numbered 1.
    pub(crate) async fn with_pass(folder: &Folder) -> Self {
        let mut clerk = Self::of(folder);
        clerk.change(insert_person(&harbour(), 1)).await;
        clerk.change(Issuance::Product(samples::product(&harbour()))).await;
        clerk.change(Issuance::Pass(samples::pass(&harbour(), 1, 1))).await;
        clerk
    }
}

#[tokio::test]
async fn person_without_contact_and_reference_comes_back() {
    let folder = Folder::new();
    let mut clerk = Clerk::of(&folder);
    let mut bare = samples::person(&harbour(), 1);
    (bare.contact, bare.reference) = (None, None);
    clerk.change(Identity::InsertPerson(bare.clone())).await;
    let mut second = samples::person(&harbour(), 2);
    second.reference = None;
    clerk.change(Identity::InsertPerson(second)).await;
    assert_eq!(clerk.tenant.person(bare.id).await.unwrap(), Some(bare));
}

#[tokio::test]
async fn token_is_revoked_once() {
    let folder = Folder::new();
    let mut clerk = Clerk::of(&folder);
    let mut token = samples::token(&harbour(), 1);
    clerk.change(Identity::InsertToken(token.clone())).await;
    clerk.conflict(Identity::InsertToken(token.clone())).await;
    assert_eq!(clerk.tenant.token(token.id).await.unwrap().as_ref(), Some(&token));
    assert_eq!(clerk.tenant.tokens_in_force(at(999)).await.unwrap(), 1);
    assert_eq!(clerk.tenant.tokens_in_force(at(1000)).await.unwrap(), 0);
    (token.revoked_at, token.version) = (Some(at(5)), 2);
    clerk.change(Identity::UpdateToken(token.clone())).await;
    clerk.conflict(Identity::UpdateToken(token.clone())).await;
    assert_eq!(clerk.tenant.tokens_in_force(at(6)).await.unwrap(), 0);
    assert_eq!(clerk.tenant.tokens(&Page::FIRST).await.unwrap().items, [token]);
}

#[tokio::test]
async fn settings_of_taps_follow_their_versions() {
    let folder = Folder::new();
    let mut clerk = Clerk::of(&folder);
    assert_eq!(clerk.tenant.taps().await.unwrap(), None);
    let first = TapSettings { taps: Taps::default(), version: 1 };
    let mut second = TapSettings { version: 2, ..first };
    second.taps.normal.bound = TimeBound::of_ms(600, 2_000);
    second.taps.normal.stronger_per_mille = 1_000;
    second.taps.low.least = second.taps.high.least;
    clerk.conflict(Fleet::SetTaps(second)).await;
    clerk.change(Fleet::SetTaps(first)).await;
    clerk.conflict(Fleet::SetTaps(first)).await;
    assert_eq!(clerk.tenant.taps().await.unwrap(), Some(first));
    clerk.change(Fleet::SetTaps(second)).await;
    clerk.conflict(Fleet::SetTaps(second)).await;
    assert_eq!(clerk.tenant.taps().await.unwrap(), Some(second));
}

#[tokio::test]
async fn product_keeps_its_versions() {
    let folder = Folder::new();
    let mut clerk = Clerk::of(&folder);
    let first = samples::product(&harbour());
    let mut second = first.clone();
    second.version = 2;
    second.terms.rights = RightsTemplate::default();
    clerk.conflict(Issuance::Product(second.clone())).await;
    clerk.change(Issuance::Product(first.clone())).await;
    clerk.conflict(Issuance::Product(first.clone())).await;
    clerk.change(Issuance::Product(second.clone())).await;
    clerk.conflict(Issuance::Product(second.clone())).await;
    let tenant = &clerk.tenant;
    assert_eq!(tenant.product(&first.code).await.unwrap().as_ref(), Some(&second));
    assert_eq!(tenant.product_version(&first.code, 1).await.unwrap().as_ref(), Some(&first));
    assert_eq!(tenant.product_version(&first.code, 3).await.unwrap(), None);
    assert_eq!(tenant.products(&Page::FIRST).await.unwrap().items, [second]);
}

#[tokio::test]
async fn pass_offer_and_grant_follow_their_versions() {
    let folder = Folder::new();
    let mut clerk = Clerk::with_pass(&folder).await;
    let mut pass = samples::pass(&harbour(), 1, 1);
    let mut offer = samples::offer(&harbour(), 1, 1);
    let mut grant = samples::grant(&harbour(), 1, 1);
    clerk.change(Issuance::Offer(offer.clone())).await;
    clerk.change(Issuance::Grant(grant.clone())).await;
    assert_eq!(clerk.tenant.offer_by_code(&[1; 32]).await.unwrap().as_ref(), Some(&offer));
    assert_eq!(clerk.tenant.grant(&[3; 32]).await.unwrap().as_ref(), Some(&grant));
    (pass.state, pass.collected_at, pass.version) = (PassState::Active, Some(at(8)), 2);
    (offer.state, offer.tries_left, offer.version) = (OfferState::Redeemed, 4, 2);
    offer.transaction_code_digest = None;
    (grant.key_thumbprint, grant.version) = (None, 2);
    grant.remaining.pop();
    for change in [
        Issuance::Pass(pass.clone()),
        Issuance::Offer(offer.clone()),
        Issuance::Grant(grant.clone()),
    ] {
        clerk.change(change.clone()).await;
        clerk.conflict(change).await;
    }
    let tenant = &clerk.tenant;
    assert_eq!(tenant.pass(pass.id).await.unwrap().as_ref(), Some(&pass));
    assert_eq!(tenant.passes(&Page::FIRST).await.unwrap().items, [pass.clone()]);
    let of_person = tenant.passes_of_person(pass.person, &Page::FIRST).await.unwrap();
    assert_eq!(of_person.items, [pass.clone()]);
    let expire =
        |now| async move { tenant.passes_to_expire(now, &Page::FIRST).await.unwrap().items };
    assert_eq!(expire(at(86_399)).await, []);
    assert_eq!(expire(at(86_400)).await, [pass.clone()]);
    assert_eq!(tenant.offer(offer.id).await.unwrap().as_ref(), Some(&offer));
    assert_eq!(tenant.offers_of_pass(pass.id).await.unwrap(), [offer]);
    assert_eq!(tenant.grant(&[3; 32]).await.unwrap(), Some(grant));
}

#[tokio::test]
async fn documents_share_neither_index_nor_key() {
    let folder = Folder::new();
    let mut clerk = Clerk::with_pass(&folder).await;
    let list = StatusList {
        operator: harbour(),
        number: 0,
        capacity: 64,
        epoch: None,
        opened_at: at(0),
        version: 1,
    };
    clerk.change(Issuance::StatusList(list.clone())).await;
    let mut first = samples::document(&harbour(), 1, 1);
    clerk.change(Issuance::Document(first.clone())).await;
    let mut same_index = samples::document(&harbour(), 2, 1);
    same_index.status_index = 1;
    clerk.conflict(Issuance::Document(same_index)).await;
    let mut same_key = samples::document(&harbour(), 2, 1);
    same_key.key_thumbprint = first.key_thumbprint;
    clerk.conflict(Issuance::Document(same_key)).await;
    let second = samples::document(&harbour(), 2, 1);
    clerk.change(Issuance::Document(second.clone())).await;
    (first.standing, first.version) = (Standing::Suspended, 2);
    clerk.change(Issuance::Document(first.clone())).await;
    clerk.conflict(Issuance::Document(first.clone())).await;
    let tenant = &clerk.tenant;
    assert_eq!(
        tenant.documents_of_pass(first.pass).await.unwrap(),
        [first.clone(), second.clone()]
    );
    assert_eq!(tenant.documents_by_notification(&[6; 32]).await.unwrap().len(), 2);
    assert_eq!(tenant.documents_not_valid(0).await.unwrap(), [first.clone()]);
    assert_eq!(tenant.documents_in_list(0).await.unwrap(), 2);
    assert!(tenant.is_index_taken(0, 2).await.unwrap());
    assert!(!tenant.is_index_taken(0, 3).await.unwrap());
    assert!(tenant.is_key_used(&[2; 32]).await.unwrap());
    assert!(!tenant.is_key_used(&[3; 32]).await.unwrap());
    assert_eq!(tenant.status_list(0).await.unwrap().as_ref(), Some(&list));
    assert_eq!(tenant.status_lists().await.unwrap(), [list]);
}

#[tokio::test]
async fn reader_is_enrolled_by_one_code_and_hands_in_its_journal() {
    let folder = Folder::new();
    let mut clerk = Clerk::of(&folder);
    let mut enrolment = samples::enrolment(&harbour(), 1);
    clerk.change(Fleet::InsertEnrolment(enrolment.clone())).await;
    assert_eq!(clerk.tenant.enrolments_waiting(at(99)).await.unwrap(), 1);
    assert_eq!(clerk.tenant.enrolments_waiting(at(100)).await.unwrap(), 0);
    let reader = samples::reader(&harbour(), 1);
    (enrolment.used_by, enrolment.version) = (Some(reader.id), 2);
    let enrol = Fleet::EnrolReader { enrolment: enrolment.clone(), reader: reader.clone() };
    clerk.change(enrol.clone()).await;
    clerk.conflict(enrol).await;
    assert_eq!(clerk.tenant.enrolment(enrolment.id).await.unwrap(), Some(enrolment));
    assert_eq!(clerk.tenant.enrolments_waiting(at(0)).await.unwrap(), 0);

    let record = |sequence| StoredRecord { sequence, at: at(5), hash: [1; 32], bytes: vec![1, 2] };
    let records = vec![record(0), record(1)];
    let journal = JournalHead { next: 2, hash: [1; 32] };
    let reader = Reader { journal, watermark: None, version: 2, ..reader };
    let upload = Upload {
        reader: reader.id,
        operator: harbour(),
        records: records.clone(),
        watermark: None,
        received_at: at(9),
    };
    let append = Fleet::AppendJournal { reader: reader.clone(), upload };
    clerk.change(append.clone()).await;
    clerk.conflict(append).await;
    let retired = Reader { state: ReaderState::Retired { at: at(10) }, version: 3, ..reader };
    clerk.change(Fleet::UpdateReader(retired.clone())).await;
    let tenant = &clerk.tenant;
    assert_eq!(tenant.journal(retired.id, &Page::FIRST).await.unwrap().items, records);
    assert_eq!(tenant.journal_record(retired.id, 1).await.unwrap(), Some(record(1)));
    assert_eq!(tenant.journal_record(retired.id, u64::MAX).await.unwrap(), None);
    assert_eq!(tenant.reader(retired.id).await.unwrap().as_ref(), Some(&retired));
    assert_eq!(tenant.readers(&Page::FIRST).await.unwrap().items, [retired]);
}

#[tokio::test]
async fn number_that_does_not_fit_its_column_is_refused() {
    let folder = Folder::new();
    let mut clerk = Clerk::of(&folder);
    let reader = Reader { bundle_epoch: u64::MAX, ..samples::reader(&harbour(), 1) };
    let answer = clerk.try_change(Fleet::UpdateReader(reader)).await;
    assert!(matches!(answer, Err(CommitError::Range(_))));
}

#[tokio::test]
async fn places_and_grants_come_back_and_a_second_grant_changes_nothing() {
    let folder = Folder::new();
    let mut clerk = Clerk::of(&folder);
    let place = Place {
        code: "harbour/hall".parse().unwrap(),
        operator: harbour(),
        name: "Hall".parse().unwrap(),
        zone: Some("B".parse().unwrap()),
        class: Some(ZoneClass::High),
        added_at: at(1),
        version: 1,
    };
    let bare =
        Place { code: "harbour/quay".parse().unwrap(), zone: None, class: None, ..place.clone() };
    let grant = Grant {
        operator: harbour(),
        place: place.code.clone(),
        product_operator: island(),
        product: "day-ticket".parse().unwrap(),
        class: Some("first".parse().unwrap()),
        granted_at: at(2),
    };
    let without_class = Grant { class: None, ..grant.clone() };
    let nowhere = Grant { place: "harbour/nowhere".parse().unwrap(), ..grant.clone() };
    clerk.change(Fleet::InsertPlace(place.clone())).await;
    clerk.change(Fleet::InsertPlace(bare.clone())).await;
    clerk.conflict(Fleet::InsertPlace(place.clone())).await;
    clerk.change(Fleet::InsertGrant(grant.clone())).await;
    clerk.change(Fleet::InsertGrant(without_class.clone())).await;
    clerk.change(Fleet::InsertGrant(Grant { granted_at: at(3), ..grant.clone() })).await;
    let answer = clerk.try_change(Fleet::InsertGrant(nowhere)).await;
    assert!(matches!(answer, Err(CommitError::Dangling(_))));
    let tenant = &clerk.tenant;
    assert_eq!(tenant.places(&Page::FIRST).await.unwrap().items, [place.clone(), bare]);
    assert_eq!(tenant.place(&place.code).await.unwrap(), Some(place));
    assert_eq!(tenant.place_grants().await.unwrap(), [without_class, grant]);
}

/// Two who decided on the same tree cannot both be right: the writer looks again.
#[tokio::test]
async fn place_inside_or_around_another_operators_does_not_go_in() {
    let place = |code: &str, operator: &str| Place {
        code: code.parse().unwrap(),
        operator: operator.parse().unwrap(),
        name: "Place".parse().unwrap(),
        zone: None,
        class: None,
        added_at: at(0),
        version: 1,
    };
    for (first, second, goes) in [
        (("x", "harbour"), ("x/y", "island"), false),
        (("x/y", "harbour"), ("x", "island"), false),
        (("a/b/c/d/e/f/g", "harbour"), ("a/b/c/d/e/f/g/h", "island"), false),
        (("x", "harbour"), ("x/y/z", "city"), false),
        (("x", "harbour"), ("x/y", "harbour"), true),
        (("x", "city"), ("x/y", "island"), true),
        (("x/y", "harbour"), ("x", "city"), true),
        (("x", "harbour"), ("xy", "island"), true),
        (("x-y", "harbour"), ("x", "island"), true),
        (("x", "harbour"), ("x-y/z", "island"), true),
    ] {
        let folder = Folder::new();
        let mut answers = Vec::new();
        for (n, (code, operator)) in [(1, first), (2, second)] {
            let place = place(code, operator);
            let tenant = folder.store().for_operator(&place.operator);
            let deed =
                samples::deed(&place.operator, n, vec![Fleet::InsertPlace(place.clone()).into()]);
            answers.push(tenant.commit(deed).await);
        }
        assert!(answers[0].is_ok(), "{first:?}");
        match &answers[1] {
            Ok(_) => assert!(goes, "{first:?} {second:?}"),
            Err(CommitError::Conflict(_)) => assert!(!goes, "{first:?} {second:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}
