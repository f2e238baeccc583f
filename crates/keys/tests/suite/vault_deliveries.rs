//! Deliveries: opened by the reader for which they are made, and by nobody else.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_768};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use credential::aws_lc::AwsLc;
use credential::crypto::{Crypto, P256Secret, PublicKey, SharedSecret};
use credential::delivery::recipient::{Recipient, Statement, VerifiedRecipient};
use credential::delivery::schedule::{Agreed, open};
use credential::delivery::{
    Context, DELIVERY_BYTES_MAX, Delivery, DeliveryError, Kcv, Purpose, Suite,
};
use keys::custody::State;
use keys::vault::token::TokenVault;
use keys::vault::{SecretKind, Vault, WrapError};
use vocabulary::id::ReaderId;

use crate::folder::Folder;
use crate::keystore::wait;
use crate::softhsm::{Softhsm, alone};
use crate::vault::{now, request, software};

/// A reader with its delivery keys in hand.
pub(crate) struct Reader {
    p256: P256Secret,
    ml_kem: Option<DecapsulationKey>,
    pub(crate) recipient: Recipient,
    pub(crate) verified: VerifiedRecipient,
    pub(crate) statement: Statement,
    /// The key of its certificate.
    pub(crate) key: PublicKey,
}

impl Reader {
    pub(crate) fn new(number: u8, suite: Suite) -> Self {
        let p256 = P256Secret::from_bytes([number; 32]);
        let public = AwsLc.p256_public(&p256).unwrap();
        let ml_kem = match suite {
            Suite::P256 => None,
            Suite::P256MlKem768 => Some(DecapsulationKey::generate(&ML_KEM_768).unwrap()),
        };
        let encapsulation = ml_kem
            .as_ref()
            .map(|key| key.encapsulation_key().unwrap().key_bytes().unwrap().as_ref().to_vec());
        let recipient = Recipient::new(public, encapsulation).unwrap();
        let reader = ReaderId::from_bytes([number; 16]);
        let identity = P256Secret::from_bytes([100 + number; 32]);
        let challenge = recipient.challenge(reader);
        let statement = Statement {
            reader,
            recipient: recipient.clone(),
            by_reader: AwsLc.p256_sign(&identity, &challenge).unwrap(),
            by_delivery_key: AwsLc.p256_sign(&p256, &challenge).unwrap(),
        };
        let key = PublicKey::P256(AwsLc.p256_public(&identity).unwrap());
        let statement = Statement::parse(&statement.encode()).unwrap();
        let verified = statement.verify_by(&AwsLc, &key).unwrap();
        Self { p256, ml_kem, recipient, verified, statement, key }
    }

    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Vec<u8>, DeliveryError> {
        let delivery = Delivery::parse(bytes)?;
        let agree =
            |point| AwsLc.p256_agree(&self.p256, point).map_err(|_| DeliveryError::Key("P-256"));
        let p256 = agree(&delivery.ephemeral)?;
        let shared =
            self.ml_kem.as_ref().zip(delivery.encapsulated.as_ref()).map(|(key, bytes)| {
                let shared = key.decapsulate(Ciphertext::from(bytes.as_slice())).unwrap();
                SharedSecret::from_bytes(shared.as_ref().try_into().unwrap())
            });
        let agreed = Agreed { p256: &p256, ml_kem: shared.as_ref() };
        let inner = open(&AwsLc, &delivery, &self.recipient, &agreed)?;
        let kek = agree(&inner.ephemeral)?;
        let mut key = vec![0; inner.wrapped.len()];
        let kek = AesKek::new(&AES_256, kek.danger_bytes()).unwrap();
        let key = kek.unwrap(&inner.wrapped, &mut key).map_err(|_| DeliveryError::Sealed)?;
        Ok(key.to_vec())
    }
}

fn kcv(key: &[u8]) -> Kcv {
    use aws_lc_rs::cmac;
    let key = cmac::Key::new(cmac::AES_256, key).unwrap();
    Kcv::of_mac(cmac::sign(&key, &[0; 16]).unwrap().as_ref().try_into().unwrap())
}

fn check_deliveries(vault: &dyn Vault) {
    for suite in [Suite::P256, Suite::P256MlKem768] {
        let (reader, other) = (Reader::new(1, suite), Reader::new(2, suite));
        for kind in [SecretKind::Epoch, SecretKind::Zone] {
            let secret = wait(vault.generate(request(kind))).unwrap();
            let delivery = wait(vault.wrap_for(&secret.handle, &reader.verified)).unwrap();
            let bytes = delivery.encode();
            let key = reader.open(&bytes).unwrap();
            assert_eq!((key.len(), kcv(&key)), (32, secret.kcv));
            assert_eq!(delivery.context.recipient, [1; 16]);
            assert_eq!(delivery.context.epoch, secret.epoch);
            assert_eq!(other.open(&bytes), Err(DeliveryError::Sealed));
            // Never twice the same, and each opens.
            let again = wait(vault.wrap_for(&secret.handle, &reader.verified)).unwrap().encode();
            assert_ne!(bytes, again);
            assert_eq!(reader.open(&again), Ok(key));
            // For the other reader's name with this reader's keys it does not open either.
            check_context(&reader, &delivery);
        }
        let secret = wait(vault.generate(request(SecretKind::Epoch))).unwrap();
        let bytes = wait(vault.wrap_for(&secret.handle, &reader.verified)).unwrap().encode();
        assert!(reader.open(&bytes).is_ok());
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(reader.open(&changed).is_err(), "{}: byte {position}", suite.as_str());
        }
        for length in 0..bytes.len() {
            assert!(reader.open(&bytes[..length]).is_err(), "cut at {length}");
        }
    }
}

/// Every field of the associated data, changed alone; the control is the delivery as it is.
fn check_context(reader: &Reader, delivery: &Delivery) {
    assert!(reader.open(&delivery.encode()).is_ok());
    let context = &delivery.context;
    let purpose = match context.purpose {
        Purpose::Epoch => Purpose::Zone,
        _ => Purpose::Epoch,
    };
    let epoch = if purpose == Purpose::Epoch { 7 } else { 0 };
    let mut scope = context.scope.clone();
    scope.zone = Some("C".parse().unwrap());
    let no_zone = credential::delivery::Scope { zone: None, ..scope.clone() };
    let operator = "bus".parse().unwrap();
    let other = credential::delivery::Scope { operator, ..context.scope.clone() };
    let mut changed = vec![
        ("reader", Context { recipient: [2; 16], ..context.clone() }),
        ("purpose", Context { purpose, epoch, ..context.clone() }),
        ("zone", Context { scope, ..context.clone() }),
        ("no zone", Context { scope: no_zone, ..context.clone() }),
        ("operator", Context { scope: other, ..context.clone() }),
        ("version", Context { version: context.version + 1, ..context.clone() }),
        ("check value", Context { kcv: Kcv([9; 5]), ..context.clone() }),
    ];
    if context.purpose == Purpose::Epoch {
        changed.push(("epoch", Context { epoch: context.epoch + 1, ..context.clone() }));
    }
    for (what, context) in changed {
        let forged = Delivery { context, ..delivery.clone() }.encode();
        assert_eq!(reader.open(&forged), Err(DeliveryError::Sealed), "{what}");
    }
}

#[test]
fn deliveries_of_the_software_vault_open_for_their_reader_alone() {
    let folder = Folder::new();
    check_deliveries(&software(&folder));
}

#[test]
fn deliveries_of_a_token_open_for_their_reader_alone() {
    alone(|softhsm| {
        let vault = TokenVault::open(&softhsm.token("city"), Softhsm::pin()).unwrap();
        check_deliveries(&vault);
        // Nothing that was agreed on stays behind.
        let told = softhsm.pkcs11_tool("city", &["--list-objects"]);
        assert_eq!(told.matches("Object;").count(), vault.secrets().len(), "{told}");
    });
}

fn check_refusals(vault: &dyn Vault) {
    let reader = Reader::new(1, Suite::P256);
    for kind in [SecretKind::CardMaster, SecretKind::Transport, SecretKind::Wrapping] {
        let secret = wait(vault.generate(request(kind))).unwrap();
        let refused = wait(vault.wrap_for(&secret.handle, &reader.verified));
        assert_eq!(refused.unwrap_err(), WrapError::Kind { kind });
    }
    let secret = wait(vault.generate(request(SecretKind::Epoch))).unwrap();
    let handle = secret.handle;
    assert!(wait(vault.wrap_for(&handle, &reader.verified)).is_ok());
    let mut off = *reader.recipient.p256();
    off[64] ^= 1;
    let mut identity = [0; 65];
    identity[0] = 4;
    for point in [off, identity, [0; 65], [4; 65]] {
        let keys = Recipient::new(point, None).unwrap();
        let wrong = VerifiedRecipient::danger_process([1; 16], keys);
        let refused = wait(vault.wrap_for(&handle, &wrong));
        assert_eq!(refused.unwrap_err(), WrapError::Recipient(DeliveryError::Key("P-256")));
    }
    wait(vault.set_state(&handle, State::Retired, now())).unwrap();
    let refused = wait(vault.wrap_for(&handle, &reader.verified));
    assert_eq!(refused.unwrap_err(), WrapError::Retired { handle });
}

#[test]
fn what_must_not_leave_the_software_vault_does_not() {
    let folder = Folder::new();
    check_refusals(&software(&folder));
}

#[test]
fn what_must_not_leave_a_token_does_not() {
    alone(|softhsm| {
        let vault = TokenVault::open(&softhsm.token("city"), Softhsm::pin()).unwrap();
        check_refusals(&vault);
    });
}

/// Post-quantum agreement on one side only is named, whichever side it is.
#[test]
fn suites_that_do_not_match_are_named() {
    let folder = Folder::new();
    let vault = software(&folder);
    let secret = wait(vault.generate(request(SecretKind::Zone))).unwrap();
    let (plain, hybrid) = (Reader::new(1, Suite::P256), Reader::new(1, Suite::P256MlKem768));
    for (to, by) in [(&plain, &hybrid), (&hybrid, &plain)] {
        let bytes = wait(vault.wrap_for(&secret.handle, &to.verified)).unwrap().encode();
        assert_eq!(by.open(&bytes), Err(DeliveryError::Suite));
        assert!(to.open(&bytes).is_ok());
    }
    // A downgrade of the suite in the bytes is no delivery any more.
    let sent = wait(vault.wrap_for(&secret.handle, &hybrid.verified)).unwrap();
    let down = Delivery { suite: Suite::P256, encapsulated: None, ..sent };
    assert_eq!(plain.open(&down.encode()), Err(DeliveryError::Sealed));
}

#[test]
fn a_delivery_past_its_limit_is_not_read() {
    let folder = Folder::new();
    let vault = software(&folder);
    let reader = Reader::new(1, Suite::P256);
    let secret = wait(vault.generate(request(SecretKind::Zone))).unwrap();
    let sent = wait(vault.wrap_for(&secret.handle, &reader.verified)).unwrap();
    let padded = |bytes: usize| Delivery { sealed: vec![0; bytes], ..sent.clone() }.encode();
    let frame = padded(300).len() - 300;
    let at = padded(DELIVERY_BYTES_MAX - frame);
    assert_eq!(at.len(), DELIVERY_BYTES_MAX);
    assert_eq!(Delivery::parse(&at), Err(DeliveryError::Field("sealed")));
    let past = padded(DELIVERY_BYTES_MAX - frame + 1);
    assert_eq!(Delivery::parse(&past), Err(DeliveryError::TooLong));
}

/// Whoever writes another reader's keys into a row gets nothing: each signature is needed.
#[test]
fn delivery_keys_that_their_reader_did_not_sign_are_refused() {
    let (reader, other) = (Reader::new(1, Suite::P256), Reader::new(2, Suite::P256));
    let id = ReaderId::from_bytes([1; 16]);
    let identity = P256Secret::from_bytes([101; 32]);
    let key = PublicKey::P256(AwsLc.p256_public(&identity).unwrap());
    let challenge = reader.recipient.challenge(id);
    let sign = |secret: &P256Secret| AwsLc.p256_sign(secret, &challenge).unwrap();
    let good = Statement {
        reader: id,
        recipient: reader.recipient.clone(),
        by_reader: sign(&identity),
        by_delivery_key: sign(&reader.p256),
    };
    assert_eq!(good.verify_by(&AwsLc, &key).unwrap().keys(), reader.verified.keys());
    for (what, wrong) in [
        ("another key", Statement { recipient: other.recipient.clone(), ..good.clone() }),
        ("another reader", Statement { reader: ReaderId::from_bytes([2; 16]), ..good.clone() }),
        ("not by the reader", Statement { by_reader: sign(&other.p256), ..good.clone() }),
        ("not possessed", Statement { by_delivery_key: sign(&identity), ..good.clone() }),
    ] {
        let refused = wrong.verify_by(&AwsLc, &key).unwrap_err();
        assert_eq!(refused.code, "delivery-keys-proof", "{what}");
    }
}
