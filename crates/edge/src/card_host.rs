//! A software card in a reader: the applet, its file, and entropy.

use std::fmt;
use std::io;
use std::path::Path;

use aws_lc_rs::rand;
use card::memory::MemoryFault;
use card::{Card, ENTROPY_BYTES, Identifier};
use credential::aws_lc::AwsLc;
use presentation::apdu::StatusWord;

use crate::card_file::CardFile;
use crate::link::{Link, LinkError};
use crate::vpcd::CardApplication;

/// A software card.
#[derive(Debug)]
pub struct SoftwareCard(Card<CardFile>);

impl SoftwareCard {
    /// Makes a blank card at `path`, where there is no file. Its identifier is drawn.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn make(path: &Path) -> Result<(), CardError> {
        let mut identifier: Identifier = [0; 7];
        rand::fill(&mut identifier).map_err(|_| CardError::Entropy)?;
        CardFile::make(path, &AwsLc, identifier).map_err(CardError::File)
    }

    /// Takes the card at `path`.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn open(path: &Path) -> Result<Self, CardError> {
        let memory = CardFile::open(path).map_err(CardError::File)?;
        Card::open(memory, &AwsLc).map(Self).map_err(CardError::Memory)
    }

    /// Answers the reader at the other end of `link` until it has enough.
    ///
    /// # Errors
    /// [`LinkError`] but [`LinkError::Gone`], which is how a tap ends.
    pub fn serve(&mut self, link: &mut Link) -> Result<(), LinkError> {
        let served = loop {
            let answer = match link.receive() {
                Ok(command) => self.command(&command),
                Err(LinkError::Gone) => break Ok(()),
                Err(error) => break Err(error),
            };
            match link.send(&answer) {
                Ok(()) => {}
                Err(LinkError::Gone) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.reset();
        served
    }
}

impl CardApplication for SoftwareCard {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn command(&mut self, apdu: &[u8]) -> Vec<u8> {
        let mut entropy = [0; ENTROPY_BYTES];
        match rand::fill(&mut entropy) {
            Ok(()) => self.0.command(&AwsLc, &entropy, apdu),
            Err(_) => StatusWord::FAILURE.0.to_be_bytes().to_vec(),
        }
    }
}

/// Why a software card cannot be used.
#[derive(Debug)]
pub enum CardError {
    /// Its file cannot be used.
    File(io::Error),
    /// What its file holds is damaged.
    Memory(MemoryFault),
    /// The random generator failed.
    Entropy,
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "cannot use the card's file",
            Self::Memory(_) => "the card's file is damaged: make and personalise a new card",
            Self::Entropy => "the random generator failed",
        })
    }
}

impl std::error::Error for CardError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(source) => Some(source),
            Self::Memory(source) => Some(source),
            Self::Entropy => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::Folder;
    use crate::link::Field;
    use presentation::express::wire::Apdu;
    use std::thread;

    #[test]
    fn a_card_answers_a_reader_on_the_local_link_until_the_field_is_gone() {
        let folder = Folder::new("card-host");
        let path = folder.0.join("card");
        SoftwareCard::make(&path).unwrap();
        let field = Field::open(0).unwrap();
        let address = field.address().unwrap();
        let mut card = SoftwareCard::open(&path).unwrap();
        let tap = thread::spawn(move || {
            let served = card.serve(&mut Link::connect(address).unwrap());
            (card, served)
        });
        let mut reader = field.accept().unwrap();
        let mut ask = |command: &[u8]| {
            reader.send(command).unwrap();
            reader.receive().unwrap()
        };
        let selected = ask(Apdu::select().as_bytes());
        assert!(selected.ends_with(&[0x90, 0x00]));
        // The reader asks for identity, which a card has not: it is refused, and the field goes on.
        assert_eq!(ask(&[0, 0xA4, 4, 0, 7, 0xA0, 0, 0, 2, 0x48, 4, 0, 0]), [0x6A, 0x82]);
        let open = [&[0x80, 0x50, 0, 0, 30, 1, 0][..], &[7; 28], &[0]].concat();
        let (noise, more) = (ask(&open), ask(&open));
        assert!(noise.len() == 78 && noise != more);
        drop(reader);
        let (mut card, served) = tap.join().unwrap();
        assert!(served.is_ok());
        assert_eq!(card.command(&open), [0x69, 0x85], "out of the field nothing is selected");
    }
}
