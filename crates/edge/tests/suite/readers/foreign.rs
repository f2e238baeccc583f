//! Other people's programs on either side: their card at our reader, their readers at our phone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use credential::crypto::P256Secret;
use edge::vpcd::{CardApplication, contactless_atr};
use edge::wallet_card::{Surroundings, WalletCard};
use reader::decision::Reason;
use wallet::tap::Consent;

use super::service::{Service, alone, names, port_of};
use super::stage::{Attended, show};
use crate::city::{CRYPTO, City, noon};
use crate::place::{Place, fresh};

struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Python with the foreign peers, which must be there under `CI=true`.
pub(crate) fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/peers/venv/bin/python");
    if python.is_file() {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "run `cargo xtask setup`");
    eprintln!("NOT RUN: the peers in Python are absent; run `cargo xtask setup`");
    None
}

#[test]
fn foreign_card_is_refused_politely_and_the_next_tap_works() {
    alone("foreign::foreign_card_is_refused_politely_and_the_next_tap_works", || {
        let Some(python) = python() else { return };
        let city = City::new();
        let place = Place::ready(&city);
        let _service = Service::start(&place.path, 2);
        let gate = Attended::ready(&names()[0], place.reader());
        for _ in 0..2 {
            let port = port_of(0).port().to_string();
            // The package puts its modules where no Python looks for them.
            let mut vicc = Command::new(&python);
            vicc.env("PYTHONPATH", "/usr/lib/python3/site-packages/virtualsmartcard");
            vicc.args(["/usr/bin/vicc", "--type", "iso7816", "--hostname", "127.0.0.1"]);
            vicc.args(["--port", &port]);
            vicc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let card = Ends(vicc.spawn().expect("install the package `vsmartcard-vpicc`"));
            let report = gate.tap();
            assert_eq!(crate::place::deed(&report), Err(Reason::Malformed));
            assert_eq!(report.apdus.len(), 1, "it is asked once");
            assert_eq!(report.apdus[0].1.len(), 2, "and has answered by a status word");
            drop(card);
            show(&mut place.wallet(), port_of(0)).unwrap();
            assert_eq!(gate.deed(), Ok(()));
        }
    });
}

pub(crate) fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Holds our phone to a reader again and again, while `foreign` talks to it.
fn with_phone(foreign: impl FnOnce(&str)) {
    let city = City::new();
    let place = Place::ready(&city);
    let _service = Service::start(&place.path, 2);
    let mut wallet = place.wallet();
    let (send, hand) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut inserted = edge::vpcd::Inserted::insert(port_of(0), b"Limen").unwrap();
            send.send(inserted.hand().unwrap()).unwrap();
            let mut decide = |_: &_| Consent::Decline;
            let secret = || Some(P256Secret::from_bytes(fresh()));
            let around =
                Surroundings { crypto: CRYPTO, clock: &noon, secret: &secret, decide: &mut decide };
            let mut phone = Stubborn(WalletCard::new(&mut wallet, around));
            let _ = inserted.serve(&mut phone);
        });
        let hand = hand.recv().unwrap();
        let name = names().remove(0);
        super::service::until("the phone is seen", || {
            let listed = edge::pcsc::list().unwrap();
            let card = listed.into_iter().find(|it| it.name == name).unwrap().card;
            card == edge::pcsc::Presence::Card { atr: contactless_atr(b"Limen") }
        });
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| foreign(&name)));
        // Whatever was said, the phone leaves, or its thread would wait for ever.
        hand.pull();
        said.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A phone that goes on after a tap that ended.
struct Stubborn<'w>(WalletCard<'w>);

impl CardApplication for Stubborn<'_> {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.0.command(apdu)
    }
}

#[test]
fn opensc_tool_reads_our_phone() {
    alone("foreign::opensc_tool_reads_our_phone", || {
        with_phone(|name| {
            let tool = |arguments: &[&str]| {
                let mut command = Command::new("opensc-tool");
                text(&command.args(["--reader", name]).args(arguments).output().unwrap())
            };
            let atr: Vec<String> =
                contactless_atr(b"Limen").iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(tool(&["--atr"]).trim(), atr.join(":"));
            // The tag application, its capability container, 15 bytes of it.
            let read = tool(&[
                "--send-apdu",
                "00:A4:04:00:07:D2:76:00:00:85:01:01:00",
                "--send-apdu",
                "00:A4:00:0C:02:E1:03",
                "--send-apdu",
                "00:B0:00:00:0F",
            ]);
            assert_eq!(read.matches("SW1=0x90, SW2=0x00").count(), 3, "{read}");
            assert!(read.contains("00 0F 20"), "a capability container: {read}");
            let unknown = tool(&["--send-apdu", "00:A4:04:00:05:A0:00:00:00:03"]);
            assert!(unknown.contains("SW1=0x6A, SW2=0x82"), "{unknown}");
        });
    });
}

/// Reads the NDEF file of the phone by PC/SC, as any reader of tags would, and says bad things between.
const PYSCARD: &str = r#"
import sys
from smartcard.System import readers
reader = next(r for r in readers() if str(r) == sys.argv[1])
connection = reader.createConnection()
connection.connect()
print(bytes(connection.getATR()).hex())
def send(apdu, expected=(0x90, 0)):
    data, *status = connection.transmit(list(bytes.fromhex(apdu)))
    assert tuple(status) == expected, (apdu, data, status)
    return bytes(data)
send("00A4040007D276000085010100")
send("00A4000C02E103")
container = send("00B000000F")
file = container[9:11]
send("00A4000C02" + file.hex())
length = int.from_bytes(send("00B0000002"), "big")
message = b""
while len(message) < length:
    part = min(length - len(message), 128)
    message += send("00B0%04X%02X" % (2 + len(message), part))
print(len(message), b"iso.org:18013:deviceengagement" in message)
"#;

#[test]
fn pyscard_reads_the_engagement_of_our_phone() {
    alone("foreign::pyscard_reads_the_engagement_of_our_phone", || {
        let Some(python) = python() else { return };
        with_phone(|name| {
            for _ in 0..3 {
                let output = Command::new(&python).args(["-c", PYSCARD, name]).output().unwrap();
                let said = text(&output);
                let mut lines = said.lines();
                let atr = contactless_atr(b"Limen");
                let atr: String = atr.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(lines.next(), Some(atr.as_str()));
                assert!(lines.next().unwrap().ends_with("True"), "{said}");
            }
        });
    });
}
