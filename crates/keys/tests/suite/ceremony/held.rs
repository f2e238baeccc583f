//! What a ceremony leaves behind, and what it takes back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use credential::aws_lc::AwsLc;
use credential::crypto::Crypto;
use credential::x509::Certificate;
use keys::ceremony::files::partial;
use keys::ceremony::lead::discard;
use keys::ceremony::lead_error::Cause;
use keys::ceremony::plan::Plan;
use keys::custody::Custody;
use keys::purpose::{Purpose, Suite};

use super::hall::{Hall, Held, NOW, PLAN, hold, root_file};
use crate::folder::Folder;
use crate::keystore::wait;

#[test]
fn a_ceremony_leaves_a_certified_root_shares_backup_and_transcript() {
    let held = Held::new();
    let root = held.root.newest(Purpose::CityRoot, None).unwrap();
    let der = root.certificate.unwrap();
    assert_eq!(der.as_ref(), held.verified.certificate);
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.subject.common_name(), Some("Harbour City root"));
    assert_eq!(certificate.public_key, held.verified.root);
    assert_eq!(held.hall.screens.len(), 13);
    assert_eq!(held.verified.split.threshold(), 2);
    assert!(!held.verified.rehearsal && !partial(&held.plan.transcript).exists());
    for path in ["ada/share.txt", "bo/share.txt", "root/backup", "root/transcript.json"] {
        let mode = fs::metadata(held.folder.path(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[test]
fn no_share_and_no_wrapping_key_stands_in_what_is_kept_or_told() {
    let held = Held::new();
    let kept = String::from_utf8(held.transcript()).unwrap();
    let said = [held.hall.screens.concat(), held.hall.told.concat(), kept].concat();
    for index in 1..=3 {
        let text = held.share(index).danger_text().to_string();
        // The first groups name the ceremony, which is public.
        for group in text.split(['-', '\n']).skip(4) {
            assert!(!said.contains(group), "{group} of share {index}");
        }
    }
    // The control: the place that is searched holds what was said.
    assert!(said.contains(&held.verified.check_value));
}

#[test]
fn whoever_leaves_at_any_step_leaves_nothing_behind() {
    for step in 1..=13 {
        let folder = Folder::new();
        let plan = Plan::parse(PLAN, &folder.path("")).unwrap();
        let root = root_file(&folder, "root.keys");
        let mut hall = Hall { leave_at: Some(step), ..Hall::default() };
        let error = hold(&plan, PLAN, &root, None, &mut hall).unwrap_err();
        assert_eq!((error.step, error.left.len()), (step, 0), "{error}");
        assert!(matches!(error.cause, Cause::Stopped(_)));
        assert!(root.keys().is_empty(), "a root is left after step {step}");
        for path in ["ada/share.txt", "bo/share.txt", "root/backup", "root/transcript.json"] {
            assert!(!folder.path(path).exists(), "{path} is left after step {step}");
        }
        assert!(!partial(&plan.transcript).exists());
        // And it can be begun again.
        hold(&plan, PLAN, &root, None, &mut Hall::default()).unwrap();
    }
}

#[test]
fn an_interrupted_ceremony_is_named_and_can_be_taken_back() {
    let folder = Folder::new();
    let plan = Plan::parse(PLAN, &folder.path("")).unwrap();
    let root = root_file(&folder, "root.keys");
    // As if the machine had stopped: the root and the record are there.
    hold(&plan, PLAN, &root, None, &mut Hall::default()).unwrap();
    fs::rename(&plan.transcript, partial(&plan.transcript)).unwrap();
    let error = hold(&plan, PLAN, &root, None, &mut Hall::default()).unwrap_err();
    assert!(matches!(error.cause, Cause::Unfinished { .. }), "{error}");
    assert!(error.to_string().contains("--discard"), "{error}");
    assert_eq!(wait(discard(&plan, &root, NOW)), Vec::<String>::new());
    assert!(root.keys().is_empty());
    hold(&plan, PLAN, &root, None, &mut Hall::default()).unwrap();
}

#[test]
fn what_stands_in_the_way_is_named_before_anything_is_done() {
    let held = Held::new();
    let again = hold(&held.plan, PLAN, &held.root, None, &mut Hall::default()).unwrap_err();
    assert!(matches!(&again.cause, Cause::InTheWay { path } if *path == held.plan.transcript));
    fs::remove_dir_all(held.folder.path("root")).unwrap();
    fs::remove_file(held.folder.path("ada/share.txt")).unwrap();
    fs::remove_file(held.folder.path("bo/share.txt")).unwrap();
    let again = hold(&held.plan, PLAN, &held.root, None, &mut Hall::default()).unwrap_err();
    assert!(matches!(again.cause, Cause::RootThere { .. }), "{again}");
    assert_eq!(held.root.keys().len(), 1);
}

fn renewal() -> String {
    let text = PLAN.replace("\"create\"", "\"renew\"\nsuite = \"ES384\"").replace("root/", "new/");
    let old = "[old_root.file]\npath = \"root.keys\"\nkey_file = \"unlock.key\"\n\n[[custodian]]";
    text.replacen("[[custodian]]", old, 1).replace("share.txt", "share-2.txt")
}

#[test]
fn a_renewed_root_is_certified_by_the_old_one() {
    let held = Held::new();
    let text = renewal();
    let plan = Plan::parse(&text, &held.folder.path("")).unwrap();
    let new = root_file(&held.folder, "new.keys");
    let verified = hold(&plan, &text, &new, Some(&held.root), &mut Hall::default()).unwrap();
    let link = verified.link.unwrap();
    assert_eq!(link.old_certificate, held.verified.certificate);
    let certificate = Certificate::parse(&link.certificate).unwrap();
    let own = Certificate::parse(&verified.certificate).unwrap();
    assert_eq!(new.newest(Purpose::CityRoot, None).unwrap().suite, Suite::Es384);
    // What readers demand of a link: the new key and name, self-issued, signed by the old key.
    assert_eq!(certificate.public_key, own.public_key);
    assert_eq!((certificate.subject, certificate.issuer), (own.subject, own.subject));
    let mut buffer = [0; 96];
    let signature = certificate.signature(&mut buffer).unwrap();
    AwsLc.verify(&held.verified.root, certificate.tbs, signature).unwrap();
}

#[test]
fn a_renewal_needs_an_old_root_of_the_same_name() {
    let held = Held::new();
    let text = renewal();
    let plan = Plan::parse(&text, &held.folder.path("")).unwrap();
    let (new, empty) = (root_file(&held.folder, "new.keys"), root_file(&held.folder, "empty.keys"));
    let error = hold(&plan, &text, &new, Some(&empty), &mut Hall::default()).unwrap_err();
    assert!(matches!(error.cause, Cause::NoOldRoot), "{error}");
    let other = text.replace("\"Harbour City\"", "\"Other City\"");
    let plan = Plan::parse(&other, &held.folder.path("")).unwrap();
    let error = hold(&plan, &other, &new, Some(&held.root), &mut Hall::default()).unwrap_err();
    assert!(error.to_string().contains("another name"), "{error}");
    assert!(new.keys().is_empty() && error.left.is_empty());
}
