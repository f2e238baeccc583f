//! Secret keys: making, moving on, destroying, in a sealed file and on a token.

use keys::custody::State;
use keys::seal::{Kind, UnsealError};
use keys::software::{Keystore, OpenError};
use keys::vault::diversify::Kdf;
use keys::vault::software::SoftwareVault;
use keys::vault::token::{OpenVaultError, TokenVault};
use keys::vault::{
    EPOCHS_AHEAD_MAX, NewSecret, Secret, SecretHandle, SecretKind, Vault, VaultError,
};
use vocabulary::time::Instant;

use credential::delivery::{EPOCH_SECONDS, Scope, epoch_at};

use crate::folder::Folder;
use crate::keystore::wait;
use crate::softhsm::{Softhsm, alone};

pub(crate) fn now() -> Instant {
    Instant::from_unix_seconds(1_800_000_000)
}

pub(crate) fn scope(zone: &str) -> Scope {
    Scope { operator: "tram".parse().unwrap(), zone: Some(zone.parse().unwrap()) }
}

/// The usual request for a key of `kind`.
pub(crate) fn request(kind: SecretKind) -> NewSecret {
    let scoped = matches!(kind, SecretKind::Epoch | SecretKind::Zone | SecretKind::CardMaster);
    NewSecret {
        kind,
        scope: scoped.then(|| scope("B")),
        epoch: if kind == SecretKind::Epoch { epoch_at(now()) } else { 0 },
        kdf: (kind == SecretKind::CardMaster).then_some(Kdf::An10922CbcFallback),
        state: State::Active,
        after: 0,
        at: now(),
    }
}

pub(crate) fn software(folder: &Folder) -> SoftwareVault {
    SoftwareVault::create(&folder.path("city.vault"), &folder.unlock()).unwrap()
}

fn check_life(vault: &dyn Vault) {
    for kind in SecretKind::ALL {
        let first = wait(vault.generate(request(kind))).unwrap();
        let second = wait(vault.generate(request(kind))).unwrap();
        assert_eq!((first.version, second.version), (1, 2), "{kind}");
        assert_ne!(first.kcv, second.kcv, "{kind}");
        assert_ne!(first.handle, second.handle);
        let handle = first.handle;
        let destroyed = wait(vault.destroy(&handle));
        assert!(matches!(destroyed, Err(VaultError::Backwards { state: State::Active })));
        let retired = wait(vault.set_state(&handle, State::Retired, now())).unwrap();
        assert_eq!(retired, Secret { state: State::Retired, ..first });
        let back = wait(vault.set_state(&handle, State::Active, now()));
        assert!(matches!(back, Err(VaultError::Backwards { state: State::Retired })));
        wait(vault.destroy(&handle)).unwrap();
        let again = wait(vault.destroy(&handle));
        assert!(matches!(again, Err(VaultError::Unknown { .. })));
        let left: Vec<_> = vault.secrets().iter().filter(|it| it.kind == kind).cloned().collect();
        assert_eq!(left, [second], "{kind}");
    }
    let (scope, epoch) = (scope("B"), epoch_at(now()));
    assert_eq!(vault.current(SecretKind::Epoch, &scope, epoch).unwrap().version, 2);
    assert_eq!(vault.current(SecretKind::Epoch, &scope, epoch + 1), None);
}

#[test]
fn secrets_live_in_a_sealed_file() {
    let folder = Folder::new();
    let vault = software(&folder);
    check_life(&vault);
    let listed = vault.secrets();
    drop(vault);
    let opened = SoftwareVault::open(&folder.path("city.vault"), &folder.unlock()).unwrap();
    assert_eq!(opened.secrets(), listed);
    let text = std::fs::read(folder.path("city.vault")).unwrap();
    assert!(!text.windows(4).any(|window| window == b"tram"));
}

#[test]
fn secrets_live_on_a_token() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let vault = TokenVault::open(&settings, Softhsm::pin()).unwrap();
        check_life(&vault);
        let mut listed = vault.secrets().to_vec();
        drop(vault);
        let opened = TokenVault::open(&settings, Softhsm::pin()).unwrap();
        let mut found = opened.secrets().to_vec();
        listed.sort_by_key(|secret| secret.handle);
        found.sort_by_key(|secret| secret.handle);
        assert_eq!(found, listed);
    });
}

/// What a foreign client sees of each class: usage, and whether the bytes come out.
#[test]
fn classes_on_the_token_are_no_wider_than_their_kind() {
    alone(|softhsm| {
        let vault = TokenVault::open(&softhsm.token("city"), Softhsm::pin()).unwrap();
        for kind in SecretKind::ALL {
            wait(vault.generate(request(kind))).unwrap();
        }
        let told = softhsm.pkcs11_tool("city", &["--list-objects", "--type", "secrkey"]);
        for (kind, usage, access) in [
            ("epoch", "none", "sensitive, always sensitive, extractable, local"),
            ("zone", "none", "sensitive, always sensitive, extractable, local"),
            ("transport", "none", "sensitive, always sensitive, extractable, local"),
            ("card-master", "encrypt, derive", "never extractable"),
            ("wrapping", "wrap, unwrap", "never extractable"),
        ] {
            let found =
                told.split("Secret Key Object").find(|it| it.contains(&format!(" {kind} ")));
            let found = found.unwrap_or_else(|| panic!("{kind} is not in {told}"));
            assert!(found.contains(&format!("Usage:      {usage}\n")), "{kind}: {found}");
            assert!(found.contains(access), "{kind}: {found}");
        }
        let read = softhsm
            .pkcs11_tool_command("city")
            .args(["--read-object", "--type", "secrkey", "--id"])
            .arg(hex(vault.secrets()[0].handle.as_bytes()))
            .output()
            .unwrap();
        assert!(!read.status.success());
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_key_with_a_wider_usage_than_its_kind_is_refused() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let vault = TokenVault::open(&settings, Softhsm::pin()).unwrap();
        let secret = wait(vault.generate(request(SecretKind::Epoch))).unwrap();
        drop(vault);
        assert!(TokenVault::open(&settings, Softhsm::pin()).is_ok());
        widen(&settings, &secret.handle);
        let refused = TokenVault::open(&settings, Softhsm::pin());
        match refused {
            Err(OpenVaultError::TooWide { handle, usage }) => {
                assert_eq!((handle, usage), (secret.handle, "CKA_ENCRYPT"));
            }
            other => panic!("{other:?}"),
        }
    });
}

pub(crate) fn widen(settings: &keys::token::Settings, handle: &SecretHandle) {
    use cryptoki::object::Attribute;
    let pool = keys::token::pool::Pool::open(settings, Softhsm::pin()).unwrap();
    pool.once(|session| {
        let found = session.find_objects(&[Attribute::Id(handle.as_bytes().to_vec())])?;
        session.update_attributes(found[0], &[Attribute::Encrypt(true)])
    })
    .unwrap();
}

#[test]
fn a_master_whose_policy_names_a_missing_mechanism_is_refused_by_its_name() {
    alone(|softhsm| {
        let vault = TokenVault::open(&softhsm.token("city"), Softhsm::pin()).unwrap();
        assert_eq!(vault.missing(Kdf::An10922CbcFallback), None);
        let kdf = Some(Kdf::Sp800108Cmac);
        let refused = wait(vault.generate(NewSecret { kdf, ..request(SecretKind::CardMaster) }));
        let error = refused.unwrap_err();
        assert!(matches!(error, VaultError::KdfNotHere { kdf: Kdf::Sp800108Cmac, .. }));
        assert!(error.to_string().contains("CKM_SP800_108_COUNTER_KDF"), "{error}");
        assert_eq!(vault.secrets().len(), 0);
    });
}

#[test]
fn requests_that_do_not_fit_their_kind_are_refused_by_the_field() {
    let folder = Folder::new();
    let vault = software(&folder);
    let epoch = request(SecretKind::Epoch);
    let at = epoch.epoch;
    let zone = request(SecretKind::Zone);
    let master = request(SecretKind::CardMaster);
    let wrapping = request(SecretKind::Wrapping);
    for (request, expected) in [
        (NewSecret { epoch: at + EPOCHS_AHEAD_MAX, ..epoch.clone() }, None),
        (NewSecret { epoch: at + EPOCHS_AHEAD_MAX + 1, ..epoch.clone() }, Some("epoch")),
        (NewSecret { epoch: at - 1, ..epoch.clone() }, Some("epoch")),
        (NewSecret { epoch: 0, ..epoch.clone() }, Some("epoch")),
        (NewSecret { scope: None, ..epoch.clone() }, Some("scope")),
        (NewSecret { state: State::Retired, ..epoch }, Some("state")),
        (NewSecret { epoch: 1, ..zone.clone() }, Some("epoch")),
        (NewSecret { kdf: Some(Kdf::Sp800108Cmac), ..zone }, Some("kdf")),
        (NewSecret { kdf: None, ..master }, Some("kdf")),
        (NewSecret { scope: Some(scope("B")), ..wrapping }, Some("scope")),
    ] {
        let kind = request.kind;
        match (wait(vault.generate(request)), expected) {
            (Ok(_), None) => {}
            (Err(VaultError::Request { field, .. }), Some(expected)) => assert_eq!(field, expected),
            (found, expected) => panic!("{kind}: {found:?} instead of {expected:?}"),
        }
    }
    assert_eq!(EPOCH_SECONDS, 86_400);
}

#[test]
fn a_keystore_is_no_vault_and_a_vault_no_keystore() {
    let folder = Folder::new();
    drop(software(&folder));
    let keystore = folder.path("city.keys");
    drop(Keystore::create(&keystore, Kind::Server, &folder.unlock()).unwrap());
    let vault = folder.path("city.vault");
    let as_vault = SoftwareVault::open(&keystore, &folder.unlock());
    assert!(matches!(as_vault, Err(OpenError::HoldsNoSecrets)));
    let as_keystore = Keystore::open_server(&vault, &folder.unlock());
    assert!(matches!(as_keystore, Err(OpenError::HoldsSecrets)));
    let as_root = Keystore::open_root(&vault, &folder.unlock());
    assert!(matches!(as_root, Err(OpenError::HoldsNoRoot)));
    let mut bytes = std::fs::read(&vault).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&vault, &bytes).unwrap();
    let damaged = SoftwareVault::open(&vault, &folder.unlock());
    assert!(matches!(damaged, Err(OpenError::Unseal(UnsealError::WrongSecret))));
}

#[test]
fn two_processes_with_one_vault_do_not_overwrite_each_other() {
    let folder = Folder::new();
    let first = software(&folder);
    let second = SoftwareVault::open(&folder.path("city.vault"), &folder.unlock()).unwrap();
    wait(first.generate(request(SecretKind::Zone))).unwrap();
    let late = wait(second.generate(request(SecretKind::Zone)));
    assert!(matches!(late, Err(VaultError::ChangedMeanwhile)));
}
