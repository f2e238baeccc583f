//! Card keys by the counter KDF of NIST SP 800-108, on a token that has it, against values that another
//! implementation computed: `KBKDFCMAC` and `CMAC` of the Python package `cryptography` 50.0.2 (OpenSSL),
//! with an 8-bit counter before the input and no length field. The first is published too, in AN10922.

use credential::delivery::Scope;
use keys::custody::State;
use keys::vault::diversify::{CardInput, Kdf};
use keys::vault::ev2::{Mode, Session};
use keys::vault::personalise::{Change, Process};
use keys::vault::token::TokenVault;
use keys::vault::{CardAnswer, CardError, NewSecret, SecretKind, Vault, VaultError};

use crate::softhsm::{Softhsm, alone};
use crate::{AT, kryoptic, wait};

const MASTER: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;

/// Input of the card, and the CMAC of `probe` with the key that follows from it.
const DERIVED: [(&str, &str); 3] = [
    // AN10922: the key is a8dd63a3b89d54b37ca802473fda9175.
    (AN10922, "4551b5838b206fa9a62819114c15aacc"),
    ("04782e21801d803042f54e5850204162", "599ff6cb74ec56d9a471a5c451e4a780"),
    (
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "04f10ef5c464b3e306d0d44cfdc557d4",
    ),
];
const AN10922: &str = "04782e21801d803042f54e585020416275";

/// An authentication (AN12196, 5.6) with the key of AN10922 and the randoms of AN12196.
const RND_A: &str = "13c5db8a5930439fc3def9a4c675360f";
const CHALLENGE: &str = "f86a84dec4d286c02b12d5f7f1848250";
const ANSWER: &str = "920bda999c5c73aeed4fba84670095bfce5d77b00a5c9f4def691486270f0865";
const RESPONSE: &str = "23c16398527ed42a2ffb563bbb924dbf7fcd1a283f89080f9e389dd219f3ffcd";
const ENCRYPTION: &str = "bdd0009f2bf4523e4735b3014a728b61";
const MAC: &str = "63a27dfde0314ccfc28291dc9fc210db";

/// ChangeKey of key 0 to the key of AN10922, version 1, under a session of known keys.
const COMMAND: &str =
    "009797dba406cdf3a47c0b337b6f19a7e93deeb467ca639681552e952633f452a7832c54b724f6b77c";

fn bytes(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|it| u8::from_str_radix(core::str::from_utf8(it).unwrap(), 16).unwrap()).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

fn request(kdf: Kdf) -> NewSecret {
    NewSecret {
        kind: SecretKind::CardMaster,
        scope: Some(Scope { operator: "tram".parse().unwrap(), zone: None }),
        epoch: 0,
        kdf: Some(kdf),
        state: State::Active,
        after: 0,
        at: AT,
    }
}

#[test]
fn card_keys_are_derived_by_the_counter_kdf_of_a_token() {
    kryoptic::alone(|settings| {
        let vault = TokenVault::open(settings, Softhsm::pin()).unwrap();
        // The master of the one can derive and nothing else; the fallback gives the same keys.
        for kdf in Kdf::ALL {
            assert_eq!(vault.missing(kdf), None);
            let master = vault.danger_import(request(kdf), &MASTER.to_be_bytes()).unwrap();
            for (input, expected) in DERIVED {
                let card = CardInput::new(&bytes(input)).unwrap();
                let mac = vault.danger_card_mac(&master.handle, &card, b"probe").unwrap();
                assert_eq!(mac, array(expected), "{kdf}: {input}");
            }
        }
        authenticate(&vault);
        personalise(&vault);
        // Opened anew, usages are looked at, and the keys are the same.
        let before = vault.secrets();
        drop(vault);
        let again = TokenVault::open(settings, Softhsm::pin()).unwrap();
        assert_eq!(again.secrets(), before);
        pace(&again);
    });
}

/// The control: without the mechanism a token refuses, and does not take the other way.
#[test]
fn a_token_without_the_counter_kdf_refuses_a_master_that_names_it() {
    alone(|softhsm| {
        let vault = TokenVault::open(&softhsm.token("city"), Softhsm::pin()).unwrap();
        let kdf = Kdf::Sp800108Cmac;
        let refused = wait(vault.generate(request(kdf))).unwrap_err();
        let mechanism = "CKM_SP800_108_COUNTER_KDF";
        assert!(
            matches!(refused, VaultError::KdfNotHere { kdf: of, mechanism: lacks }
                if of == kdf && lacks == mechanism),
            "{refused}"
        );
        wait(vault.generate(request(Kdf::An10922CbcFallback))).unwrap();
    });
}

fn authenticate(vault: &TokenVault) {
    let master = vault.danger_import(request(Kdf::Sp800108Cmac), &MASTER.to_be_bytes()).unwrap();
    let card = CardInput::new(&bytes(AN10922)).unwrap();
    let begin = |card: &CardInput| {
        let challenge = array(CHALLENGE);
        vault.danger_answer_card(&master.handle, card, Mode::First, &challenge, array(RND_A))
    };
    let CardAnswer { run, answer } = begin(&card).unwrap();
    assert_eq!(answer.as_slice(), bytes(ANSWER));
    let session = wait(vault.finish_card(&run, &bytes(RESPONSE))).unwrap();
    assert_eq!(session.danger_encryption_key(), &array(ENCRYPTION));
    assert_eq!(session.danger_mac_key(), &array(MAC));
    assert_eq!(session.transaction(), Some(&array("9d00c4df")));
    // Another card, or a byte of its answer changed: no session.
    let other = begin(&CardInput::new(&[9; 20]).unwrap()).unwrap();
    let refused = wait(vault.finish_card(&other.run, &bytes(RESPONSE)));
    assert_eq!(refused.unwrap_err(), CardError::Card);
    let mut changed = bytes(RESPONSE);
    changed[0] ^= 1;
    let refused = wait(vault.finish_card(&begin(&card).unwrap().run, &changed));
    assert_eq!(refused.unwrap_err(), CardError::Card);
}

/// The key goes into a card, wrapped by the token for the process that writes it.
fn personalise(vault: &TokenVault) {
    let master = vault.danger_import(request(Kdf::Sp800108Cmac), &MASTER.to_be_bytes()).unwrap();
    let card = CardInput::new(&bytes(AN10922)).unwrap();
    let ledger = std::env::temp_dir().join(format!("limen-slow-ledger-{}", std::process::id()));
    let mut process = Process::begin(&ledger).unwrap();
    let change = Change {
        card: &card,
        key_number: 0,
        old: None,
        new: &master.handle,
        version: 1,
        counter: 0,
        at: AT,
    };
    let session = Session::new([3; 16], [4; 16], Some([1, 2, 3, 4]));
    let command = wait(process.change_key(vault, &session, &change)).unwrap();
    std::fs::remove_file(&ledger).unwrap();
    assert_eq!(command.as_slice(), bytes(COMMAND));
}

fn pace(vault: &TokenVault) {
    const CARDS: u32 = 500;
    let master = wait(vault.generate(request(Kdf::Sp800108Cmac))).unwrap();
    let card = CardInput::new(&bytes(AN10922)).unwrap();
    let begin = std::time::Instant::now();
    for _ in 0..CARDS {
        wait(vault.answer_card(&master.handle, &card, Mode::First, &[7; 16])).unwrap();
    }
    let rate = f64::from(CARDS) / begin.elapsed().as_secs_f64();
    println!("figure: card keys derived and used a second, Kryoptic = {rate:.0}");
}
