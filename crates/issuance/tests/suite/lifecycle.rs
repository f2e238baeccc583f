//! Products and passes outside the conversation: limits, permits, and every transition.

use std::time::Duration;

use credential::rights::{PLACES_MAX, ZONES_MAX};
use issuance::change::Change;
use issuance::pass::{
    Carried, IssueRequest, Pass, PassEvent, PassRefusal, PassState, collect_pass, expire_pass,
    issue_pass, resume_pass, revoke_pass, suspend_pass,
};
use issuance::product::{
    BATCH_MAX, DESCRIPTION_BYTES_MAX, DISPLAYS_MAX, DOCUMENT_LIFE_MIN, Display, HANDLES_MAX,
    NAME_BYTES_MAX, PASS_PERIOD_MAX, Product, ProductRefusal, TYPE_BYTES_MAX, Term, Terms,
    create_product, update_product,
};
use policy::action::Action;
use vocabulary::time::Instant;

use crate::city::{City, DAY, NOW, at, person, staff, ticket};

fn pass_in(state: PassState) -> Pass {
    let pass = City::with(ticket()).rows.passes[0].clone();
    let collected_at = (state == PassState::Active).then(|| at(NOW));
    Pass { state, collected_at, ..pass }
}

#[test]
fn every_state_takes_the_events_of_the_table_and_no_other() {
    use PassEvent as E;
    use PassState as S;
    let table = [
        (
            S::Issued,
            [Some(S::Active), Some(S::Suspended), None, Some(S::Revoked), Some(S::Expired)],
        ),
        (
            S::Active,
            [Some(S::Active), Some(S::Suspended), None, Some(S::Revoked), Some(S::Expired)],
        ),
        (S::Suspended, [None, None, Some(S::Active), Some(S::Revoked), Some(S::Expired)]),
        (S::Revoked, [None; 5]),
        (S::Expired, [None; 5]),
    ];
    let events = [E::Collect, E::Suspend, E::Resume, E::Revoke, E::Expire];
    assert_eq!((table.len(), events.len()), (S::ALL.len(), E::ALL.len()));
    for (state, after) in table {
        for (event, expected) in events.into_iter().zip(after) {
            assert_eq!(state.after(event), expected, "{state:?} {event:?}");
        }
    }
}

#[test]
fn deeds_follow_the_table_and_count_the_version_up() {
    for &state in PassState::ALL {
        let pass = pass_in(state);
        let now = at(NOW + 60);
        let changed = |changes: Result<Vec<Change>, PassRefusal>| {
            changes.ok().map(|changes| match &changes[0] {
                Change::Pass(next) => (next.state, next.version, next.changed_at),
                other => panic!("{other:?}"),
            })
        };
        let expect = |event| state.after(event).map(|next| (next, pass.version + 1, now));
        let suspended = suspend_pass(&staff(Action::PassSuspend), &pass, Carried::default(), now);
        assert_eq!(changed(suspended), expect(PassEvent::Suspend), "{state:?}");
        let revoked = revoke_pass(&staff(Action::PassRevoke), &pass, Carried::default(), now);
        assert_eq!(changed(revoked), expect(PassEvent::Revoke), "{state:?}");
        let collected = collect_pass(&pass, now).map(|pass| vec![Change::Pass(pass)]);
        assert_eq!(changed(collected), expect(PassEvent::Collect), "{state:?}");
    }
}

#[test]
fn suspended_pass_resumes_to_what_it_was() {
    for state in [PassState::Issued, PassState::Active] {
        let pass = pass_in(state);
        let suspended =
            suspend_pass(&staff(Action::PassSuspend), &pass, Carried::default(), at(NOW)).unwrap();
        let Change::Pass(suspended) = &suspended[0] else { panic!() };
        let resumed =
            resume_pass(&staff(Action::PassResume), suspended, Carried::default(), at(NOW))
                .unwrap();
        let Change::Pass(resumed) = &resumed[0] else { panic!() };
        assert_eq!(resumed.state, state);
    }
}

#[test]
fn date_of_a_pass_ends_it() {
    let pass = pass_in(PassState::Active);
    let end = NOW + 30 * DAY;
    assert_eq!(expire_pass(&pass, at(end - 1)), Err(PassRefusal::NotYet));
    assert!(expire_pass(&pass, at(end)).is_ok());
    assert!(collect_pass(&pass, at(end - 1)).is_ok());
    assert_eq!(collect_pass(&pass, at(end)), Err(PassRefusal::Expired));
    let resumed = resume_pass(
        &staff(Action::PassResume),
        &pass_in(PassState::Suspended),
        Carried::default(),
        at(end),
    );
    assert_eq!(resumed, Err(PassRefusal::Expired));
    // What is over may still be revoked: its documents may have a longer word for it than its date.
    assert!(revoke_pass(&staff(Action::PassRevoke), &pass, Carried::default(), at(end)).is_ok());
    assert!(expire_pass(&pass_in(PassState::Revoked), at(end)).is_err());
}

#[test]
fn deeds_need_a_permit_for_themselves() {
    let pass = pass_in(PassState::Active);
    let wrong = staff(Action::PassShow);
    let code = |outcome: Result<Vec<Change>, PassRefusal>| outcome.err().map(|no| no.code());
    assert_eq!(
        code(suspend_pass(&wrong, &pass, Carried::default(), at(NOW))),
        Some("wrong-permit")
    );
    assert_eq!(code(resume_pass(&wrong, &pass, Carried::default(), at(NOW))), Some("wrong-permit"));
    assert_eq!(code(revoke_pass(&wrong, &pass, Carried::default(), at(NOW))), Some("wrong-permit"));
    let elsewhere = Pass { operator: "other".parse().unwrap(), ..pass.clone() };
    let permit = staff(Action::PassRevoke);
    assert_eq!(
        code(revoke_pass(&permit, &elsewhere, Carried::default(), at(NOW))),
        Some("wrong-permit")
    );
    assert_eq!(code(revoke_pass(&permit, &pass, Carried::default(), at(NOW))), None);
}

#[test]
fn period_of_a_pass_is_one_of_its_product() {
    let product = City::with(ticket()).rows.products[0].clone();
    let check = |from: i64, until: i64, expected: Option<&str>| {
        let (valid_from, valid_until) = (at(from), at(until));
        let request = IssueRequest { person: person("harbour"), valid_from, valid_until };
        let issued = issue_pass(&staff(Action::PassIssue), &product, &request, at(NOW), [1; 10]);
        assert_eq!(issued.err().map(|no| no.code()), expected, "{from} to {until}");
    };
    check(NOW, NOW + 31 * DAY, None);
    check(NOW, NOW + 31 * DAY + 1, Some("pass-period-too-long"));
    check(NOW + 100 * DAY, NOW + 131 * DAY, None);
    check(NOW, NOW, Some("pass-period"));
    check(NOW + 1, NOW, Some("pass-period"));
    check(NOW - DAY, NOW, Some("pass-period"));
    check(NOW - DAY, NOW + 1, None);
    let last = Instant::parse_rfc3339("9999-12-31T23:59:59Z").unwrap().unix_seconds();
    check(last - DAY, last, None);
    check(last - DAY, last + 1, Some("pass-period"));
}

#[test]
fn nobody_gets_a_pass_of_another_operator_than_the_one_that_registered_them() {
    let product = City::with(ticket()).rows.products[0].clone();
    let elsewhere = Product { operator: "other".parse().unwrap(), ..product.clone() };
    let check = |whose: &str, product: &Product, expected: Option<&str>| {
        let (valid_from, valid_until) = (at(NOW), at(NOW + DAY));
        let request = IssueRequest { person: person(whose), valid_from, valid_until };
        let issued = issue_pass(&staff(Action::PassIssue), product, &request, at(NOW), [1; 10]);
        assert_eq!(issued.err().map(|no| no.code()), expected, "{whose}");
    };
    check("harbour", &product, None);
    check("other", &product, Some("wrong-permit"));
    check("harbour", &elsewhere, Some("wrong-permit"));
    check("other", &elsewhere, Some("wrong-permit"));
}

fn terms_check(edit: impl Fn(&mut Terms), expected: Option<Term>) {
    let mut terms = ticket();
    edit(&mut terms);
    let code = "other".parse().unwrap();
    let created = create_product(&staff(Action::ProductAdd), None, code, terms, at(NOW));
    assert_eq!(created.err(), expected.map(ProductRefusal::Terms));
}

fn display(language: &str, name: &str) -> Display {
    Display { language: language.into(), name: name.into(), description: String::new() }
}

#[test]
fn displays_hold_to_their_limits() {
    let bad = Some(Term::Display);
    let named = |name: String| move |t: &mut Terms| t.display = vec![display("en", &name)];
    let described = |text: String| move |t: &mut Terms| t.display[0].description.clone_from(&text);
    let many = |count: usize| {
        move |t: &mut Terms| {
            t.display = (0..count).map(|n| display(&format!("en-x-{n}"), "Name")).collect();
        }
    };
    terms_check(many(DISPLAYS_MAX), None);
    terms_check(many(DISPLAYS_MAX + 1), bad);
    terms_check(many(0), bad);
    terms_check(named("a".repeat(NAME_BYTES_MAX)), None);
    terms_check(named("a".repeat(NAME_BYTES_MAX + 1)), bad);
    terms_check(named("  ".into()), bad);
    terms_check(named("a\nb".into()), bad);
    terms_check(described("a".repeat(DESCRIPTION_BYTES_MAX)), None);
    terms_check(described("a".repeat(DESCRIPTION_BYTES_MAX + 1)), bad);
    terms_check(|t| t.display[1].language = "en".into(), bad);
    terms_check(|t| t.display[1].language = "not a tag".into(), bad);
}

#[test]
fn terms_hold_to_their_limits() {
    let second = Duration::from_secs(1);
    let zones = |count: usize| {
        move |t: &mut Terms| {
            t.rights.zones = (0..count).map(|n| format!("Z{n}").parse().unwrap()).collect();
        }
    };
    let places = |count: usize| {
        move |t: &mut Terms| {
            t.rights.places = (0..count).map(|n| format!("p{n}").parse().unwrap()).collect();
        }
    };
    terms_check(|t| t.batch_max = BATCH_MAX, None);
    terms_check(|t| t.batch_max = BATCH_MAX + 1, Some(Term::Batch));
    terms_check(|t| t.batch_max = 0, Some(Term::Batch));
    terms_check(|t| t.handles_max = 0, None);
    terms_check(|t| t.handles_max = HANDLES_MAX, None);
    terms_check(|t| t.handles_max = HANDLES_MAX + 1, Some(Term::Handles));
    terms_check(|t| t.pass_period_max = PASS_PERIOD_MAX, None);
    terms_check(|t| t.pass_period_max = PASS_PERIOD_MAX + second, Some(Term::PassPeriod));
    terms_check(|t| t.document_life = DOCUMENT_LIFE_MIN, None);
    terms_check(|t| t.document_life = DOCUMENT_LIFE_MIN - second, Some(Term::DocumentLife));
    terms_check(|t| t.document_life = t.pass_period_max, None);
    terms_check(|t| t.document_life = t.pass_period_max + second, Some(Term::DocumentLife));
    terms_check(|t| t.doc_type = "a".repeat(TYPE_BYTES_MAX), None);
    terms_check(|t| t.doc_type = "a".repeat(TYPE_BYTES_MAX + 1), Some(Term::Type));
    terms_check(|t| t.vct = String::new(), Some(Term::Type));
    terms_check(|t| t.formats = vec![], Some(Term::Formats));
    terms_check(|t| t.formats.push(t.formats[0]), Some(Term::Formats));
    terms_check(zones(ZONES_MAX), None);
    terms_check(zones(ZONES_MAX + 1), Some(Term::Rights));
    terms_check(places(PLACES_MAX), None);
    terms_check(places(PLACES_MAX + 1), Some(Term::Rights));
    terms_check(|t| t.rights.uses_max = Some(1), None);
    terms_check(|t| t.rights.uses_max = Some(0), Some(Term::Uses));
}

#[test]
fn product_is_created_once_and_updated_version_by_version() {
    let mut city = City::with(ticket());
    let permit = staff(Action::ProductAdd);
    let product = city.rows.products[0].clone();
    let taken = create_product(&permit, Some(&product), product.code.clone(), ticket(), at(NOW));
    assert_eq!(taken, Err(ProductRefusal::Exists));
    let update = |version_of| update_product(&permit, version_of, ticket(), at(NOW + 1)).unwrap();
    city.rows.commit(update(&product)).unwrap();
    assert_eq!(city.rows.products[0].version, 2);
    assert!(city.rows.commit(update(&product)).is_err(), "another update came first");
    let wrong = staff(Action::ProductShow);
    let refused = update_product(&wrong, &product, ticket(), at(NOW)).unwrap_err();
    assert_eq!(refused.code(), "wrong-permit");
}
