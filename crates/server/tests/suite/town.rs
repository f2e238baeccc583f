//! A small city in a folder of its own, and its server in a thread of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use identity::operator::NewOperator;
use keys::custody::{Custody, Key};
use keys::purpose::Purpose;
use keys::software::Keystore;
use keys::unlock::Unlock;
use policy::role::{Role, Roles};
use server::city::ceremony::{
    CeremonyError, Custodians, FirstToken, Founding, add_operator, create_city, make_token,
};
use server::city::files::{RootFile, create_keystore, open_keystore};
use server::city::rotation::{Haste, Level, Order, Sharing, rotate};
use server::config::{Config, Http, Keys, Limits, Store};
use server::server::Server;
use server::start::{StartError, start, start_server};
use server::world::now;
use tokio::sync::watch;

use crate::client::Client;

/// Where the root key lies in the folder of a city.
const ROOT: &str = "root/root.keys";

fn root_unlock(folder: &Path) -> Unlock {
    Unlock::key_file(&folder.join("root.key"), &folder.join("data")).unwrap()
}

fn operator(code: &str, name: &str) -> NewOperator {
    NewOperator { code: code.parse().unwrap(), name: name.parse().unwrap() }
}

fn founding() -> Founding {
    Founding {
        name: "Testhaven".parse().unwrap(),
        country: "UT".into(),
        operators: vec![operator("harbour", "Harbour"), operator("hill", "Hill")],
    }
}

/// A city and what its people know.
pub struct Town {
    pub config: Config,
    pub folder: PathBuf,
    /// First tokens of `city`, `harbour` and `hill`.
    pub tokens: [String; 3],
    running: Option<Running>,
}

struct Running {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Town {
    /// A city with a running server.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A city whose server has other limits.
    pub fn with(limit: impl FnOnce(&mut Limits)) -> Self {
        let mut town = Self::closed(limit);
        town.open();
        town
    }

    /// A city whose server does not run.
    pub fn closed(limit: impl FnOnce(&mut Limits)) -> Self {
        Self::founded(|config| limit(&mut config.limits))
    }

    /// A city that is created with another configuration, and whose server does not run.
    pub fn founded(change: impl FnOnce(&mut Config)) -> Self {
        crate::silence::listen();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("limen-server-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = Config {
            http: Http {
                listen: format!("127.0.0.1:{port}").parse().unwrap(),
                public_url: format!("http://127.0.0.1:{port}"),
                tls_cert: None,
                tls_key: None,
            },
            store: Store { data: folder.join("data") },
            keys: Keys {
                keystore: folder.join("keys/city.keys"),
                key_file: Some(folder.join("keys/city.key")),
                passphrase_file: None,
                ..Keys::default()
            },
            limits: Limits::default(),
        };
        change(&mut config);
        std::fs::create_dir_all(&folder).unwrap();
        Unlock::create_key_file(&folder.join("root.key")).unwrap();
        let unlock = root_unlock(&folder);
        let root = RootFile { path: &folder.join(ROOT), unlock: &unlock };
        let tokens = create(&config, &root).unwrap();
        let tokens: Vec<String> = tokens.into_iter().map(|token| token.secret).collect();
        Self { config, folder, tokens: tokens.try_into().unwrap(), running: None }
    }

    /// Starts the server.
    pub fn open(&mut self) {
        let config = self.config.clone();
        self.run(async move { start(&config).await.unwrap() });
    }

    /// Starts the server with keys behind a custodian of the test's own.
    pub fn open_behind(
        &mut self,
        custodian: impl FnOnce(Keystore) -> std::sync::Arc<dyn Custody> + Send + 'static,
    ) {
        let config = self.config.clone();
        self.run(async move {
            let key_file = config.keys.key_file.clone().unwrap();
            let unlock = Unlock::key_file(&key_file, &config.store.data).unwrap();
            let keys = Keystore::open_server(&config.keys.keystore, &unlock);
            let options =
                store::sqlite::Options { folder: config.store.data.clone(), pages_max: None };
            let store = store::store::Store::new(store::sqlite::Sqlite::open(&options).unwrap());
            let server = Server::with(&config, custodian(keys.unwrap()), store).await.unwrap();
            start_server(server, &config).await.unwrap()
        });
    }

    /// Starts the server on a store of the test's own.
    pub fn open_on(&mut self, store: store::store::Store) {
        let config = self.config.clone();
        self.run(async move {
            let key_file = config.keys.key_file.clone().unwrap();
            let unlock = Unlock::key_file(&key_file, &config.store.data).unwrap();
            let keys = Keystore::open_server(&config.keys.keystore, &unlock);
            let custody = std::sync::Arc::new(keys.unwrap());
            let server = Server::with(&config, custody, store).await.unwrap();
            start_server(server, &config).await.unwrap()
        });
    }

    fn run(&mut self, started: impl Future<Output = server::start::Started> + Send + 'static) {
        assert!(self.running.is_none());
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async move {
                let started = started.await;
                ready.send(started.address().unwrap()).unwrap();
                started.run(stopped).await;
            });
        });
        let address = is_ready.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(address, self.config.http.listen);
        self.running = Some(Running { stop, thread });
    }

    /// Tries to create a city where this one is.
    pub fn found_again(&self) -> Result<(), CeremonyError> {
        let unlock = root_unlock(&self.folder);
        let root = RootFile { path: &self.folder.join("other-root.keys"), unlock: &unlock };
        create(&self.config, &root).map(drop)
    }

    /// Tries to create another city under the same root, in a country that there is not, with a
    /// custodian of the test's own.
    pub fn found_nowhere<C: Custody>(
        &self,
        custodian: impl FnOnce(Keystore) -> C,
    ) -> (CeremonyError, Keystore, C) {
        let mut config = self.config.clone();
        config.store.data = self.folder.join("other/data");
        config.keys.keystore = self.folder.join("other/keys/city.keys");
        let unlock = root_unlock(&self.folder);
        let root = RootFile { path: &self.folder.join(ROOT), unlock: &unlock }.open().unwrap();
        let keys = custodian(create_keystore(&config).unwrap());
        let custodians = Custodians { root: &root, city: &keys };
        let founding = Founding { country: "nowhere".into(), ..founding() };
        let made = runtime().block_on(create_city(&config, custodians, &founding, now()));
        (made.err().unwrap(), root, keys)
    }

    /// Certifies an operator while the server does not run; gives its first token.
    pub fn add_operator(&self, code: &str, name: &str) -> String {
        self.try_add_operator(code, name).unwrap()
    }

    /// Tries to certify an operator, whether the server runs or not.
    pub fn try_add_operator(&self, code: &str, name: &str) -> Result<String, CeremonyError> {
        let unlock = root_unlock(&self.folder);
        let root = RootFile { path: &self.folder.join(ROOT), unlock: &unlock };
        let (root, keys) = (root.open()?, open_keystore(&self.config)?);
        let custodians = Custodians { root: &root, city: &keys };
        let added = add_operator(&self.config, custodians, operator(code, name), now());
        runtime().block_on(added).map(|token| token.secret)
    }

    /// One step of the rotation of the root, beside a server that runs.
    pub fn rotate_root(&self) -> Vec<&'static str> {
        let unlock = root_unlock(&self.folder);
        let root = RootFile { path: &self.folder.join(ROOT), unlock: &unlock }.open().unwrap();
        let keys = open_keystore(&self.config).unwrap();
        let custodians = Custodians { root: &root, city: &keys };
        let order = Order {
            levels: vec![Level::Root],
            operator: None,
            haste: Haste::Planned,
            sharing: Sharing::Shared,
            leaving: None,
        };
        let done = runtime().block_on(rotate(&self.config, custodians, &order, now())).unwrap();
        done.into_iter().map(|done| done.what).collect()
    }

    /// Follows a signer with a new key, as the configuration says, while the server does not run.
    pub fn renew_signer(&self, level: Level, purpose: Purpose) -> Key {
        self.rotate(level, Haste::Compromised).newest(purpose, None).unwrap()
    }

    /// Makes the next key of a level while the server does not run.
    pub fn rotate(&self, level: Level, haste: Haste) -> Keystore {
        let unlock = root_unlock(&self.folder);
        let root = RootFile { path: &self.folder.join(ROOT), unlock: &unlock }.open().unwrap();
        let holder = open_keystore(&self.config).unwrap();
        let custodians = Custodians { root: &root, city: &holder };
        let sharing = Sharing::Alone;
        let order = Order { levels: vec![level], operator: None, haste, sharing, leaving: None };
        runtime().block_on(rotate(&self.config, custodians, &order, now())).unwrap();
        holder
    }

    /// Tries to start a second server on the same data, at another port.
    pub fn start_beside(&self) -> Result<(), StartError> {
        let mut config = self.config.clone();
        config.http.listen.set_port(0);
        runtime().block_on(async { start(&config).await.map(drop) })
    }

    /// Makes a token at the machine, whether the server runs or not.
    pub fn make_token(&self, code: &str, role: Role) -> Result<String, CeremonyError> {
        let (code, life) = (code.parse().unwrap(), Duration::from_secs(3_600));
        let made = make_token(&self.config, &code, Roles::only(role), "by hand", life, now());
        runtime().block_on(made).map(|token| token.secret)
    }

    /// Orders the server to stop, without waiting.
    pub fn order_stop(&self) {
        self.running.as_ref().unwrap().stop.send_replace(true);
    }

    /// Stops the server and waits for its end.
    pub fn close(&mut self) {
        self.order_stop();
        self.running.take().unwrap().thread.join().unwrap();
    }

    /// Somebody without a token.
    pub fn anyone(&self) -> Client {
        Client::new(&self.config.http.public_url, None)
    }

    /// The registrar of the city.
    pub fn registrar(&self) -> Client {
        self.anyone().as_bearer(&self.tokens[0])
    }

    /// The owner of `harbour`.
    pub fn harbour(&self) -> Client {
        self.anyone().as_bearer(&self.tokens[1])
    }

    /// The owner of `hill`.
    pub fn hill(&self) -> Client {
        self.anyone().as_bearer(&self.tokens[2])
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.send_replace(true);
            let _ = running.thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn create(config: &Config, root: &RootFile<'_>) -> Result<Vec<FirstToken>, CeremonyError> {
    let (keys, root) = (create_keystore(config)?, root.create()?);
    let custodians = Custodians { root: &root, city: &keys };
    runtime().block_on(create_city(config, custodians, &founding(), now()))
}
