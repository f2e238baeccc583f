//! The memory of a software card: one file, which is its owner's alone.
//!
//! What a card does to its memory (`card::memory`) is done to the file in place; a write that a crash
//! tore is met by the card's own journal. The file begins with words that say what it is: its keys
//! stand in it as they are, and who copies it has a second card.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use card::memory::{Memory, MemoryFault, PAGE_BYTES};
use card::{Card, Identifier, PAGES};
use credential::crypto::Crypto;
use zeroize::{Zeroize, Zeroizing};

use crate::file::{self, named};

/// The first bytes of the file.
const TITLE: &[u8; TITLE_BYTES] =
    b"Limen software card 1. Its keys stand in this file as they are: for tests and trials only.\n    \n";
const TITLE_BYTES: usize = 96;

/// The file of a software card, locked until this is dropped.
pub struct CardFile {
    file: File,
    pages: Vec<[u8; PAGE_BYTES]>,
    /// A write failed: what stands in the file is known only when it is opened again.
    is_broken: bool,
}

impl CardFile {
    /// Makes a blank card at `path`, where there is no file.
    ///
    /// # Errors
    /// [`io::Error`] that names the file.
    pub fn make(path: &Path, crypto: &dyn Crypto, identifier: Identifier) -> io::Result<()> {
        let failed = |error: io::Error| named(&error, "cannot make card", path);
        let beside = file::beside(path);
        let made = Self::blank(&beside, crypto, identifier)
            // It has its name once it is whole, and takes the place of none.
            .and_then(|()| fs::hard_link(&beside, path));
        let _ = fs::remove_file(&beside);
        made.and_then(|()| file::sync_folder(path)).map_err(failed)
    }

    /// The memory of the card at `path`.
    ///
    /// # Errors
    /// [`io::Error`] that names the file: there is none, others may read it, another process has it, or
    /// it is no software card.
    pub fn open(path: &Path) -> io::Result<Self> {
        let failed = |error: io::Error| named(&error, "cannot open card", path);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let text = format!("others may use it (mode {mode:o}): `chmod 600` it");
            return Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, text)));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = "another process has it in a field";
                return Err(failed(io::Error::new(io::ErrorKind::WouldBlock, text)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let no_card = || io::Error::new(io::ErrorKind::InvalidData, "it is no software card");
        let mut bytes = Zeroizing::new(vec![0; FILE_BYTES]);
        let length = file.metadata().map_err(failed)?.len();
        if length != FILE_BYTES as u64 {
            return Err(failed(no_card()));
        }
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        match bytes.split_first_chunk() {
            Some((TITLE, rest)) => {
                let pages = rest.as_chunks().0.to_vec();
                Ok(Self { file, pages, is_broken: false })
            }
            _ => Err(failed(no_card())),
        }
    }

    fn blank(beside: &Path, crypto: &dyn Crypto, identifier: Identifier) -> io::Result<()> {
        let file = file::create(beside)?;
        file.write_all_at(TITLE, 0)?;
        file.set_len(FILE_BYTES as u64)?;
        let memory = Self { file, pages: vec![[0; PAGE_BYTES]; PAGES], is_broken: false };
        let made = Card::make(memory, crypto, identifier);
        made.map_err(io::Error::other)?.into_memory().file.sync_all()
    }
}

const FILE_BYTES: usize = TITLE_BYTES + PAGES * PAGE_BYTES;

impl Memory for CardFile {
    fn read(&self, page: usize) -> Result<[u8; PAGE_BYTES], MemoryFault> {
        self.pages.get(page).filter(|_| !self.is_broken).copied().ok_or(MemoryFault)
    }

    fn write(&mut self, page: usize, bytes: &[u8; PAGE_BYTES]) -> Result<(), MemoryFault> {
        let place = self.pages.get_mut(page).filter(|_| !self.is_broken).ok_or(MemoryFault)?;
        *place = *bytes;
        let at = (TITLE_BYTES + page * PAGE_BYTES) as u64;
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|_| {
            self.is_broken = true;
            MemoryFault
        })
    }

    fn settle(&mut self) -> Result<(), MemoryFault> {
        if self.is_broken || self.file.sync_data().is_err() {
            self.is_broken = true;
            return Err(MemoryFault);
        }
        Ok(())
    }
}

impl Drop for CardFile {
    fn drop(&mut self) {
        self.pages.iter_mut().for_each(Zeroize::zeroize);
        // A child that was just forked may hold the same open file: closing it is not enough.
        let _ = self.file.unlock();
    }
}

impl std::fmt::Debug for CardFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardFile(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::Folder;
    use credential::aws_lc::AwsLc;
    use std::path::PathBuf;

    fn made(folder: &Folder) -> PathBuf {
        let path = folder.0.join("card");
        CardFile::make(&path, &AwsLc, [1; 7]).unwrap();
        path
    }

    fn kind(result: io::Result<CardFile>) -> io::ErrorKind {
        let error = result.unwrap_err();
        assert!(error.to_string().contains("card"), "{error}");
        error.kind()
    }

    #[test]
    fn a_card_is_its_owners_alone_says_what_it_is_and_is_in_one_field_at_a_time() {
        let folder = Folder::new("card-file");
        let path = made(&folder);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read(&path).unwrap().starts_with(b"Limen software card 1. Its keys stand"));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        let again = CardFile::make(&path, &AwsLc, [2; 7]);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let card = Card::open(CardFile::open(&path).unwrap(), &AwsLc).unwrap();
        assert_eq!(kind(CardFile::open(&path)), io::ErrorKind::WouldBlock);
        drop(card);
        assert!(CardFile::open(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(kind(CardFile::open(&path)), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_file_that_is_no_card_or_cut_short_or_damaged_is_refused() {
        let folder = Folder::new("card-damage");
        let path = made(&folder);
        let whole = fs::read(&path).unwrap();
        for wrong in [&b""[..], b"Limen", &whole[..whole.len() - 1], &vec![0; whole.len()]] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(kind(CardFile::open(&path)), io::ErrorKind::InvalidData);
        }
        let mut damaged = whole.clone();
        damaged[TITLE_BYTES..TITLE_BYTES + 320].iter_mut().for_each(|byte| *byte ^= 1);
        fs::write(&path, &damaged).unwrap();
        assert!(Card::open(CardFile::open(&path).unwrap(), &AwsLc).is_err());
        assert_eq!(kind(CardFile::open(&folder.0.join("none"))), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_a_card_wrote_is_there_when_it_is_opened_again() {
        let folder = Folder::new("card-again");
        let path = made(&folder);
        let mut memory = CardFile::open(&path).unwrap();
        memory.write(PAGES - 1, &[7; PAGE_BYTES]).unwrap();
        memory.settle().unwrap();
        assert!(memory.write(PAGES, &[7; PAGE_BYTES]).is_err());
        drop(memory);
        assert_eq!(CardFile::open(&path).unwrap().read(PAGES - 1), Ok([7; PAGE_BYTES]));
    }
}
