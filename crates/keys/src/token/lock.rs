//! One custodian for each token and role: the mark that keeps a second one out.
//!
//! The mark is a data object on the token that names the process which uses it (layout:
//! `specs/token.md`). It outlives a crash, so whoever finds it asks whether that process still runs:
//! a mark of this machine's own dead process, or of one from before its last start, is swept away. Of
//! a process on another machine, or in another container, nobody here can tell; then the token is
//! refused until a person who knows better removes the mark ([`release`]). When two start at the same
//! moment, both may be refused; never do both go on.

use core::fmt::Write as _;
use std::fs;

use aws_lc_rs::{digest, rand};
use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::token::Role;
use crate::token::label::PREFIX;
use crate::token::pool::{Pool, PoolError};

const APPLICATION: &[u8] = b"limen";
/// Bytes of a mark; what is longer was not written by us.
const MARK_BYTES_MAX: usize = 512;

/// The mark of one custodian. Placed and removed by it; nothing happens when it is dropped.
pub(crate) struct Lock {
    role: Role,
    mark: String,
}

/// Whose the token is, as its marks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Ours,
    Free,
    Others(String),
}

impl Lock {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, mark: mark_of_this_process() }
    }

    /// Places the mark unless another stands; tells whose.
    pub(crate) fn place(&self, session: &Session) -> Result<Option<String>, Error> {
        if let Some(other) = self.other_alive(session)? {
            return Ok(Some(other));
        }
        let ours = session.create_object(&[
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Application(APPLICATION.to_vec()),
            Attribute::Label(label(self.role).into_bytes()),
            Attribute::Value(self.mark.clone().into_bytes()),
        ])?;
        // Another may have placed its mark between the two lines above.
        let other = self.other_alive(session)?;
        if other.is_some() {
            session.destroy_object(ours)?;
        }
        Ok(other)
    }

    /// Whose the token is.
    pub(crate) fn held(&self, session: &Session) -> Result<Held, Error> {
        let mut held = Held::Free;
        for (_, mark) in marks(session, self.role)? {
            if mark == self.mark {
                return Ok(Held::Ours);
            }
            if may_be_alive(&mark) {
                held = Held::Others(mark);
            }
        }
        Ok(held)
    }

    /// Takes the own mark away, if it is still there.
    pub(crate) fn remove(&self, session: &Session) -> Result<(), Error> {
        for (handle, mark) in marks(session, self.role)? {
            if mark == self.mark {
                session.destroy_object(handle)?;
            }
        }
        Ok(())
    }

    /// The mark of another custodian that runs, as far as can be told; sweeps those of the dead.
    fn other_alive(&self, session: &Session) -> Result<Option<String>, Error> {
        for (handle, mark) in marks(session, self.role)? {
            if mark == self.mark {
                continue;
            }
            if may_be_alive(&mark) {
                return Ok(Some(mark));
            }
            session.destroy_object(handle)?;
        }
        Ok(None)
    }
}

/// Removes every mark of `role`, whoever placed it, and tells whose they were. For a person who knows
/// that the process named there is gone.
///
/// # Errors
/// [`PoolError`].
pub fn release(pool: &Pool, role: Role) -> Result<Vec<String>, PoolError> {
    pool.once(|session| {
        let marks = marks(session, role)?;
        for (handle, _) in &marks {
            session.destroy_object(*handle)?;
        }
        Ok(marks.into_iter().map(|(_, mark)| mark).collect())
    })
}

/// Who uses the token in `role`, as far as its marks tell: one text for each mark.
///
/// # Errors
/// [`PoolError`].
pub fn holders(pool: &Pool, role: Role) -> Result<Vec<String>, PoolError> {
    pool.with(|session| Ok(marks(session, role)?.into_iter().map(|(_, mark)| mark).collect()))
}

fn label(role: Role) -> String {
    format!("{PREFIX}1 custodian {role}")
}

fn marks(session: &Session, role: Role) -> Result<Vec<(ObjectHandle, String)>, Error> {
    let wanted = [Attribute::Class(ObjectClass::DATA), Attribute::Label(label(role).into_bytes())];
    let mut marks = Vec::new();
    for handle in session.find_objects(&wanted)? {
        let value = session.get_attributes(handle, &[AttributeType::Value])?;
        let text = value.into_iter().find_map(|attribute| match attribute {
            Attribute::Value(bytes) if bytes.len() <= MARK_BYTES_MAX => {
                String::from_utf8(bytes).ok()
            }
            _ => None,
        });
        marks.push((handle, text.unwrap_or_default()));
    }
    Ok(marks)
}

/// A process, so that it can be told later whether it still runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    /// Name of the machine and a digest of its `/etc/machine-id`. Either alone may be shared.
    machine: String,
    /// Of the start of the machine: another start, another number.
    boot: String,
    /// Numbers of processes count within this only.
    namespace: String,
    number: u32,
    /// Ticks since the start of the machine: numbers of processes come again.
    started: String,
}

fn mark_of_this_process() -> String {
    let mut tag = [0_u8; 8];
    // Without a tag two custodians in one process would take each other's mark for their own; a
    // generator that fails here makes no keys either.
    let _ = rand::fill(&mut tag);
    let Process { machine, boot, namespace, number, started } = Process::current();
    let tag = u64::from_be_bytes(tag);
    format!(
        "process={number} started={started} machine={machine} boot={boot} namespace={namespace} \
         tag={tag:016x}"
    )
}

/// False only where it is certain that the process of `mark` has ended.
fn may_be_alive(mark: &str) -> bool {
    let Some(holder) = Process::parse(mark) else { return true };
    let here = Process::current();
    if holder.machine != here.machine {
        return true;
    }
    if holder.boot != here.boot {
        return false;
    }
    holder.namespace != here.namespace
        || Process::started(&holder.number.to_string()).as_deref() == Some(&*holder.started)
}

impl Process {
    fn current() -> Self {
        let namespace = fs::read_link("/proc/self/ns/pid");
        let name = line("/proc/sys/kernel/hostname").unwrap_or_default();
        // What is unknown is empty, and a mark with an empty field is of a process that may run.
        let machine = line("/etc/machine-id").filter(|id| !id.is_empty()).map(|id| {
            let digest = digest::digest(&digest::SHA256, id.as_bytes());
            digest.as_ref().iter().take(4).fold(format!("{name}/"), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        });
        Self {
            machine: machine.unwrap_or_default(),
            boot: line("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            namespace: namespace.map(|path| path.display().to_string()).unwrap_or_default(),
            number: std::process::id(),
            started: Self::started("self").unwrap_or_default(),
        }
    }

    /// Field 22 of `/proc/PID/stat` (proc(5)); the name in field 2 may hold blanks and parentheses.
    fn started(number: &str) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(19).map(str::to_owned)
    }

    fn parse(mark: &str) -> Option<Self> {
        let field = |name: &str| {
            let found = mark.split(' ').find_map(|word| word.strip_prefix(name));
            found.and_then(|rest| rest.strip_prefix('=')).filter(|value| !value.is_empty())
        };
        Some(Self {
            machine: field("machine")?.to_owned(),
            boot: field("boot")?.to_owned(),
            namespace: field("namespace")?.to_owned(),
            number: field("process")?.parse().ok()?,
            started: field("started")?.to_owned(),
        })
    }
}

fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_of_a_process_that_runs_keeps_others_out_and_that_of_a_dead_one_does_not() {
        let own = mark_of_this_process();
        let here = Process::parse(&own).expect("this machine has a name and an identity");
        assert!(may_be_alive(&own));
        let with = |from: &str, to: &str| own.replacen(from, to, 1);
        let started = format!("started={}", here.started);
        let boot = format!("boot={}", here.boot);
        for (what, mark, alive) in [
            ("the number was given to a later process", with(&started, "started=1"), false),
            ("the machine has started since", with(&boot, "boot=another"), false),
            ("another machine", with("machine=", "machine=x"), true),
            ("another container", with("namespace=", "namespace=x"), true),
            ("unreadable", "a note".to_owned(), true),
            ("a field is missing", with(&boot, "boot="), true),
        ] {
            assert_eq!(may_be_alive(&mark), alive, "{what}");
        }
    }
}
