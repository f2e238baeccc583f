//! What happens to readers and cards: pulled, silent, foreign, unplugged, restarted, in other hands.

use std::sync::mpsc::channel;
use std::time::Duration;

use edge::vpcd::{CardApplication, Inserted, stay};
use reader::decision::Reason;

use super::service::{Service, alone, names, port_of, until_card};
use super::stage::{Attended, present, show};
use crate::city::City;
use crate::place::{Place, grants};

#[test]
fn card_pulled_at_any_step_opens_nothing_and_the_next_tap_works() {
    alone("faults::card_pulled_at_any_step_opens_nothing_and_the_next_tap_works", || {
        let city = City::new();
        let place = Place::ready(&city);
        let mut wallet = place.wallet();
        let _service = Service::start(&place.path, 2);
        let gate = Attended::ready(&names()[0], place.reader());
        let mut steps = 0;
        let (served, ended) = present(&mut wallet, port_of(0), &mut |number, _, response| {
            steps = number + 1;
            response
        });
        assert!(served.is_ok() && ended.unwrap().is_ok());
        assert_eq!(gate.deed(), Ok(()), "control");
        assert!(steps > 5);
        for cut in 0..steps - 1 {
            let (served, _) = present(&mut wallet, port_of(0), &mut |number, hand, response| {
                if number == cut {
                    hand.pull();
                }
                response
            });
            assert!(served.is_err(), "cut at {cut}");
            assert_eq!(gate.deed(), Err(Reason::Interrupted), "cut at {cut}");
            assert!(show(&mut wallet, port_of(0)).is_ok(), "after the cut at {cut}");
            assert_eq!(gate.deed(), Ok(()), "after the cut at {cut}");
        }
        assert_eq!(grants(&gate.host.lock().unwrap()), steps);
    });
}

/// A card that answers one command late, and until then nothing.
struct Silent(std::sync::mpsc::Receiver<()>);

impl CardApplication for Silent {
    fn reset(&mut self) {}

    fn command(&mut self, _: &[u8]) -> Vec<u8> {
        let _ = self.0.recv();
        vec![0x90, 0]
    }
}

#[test]
fn silent_card_is_refused_in_time_and_holds_up_no_other_reader() {
    alone("faults::silent_card_is_refused_in_time_and_holds_up_no_other_reader", || {
        let city = City::new();
        let (place, other) = (Place::ready(&city), Place::ready(&city));
        // The two slots of one virtual reader wait for one another, whoever asks them.
        let _service = Service::start(&place.path, 4);
        let names = names();
        let gate = Attended::ready(&names[0], place.reader());
        let free = Attended::ready(&names[2], other.reader());
        let (wake, sleeps) = channel();
        let mut inserted = Inserted::insert(port_of(0), b"").unwrap();
        let hand = inserted.hand().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || inserted.serve(&mut Silent(sleeps)));
            show(&mut other.wallet(), port_of(2)).unwrap();
            assert_eq!(free.deed(), Ok(()));
            // The first response may take three seconds.
            assert_eq!(gate.deed(), Err(Reason::Interrupted));
            gate.expect("Silent");
            hand.pull();
            drop(wake);
        });
        show(&mut place.wallet(), port_of(0)).unwrap();
        assert_eq!(gate.deed(), Ok(()));
    });
}

/// Another city, with keys of its own.
#[test]
fn card_of_another_city_shows_nothing_and_opens_nothing() {
    alone("faults::card_of_another_city_shows_nothing_and_opens_nothing", || {
        let (city, other) = (City::new(), City::another());
        let (place, foreign) = (Place::ready(&city), Place::empty());
        foreign.make_wallet(&other);
        let _service = Service::start(&place.path, 2);
        let gate = Attended::ready(&names()[0], place.reader());
        let (_, ended) = present(&mut foreign.wallet(), port_of(0), &mut |_, _, response| response);
        assert!(ended.unwrap().is_err(), "it does not know this city's readers");
        assert_eq!(gate.deed(), Err(Reason::Declined));
        // A wallet that trusts both cities shows it, and nobody here vouches for its issuer.
        let mut wallet = foreign.wallet();
        wallet.state.trust = city.trust();
        let (_, ended) = present(&mut wallet, port_of(0), &mut |_, _, response| response);
        assert!(ended.unwrap().is_ok());
        assert_eq!(gate.deed(), Err(Reason::IssuerUnknown));
        show(&mut place.wallet(), port_of(0)).unwrap();
        assert_eq!(gate.deed(), Ok(()), "control");
    });
}

#[test]
fn reader_outlives_the_service_and_being_unplugged() {
    alone("faults::reader_outlives_the_service_and_being_unplugged", || {
        let city = City::new();
        let (place, other) = (Place::ready(&city), Place::ready(&city));
        let mut service = Service::start(&place.path, 2);
        let gate = Attended::ready(&names()[0], place.reader());
        let late = Attended::start("City Reader 1 00 00", other.reader());
        late.expect("Unfound(Missing)");
        show(&mut place.wallet(), port_of(0)).unwrap();
        assert_eq!(gate.deed(), Ok(()));
        // The service is killed while nobody taps, and comes back.
        service.kill();
        gate.expect("NoService");
        late.expect("NoService");
        service.restart();
        gate.expect("Ready");
        late.expect("Unfound(Missing)");
        show(&mut place.wallet(), port_of(0)).unwrap();
        assert_eq!(gate.deed(), Ok(()));
        // A reader is plugged in, out, and in again; the other goes on.
        for _ in 0..2 {
            service.plug(1);
            late.expect("NoService");
            late.expect("Ready");
            show(&mut other.wallet(), port_of(2)).unwrap();
            assert_eq!(late.deed(), Ok(()));
            service.unplug(1);
            late.expect("NoService");
            late.expect("Unfound(Missing)");
        }
        show(&mut place.wallet(), port_of(0)).unwrap();
        assert_eq!(gate.deed_after_events(), Ok(()));
    });
}

#[test]
fn service_killed_within_a_tap_opens_nothing_and_the_phone_comes_back_by_itself() {
    alone(
        "faults::service_killed_within_a_tap_opens_nothing_and_the_phone_comes_back_by_itself",
        || {
            let city = City::new();
            let place = Place::ready(&city);
            let mut service = Service::start(&place.path, 2);
            let gate = Attended::ready(&names()[0], place.reader());
            let mut wallet = place.wallet();
            let (served, _) = present(&mut wallet, port_of(0), &mut |number, _, response| {
                if number == 4 {
                    service.kill();
                }
                response
            });
            assert!(served.is_err());
            assert_eq!(gate.deed(), Err(Reason::Interrupted));
            gate.expect("NoService");
            service.restart();
            gate.expect("Ready");
            // A phone that lies there meanwhile is back after the service.
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| {
                    let mut card = Lies(0);
                    stay(port_of(1), b"", &mut card).map(|()| card.0)
                });
                until_card(&names()[1]);
                service.restart();
                gate.expect("NoService");
                gate.expect("Ready");
                let other = Place::ready(&city);
                let second = Attended::ready(&names()[1], other.reader());
                assert_eq!(second.deed(), Err(Reason::Malformed));
                assert_eq!(waits.join().unwrap().unwrap(), 1);
            });
            show(&mut wallet, port_of(0)).unwrap();
            assert_eq!(gate.deed(), Ok(()));
        },
    );
}

/// A card that refuses one command and leaves.
struct Lies(usize);

impl CardApplication for Lies {
    fn reset(&mut self) {}

    fn command(&mut self, _: &[u8]) -> Vec<u8> {
        self.0 += 1;
        vec![0x6A, 0x82]
    }

    fn is_over(&self) -> bool {
        self.0 > 0
    }
}

#[test]
fn card_in_the_hands_of_another_program_is_served_once_it_is_free() {
    alone("faults::card_in_the_hands_of_another_program_is_served_once_it_is_free", || {
        let city = City::new();
        let place = Place::ready(&city);
        let _service = Service::start(&place.path, 2);
        let name = names().remove(0);
        let mut wallet = place.wallet();
        let gate = std::thread::scope(|scope| {
            let phone = scope.spawn(move || show(&mut wallet, port_of(0)));
            until_card(&name);
            let context = edge::pcsc::establish().unwrap();
            let reader = std::ffi::CString::new(name.as_str()).unwrap();
            let held = edge::pcsc::connect(&context, &reader).unwrap();
            let gate = Attended::ready(&name, place.reader());
            gate.expect("Unusable(SharingViolation)");
            gate.quiet(Duration::from_secs(2));
            held.close();
            assert_eq!(gate.deed(), Ok(()));
            phone.join().unwrap().unwrap();
            gate
        });
        assert_eq!(grants(&gate.host.lock().unwrap()), 1);
    });
}
