//! A city moves from one token to another: the foreign client sees the keys of the new one, and after
//! their time no longer those of the old one.

use std::sync::Arc;

use keys::custody::{Custody, NewKey, SignError, State};
use keys::pair::Pair;
use keys::purpose::Purpose;
use keys::rotation::{Step, begin};
use keys::service::config::{OnToken, Retiring, Sealed};
use keys::software::Keystore;
use keys::token::pin::PinSource;
use keys::token::{Role, Token};
use keys::vault::remote::RemoteVault;
use keys::vault::software::SoftwareVault;
use keys::vault::{SecretKind, Vault};
use serde_json::Value;

use crate::folder::set_mode;
use crate::pair::{DAY, NOW, checkpoint, turn};
use crate::post::Post;
use crate::softhsm::{Softhsm, alone};
use crate::vault::request;

#[test]
fn a_city_moves_from_one_token_to_another() {
    alone(|softhsm| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let open = |label: &str| -> Arc<Token> {
            let settings = softhsm.token(label);
            Arc::new(Token::open(&settings, Softhsm::pin(), Role::City).unwrap())
        };
        let (old, new) = (open("old"), open("new"));
        let pair = Pair::new(old.clone(), new.clone());
        let private = |label: &str| {
            let listed = softhsm.pkcs11_tool(label, &["--list-objects", "--type", "privkey"]);
            listed.matches("Private Key Object").count()
        };
        let purpose = Purpose::Checkpoint;
        let request = NewKey::active(purpose, None, NOW);
        let first = runtime.block_on(old.generate(request)).unwrap();
        assert_eq!((private("old"), private("new")), (1, 0));
        let Some(Step::Make { purpose, operator, suite }) = begin(&pair.keys(), purpose, None)
        else {
            panic!("nothing to begin")
        };
        let request = NewKey { purpose, operator, suite, state: State::Published, at: NOW };
        let heir = runtime.block_on(pair.generate(request)).unwrap();
        assert_eq!(&*heir.held_by, "token:new");
        assert_eq!((private("old"), private("new")), (1, 1));
        let over = NOW.saturating_add(DAY * 30);
        turn(&pair, over);
        let sign = |handle| runtime.block_on(pair.sign(handle, &checkpoint()));
        assert!(sign(&first.handle).is_ok() && sign(&heir.handle).is_ok(), "control: both sign");
        runtime.block_on(pair.retire_old(over)).unwrap();
        let refused = SignError::NotActive { handle: first.handle, state: State::Retired };
        assert_eq!(sign(&first.handle), Err(refused));
        assert_eq!((private("old"), private("new")), (1, 1), "kept until what it signed has ended");
        turn(&pair, over.saturating_add(DAY));
        assert_eq!((private("old"), private("new")), (0, 1));
        assert!(sign(&heir.handle).is_ok());
    });
}

/// What happens at the named instant, in a service that serves a sealed file beside a token.
#[test]
fn at_the_named_instant_the_file_falls_silent_and_zone_keys_go_over() {
    alone(|softhsm| {
        tokio::runtime::Runtime::new().unwrap().block_on(silenced(softhsm));
    });
}

async fn silenced(softhsm: &Softhsm) {
    let settings = softhsm.token("new");
    let mut post = Post::closed();
    let folder = post.config.journal.parent().unwrap().to_owned();
    let unlock = post.folder.unlock();
    let sealed = post.config.keystore.take().unwrap();
    let old = Keystore::open_server(&sealed.path, &unlock).unwrap();
    let first = old.generate(NewKey::active(Purpose::Checkpoint, None, NOW)).await.unwrap();
    drop(old);
    let path = folder.join("city.vault");
    let vault = SoftwareVault::create(&path, &unlock).unwrap();
    for kind in [SecretKind::Zone, SecretKind::Epoch, SecretKind::CardMaster] {
        vault.generate(request(kind)).await.unwrap();
    }
    drop(vault);
    let pin = folder.join("pin");
    std::fs::write(&pin, Softhsm::PIN).unwrap();
    set_mode(&pin, 0o600);
    post.config.vault = Some(Sealed { path, ..sealed.clone() });
    post.config.token = Some(OnToken::new(&settings, &PinSource::File(pin)));
    post.config.clients[0].vault = vec!["readers".into(), "cards".into()];
    let move_of = |at: Option<&str>| {
        let at = at.map(str::to_owned);
        Some(Retiring { at, keystore: Some(sealed.clone()), token: None, halves: None })
    };

    // No instant is named yet: the old side signs, new keys are made on the token.
    post.config.retiring = move_of(None);
    post.open().unwrap();
    let remote = post.remote().await;
    assert!(remote.sign(&first.handle, &checkpoint()).await.is_ok(), "control");
    let heir = NewKey::active(Purpose::Checkpoint, None, NOW);
    assert_eq!(&*remote.generate(heir).await.unwrap().held_by, "token:new");
    drop(remote);
    post.close().await;

    post.config.retiring = move_of(Some("2026-01-01T00:00:00Z"));
    post.open().unwrap();
    let remote = Arc::new(post.remote().await);
    let told = loop {
        let told: Value = serde_json::from_str(&remote.status().await.unwrap()).unwrap();
        if told["retiring"]["active"] == 0 {
            break told;
        }
    };
    let refused = remote.sign(&first.handle, &checkpoint()).await;
    assert!(matches!(refused, Err(SignError::NotActive { .. })), "{refused:?}");
    assert_eq!(told["retiring"]["held_by"], "software");
    assert_eq!(told["retiring"]["secrets"], 2, "the epoch's key and the card master: {told}");
    let secrets = RemoteVault::over(remote).await.unwrap().secrets();
    let zones = secrets.iter().filter(|secret| secret.kind == SecretKind::Zone);
    let zones: Vec<_> = zones.map(|it| (&*it.held_by, it.version, it.state)).collect();
    assert_eq!(zones, [("software", 1, State::Retired), ("token:new", 2, State::Active)]);
    post.close().await;
}
