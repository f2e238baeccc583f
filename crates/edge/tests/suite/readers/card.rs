//! Our software card in a real reader, read by programs of others.

use std::process::Command;
use std::sync::mpsc::channel;

use edge::card_host::SoftwareCard;
use edge::pcsc::{Presence, list};
use edge::vpcd::{Inserted, contactless_atr};

use super::foreign::{python, text};
use super::service::{Service, alone, names, port_of, until};
use crate::place::Place;

/// Holds a blank card to a reader, while `foreign` talks to it.
fn with_card(foreign: impl FnOnce(&str)) {
    let place = Place::empty();
    let path = place.path.join("rider.card");
    SoftwareCard::make(&path).unwrap();
    let _service = Service::start(&place.path, 2);
    let (send, hand) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut card = SoftwareCard::open(&path).unwrap();
            let mut inserted = Inserted::insert(port_of(0), card::HISTORICAL).unwrap();
            send.send(inserted.hand().unwrap()).unwrap();
            let _ = inserted.serve(&mut card);
        });
        let hand = hand.recv().unwrap();
        let name = names().remove(0);
        until("the card is seen", || {
            let listed = list().unwrap();
            let card = listed.into_iter().find(|it| it.name == name).unwrap().card;
            card == Presence::Card { atr: contactless_atr(card::HISTORICAL) }
        });
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| foreign(&name)));
        // Whatever was said, the card leaves, or its thread would wait for ever.
        hand.pull();
        said.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn opensc_tool_reads_our_card() {
    alone("card::opensc_tool_reads_our_card", || {
        with_card(|name| {
            let tool = |arguments: &[&str]| {
                let mut command = Command::new("opensc-tool");
                text(&command.args(["--reader", name]).args(arguments).output().unwrap())
            };
            let atr = contactless_atr(card::HISTORICAL);
            let atr: Vec<String> = atr.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(tool(&["--atr"]).trim(), atr.join(":"));
            // The express tap and management; then an application that is not there.
            let select = |name: &str| tool(&["--send-apdu", &format!("00:A4:04:00:07:{name}:00")]);
            let express = select("F0:4C:49:4D:45:4E:01");
            assert!(express.contains("SW1=0x90, SW2=0x00"), "{express}");
            let management = select("F0:4C:49:4D:45:4E:02");
            assert!(management.contains("SW1=0x90, SW2=0x00"), "{management}");
            assert!(management.contains("6F "), "{management}");
            let unknown = select("F0:4C:49:4D:45:4E:7F");
            assert!(unknown.contains("SW1=0x6A, SW2=0x82"), "{unknown}");
        });
    });
}

/// Authenticates as AN12196 has it, with the key of a card fresh from its maker, by a library of others, and
/// says bad things between.
const PYSCARD: &str = r#"
import os, sys
from Crypto.Cipher import AES
from smartcard.System import readers
reader = next(r for r in readers() if str(r) == sys.argv[1])
connection = reader.createConnection()
connection.connect()
def send(apdu, expected):
    data, *status = connection.transmit(list(bytes.fromhex(apdu)))
    assert bytes(status).hex() == expected, (apdu, bytes(data).hex(), bytes(status).hex())
    return bytes(data)
def turned(number):
    return number[1:] + number[:1]
cbc = lambda: AES.new(bytes(16), AES.MODE_CBC, bytes(16))
for key in (bytes(16), bytes([1]) * 16):
    send("00A4040007F04C494D454E0200", "9000")
    rnd_b = cbc().decrypt(send("9071000002000000", "91af"))
    rnd_a = os.urandom(16)
    proof = AES.new(key, AES.MODE_CBC, bytes(16)).encrypt(rnd_a + turned(rnd_b))
    if key == bytes(16):
        answer = cbc().decrypt(send("90AF000020" + proof.hex() + "00", "9100"))
        assert answer[4:20] == turned(rnd_a), answer.hex()
        print("authenticated")
    else:
        send("90AF000020" + proof.hex() + "00", "91ae")
        print("refused")
# An express tap for a scope that is not here is answered with noise, and its proof with a status word.
send("00A4040007F04C494D454E0100", "9000")
noise = [send("805000001E0100" + os.urandom(28).hex() + "00", "9000") for _ in range(2)]
assert [len(one) for one in noise] == [76, 76] and noise[0] != noise[1], noise
send("8052000024" + bytes(36).hex() + "00", "6982")
send("8054000000", "6985")
print("noise")
"#;

#[test]
fn pyscard_authenticates_with_our_card() {
    alone("card::pyscard_authenticates_with_our_card", || {
        let Some(python) = python() else { return };
        with_card(|name| {
            let output = Command::new(&python).args(["-c", PYSCARD, name]).output().unwrap();
            assert_eq!(text(&output), "authenticated\nrefused\nnoise\n");
        });
    });
}
