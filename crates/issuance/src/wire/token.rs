//! Token request and response (OpenID4VCI 1.0, 6.1 and 6.2).

use serde::Serialize;

use super::offer::PRE_AUTHORIZED_CODE;
use super::percent::decode_form;
use crate::token::{Redeemed, TOKEN_LIFETIME, TokenRefusal, TokenRequest};

/// Bytes in a token request.
pub const FORM_BYTES_MAX: usize = 8192;
/// Fields in a token request.
pub const FORM_FIELDS_MAX: usize = 16;

/// Parameters of other profiles of OAuth 2.0 that wallets send along; they change nothing here.
const PASSED_OVER: [&str; 7] = [
    "client_id",
    "client_assertion",
    "client_assertion_type",
    "resource",
    "scope",
    "redirect_uri",
    "code_verifier",
];

/// Reads a token request, `application/x-www-form-urlencoded`. The name `user_pin`, which drafts
/// gave to the transaction code, is taken when it says the same.
///
/// # Errors
/// [`TokenRefusal::GrantType`] or [`TokenRefusal::Form`]
pub fn read(body: &[u8]) -> Result<TokenRequest, TokenRefusal> {
    let fields = fields(body).ok_or(TokenRefusal::Form)?;
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, text)| text);
    if field("grant_type").ok_or(TokenRefusal::Form)? != PRE_AUTHORIZED_CODE {
        return Err(TokenRefusal::GrantType);
    }
    let own = ["grant_type", "pre-authorized_code", "tx_code", "user_pin"];
    let known = |name: &str| own.contains(&name) || PASSED_OVER.contains(&name);
    if !fields.iter().all(|(name, _)| known(name)) {
        return Err(TokenRefusal::Form);
    }
    let transaction_code = field("tx_code").cloned();
    if field("user_pin").is_some_and(|pin| Some(pin) != transaction_code.as_ref()) {
        return Err(TokenRefusal::Form);
    }
    let code = field("pre-authorized_code").ok_or(TokenRefusal::Form)?.clone();
    Ok(TokenRequest { code, transaction_code })
}

#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
}

/// The body of a token response.
#[must_use]
pub fn write(redeemed: &Redeemed) -> String {
    super::to_json(&TokenAnswer {
        access_token: redeemed.token.reveal(),
        token_type: if redeemed.grant.key_thumbprint.is_some() { "DPoP" } else { "Bearer" },
        expires_in: TOKEN_LIFETIME.as_secs(),
    })
}

fn fields(body: &[u8]) -> Option<Vec<(String, String)>> {
    if body.len() > FORM_BYTES_MAX {
        return None;
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    for pair in core::str::from_utf8(body).ok()?.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode_form(name)?;
        if fields.len() == FORM_FIELDS_MAX || fields.iter().any(|(known, _)| *known == name) {
            return None;
        }
        fields.push((name, decode_form(value)?));
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRANT: &str = "grant_type=urn:ietf:params:oauth:grant-type:pre-authorized_code";

    fn check(form: &str, expected: Result<(&str, Option<&str>), TokenRefusal>) {
        let read = read(form.as_bytes()).map(|request| (request.code, request.transaction_code));
        let read = read.as_ref().map(|(code, digits)| (code.as_str(), digits.as_deref()));
        assert_eq!(read.map_err(|refusal| *refusal), expected, "{form}");
    }

    #[test]
    fn form_is_read_strictly() {
        let form = |rest: &str| format!("{GRANT}&pre-authorized_code=SplxlOBeZQQYbYS6WxSbIA{rest}");
        let code = "SplxlOBeZQQYbYS6WxSbIA";
        check(&form(""), Ok((code, None)));
        check(&form("&tx_code=493536"), Ok((code, Some("493536"))));
        check(&form("&tx_code=493536&user_pin=493536"), Ok((code, Some("493536"))));
        check(&form("&client_id=wallet&resource=https%3A%2F%2Fcity.example"), Ok((code, None)));
        for rest in [
            "&tx_code=1&tx_code=1",
            "&tx_code=493536&user_pin=000000",
            "&user_pin=493536",
            "&colour=blue",
            "&tx_code=%zz",
        ] {
            check(&form(rest), Err(TokenRefusal::Form));
        }
        check(GRANT, Err(TokenRefusal::Form));
        check("", Err(TokenRefusal::Form));
        check("grant_type=authorization_code&code=a", Err(TokenRefusal::GrantType));
    }

    #[test]
    fn form_holds_to_its_limits() {
        let sized = |bytes: usize| {
            let head = format!("{GRANT}&pre-authorized_code=");
            format!("{head}{}", "a".repeat(bytes - head.len()))
        };
        assert!(read(sized(FORM_BYTES_MAX).as_bytes()).is_ok());
        assert!(read(sized(FORM_BYTES_MAX + 1).as_bytes()).is_err());
        let fields_of = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("f{n}=")).collect();
            fields(names.join("&").as_bytes()).map(|fields| fields.len())
        };
        assert_eq!(fields_of(FORM_FIELDS_MAX), Some(FORM_FIELDS_MAX));
        assert_eq!(fields_of(FORM_FIELDS_MAX + 1), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
