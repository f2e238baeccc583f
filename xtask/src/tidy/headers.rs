//! Every source file says at its top what it is; lower floors forbid unsafe code.

use super::Finding;
use crate::house::{self, House};
use crate::process::Failure;
use crate::source;

/// Checks the first line of each file and the attributes of each crate root.
pub(super) fn check(house: &House) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for path in house.files()? {
        if path.ends_with(".rs") {
            check_file(&path, &house.read(&path)?, &mut findings);
        }
    }
    Ok(findings)
}

fn check_file(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let opening: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
    if opening.trim_start_matches("//!").trim().is_empty() {
        findings.push(Finding::at(
            path,
            1,
            "open with `//!`: what this is and what it must never do",
        ));
    }
    let Some(room) = house::room_of(path) else { return };
    if !path.ends_with("/src/lib.rs") {
        return;
    }
    let code = source::code_only(text);
    if room.floor.is_below_the_rim() && !code.contains("#![forbid(unsafe_code)]") {
        findings.push(Finding::at(path, 1, "add `#![forbid(unsafe_code)]`"));
    }
    if room.floor.is_no_std() && !code.contains("no_std") {
        findings.push(Finding::at(path, 1, "add `#![no_std]`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: usize) {
        let mut findings = Vec::new();
        check_file(path, text, &mut findings);
        assert_eq!(findings.len(), expected, "{path}: {text}");
    }

    #[test]
    fn a_file_opens_with_what_it_is() {
        check("crates/server/src/lib.rs", "//! What it is.\n", 0);
        check("crates/server/src/lib.rs", "use x;\n", 1);
        check("crates/server/src/lib.rs", "//!\n//! \nuse x;\n", 1);
    }

    #[test]
    fn the_floors_below_the_rim_forbid_unsafe_code() {
        check("crates/policy/src/lib.rs", "//! P.\n#![forbid(unsafe_code)]\n", 0);
        check("crates/policy/src/lib.rs", "//! P.\n// #![forbid(unsafe_code)]\n", 1);
        check("crates/reader/src/lib.rs", "//! R.\n#![forbid(unsafe_code)]\n", 1);
        check("crates/reader/src/lib.rs", "//! R.\n#![no_std]\n#![forbid(unsafe_code)]\n", 0);
    }
}
