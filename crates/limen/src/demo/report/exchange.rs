//! What passed between reader and phone in one tap, in plain words, as far as a listener can tell.
//!
//! It knows no key: it reads the commands, files and frames that ISO/IEC 18013-5 clauses 8.2.2.1
//! and 8.3.3.1.2 leave open, and counts the bytes of what is sealed. Anything that it cannot read
//! is said to be unreadable; nothing here judges a tap.

use credential::jose::base64url;
use presentation::apdu::chain::{Answer, Collected, CommandCollector, ResponseCollector};
use presentation::apdu::{
    Command, ENVELOPE, GET_RESPONSE, LinkLimits, READ_BINARY, Response, SELECT, StatusWord,
};
use presentation::holder::MDOC_APPLICATION;
use presentation::ndef::{handover, tag};
use presentation::session::message::{SessionData, SessionEstablishment};

use super::figure;
use crate::demo::story::Tap;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A command, from the reader.
    ToPhone,
    /// A response, from the phone.
    ToReader,
}

/// What a part of a tap is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Chapter {
    /// The reader reads the tag that the phone plays.
    #[default]
    Engagement,
    /// Keys, request and answer.
    Session,
    /// The session is taken down.
    Ending,
}

/// One APDU on its way.
#[derive(Debug)]
pub(super) struct Message {
    /// Which way it goes.
    pub(super) way: Way,
    /// What it belongs to.
    pub(super) chapter: Chapter,
    /// What it is, in the words of the standard.
    pub(super) label: String,
    /// What that means, in short lines; may be empty.
    pub(super) note: String,
    /// The whole APDU; empty when nothing came.
    pub(super) bytes: Vec<u8>,
}

/// Command and response in turn, as they went over the link.
pub(super) fn messages(tap: &Tap) -> Vec<Message> {
    let mut listener = Listener::default();
    let mut messages = Vec::with_capacity(tap.apdus.len() * 2);
    for [command, response] in &tap.apdus {
        // What is no base64url was no APDU either: it is shown as unreadable.
        let command = base64url::decode(command).unwrap_or_default();
        let response = base64url::decode(response).unwrap_or_default();
        let words = listener.command(&command);
        messages.push(listener.message(Way::ToPhone, words, command));
        let words = listener.response(&response);
        messages.push(listener.message(Way::ToReader, words, response));
    }
    messages
}

/// Bytes of all messages that go this way.
pub(super) fn bytes(messages: &[Message], way: Way) -> u64 {
    messages.iter().filter(|m| m.way == way).map(|m| figure::length(&m.bytes)).sum()
}

/// A label and a note.
type Words = (String, String);

/// Somebody who hears every byte and follows along.
#[derive(Debug, Default)]
struct Listener {
    chapter: Chapter,
    asked: Asked,
    /// The file that is selected.
    file: Option<[u8; 2]>,
    /// The NDEF message as far as it was read.
    ndef: Vec<u8>,
    /// ENVELOPE commands of a message that is not yet whole.
    chain: CommandCollector,
    /// Responses of an answer that is not yet whole.
    answer: Option<ResponseCollector>,
}

/// What the last command asked for.
#[derive(Clone, Copy, Debug, Default)]
enum Asked {
    #[default]
    Nothing,
    Container,
    Length,
    Ndef,
    Answer,
}

impl Listener {
    fn message(&self, way: Way, (label, note): Words, bytes: Vec<u8>) -> Message {
        Message { way, chapter: self.chapter, label, note, bytes }
    }

    fn command(&mut self, bytes: &[u8]) -> Words {
        self.asked = Asked::Nothing;
        let command = match Command::parse(bytes) {
            Ok(command) => command,
            Err(error) => return ("unreadable command".into(), error.to_string()),
        };
        match command.instruction {
            SELECT => self.select(&command),
            READ_BINARY => self.read(&command),
            ENVELOPE => self.envelope(&command),
            GET_RESPONSE => {
                self.asked = Asked::Answer;
                ("GET RESPONSE".into(), "the next part of the answer, please".into())
            }
            other => (format!("instruction {other:02X}"), "not part of such a tap".into()),
        }
    }

    fn select(&mut self, command: &Command<'_>) -> Words {
        let name = hexadecimal(command.data);
        if (command.p1, command.p2) == tag::SELECT_APPLICATION {
            return match command.data {
                data if data == tag::APPLICATION => {
                    self.chapter = Chapter::Engagement;
                    ("SELECT NDEF application".into(), "the tag that a phone plays".into())
                }
                data if data == MDOC_APPLICATION => {
                    self.chapter = Chapter::Session;
                    ("SELECT mdoc application".into(), "from here on, the pass".into())
                }
                _ => ("SELECT application".into(), name),
            };
        }
        let Ok(file) = <[u8; 2]>::try_from(command.data) else {
            return ("SELECT".into(), name);
        };
        self.file = Some(file);
        if file == tag::CONTAINER_FILE.to_be_bytes() {
            return ("SELECT capability container".into(), format!("file {name}"));
        }
        (format!("SELECT NDEF file {name}"), "the file with the engagement".into())
    }

    fn read(&mut self, command: &Command<'_>) -> Words {
        let offset = u16::from_be_bytes([command.p1, command.p2]);
        let wanted = figure::bytes(u64::from(command.expected_bytes));
        let label = format!("READ BINARY, {wanted}");
        let is_container = self.file == Some(tag::CONTAINER_FILE.to_be_bytes());
        let (asked, note) = match (is_container, offset) {
            (true, _) => (Asked::Container, "what can be read here?".into()),
            (false, 0) => (Asked::Length, "how long is the message?".into()),
            (false, _) => (Asked::Ndef, format!("the message, from offset {offset}")),
        };
        self.asked = asked;
        (label, note)
    }

    fn envelope(&mut self, command: &Command<'_>) -> Words {
        match self.chain.push(command) {
            Ok(Collected::More) => ("ENVELOPE, more follows".into(), "a part of a message".into()),
            Ok(Collected::Whole { message, .. }) => {
                self.asked = Asked::Answer;
                self.answer = Some(ResponseCollector::new(LinkLimits::EXTENDED));
                self.session(&message)
            }
            Err(error) => {
                self.chain = CommandCollector::default();
                ("ENVELOPE".into(), error.to_string())
            }
        }
    }

    /// A whole message from the reader.
    fn session(&mut self, message: &[u8]) -> Words {
        if let Ok(establishment) = SessionEstablishment::parse(message) {
            let sealed = figure::bytes(figure::length(establishment.data));
            let note = format!(
                "session establishment: the reader's key\nand its sealed request, {sealed}"
            );
            return ("ENVELOPE".into(), note);
        }
        match SessionData::parse(message) {
            Ok(data) => {
                if data.status.is_some() {
                    self.chapter = Chapter::Ending;
                }
                ("ENVELOPE".into(), session_data(&data))
            }
            Err(error) => ("ENVELOPE".into(), error.to_string()),
        }
    }

    fn response(&mut self, bytes: &[u8]) -> Words {
        if bytes.is_empty() {
            return ("no answer".into(), "the phone has gone".into());
        }
        let response = match Response::parse(bytes) {
            Ok(response) => response,
            Err(error) => return ("unreadable response".into(), error.to_string()),
        };
        let status = response.status;
        let label = format!("{} {}", status.to_string().to_uppercase(), meaning(status));
        let note = match self.asked {
            _ if response.data.is_empty() => String::new(),
            Asked::Nothing => figure::bytes(figure::length(response.data)),
            Asked::Container => tag::Container::parse(response.data)
                .map_or_else(|error| error.to_string(), |container| describe(&container)),
            Asked::Length => match <[u8; 2]>::try_from(response.data) {
                Ok(length) => {
                    format!("it has {}", figure::bytes(u16::from_be_bytes(length).into()))
                }
                Err(_) => "no length".into(),
            },
            Asked::Ndef => self.engagement(response.data),
            Asked::Answer => self.collect(&response),
        };
        (label, note)
    }

    /// A part of the NDEF message.
    fn engagement(&mut self, part: &[u8]) -> String {
        self.ndef.extend_from_slice(part);
        match handover::parse(&self.ndef) {
            Ok(_) => "engagement: the phone's key for this tap".into(),
            Err(_) => "a part of the message".into(),
        }
    }

    /// A part of an answer.
    fn collect(&mut self, response: &Response<'_>) -> String {
        let Some(mut collector) = self.answer.take() else {
            return figure::bytes(figure::length(response.data));
        };
        match collector.push(response) {
            Ok(Answer::More(_)) => {
                self.answer = Some(collector);
                "a part of the answer".into()
            }
            Ok(Answer::Whole(message)) => match SessionData::parse(&message) {
                Ok(data) => session_data(&data),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        }
    }
}

/// A line for what is sealed, and one for a status.
fn session_data(data: &SessionData<'_>) -> String {
    let sealed = data.data.map(|data| format!(": sealed, {}", figure::bytes(figure::length(data))));
    let status = data.status.map(|status| format!("\nstatus {status}"));
    format!("session data{}{}", sealed.unwrap_or_default(), status.unwrap_or_default())
}

fn describe(container: &tag::Container) -> String {
    format!("file {}, read access", hexadecimal(&container.file.to_be_bytes()))
}

/// What a status word says (ISO/IEC 7816-4 clause 5.6), in two or three words.
fn meaning(status: StatusWord) -> &'static str {
    match status {
        StatusWord::OK => "done",
        StatusWord::CONDITIONS => "not allowed now",
        StatusWord::NOT_FOUND => "not found",
        StatusWord::FAILURE => "failed",
        StatusWord::WRONG_INSTRUCTION | StatusWord::WRONG_CLASS => "not supported",
        StatusWord::WRONG_LENGTH | StatusWord::WRONG_PARAMETERS | StatusWord::WRONG_OFFSET => {
            "wrong command"
        }
        status if status.more().is_some() => "more waits",
        _ => "another status",
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn words(tap: &Tap) -> Vec<String> {
        let line = |m: &Message| format!("{:?} {:?}: {} | {}", m.chapter, m.way, m.label, m.note);
        messages(tap).iter().map(line).collect()
    }

    #[test]
    fn a_tap_is_told_in_plain_words() {
        let expected = "\
Engagement ToPhone: SELECT NDEF application | the tag that a phone plays
Engagement ToReader: 9000 done | \n\
Engagement ToPhone: SELECT capability container | file E103
Engagement ToReader: 9000 done | \n\
Engagement ToPhone: READ BINARY, 15 bytes | what can be read here?
Engagement ToReader: 9000 done | file E104, read access
Engagement ToPhone: SELECT NDEF file E104 | the file with the engagement
Engagement ToReader: 9000 done | \n\
Engagement ToPhone: READ BINARY, 2 bytes | how long is the message?
Engagement ToReader: 9000 done | it has 194 bytes
Engagement ToPhone: READ BINARY, 194 bytes | the message, from offset 2
Engagement ToReader: 9000 done | engagement: the phone's key for this tap
Session ToPhone: SELECT mdoc application | from here on, the pass
Session ToReader: 9000 done | \n\
Session ToPhone: ENVELOPE, more follows | a part of a message
Session ToReader: 9000 done | \n\
Session ToPhone: ENVELOPE | session establishment: the reader's key
and its sealed request, 300 bytes
Session ToReader: 6100 more waits | a part of the answer
Session ToPhone: GET RESPONSE | the next part of the answer, please
Session ToReader: 9000 done | session data: sealed, 500 bytes
Ending ToPhone: ENVELOPE | session data
status 20 (session termination)
Ending ToReader: no answer | the phone has gone";
        assert_eq!(words(&sample::tap()).join("\n"), expected);
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_unreadable() {
        let check = |command: &[u8], response: &[u8], expected: [&str; 2]| {
            let pair = [base64url::encode(command), base64url::encode(response)];
            let messages = messages(&Tap { duration_us: 0, profile: None, apdus: vec![pair] });
            let labels: Vec<&str> = messages.iter().map(|m| m.label.as_str()).collect();
            assert_eq!(labels, expected);
        };
        check(&[0], &[0x90], ["unreadable command", "unreadable response"]);
        check(&[0, 0xA4, 4, 0, 1, 7], &[0x6A, 0x82], ["SELECT application", "6A82 not found"]);
        check(&[0, 0x20, 0, 0], &[0x6D, 0], ["instruction 20", "6D00 not supported"]);
        check(&[0, 0xC3, 0, 0, 1, 7, 0], &[0x69, 0x85], ["ENVELOPE", "6985 not allowed now"]);
        check(&[0, 0xC0, 0, 0, 0], &[7, 0x90, 0], ["GET RESPONSE", "9000 done"]);
    }

    #[test]
    fn no_byte_is_lost_or_invented() {
        let tap = sample::tap();
        let sizes = |index: usize| -> u64 {
            tap.apdus
                .iter()
                .map(|pair| figure::length(&base64url::decode(&pair[index]).unwrap()))
                .sum()
        };
        let messages = messages(&tap);
        assert_eq!(bytes(&messages, Way::ToPhone), sizes(0));
        assert_eq!(bytes(&messages, Way::ToReader), sizes(1));
    }

    #[test]
    fn text_that_is_no_base64url_is_an_unreadable_command() {
        let tap = Tap { duration_us: 0, profile: None, apdus: vec![["<b>".into(), "*".into()]] };
        let lines = words(&tap);
        assert!(lines[0].contains("unreadable command"), "{lines:?}");
        assert!(lines[1].contains("no answer"), "{lines:?}");
    }
}
