//! The vault behind the key service: what a client gets by its rights, and what it does not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey};
use credential::delivery::recipient::VerifiedRecipient;
use credential::delivery::{DeliveryError, Suite};
use credential::unsigned::Unsigned;
use credential::x509::build::{
    CertificateDer, Purpose as Certified, Request, Signer, Subject, certificate,
};
use credential::x509::{Certificate, TrustAnchors};
use keys::custody::{Custody, State};
use keys::object::{ObjectType, TypedObject};
use keys::purpose::Purpose;
use keys::service::config::{Client, Config, OnToken, Sealed};
use keys::token::pin::PinSource;
use keys::vault::diversify::CardInput;
use keys::vault::ev2::Mode;
use keys::vault::remote::RemoteVault;
use keys::vault::software::SoftwareVault;
use keys::vault::{CardError, NewSecret, SecretKind, Vault, VaultError, WrapError};
use vocabulary::time::Instant;

use crate::post::{Post, make};
use crate::softhsm::{Softhsm, alone};
use crate::vault::{request, widen};
use crate::vault_deliveries::Reader;

fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Instant::from_unix_seconds(i64::try_from(since.as_secs()).unwrap())
}

/// A service with a vault; its second client may do `rights`.
async fn post(rights: &[&str]) -> Post {
    let rights: Vec<String> = rights.iter().map(|right| (*right).to_owned()).collect();
    Post::with(|config| {
        let folder = config.journal.parent().unwrap().to_owned();
        let Config { keystore: Some(Sealed { key_file: Some(key_file), .. }), .. } = &config else {
            panic!("no key file");
        };
        let path = folder.join("city.vault");
        let unlock = keys::unlock::Unlock::key_file(key_file, &folder.join("data")).unwrap();
        drop(SoftwareVault::create(&path, &unlock).unwrap());
        let key_file = Some(key_file.clone());
        config.vault = Some(Sealed { path, key_file, passphrase_file: None });
        let pairing = folder.join("clerk.pairing");
        keys::wire::pairing::Pairing::create(&[&pairing]).unwrap();
        let clerk = Client { name: "clerk".into(), pairing, ..config.clients[0].clone() };
        config.clients.push(Client { vault: rights, ..clerk });
    })
    .await
}

async fn vault(post: &Post, name: &str) -> Result<RemoteVault, VaultError> {
    RemoteVault::over(Arc::new(post.connect(name).await.unwrap())).await
}

fn today(kind: SecretKind) -> NewSecret {
    let epoch = match kind {
        SecretKind::Epoch => credential::delivery::epoch_at(now()),
        _ => 0,
    };
    NewSecret { epoch, at: now(), ..request(kind) }
}

#[tokio::test]
async fn secrets_live_through_the_service_as_they_do_without() {
    let post = post(&["readers"]).await;
    let vault = vault(&post, "server").await.unwrap();
    for kind in SecretKind::ALL {
        let made = vault.generate(today(kind)).await.unwrap();
        assert_eq!(vault.secrets().last(), Some(&made), "{kind}");
        let retired = vault.set_state(&made.handle, State::Retired, now()).await.unwrap();
        assert_eq!(retired.state, State::Retired);
        let back = vault.set_state(&made.handle, State::Active, now()).await;
        assert!(matches!(back, Err(VaultError::Backwards { state: State::Retired })));
        vault.destroy(&made.handle).await.unwrap();
        assert_eq!(vault.secrets().len(), 0);
        let gone = vault.destroy(&made.handle).await;
        assert!(gone.is_err());
    }
    let wrong = NewSecret { scope: None, ..today(SecretKind::Zone) };
    let refused = vault.generate(wrong).await;
    assert!(matches!(refused, Err(VaultError::Request { field: "scope", .. })));
}

/// The service looks for itself: who is no reader of this city gets no key, whatever the client says.
#[tokio::test]
async fn a_client_cannot_have_a_key_wrapped_for_whom_no_authority_certified() {
    let post = post(&["readers"]).await;
    let vault = vault(&post, "server").await.unwrap();
    let secret = vault.generate(today(SecretKind::Zone)).await.unwrap();
    let reader = Reader::new(1, Suite::P256);
    let expected = Err(WrapError::Recipient(DeliveryError::Key("statement")));
    assert_eq!(vault.wrap_for(&secret.handle, &reader.verified).await, expected);
    let process = VerifiedRecipient::danger_process([1; 16], reader.recipient.clone());
    assert_eq!(vault.wrap_for(&secret.handle, &process).await, expected);
}

#[tokio::test]
async fn a_key_is_wrapped_for_readers_of_its_own_operator_alone() {
    let post = post(&["readers"]).await;
    let (remote, vault) = (post.remote().await, vault(&post, "server").await.unwrap());
    let secret = vault.generate(today(SecretKind::Zone)).await.unwrap();
    let own = secret.scope.unwrap().operator;
    let reader = Reader::new(1, Suite::P256);
    let authority = make(&remote, Purpose::ReaderAuthority).await;
    let request = |purpose, organization, key| Request {
        purpose,
        subject: Subject { common_name: "readers", organization, country: "UT" },
        key,
        not_before: now().saturating_sub(Duration::from_secs(60)),
        not_after: now().saturating_add(Duration::from_secs(600)),
        serial_entropy: [7; 16],
        issuer_uri: "https://limen.example",
        crl_uri: "https://limen.example/crl",
    };
    let root = P256Secret::from_bytes([9; 32]);
    let by_root = |unsigned: Unsigned<CertificateDer>| {
        let signature = AwsLc.p256_sign(&root, unsigned.to_be_signed()).unwrap();
        unsigned.complete(&signature).as_bytes().to_vec()
    };
    let root_key = PublicKey::P256(AwsLc.p256_public(&root).unwrap());
    let root_der = certificate(&request(Certified::Root, None, &root_key), Signer::Subject);
    let root_der = by_root(root_der.unwrap());
    let above = Certificate::parse(&root_der).unwrap();
    let of_authority = request(Certified::Authority, None, &authority.public_key);
    let authority_der = by_root(certificate(&of_authority, Signer::Authority(&above)).unwrap());
    remote.attach_certificate(&authority.handle, &authority_der).await.unwrap();
    let above = Certificate::parse(&authority_der).unwrap();
    let anchors = TrustAnchors::from_ders([authority_der.as_slice()]).unwrap();
    for (operator, expected) in [(Some(own.as_str()), true), (Some("museum"), false), (None, false)]
    {
        let request = request(Certified::Reader, operator, &reader.key);
        let unsigned = certificate(&request, Signer::Authority(&above)).unwrap();
        let bytes = unsigned.to_be_signed().to_vec();
        let object = TypedObject::parse(ObjectType::ReaderCertificate, &bytes).unwrap();
        let signature = remote.sign(&authority.handle, &object).await.unwrap();
        let der = unsigned.complete(&signature);
        let verified = reader.statement.verify(&AwsLc, der.as_bytes(), &anchors, now()).unwrap();
        let wrapped = vault.wrap_for(&secret.handle, &verified).await;
        assert_eq!(wrapped.is_ok(), expected, "{operator:?}: {wrapped:?}");
    }
}

#[tokio::test]
async fn cards_are_authenticated_by_who_has_the_right() {
    let post = post(&["readers"]).await;
    let all = vault(&post, "server").await.unwrap();
    let master = all.generate(today(SecretKind::CardMaster)).await.unwrap();
    let card = CardInput::new(&[7; 20]).unwrap();
    let begun = all.answer_card(&master.handle, &card, Mode::First, &[1; 16]).await.unwrap();
    assert_eq!(all.finish_card(&begun.run, &[0; 32]).await.unwrap_err(), CardError::Card);
    let over = all.finish_card(&begun.run, &[0; 32]).await.unwrap_err();
    assert_eq!(over, CardError::NoRun { run: begun.run });
    let reader = Reader::new(1, Suite::P256);
    let process = VerifiedRecipient::danger_process([1; 16], reader.recipient.clone());
    let wrapped = all.wrap_card_key(&master.handle, &card, &process).await.unwrap();
    assert_eq!(reader.open(&wrapped.encode()).unwrap().len(), 16);
    // A server has the right for readers alone.
    let clerk = vault(&post, "clerk").await.unwrap();
    assert!(clerk.generate(today(SecretKind::Epoch)).await.is_ok());
    assert!(clerk.generate(today(SecretKind::CardMaster)).await.is_err());
    assert!(clerk.set_state(&master.handle, State::Retired, now()).await.is_err());
    let begun = clerk.answer_card(&master.handle, &card, Mode::First, &[1; 16]).await;
    assert_eq!(begun.unwrap_err(), CardError::Unavailable);
    let wrapped = clerk.wrap_card_key(&master.handle, &card, &process).await;
    assert_eq!(wrapped, Err(WrapError::Unavailable));
}

/// On a token that holds both, a secret with too wide a usage takes the vault away until somebody looks
/// after it, and no signature; a signing key with too wide a usage is refused alone.
#[test]
fn faults_of_secrets_and_of_signing_keys_on_one_token_are_kept_apart() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let pin_file = softhsm.path("pin");
        std::fs::write(&pin_file, Softhsm::PIN).unwrap();
        std::fs::set_permissions(&pin_file, Permissions::from_mode(0o600)).unwrap();
        let on_token = OnToken::new(&settings, &PinSource::File(pin_file));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut post = Post::with(|config| {
                (config.keystore, config.token) = (None, Some(on_token));
            })
            .await;
            let remote = post.remote().await;
            let keys = [make(&remote, Purpose::Bundle).await, make(&remote, Purpose::Staff).await];
            let secrets = vault(&post, "server").await.unwrap();
            let zone = secrets.generate(today(SecretKind::Zone)).await.unwrap();
            let epoch = secrets.generate(today(SecretKind::Epoch)).await.unwrap();
            assert_eq!(&*zone.held_by, "token:city");
            assert_eq!(remote.keys().len(), 2, "a secret is no key that signs");
            assert_eq!(secrets.secrets().len(), 2, "and the other way round");
            drop((remote, secrets));
            post.close().await;
            // A signing key that may do too much is left out; secrets are as they were.
            widen_signing(&settings, keys[1].handle.as_bytes());
            post.open().unwrap();
            let secrets = vault(&post, "server").await.unwrap();
            assert_eq!(secrets.secrets().len(), 2);
            let left: Vec<_> = post.remote().await.keys().iter().map(|key| key.handle).collect();
            assert_eq!(left, [keys[0].handle]);
            drop(secrets);
            post.close().await;
            // A secret that may do too much: none is served, and signing goes on.
            widen(&settings, &epoch.handle);
            post.open().unwrap();
            assert!(vault(&post, "server").await.is_err());
            let remote = post.remote().await;
            make(&remote, Purpose::Firmware).await;
            assert_eq!(remote.keys().len(), 2);
            post.close().await;
        });
    });
}

/// Lets the private key with this `CKA_ID` decrypt as well.
fn widen_signing(settings: &keys::token::Settings, id: &[u8]) {
    use cryptoki::object::{Attribute, ObjectClass};
    let pool = keys::token::pool::Pool::open(settings, Softhsm::pin()).unwrap();
    pool.once(|session| {
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
        let found = session.find_objects(&template)?;
        session.update_attributes(found[0], &[Attribute::Decrypt(true)])
    })
    .unwrap();
}

#[tokio::test]
async fn a_client_without_a_right_sees_no_vault() {
    let post = post(&[]).await;
    assert!(vault(&post, "server").await.is_ok(), "control");
    assert!(matches!(vault(&post, "clerk").await, Err(VaultError::Unavailable)));
    let without = Post::with(|_| {}).await;
    assert!(matches!(vault(&without, "server").await, Err(VaultError::Unavailable)));
}
