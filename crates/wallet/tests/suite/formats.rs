//! Formats of a pass: access documents, and what the wallet does not know.

use credential::jose::base64url;
use serde_json::Value;
use wallet::collect::CollectError;
use wallet::pass::Content;
use wallet::state::State;

use crate::city::{CRYPTO, City, days, noon};
use crate::collections::{at, check, check_document, collect, documents, keys, set_documents};
use crate::issuer::{Reply, Town};
use crate::phone::Phone;

#[test]
fn access_documents_are_kept_with_the_rest() {
    let city = City::new();
    let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
    collect(&mut phone, &mut town).unwrap();
    let pass = &phone.state.passes[2];
    for document in &pass.documents {
        assert!(matches!(document.content, Content::AccessDocument(_)));
        assert_eq!(document.kind, "aliro-a");
        assert!(document.is_current(noon()) && !document.is_holder_only());
        assert!(!document.is_current(noon().saturating_add(days(11))));
    }
    let sealed = phone.state.seal(CRYPTO, &[1; 32], [2; 12]);
    assert_eq!(State::open(CRYPTO, &[1; 32], &sealed).unwrap().passes, phone.state.passes);
}

/// Changes what the issuer sends as access documents.
fn access_documents(
    mut change: impl FnMut(Vec<String>) -> Vec<String>,
) -> impl FnMut(&str, &mut Reply) {
    let mut count = 0;
    move |name, reply| {
        count += usize::from(name == "credential");
        if name == "credential" && count == 3 {
            reply.change(|body| set_documents(body, change(documents(body))));
        }
    }
}

#[test]
fn access_document_is_verified_before_it_is_kept() {
    let altered = |mut texts: Vec<String>| {
        let mut bytes = base64url::decode(&texts[1]).unwrap();
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
        texts[1] = base64url::encode(&bytes);
        texts
    };
    check_document("signature", access_documents(altered));
    // Of the same issuer, for a key that this wallet has shown and one that it never had.
    check_document("holder-key", access_documents(|texts| vec![texts[0].clone(); 2]));
    let other = {
        let city = City::new();
        let (mut phone, mut town) = (Phone::empty(&city), Town::new(&city));
        collect(&mut phone, &mut town).unwrap();
        let Content::AccessDocument(bytes) = &phone.state.passes[2].documents[0].content else {
            panic!("an access document");
        };
        base64url::encode(bytes)
    };
    check_document("holder-key", access_documents(move |_| vec![other.clone()]));
    // A wallet that does not know the signer.
    let city = City::new();
    let mut phone = Phone::empty(&city);
    let mut parts = city.parts();
    parts.issuers.pop();
    phone.state.trust = wallet::trust::Trust::new(parts).unwrap();
    let error = collect(&mut phone, &mut Town::new(&city)).unwrap_err();
    let CollectError::Document(rejection) = error else { panic!("{error}") };
    assert_eq!(rejection.code, "issuer-unknown");
    assert!(keys(&phone).is_empty() && phone.state.passes.is_empty());
}

#[test]
fn format_that_the_wallet_cannot_keep_is_passed_over_and_refused_if_there_is_no_other() {
    const ALL: [&str; 3] = ["ticket.mso_mdoc", "ticket.dc+sd-jwt", "ticket.limen-access-document"];
    fn unknown(body: &mut Value, id: &str) {
        body["credential_configurations_supported"][id]["format"] = "ldp_vc".into();
    }
    check(
        "the issuer offers `ticket.mso_mdoc`, which this wallet cannot keep",
        at("issuer", |body| ALL.into_iter().for_each(|id| unknown(body, id))),
    );
    let city = City::new();
    let mut phone = Phone::empty(&city);
    let mut town = Town::bent(
        &city,
        at("issuer", |body| {
            unknown(body, ALL[1]);
            let all = body["credential_configurations_supported"].as_object_mut().unwrap();
            all.remove(ALL[2]);
        }),
    );
    assert_eq!(collect(&mut phone, &mut town).unwrap(), ["Ticket"]);
    assert_eq!(phone.state.passes[0].configuration, ALL[0]);
    assert_eq!((keys(&phone).len(), town.documents.len()), (2, 2), "nothing else was asked for");
}
