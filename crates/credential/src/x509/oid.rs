//! Object identifiers that certificates of this system carry, as the contents of their DER encoding.
//!
//! From RFC 5280, RFC 5480, RFC 8410 and ISO/IEC 18013-5:2021, Annex B; and one of our own.

/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
pub const ECDSA_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
/// ecdsa-with-SHA384, 1.2.840.10045.4.3.3.
pub const ECDSA_SHA384: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03];
/// id-Ed25519, 1.3.101.112: the key and the signature share it.
pub const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
/// id-MLDSA44-ECDSA-P256-SHA256, 1.3.6.1.5.5.7.6.40 (draft-ietf-lamps-pq-composite-sigs-19): the key
/// and the signature share it.
pub const ML_DSA_44_ECDSA_P256: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x06, 0x28];
/// id-ecPublicKey, 1.2.840.10045.2.1.
pub const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
/// secp256r1 (P-256), 1.2.840.10045.3.1.7.
pub const SECP256R1: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
/// secp384r1 (P-384), 1.3.132.0.34.
pub const SECP384R1: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];

/// id-at-commonName, 2.5.4.3.
pub const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-at-countryName, 2.5.4.6.
pub const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
/// id-at-organizationName, 2.5.4.10.
pub const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0A];

/// id-ce-subjectKeyIdentifier, 2.5.29.14.
pub const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x0E];
/// id-ce-keyUsage, 2.5.29.15.
pub const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
/// id-ce-issuerAltName, 2.5.29.18.
pub const ISSUER_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x12];
/// id-ce-basicConstraints, 2.5.29.19.
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
/// id-ce-cRLDistributionPoints, 2.5.29.31.
pub const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1D, 0x1F];
/// id-ce-authorityKeyIdentifier, 2.5.29.35.
pub const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1D, 0x23];
/// id-ce-extKeyUsage, 2.5.29.37.
pub const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];

/// id-mdl-kp-mdlDS, 1.0.18013.5.1.2: signs mobile security objects (ISO/IEC 18013-5, B.1.4).
pub const MDOC_DOCUMENT_SIGNER: &[u8] = &[0x28, 0x81, 0x8C, 0x5D, 0x05, 0x01, 0x02];
/// id-mdl-kp-mdlReaderAuth, 1.0.18013.5.1.6: authenticates readers (ISO/IEC 18013-5, B.1.7).
pub const MDOC_READER: &[u8] = &[0x28, 0x81, 0x8C, 0x5D, 0x05, 0x01, 0x06];

/// 2.25.147696067079666128044095208235646881591, made of a UUID (ITU-T X.667): signs trust bundles
/// of readers.
pub const BUNDLE_SIGNER: &[u8] = &[
    0x69, 0x81, 0xDE, 0x9D, 0x9D, 0x94, 0xD9, 0x8E, 0xBA, 0xAC, 0x93, 0xA4, 0xEB, 0xD6, 0xFC, 0xA1,
    0x84, 0xF2, 0x9E, 0x37,
];
