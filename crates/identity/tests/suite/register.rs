//! Operators and people: who is registered, who is refused, and what debug output keeps to itself.

use identity::change::Change;
use identity::operator::{NewOperator, Operator, register_operator};
use identity::person::{
    CONTACT_BYTES_MAX, NAME_BYTES_MAX, NewPerson, Person, REFERENCE_BYTES_MAX, register_person,
};
use identity::refusal::Refusal;
use policy::action::Action;
use policy::actor::CITY;
use vocabulary::text::Personal;

use crate::{NOW, operator, permit};

fn harbour() -> NewOperator {
    NewOperator { code: operator("harbour"), name: "Harbour Transit".parse().unwrap() }
}

fn ada() -> NewPerson {
    NewPerson {
        name: "Ada Lovelace".parse().unwrap(),
        contact: Some("ada@example.org".parse().unwrap()),
        reference: Some("P-1815".parse().unwrap()),
    }
}

fn registered_person() -> Person {
    let permit = permit(Action::PersonRegister, "harbour");
    match register_person(&permit, None, ada(), NOW, [3; 10]).unwrap() {
        Change::InsertPerson(person) => person,
        other => panic!("{other:?}"),
    }
}

#[test]
fn operator_is_registered_with_the_city_once() {
    let permit = permit(Action::OperatorRegister, CITY);
    let change = register_operator(&permit, None, harbour(), NOW).unwrap();
    let NewOperator { code, name } = harbour();
    let expected = Operator { code, name, registered_at: NOW, version: 1 };
    assert_eq!(change, Change::InsertOperator(expected.clone()));
    let again = register_operator(&permit, Some(&expected), harbour(), NOW);
    assert_eq!(again, Err(Refusal::OperatorExists));
}

#[test]
fn permit_for_another_deed_registers_nothing() {
    let show = permit(Action::OperatorShow, CITY);
    let refused = register_operator(&show, None, harbour(), NOW).unwrap_err();
    assert_eq!(refused.code(), "wrong-permit");
    let refused = register_person(&show, None, ada(), NOW, [3; 10]).unwrap_err();
    assert_eq!(refused.code(), "wrong-permit");
}

#[test]
fn person_belongs_to_the_operator_of_the_permit() {
    let person = registered_person();
    assert_eq!(person.operator, operator("harbour"));
    assert_eq!((person.registered_at, person.version), (NOW, 1));
    assert_eq!(person.name.expose(), "Ada Lovelace");
}

#[test]
fn reference_names_one_person() {
    let person = registered_person();
    let permit = permit(Action::PersonRegister, "harbour");
    let refused = register_person(&permit, Some(&person), ada(), NOW, [4; 10]);
    assert_eq!(refused, Err(Refusal::ReferenceExists));
}

#[test]
fn personal_data_never_shows_in_debug_output() {
    let shown = format!("{:?}", Change::InsertPerson(registered_person()));
    for secret in ["Ada", "Lovelace", "example.org", "1815"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // The control: what is not personal does show.
    assert!(shown.contains("harbour") && shown.contains("person_"), "{shown}");
}

#[test]
fn fields_hold_to_their_limits() {
    fn check<const MAX: usize>() {
        assert!("x".repeat(MAX).parse::<Personal<MAX>>().is_ok());
        assert!("x".repeat(MAX + 1).parse::<Personal<MAX>>().is_err());
    }
    check::<NAME_BYTES_MAX>();
    check::<CONTACT_BYTES_MAX>();
    check::<REFERENCE_BYTES_MAX>();
}
