//! The process that writes keys into cards, by real processes: a card of the test's own at the other end of
//! its lines, which knows the application note and nothing of this program's code.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;

use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::cmac;
use keys::remote::{Remote, Settings};
use keys::vault::diversify::CardInput;
use keys::vault::ev2::Session;
use keys::vault::personalise::{Change, Process as Personalisation};
use keys::vault::remote::RemoteVault;
use keys::wire::pairing::Pairing;
use serde_json::Value;

use crate::deliveries::{Process, listening, now};
use crate::run::Folder;

const UID: &str = "04782e21801d80";
const AID: &str = "3042f5";
const INPUT: &[u8] = b"\x04\x78\x2e\x21\x80\x1d\x80\x30\x42\xf5\x00city-tram";
const TI: [u8; 4] = [1, 2, 3, 4];

fn block(key: &[u8; 16], data: [u8; 16]) -> [u8; 16] {
    let mut data = data;
    let key = UnboundCipherKey::new(&AES_128, key).unwrap();
    EncryptingKey::ecb(key).unwrap().encrypt(&mut data).unwrap();
    data
}

fn block_back(key: &[u8; 16], data: [u8; 16]) -> [u8; 16] {
    let mut data = data;
    let key = UnboundCipherKey::new(&AES_128, key).unwrap();
    DecryptingKey::ecb(key).unwrap().decrypt(&mut data, DecryptionContext::None).unwrap();
    data
}

fn xor(one: [u8; 16], two: [u8; 16]) -> [u8; 16] {
    (u128::from_be_bytes(one) ^ u128::from_be_bytes(two)).to_be_bytes()
}

/// Two blocks out of AES-CBC.
fn two_back(key: &[u8; 16], iv: [u8; 16], data: &[u8]) -> ([u8; 16], [u8; 16]) {
    let (one, two) = (data[..16].try_into().unwrap(), data[16..32].try_into().unwrap());
    (xor(block_back(key, one), iv), xor(block_back(key, two), one))
}

fn mac(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let key = cmac::Key::new(cmac::AES_128, key).unwrap();
    cmac::sign(&key, message).unwrap().as_ref().try_into().unwrap()
}

fn rotated(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes.rotate_left(1);
    bytes
}

/// A card with one key of one application, as AN12196 describes it.
#[derive(Clone)]
struct Card {
    key: [u8; 16],
    version: u8,
    rnd_b: [u8; 16],
    session: Option<([u8; 16], [u8; 16])>,
    commands: usize,
}

impl Card {
    fn new(key: [u8; 16], version: u8) -> Self {
        Self { key, version, rnd_b: [8; 16], session: None, commands: 0 }
    }

    fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        self.commands += 1;
        assert_eq!((command[0], &command[2..4]), (0x90, &[0, 0][..]));
        let data = &command[5..5 + usize::from(command[4])];
        assert_eq!(command.len(), data.len() + 6);
        match command[1] {
            0x64 => vec![self.version, 0x91, 0x00],
            0x71 => [&block(&self.key, self.rnd_b)[..], &[0x91, 0xaf]].concat(),
            0xaf => self.prove(data),
            0xc4 => self.change(data),
            _ => vec![0x91, 0x1c],
        }
    }

    fn prove(&mut self, data: &[u8]) -> Vec<u8> {
        let (rnd_a, theirs) = two_back(&self.key, [0; 16], data);
        if theirs != rotated(self.rnd_b) {
            return vec![0x91, 0xae];
        }
        let plain = [&TI, &rotated(rnd_a)[..], &[0; 12]].concat();
        let one = block(&self.key, plain[..16].try_into().unwrap());
        let two = block(&self.key, xor(one, plain[16..].try_into().unwrap()));
        let keys = [[0xa5, 0x5a, 0, 1, 0, 0x80], [0x5a, 0xa5, 0, 1, 0, 0x80]].map(|label| {
            let mixed = rnd_a[2..8].iter().zip(&self.rnd_b).map(|(a, b)| a ^ b);
            let mut vector = [&label, &rnd_a[..2]].concat();
            vector.extend(mixed);
            vector.extend_from_slice(&self.rnd_b[6..]);
            vector.extend_from_slice(&rnd_a[8..]);
            mac(&self.key, &vector)
        });
        self.session = Some((keys[0], keys[1]));
        [&one[..], &two, &[0x91, 0x00]].concat()
    }

    fn change(&mut self, data: &[u8]) -> Vec<u8> {
        let Some((encryption, mac_key)) = self.session.take() else { return vec![0x91, 0xae] };
        let (sealed, tag) = data.split_at(33);
        let whole = mac(&mac_key, &[&[0xc4, 0, 0], &TI[..], sealed].concat());
        let expected: Vec<u8> = whole.iter().skip(1).step_by(2).copied().collect();
        if tag != expected {
            return vec![0x91, 0x1e];
        }
        let mut counted = [0xa5, 0x5a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        counted[2..6].copy_from_slice(&TI);
        let (key, rest) = two_back(&encryption, block(&encryption, counted), &sealed[1..]);
        (self.key, self.version) = (key, rest[0]);
        vec![0x91, 0x00]
    }
}

/// A key service whose clients `personaliser` and `clerk` may do different things, and two masters.
pub(crate) struct Works {
    pub(crate) folder: Folder,
    _keys: Process,
}

/// What a run ended with.
struct Ran {
    code: i32,
    /// The last line of standard output.
    told: Value,
    complaint: String,
    card: Card,
}

impl Works {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let create = ["city", "create", "--folder", "city", "--name", "Test City", "--operator"];
        folder.limen(&[&create[..], &["harbour=Harbour"]].concat()).expect(0, "created");
        let clients = [
            ("personaliser", r#"["cards", "personalise"]"#),
            ("clerk", r#"["cards"]"#),
            ("server2", r#"["readers"]"#),
        ];
        for (name, rights) in clients {
            let out = format!("{name}.pairing");
            let pair = ["key", "pair", name, "--config", "city/keys.toml", "--out", &out];
            folder.limen(&pair).expect(0, "[[client]]");
            let mut config = OpenOptions::new().append(true).open(folder.path("city/keys.toml"));
            let text = format!(
                "\n[[client]]\nname = \"{name}\"\npairing = \"pairings/{name}.pairing\"\n\
                 vault = {rights}\n"
            );
            config.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        }
        let serve = folder.command(&["key", "serve", "--config", "city/keys.toml", "--json"]);
        let keys = listening(serve, &folder.path("keys.log"));
        Self { folder, _keys: keys }
    }

    fn make_master(&self, client: &str) -> crate::run::Done {
        let pairing = format!("{client}.pairing");
        let make = ["card", "make-master", "--service", "city/run/keys.sock", "--client", client];
        let more = ["--pairing", &pairing, "--operator", "harbour"];
        let kdf = ["--kdf", "an10922-cbc-fallback", "--json"];
        self.folder.limen(&[&make[..], &more, &kdf].concat())
    }

    /// A card fresh from its maker gets the key of this master, version 1.
    fn card(&self, master: &str) -> Card {
        let session = Session::new([3; 16], [4; 16], Some(TI));
        let mut card = Card::new([0; 16], 0);
        card.session = Some(([3; 16], [4; 16]));
        let pairing = Pairing::open("personaliser", &self.folder.path("personaliser.pairing"));
        let socket = self.folder.path("city/run/keys.sock");
        let settings = Settings { socket, uid: None, pairing: pairing.unwrap() };
        let mut process = Personalisation::begin(&self.folder.path("factory.jsonl")).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let command = runtime.block_on(async {
            let remote = Arc::new(Remote::connect(settings).await.unwrap());
            let vault = RemoteVault::over(remote).await.unwrap();
            let change = Change {
                card: &CardInput::new(INPUT).unwrap(),
                key_number: 0,
                old: None,
                new: &master.parse().unwrap(),
                version: 1,
                counter: 0,
                at: now(),
            };
            process.change_key(&vault, &session, &change).await.unwrap()
        });
        assert_eq!(card.change(&command), [0x91, 0x00]);
        card.commands = 0;
        card
    }

    /// Runs the process with `card` at the other end. `bend` may change an answer, or take the card away.
    fn run(
        &self,
        client: &str,
        mut card: Card,
        bend: impl Fn(usize, Vec<u8>) -> Option<Vec<u8>>,
    ) -> Ran {
        let pairing = format!("{client}.pairing");
        let change = ["card", "change-key", "--service", "city/run/keys.sock", "--client", client];
        let more = ["--pairing", &pairing, "--operator", "harbour", "--ledger", "ledger.jsonl"];
        let which = ["--uid", UID, "--aid", AID, "--system", "city-tram", "--key-number", "0"];
        let mut command = self.folder.command(&[&change[..], &more, &which].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take();
        let mut told = Value::Null;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line.starts_with('{') {
                told = line.parse().unwrap();
                continue;
            }
            let command: Vec<u8> = (0..line.len() / 2)
                .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let answer = card.answer(&command);
            match bend(card.commands, answer) {
                Some(answer) => {
                    let hex: String = answer.iter().map(|byte| format!("{byte:02x}")).collect();
                    writeln!(input.as_ref().unwrap(), "{hex}").unwrap();
                }
                None => drop(input.take()),
            }
        }
        drop(input);
        let done = child.wait_with_output().unwrap();
        let complaint = String::from_utf8(done.stderr).unwrap();
        Ran { code: done.status.code().unwrap(), told, complaint, card }
    }

    fn ledger(&self) -> String {
        std::fs::read_to_string(self.folder.path("ledger.jsonl")).unwrap_or_default()
    }
}

fn honest(_: usize, answer: Vec<u8>) -> Option<Vec<u8>> {
    Some(answer)
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Commands of a whole exchange: version, authentication in two, change, proof in two.
const COMMANDS: usize = 6;
const CHANGED_BY: usize = 4;

#[test]
fn a_card_gets_its_next_key_over_lines_and_every_break_leaves_it_usable() {
    let works = Works::new();
    let first = works.make_master("personaliser").json();
    assert_eq!(first["version"], 1);
    let old = works.card(first["handle"].as_str().unwrap());
    let ran = works.run("personaliser", old.clone(), honest);
    assert_eq!(ran.told.to_string(), r#"{"outcome":"kept","version":1}"#, "{}", ran.complaint);
    assert!((ran.code, ran.card.key) == (0, old.key) && works.ledger().is_empty());
    works.make_master("personaliser").expect(0, "\"version\": 2");
    let ran = works.run("personaliser", old.clone(), honest);
    assert_eq!(ran.told.to_string(), r#"{"from":1,"outcome":"changed","to":2}"#);
    let new = ran.card;
    assert!(ran.code == 0 && new.version == 2 && new.key != old.key);
    assert_eq!(new.commands, COMMANDS);
    // The card is pulled away after each line: it did the command, and nobody heard its answer.
    for at in 1..=COMMANDS {
        let ran = works
            .run("personaliser", old.clone(), |number, answer| (number != at).then_some(answer));
        assert_eq!((ran.code, &ran.told["outcome"]), (1, &Value::from("failed")), "{at}");
        assert!(ran.complaint.contains("the card is gone"), "{}", ran.complaint);
        let (says, version) = match at {
            0..CHANGED_BY => ("its key is the one that it had", 1),
            _ => ("the old key or the new one", 2),
        };
        assert!(ran.complaint.contains(says), "{at}: {}", ran.complaint);
        assert_eq!(ran.card.version, version);
        // Held there again, it ends with the new key whatever happened before.
        let again = works.run("personaliser", ran.card, honest);
        assert_eq!((again.code, again.card.version), (0, 2), "{at}: {}", again.complaint);
        assert_eq!(again.card.key, new.key);
    }
    // A card that says no, says nonsense, or does not hold the key.
    for at in 1..=COMMANDS {
        for bent in [vec![0x91, 0xae], vec![0x91], Vec::new(), vec![0; 34]] {
            let ran = works.run("personaliser", old.clone(), |number, answer| {
                Some(if number == at { bent.clone() } else { answer })
            });
            assert_eq!((ran.code, &ran.told["outcome"]), (1, &Value::from("failed")), "{at}");
        }
    }
    for (card, complaint) in [
        (Card::new([7; 16], 1), "91ae"),
        (Card::new(old.key, 2), "91ae"),
        (Card::new(old.key, 9), "replace the card"),
        (Card::new(old.key, 0), "replace the card"),
    ] {
        let before = card.clone();
        let ran = works.run("personaliser", card, honest);
        assert!(ran.code == 1 && ran.complaint.contains(complaint), "{}", ran.complaint);
        assert_eq!(ran.card.key, before.key);
    }
    // The ledger tells of each key that came out, and of no key.
    let ledger = works.ledger();
    assert!(ledger.lines().count() > COMMANDS && ledger.contains("card.change-key"));
    for key in [&old.key, &new.key] {
        assert!(!ledger.contains(&hex(key)) && !ledger.to_uppercase().contains(&hex(key)));
    }
    let uses = ["key", "uses", "--config", "city/limen.toml", "--json", "--last", "1000"];
    let uses = works.folder.limen(&uses).expect(0, "is_verified").json();
    let own = uses["uses"].as_array().unwrap().iter();
    let own = own.filter(|used| used["client"] == "personaliser" && used["deed"] == "vault");
    assert!(own.count() > ledger.lines().count(), "each key that came out stands in the journal");
}

/// Only the client with the right gets a card key; others get as far as their rights go.
#[test]
fn nobody_but_the_process_with_the_right_gets_a_card_key() {
    let works = Works::new();
    let first = works.make_master("personaliser").json();
    let old = works.card(first["handle"].as_str().unwrap());
    works.make_master("personaliser").expect(0, "\"version\": 2");
    for client in ["clerk", "server2"] {
        works.make_master(client).expect(1, "cannot make a card master");
        let ran = works.run(client, old.clone(), honest);
        assert!(ran.code == 1 && ran.card.version == 1, "{client}: {}", ran.complaint);
        // A server may not even authenticate a card.
        let commands = if client == "clerk" { 3 } else { 2 };
        assert_eq!(ran.card.commands, commands, "{client}: {}", ran.complaint);
    }
    let ran = works.run("personaliser", old, honest);
    assert!(ran.code == 0 && ran.card.version == 2, "control: {}", ran.complaint);
    let wrong = ["card", "change-key", "--service", "city/run/keys.sock", "--pairing", "none"];
    let which = ["--operator", "harbour", "--ledger", "l", "--aid", AID, "--system", "s"];
    let short = [&wrong[..], &which, &["--uid", "00", "--key-number", "0"]].concat();
    works.folder.limen(&short).expect(2, "16 to 31 bytes");
    let odd = [&wrong[..], &which, &["--uid", "0", "--key-number", "0"]].concat();
    works.folder.limen(&odd).expect(2, "pairs of hexadecimal digits");
    let number = [&wrong[..], &which, &["--uid", UID, "--key-number", "14"]].concat();
    works.folder.limen(&number).expect(2, "0..=13");
}
