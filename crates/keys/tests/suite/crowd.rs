//! How many requests of one connection a service deals with at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use credential::crypto::Signature;
use keys::custody::{Custody, KeepError, Key, KeyHandle, NewKey, Pending, SignError, State};
use keys::object::TypedObject;
use keys::purpose::Purpose;
use keys::seal::Kind;
use keys::service::serve::IN_FLIGHT_MAX;
use keys::software::Keystore;
use keys::wire::message::{Given, Request};
use tokio::sync::Semaphore;
use vocabulary::time::Instant;

use crate::folder::Folder;
use crate::post::{Post, make};
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
    let until = async |count: usize| {
        while asked.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
        // Whoever wanted to come could have come by now.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked.load(Ordering::SeqCst), count);
    };
    until(IN_FLIGHT_MAX).await;
    turns.add_permits(1);
    assert!(matches!(raw.answer().await.unwrap().outcome, Ok(Given::Signature(_))));
    until(IN_FLIGHT_MAX + 1).await;
    turns.add_permits(IN_FLIGHT_MAX);
    for _ in 0..IN_FLIGHT_MAX {
        assert!(matches!(raw.answer().await.unwrap().outcome, Ok(Given::Signature(_))));
    }
}
