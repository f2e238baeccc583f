//! Which mechanisms and curves of PKCS#11 each suite needs, as data.
//!
//! Hashes are taken in the application: `CKM_ECDSA` signs a digest on every token, `CKM_ECDSA_SHA256`
//! is missing on some.

use aws_lc_rs::digest;
use credential::crypto::PublicKey;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::{Mechanism, MechanismType};

use crate::purpose::Suite;

/// How keys of one suite are made and used on a token.
pub(crate) struct SuiteOnToken {
    pub(crate) suite: Suite,
    family: Family,
    /// `None` where the token takes the message.
    hash: Option<&'static digest::Algorithm>,
    /// `CKA_EC_PARAMS`: DER of the curve.
    pub(crate) curve: &'static [u8],
    /// Other encodings of the same curve that tokens hand back.
    curve_aliases: &'static [&'static [u8]],
    public_key: fn(&[u8]) -> Option<PublicKey>,
}

#[derive(Clone, Copy)]
enum Family {
    Ecdsa,
    Eddsa,
}

/// The suites that a token can hold. A suite that is not here lives in software.
pub(crate) const SUITES: &[SuiteOnToken] = &[
    SuiteOnToken {
        suite: Suite::Es256,
        family: Family::Ecdsa,
        hash: Some(&digest::SHA256),
        curve: &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07],
        curve_aliases: &[],
        public_key: |point| point.try_into().ok().map(PublicKey::P256),
    },
    SuiteOnToken {
        suite: Suite::Es384,
        family: Family::Ecdsa,
        hash: Some(&digest::SHA384),
        curve: &[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22],
        curve_aliases: &[],
        public_key: |point| point.try_into().ok().map(PublicKey::P384),
    },
    SuiteOnToken {
        suite: Suite::Ed25519,
        family: Family::Eddsa,
        hash: None,
        // The name of PKCS #11 3.0: PrintableString `edwards25519`.
        curve: b"\x13\x0Cedwards25519",
        // The object identifier of RFC 8410.
        curve_aliases: &[&[0x06, 0x03, 0x2B, 0x65, 0x70]],
        public_key: |point| point.try_into().ok().map(PublicKey::Ed25519),
    },
];

impl SuiteOnToken {
    /// What the token needs for this suite; `None` where no token can hold it.
    pub(crate) fn of(suite: Suite) -> Option<&'static Self> {
        SUITES.iter().find(|known| known.suite == suite)
    }

    /// The suite whose curve `CKA_EC_PARAMS` names.
    pub(crate) fn of_curve(params: &[u8]) -> Option<&'static Self> {
        SUITES.iter().find(|known| known.curve == params || known.curve_aliases.contains(&params))
    }

    /// The mechanism that makes a pair of keys.
    pub(crate) const fn making(&self) -> Mechanism<'static> {
        match self.family {
            Family::Ecdsa => Mechanism::EccKeyPairGen,
            Family::Eddsa => Mechanism::EccEdwardsKeyPairGen,
        }
    }

    /// The mechanism that signs a digest, or the message where there is no hash.
    pub(crate) fn signing(&self) -> Mechanism<'static> {
        match self.family {
            Family::Ecdsa => Mechanism::Ecdsa,
            Family::Eddsa => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)),
        }
    }

    /// What is handed to the token for `message`.
    pub(crate) fn to_sign(&self, message: &[u8]) -> Vec<u8> {
        match self.hash {
            Some(hash) => digest::digest(hash, message).as_ref().to_vec(),
            None => message.to_vec(),
        }
    }

    /// The mechanisms that the token must have.
    pub(crate) const fn needs(&self) -> [MechanismType; 2] {
        match self.family {
            Family::Ecdsa => [MechanismType::ECC_KEY_PAIR_GEN, MechanismType::ECDSA],
            Family::Eddsa => [MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, MechanismType::EDDSA],
        }
    }

    /// The public key in `CKA_EC_POINT`: an OCTET STRING around the point (PKCS #11 2.40), a BIT
    /// STRING around it (some tokens, for Edwards curves), or the bare point (some tokens).
    pub(crate) fn public_key(&self, point: &[u8]) -> Option<PublicKey> {
        let bare = || (self.public_key)(point);
        match point {
            [0x04, length, inner @ ..] if usize::from(*length) == inner.len() => {
                (self.public_key)(inner).or_else(bare)
            }
            [0x03, length, 0, inner @ ..] if usize::from(*length) == inner.len() + 1 => {
                (self.public_key)(inner).or_else(bare)
            }
            _ => bare(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_is_read_in_every_form_that_tokens_use() {
        let suite = SuiteOnToken::of(Suite::Es256).unwrap();
        let key = Some(PublicKey::P256([4; 65]));
        assert_eq!(suite.public_key(&[4; 65]), key);
        assert_eq!(suite.public_key(&[&[0x04, 65], &[4; 65][..]].concat()), key);
        assert_eq!(suite.public_key(&[&[0x03, 66, 0], &[4; 65][..]].concat()), key);
        for wrong in [&[][..], &[4; 64], &[4; 66], &[0x04, 64, 4], &[0x04, 0x81, 65]] {
            assert_eq!(suite.public_key(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_curve_leads_back_to_its_suite() {
        for known in SUITES {
            for curve in known.curve_aliases.iter().chain([&known.curve]) {
                assert_eq!(
                    SuiteOnToken::of_curve(curve).map(|found| found.suite),
                    Some(known.suite)
                );
            }
        }
    }
}
