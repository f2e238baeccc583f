//! Accepting connections: plain HTTP on loopback or TLS 1.3, with limits, until told to stop.
//!
//! A connection beyond the limit waits in the backlog of the system; one that does not finish its
//! header in time, or does not take its answer in time, is closed. On shutdown no new connection is
//! taken and those at hand may finish.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::config::{Http, Limits};
use crate::stall::Impatient;

/// Bytes in the header of a request.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// How long connections may finish after the order to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A bound port, ready to serve.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Listener {
    /// Binds the port and loads the certificate, if there is one.
    ///
    /// # Errors
    /// [`io::Error`] that names the address or the file.
    pub async fn bind(http: &Http, limits: &Limits) -> io::Result<Self> {
        let tls = match (&http.tls_cert, &http.tls_key) {
            (Some(certificate), Some(key)) => Some(tls_acceptor(certificate, key)?),
            _ => None,
        };
        let socket = TcpListener::bind(http.listen)
            .await
            .map_err(|error| named(&error, &format!("cannot listen on `{}`", http.listen)))?;
        Ok(Self { socket, tls, limits: limits.clone() })
    }

    /// The address that is really bound (the port may have been 0).
    ///
    /// # Errors
    /// [`io::Error`] of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop` turns true, then lets connections finish.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(self.limits.connections_max));
        let (connections, mut all_closed) = tokio::sync::mpsc::channel::<()>(1);
        loop {
            // Both waits end with the order to stop: also a server without a free slot must hear it.
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, self.socket.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                next = next => next,
                _ = stop.wait_for(|stopped| *stopped) => break,
            };
            let Ok(slot) = slot else { break };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the peer is gone already: the next may work.
                    tracing::warn!(%error, "connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let connection = Connection {
                router: router.clone(),
                peer,
                header_timeout: self.limits.header_timeout(),
                answer_timeout: self.limits.request_timeout(),
                stop: stop.clone(),
            };
            let (tls, open) = (self.tls.clone(), connections.clone());
            tokio::spawn(async move {
                connection.run(stream, tls).await;
                drop((slot, open));
            });
        }
        drop(connections);
        let drained = tokio::time::timeout(DRAIN, all_closed.recv()).await;
        if drained.is_err() {
            tracing::warn!("connections were cut at the end of shutdown");
        }
    }
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    header_timeout: Duration,
    /// How long the peer may take to take its answers, once they are ready.
    answer_timeout: Duration,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Small answers go out at once; where the system refuses that, they only come later.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = tls else { return self.http(stream).await };
        // The handshake counts as part of the header: a peer that dawdles is cut.
        match tokio::time::timeout(self.header_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn http(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let router = self.router;
        let peer = self.peer;
        let stream = Impatient::new(stream, self.answer_timeout);
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let finished = tokio::select! {
            result = connection.as_mut() => Some(result),
            _ = self.stop.wait_for(|stopped| *stopped) => None,
        };
        let result = match finished {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection ended early");
        }
    }
}

fn tls_acceptor(certificate: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let broken = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::other(format!("cannot use `{}`: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| broken(certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| broken(key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| broken(certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn named(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
