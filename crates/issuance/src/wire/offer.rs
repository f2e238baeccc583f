//! The credential offer object (OpenID4VCI 1.0, 4.1.1).

use serde::Serialize;

use crate::issuer::Issuer;
use crate::offer::{Offer, TRANSACTION_CODE_DIGITS, configurations};

/// Name of the pre-authorized code grant (OpenID4VCI 1.0, 4.1.1).
pub const PRE_AUTHORIZED_CODE: &str = "urn:ietf:params:oauth:grant-type:pre-authorized_code";

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize, PartialEq, Debug))]
pub(super) struct OfferObject {
    credential_issuer: String,
    credential_configuration_ids: Vec<String>,
    grants: Grants,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize, PartialEq, Debug))]
struct Grants {
    #[serde(rename = "urn:ietf:params:oauth:grant-type:pre-authorized_code")]
    pre_authorized_code: PreAuthorizedCode,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize, PartialEq, Debug))]
struct PreAuthorizedCode {
    #[serde(rename = "pre-authorized_code")]
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_code: Option<TransactionCode>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(serde::Deserialize, PartialEq, Debug))]
#[cfg_attr(test, serde(default), derive(Default))]
struct TransactionCode {
    input_mode: String,
    length: usize,
    description: String,
}

/// The JSON of an offer with its `code`.
pub(crate) fn write(issuer: &Issuer, offer: &Offer, code: &str) -> String {
    let tx_code = offer.transaction_code_digest.map(|_| TransactionCode {
        input_mode: "numeric".into(),
        length: TRANSACTION_CODE_DIGITS,
        description: "The six digits that you were told".into(),
    });
    super::to_json(&OfferObject {
        credential_issuer: issuer.identifier().into(),
        credential_configuration_ids: configurations(offer).map(|c| c.to_string()).collect(),
        grants: Grants { pre_authorized_code: PreAuthorizedCode { code: code.into(), tx_code } },
    })
}
