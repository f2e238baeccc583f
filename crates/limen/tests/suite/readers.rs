//! `limen reader run --config` and `limen reader doctor`: with PC/SC against a real service, and what
//! they say without it.

use crate::run::Folder;

#[test]
fn mistakes_of_a_configuration_are_named_with_key_and_line() {
    let folder = Folder::new();
    let good = "folder = \"gate\"\n[[slot]]\nreader = \"Brand\"\ndoor = \"quay/gate-1\"\n";
    for (more, text) in [
        ("colour = 1\n", "line 5"),
        ("[bounds.high]\napdu_ms = 100\ntotal_ms = 50\n", "line 7: `bounds.high.total_ms`"),
        ("[sync]\nevery_minutes = 0\n", "line 6: `sync.every_minutes`"),
    ] {
        folder.file("reader.toml", format!("{good}{more}"));
        folder.limen(&["reader", "run", "--config", "reader.toml"]).expect(2, text);
        folder.limen(&["reader", "doctor", "--config", "reader.toml"]).expect(2, text);
    }
    folder.limen(&["reader", "run", "--config", "none.toml"]).expect(2, "none.toml");
    let both = ["reader", "run", "--config", "reader.toml", "--folder", "gate"];
    folder.limen(&both).expect(2, "cannot be used with");
}

#[cfg(not(feature = "pcsc"))]
#[test]
fn a_program_without_pcsc_says_so_and_how_to_get_it() {
    let folder = Folder::new();
    let good = "folder = \"gate\"\n[[slot]]\nreader = \"Brand\"\ndoor = \"quay/gate-1\"\n";
    folder.file("reader.toml", good);
    let run = ["reader", "run", "--config", "reader.toml"];
    folder.limen(&run).expect(1, "--features limen/pcsc");
    let done = folder.limen(&["reader", "doctor", "--json"]).expect(1, "without PC/SC");
    assert_eq!(done.json()["findings"][0]["is"], "wrong");
}

#[cfg(feature = "pcsc")]
#[path = "../../../edge/tests/suite/readers/service.rs"]
#[allow(dead_code, reason = "the tests of `edge` use more of it")]
mod service;

#[cfg(feature = "pcsc")]
#[path = "card_reader.rs"]
mod cards;

#[cfg(feature = "pcsc")]
mod real {
    use std::io::{BufRead, BufReader, Lines};
    use std::os::unix::fs::PermissionsExt;
    use std::process::{ChildStdout, Stdio};

    use serde_json::Value;

    use super::service::{Service, alone, names, port_of, until_card};
    use crate::deliveries::Process;
    use crate::run::Folder;
    use crate::up::Up;

    const DOOR: &str = "town-hall/staff-door";

    fn config(reader: &str, more: &str) -> String {
        format!("folder = \"gate\"\n[[slot]]\nreader = \"{reader}\"\ndoor = \"{DOOR}\"\n{more}")
    }

    /// A process that tells events.
    struct Telling {
        _process: Process,
        events: Lines<BufReader<ChildStdout>>,
    }

    impl Telling {
        fn start(folder: &Folder, arguments: &[&str]) -> Self {
            let mut child = folder.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
            let events = BufReader::new(child.stdout.take().unwrap()).lines();
            Self { _process: Process(child), events }
        }

        /// The next event of this name.
        fn event(&mut self, name: &str) -> Value {
            loop {
                let line = self.events.next().expect("it ended").unwrap();
                let event: Value = line.parse().unwrap();
                if event["event"] == name {
                    return event;
                }
            }
        }
    }

    /// What the doctor found wrong.
    fn wrongs(folder: &Folder, code: i32, more: &[&str]) -> (Value, String) {
        let doctor = ["reader", "doctor", "--config", "reader.toml", "--json"];
        let told = folder.limen(&[&doctor[..], more].concat()).expect(code, "findings").json();
        let findings = told["findings"].as_array().unwrap().iter();
        let wrong = findings.filter(|it| it["is"] == "wrong").map(|it| it["what"].to_string());
        let wrong = wrong.collect::<Vec<_>>().join("\n");
        (told, wrong)
    }

    #[test]
    fn a_phone_opens_a_door_through_the_real_stack_and_the_doctor_knows_what_is_wrong() {
        alone(
            "real::a_phone_opens_a_door_through_the_real_stack_and_the_doctor_knows_what_is_wrong",
            || {
                let city = Up::new();
                city.issue();
                let folder = &city.folder;
                let invited = city.ask(&["reader", "invite", "gate", "--door", DOOR]);
                let code = invited["code"].as_str().unwrap();
                let enrol = ["reader", "enrol", "--folder", "gate", "--server", &city.url];
                folder.limen(&[&enrol[..], &["--code", code]].concat()).expect(0, "enrolled");
                folder.file("reader.toml", config("City Reader 0 00 00", ""));
                let (_, wrong) = wrongs(folder, 1, &[]);
                assert!(wrong.contains("PC/SC service does not run"), "{wrong}");
                assert!(wrong.contains("has no bundle"), "{wrong}");
                folder.limen(&["reader", "sync", "--folder", "gate"]).expect(0, "bundle epoch");
                let _service = Service::start(&folder.path("pcsc"), 2);
                let (told, wrong) = wrongs(folder, 0, &[]);
                assert_eq!(wrong, "");
                assert_eq!(told["readers"][0]["door"], DOOR);
                assert_eq!(told["readers"][1]["door"], Value::Null);
                assert_eq!(told["folders"][0]["bundle_age_hours"], 0);
                wrong_things_are_named(folder);
                taps(&city);
                bench(folder);
            },
        );
    }

    fn wrong_things_are_named(folder: &Folder) {
        let second =
            "[[slot]]\nreader = \"Other\"\ndoor = \"town-hall/no-door\"\nfolder = \"no\"\n";
        folder.file("reader.toml", config("Brand", second));
        let (_, wrong) = wrongs(folder, 1, &[]);
        for what in ["`Brand` is missing", "`Other` is missing", "no reader is enrolled"] {
            assert!(wrong.contains(what), "{what}: {wrong}");
        }
        folder.file("reader.toml", config("City Reader 0", ""));
        let (_, wrong) = wrongs(folder, 1, &[]);
        assert!(wrong.contains("means several"), "{wrong}");
        folder.file("reader.toml", config("City Reader 0 00 00", "").replace("staff", "other"));
        let (_, wrong) = wrongs(folder, 1, &["--bench"]);
        assert!(wrong.contains("does not know the door town-hall/other-door"), "{wrong}");
        assert!(wrong.contains("no card to measure"), "{wrong}");
        folder.file("reader.toml", config("City Reader 0 00 00", ""));
        let open = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path("gate/reader.key"), mode).unwrap();
        };
        open(0o640);
        let (_, wrong) = wrongs(folder, 1, &[]);
        assert!(wrong.contains("open to others than its owner (mode 640)"), "{wrong}");
        open(0o600);
        wrongs(folder, 0, &[]);
    }

    fn taps(city: &Up) {
        let folder = &city.folder;
        folder.file("reader.toml", config("City Reader 0 00 00", "[sync]\nevery_minutes = 1\n"));
        let run = ["reader", "run", "--config", "reader.toml", "--json"];
        let mut reader = Telling::start(folder, &run);
        assert_eq!(reader.event("ready")["reader"], "City Reader 0 00 00");
        assert!(reader.event("synced")["bundle_epoch"].as_u64() >= Some(1));
        let vpcd = port_of(0).to_string();
        let present = ["wallet", "present", "--vpcd", &vpcd, "--confirm", "--json"];
        for _ in 0..2 {
            let shown = folder.limen(&present).expect(0, "shown").json();
            assert_eq!(shown["outcome"], "shown", "{shown}");
            let tap = reader.event("tap");
            assert_eq!((&tap["outcome"], &tap["door"]), (&"granted".into(), &DOOR.into()), "{tap}");
            assert_eq!(tap["slot"], "City Reader 0 00 00");
        }
        // While the reader is at work the doctor leaves its folder alone.
        let (told, wrong) = wrongs(folder, 0, &[]);
        assert_eq!((wrong.as_str(), &told["folders"][0]["state"]), ("", &"at work".into()));
        let declined = ["wallet", "present", "--vpcd", &vpcd, "--decline"];
        folder.limen(&declined).expect(3, "nothing shown");
        // A phone that declines a standard tap is gone before the gate can ask for anything else.
        assert_eq!(reader.event("tap")["code"], "interrupted");
    }

    fn bench(folder: &Folder) {
        // The service looks for cards every 400 ms, and misses one that follows another faster.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let vpcd = port_of(0).to_string();
        let stay = ["wallet", "present", "--vpcd", &vpcd, "--stay"];
        let phone = Process(folder.command(&stay).stdout(Stdio::null()).spawn().unwrap());
        until_card(&names()[0]);
        let (told, _) = wrongs(folder, 0, &["--bench"]);
        let card = &told["readers"][0];
        assert_eq!(
            (&card["card"], &card["atr"]),
            (&"present".into(), &"3b8580014c696d656e47".into())
        );
        assert_eq!(card["select_us"]["count"], 250);
        let [median, p99] = ["median", "p99"].map(|name| card["select_us"][name].as_u64().unwrap());
        println!("figure: reader_doctor_select_us = {median} (p99 {p99})");
        // Without QUICKACK it is 40 ms.
        assert!(median > 0 && median <= p99 && median < 20_000, "{card}");
        drop(phone);
    }
}
