//! `limen up`: an example city that stays.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use identity::operator::NewOperator;
use server::config::Config;
use server::suites::Suites;

use crate::city::{Files, Plan, Tls, found, runtime, serve};
use crate::client::{Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::hsm::Tokens;
use crate::key::process::Watched;
use crate::{example, output};

/// `limen up`.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen up --data ./limen-data\n\n\
    The first start creates the city. Its keys lie beside the data, in the folder with the ending\n\
    `.city`, and do not belong into the same backup. Stop it with Ctrl-C; the next start goes on.")]
pub(crate) struct Up {
    /// The folder for database and audit log.
    #[arg(long, default_value = "limen-data", value_name = "DIR")]
    data: PathBuf,
    /// Where to listen, on the first start.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: Tls,
}

impl Up {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let folder = self.secrets();
        let files = Files::at(&folder);
        if !files.config().exists() {
            self.create(&files, &folder)?;
        }
        let config = Config::load(&files.config()).or_fail("cannot start the city")?;
        let config = self.tls.apply(config)?;
        let program = std::env::current_exe().or_fail("cannot find this program")?;
        let _keys = match &config.keys.service {
            Some(_) => Some(Watched::start(program, files.keys_config())?),
            None => None,
        };
        let ca = config.http.tls_cert.clone();
        let url = config.http.public_url.clone();
        runtime()?.block_on(serve(&config, |_| {
            // It talks to the server that starts now, and must not stand in its way.
            std::thread::spawn(move || {
                if let Err(failure) = welcome(&folder, &url, ca) {
                    failure.report();
                }
            });
            Ok(())
        }))?;
        Ok(ExitCode::SUCCESS)
    }

    fn secrets(&self) -> PathBuf {
        let mut name = self.data.clone().into_os_string();
        name.push(".city");
        PathBuf::from(name)
    }

    fn create(&self, files: &Files, folder: &Path) -> Result<(), Failure> {
        output::text("creating the example city ...\n")?;
        let operator = NewOperator {
            code: example::OPERATOR.parse().or_fail("cannot create the city")?,
            name: example::OPERATOR_NAME.parse().or_fail("cannot create the city")?,
        };
        let plan = Plan {
            name: String::from("Harbour City"),
            country: String::from("UT"),
            operators: vec![operator],
            listen: self.listen,
            public_url: None,
            data: self.data.clone(),
            suites: Suites::default(),
            root: None,
            embedded: false,
            tokens: Tokens::none(),
        };
        let tokens = found(files, plan)?;
        for token in tokens {
            let path = folder.join(format!("{}.token", token.operator));
            edge::file::replace(&path, token.secret.as_bytes()).or_fail("cannot keep the token")?;
        }
        Ok(())
    }
}

/// Fills a new city with the example, then says where it is and what to try.
fn welcome(folder: &Path, url: &str, ca: Option<PathBuf>) -> Result<(), Failure> {
    let path = folder.join(format!("{}.token", example::OPERATOR));
    let token = std::fs::read_to_string(&path).or_fail("cannot read the token of the example")?;
    let connection = Connection { server: url.into(), token: Some(token), ca };
    let client = Client::new(connection)?;
    if !example::has_places(&client)? {
        example::add_places(&client)?;
        example::add_products(&client, true)?;
        example::register_person(&client)?;
    }
    let path = path.display();
    output::text(&format!(
        "the city is at {url}\n\
         \x20 health    {url}/healthz\n\
         \x20 metrics   {url}/metrics\n\
         \x20 trust     {url}/v1/trust\n\
         \x20 issuer    {url}/.well-known/openid-credential-issuer/issuers/{operator}\n\n\
         try, in another terminal:\n\
         \x20 export LIMEN_SERVER={url} LIMEN_TOKEN=$(cat '{path}')\n\
         \x20 limen person list\n\
         \x20 limen product list\n\
         \x20 limen pass issue --person PERSON --product first-class-month\n\
         \x20 limen pass offer PASS              # shows a QR picture\n\
         \x20 limen wallet init && limen wallet accept LINK\n\
         stop with Ctrl-C\n",
        operator = example::OPERATOR,
    ))
}
