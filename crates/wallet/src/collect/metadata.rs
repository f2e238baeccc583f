//! What an issuer says of itself, as far as a wallet needs it.

use alloc::string::String;

use serde_json::Value;

use crate::offer::is_web;

/// Where an issuer's endpoints are.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) server: String,
    pub(super) credential_endpoint: String,
    pub(super) nonce_endpoint: String,
    pub(super) notification_endpoint: Option<String>,
    pub(super) token_endpoint: String,
    pub(super) batch_size: usize,
}

/// One kind of pass.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) format: Format,
}

/// What the documents of a pass are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Mdoc,
    SdJwt,
    AccessDocument,
}

impl Metadata {
    /// From credential issuer metadata. The issuer must say the name under which it was asked.
    pub(super) fn read_issuer(body: &Value, issuer: &str) -> Result<Self, &'static str> {
        if body.get("credential_issuer").and_then(Value::as_str) != Some(issuer) {
            return Err("credential_issuer");
        }
        let servers = body.get("authorization_servers").and_then(Value::as_array);
        let server = servers.and_then(|list| list.first()).and_then(Value::as_str);
        let batch = body.get("batch_credential_issuance").and_then(|b| b.get("batch_size"));
        let batch = batch.and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        Ok(Self {
            server: String::from(server.filter(|server| is_web(server)).unwrap_or(issuer)),
            credential_endpoint: endpoint(body, "credential_endpoint")?,
            nonce_endpoint: endpoint(body, "nonce_endpoint")?,
            notification_endpoint: endpoint(body, "notification_endpoint").ok(),
            token_endpoint: String::new(),
            batch_size: batch.unwrap_or(1).max(1),
        })
    }

    /// From authorization server metadata.
    pub(super) fn read_server(&mut self, body: &Value) -> Result<(), &'static str> {
        if body.get("issuer").and_then(Value::as_str) != Some(self.server.as_str()) {
            return Err("issuer");
        }
        self.token_endpoint = endpoint(body, "token_endpoint")?;
        Ok(())
    }
}

impl Configuration {
    /// The configuration `id`, if it is of a format that a wallet can keep.
    pub(super) fn read(body: &Value, id: &str) -> Option<Self> {
        let found = body.get("credential_configurations_supported")?.get(id)?;
        let format = match found.get("format")?.as_str()? {
            "mso_mdoc" => Format::Mdoc,
            "dc+sd-jwt" => Format::SdJwt,
            "limen-access-document" => Format::AccessDocument,
            _ => return None,
        };
        let display = found.get("credential_metadata").unwrap_or(found).get("display");
        let name = display.and_then(|list| list.get(0)?.get("name")?.as_str()).unwrap_or(id);
        Some(Self { id: id.into(), name: name.into(), format })
    }
}

fn endpoint(body: &Value, name: &'static str) -> Result<String, &'static str> {
    let url = body.get(name).and_then(Value::as_str).filter(|url| is_web(url));
    url.map(String::from).ok_or(name)
}
