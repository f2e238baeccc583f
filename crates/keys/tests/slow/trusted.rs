//! Why quirks say of Kryoptic that no officer can trust a wrapping key: it holds keys to
//! `CKA_WRAP_WITH_TRUSTED`, and lets nobody set `CKA_TRUSTED`.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use keys::ceremony::seat::{RootSeat, SeatError};
use keys::token::Token;
use keys::token::pool::Pool;
use keys::token::quirks::Quirks;

use crate::softhsm::Softhsm;
use crate::{kryoptic, wait};

#[test]
fn kryoptic_holds_to_trusted_wrapping_keys_and_no_officer_can_make_one() {
    kryoptic::alone(|settings| {
        let pool = Pool::open(settings, Softhsm::pin()).unwrap();
        let tried = pool.once(|session| {
            let wrapping = session.create_object(&wrapping_key(false))?;
            let guarded = secret(session, true)?;
            let refused = session.wrap_key(&Mechanism::AesKeyWrap, wrapping, guarded).unwrap_err();
            assert!(
                matches!(refused, Error::Pkcs11(RvError::WrappingKeyHandleInvalid, _)),
                "{refused}"
            );
            // The control: the same key without the attribute is wrapped.
            let open = secret(session, false)?;
            session.wrap_key(&Mechanism::AesKeyWrap, wrapping, open)
        });
        assert_eq!(tried.unwrap().len(), 24);
        drop(pool);
        officer(settings);
        // A ceremony tells before anything is made what this token lacks in the first place.
        let officer = Softhsm::officer_pin();
        let token = Token::open_with_officer(settings, Softhsm::pin(), officer).unwrap();
        let refused = wait(token.check_ready()).unwrap_err();
        assert!(matches!(refused, SeatError::NoWrapping { .. }), "{refused}");
    });
}

/// What the security officer can and cannot make.
fn officer(settings: &keys::token::Settings) {
    let module = Pkcs11::new(&settings.module).unwrap();
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => panic!("{error}"),
    }
    let slot = module.get_slots_with_token().unwrap()[0];
    let token = module.get_token_info(slot).unwrap();
    assert!(!Quirks::of(token.manufacturer_id(), token.model()).officer_can_trust);
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::So, Some(&AuthPin::new(Softhsm::OFFICER_PIN.into()))).unwrap();
    let refused = session.create_object(&wrapping_key(true)).unwrap_err();
    assert!(matches!(refused, Error::Pkcs11(..)), "{refused}");
    println!("Kryoptic's officer, asked for CKA_TRUSTED: {refused}");
    // The control: without it the officer makes the same key, and cannot mark it later.
    let wrapping = session.create_object(&wrapping_key(false)).unwrap();
    session.update_attributes(wrapping, &[Attribute::Trusted(true)]).unwrap_err();
    session.logout().unwrap();
}

fn wrapping_key(is_trusted: bool) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Wrap(true),
        Attribute::Value(vec![7; 32]),
    ];
    template.extend(is_trusted.then_some(Attribute::Trusted(true)));
    template
}

/// A key that may leave its token, under a trusted wrapping key alone or under any.
fn secret(session: &Session, is_guarded: bool) -> Result<ObjectHandle, Error> {
    let template = [
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::WrapWithTrusted(is_guarded),
        Attribute::ValueLen(16.into()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template)
}
