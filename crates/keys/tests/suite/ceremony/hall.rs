//! A room for tests: everybody confirms at once, unless somebody is to leave at a step.

use std::time::Duration;

use keys::ceremony::lead::{Setting, lead};
use keys::ceremony::lead_error::LeadError;
use keys::ceremony::plan::{Custodian, Plan};
use keys::ceremony::room::{Left, Room, Screen};
use keys::ceremony::seat::RootSeat;
use keys::ceremony::shares::Share;
use keys::ceremony::transcript::verify::Verified;
use keys::custody::Custody;
use keys::seal::Kind;
use keys::software::Keystore;
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use crate::folder::Folder;
use crate::keystore::wait;

pub(crate) const NOW: Instant = Instant::from_unix_seconds(1_790_000_000);

pub(crate) const PLAN: &str = r#"
[city]
name = "Harbour City"
country = "UT"
public_url = "https://id.harbour.example"

[ceremony]
kind = "create"
threshold = 2
transcript = "root/transcript.json"
backup = "root/backup"

[root.file]
path = "root/root.keys"
key_file = "secret/root.key"

[[custodian]]
name = "Ada Ferry"
share = "ada/share.txt"
staff = { path = "ada/staff.keys", key_file = "ada/staff.key" }

[[custodian]]
name = "Bo Quay"
share = "bo/share.txt"
staff = { path = "bo/staff.keys", key_file = "bo/staff.key" }

[[custodian]]
name = "Cem Pier"
share = "screen"
staff = { path = "cem/staff.keys" }
"#;

/// The room: it counts the screens and remembers what it saw.
#[derive(Default)]
pub(crate) struct Hall {
    pub(crate) screens: Vec<String>,
    pub(crate) told: Vec<String>,
    pub(crate) shares: Vec<String>,
    /// Somebody leaves at the step of this number.
    pub(crate) leave_at: Option<u32>,
    pub(crate) seconds: u64,
}

impl Room for Hall {
    fn now(&mut self) -> Instant {
        self.seconds += 1;
        NOW.saturating_add(Duration::from_secs(self.seconds))
    }

    fn confirm(&mut self, screen: &Screen) -> Result<(), Left> {
        if self.leave_at == Some(screen.number) {
            return Err(Left);
        }
        self.screens.push(screen.to_string());
        Ok(())
    }

    fn tell(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    fn show_share(&mut self, _: &Custodian, share: &Share) -> Result<(), Left> {
        self.shares.push(share.danger_text().to_string());
        Ok(())
    }

    fn passphrase(&mut self, _: &str, _: bool) -> Result<Zeroizing<String>, Left> {
        Ok(Zeroizing::new(String::from("a passphrase of Cem's")))
    }
}

/// A ceremony on sealed files that was held, and what it left.
pub(crate) struct Held {
    pub(crate) folder: Folder,
    pub(crate) plan: Plan,
    pub(crate) root: Keystore,
    pub(crate) hall: Hall,
    pub(crate) verified: Verified,
}

impl Held {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let plan = Plan::parse(PLAN, &folder.path("")).unwrap();
        let root = root_file(&folder, "root.keys");
        let mut hall = Hall::default();
        let verified = hold(&plan, PLAN, &root, None, &mut hall).unwrap();
        Self { folder, plan, root, hall, verified }
    }

    pub(crate) fn transcript(&self) -> Vec<u8> {
        std::fs::read(&self.plan.transcript).unwrap()
    }

    pub(crate) fn backup(&self) -> Vec<u8> {
        std::fs::read(&self.plan.backup).unwrap()
    }

    /// The share of each custodian, by place from 1.
    pub(crate) fn share(&self, index: usize) -> Share {
        let text = match index {
            1 => std::fs::read_to_string(self.folder.path("ada/share.txt")).unwrap(),
            2 => std::fs::read_to_string(self.folder.path("bo/share.txt")).unwrap(),
            _ => self.hall.shares[0].clone(),
        };
        keys::ceremony::files::without_heading(&text).parse().unwrap()
    }
}

/// An empty file for a root.
pub(crate) fn root_file(folder: &Folder, name: &str) -> Keystore {
    Keystore::create(&folder.path(name), Kind::Root, &folder.unlock()).unwrap()
}

pub(crate) fn hold(
    plan: &Plan,
    text: &str,
    root: &dyn RootSeat,
    old_root: Option<&dyn Custody>,
    hall: &mut Hall,
) -> Result<Verified, LeadError> {
    let setting =
        Setting { plan, plan_text: text, rehearsal: false, program: "test", root, old_root };
    wait(lead(&setting, hall))
}
