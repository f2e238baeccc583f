//! A running server with a city of its own, on a free port of loopback.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use keys::unlock::Unlock;
use serde_json::Value;
use server::city::ceremony::{Custodians, Founding, create_city};
use server::city::files::{RootFile, create_keystore};
use server::config::{Config, Http, Keys, Limits, Store};
use tokio::sync::watch;
use vocabulary::time::Instant;

const OPERATOR: &str = "tramways";

pub(crate) struct Town {
    pub(crate) url: String,
    /// That of the operator's owner.
    pub(crate) token: String,
    stop: watch::Sender<bool>,
    serving: Option<JoinHandle<()>>,
    folder: PathBuf,
}

impl Town {
    /// Creates the city with one operator and serves it from a thread of its own.
    pub(crate) fn start() -> Self {
        Self::with_limits(Limits::default())
    }

    /// As [`Town::start`], with limits of its own.
    pub(crate) fn with_limits(limits: Limits) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("limen-conformance-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{listen}");
        let config = Config {
            http: Http { listen, public_url: url.clone(), tls_cert: None, tls_key: None },
            store: Store { data: folder.join("data") },
            keys: Keys {
                keystore: folder.join("keys/server.keystore"),
                key_file: Some(folder.join("secret/server.key")),
                passphrase_file: None,
                ..Keys::default()
            },
            limits,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let token = runtime.block_on(create(&config, &folder));
        let started = runtime.block_on(server::start::start(&config)).unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = std::thread::spawn(move || runtime.block_on(started.run(stopped)));
        Self { url, token, stop, serving: Some(serving), folder }
    }

    pub(crate) fn now(&self) -> Instant {
        server::world::now()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}{path}", self.url)).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// What the operator's owner posts, which must be taken.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let request = ureq::post(format!("{}{path}", self.url))
            .config()
            .http_status_as_error(false)
            .build()
            .header("Authorization", format!("Bearer {}", self.token));
        let mut answer = request.content_type("application/json").send(body.to_string()).unwrap();
        let status = answer.status();
        let said = answer.body_mut().read_to_string().unwrap();
        assert!(status.is_success(), "{path}: {status} {said}");
        serde_json::from_str(&said).unwrap()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(serving) = self.serving.take() {
            serving.join().ok();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The first token of the operator.
async fn create(config: &Config, folder: &std::path::Path) -> String {
    let operator = identity::operator::NewOperator {
        code: OPERATOR.parse().unwrap(),
        name: "Tramways".parse().unwrap(),
    };
    let founding = Founding {
        name: "Harbour".parse().unwrap(),
        country: String::from("UT"),
        operators: vec![operator],
    };
    let unlock = Unlock::passphrase("a passphrase of the tests").unwrap();
    let root = RootFile { path: &folder.join("root/root.keystore"), unlock: &unlock };
    let (root, keys) = (root.create().unwrap(), create_keystore(config).unwrap());
    let custodians = Custodians { root: &root, city: &keys };
    let tokens = create_city(config, custodians, &founding, server::world::now()).await.unwrap();
    let own = tokens.into_iter().find(|token| token.operator.as_str() == OPERATOR);
    own.unwrap().secret
}
