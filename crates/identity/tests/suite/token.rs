//! Staff tokens: made, presented, expired, revoked, guessed.

use std::time::Duration;

use identity::change::Change;
use identity::refusal::Refusal;
use identity::token::{
    LIFE_MAX, NewToken, PresentedToken, StaffToken, TEXT_BYTES, TOKENS_MAX, TokenEntropy,
    TokenError, authenticate, create_token, revoke_token,
};
use policy::action::Action;
use policy::actor::Subject;
use policy::role::{Role, Roles};
use proptest::prelude::*;
use vocabulary::time::Instant;

use crate::{NOW, operator, permit, token_permit};

const HOUR: Duration = Duration::from_secs(3600);

fn request(expires_at: Instant) -> NewToken {
    NewToken { label: "front desk".parse().unwrap(), expires_at }
}

fn make(seed: u8) -> (StaffToken, PresentedToken) {
    let permit = token_permit("harbour", Roles::only(Role::HelpDesk));
    let entropy = TokenEntropy { id: [seed; 10], secret: [seed ^ 0x5a; 32] };
    let made = create_token(&permit, 0, request(NOW.saturating_add(HOUR)), NOW, &entropy).unwrap();
    match made {
        (Change::InsertToken(token), presented) => (token, presented),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bearer_of_the_text_is_the_actor() {
    let (token, presented) = make(1);
    let text = presented.danger_text();
    assert!(text.starts_with("limen_") && text.len() == TEXT_BYTES, "{text}");
    let read = PresentedToken::parse(&text).unwrap();
    assert_eq!(read.id(), token.id);
    let actor = authenticate(Some(&token), &read, NOW).unwrap();
    assert_eq!(actor.operator(), &operator("harbour"));
    assert_eq!(actor.subject(), Subject::Token(token.id));
    assert_eq!(actor.roles(), Roles::only(Role::HelpDesk));
}

#[test]
fn wrong_secret_and_unknown_token_look_alike() {
    let (token, presented) = make(1);
    let (other, _) = make(2);
    let mut text = presented.danger_text();
    let last = if text.pop() == Some('0') { '1' } else { '0' };
    text.push(last);
    let guessed = PresentedToken::parse(&text).unwrap();
    assert_eq!(authenticate(Some(&token), &guessed, NOW), Err(TokenError::Unknown));
    assert_eq!(authenticate(None, &presented, NOW), Err(TokenError::Unknown));
    assert_eq!(authenticate(Some(&other), &presented, NOW), Err(TokenError::Unknown));
    // The control: the right one is let in.
    assert!(authenticate(Some(&token), &presented, NOW).is_ok());
}

#[test]
fn token_ends_at_its_instant() {
    let (token, presented) = make(1);
    let last = Instant::from_unix_micros(token.expires_at.unix_micros() - 1);
    assert!(authenticate(Some(&token), &presented, last).is_ok() && token.is_in_force(last));
    let ended = authenticate(Some(&token), &presented, token.expires_at);
    assert_eq!(ended, Err(TokenError::Expired));
    assert!(!token.is_in_force(token.expires_at));
}

#[test]
fn revoked_token_has_no_force() {
    let (token, presented) = make(1);
    let permit = permit(Action::TokenRevoke, "harbour");
    let Change::UpdateToken(revoked) = revoke_token(&permit, &token, NOW).unwrap() else {
        panic!()
    };
    assert_eq!((revoked.version, revoked.revoked_at), (2, Some(NOW)));
    assert_eq!(authenticate(Some(&revoked), &presented, NOW), Err(TokenError::Revoked));
    assert_eq!(revoke_token(&permit, &revoked, NOW), Err(Refusal::TokenRevoked));
}

#[test]
fn permit_of_another_operator_revokes_nothing() {
    let (token, _) = make(1);
    let foreign = permit(Action::TokenRevoke, "airport");
    assert_eq!(revoke_token(&foreign, &token, NOW).unwrap_err().code(), "wrong-permit");
}

#[test]
fn life_and_number_of_tokens_hold_to_their_limits() {
    let permit = token_permit("harbour", Roles::only(Role::Auditor));
    let entropy = TokenEntropy { id: [1; 10], secret: [2; 32] };
    let check = |in_force, expires_at, expected: Result<(), Refusal>| {
        let made = create_token(&permit, in_force, request(expires_at), NOW, &entropy);
        assert_eq!(made.map(|_| ()), expected, "{in_force} {expires_at}");
    };
    let micro = Duration::from_micros(1);
    check(0, NOW, Err(Refusal::TokenLife));
    check(0, NOW.saturating_add(micro), Ok(()));
    check(0, NOW.saturating_add(LIFE_MAX), Ok(()));
    check(0, NOW.saturating_add(LIFE_MAX + micro), Err(Refusal::TokenLife));
    check(TOKENS_MAX - 1, NOW.saturating_add(HOUR), Ok(()));
    check(TOKENS_MAX, NOW.saturating_add(HOUR), Err(Refusal::TokensTooMany));
}

#[test]
fn secret_never_shows_in_debug_output() {
    let (token, presented) = make(1);
    let text = presented.danger_text();
    let (_, secret) = text.rsplit_once('_').unwrap();
    let stored = token.hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>();
    for shown in [format!("{token:?}"), format!("{presented:?}")] {
        assert!(!shown.contains(secret) && !shown.contains(&stored), "{shown}");
        assert!(shown.contains(&token.id.to_string()), "{shown}");
    }
    assert_ne!(secret, stored);
}

proptest! {
    #[test]
    fn token_text_returns_to_the_same_token(id: [u8; 10], secret: [u8; 32]) {
        let permit = token_permit("harbour", Roles::only(Role::Auditor));
        let request = request(NOW.saturating_add(HOUR));
        let made = create_token(&permit, 0, request, NOW, &TokenEntropy { id, secret }).unwrap();
        let text = made.1.danger_text();
        let read = PresentedToken::parse(&text).unwrap();
        prop_assert_eq!(read.danger_text(), text);
        let Change::InsertToken(token) = made.0 else { panic!() };
        prop_assert!(authenticate(Some(&token), &read, NOW).is_ok());
    }

    #[test]
    fn arbitrary_text_never_panics(text: String) {
        let _ = PresentedToken::parse(&text);
    }

    #[test]
    fn text_near_a_token_is_a_token_or_refused(tail in "[0-9a-f_]{91}") {
        let text = format!("limen_{tail}");
        if let Ok(token) = PresentedToken::parse(&text) {
            prop_assert_eq!(token.danger_text(), text);
        }
    }
}
