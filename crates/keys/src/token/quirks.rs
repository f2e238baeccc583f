//! What is known of vendors' tokens beyond what they tell of themselves, as data.
//!
//! A quirk never opens what a rule closes: a mechanism counts as missing when the token does not list
//! it, whatever stands here. The first entry that fits counts; the last fits every token.

/// What is known of one kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// The product, as shown.
    pub name: &'static str,
    /// How `manufacturerID` of the token begins.
    pub manufacturer: &'static str,
    /// How `model` of the token begins.
    pub model: &'static str,
    /// Threads that sign at one time; more than a token can use makes it slower.
    pub signers: usize,
    /// Whether its security officer can make a wrapping key with `CKA_TRUSTED`, so that roots are made
    /// with `CKA_WRAP_WITH_TRUSTED`. A ceremony tries it before it begins.
    pub officer_can_trust: bool,
    /// Lists a mechanism that does not work, by the name in the standard.
    pub does_not_work: &'static [&'static str],
    /// What a person should know, each a sentence without a full stop.
    pub notes: &'static [&'static str],
}

const GENERIC: Quirks = Quirks {
    name: "generic",
    manufacturer: "",
    model: "",
    signers: 4,
    officer_can_trust: true,
    does_not_work: &[],
    notes: &[],
};

/// Every kind of token that is known, and last the one that fits all.
pub const ALL: &[Quirks] = &[
    Quirks {
        name: "SoftHSM 2",
        manufacturer: "SoftHSM project",
        model: "SoftHSM v2",
        signers: 1,
        officer_can_trust: true,
        does_not_work: &[],
        notes: &[
            "a token in software: whoever reads its files and knows the PIN has the keys",
            "slots get other numbers when a token is initialised: name the token, not the slot",
            "no CKM_ECDSA_SHA256: hashes are taken in the application",
            "no CKM_HKDF_DERIVE and no CKM_SP800_108_COUNTER_KDF: card keys need a fallback",
            "its security officer sees no private key: a trusted wrapping key is not private",
            "a token that was away is seen again only after C_Finalize and C_Initialize",
            "one lock for all sessions: a second thread that signs makes it slower",
        ],
    },
    Quirks {
        name: "Kryoptic",
        manufacturer: "Kryoptic",
        model: "",
        signers: 2,
        officer_can_trust: false,
        does_not_work: &[],
        notes: &[
            "a token in software: whoever reads its database and knows the PIN has the keys",
            "no CKM_AES_KEY_WRAP_PAD: only keys of whole blocks of 8 bytes are wrapped",
            "no officer can set CKA_TRUSTED, so roots are made without CKA_WRAP_WITH_TRUSTED",
            "Ed25519 only where it was built with OpenSSL 3.2 or later",
        ],
    },
    GENERIC,
];

impl Quirks {
    /// What is known of the token that calls itself so.
    #[must_use]
    pub fn of(manufacturer: &str, model: &str) -> &'static Self {
        let fits = |known: &&Self| {
            manufacturer.starts_with(known.manufacturer) && model.starts_with(known.model)
        };
        ALL.iter().find(fits).unwrap_or(&GENERIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_known_by_what_it_calls_itself() {
        assert_eq!(Quirks::of("SoftHSM project", "SoftHSM v2").name, "SoftHSM 2");
        assert_eq!(Quirks::of("Kryoptic Project", "FIPS token").name, "Kryoptic");
        assert_eq!(Quirks::of("Some vendor", "SoftHSM v2").name, "generic");
    }
}
