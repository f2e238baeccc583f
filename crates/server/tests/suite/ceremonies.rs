//! Ceremonies after the founding, and what a server must never open.

use keys::custody::Custody;
use policy::role::Role;
use serde_json::json;
use server::city::ceremony::CeremonyError;

use crate::custodian::{Asked, Wilful};
use crate::town::Town;

#[test]
fn operator_issues_once_its_authority_is_certified() {
    let mut town = Town::new();
    let request = json!({"code": "valley", "name": "Valley"});
    town.registrar().post("/v1/operators", &request).expect(201);
    let issuing = |town: &Town| {
        let trust = town.anyone().get("/v1/trust").expect(200);
        let authorities = trust["issuing_authorities"].as_array().unwrap();
        authorities.iter().filter(|it| it["operator"] == "valley").count()
    };
    assert_eq!(issuing(&town), 0);
    town.close();
    let token = town.add_operator("valley", "Valley");
    town.open();
    assert_eq!(issuing(&town), 1);
    let owner = town.anyone().as_bearer(&token);
    assert_eq!(owner.get("/v1/operators/valley").text("name"), "Valley");
    let made = owner.get("/v1/events?limit=200").expect(200);
    assert!(made.to_string().contains("key-make"), "{made}");
}

#[test]
fn city_that_is_not_founded_leaves_no_key_behind_or_names_it() {
    let town = Town::closed(|_| {});
    let (error, root, keys) = town.found_nowhere(|keys| keys);
    assert!(matches!(error, CeremonyError::Failed(_)), "{error}");
    assert_eq!(keys.keys().len(), 0);
    assert_eq!(root.keys().len(), 1, "the control: the root was there before");
    drop(keys);
    std::fs::remove_dir_all(town.folder.join("other")).unwrap();
    let refuses = |asked: Asked<'_>| matches!(asked, Asked::Destroy);
    let (error, root, keys) = town.found_nowhere(|keys| Wilful { keys, refuses });
    let [left] = &*keys.keys() else { panic!("one key: {:?}", keys.keys()) };
    assert!(error.to_string().contains(&left.handle.to_string()), "{error}");
    assert!(matches!(error, CeremonyError::KeysLeft { .. }), "{error}");
    assert_eq!(root.keys().len(), 1);
}

#[test]
fn token_made_at_the_machine_is_taken_by_a_running_server() {
    let town = Town::new();
    let token = town.make_token("harbour", Role::Auditor).unwrap();
    let auditor = town.anyone().as_bearer(&token);
    auditor.get("/v1/events").expect(200);
    assert_eq!(auditor.get("/v1/people").problem(403), "denied");
    assert!(town.make_token("nobody", Role::Auditor).is_err());
    assert!(town.make_token("harbour", Role::Registrar).is_err(), "only the city has registrars");
    assert!(town.make_token("harbour", Role::Worker).is_err(), "no machine role is on a token");
}

#[test]
fn server_never_opens_the_root_and_nothing_secret_lies_in_the_data() {
    let mut town = Town::new();
    let person = json!({"name": "Mira Okafor"});
    town.harbour().post("/v1/people", &person).expect(201);
    let secret = town.tokens[1].rsplit_once('_').unwrap().1.to_owned();
    town.close();
    let pseudonyms = std::fs::read(town.folder.join("keys/city.pseudonyms")).unwrap();
    let mut folders = vec![town.config.store.data.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            files += 1;
            for hidden in [secret.as_bytes(), &pseudonyms] {
                let found = bytes.windows(hidden.len()).any(|window| window == hidden);
                assert!(!found, "{}", path.display());
            }
        }
    }
    assert!(files > 2);
    let mut config = town.config.clone();
    config.keys.keystore = town.folder.join("root/root.keys");
    config.keys.key_file = Some(town.folder.join("root.key"));
    let opened = tokio::runtime::Runtime::new().unwrap().block_on(server::start::start(&config));
    let error = std::error::Error::source(&opened.err().unwrap()).unwrap().to_string();
    assert!(error.contains("only a ceremony"), "{error}");
}

#[test]
fn second_founding_in_the_same_place_is_refused() {
    let town = Town::new();
    let refused = town.found_again().err().unwrap();
    assert!(refused.to_string().contains("already"), "{refused}");
    assert!(!town.folder.join("other-root.keys").exists());
    town.harbour().get("/v1/people").expect(200);
}
