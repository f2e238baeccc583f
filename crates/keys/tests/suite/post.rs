//! A key service in this process, and clients of it.

use std::path::PathBuf;
use std::sync::Arc;

use keys::custody::{Custody, Key, NewKey};
use keys::purpose::Purpose;
use keys::remote::{ConnectError, Remote, Settings};
use keys::seal::Kind;
use keys::service::config::{Client, Config, Sealed};
use keys::service::serve::{Service, StartError};
use keys::software::Keystore;
use keys::vault::Vault;
use keys::vault::desk::VaultRight;
use keys::wire::frame::{self, HELLO_BYTES_MAX};
use keys::wire::handshake::{Connection, claim};
use keys::wire::message::{Answer, Request, read_answer, write_request};
use keys::wire::pairing::Pairing;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vocabulary::time::Instant;

use crate::folder::Folder;

pub(crate) const AT: Instant = Instant::from_unix_seconds(1_790_000_000);

/// A keystore with a service before it.
pub(crate) struct Post {
    pub(crate) folder: Folder,
    pub(crate) config: Config,
    running: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Post {
    /// A service with one client, `server`, that may do everything.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, configured otherwise.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut post = Self::closed();
        change(&mut post.config);
        post.open().unwrap();
        post
    }

    pub(crate) fn closed() -> Self {
        let folder = Folder::new();
        let key_file = folder.path("unlock.key");
        let path = folder.path("city.keys");
        Keystore::create(&path, Kind::Server, &folder.unlock()).unwrap();
        let config = Config {
            socket: folder.path("run/keys.sock"),
            group: None,
            journal: folder.path("uses"),
            same_user: true,
            keystore: Some(Sealed { path, key_file: Some(key_file), passphrase_file: None }),
            token: None,
            halves: None,
            retiring: None,
            vault: None,
            clients: vec![client(&folder, "server")],
        };
        Self { folder, config, running: None }
    }

    pub(crate) fn open(&mut self) -> Result<(), StartError> {
        self.run(Service::start(&self.config)?);
        Ok(())
    }

    /// Serves from a custodian of the test's own.
    pub(crate) fn open_before(&mut self, custody: Arc<dyn Custody>) {
        self.run(Service::with(&self.config, custody).unwrap());
    }

    /// Serves from a custodian and a vault of the test's own.
    pub(crate) fn open_with(&mut self, custody: Arc<dyn Custody>, vault: Arc<dyn Vault>) {
        self.run(Service::with_vault(&self.config, custody, Some(vault)).unwrap());
    }

    /// Another client, who may do everything but ask the vault for what is not in `rights`.
    pub(crate) fn admit(&mut self, name: &str, rights: &[&str]) {
        let vault = rights.iter().map(|right| (*right).to_owned()).collect();
        self.config.clients.push(Client { vault, ..client(&self.folder, name) });
    }

    fn run(&mut self, service: Service) {
        let (stop, stopped) = watch::channel(false);
        self.running = Some((stop, tokio::spawn(service.run(stopped))));
    }

    /// Ends the service in order.
    pub(crate) async fn close(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.send_replace(true);
        task.await.unwrap();
    }

    pub(crate) fn pairing(&self, name: &str) -> Pairing {
        Pairing::open(name, &pairing_path(&self.folder, name)).unwrap()
    }

    pub(crate) async fn remote(&self) -> Remote {
        self.connect("server").await.unwrap()
    }

    pub(crate) async fn connect(&self, name: &str) -> Result<Remote, ConnectError> {
        let (socket, pairing) = (self.config.socket.clone(), self.pairing(name));
        Remote::connect(Settings { socket, uid: None, pairing }).await
    }

    pub(crate) async fn stream(&self) -> UnixStream {
        UnixStream::connect(&self.config.socket).await.unwrap()
    }

    /// A connection by hand, after its handshake.
    pub(crate) async fn raw(&self) -> Raw {
        let mut stream = self.stream().await;
        let hello = read(&mut stream).await.unwrap();
        let (message, claiming) = claim(&hello, &self.pairing("server"), &[7; 32]).unwrap();
        stream.write_all(&frame::plain(&message)).await.unwrap();
        let proof = read(&mut stream).await.unwrap();
        Raw { stream, connection: claiming.conclude(&proof).unwrap() }
    }
}

/// A connection whose frames a test makes itself.
pub(crate) struct Raw {
    pub(crate) stream: UnixStream,
    pub(crate) connection: Connection,
}

impl Raw {
    pub(crate) fn sealed(&mut self, id: u64, request: &Request<'_>) -> Vec<u8> {
        self.connection.out.seal(&write_request(id, request))
    }

    pub(crate) async fn send(&mut self, frame: &[u8]) {
        // The service may have gone already.
        let _ = self.stream.write_all(frame).await;
    }

    /// The next answer; none where the service has ended the connection.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let frame = frame::read(&mut self.stream, frame::FRAME_BYTES_MAX).await.ok()??;
        Some(read_answer(&self.connection.into.open(frame).unwrap()).unwrap())
    }

    pub(crate) async fn ask(&mut self, id: u64, request: &Request<'_>) -> Option<Answer> {
        let frame = self.sealed(id, request);
        self.send(&frame).await;
        self.answer().await
    }
}

/// The next frame of a handshake.
pub(crate) async fn read(stream: &mut UnixStream) -> Option<Vec<u8>> {
    frame::read(stream, HELLO_BYTES_MAX).await.ok().flatten()
}

/// A client that may do everything, with its secret.
pub(crate) fn client(folder: &Folder, name: &str) -> Client {
    let pairing = pairing_path(folder, name);
    Pairing::create(&[&pairing]).unwrap();
    Client {
        name: name.into(),
        pairing,
        uid: None,
        sign: Purpose::ALL.iter().map(ToString::to_string).collect(),
        generate: true,
        set_state: true,
        destroy: true,
        vault: VaultRight::ALL.iter().map(|right| right.as_str().into()).collect(),
        signatures_per_minute: 1_000_000,
    }
}

fn pairing_path(folder: &Folder, name: &str) -> PathBuf {
    folder.path(&format!("{name}.pairing"))
}

/// A new active key of `purpose`.
pub(crate) async fn make(custody: &dyn Custody, purpose: Purpose) -> Key {
    custody.generate(NewKey::active(purpose, None, AT)).await.unwrap()
}
