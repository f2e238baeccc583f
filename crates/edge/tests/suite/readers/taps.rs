//! Taps as they should be.

use std::time::{Duration, Instant};

use edge::link::WAIT;
use edge::pcsc::connect;
use edge::transport::Transport;

use super::service::{Service, alone, names, port_of, until_card};
use super::stage::{Attended, show};
use crate::city::City;
use crate::place::{Place, grants};

const TEN: u16 = 10;

#[test]
fn ten_phones_at_ten_readers_at_once_open_ten_doors() {
    alone("taps::ten_phones_at_ten_readers_at_once_open_ten_doors", || {
        let city = City::new();
        let places: Vec<Place> = (0..TEN).map(|_| Place::ready(&city)).collect();
        let _service = Service::start(&places[0].path, TEN);
        let names = names();
        assert_eq!(names.len(), usize::from(TEN));
        let gates: Vec<Attended> = names
            .iter()
            .zip(&places)
            .map(|(n, place)| Attended::ready(n, place.reader()))
            .collect();
        for round in 1..=3 {
            std::thread::scope(|scope| {
                for (number, place) in (0..TEN).zip(&places) {
                    scope.spawn(move || {
                        let mut wallet = place.wallet();
                        show(&mut wallet, port_of(number)).unwrap();
                        crate::place::save(&wallet);
                    });
                }
            });
            for gate in &gates {
                assert_eq!(gate.deed(), Ok(()), "round {round}");
                assert_eq!(grants(&gate.host.lock().unwrap()), round);
            }
        }
    });
}

#[test]
fn card_that_stays_is_served_once_and_again_when_it_comes_back() {
    alone("taps::card_that_stays_is_served_once_and_again_when_it_comes_back", || {
        let city = City::new();
        let place = Place::ready(&city);
        let _service = Service::start(&place.path, 2);
        let gate = Attended::ready(&names()[0], place.reader());
        for _ in 0..2 {
            let mut card = Stays::default();
            let mut inserted = edge::vpcd::Inserted::insert(port_of(0), b"").unwrap();
            let hand = inserted.hand().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| inserted.serve(&mut card));
                assert!(gate.deed().is_err());
                // Longer than the service needs to notice anything, and to power an idle card off.
                gate.quiet(Duration::from_secs(7));
                hand.pull();
            });
            assert_eq!(card.0, 1, "one command, refused");
        }
    });
}

/// A card that has no application and is never taken away.
#[derive(Default)]
struct Stays(usize);

impl edge::vpcd::CardApplication for Stays {
    fn reset(&mut self) {}

    fn command(&mut self, _: &[u8]) -> Vec<u8> {
        self.0 += 1;
        vec![0x6A, 0x82]
    }
}

/// What PC/SC and the virtual reader add to an APDU: a card that answers at once. No limit is set to a
/// figure of a machine that is shared; without QUICKACK the median is above 40 ms.
#[test]
fn an_apdu_through_service_and_virtual_reader_takes_no_delayed_acknowledgement() {
    alone(
        "taps::an_apdu_through_service_and_virtual_reader_takes_no_delayed_acknowledgement",
        || {
            let place = Place::empty();
            let _service = Service::start(&place.path, 2);
            let mut card = Stays::default();
            let mut inserted = edge::vpcd::Inserted::insert(port_of(0), b"").unwrap();
            let hand = inserted.hand().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| inserted.serve(&mut card));
                let name = names().remove(0);
                until_card(&name);
                let context = edge::pcsc::establish().unwrap();
                let name = std::ffi::CString::new(name).unwrap();
                let mut link = connect(&context, &name).unwrap();
                let begin = Instant::now();
                let mut took: Vec<Duration> = (0..1_000)
                    .map(|_| link.exchange(&[0, 0xA4, 4, 0, 1, 1], WAIT).unwrap().took)
                    .collect();
                let all = begin.elapsed() / 1_000;
                took.sort();
                let (median, p99) = (took[500], took[990]);
                println!("figure: pcsc_apdu_us = {} (p99 {})", median.as_micros(), p99.as_micros());
                println!("figure: pcsc_apdu_with_thread_us = {}", all.as_micros());
                assert!(median < Duration::from_millis(20), "{median:?}");
                link.close();
                hand.pull();
            });
        },
    );
}
