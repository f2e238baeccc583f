//! Each class of keys, seen by the foreign client and by trying what must fail.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::ekdf::AesCbcDeriveParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use keys::custody::Custody;
use keys::purpose::Purpose;
use keys::token::class::{Class, Flag};
use keys::token::pool::Pool;
use keys::token::{Role, Token};

use crate::keystore::wait;
use crate::softhsm::{Softhsm, alone};
use crate::token::request;

const ZERO: [u8; 16] = [0; 16];

fn secret(session: &Session, class: Class) -> Result<ObjectHandle, Error> {
    let mut template = class.rules().template(false);
    template.extend([
        Attribute::ValueLen(Ulong::new(32)),
        Attribute::Label(class.as_str().as_bytes().to_vec()),
    ]);
    session.generate_key(&Mechanism::AesKeyGen, &template)
}

/// What the foreign client says of the object with `label` of this kind: its lines `Usage` and
/// `Access`.
fn seen(softhsm: &Softhsm, kind: &str, label: &str) -> (String, String) {
    let listed = softhsm.pkcs11_tool("city", &["--list-objects"]);
    let object = listed
        .split("Object")
        .zip(listed.split("Object").skip(1))
        .find(|(before, text)| before.trim_end().ends_with(kind) && text.contains(label))
        .map(|(_, text)| text.to_owned())
        .unwrap_or_else(|| panic!("{kind} {label}: {listed}"));
    let line = |name: &str| {
        let line = object.lines().map(str::trim).find(|line| line.starts_with(name));
        line.unwrap_or_default().trim_start_matches(name).trim().to_owned()
    };
    (line("Usage:"), line("Access:"))
}

#[test]
fn foreign_client_sees_of_each_class_what_its_keys_may_do() {
    alone(|softhsm| {
        let pool = Pool::open(&softhsm.token("city"), Softhsm::pin()).unwrap();
        let cases = [
            (Class::Transport, "wrap, unwrap", "sensitive, always sensitive, extractable, local"),
            (Class::Delivered, "none", "sensitive, always sensitive, extractable, local"),
            (Class::CardMaster, "derive", "sensitive, always sensitive, never extractable, local"),
            (
                Class::CardMasterEncrypting,
                "encrypt, derive",
                "sensitive, always sensitive, never extractable, local",
            ),
            (
                Class::Custodians,
                "wrap, unwrap",
                "sensitive, always sensitive, never extractable, local",
            ),
        ];
        for (class, usage, access) in cases {
            pool.once(|session| secret(session, class)).unwrap();
            let expected = (usage.to_owned(), access.to_owned());
            assert_eq!(seen(softhsm, "Secret Key", class.as_str()), expected, "{class}");
        }
    });
}

#[test]
fn foreign_client_sees_signing_keys_that_only_sign() {
    alone(|softhsm| {
        let (city, root) = (softhsm.token("city"), softhsm.token("root"));
        let city = Token::open(&city, Softhsm::pin(), Role::City).unwrap();
        wait(city.generate(request(Purpose::Bundle))).unwrap();
        let expected = ("sign", "sensitive, always sensitive, never extractable, local");
        let (usage, access) = seen(softhsm, "Private Key", " bundle ");
        assert_eq!((usage.as_str(), access.as_str()), expected);
        let root = Token::open(&root, Softhsm::pin(), Role::Root).unwrap();
        wait(root.generate(request(Purpose::CityRoot))).unwrap();
        let listed = softhsm.pkcs11_tool("root", &["--list-objects", "--type", "privkey"]);
        assert!(listed.contains("Usage:      sign\n"), "{listed}");
        assert!(listed.contains("Access:     sensitive, always sensitive, extractable, local"));
    });
}

/// The code with which the token refused.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Pkcs11(code, _)) => format!("{code:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn token_refuses_what_a_class_does_not_allow() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        wait(token.generate(request(Purpose::Bundle))).unwrap();
        let checked = token.pool().once(|session| {
            let keys = [
                Class::Transport,
                Class::Delivered,
                Class::CardMaster,
                Class::CardMasterEncrypting,
                Class::Custodians,
            ]
            .map(|class| (class, secret(session, class).unwrap()));
            for (class, key) in keys {
                let may = |flag| class.rules().made_with().contains(&(flag, true));
                // Never told, whatever the class.
                let value = session.get_attributes(key, &[AttributeType::Value])?;
                assert!(value.is_empty(), "{class}");
                let tries = [
                    (Flag::Encrypt, session.encrypt(&Mechanism::AesEcb, key, &ZERO).map(drop)),
                    (Flag::Decrypt, session.decrypt(&Mechanism::AesEcb, key, &ZERO).map(drop)),
                    (Flag::Sign, session.sign(&Mechanism::AesCMac, key, &ZERO).map(drop)),
                    (Flag::Derive, derive(session, key)),
                    (Flag::Wrap, wrap(session, key)),
                ];
                for (flag, answer) in tries {
                    if may(flag) {
                        assert!(answer.is_ok(), "{class} {flag}: {answer:?}");
                    } else {
                        let expected = match flag {
                            Flag::Wrap => ["KeyNotWrappable", "KeyFunctionNotPermitted"],
                            _ => ["KeyFunctionNotPermitted", "KeyTypeInconsistent"],
                        };
                        let code = refusal(answer);
                        assert!(expected.contains(&&*code), "{class} {flag}: {code}");
                    }
                }
            }
            never_leaves(session, keys[4].1)
        });
        checked.unwrap();
    });
}

fn derive(session: &Session, key: ObjectHandle) -> Result<(), Error> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::ValueLen(Ulong::new(16)),
    ];
    let params = AesCbcDeriveParams::new(ZERO, &ZERO);
    session.derive_key(&Mechanism::AesCbcEncryptData(params), key, &template).map(drop)
}

/// Wraps a key of the class that may leave.
fn wrap(session: &Session, key: ObjectHandle) -> Result<(), Error> {
    let delivered = secret(session, Class::Delivered)?;
    session.wrap_key(&Mechanism::AesKeyWrap, key, delivered).map(drop)
}

/// Keys that never leave are not wrapped by the custodians' wrapping key either; the control is one
/// that may.
fn never_leaves(session: &Session, custodians: ObjectHandle) -> Result<(), Error> {
    let signing = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])?[0];
    let padded = Mechanism::AesKeyWrapPad;
    let refused = session.wrap_key(&padded, custodians, signing);
    assert_eq!(refusal(refused), "KeyUnextractable");
    let master = secret(session, Class::CardMaster)?;
    let refused = session.wrap_key(&Mechanism::AesKeyWrap, custodians, master);
    assert_eq!(refusal(refused), "KeyUnextractable");
    // A key that was made so cannot be opened later.
    let opened = session.update_attributes(master, &[Attribute::Extractable(true)]);
    assert!(matches!(opened, Err(Error::Pkcs11(RvError::AttributeReadOnly, _))));
    let opened = session.update_attributes(master, &[Attribute::Sensitive(false)]);
    assert!(matches!(opened, Err(Error::Pkcs11(RvError::AttributeReadOnly, _))));
    let transport = secret(session, Class::Transport)?;
    session.wrap_key(&Mechanism::AesKeyWrap, custodians, transport).map(drop)
}

/// Why the wrapping key of a ceremony is not private: the attribute is enforced, but no private key
/// can be marked.
#[test]
fn wrap_with_trusted_is_enforced_and_no_private_key_can_be_trusted() {
    alone(|softhsm| {
        let pool = Pool::open(&softhsm.token("city"), Softhsm::pin()).unwrap();
        let tried = pool.once(|session| {
            let wrapping = secret(session, Class::Custodians)?;
            let mut template = Class::Transport.rules().template(true);
            template.push(Attribute::ValueLen(Ulong::new(32)));
            let guarded = session.generate_key(&Mechanism::AesKeyGen, &template)?;
            let open = secret(session, Class::Transport)?;
            let refused = session.wrap_key(&Mechanism::AesKeyWrap, wrapping, guarded);
            assert_eq!(refusal(refused), "KeyNotWrappable");
            // The user cannot mark the key as trusted.
            assert!(session.update_attributes(wrapping, &[Attribute::Trusted(true)]).is_err());
            // The control: the same key without the attribute is wrapped.
            session.wrap_key(&Mechanism::AesKeyWrap, wrapping, open)
        });
        assert_eq!(tried.unwrap().len(), 40);
        drop(pool);
        // The officer sees no private object.
        let mut officer = std::process::Command::new("pkcs11-tool");
        officer.args(["--module", Softhsm::MODULE, "--token-label", "city", "--session-rw"]);
        officer.args([
            "--list-objects",
            "--login",
            "--login-type",
            "so",
            "--so-pin",
            Softhsm::OFFICER_PIN,
        ]);
        let listed = softhsm.run(&mut officer);
        assert!(!listed.contains("custodians"), "{listed}");
    });
}
