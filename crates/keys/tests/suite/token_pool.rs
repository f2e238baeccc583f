//! Sessions with a token: found by label, bounded, opened again, never with a refused PIN.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::Instant;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use keys::token::Settings;
use keys::token::pin::{Pin, PinError, PinSource};
use keys::token::pool::{PAUSE_MAX, PAUSE_MIN, PinRefusal, Pool, PoolError, SESSIONS_MAX};

use crate::folder::{Folder, set_mode};
use crate::softhsm::{Softhsm, alone};

const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];

fn make_key(pool: &Pool) {
    pool.once(|session| {
        let public = [Attribute::Token(true), Attribute::EcParams(P256.to_vec())];
        let private = [Attribute::Token(true), Attribute::Private(true), Attribute::Sign(true)];
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
    })
    .unwrap();
}

/// Signs with the first key; a token without keys is one that is gone.
fn sign(pool: &Pool) -> Result<usize, PoolError> {
    let class = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
    let signed = pool.with_connection(|session, connection| {
        let Some(key) = session.find_objects(&class)?.first().copied() else {
            return Ok(Err(connection));
        };
        Ok(Ok(session.sign(&Mechanism::Ecdsa, key, &[7; 32])?.len()))
    })?;
    signed.map_err(|connection| {
        pool.suspect(connection);
        PoolError::Away { label: pool.label().to_owned() }
    })
}

/// Calls until it answers otherwise than with a token that is away.
fn sign_when_back(pool: &Pool) -> Result<usize, PoolError> {
    let begin = Instant::now();
    loop {
        match sign(pool) {
            Err(PoolError::Away { .. } | PoolError::Module { .. } | PoolError::NoToken { .. })
                if begin.elapsed() < PAUSE_MAX * 2 => {}
            answer => return answer,
        }
    }
}

#[test]
fn token_is_found_by_its_label_and_the_others_are_named() {
    alone(|softhsm| {
        let harbour = softhsm.token("harbour");
        softhsm.token("library");
        let pool = Pool::open(&harbour, Softhsm::pin()).unwrap();
        assert_eq!(pool.label(), "harbour");
        let label = "harbor".to_owned();
        let other = Settings { label, ..harbour.clone() };
        let error = Pool::open(&other, Softhsm::pin()).unwrap_err();
        let expected = "find token `harbor`: the module has `harbour`, `library`";
        assert_eq!(error.to_string(), expected);
        make_key(&pool);
        assert_eq!(sign(&pool).unwrap(), 64);
        let module = softhsm.path("no-module.so");
        let missing = Pool::open(&Settings { module, ..harbour }, Softhsm::pin());
        assert!(matches!(missing, Err(PoolError::ModuleFile { .. })));
    });
}

#[test]
fn two_tokens_of_one_label_are_refused() {
    alone(|softhsm| {
        let settings = softhsm.token("harbour");
        softhsm.token("harbour");
        let answer = Pool::open(&settings, Softhsm::pin());
        assert!(matches!(answer, Err(PoolError::SameLabel { .. })));
    });
}

#[test]
fn pools_of_one_token_share_its_login_and_another_pin_is_not_shown_to_it() {
    alone(|softhsm| {
        let (harbour, library) = (softhsm.token("harbour"), softhsm.token("library"));
        let first = Pool::open(&harbour, Softhsm::pin()).unwrap();
        let second = Pool::open(&harbour, Softhsm::pin()).unwrap();
        let other = Pool::open(&library, Softhsm::pin()).unwrap();
        let wrong = Pool::open(&harbour, Pin::new("314159").unwrap());
        assert!(matches!(wrong, Err(PoolError::OtherPin { .. })));
        let count_is_low = |pool: &Pool| {
            let token = pool.with_slot(|library, slot| library.get_token_info(slot));
            token.unwrap().user_pin_count_low()
        };
        assert!(!count_is_low(&first));
        make_key(&first);
        assert_eq!(sign(&second).unwrap(), 64);
        // One pool less does not log the other out.
        drop(first);
        assert_eq!(sign(&second).unwrap(), 64);
        make_key(&other);
        assert_eq!(sign(&other).unwrap(), 64);
        // The control: without an open pool the wrong PIN does reach the token.
        drop(second);
        let wrong = Pool::open(&harbour, Pin::new("314159").unwrap());
        let refusal = PinRefusal::Incorrect;
        assert!(matches!(wrong, Err(PoolError::Pin { refusal: found, .. }) if found == refusal));
    });
}

#[test]
fn pool_finds_the_token_again_after_it_was_away() {
    alone(|softhsm| {
        let pool = Pool::open(&softhsm.token("harbour"), Softhsm::pin()).unwrap();
        let bystander = Pool::open(&softhsm.token("library"), Softhsm::pin()).unwrap();
        make_key(&pool);
        make_key(&bystander);
        for _ in 0..3 {
            softhsm.take_away();
            for _ in 0..100 {
                assert!(sign(&pool).is_err());
            }
            softhsm.put_back();
            assert_eq!(sign_when_back(&pool).unwrap(), 64);
            assert_eq!(sign_when_back(&bystander).unwrap(), 64);
        }
    });
}

#[test]
fn another_token_with_the_same_label_is_not_taken_for_the_first() {
    alone(|softhsm| {
        let pool = Pool::open(&softhsm.token("harbour"), Softhsm::pin()).unwrap();
        make_key(&pool);
        softhsm.take_away();
        assert!(sign(&pool).is_err());
        std::fs::create_dir(softhsm.path("tokens")).unwrap();
        softhsm.token("harbour");
        let answer = sign_when_back(&pool);
        assert!(matches!(answer, Err(PoolError::OtherToken { .. })), "{answer:?}");
    });
}

/// The right PIN turns wrong while the token is away, and right again after the first refusal: a
/// pool that tried by itself would recover.
#[test]
fn refused_pin_is_not_shown_again_until_a_person_opens_the_pool() {
    alone(|softhsm| {
        let pool = Pool::open(&softhsm.token("harbour"), Softhsm::pin()).unwrap();
        make_key(&pool);
        softhsm.take_away();
        assert!(sign(&pool).is_err());
        softhsm.put_back();
        let change = |from, to| {
            let arguments = ["--change-pin", "--pin", from, "--new-pin", to];
            softhsm.pkcs11_tool("harbour", &arguments);
        };
        change(Softhsm::PIN, "314159");
        let answer = sign_when_back(&pool);
        assert!(matches!(answer, Err(PoolError::Pin { refusal: PinRefusal::Incorrect, .. })));
        change("314159", Softhsm::PIN);
        let begin = Instant::now();
        while begin.elapsed() < PAUSE_MIN * 4 {
            assert!(matches!(sign(&pool), Err(PoolError::Closed { .. })));
        }
        pool.reopen(Softhsm::pin()).unwrap();
        assert_eq!(sign(&pool).unwrap(), 64);
    });
}

/// A program that opens in a loop must not use up the tries that a token allows.
#[test]
fn refused_pin_is_not_shown_again_by_opening_again() {
    alone(|softhsm| {
        let settings = softhsm.token("harbour");
        let wrong = || Pool::open(&settings, Pin::new("314159").unwrap());
        let first = wrong();
        assert!(matches!(first, Err(PoolError::Pin { refusal: PinRefusal::Incorrect, .. })));
        for _ in 0..20 {
            assert!(matches!(wrong(), Err(PoolError::Closed { .. })));
        }
        // Another PIN is shown; once it was right, the first may be tried again.
        drop(Pool::open(&settings, Softhsm::pin()).unwrap());
        assert!(matches!(wrong(), Err(PoolError::Pin { .. })));
    });
}

#[test]
fn sessions_are_lent_up_to_the_limit_and_come_back_from_a_panic() {
    alone(|softhsm| {
        let pool = Pool::open(&softhsm.token("harbour"), Softhsm::pin()).unwrap();
        let (all_lent, done) = (Barrier::new(SESSIONS_MAX + 1), Barrier::new(SESSIONS_MAX + 1));
        std::thread::scope(|scope| {
            for _ in 0..SESSIONS_MAX {
                scope.spawn(|| {
                    let held = pool.once(|_| {
                        all_lent.wait();
                        done.wait();
                        Ok(())
                    });
                    held.unwrap();
                });
            }
            all_lent.wait();
            assert!(matches!(pool.once(|_| Ok(())), Err(PoolError::Busy { .. })));
            done.wait();
        });
        for _ in 0..=SESSIONS_MAX {
            let work = || pool.once(|_| -> Result<(), _> { panic!("on purpose") });
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
        }
        pool.once(|session| session.get_session_info()).unwrap();
    });
}

#[test]
fn pin_comes_from_a_file_of_its_owner_or_from_the_environment() {
    let folder = Folder::new();
    let path = folder.path("pin");
    std::fs::write(&path, "271828\n").unwrap();
    let source = PinSource::File(path.clone());
    for (mode, accepted) in [(0o640, false), (0o604, false), (0o600, true), (0o400, true)] {
        set_mode(&path, mode);
        assert_eq!(source.read("harbour").is_ok(), accepted, "{mode:o}");
    }
    set_mode(&path, 0o600);
    std::fs::write(&path, "271828\nmore").unwrap();
    assert!(matches!(source.read("harbour"), Err(PinError::Form)));
    // Cargo sets this one for every test.
    PinSource::Environment("CARGO_PKG_NAME".to_owned()).read("harbour").unwrap();
    let missing = PinSource::Environment("LIMEN_TEST_NO_SUCH_PIN".to_owned()).read("harbour");
    assert!(missing.unwrap_err().to_string().contains("`LIMEN_TEST_NO_SUCH_PIN`"));
}

const ASK: &str = "LIMEN_TEST_ASK";

/// Not a test by itself: what the next test runs at a terminal.
#[test]
fn ask() {
    if std::env::var_os(ASK).is_some() {
        let pin = PinSource::Prompt.read("harbour").unwrap();
        println!("it is the PIN: {}", pin.is_same_as(&Softhsm::pin()));
    }
}

/// `script` of util-linux gives the child a terminal and shows what appears there.
#[test]
fn pin_that_is_typed_at_the_terminal_does_not_appear_there() {
    let exe = std::env::current_exe().unwrap();
    let command = format!("{} token_pool::ask --exact --nocapture --test-threads 1", exe.display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env(ASK, "1");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = Vec::new();
    let mut screen = child.stdout.take().unwrap();
    let mut input = child.stdin.take();
    let mut byte = [0];
    while screen.read(&mut byte).unwrap() == 1 {
        shown.push(byte[0]);
        if shown.ends_with(b"PIN of the token `harbour`: ") {
            writeln!(input.take().unwrap(), "{}", Softhsm::PIN).unwrap();
        }
    }
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("it is the PIN: true"), "{shown}");
    assert!(!shown.contains(Softhsm::PIN), "{shown}");
}
