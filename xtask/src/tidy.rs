//! The rules of the house that no compiler holds, as one check.
//!
//! Every finding names the file, the line where there is one, and what to do instead. All
//! findings are reported at once: a person should not have to run this twice to see them.

mod bans;
mod edges;
mod headers;
pub(crate) mod sizes;
mod words;

use crate::house::House;
use crate::process::Failure;

/// Something that is not as it should be, and where.
pub(crate) struct Finding {
    place: String,
    message: String,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    pub(crate) fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), message)
    }
}

type Check = fn(&House) -> Result<Vec<Finding>, Failure>;

const CHECKS: &[(&str, Check)] = &[
    ("edges", edges::check),
    ("floors", edges::check_floors),
    ("headers", headers::check),
    ("sizes", sizes::check),
    ("bans", bans::check),
    ("words", words::check),
];

/// Runs every check and fails when one of them found something.
pub(crate) fn run(house: &House) -> Result<(), Failure> {
    let mut total = 0;
    for (name, check) in CHECKS {
        let findings = check(house)?;
        for finding in &findings {
            eprintln!("{name}: {}: {}", finding.place, finding.message);
        }
        total += findings.len();
    }
    match total {
        0 => {
            println!("tidy: {} checks, nothing found", CHECKS.len());
            Ok(())
        }
        _ => Err(Failure::new(format!("tidy found {total} things to mend"))),
    }
}
