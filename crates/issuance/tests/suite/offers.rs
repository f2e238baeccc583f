//! Offers and the token endpoint: every bad input, each beside the good one.

use issuance::offer::{
    OFFER_LIFETIME_MAX, OFFER_TRIES_MAX, OfferEntropy, OfferState, link_by_value, make_offer,
    show_offer,
};
use issuance::pass::{Carried, Pass, PassState, suspend_pass};
use issuance::product::{Format, Product};
use issuance::token::{OfferedPass, TokenRefusal, redeem_offer};
use issuance::wire;
use policy::action::Action;
use serde_json::{Value, json};
use std::time::Duration;

use crate::city::{City, DAY, FORMATS, NOW, at, badge, staff, ticket};
use crate::wallet::Key;

/// The token endpoint's answer to one form, in a fresh city.
fn check(seconds: i64, edit: impl Fn(&City, String) -> String, expected: Option<TokenRefusal>) {
    let mut city = City::with(badge());
    let form = edit(&city, city.form());
    let proof = city.token_proof(&Key::new(31), "one", seconds);
    let refusal = city.token(&form, Some(&proof), seconds).err().map(|refused| refused.refusal);
    assert_eq!(refusal, expected, "{form} at {seconds}");
}

#[test]
fn good_code_is_traded_and_bad_ones_are_refused() {
    use TokenRefusal as R;
    let other_code = |city: &City, form: String| form.replace(&city.code, &"A".repeat(43));
    let wrong_digits = |_: &City, form: String| {
        let (head, _) = form.split_once("&tx_code=").unwrap();
        format!("{head}&tx_code=000000")
    };
    let no_digits = |_: &City, form: String| form.split_once("&tx_code=").unwrap().0.to_owned();
    let other_grant = |_: &City, form: String| form.replace("pre-authorized_code&", "refresh&");
    let same = |_: &City, form: String| form;
    check(NOW, same, None);
    check(NOW + DAY - 1, same, None);
    check(NOW + DAY, same, Some(R::Expired));
    check(NOW, other_code, Some(R::Code));
    check(NOW, wrong_digits, Some(R::TransactionCode));
    check(NOW, no_digits, Some(R::TransactionCodeMissing));
    check(NOW, other_grant, Some(R::GrantType));
    check(NOW, |_, form| format!("{form}&colour=blue"), Some(R::Form));
    check(NOW, |_, form| format!("{form}&tx_code=493536"), Some(R::Form));
}

#[test]
fn code_is_good_once() {
    let mut city = City::with(ticket());
    let form = city.form();
    assert!(city.token(&form, None, NOW).is_ok());
    let refused = city.token(&form, None, NOW).err().unwrap();
    assert_eq!(refused.refusal, TokenRefusal::Code);
    assert_eq!(refused.refusal.oauth_error(), "invalid_grant");
}

/// Everything that differs in one way from the product of which a pass is.
fn other_products(product: &Product) -> [(&'static str, Product); 3] {
    let version = product.version + 1;
    [
        ("operator", Product { operator: "other".parse().unwrap(), ..product.clone() }),
        ("code", Product { code: "week-ticket".parse().unwrap(), ..product.clone() }),
        ("version", Product { version, ..product.clone() }),
    ]
}

#[test]
fn token_follows_the_product_of_the_pass_and_no_other() {
    let city = City::with(ticket());
    let request = wire::token::read(city.form().as_bytes()).unwrap();
    let (offer, pass) = (&city.rows.offers[0], &city.rows.passes[0]);
    let check = |what, pass: &Pass, product: &Product, expected| {
        let found = OfferedPass { offer, pass, product };
        let redeemed = redeem_offer(&request, Some(found), None, at(NOW), [1; 32]);
        let refusal = redeemed.err().map(|refused| (refused.refusal.code(), refused.changes.len()));
        assert_eq!(refusal, expected, "{what}");
    };
    let product = &city.rows.products[0];
    check("control", pass, product, None);
    let state = Some(("token-state", 0));
    for (what, other) in other_products(product) {
        check(what, pass, &other, state);
    }
    // A pass and a product that belong together, but are not those of the offer.
    for (what, other) in other_products(product) {
        let pass = Pass {
            operator: other.operator.clone(),
            product: other.code.clone(),
            product_version: other.version,
            ..pass.clone()
        };
        check(what, &pass, &other, if what == "version" { None } else { state });
    }
    assert_eq!(TokenRefusal::State.oauth_error(), "server_error");
}

#[test]
fn two_wallets_with_one_code_get_one_token() {
    let mut city = City::with(ticket());
    let request = wire::token::read(city.form().as_bytes()).unwrap();
    let both = [[1; 32], [2; 32]].map(|entropy| {
        let found = OfferedPass {
            offer: &city.rows.offers[0],
            pass: &city.rows.passes[0],
            product: &city.rows.products[0],
        };
        redeem_offer(&request, Some(found), None, at(NOW), entropy).unwrap().changes
    });
    let outcomes = both.map(|changes| city.rows.commit(changes).is_ok());
    assert_eq!(outcomes, [true, false], "the second finds the offer changed");
}

#[test]
fn transaction_code_survives_tries_up_to_the_limit_only() {
    // The control: with one try left, the right digits still open it; with none, they do not.
    for (wrong_tries, opened) in [(OFFER_TRIES_MAX - 1, true), (OFFER_TRIES_MAX, false)] {
        let mut city = City::with(badge());
        let good = city.form();
        let bad = format!("{}&tx_code=000000", good.split_once("&tx_code=").unwrap().0);
        for n in 0..wrong_tries {
            let proof = city.token_proof(&Key::new(31), &format!("{n}"), NOW);
            let refused = city.token(&bad, Some(&proof), NOW).err().unwrap();
            assert_eq!(refused.refusal, TokenRefusal::TransactionCode);
        }
        let proof = city.token_proof(&Key::new(31), "last", NOW);
        assert_eq!(city.token(&good, Some(&proof), NOW).is_ok(), opened, "after {wrong_tries}");
        let state = if opened { OfferState::Redeemed } else { OfferState::Exhausted };
        assert_eq!(city.rows.offers[0].state, state);
    }
}

#[test]
fn guesses_at_the_same_time_count_one_by_one() {
    let mut city = City::with(badge());
    let bad = format!("{}&tx_code=000000", city.form().split_once("&tx_code=").unwrap().0);
    let request = wire::token::read(bad.as_bytes()).unwrap();
    let costs = [0, 1].map(|_| {
        let found = OfferedPass {
            offer: &city.rows.offers[0],
            pass: &city.rows.passes[0],
            product: &city.rows.products[0],
        };
        let proof = city.token_proof(&Key::new(31), "same", NOW);
        let refused = redeem_offer(&request, Some(found), Some(&proof), at(NOW), [1; 32]);
        refused.err().unwrap().changes
    });
    let outcomes = costs.map(|changes| city.rows.commit(changes).is_ok());
    assert_eq!(outcomes, [true, false], "the second must be decided again, with a try less");
}

#[test]
fn unasked_transaction_code_is_refused() {
    let mut city = City::with(ticket());
    let form = format!("{}&tx_code=123456", city.form());
    let refused = city.token(&form, None, NOW).err().unwrap();
    assert_eq!(refused.refusal, TokenRefusal::TransactionCodeUnasked);
    assert_eq!(refused.refusal.oauth_error(), "invalid_request");
}

#[test]
fn high_stake_needs_a_bound_token_and_low_stake_does_not() {
    let mut city = City::with(badge());
    let form = city.form();
    let refused = city.token(&form, None, NOW).err().unwrap();
    assert_eq!(refused.refusal, TokenRefusal::DpopMissing);
    assert_eq!(city.rows.offers[0].tries_left, OFFER_TRIES_MAX);

    for (proof, kind) in [(None, "Bearer"), (Some(Key::new(31)), "DPoP")] {
        let mut city = City::with(ticket());
        let form = city.form();
        let proof = proof.map(|key| city.token_proof(&key, "one", NOW));
        let redeemed = city.token(&form, proof.as_ref(), NOW).ok().unwrap();
        let answer: Value = serde_json::from_str(&wire::token::write(&redeemed)).unwrap();
        assert_eq!(answer["token_type"], json!(kind));
        assert_eq!(answer["expires_in"], json!(600));
    }
}

#[test]
fn same_dpop_proof_does_not_redeem_twice() {
    let mut city = City::with(badge());
    let proof = city.token_proof(&Key::new(31), "one", NOW);
    let form = city.form();
    assert!(city.token(&form, Some(&proof), NOW).is_ok());
    let again = city.rows.commit(vec![issuance::change::Change::Once(proof.once().clone())]);
    assert!(again.is_err());
}

#[test]
fn offer_is_shown_while_it_is_open_and_to_nobody_after() {
    let mut city = City::with(ticket());
    let show = |city: &City, code: &str, seconds| {
        let offer = city.rows.offers.first();
        show_offer(&city.issuer, offer, code, at(seconds)).map_err(|refusal| refusal.code())
    };
    let code = city.code.clone();
    assert!(show(&city, &code, NOW + DAY - 1).is_ok());
    assert_eq!(show(&city, &code, NOW + DAY), Err("offer-gone"));
    assert_eq!(show(&city, &"A".repeat(43), NOW), Err("offer-gone"));
    let form = city.form();
    assert!(city.token(&form, None, NOW).is_ok());
    assert_eq!(show(&city, &code, NOW), Err("offer-gone"));
}

#[test]
fn offer_by_value_says_the_same_as_the_one_shown() {
    let city = City::with(badge());
    let offer = &city.rows.offers[0];
    let link = link_by_value(&city.issuer, offer, &city.code);
    let text = link.strip_prefix("openid-credential-offer://?credential_offer=").unwrap();
    let text = wire::percent::decode_form(text).unwrap();
    assert_eq!(show_offer(&city.issuer, Some(offer), &city.code, at(NOW)), Ok(text.clone()));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["credential_issuer"], json!("https://city.example/issuers/harbour"));
    let grant = &value["grants"]["urn:ietf:params:oauth:grant-type:pre-authorized_code"];
    assert_eq!(grant["pre-authorized_code"], json!(city.code));
    assert_eq!(grant["tx_code"]["length"], json!(6));
    assert_eq!(grant["tx_code"]["input_mode"], json!("numeric"));
    assert_eq!(city.transaction_code.as_ref().unwrap().len(), 6);
}

#[test]
fn offer_lives_up_to_its_limit_and_only_for_a_pass_in_force() {
    let city = City::with(ticket());
    let (pass, product) = (city.rows.passes[0].clone(), &city.rows.products[0]);
    let entropy = || OfferEntropy { id: [1; 10], code: [1; 32], transaction_code: [1; 8] };
    for (what, other) in other_products(product) {
        let (permit, second) = (staff(Action::PassOffer), Duration::from_secs(1));
        let made = make_offer(&permit, &pass, &other, FORMATS.into(), second, at(NOW), &entropy());
        assert_eq!(made.err().map(|no| no.code()), Some("offer-product"), "{what}");
    }
    let make = |pass, lifetime| {
        let permit = staff(Action::PassOffer);
        let made =
            make_offer(&permit, pass, product, FORMATS.into(), lifetime, at(NOW), &entropy());
        made.err().map(|refusal| refusal.code())
    };
    let second = Duration::from_secs(1);
    assert_eq!(make(&pass, OFFER_LIFETIME_MAX), None);
    assert_eq!(make(&pass, OFFER_LIFETIME_MAX + second), Some("offer-lifetime"));
    assert_eq!(make(&pass, Duration::ZERO), Some("offer-lifetime"));
    let permit = staff(Action::PassSuspend);
    let changes = suspend_pass(&permit, &pass, Carried::default(), at(NOW)).unwrap();
    let issuance::change::Change::Pass(suspended) = &changes[0] else { panic!() };
    assert_eq!(suspended.state, PassState::Suspended);
    assert_eq!(make(suspended, second), Some("pass-state"));
    let offered = |formats: &[Format]| {
        let permit = staff(Action::PassOffer);
        let made = make_offer(&permit, &pass, product, formats.into(), second, at(NOW), &entropy());
        made.err().map(|refusal| refusal.code())
    };
    assert_eq!(offered(&[]), Some("offer-formats"));
    assert_eq!(offered(&FORMATS[..1]), None, "control");
    let wrong = staff(Action::PassRevoke);
    let made = make_offer(&wrong, &pass, product, FORMATS.into(), second, at(NOW), &entropy());
    assert_eq!(made.err().map(|refusal| refusal.code()), Some("wrong-permit"));
}
