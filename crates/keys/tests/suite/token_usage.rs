//! Keys that may do too much, or are not what they say, are not used; crashes are tidied; one
//! custodian at a time.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use keys::custody::{Custody, KeyHandle, SignError};
use keys::object::TypedObject;
use keys::object::cose::BUNDLE_TYP;
use keys::purpose::Purpose;
use keys::token::class::{Class, Flag};
use keys::token::listing::KeyFault;
use keys::token::pool::Pool;
use keys::token::{Role, Settings, Token, TokenError, lock};

use crate::keystore::wait;
use crate::samples;
use crate::softhsm::{Softhsm, alone};
use crate::token::{request, sign, verify};

const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const LABEL: &str = "limen:1 1 bundle - ES256 2026-09-21T14:13:20Z active 2026-09-21T14:13:20Z";

/// What a foreign hand makes: a key whose private half has the attributes `private`.
pub(crate) struct Foreign {
    label: String,
    private: Vec<(Flag, bool)>,
    id: Option<Vec<u8>>,
}

impl Foreign {
    /// A key as this house would have made it, but for `changed`.
    pub(crate) fn with(changed: &[(Flag, bool)]) -> Self {
        let mut private = Class::Online.rules().made_with();
        for (flag, value) in changed {
            private.retain(|(other, _)| other != flag);
            private.push((*flag, *value));
        }
        Self { label: LABEL.to_owned(), private, id: None }
    }

    fn labelled(label: &str) -> Self {
        Self { label: label.to_owned(), ..Self::with(&[]) }
    }

    /// Makes it through the pool, which shares the login of the custodian.
    pub(crate) fn make(&self, pool: &Pool) -> KeyHandle {
        pool.once(|session| {
            let public = [Attribute::Token(true), Attribute::EcParams(P256.to_vec())];
            let private: Vec<Attribute> =
                self.private.iter().map(|(flag, value)| flag.attribute(*value)).collect();
            let (public, private) =
                session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
            let point = session.get_attributes(public, &[AttributeType::EcPoint])?;
            let [Attribute::EcPoint(point)] = &point[..] else { panic!("{point:?}") };
            let handle = KeyHandle::of(&point[2..]);
            let id = self.id.clone().unwrap_or(handle.as_bytes().to_vec());
            let named = [Attribute::Id(id), Attribute::Label(self.label.as_bytes().to_vec())];
            session.update_attributes(public, &named)?;
            session.update_attributes(private, &named)?;
            Ok(handle)
        })
        .unwrap()
    }
}

fn count(session: &Session, class: ObjectClass) -> usize {
    session.find_objects(&[Attribute::Class(class)]).unwrap().len()
}

/// What is changed about a key that is in order, and the attribute at fault.
type Case = (&'static [(Flag, bool)], Option<Flag>);

#[test]
fn key_that_may_do_more_than_its_class_is_not_used_and_the_attribute_is_named() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        // The control: the same key without the fault, made by the same foreign hand.
        let cases: [Case; 9] = [
            (&[], None),
            (&[(Flag::Extractable, true)], Some(Flag::Extractable)),
            (&[(Flag::Sensitive, false)], Some(Flag::Sensitive)),
            (&[(Flag::Decrypt, true)], Some(Flag::Decrypt)),
            (&[(Flag::Derive, true)], Some(Flag::Derive)),
            (&[(Flag::Unwrap, true)], Some(Flag::Unwrap)),
            (&[(Flag::SignRecover, true)], Some(Flag::SignRecover)),
            (&[(Flag::Private, false)], Some(Flag::Private)),
            (&[(Flag::Sign, false)], Some(Flag::Sign)),
        ];
        let pool = Pool::open(&settings, Softhsm::pin()).unwrap();
        let made: Vec<_> = cases
            .iter()
            .map(|(changed, fault)| (Foreign::with(changed).make(&pool), fault))
            .collect();
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        for (position, (handle, fault)) in made.into_iter().enumerate() {
            let key = token.keys().iter().find(|key| key.handle == handle).cloned();
            let id = handle.to_string().replace("key_", "");
            let refused = token.refused();
            let refused = refused.iter().find(|key| key.id == id);
            let Some(attribute) = fault else {
                let key = key.unwrap();
                let (bytes, signature) = sign(&token, &key).unwrap();
                verify(&key, &bytes, &signature);
                assert_eq!(refused, None);
                continue;
            };
            assert_eq!(key, None);
            let bundle = samples::sig_structure(Some(BUNDLE_TYP), &[0xA0]);
            let object = TypedObject::parse(Purpose::Bundle.object_type(), &bundle).unwrap();
            let answer = wait(token.sign(&handle, &object));
            assert_eq!(answer, Err(SignError::UnknownKey { handle }));
            let refused = refused.unwrap();
            let value = cases[position].0[0].1;
            assert_eq!(
                refused.fault,
                KeyFault::Usage { class: Class::Online, attribute: *attribute, value }
            );
            assert!(refused.to_string().contains(attribute.as_str()), "{refused}");
        }
    });
}

#[test]
fn key_that_another_process_makes_is_found_when_it_is_named() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        let handle = Foreign::with(&[]).make(token.pool());
        let bundle = samples::sig_structure(Some(BUNDLE_TYP), &[0xA0]);
        let object = TypedObject::parse(Purpose::Bundle.object_type(), &bundle).unwrap();
        let begin = Instant::now();
        // The list was read a moment ago, and naming unknown keys does not have it read all the time.
        let signature = loop {
            match wait(token.sign(&handle, &object)) {
                Err(SignError::UnknownKey { .. }) if begin.elapsed() < Duration::from_secs(2) => {}
                answer => break answer.unwrap(),
            }
        };
        let key = token.keys().iter().find(|key| key.handle == handle).cloned().unwrap();
        verify(&key, &bundle, &signature);
    });
}

#[test]
fn key_that_was_imported_or_could_leave_the_token_once_is_not_used() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let pool = Pool::open(&settings, Softhsm::pin()).unwrap();
        // Extractable when it was made, closed afterwards: it may have left meanwhile.
        let once = Foreign::with(&[(Flag::Extractable, true)]);
        let handle = once.make(&pool);
        pool.once(|session| {
            let wanted = [
                Attribute::Class(ObjectClass::PRIVATE_KEY),
                Attribute::Id(handle.as_bytes().to_vec()),
            ];
            let found = session.find_objects(&wanted)?;
            session.update_attributes(found[0], &[Attribute::Extractable(false)])
        })
        .unwrap();
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        assert!(token.keys().is_empty());
        let expected = KeyFault::Usage {
            class: Class::Online,
            attribute: Flag::NeverExtractable,
            value: false,
        };
        assert_eq!(token.refused()[0].fault, expected);
    });
}

#[test]
fn key_that_is_not_what_its_label_or_its_name_says_is_not_used() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let pool = Pool::open(&settings, Softhsm::pin()).unwrap();
        let cases = [
            (Foreign::labelled("limen:9 something later"), Some(KeyFault::Label)),
            (Foreign::labelled(&LABEL.replace("ES256", "ES384")), Some(KeyFault::Suite)),
            (Foreign::labelled(&LABEL.replace("bundle", "checkpoint")), Some(KeyFault::Suite)),
            (Foreign { id: Some(vec![7; 16]), ..Foreign::with(&[]) }, Some(KeyFault::Id)),
            // The controls: nobody's business, and in order.
            (Foreign::labelled("somebody else's key"), None),
            (Foreign::with(&[]), None),
        ];
        for (foreign, _) in &cases {
            foreign.make(&pool);
        }
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        let mut found: Vec<_> = token.refused().iter().map(|key| key.fault.to_string()).collect();
        let mut expected: Vec<_> =
            cases.iter().filter_map(|(_, fault)| Some(fault.as_ref()?.to_string())).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(token.keys().len(), 1);
    });
}

#[test]
fn what_a_crash_left_half_made_is_swept_at_the_next_opening() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        let key = wait(token.generate(request(Purpose::Bundle))).unwrap();
        // Between making and naming; and between the ends of the private and the public half.
        Foreign::labelled("limen:1 unfinished").make(token.pool());
        let orphan = Foreign::with(&[]).make(token.pool());
        let id = orphan.to_string().replace("key_", "");
        softhsm.pkcs11_tool("city", &["--delete-object", "--type", "privkey", "--id", &id]);
        // Not ours, so not swept.
        Foreign::labelled("somebody else's key").make(token.pool());
        drop(token);
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        assert_eq!(token.keys().as_ref(), [key]);
        let counts = token.pool().once(|session| {
            Ok((count(session, ObjectClass::PRIVATE_KEY), count(session, ObjectClass::PUBLIC_KEY)))
        });
        assert_eq!(counts.unwrap(), (2, 2));
    });
}

const HOLD: &str = "LIMEN_TEST_HOLD";

/// Another process that takes the token and holds it until its input ends; see [`hold`].
fn holder(softhsm: &Softhsm) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["token_usage::hold", "--exact", "--nocapture", "--test-threads", "1"]);
    softhsm.set(&mut command).env(HOLD, "city");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(told.map_while(Result::ok).any(|line| line.contains("holding")));
    child
}

/// Not a test by itself: what [`holder`] runs.
#[test]
fn hold() {
    let Ok(label) = std::env::var(HOLD) else { return };
    let settings = Settings { module: Softhsm::MODULE.into(), label };
    let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
    println!("holding");
    std::io::stdin().lines().for_each(drop);
    drop(token);
}

#[test]
fn second_custodian_of_a_token_is_refused_and_a_crash_does_not_keep_the_next_one_out() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let open = || Token::open(&settings, Softhsm::pin(), Role::City);
        let is_refused = |answer: Result<Token, TokenError>, process: u32| {
            let error = answer.unwrap_err();
            assert!(matches!(error, TokenError::InUse { .. }), "{error}");
            assert!(error.to_string().contains(&format!("process={process} ")), "{error}");
        };
        // In the same process.
        let first = open().unwrap();
        is_refused(open(), std::process::id());
        drop(first);
        // Another process that runs.
        let mut other = holder(softhsm);
        is_refused(open(), other.id());
        // It ends in order.
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        drop(open().unwrap());
        // It crashes: its mark stays on the token, and is known for that of a dead process.
        let mut other = holder(softhsm);
        other.kill().unwrap();
        other.wait().unwrap();
        let pool = Pool::open(&settings, Softhsm::pin()).unwrap();
        let marks = lock::holders(&pool, Role::City).unwrap();
        assert!(marks[0].contains(&format!("process={} ", other.id())), "{marks:?}");
        let token = open().unwrap();
        assert_eq!(lock::holders(&pool, Role::City).unwrap().len(), 1);
        let key = wait(token.generate(request(Purpose::Bundle))).unwrap();
        assert!(sign(&token, &key).is_ok());
    });
}

#[test]
fn mark_of_a_custodian_elsewhere_keeps_others_out_until_a_person_removes_it() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let pool = Pool::open(&settings, Softhsm::pin()).unwrap();
        let elsewhere = b"process=1 started=1 machine=elsewhere/00 boot=1 namespace=pid:[1] tag=1";
        pool.once(|session| {
            session.create_object(&[
                Attribute::Class(ObjectClass::DATA),
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Label(b"limen:1 custodian city".to_vec()),
                Attribute::Value(elsewhere.to_vec()),
            ])
        })
        .unwrap();
        let error = Token::open(&settings, Softhsm::pin(), Role::City).unwrap_err();
        assert!(error.to_string().contains("machine=elsewhere/00"), "{error}");
        assert_eq!(lock::release(&pool, Role::City).unwrap().len(), 1);
        Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
    });
}
