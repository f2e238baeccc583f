//! The Type 4 tag that the wallet plays until its mdoc application is selected.

use alloc::vec::Vec;

use super::MDOC_APPLICATION;
use crate::apdu::{CLASS_LAST, Command, READ_BINARY, SELECT, StatusWord};
use crate::ndef::tag::{
    APPLICATION, CONTAINER_FILE, Container, NDEF_FILE, SELECT_APPLICATION, SELECT_FILE, file,
};

/// Bytes that one READ BINARY may ask for: the most that a short answer carries, less one for
/// readers that take 256 for zero.
const READ_BYTES: u16 = 255;

/// The tag and what a reader has selected of it.
#[derive(Debug)]
pub(super) struct Tag {
    file: Vec<u8>,
    container: Vec<u8>,
    selected: Selected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selected {
    Nothing,
    Application,
    Container,
    File,
}

/// How a command of the engagement is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The mdoc application was selected: answer 9000 and go on with the session.
    Mdoc,
    /// Answer with data and 9000.
    Data(Vec<u8>),
    /// Answer with a status alone.
    Status(StatusWord),
}

impl Tag {
    pub(super) fn new(message: &[u8]) -> Self {
        // INVARIANT: the caller's message comes from the NDEF writer, which holds to the limit.
        let file = file(message).unwrap_or_default();
        let file_bytes = u16::try_from(file.len()).unwrap_or(u16::MAX);
        let container = Container { read_bytes: READ_BYTES, file: NDEF_FILE, file_bytes };
        Self { file, container: container.encode().to_vec(), selected: Selected::Nothing }
    }

    pub(super) fn answer(&mut self, command: &Command<'_>) -> Reply {
        if command.class != CLASS_LAST {
            return Reply::Status(StatusWord::WRONG_CLASS);
        }
        match command.instruction {
            SELECT if (command.p1, command.p2) == SELECT_APPLICATION => {
                self.select_application(command.data)
            }
            SELECT if (command.p1, command.p2) == SELECT_FILE => self.select_file(command.data),
            READ_BINARY => self.read(command),
            SELECT => Reply::Status(StatusWord::WRONG_PARAMETERS),
            _ => Reply::Status(StatusWord::WRONG_INSTRUCTION),
        }
    }

    fn select_application(&mut self, name: &[u8]) -> Reply {
        if name == MDOC_APPLICATION {
            return Reply::Mdoc;
        }
        let is_tag = name == APPLICATION;
        self.selected = if is_tag { Selected::Application } else { Selected::Nothing };
        Reply::Status(if is_tag { StatusWord::OK } else { StatusWord::NOT_FOUND })
    }

    fn select_file(&mut self, identifier: &[u8]) -> Reply {
        let selected = match <[u8; 2]>::try_from(identifier).map(u16::from_be_bytes) {
            Ok(CONTAINER_FILE) => Selected::Container,
            Ok(NDEF_FILE) => Selected::File,
            _ => return Reply::Status(StatusWord::NOT_FOUND),
        };
        if self.selected == Selected::Nothing {
            return Reply::Status(StatusWord::NOT_FOUND);
        }
        self.selected = selected;
        Reply::Status(StatusWord::OK)
    }

    fn read(&self, command: &Command<'_>) -> Reply {
        let content = match self.selected {
            Selected::Container => &self.container,
            Selected::File => &self.file,
            Selected::Nothing | Selected::Application => {
                return Reply::Status(StatusWord::CONDITIONS);
            }
        };
        if !command.data.is_empty() || command.expected_bytes == 0 {
            return Reply::Status(StatusWord::WRONG_LENGTH);
        }
        // P1 with its highest bit set would name a short file identifier, which this tag has not.
        let offset = usize::from(u16::from_be_bytes([command.p1, command.p2]));
        let length = usize::try_from(command.expected_bytes).unwrap_or(usize::MAX);
        match content.get(offset..) {
            Some(rest @ [_, ..]) => Reply::Data(rest.get(..length).unwrap_or(rest).to_vec()),
            _ => Reply::Status(StatusWord::WRONG_OFFSET),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndef::tag::{read_binary, select_application, select_file};
    use alloc::vec;

    fn check(commands: &[Command<'_>], last: Reply) {
        let mut tag = Tag::new(&[1, 2, 3, 4]);
        let replies: Vec<_> = commands.iter().map(|command| tag.answer(command)).collect();
        assert_eq!(replies.last(), Some(&last), "{commands:02x?}");
    }

    #[test]
    fn the_tag_answers_as_the_standard_says() {
        let application = select_application(&APPLICATION);
        let ndef = select_file(&[0xE1, 0x04]);
        check(&[application, ndef, read_binary(0, 2)], Reply::Data(vec![0, 4]));
        check(&[application, ndef, read_binary(2, 256)], Reply::Data(vec![1, 2, 3, 4]));
        check(&[application, ndef, read_binary(6, 1)], Reply::Status(StatusWord::WRONG_OFFSET));
        check(&[application, ndef, read_binary(0, 0)], Reply::Status(StatusWord::WRONG_LENGTH));
        check(&[application, read_binary(0, 2)], Reply::Status(StatusWord::CONDITIONS));
        check(&[ndef], Reply::Status(StatusWord::NOT_FOUND));
        check(&[application, select_file(&[0xE1, 0x05])], Reply::Status(StatusWord::NOT_FOUND));
        check(&[select_application(b"other")], Reply::Status(StatusWord::NOT_FOUND));
        check(&[select_application(&MDOC_APPLICATION)], Reply::Mdoc);
        let other = Command { p2: 4, ..application };
        check(&[other], Reply::Status(StatusWord::WRONG_PARAMETERS));
        let other = Command { class: 0x80, ..application };
        check(&[other], Reply::Status(StatusWord::WRONG_CLASS));
        let other = Command { instruction: 0xD6, ..application };
        check(&[other], Reply::Status(StatusWord::WRONG_INSTRUCTION));
    }
}
