//! What the examination of a token finds.

use keys::custody::Custody;
use keys::purpose::{Purpose, Suite};
use keys::token::class::Flag;
use keys::token::doctor::{self, Inside};
use keys::token::pin::Pin;
use keys::token::pool::{Pool, PoolError};
use keys::token::probe::Outcome;
use keys::token::{Role, Token};

use crate::keystore::wait;
use crate::softhsm::{Softhsm, alone};
use crate::token::request;
use crate::token_usage::Foreign;

#[test]
fn examination_tells_what_a_token_holds_and_what_it_lacks() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let token = Token::open(&settings, Softhsm::pin(), Role::City).unwrap();
        wait(token.generate(request(Purpose::Bundle))).unwrap();
        Foreign::with(&[(Flag::Derive, true)]).make(token.pool());
        let report = doctor::examine(&settings, Some(Softhsm::pin())).unwrap();
        println!("{report:#?}");
        assert_eq!(report.quirks.name, "SoftHSM 2");
        assert_eq!(report.identity.label, "city");
        let Inside { mechanisms, purposes, deeds, keys, refused, holders } = report.inside.unwrap();
        assert_eq!(keys, 1);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].to_string().contains("CKA_DERIVE=true"));
        assert_eq!(holders.len(), 1);
        // Every purpose can be held, in both suites of a token.
        assert!(purposes.iter().all(|holding| holding.missing.is_none()));
        assert_eq!(purposes.len(), 2 * (Purpose::ALL.len() - 1) + 1);
        assert!(purposes.iter().any(|holding| {
            holding.purpose == Purpose::Checkpoint && holding.suite == Suite::Ed25519
        }));
        let outcome = |name| &mechanisms.iter().find(|(known, _)| *known == name).expect("known").1;
        for name in [
            "CKM_ECDSA",
            "CKM_EDDSA",
            "CKM_ECDH1_DERIVE",
            "CKM_AES_KEY_WRAP",
            "CKM_AES_CMAC",
            "CKM_AES_GCM",
            "CKM_AES_ECB",
            "CKM_AES_CBC",
            "CKM_AES_CBC_ENCRYPT_DATA",
        ] {
            assert_eq!(outcome(name), &Outcome::Works, "{name}");
        }
        assert_eq!(outcome("CKM_SP800_108_COUNTER_KDF"), &Outcome::Missing);
        let lacking: Vec<_> = deeds.iter().filter_map(|deed| deed.missing).collect();
        assert_eq!(lacking, ["CKM_SP800_108_COUNTER_KDF"]);
        // Nothing stays behind.
        let listed = softhsm.pkcs11_tool("city", &["--list-objects"]);
        assert_eq!(listed.matches("Private Key Object").count(), 2, "{listed}");
        assert!(!listed.contains("Secret Key Object"), "{listed}");
    });
}

#[test]
fn examination_without_a_pin_shows_the_flags_after_a_wrong_one() {
    alone(|softhsm| {
        let settings = softhsm.token("city");
        let before = doctor::examine(&settings, None).unwrap();
        assert!(!before.pin.is_count_low);
        assert_eq!(before.inside, None);
        let wrong = Pool::open(&settings, Pin::new("314159").unwrap());
        assert!(matches!(wrong, Err(PoolError::Pin { .. })));
        let after = doctor::examine(&settings, None).unwrap();
        assert!(after.pin.is_count_low && !after.pin.is_locked);
    });
}
