//! Credential formats against published vectors, forgeries and arbitrary bytes.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

mod access_document;
mod annex_d;
mod city;
mod composite;
mod composite_values;
mod composite_vectors;
mod compressed_certificate;
mod cose_vectors;
mod forge;
mod jose;
mod mdoc_fuzz;
mod mdoc_named;
mod mdoc_roundtrip;
mod mutations;
mod mutations_certificate;
mod mutations_issuer;
mod mutations_response;
mod sd_jwt;
mod sd_jwt_forgeries;
mod sd_jwt_holder;
mod status;
mod suites;
mod tokens;
mod vectors;
mod wycheproof_vectors;
mod x509_chain;
