//! What the key service does for a client that keeps the rules.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use keys::custody::{Custody, KeepError, NewKey, SignError, State};
use keys::object::{ObjectType, TypedObject};
use keys::purpose::Purpose;
use keys::service::serve::StartError;
use keys::service::uses::{Deed, Outcome, Use};
use vocabulary::time::Instant;

use crate::folder::set_mode;
use crate::post::{AT, Post, make};
use crate::samples;

fn checkpoint(bytes: &[u8]) -> TypedObject<'_> {
    TypedObject::parse(ObjectType::Checkpoint, bytes).unwrap()
}

/// The uses in records of a journal.
fn uses(records: &[u8]) -> Vec<Use> {
    let (mut rest, mut found) = (records, Vec::new());
    while let Ok((record, after)) = audit::journal::split_record(rest, 0) {
        found.push(Use::of_payload(record.at, record.payload).unwrap());
        rest = after;
    }
    assert!(rest.is_empty());
    found
}

#[tokio::test]
async fn keys_live_their_lives_through_the_service() {
    let post = Post::new().await;
    let remote = post.remote().await;
    let text = samples::checkpoint();
    let object = checkpoint(&text);
    let key = make(&remote, Purpose::Checkpoint).await;
    assert_eq!(remote.newest(Purpose::Checkpoint, None), Some(key.clone()));
    let signature = remote.sign(&key.handle, &object).await.unwrap();
    assert_eq!(signature.as_bytes().len(), 64);
    let wrong = samples::mso();
    let wrong = TypedObject::parse(ObjectType::MobileSecurityObject, &wrong).unwrap();
    let refused = remote.sign(&key.handle, &wrong).await.unwrap_err();
    let (purpose, object_type) = (Purpose::Checkpoint, ObjectType::MobileSecurityObject);
    assert_eq!(refused, SignError::WrongType { purpose, object: object_type });
    let nobodys = remote.attach_certificate(&key.handle, &[0x30, 0]).await.unwrap_err();
    assert!(matches!(nobodys, KeepError::Certificate), "{nobodys}");
    let early = remote.destroy(&key.handle).await.unwrap_err();
    assert!(matches!(early, KeepError::Backwards { state: State::Active }), "{early}");
    let later = Instant::from_unix_seconds(1_800_000_000);
    let retired = remote.set_state(&key.handle, State::Retired, later).await.unwrap();
    assert_eq!((retired.state, retired.state_since), (State::Retired, later));
    assert_eq!(&*remote.keys(), &[retired]);
    let (handle, state) = (key.handle, State::Retired);
    let late = remote.sign(&handle, &object).await.unwrap_err();
    assert_eq!(late, SignError::NotActive { handle, state });
    remote.destroy(&key.handle).await.unwrap();
    assert!(remote.keys().is_empty());
    assert_eq!(remote.sign(&handle, &object).await, Err(SignError::UnknownKey { handle }));

    let (journal, entries, records) = remote.uses(0).await.unwrap();
    let start = audit::journal::Head::start(journal);
    let head = audit::journal::verify_run(&start, &records, |_| {}).unwrap();
    assert_eq!(head.entries(), entries);
    let told: Vec<(Deed, Outcome)> =
        uses(&records).iter().map(|used| (used.deed, used.outcome)).collect();
    use Deed::{Attach, Destroy, Generate, SetState, Sign};
    use Outcome::{Done, Failed, NotActive, Ordered, WrongType};
    assert_eq!(
        told,
        [
            (Generate, Ordered),
            (Generate, Done),
            (Sign, Done),
            (Sign, WrongType),
            (Attach, Ordered),
            (Attach, Failed),
            (Destroy, Ordered),
            (Destroy, Failed),
            (SetState, Ordered),
            (SetState, Done),
            (Sign, NotActive),
            (Destroy, Ordered),
            (Destroy, Done),
        ]
    );
    assert!(uses(&records).iter().all(|used| used.client == "server"));
    assert_eq!(remote.uses(entries).await.unwrap().2, Vec::<u8>::new());
}

#[tokio::test]
async fn a_client_sees_what_another_does_to_the_keys() {
    let post = Post::new().await;
    let (one, other) = (post.remote().await, post.remote().await);
    let key = make(&one, Purpose::Checkpoint).await;
    // Whatever is asked next tells that there is news.
    while other.newest(Purpose::Checkpoint, None).is_none() {
        other.status().await.unwrap();
        tokio::task::yield_now().await;
    }
    let text = samples::checkpoint();
    other.sign(&key.handle, &checkpoint(&text)).await.unwrap();
}

#[tokio::test]
async fn long_lists_of_keys_come_whole() {
    let post = Post::new().await;
    let remote = post.remote().await;
    for _ in 0..130 {
        make(&remote, Purpose::Bundle).await;
    }
    assert_eq!(remote.keys().len(), 130);
    assert_eq!(post.remote().await.keys(), remote.keys());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_signatures_are_on_their_way_on_one_connection() {
    let post = Post::new().await;
    let remote = Arc::new(post.remote().await);
    let key = make(&*remote, Purpose::Checkpoint).await;
    let mut signing = tokio::task::JoinSet::new();
    for _ in 0..2_000 {
        let (remote, handle) = (Arc::clone(&remote), key.handle);
        signing.spawn(async move {
            let text = samples::checkpoint();
            remote.sign(&handle, &checkpoint(&text)).await.is_ok()
        });
    }
    assert!(signing.join_all().await.into_iter().all(|signed| signed));
}

#[tokio::test]
async fn the_service_comes_back_and_so_does_its_client() {
    let mut post = Post::new().await;
    let remote = post.remote().await;
    let key = make(&remote, Purpose::Checkpoint).await;
    let text = samples::checkpoint();
    post.close().await;
    assert!(!post.config.socket.exists(), "it takes its socket with it");
    let away = remote.sign(&key.handle, &checkpoint(&text)).await;
    assert_eq!(away, Err(SignError::Unavailable));
    assert_eq!(remote.keys().len(), 1, "what was known stays known");
    post.open().unwrap();
    let mut tries = 0;
    while remote.sign(&key.handle, &checkpoint(&text)).await.is_err() {
        tries += 1;
        assert!(tries < 1_000);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (_, entries, records) = remote.uses(0).await.unwrap();
    assert_eq!(uses(&records).len() as u64, entries);
    assert_eq!(entries, 3, "made, made, signed: the chain goes on");
}

#[tokio::test]
async fn one_keystore_has_one_service() {
    let mut post = Post::new().await;
    let mut other = Post::closed();
    other.config.keystore = post.config.keystore.clone();
    assert!(matches!(other.open(), Err(StartError::Busy { .. })));
    post.close().await;
    other.open().unwrap();
}

#[tokio::test]
async fn one_journal_has_one_service() {
    let post = Post::new().await;
    let mut other = Post::closed();
    other.config.journal = post.config.journal.clone();
    assert!(matches!(other.open(), Err(StartError::Busy { .. })));
}

#[tokio::test]
async fn one_socket_has_one_service() {
    let mut post = Post::new().await;
    let mut other = Post::closed();
    other.config.socket = post.config.socket.clone();
    assert!(matches!(other.open(), Err(StartError::Busy { .. })));
    // The first one still has its socket, and gives it up with its end.
    post.remote().await;
    post.close().await;
    other.open().unwrap();
}

#[tokio::test]
async fn a_client_of_the_same_user_must_be_meant() {
    let mut post = Post::closed();
    post.config.same_user = false;
    let error = post.open().unwrap_err();
    assert!(error.to_string().contains("same_user = true"), "{error}");
    // Another user's client makes the service start, and is not this process.
    post.config.clients[0].uid = Some(4_000_000);
    post.open().unwrap();
    let error = post.connect("server").await.unwrap_err();
    assert!(error.to_string().contains("no client for this user"), "{error}");
}

/// A service with a second client, who may sign bundles and, if it `keeps`, change their keys.
async fn with_clerk(keeps: bool) -> Post {
    Post::with(|config| {
        let folder = config.journal.parent().unwrap().to_owned();
        let pairing = folder.join("clerk.pairing");
        keys::wire::pairing::Pairing::create(&[&pairing]).unwrap();
        config.clients.push(keys::service::config::Client {
            name: "clerk".into(),
            pairing,
            sign: vec!["bundle".into()],
            generate: keeps,
            set_state: keeps,
            destroy: keeps,
            ..config.clients[0].clone()
        });
    })
    .await
}

#[tokio::test]
async fn a_client_keeps_keys_of_its_own_purposes_alone() {
    let post = with_clerk(true).await;
    let foreign = make(&post.remote().await, Purpose::Checkpoint).await;
    let clerk = post.connect("clerk").await.unwrap();
    let made = clerk.generate(NewKey::active(Purpose::StatusList, None, AT)).await;
    assert!(matches!(made, Err(KeepError::NotAllowed { .. })));
    let moved = clerk.set_state(&foreign.handle, State::Retired, AT).await;
    assert!(matches!(moved, Err(KeepError::NotAllowed { .. })));
    let destroyed = clerk.destroy(&foreign.handle).await;
    assert!(matches!(destroyed, Err(KeepError::NotAllowed { .. })));
    // The control: the same deeds with a key of its purpose.
    let own = clerk.generate(NewKey::active(Purpose::Bundle, None, AT)).await.unwrap();
    clerk.set_state(&own.handle, State::Retired, AT).await.unwrap();
    clerk.destroy(&own.handle).await.unwrap();
}

#[tokio::test]
async fn a_client_does_what_it_may_and_nothing_else() {
    let post = with_clerk(false).await;
    let (server, clerk) = (post.remote().await, post.connect("clerk").await.unwrap());
    let key = make(&server, Purpose::Checkpoint).await;
    let clerk_knows = post.connect("clerk").await.unwrap();
    assert_eq!(clerk_knows.keys().len(), 1);
    let text = samples::checkpoint();
    let refused = clerk_knows.sign(&key.handle, &checkpoint(&text)).await.unwrap_err();
    assert_eq!(refused, SignError::NotAllowed { purpose: Purpose::Checkpoint });
    server.sign(&key.handle, &checkpoint(&text)).await.unwrap();
    let new = NewKey::active(Purpose::Bundle, None, AT);
    for (deed, done) in [
        ("generate", clerk.generate(new).await.map(drop)),
        ("attach", clerk.attach_certificate(&key.handle, &[1]).await.map(drop)),
        ("set-state", clerk.set_state(&key.handle, State::Retired, AT).await.map(drop)),
        ("destroy", clerk.destroy(&key.handle).await),
    ] {
        let error = done.unwrap_err();
        assert!(matches!(error, KeepError::NotAllowed { deed: found } if found == deed), "{error}");
    }
    server.set_state(&key.handle, State::Retired, AT).await.unwrap();
}

#[tokio::test]
async fn each_client_has_its_own_rate() {
    let post = Post::with(|config| {
        let folder = config.journal.parent().unwrap().to_owned();
        let pairing = folder.join("slow.pairing");
        keys::wire::pairing::Pairing::create(&[&pairing]).unwrap();
        let slow = keys::service::config::Client {
            name: "slow".into(),
            pairing,
            signatures_per_minute: 3,
            ..config.clients[0].clone()
        };
        config.clients.push(slow);
    })
    .await;
    let server = post.remote().await;
    let key = make(&server, Purpose::Checkpoint).await;
    let slow = post.connect("slow").await.unwrap();
    let text = samples::checkpoint();
    for _ in 0..3 {
        slow.sign(&key.handle, &checkpoint(&text)).await.unwrap();
    }
    let error = slow.sign(&key.handle, &checkpoint(&text)).await.unwrap_err();
    assert!(matches!(error, SignError::TooMany { retry_s: 19..=20 }), "{error}");
    assert!(error.to_string().contains("retry in `"), "{error}");
    server.sign(&key.handle, &checkpoint(&text)).await.unwrap();
}

#[tokio::test]
async fn no_record_no_signature() {
    let post = Post::new().await;
    let remote = post.remote().await;
    let key = make(&remote, Purpose::Checkpoint).await;
    let text = samples::checkpoint();
    let sign = async || remote.sign(&key.handle, &checkpoint(&text)).await;
    sign().await.unwrap();
    // The folder is gone when the next file of the journal is begun.
    let file = post.folder.path("uses/00000000000000000000.uses");
    let (here, away) = (post.folder.path("uses"), post.folder.path("away"));
    let left = || {
        let length = std::fs::metadata(&file).unwrap().len();
        keys::service::uses::SEGMENT_BYTES_MAX.saturating_sub(length)
    };
    // Many at a time, and the last ones singly: the file shall be just full.
    while left() > 0 {
        let count = match left() {
            150_001.. => 512,
            6_001.. => 16,
            _ => 1,
        };
        for signed in join((0..count).map(|_| sign()).collect()).await {
            signed.unwrap();
        }
    }
    std::fs::rename(&here, &away).unwrap();
    assert_eq!(sign().await, Err(SignError::Unavailable));
    let generated = remote.generate(NewKey::active(Purpose::Bundle, None, AT)).await;
    assert!(matches!(generated, Err(KeepError::Unavailable)), "no deed either");
    std::fs::rename(&away, &here).unwrap();
    sign().await.unwrap();
    assert_eq!(std::fs::read_dir(&here).unwrap().count(), 4, "lock, name and two files");
}

/// Waits for all of `futures`, which go on side by side.
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// A service whose socket lies in a folder that stands there already, with `mode` and the group of the
/// test.
async fn in_folder(mode: u32, group: Option<u32>) -> (Post, Result<(), StartError>) {
    let mut post = Post::closed();
    let parent = post.folder.path("run");
    std::fs::create_dir(&parent).unwrap();
    set_mode(&parent, mode);
    post.config.group = group;
    let opened = post.open();
    (post, opened)
}

#[tokio::test]
async fn folder_of_the_socket_is_made_where_there_is_none_and_else_left_alone() {
    let mode = |post: &Post| {
        let metadata = std::fs::metadata(post.folder.path("run")).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    for theirs in [0o755, 0o711, 0o700, 0o1777] {
        let (post, opened) = in_folder(theirs, None).await;
        opened.unwrap();
        assert_eq!(mode(&post), theirs);
        post.remote().await;
    }
    assert_eq!(mode(&Post::new().await), 0o700, "the control: its own is closed");
    let group = rustix::process::getegid().as_raw();
    assert_eq!(mode(&Post::with(|config| config.group = Some(group)).await), 0o750);
    for (theirs, group, run) in [
        (0o777, None, "chmod go-w"),
        (0o775, None, "chmod go-w"),
        (0o700, Some(group), "chgrp"),
        (0o705, Some(group), "chgrp"),
        (0o750, Some(group + 1), "chgrp"),
    ] {
        let (post, opened) = in_folder(theirs, group).await;
        let refused = opened.unwrap_err().to_string();
        assert!(refused.contains(run), "{refused}");
        assert_eq!(mode(&post), theirs);
    }
    in_folder(0o750, Some(group)).await.1.unwrap();
}
