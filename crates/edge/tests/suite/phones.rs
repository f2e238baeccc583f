//! Phones that leave, lie, shout or say nothing: the door stays closed, and the next one is served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use edge::link::{FRAME_BYTES_MAX, Field, Link};
use edge::reader_host::{ReaderHost, TapReport};
use edge::wallet_host::WalletHost;
use reader::decision::Reason;
use wallet::tap::{Shown, TapError};

use crate::city::City;
use crate::place::{Place, deed, granted, grants, show, tap_by};

/// A tap through somebody in the middle, who makes of response number so-and-so what `disturb` says;
/// nothing ends the tap.
fn tap_through(
    reader: &mut ReaderHost,
    wallet: &mut WalletHost,
    mut disturb: impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>> + Send,
) -> (TapReport, Result<Shown, TapError>) {
    let middle = Field::open(0).unwrap();
    let address = middle.address().unwrap();
    tap_by(
        reader,
        |_| {},
        |mut to_reader| {
            std::thread::scope(|scope| {
                let phone = scope.spawn(|| show(wallet, Link::connect(address).unwrap()));
                let mut to_phone = middle.accept().unwrap();
                for number in 0.. {
                    let Ok(command) = to_reader.receive() else { break };
                    to_phone.send(&command).unwrap();
                    let Ok(response) = to_phone.receive() else { break };
                    let Some(response) = disturb(number, response) else { break };
                    if to_reader.send(&response).is_err() {
                        break;
                    }
                }
                drop((to_phone, to_reader));
                phone.join().unwrap()
            })
        },
    )
}

#[test]
fn phone_that_leaves_at_any_moment_opens_nothing_unless_it_has_answered() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    let (report, shown) = tap_through(&mut reader, &mut wallet, |_, response| Some(response));
    assert_eq!(deed(&report), Ok(()), "control: nobody disturbs");
    assert!(shown.is_ok());
    let responses = report.apdus.len();
    assert!(responses > 5);
    for cut in 0..responses {
        let before = (grants(&reader), reader.records_pending(), wallet.state.log.len());
        let cut_at = |number, response| (number != cut).then_some(response);
        let (report, shown) = tap_through(&mut reader, &mut wallet, cut_at);
        assert_eq!(wallet.state.log.len(), before.2 + 1, "cut at {cut}");
        // The last response is the one to good-bye, and the one before it is the answer.
        if cut == responses - 1 {
            assert_eq!(deed(&report), Ok(()), "cut at {cut}");
            assert_eq!(grants(&reader), before.0 + 1);
            continue;
        }
        assert_eq!(deed(&report), Err(Reason::Interrupted), "cut at {cut}");
        assert_eq!(reader.records_pending(), before.1, "cut at {cut}");
        assert_eq!(report.apdus.len(), cut + 1);
        // What the wallet has given away stands in its log, whether the reader got it or not.
        let disclosed = !wallet.state.log.last().unwrap().disclosed.is_empty();
        assert_eq!(disclosed, cut == responses - 2, "cut at {cut}");
        assert_eq!(shown.is_ok(), disclosed, "cut at {cut}");
    }
    granted(&mut reader, &mut wallet);
}

#[test]
fn garbage_at_any_moment_opens_nothing_unless_the_phone_has_answered() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    let responses = tap_through(&mut reader, &mut wallet, |_, response| Some(response)).0;
    let answer = responses.apdus.len() - 2;
    for garbage in [Vec::new(), vec![0x90], vec![0x90, 0], vec![0xA5; 40], vec![0; FRAME_BYTES_MAX]]
    {
        for number in 0..=answer {
            let before = grants(&reader);
            let mut was_same = false;
            let disturb = |at, response: Vec<u8>| {
                if at == number {
                    was_same = response == garbage;
                    return Some(garbage.clone());
                }
                Some(response)
            };
            let report = tap_through(&mut reader, &mut wallet, disturb).0;
            let opened = deed(&report) == Ok(());
            // Some responses are a bare status; the same bytes in their place are no garbage.
            assert_eq!(opened, was_same, "{} bytes at {number}", garbage.len());
            assert_eq!(grants(&reader), before + usize::from(opened));
        }
    }
    granted(&mut reader, &mut wallet);
}

/// A tap of a phone that says these bytes to whatever it hears, frame or not.
fn tap_raw(reader: &mut ReaderHost, says: &'static [u8], wait: Duration) -> TapReport {
    let field = Field::open(0).unwrap();
    let mut phone = TcpStream::connect(field.address().unwrap()).unwrap();
    let mut link = field.accept().unwrap();
    link.set_wait(wait);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = phone.write_all(says);
            // It stays until the reader has gone.
            let _ = phone.read_to_end(&mut Vec::new());
        });
        let secret = credential::crypto::P256Secret::from_bytes(crate::place::fresh());
        let door = crate::city::door();
        let report = reader.tap(&mut link, door, secret, &crate::city::noon).unwrap();
        drop(link);
        report
    })
}

#[test]
fn silent_and_oversize_phones_are_given_up() {
    let city = City::new();
    let place = Place::ready(&city);
    let (mut reader, mut wallet) = (place.reader(), place.wallet());
    let short = Duration::from_millis(30);
    let long = Duration::from_secs(60);
    for (says, wait) in [
        (&b""[..], short),
        // Less than a length, and less than was announced.
        (&[0, 0][..], short),
        (&[0, 0, 0, 9, 0x90][..], short),
        // More than any APDU: noticed at once, without waiting for it.
        (&[0xFF; 4][..], long),
        (&[0, 1, 0, 17][..], long),
    ] {
        let report = tap_raw(&mut reader, says, wait);
        assert_eq!(deed(&report), Err(Reason::Interrupted), "{says:?}");
        assert_eq!(report.apdus.len(), 1);
    }
    assert_eq!(reader.records_pending(), 0, "nobody fills a journal by this");
    granted(&mut reader, &mut wallet);
}
