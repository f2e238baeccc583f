//! What a command prints to standard output. A closed pipe ends the program quietly.

use std::io::{self, Write};

use serde_json::Value;

use crate::failure::{Failure, OrFail};

/// Prints text as it is.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

/// Prints a JSON value over several lines.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).or_fail("cannot write JSON")?;
    bytes.push(b'\n');
    write(&bytes)
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.or_fail("cannot write to standard output"),
    }
}
