//! How many requests of one connection a service deals with at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use credential::crypto::Signature;
use keys::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, SignError, State};
use keys::object::TypedObject;
use keys::purpose::Purpose;
use keys::seal::Kind;
use keys::service::serve::{BYTES_IN_FLIGHT_MAX, IN_FLIGHT_MAX};
use keys::software::Keystore;
use keys::wire::frame::{self, FRAME_BYTES_MAX};
use keys::wire::handshake::Connection;
use keys::wire::message::{Given, Request, read_answer, write_request};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::post::{Post, Raw, make};
use crate::samples;

/// A custodian that signs only when it is let.
struct Waiting {
    keys: Keystore,
    asked: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
}

impl Custody for Waiting {
    fn keys(&self) -> Arc<[Key]> {
        self.keys.keys()
    }

    fn sign<'a>(
        &'a self,
        handle: &'a KeyHandle,
        object: &'a TypedObject<'a>,
    ) -> Pending<'a, Signature, SignError> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.turns.acquire().await.unwrap().forget();
            self.keys.sign(handle, object).await
        })
    }

    fn generate(&self, request: NewKey) -> Pending<'_, Key, KeepError> {
        self.keys.generate(request)
    }

    fn attach_certificate<'a>(
        &'a self,
        handle: &'a KeyHandle,
        certificate: &'a [u8],
    ) -> Pending<'a, Key, KeepError> {
        self.keys.attach_certificate(handle, certificate)
    }

    fn set_state<'a>(
        &'a self,
        handle: &'a KeyHandle,
        state: State,
        at: Instant,
    ) -> Pending<'a, Key, KeepError> {
        self.keys.set_state(handle, state, at)
    }

    fn destroy<'a>(&'a self, handle: &'a KeyHandle) -> Pending<'a, (), KeepError> {
        self.keys.destroy(handle)
    }
}

#[tokio::test]
async fn one_request_too_many_waits_for_another_to_end() {
    let folder = Folder::new();
    let keys = Keystore::create(&folder.path("k"), Kind::Server, &folder.unlock()).unwrap();
    let handle = make(&keys, Purpose::Checkpoint).await.handle;
    let (asked, turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let mut post = Post::closed();
    let custody = Waiting { keys, asked: Arc::clone(&asked), turns: Arc::clone(&turns) };
    post.open_before(Arc::new(custody));
    let mut raw = post.raw().await;
    let text = samples::checkpoint();
    for id in 0..=IN_FLIGHT_MAX {
        let frame = raw.sealed(id as u64, &Request::Sign { handle, object: &text });
        raw.send(&frame).await;
    }
    let until = async |count| until(&asked, count).await;
    until(IN_FLIGHT_MAX).await;
    turns.add_permits(1);
    assert!(matches!(raw.answer().await.unwrap().outcome, Ok(Given::Signature(_))));
    until(IN_FLIGHT_MAX + 1).await;
    turns.add_permits(IN_FLIGHT_MAX);
    for _ in 0..IN_FLIGHT_MAX {
        assert!(matches!(raw.answer().await.unwrap().outcome, Ok(Given::Signature(_))));
    }
}

/// Waits until `count` were asked for, and no more are.
async fn until(asked: &AtomicUsize, count: usize) {
    while asked.load(Ordering::SeqCst) < count {
        tokio::task::yield_now().await;
    }
    // Whoever wanted to come could have come by now.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), count);
}

#[tokio::test]
async fn large_requests_wait_for_room_long_before_there_are_too_many() {
    let folder = Folder::new();
    let keys = Keystore::create(&folder.path("k"), Kind::Server, &folder.unlock()).unwrap();
    let handle = make(&keys, Purpose::StatusList).await.handle;
    let (asked, turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let mut post = Post::closed();
    let custody = Waiting { keys, asked: Arc::clone(&asked), turns: Arc::clone(&turns) };
    post.open_before(Arc::new(custody));
    let Raw { stream, connection } = post.raw().await;
    let Connection { mut out, mut into } = connection;
    let (mut from, mut to) = stream.into_split();
    let list = samples::status_list(BYTES_IN_FLIGHT_MAX / 5);
    let fit = BYTES_IN_FLIGHT_MAX / list.len();
    assert!((2..IN_FLIGHT_MAX).contains(&fit));
    let sending = tokio::spawn(async move {
        for id in 0..=fit {
            let body = write_request(id as u64, &Request::Sign { handle, object: &list });
            to.write_all(&out.seal(&body)).await.unwrap();
        }
        to
    });
    until(&asked, fit).await;
    turns.add_permits(1);
    until(&asked, fit + 1).await;
    turns.add_permits(fit);
    let _to = sending.await.unwrap();
    for _ in 0..=fit {
        let frame = frame::read(&mut from, FRAME_BYTES_MAX).await.unwrap().unwrap();
        let answer = into.open(frame).unwrap();
        assert!(matches!(read_answer(&answer).unwrap().outcome, Ok(Given::Signature(_))));
    }
}
