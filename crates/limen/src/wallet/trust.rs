//! `limen wallet init` and `limen wallet refresh`: whom a wallet trusts, and how it hears the news.

use std::path::PathBuf;
use std::process::ExitCode;

use api::trust::CityRoot;
use clap::Args;
use credential::aws_lc::AwsLc;
use credential::x509::{Certificate, pem};
use edge::wallet_host::WalletHost;
use serde_json::json;
use wallet::trust::{Parts, Root, Told, Trust};

use super::{City, Place, express};
use crate::client::{Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::{output, world};

/// `limen wallet init`.
#[derive(Args)]
pub(crate) struct Init {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    city: City,
    /// Trust only a city whose root has this fingerprint (SHA-256, hexadecimal).
    #[arg(long, value_name = "SHA256")]
    root_fingerprint: Option<String>,
}

/// `limen wallet refresh`.
#[derive(Args)]
#[command(after_help = "Example:\n  limen wallet refresh\n\n\
    It asks the city with which the wallet was made, and believes what a root vouches for that the\n\
    wallet believes already. `limen wallet accept` does the same.")]
pub(crate) struct Refresh {
    #[command(flatten)]
    place: Place,
    /// A PEM file of the only roots to trust for TLS.
    #[arg(long, env = "LIMEN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let client = Client::new(self.city.connection())?;
        let told = told(&client)?;
        let root = self.pinned(&told)?;
        let fingerprint = world::fingerprint(&root);
        let parts = Parts { city: self.city.server.clone(), roots: vec![root], ..Parts::default() };
        let pinned = Trust::new(parts).or_fail("cannot trust the root of this city")?;
        let trust = pinned.follow(&AwsLc, &told, world::now());
        let trust = trust.or_fail("cannot trust the authorities of this city")?;
        let key_path = self.place.key_path();
        let key = world::entropy::<32>()?;
        let nonces = [world::entropy()?, world::entropy()?];
        if key_path.exists() {
            let message = format!("`{}` is there already", key_path.display());
            return Err(
                Failure::usage(message).hint("it may open another wallet; name another file")
            );
        }
        // The key goes first: a wallet is never without what opens it.
        let parent = key_path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), std::fs::create_dir_all).or_fail("cannot make the wallet")?;
        edge::file::replace(&key_path, &key).or_fail("cannot make the wallet")?;
        let mut host = WalletHost::create(&self.place.folder, &AwsLc, key, nonces)
            .or_fail("cannot make the wallet")?;
        host.state.trust = trust;
        self.place.save(&host)?;
        output::text(&format!(
            "wallet made in {}\nroot of the city: sha-256 {fingerprint}\n",
            self.place.folder.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The root that the owner named, or else the oldest that the city tells: those after it follow.
    fn pinned(&self, told: &Told) -> Result<Vec<u8>, Failure> {
        let Some(expected) = &self.root_fingerprint else {
            let oldest = told.roots.first().map(|root| root.certificate.clone());
            return oldest.ok_or_else(|| Failure::broken("the city tells no root"));
        };
        let prints: Vec<String> =
            told.roots.iter().map(|root| world::fingerprint(&root.certificate)).collect();
        let found = prints.iter().position(|print| print == expected);
        let found = found.and_then(|position| told.roots.get(position));
        found.map(|root| root.certificate.clone()).ok_or_else(|| {
            let message =
                format!("the root of this city has the fingerprint {}", prints.join(", "));
            Failure::broken(message).hint("it is not the one that you named")
        })
    }
}

impl Refresh {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let mut host = self.place.open()?;
        let before = host.state.trust.parts().clone();
        let told = fetch(&host, self.ca.clone())?;
        follow(&mut host, &told)?;
        self.place.save(&host)?;
        let handles = express::fetch(&self.place, &mut host, self.ca)?;
        self.place.save(&host)?;
        let after = host.state.trust.parts();
        let is_new = *after != before;
        // Document signers stand beside them.
        let is_authority = |der: &&Vec<u8>| {
            Certificate::parse(der).is_ok_and(|certificate| certificate.is_authority())
        };
        let authorities = after.issuers.iter().filter(is_authority).count();
        if self.json {
            output::json(&json!({
                "changed": is_new,
                "city": after.city,
                "roots": after.roots.len(),
                "issuing_authorities": authorities,
                "reader_authorities": after.readers.len(),
                "express_handles": handles,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let word = if is_new { "the city has news" } else { "nothing is new" };
        output::text(&format!(
            "{word}: {} roots, {} issuing authorities, {} reader authorities; {handles} new express \
             handles\n",
            after.roots.len(),
            authorities,
            after.readers.len(),
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What the city of the wallet tells now.
pub(super) fn fetch(host: &WalletHost, ca: Option<PathBuf>) -> Result<Told, Failure> {
    let city = host.state.trust.parts().city.clone();
    if city.is_empty() {
        return Err(Failure::usage("this wallet was made before wallets kept their city")
            .hint("make a new one with `limen wallet init --server URL`"));
    }
    told(&Client::new(Connection { server: city, token: None, ca })?)
}

/// Has the wallet believe what it is told, as far as that follows from what it believes already. What
/// does not changes nothing.
pub(super) fn follow(host: &mut WalletHost, told: &Told) -> Result<(), Failure> {
    let trust = host.state.trust.follow(&AwsLc, told, world::now());
    host.state.trust = trust.or_fail("cannot trust what the city tells now")?;
    Ok(())
}

/// Whom the wallet of a desk trusts, once it has heard of its city, where that answers.
pub(crate) fn of_desk(place: &Place, ca: Option<PathBuf>) -> Result<Trust, Failure> {
    let mut host = place.open()?;
    if let Ok(told) = fetch(&host, ca) {
        follow(&mut host, &told)?;
        place.save(&host)?;
    }
    Ok(host.state.trust)
}

/// What the city tells of its authorities.
fn told(client: &Client) -> Result<Told, Failure> {
    let trust: api::trust::Trust = client.get_json("/v1/trust")?;
    let root = |root: &CityRoot| {
        let link = root.link.as_deref().map(one_certificate).transpose()?;
        Ok::<_, Failure>(Root { certificate: one_certificate(&root.certificate)?, link })
    };
    let mut roots = trust.city_roots.iter().map(root).collect::<Result<Vec<_>, _>>()?;
    if roots.is_empty() {
        roots.push(Root { certificate: one_certificate(&trust.city_root)?, link: None });
    }
    let issuers = trust.issuing_authorities.iter().map(|it| one_certificate(&it.certificate));
    let readers = trust.reader_authorities.iter().map(|it| one_certificate(it));
    let signers = trust.document_signers.iter().map(|it| one_certificate(&it.certificate));
    Ok(Told {
        roots,
        signers: signers.collect::<Result<_, _>>()?,
        issuers: issuers.collect::<Result<_, _>>()?,
        readers: readers.collect::<Result<_, _>>()?,
    })
}

fn one_certificate(text: &str) -> Result<Vec<u8>, Failure> {
    let ders = pem::decode(text, pem::CERTIFICATE);
    let ders = ders.or_fail("cannot read the certificates of the city")?;
    let first = ders.into_iter().next();
    first.ok_or_else(|| Failure::broken("the server sent no certificate where one was expected"))
}
