//! A relay between the reader and the phone: real time, through a real service.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::TcpStreamExt;
use std::time::Duration;

use edge::reader_host::{ReaderHost, Settings};
use reader::decision::Reason;
use reader::taps::{TimeBound, TimeBounds};

use super::service::{Service, alone, names, port_of};
use super::stage::{Attended, present};
use crate::city::City;
use crate::place::Place;

const APDU: Duration = Duration::from_millis(400);
const TOTAL: Duration = Duration::from_millis(3_000);
const TAPS: u32 = 12;

/// Carries frames between `vpcd` and one card, and holds each response back for `delay(number)`.
fn relay(vpcd: SocketAddr, delay: impl Fn(u32) -> Duration + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut card, _) = listener.accept().unwrap();
        let mut reader = TcpStream::connect(vpcd).unwrap();
        card.set_nodelay(true).unwrap();
        reader.set_nodelay(true).unwrap();
        let mut number = 0;
        while let Some(frame) = frame(&mut reader) {
            if card.write_all(&frame).is_err() {
                break;
            }
            // Of the controls only the question for the ATR is answered.
            if frame.len() == 3 && frame[2] != 4 {
                continue;
            }
            let Some(response) = self::frame(&mut card) else { break };
            if frame.len() > 3 {
                std::thread::sleep(delay(number));
                number += 1;
            }
            if reader.write_all(&response).is_err() {
                break;
            }
        }
        let _ = card.shutdown(Shutdown::Both);
        let _ = reader.shutdown(Shutdown::Both);
    });
    address
}

fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 2];
    stream.set_quickack(true).ok()?;
    stream.read_exact(&mut frame).ok()?;
    let length = usize::from(u16::from_be_bytes([frame[0], frame[1]]));
    frame.resize(2 + length, 0);
    stream.set_quickack(true).ok()?;
    stream.read_exact(&mut frame[2..]).ok()?;
    Some(frame)
}

fn strict(place: &Place) -> ReaderHost {
    // The door of this city is of the low class.
    let low = TimeBound { apdu: APDU, total: TOTAL };
    let bounds = TimeBounds { low, ..TimeBounds::default() };
    let settings = Settings { bounds, ..Settings::default() };
    place.reader_with(settings)
}

#[test]
fn relay_past_the_bound_is_always_refused_and_one_below_half_of_it_never() {
    alone("relay::relay_past_the_bound_is_always_refused_and_one_below_half_of_it_never", || {
        let city = City::new();
        let place = Place::ready(&city);
        let mut wallet = place.wallet();
        let _service = Service::start(&place.path, 2);
        let gate = Attended::ready(&names()[0], strict(&place));
        let tap = |wallet: &mut _, delay: Box<dyn Fn(u32) -> Duration + Send>| {
            let address = relay(port_of(0), delay);
            let _ = present(wallet, address, &mut |_, _, response| response);
            let report = gate.tap();
            (crate::place::deed(&report), report.apdus.len())
        };
        // The last response is that to the good-bye, which no longer counts.
        let (deed, responses) = tap(&mut wallet, Box::new(|_| Duration::ZERO));
        assert_eq!(deed, Ok(()), "control: the relay adds nothing");
        let counted = u32::try_from(responses).unwrap() - 1;
        for number in 0..TAPS {
            let at = number % counted;
            let late =
                move |n| if n == at { APDU + Duration::from_millis(1) } else { Duration::ZERO };
            assert_eq!(tap(&mut wallet, Box::new(late)).0, Err(Reason::TooSlow), "response {at}");
            let half = move |n| if n == at { APDU / 2 } else { Duration::ZERO };
            assert_eq!(tap(&mut wallet, Box::new(half)).0, Ok(()), "response {at}");
        }
        // Each response fast enough by itself, and all together too slow; and half of that.
        let each = TOTAL / counted + Duration::from_millis(1);
        assert!(each < APDU);
        assert_eq!(tap(&mut wallet, Box::new(move |_| each)).0, Err(Reason::TooSlow));
        assert_eq!(tap(&mut wallet, Box::new(move |_| each / 2)).0, Ok(()));
    });
}

#[test]
fn without_the_bound_the_relay_opens_the_door() {
    alone("relay::without_the_bound_the_relay_opens_the_door", || {
        let city = City::new();
        let place = Place::ready(&city);
        let _service = Service::start(&place.path, 2);
        let gate = Attended::ready(&names()[0], place.reader());
        let address = relay(port_of(0), |_| APDU + Duration::from_millis(1));
        let _ = present(&mut place.wallet(), address, &mut |_, _, response| response);
        assert_eq!(gate.deed(), Ok(()), "a door of the low class waits for a minute by default");
    });
}
