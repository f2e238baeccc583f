//! The encrypted channel: order, repetition, direction and limit.

use credential::aws_lc::AwsLc;
use credential::crypto::{BadKey, Crypto, P256Secret};
use credential::rustcrypto::RustCrypto;
use presentation::session::{Channel, ChannelError, End, MESSAGES_MAX, SessionKeys};
use presentation::transcript::{Handover, SessionTranscript};

fn ends() -> (Channel, Channel) {
    let transcript = SessionTranscript::new(&[1], &[2], Handover::Qr);
    let secrets = [[1; 32], [2; 32]].map(P256Secret::from_bytes);
    let keys = |own: usize, peer: usize, crypto: &dyn Crypto| {
        let peer = crypto.p256_public(&secrets[peer]).unwrap();
        SessionKeys::agree(crypto, &secrets[own], &peer, &transcript).unwrap()
    };
    let reader = Channel::new(End::Reader, keys(0, 1, &RustCrypto));
    (reader, Channel::new(End::Holder, keys(1, 0, &AwsLc)))
}

#[test]
fn messages_open_in_their_order_in_both_directions() {
    let (mut reader, mut holder) = ends();
    for message in [&b"one"[..], b"", b"three"] {
        let sealed = reader.seal(&RustCrypto, message).unwrap();
        assert_eq!(holder.open(&AwsLc, &sealed).unwrap(), message);
        let sealed = holder.seal(&AwsLc, message).unwrap();
        assert_eq!(reader.open(&RustCrypto, &sealed).unwrap(), message);
    }
}

/// What the holder's end says to a choice of the reader's messages: their numbers, in order.
fn check(order: &[usize], expected: &[Result<(), ChannelError>]) {
    let (mut reader, mut holder) = ends();
    let sealed: Vec<_> = (0..3).map(|_| reader.seal(&RustCrypto, b"message").unwrap()).collect();
    let outcomes: Vec<_> =
        order.iter().map(|&number| holder.open(&RustCrypto, &sealed[number]).map(drop)).collect();
    assert_eq!(outcomes, expected, "{order:?}");
    let alive = outcomes.iter().all(Result::is_ok);
    assert_eq!(holder.seal(&RustCrypto, b"answer").is_ok(), alive, "{order:?}");
}

#[test]
fn a_message_out_of_place_closes_the_channel_for_good() {
    let bad = Err(ChannelError::Undecryptable);
    let closed = Err(ChannelError::Closed);
    check(&[0, 1, 2], &[Ok(()), Ok(()), Ok(())]);
    check(&[0, 0, 1], &[Ok(()), bad, closed]);
    check(&[0, 2, 1], &[Ok(()), bad, closed]);
    check(&[1, 0], &[bad, closed]);
}

#[test]
fn a_message_sent_back_to_its_sender_does_not_open() {
    let (mut reader, _) = ends();
    let sealed = reader.seal(&RustCrypto, b"message").unwrap();
    assert_eq!(reader.open(&RustCrypto, &sealed), Err(ChannelError::Undecryptable));
}

#[test]
fn the_number_of_messages_holds_to_its_limit() {
    let (mut reader, mut holder) = ends();
    for _ in 0..MESSAGES_MAX {
        let sealed = reader.seal(&RustCrypto, b"").unwrap();
        holder.open(&RustCrypto, &sealed).unwrap();
    }
    assert_eq!(reader.seal(&RustCrypto, b""), Err(ChannelError::Exhausted));
    assert_eq!(holder.open(&RustCrypto, &[0; 16]), Err(ChannelError::Exhausted));
}

#[test]
fn a_key_off_the_curve_agrees_on_nothing() {
    let transcript = SessionTranscript::new(&[1], &[2], Handover::Qr);
    let mut point = RustCrypto.p256_public(&P256Secret::from_bytes([2; 32])).unwrap();
    point[64] ^= 1;
    for crypto in [&RustCrypto as &dyn Crypto, &AwsLc] {
        let secret = P256Secret::from_bytes([1; 32]);
        let keys = SessionKeys::agree(crypto, &secret, &point, &transcript);
        assert_eq!(keys.err(), Some(BadKey));
    }
}
