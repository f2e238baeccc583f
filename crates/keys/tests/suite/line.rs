//! What the key service does with those who break the rules of the line, each with its control.

use keys::custody::Custody;
use keys::object::OBJECT_BYTES_MAX;
use keys::purpose::Purpose;
use keys::remote::{ConnectError, Remote, Settings};
use keys::service::serve::CONNECTIONS_MAX;
use keys::wire::frame::{self, FRAME_BYTES_MAX, HELLO_BYTES_MAX, TAG_BYTES};
use keys::wire::handshake::{Claim, HandshakeError, TurnedAway, claim, hello};
use keys::wire::message::{Given, Request};
use keys::wire::pairing::Pairing;
use keys::wire::refusal::Refusal;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use crate::folder::{Folder, set_mode};
use crate::post::{Post, make, read};
use crate::samples;

fn pairings(folder: &Folder) -> [Pairing; 2] {
    ["right", "wrong"].map(|file| {
        let path = folder.path(file);
        Pairing::create(&[&path]).unwrap();
        Pairing::open("server", &path).unwrap()
    })
}

#[test]
fn both_ends_must_hold_the_same_secret() {
    let folder = Folder::new();
    let [right, wrong] = pairings(&folder);
    let nonces = ([1; 32], [2; 32]);
    let (message, claiming) = claim(&hello(&nonces.0), &right, &nonces.1).unwrap();
    let claimed = Claim::read(&message).unwrap();
    assert_eq!(claimed.check(&wrong, &nonces.0).unwrap_err(), HandshakeError::Pairing);
    let (proof, mut service) = claimed.check(&right, &nonces.0).unwrap();
    let mut client = claiming.conclude(&proof).unwrap();
    let frame = client.out.seal(b"something");
    assert_eq!(service.into.open(frame[4..].to_vec()).unwrap(), b"something");
    let frame = service.out.seal(b"else");
    assert_eq!(client.into.open(frame[4..].to_vec()).unwrap(), b"else");

    // Who answers without the secret is no service.
    let (_, claiming) = claim(&hello(&nonces.0), &right, &nonces.1).unwrap();
    let (message, _) = claim(&hello(&nonces.0), &wrong, &nonces.1).unwrap();
    let (forged, _) = Claim::read(&message).unwrap().check(&wrong, &nonces.0).unwrap();
    assert_eq!(claiming.conclude(&forged).unwrap_err(), HandshakeError::Pairing);
}

#[test]
fn a_claim_counts_for_one_nonce_one_name_and_one_role() {
    let folder = Folder::new();
    let [right, _] = pairings(&folder);
    let (message, claiming) = claim(&hello(&[1; 32]), &right, &[2; 32]).unwrap();
    let claimed = Claim::read(&message).unwrap();
    assert!(claimed.check(&right, &[1; 32]).is_ok());
    assert!(claimed.check(&right, &[3; 32]).is_err(), "a claim that was recorded");
    let renamed = Pairing::open("other", &folder.path("right")).unwrap();
    assert!(claimed.check(&renamed, &[1; 32]).is_err(), "the same secret under another name");
    // What the client says of itself, sent back, proves nothing.
    let mut reflected = credential::cbor::Encoder::new();
    reflected.array(2).text("proof").bytes(&message[message.len() - 32..]);
    assert!(claiming.conclude(reflected.as_bytes()).is_err());
}

#[test]
fn every_changed_byte_of_a_handshake_is_noticed() {
    let folder = Folder::new();
    let [right, _] = pairings(&folder);
    let hello = hello(&[1; 32]);
    let (message, _) = claim(&hello, &right, &[2; 32]).unwrap();
    let passes = |hello: &[u8], message: &[u8]| {
        // The client answers what it was sent; the service checks against what it has sent.
        let (honest, claiming) = claim(hello, &right, &[2; 32]).ok()?;
        let message = if message.is_empty() { honest } else { message.to_vec() };
        let (proof, _) = Claim::read(&message).ok()?.check(&right, &[1; 32]).ok()?;
        claiming.conclude(&proof).ok()
    };
    assert!(passes(&hello, &message).is_some());
    for position in 0..hello.len() {
        let mut changed = hello.clone();
        changed[position] ^= 1;
        assert!(passes(&changed, &[]).is_none(), "byte {position} of the first pass");
    }
    for position in 0..message.len() {
        let mut changed = message.clone();
        changed[position] ^= 1;
        assert!(passes(&hello, &changed).is_none(), "byte {position} of the second pass");
    }
}

#[test]
fn another_version_is_named() {
    let folder = Folder::new();
    let [right, _] = pairings(&folder);
    let mut other = credential::cbor::Encoder::new();
    other.array(3).text("hello").unsigned(2).bytes(&[1; 32]);
    let error = claim(other.as_bytes(), &right, &[2; 32]).unwrap_err();
    assert_eq!(error, HandshakeError::Version { found: 2 });
    assert!(error.to_string().contains("version `2`"), "{error}");
}

#[test]
fn a_pairing_file_is_its_owners_alone() {
    let folder = Folder::new();
    let path = folder.path("p");
    Pairing::create(&[&path]).unwrap();
    assert!(Pairing::open("server", &path).is_ok());
    assert!(Pairing::create(&[&path]).is_err(), "a secret is not replaced");
    set_mode(&path, 0o640);
    let error = Pairing::open("server", &path).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
    set_mode(&path, 0o600);
    std::fs::write(&path, [1; 31]).unwrap();
    assert!(Pairing::open("server", &path).is_err());
    assert!(Pairing::open("", &path).is_err());
}

#[tokio::test]
async fn a_wrong_secret_is_turned_away() {
    let post = Post::new().await;
    assert!(post.connect("server").await.is_ok());
    let other = post.folder.path("other.pairing");
    Pairing::create(&[&other]).unwrap();
    for name in ["server", "nobody"] {
        let pairing = Pairing::open(name, &other).unwrap();
        let socket = post.config.socket.clone();
        let refused = Remote::connect(Settings { socket, uid: None, pairing }).await.unwrap_err();
        let expected = HandshakeError::TurnedAway(TurnedAway::Pairing);
        // Which of the two is wrong is not told.
        assert!(
            matches!(refused, ConnectError::Handshake(found) if found == expected),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_recorded_handshake_opens_nothing() {
    let post = Post::new().await;
    let mut first = post.stream().await;
    let hello = read(&mut first).await.unwrap();
    let (message, _) = claim(&hello, &post.pairing("server"), &[7; 32]).unwrap();
    first.write_all(&frame::plain(&message)).await.unwrap();
    let proof = read(&mut first).await.unwrap();
    let is_proof = |answer: &[u8]| answer.windows(5).any(|window| window == b"proof");
    assert!(is_proof(&proof));
    let mut second = post.stream().await;
    assert_ne!(read(&mut second).await.unwrap(), hello, "every connection has its nonce");
    second.write_all(&frame::plain(&message)).await.unwrap();
    assert!(!is_proof(&read(&mut second).await.unwrap()));
    assert_eq!(read(&mut second).await, None, "and that was all");
}

#[tokio::test]
async fn frames_stand_in_their_order_or_the_connection_ends() {
    let post = Post::new().await;
    let list = Request::Keys { from: 0 };
    let mut control = post.raw().await;
    for id in 0..3 {
        assert_eq!(control.ask(id, &list).await.unwrap().id, id);
    }
    // The same frame again.
    let mut raw = post.raw().await;
    let frame = raw.sealed(1, &list);
    raw.send(&frame).await;
    assert!(raw.answer().await.is_some());
    raw.send(&frame).await;
    assert_eq!(raw.answer().await, None, "repeated");
    // One left out.
    let mut raw = post.raw().await;
    let _ = raw.sealed(1, &list);
    assert_eq!(raw.ask(2, &list).await, None, "left out");
    // One of another connection of the same client.
    let (mut raw, mut other) = (post.raw().await, post.raw().await);
    let spliced = other.sealed(1, &list);
    raw.send(&spliced).await;
    assert_eq!(raw.answer().await, None, "spliced");
    // One that was changed on the way.
    let mut raw = post.raw().await;
    let mut frame = raw.sealed(1, &list);
    frame[6] ^= 1;
    raw.send(&frame).await;
    assert_eq!(raw.answer().await, None, "changed");
    // One without a check value.
    let mut raw = post.raw().await;
    raw.send(&frame::plain(&[0; TAG_BYTES - 1])).await;
    assert_eq!(raw.answer().await, None, "too short for a check value");
}

#[tokio::test]
async fn a_frame_has_its_limit() {
    let post = Post::new().await;
    let remote = post.remote().await;
    let key = make(&remote, Purpose::Checkpoint).await;
    let object = vec![0; OBJECT_BYTES_MAX];
    let mut raw = post.raw().await;
    let request = Request::Sign { handle: key.handle, object: &object };
    let answer = raw.ask(1, &request).await.unwrap();
    assert!(matches!(answer.outcome, Err(Refusal::WrongType { .. })), "it was read");
    for (length, is_read) in [(FRAME_BYTES_MAX, true), (FRAME_BYTES_MAX + 1, false)] {
        let mut raw = post.raw().await;
        let frame = raw.connection.out.seal(&vec![0; length - TAG_BYTES]);
        assert_eq!(frame.len(), 4 + length);
        let prefix = frame[..4].to_vec();
        // Past the limit the length alone ends it; a frame that is waited for is no answer.
        raw.send(&prefix).await;
        if is_read {
            raw.send(&frame[4..]).await;
            // Zeros are no request: it is dropped, and the connection goes on.
            let list = Request::Keys { from: 0 };
            assert!(raw.ask(2, &list).await.is_some());
        } else {
            assert_eq!(raw.answer().await, None);
        }
    }
    for (length, is_read) in [(HELLO_BYTES_MAX, true), (HELLO_BYTES_MAX + 1, false)] {
        let mut stream = post.stream().await;
        read(&mut stream).await.unwrap();
        // Both are no claim; the one within the limit is read and judged, which shows nowhere.
        let _ = stream.write_all(&frame::plain(&vec![0; length])).await;
        assert_eq!(read(&mut stream).await, None, "{is_read}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_only_half_is_let_go() {
    let post = Post::new().await;
    // The clock is the test's own: it runs ahead when everybody waits.
    let mut silent = post.stream().await;
    read(&mut silent).await.unwrap();
    assert_eq!(read(&mut silent).await, None, "no claim");
    let mut raw = post.raw().await;
    let frame = raw.sealed(1, &Request::Keys { from: 0 });
    raw.send(&frame[..10]).await;
    assert_eq!(raw.answer().await, None, "half a frame");
    // The control: who is silent between frames may stay.
    let mut raw = post.raw().await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert!(raw.ask(1, &Request::Keys { from: 0 }).await.is_some());
}

#[tokio::test]
async fn connections_have_their_limit() {
    let post = Post::new().await;
    let mut raws = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        raws.push(post.raw().await);
    }
    let refused = post.connect("server").await.unwrap_err();
    let expected = HandshakeError::TurnedAway(TurnedAway::Busy);
    assert!(matches!(refused, ConnectError::Handshake(found) if found == expected), "{refused}");
    let last = raws.last_mut().unwrap();
    assert!(last.ask(1, &Request::Keys { from: 0 }).await.is_some(), "at the limit all is well");
    raws.pop();
    let mut tries = 0;
    while post.connect("server").await.is_err() {
        tries += 1;
        assert!(tries < 10_000, "a place that is free is given away");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_no() {
    let post = Post::new().await;
    let mut raw = post.raw().await;
    for body in [
        &[0x82, 0x05, 0x61, b'x'][..],
        // A verb that is known, with an argument too many, and with none.
        &[0x83, 0x05, 0x66, b's', b't', b'a', b't', b'u', b's', 0x00],
        &[0x82, 0x05, 0x64, b'k', b'e', b'y', b's'],
        &[0x81, 0x05],
    ] {
        let frame = raw.connection.out.seal(body);
        raw.send(&frame).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.id, answer.outcome), (5, Err(Refusal::Unknown)), "{body:?}");
    }
    let answer = raw.ask(6, &Request::Status).await.unwrap();
    assert!(matches!(answer.outcome, Ok(Given::Status(_))));
}

#[tokio::test]
async fn who_listens_there_must_be_the_service() {
    let folder = Folder::new();
    let [right, wrong] = pairings(&folder);
    let socket = folder.path("s.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let impostor = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&frame::plain(&hello(&[1; 32]))).await.unwrap();
        let message = read(&mut stream).await.unwrap();
        let claimed = Claim::read(&message).unwrap();
        assert!(claimed.check(&wrong, &[1; 32]).is_err());
        let (own, _) = claim(&hello(&[1; 32]), &wrong, &[2; 32]).unwrap();
        let (proof, _) = Claim::read(&own).unwrap().check(&wrong, &[1; 32]).unwrap();
        stream.write_all(&frame::plain(&proof)).await.unwrap();
    });
    let settings = Settings { socket: socket.clone(), uid: None, pairing: right };
    let refused = Remote::connect(settings).await.unwrap_err();
    let expected = HandshakeError::Pairing;
    assert!(matches!(refused, ConnectError::Handshake(found) if found == expected), "{refused}");
    impostor.await.unwrap();
    // A user who is not the one that is named is not even spoken to.
    let pairing = Pairing::open("server", &folder.path("right")).unwrap();
    let listener = tokio::net::UnixListener::bind(folder.path("t.sock")).unwrap();
    let settings = Settings { socket: folder.path("t.sock"), uid: Some(4_000_000), pairing };
    let refused = Remote::connect(settings).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::Socket(_)), "{refused}");
    drop(listener);
}

#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_does() {
    let deep = "d".repeat(120);
    let post = Post::with(|config| {
        let folder = config.journal.parent().unwrap().join(&deep).join("run");
        config.socket = folder.join("keys.sock");
    })
    .await;
    let remote = post.remote().await;
    let key = make(&remote, Purpose::Checkpoint).await;
    let text = samples::checkpoint();
    let object = keys::object::TypedObject::parse(keys::object::ObjectType::Checkpoint, &text);
    remote.sign(&key.handle, &object.unwrap()).await.unwrap();
}
