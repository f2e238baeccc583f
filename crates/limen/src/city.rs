//! `limen city`: the ceremonies of a city on this machine, and `limen serve`.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use identity::operator::NewOperator;
use keys::custody::Custody;
use keys::purpose::Purpose;
use keys::seal::Kind;
use keys::service;
use keys::service::rate::SIGNATURES_PER_MINUTE;
use keys::service::serve::Service;
use keys::software::Keystore;
use keys::unlock::Unlock;
use keys::vault::desk::VaultRight;
use keys::vault::software::SoftwareVault;
use keys::wire::pairing::Pairing;
use serde_json::json;
use server::city::ceremony::{self, CeremonyError, Custodians, FirstToken, Founding};
use server::city::files::{create_keystore, open_keeper};
use server::config::{self, Config};
use server::suites::Suites;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use self::before::Before;
use self::root::{Root, RootAtHand, RootOfCeremony, create_own, with_root};
use self::suite::Choice;
use crate::failure::{Failure, OrFail};
use crate::hsm::Tokens;
use crate::{output, world};

mod before;
pub(crate) mod root;
mod suite;

/// The configuration of a city that is not whole yet.
const DRAFT: &str = ".limen.toml.new";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a city: its root, authorities, signers and operators.
    Create(Create),
    /// Certify one more operator, with the root at hand, while the server is stopped.
    #[command(after_help = "Example:\n  limen city add-operator --operator tram='City Tram'")]
    AddOperator(AddOperator),
}

/// Where the files of a city are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Files {
    /// The folder for configuration, data and keys.
    #[arg(long, default_value = "limen-city", value_name = "DIR")]
    folder: PathBuf,
}

/// `limen city create`.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    limen city create --folder harbour --name 'Harbour City' --country NL \\\n      \
    --operator harbour-transit='Harbour Transit'\n  \
    limen key serve --config harbour/keys.toml\n  \
    limen serve --config harbour/limen.toml\n\n\
    The root key lies in harbour/root/: take that folder to a safe place. No server needs it.\n\n\
    A root that a ceremony made is named by --root-transcript and where it lies:\n  \
    limen city create --name 'Harbour City' --country NL --operator transit=Transit \\\n      \
    --root-transcript transcript.json --root-token harbour-root --module MODULE")]
pub(crate) struct Create {
    #[command(flatten)]
    files: Files,
    /// What people call the city.
    #[arg(long)]
    name: String,
    /// Two capital letters (ISO 3166-1).
    #[arg(long, default_value = "UT")]
    country: String,
    /// An operator, as CODE=NAME; may be repeated.
    #[arg(long, value_name = "CODE=NAME", required = true, value_parser = parse_operator)]
    operator: Vec<NewOperator>,
    /// Where the server will listen; loopback unless TLS is set up in the configuration.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The base of every URL that the city hands out, without `/` at the end; it stays for good.
    /// By default the address at which the server listens.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Suite of its keys: ES256, ES384, or ES256+ML-DSA-44 for the root, status lists and bundles. For
    /// keys of one purpose as PURPOSE=SUITE, such as bundle=ES384; may be repeated.
    #[arg(long, default_value = "ES256", value_name = "SUITE", value_parser = Choice::parse)]
    suite: Vec<Choice>,
    /// Let the server open the keystore itself, without a key service.
    #[arg(long, conflicts_with = "token")]
    embedded: bool,
    #[command(flatten)]
    tokens: Tokens,
    #[command(flatten)]
    root: RootOfCeremony,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// `limen city add-operator`.
#[derive(Args)]
pub(crate) struct AddOperator {
    #[command(flatten)]
    files: Files,
    /// The operator, as CODE=NAME.
    #[arg(long, value_name = "CODE=NAME", value_parser = parse_operator)]
    operator: NewOperator,
    #[command(flatten)]
    root: RootAtHand,
}

/// `limen serve`.
#[derive(Args)]
#[command(after_help = "Example:\n  limen serve --config harbour/limen.toml\n\n\
    Stop it with Ctrl-C or SIGTERM: requests at hand are finished first.\n\
    Logs go to standard error as JSON lines; LIMEN_LOG=debug says more.")]
pub(crate) struct Serve {
    /// The configuration; `limen config example` prints one.
    #[arg(long, value_name = "FILE", default_value = "limen-city/limen.toml")]
    config: PathBuf,
    #[command(flatten)]
    tls: Tls,
    /// Print one line of JSON when the server listens.
    #[arg(long)]
    json: bool,
}

/// TLS 1.3, instead of what the configuration says.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tls {
    /// The certificate chain of the server, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl Tls {
    /// Puts the files into the configuration, and checks it as a whole.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config, Failure> {
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            config.http.tls_cert = Some(certificate.clone());
            config.http.tls_key = Some(key.clone());
            if let Some(rest) = config.http.public_url.strip_prefix("http://") {
                config.http.public_url = format!("https://{rest}");
            }
        }
        config.check().or_fail("cannot start the server")?;
        Ok(config)
    }
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Create(create) => create.run(),
            Self::AddOperator(add) => add.run(),
        }
    }
}

impl Files {
    /// A city whose configuration and keys lie in `folder`.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.into() }
    }

    /// The data of a city, unless it is said to lie elsewhere.
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("limen.toml")
    }

    /// The configuration of the key service.
    pub(crate) fn keys_config(&self) -> PathBuf {
        self.folder.join("keys.toml")
    }

    fn root_folder(&self) -> PathBuf {
        self.folder.join("root")
    }
}

impl Create {
    fn run(self) -> Result<ExitCode, Failure> {
        let plan = Plan {
            name: self.name.clone(),
            country: self.country.clone(),
            operators: self.operator.clone(),
            listen: self.listen,
            public_url: self.public_url.clone(),
            data: self.files.data(),
            suites: suite::chosen(&self.suite)?,
            embedded: self.embedded,
            tokens: self.tokens.clone(),
            root: self.root.open(self.tokens.root()?)?,
        };
        let safe = match plan.root {
            Some(_) => String::from("the root"),
            None => self.files.root_folder().display().to_string(),
        };
        let tokens = found(&self.files, plan)?;
        let listed: Vec<_> = tokens
            .iter()
            .map(|token| json!({ "operator": token.operator.as_str(), "token": token.secret }))
            .collect();
        let config = self.files.config().display().to_string();
        if self.json {
            output::json(&json!({ "config": config, "tokens": listed }))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::text(&format!(
            "created in {}\n\nfirst tokens, shown this once:\n",
            self.files.folder.display()
        ))?;
        for token in &tokens {
            output::text(&format!("  {:32} {}\n", token.operator.as_str(), token.secret))?;
        }
        output::text(&format!(
            "\ntake {safe} to a safe place, then run, each in a terminal of its own:\n"
        ))?;
        if !self.embedded {
            let keys = self.files.keys_config();
            output::text(&format!("  limen key serve --config {}\n", keys.display()))?;
        }
        output::text(&format!("  limen serve --config {config}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl AddOperator {
    fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::load(&self.files.config()).or_fail("cannot add an operator")?;
        let add = async |custodians: Custodians<'_>, _| {
            ceremony::add_operator(&config, custodians, self.operator, world::now()).await
        };
        let added = with_root(&self.files, &self.root, &config, add)?;
        output::text(&format!("{}  {}\n", added.operator, added.secret))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A city that is to be.
pub(crate) struct Plan {
    /// What people call it.
    pub(crate) name: String,
    /// Two capital letters.
    pub(crate) country: String,
    /// Its first operators.
    pub(crate) operators: Vec<NewOperator>,
    /// Where its server will listen.
    pub(crate) listen: SocketAddr,
    /// The base of its URLs, if it is not that address.
    pub(crate) public_url: Option<String>,
    /// Where its database and its audit log will lie.
    pub(crate) data: PathBuf,
    /// The suites of its keys.
    pub(crate) suites: Suites,
    /// Whether its server opens the keystore itself.
    pub(crate) embedded: bool,
    /// Tokens in place of sealed files.
    pub(crate) tokens: Tokens,
    /// The root, where it is at hand; otherwise it is made in a folder of its own.
    pub(crate) root: Option<Root>,
}

/// Creates a city in `files`: keys outside of the data, the root in a folder of its own.
pub(crate) fn found(files: &Files, plan: Plan) -> Result<Vec<FirstToken>, Failure> {
    let folder = &files.folder;
    // Before anything is looked at: a city that runs writes here meanwhile.
    if files.config().exists() || files.keys_config().exists() {
        return Err(Failure::usage(format!("`{}` holds a city already", folder.display())));
    }
    let parts = ["limen.toml", DRAFT, "keys.toml", "keys", "server", "run", "root"];
    let parts = parts.iter().map(|part| folder.join(part)).chain([plan.data.clone()]);
    let before = Before::of(parts)
        .or_fail(format!("cannot create a city in `{}`", folder.display()))
        .map_err(|failure| failure.hint("choose an empty folder"))?;
    let founded = make(files, plan);
    if founded.is_err() {
        // Half a city would stand in the way of the next try.
        before.restore();
    }
    founded
}

fn make(files: &Files, plan: Plan) -> Result<Vec<FirstToken>, Failure> {
    let attempt = "cannot create the city";
    let folder = &files.folder;
    let own_root = plan.root.is_none().then(|| files.root_folder());
    for part in [plan.data.clone(), folder.join("keys")].into_iter().chain(own_root) {
        make_folder(&part)?;
    }
    // Relative where it lies inside the folder, so that the folder can be moved.
    let data = match plan.data.strip_prefix(folder) {
        Ok(inside) => inside.to_owned(),
        Err(_) => std::path::absolute(&plan.data).or_fail(attempt)?,
    };
    let public_url = plan.public_url.clone().unwrap_or(format!("http://{}", plan.listen));
    let config = Config {
        http: config::Http { listen: plan.listen, public_url, tls_cert: None, tls_key: None },
        store: config::Store { data },
        keys: config::Keys {
            suites: plan.suites.clone(),
            ..if plan.embedded { embedded_keys() } else { served_keys(folder, &plan)? }
        },
        limits: config::Limits::default(),
    };
    let text = toml::to_string(&config).or_fail(attempt)?;
    let draft = folder.join(DRAFT);
    std::fs::write(&draft, text).or_fail(attempt)?;
    let config = Config::load(&draft).or_fail(attempt)?;
    let name = plan.name.parse().or_fail("this is no name for a city")?;
    let founding = Founding { name, country: plan.country, operators: plan.operators };
    let root = match plan.root {
        Some(root) => root,
        None => create_own(files, &config)?,
    };
    let create = async |keys: &dyn Custody| {
        let custodians = Custodians { root: root.custody(), city: keys };
        ceremony::create_city(&config, custodians, &founding, world::now()).await
    };
    let tokens = if plan.embedded {
        let keys = create_keystore(&config).or_fail(attempt)?;
        runtime()?.block_on(create(&keys)).or_fail(attempt)?
    } else {
        runtime()?.block_on(with_service(&files.keys_config(), &config, create))?
    };
    // The configuration appears last: a folder with one holds a whole city.
    std::fs::rename(&draft, files.config()).or_fail(attempt)?;
    Ok(tokens)
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.or_fail(format!("cannot make the folder `{}`", path.display()))
}

fn embedded_keys() -> config::Keys {
    config::Keys {
        keystore: "keys/city.keys".into(),
        key_file: Some("keys/city.key".into()),
        ..config::Keys::default()
    }
}

/// Makes keystore, pairing and configuration of a key service in `folder`; gives what its server must
/// be told.
fn served_keys(folder: &Path, plan: &Plan) -> Result<config::Keys, Failure> {
    let attempt = "cannot create the key service";
    make_folder(&folder.join("server"))?;
    let token = plan.tokens.city();
    let (mut keystore, mut halves, mut vault) = (None, None, None);
    if token.is_some() {
        // Empty unless a suite is hybrid, so that the city can change to one at any time.
        halves = Some(crate::key::halves::make(folder, Path::new("keys"), &plan.data)?.sealed);
    } else {
        let sealed = |path: &str| service::config::Sealed {
            path: path.into(),
            key_file: Some("keys/city.key".into()),
            passphrase_file: None,
        };
        let (path, key_file) = (folder.join("keys/city.keys"), folder.join("keys/city.key"));
        Unlock::create_key_file(&key_file).or_fail(attempt)?;
        let unlock = Unlock::key_file(&key_file, &plan.data).or_fail(attempt)?;
        Keystore::create(&path, Kind::Server, &unlock).or_fail(attempt)?;
        SoftwareVault::create(&folder.join("keys/city.vault"), &unlock).or_fail(attempt)?;
        keystore = Some(sealed("keys/city.keys"));
        vault = Some(sealed("keys/city.vault"));
    }
    let (own, clients) = ("keys/server.pairing", "server/key-service.pairing");
    Pairing::create(&[&folder.join(own), &folder.join(clients)]).or_fail(attempt)?;
    let purposes = Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::CityRoot);
    let config = service::config::Config {
        socket: "run/keys.sock".into(),
        group: None,
        journal: "keys/uses".into(),
        same_user: true,
        keystore,
        token: token.map(|(settings, pin)| service::config::OnToken::new(&settings, &pin)),
        halves,
        retiring: None,
        vault,
        clients: vec![service::config::Client {
            name: config::CLIENT.into(),
            pairing: own.into(),
            uid: None,
            sign: purposes.map(|purpose| purpose.to_string()).collect(),
            generate: true,
            set_state: true,
            destroy: true,
            vault: [VaultRight::Readers, VaultRight::Handles].map(|it| it.as_str().into()).into(),
            signatures_per_minute: SIGNATURES_PER_MINUTE,
        }],
    };
    let text = toml::to_string(&config).or_fail(attempt)?;
    let note = "# The key service runs as the same user as its server, who can read the keys:\n\
                # docs/guide/operate.md says how to part them.\n";
    std::fs::write(folder.join("keys.toml"), format!("{note}{text}")).or_fail(attempt)?;
    Ok(config::Keys {
        service: Some("run/keys.sock".into()),
        pairing: Some(clients.into()),
        ..config::Keys::default()
    })
}

/// Runs the key service of `keys` in this process for as long as `ceremony` takes.
pub(crate) async fn with_service<T>(
    keys: &Path,
    config: &Config,
    ceremony: impl AsyncFnOnce(&dyn Custody) -> Result<T, CeremonyError>,
) -> Result<T, Failure> {
    let keys = service::config::Config::load(keys).or_fail("cannot start the key service")?;
    let service = Service::start(&keys).or_fail("cannot start the key service")?;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(service.run(stopped));
    let held = match open_keeper(config).await {
        Ok(keeper) => ceremony(&*keeper.custody).await.or_fail("cannot go on"),
        Err(error) => Err(error).or_fail("cannot reach the keys of the city"),
    };
    stop.send_replace(true);
    running.await.or_fail("the key service ended badly")?;
    held
}

impl Serve {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::load(&self.config).or_fail("cannot start the server")?;
        let config = self.tls.apply(config)?;
        runtime()?.block_on(serve(&config, |address| {
            if self.json {
                let line = json!({ "event": "listening", "address": address.to_string() });
                return output::text(&format!("{line}\n"));
            }
            output::text(&format!("listening on {address} as {}\n", config.http.public_url))
        }))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Serves until Ctrl-C or SIGTERM. `ready` is called once with the address.
pub(crate) async fn serve(
    config: &Config,
    ready: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    trace();
    let mut terminate = signal(SignalKind::terminate()).or_fail("cannot wait for signals")?;
    let started = server::start::start(config).await.or_fail("cannot start the server")?;
    ready(started.address().or_fail("cannot start the server")?)?;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(started.run(stopped));
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.or_fail("cannot wait for signals")?,
    }
    stop.send_replace(true);
    running.await.or_fail("the server ended badly")
}

/// Structured logs to standard error, one JSON object per line; `LIMEN_LOG` sets the level.
pub(crate) fn trace() {
    let filter = EnvFilter::try_from_env("LIMEN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().json().with_env_filter(filter);
    // A log that cannot be written, as on a full disk, must not bring down who wrote it.
    let lines = lines.log_internal_errors(false);
    // It fails only where something listens already, which is as good.
    let _ = lines.with_writer(std::io::stderr).try_init();
}

pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().or_fail("cannot start the threads of the server")
}

fn parse_operator(text: &str) -> Result<NewOperator, String> {
    let (code, name) = text.split_once('=').ok_or("write CODE=NAME")?;
    let code = code.parse().map_err(|error| format!("{error}"))?;
    let name = name.parse().map_err(|error| format!("{error}"))?;
    Ok(NewOperator { code, name })
}
