//! A journal of uses whose files somebody has changed, each with its control.

use std::fs;
use std::path::{Path, PathBuf};

use keys::purpose::Purpose;
use keys::service::uses::{Book, Deed, OpenError, Outcome, SEGMENT_BYTES_MAX, Use};

use crate::folder::{Folder, set_mode};
use crate::post::AT;

/// A journal of two files, of which the second has two records.
fn journal(folder: &Folder) -> PathBuf {
    let path = folder.path("uses");
    fs::create_dir(&path).unwrap();
    let mut book = Book::open(&path).unwrap();
    let used = Use {
        at: AT,
        client: "server".into(),
        deed: Deed::Sign,
        handle: None,
        purpose: Some(Purpose::Bundle),
        digest: Some([7; 32]),
        outcome: Outcome::Done,
    };
    let many = usize::try_from(SEGMENT_BYTES_MAX).unwrap() / used.to_payload().len();
    book.append(std::iter::repeat_n(&used, many)).unwrap();
    book.append([&used, &used].into_iter()).unwrap();
    path
}

fn files(journal: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "uses")).collect();
    files.sort();
    files
}

#[test]
fn journal_whose_first_record_was_changed_is_not_wiped() {
    for (number, file) in [(1, 0), (2, 1)] {
        let folder = Folder::new();
        let journal = journal(&folder);
        let all = files(&journal);
        assert_eq!(all.len(), 2);
        // The control: it is read as it is.
        let entries = Book::open(&journal).unwrap().entries();
        for later in &all[number..] {
            fs::remove_file(later).unwrap();
        }
        let good = fs::read(&all[file]).unwrap();
        let mut changed = good.clone();
        changed[0] ^= 1;
        fs::write(&all[file], &changed).unwrap();
        assert!(matches!(Book::open(&journal), Err(OpenError::Damaged(_))), "file {file}");
        assert_eq!(fs::read(&all[file]).unwrap(), changed, "what is evidence stays");
        fs::write(&all[file], &good).unwrap();
        assert!(Book::open(&journal).unwrap().entries() <= entries);
    }
}

#[test]
fn journal_that_lost_its_name_gets_no_other() {
    let folder = Folder::new();
    let journal = journal(&folder);
    let entries = Book::open(&journal).unwrap().entries();
    let name = fs::read(journal.join("name")).unwrap();
    fs::remove_file(journal.join("name")).unwrap();
    assert!(Book::open(&journal).is_err());
    // The control: with its name it goes on.
    fs::write(journal.join("name"), name).unwrap();
    set_mode(&journal.join("name"), 0o600);
    assert_eq!(Book::open(&journal).unwrap().entries(), entries);
}
