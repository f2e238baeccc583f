//! How long a file and a function may be, and a list that may only shrink.
//!
//! A file of more than 500 lines, or a function of more than 70, must stand in
//! `xtask/ratchet.txt` with its length, and no file may pass 1,000. The list is held to the
//! version that was committed first: nothing is added to it and no number in it grows.

use std::collections::BTreeMap;

use super::Finding;
use crate::house::House;
use crate::process::{self, Failure};
use crate::source;

const FILE_LINES_MAX: usize = 500;
const FILE_LINES_NEVER: usize = 1_000;
const FUNCTION_LINES_MAX: usize = 70;
const RATCHET: &str = "xtask/ratchet.txt";
const HEADING: &str = "\
# What is longer than it should be. This list may only shrink: `cargo xtask tidy --ratchet`.
";

/// Lengths by what is long: `file PATH` or `function PATH NAME`.
type Lengths = BTreeMap<String, usize>;

/// Checks every source file against the limits and the list.
pub(super) fn check(house: &House) -> Result<Vec<Finding>, Failure> {
    let long = long_ones(house)?;
    let listed = parse(&listed_text(house))?;
    let first = first_list(house)?;
    Ok(compare(&long, &listed, first.as_ref()))
}

/// Writes the list anew: lower numbers, fewer lines. The first list takes what is there.
pub(crate) fn tighten(house: &House) -> Result<(), Failure> {
    let long = long_ones(house)?;
    let first = first_list(house)?;
    let listed = parse(&listed_text(house))?;
    let kept = long.into_iter().filter(|(what, _)| first.is_none() || listed.contains_key(what));
    let lowered = kept.map(|(what, lines)| {
        let allowed = if first.is_none() { None } else { listed.get(&what) };
        let lines = allowed.map_or(lines, |allowed| lines.min(*allowed));
        format!("{what} {lines}\n")
    });
    let text: String = std::iter::once(HEADING.to_owned()).chain(lowered).collect();
    std::fs::write(house.path(RATCHET), text)?;
    Ok(())
}

fn listed_text(house: &House) -> String {
    house.read(RATCHET).unwrap_or_default()
}

/// The list as it was when it came under version control; `None` before that.
fn first_list(house: &House) -> Result<Option<Lengths>, Failure> {
    let query = ["log", "--diff-filter=A", "--format=%H", "--", RATCHET];
    let Ok(commits) = process::read(process::program("git", &query, house.root())) else {
        return Ok(None); // No commit yet.
    };
    let Some(first) = commits.lines().last() else { return Ok(None) };
    let object = format!("{first}:{RATCHET}");
    let text = process::read(process::program("git", &["show", &object], house.root()))?;
    parse(&text).map(Some)
}

fn parse(text: &str) -> Result<Lengths, Failure> {
    let entries = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    entries
        .map(|line| {
            let entry = line
                .rsplit_once(' ')
                .and_then(|(what, n)| Some((what.to_owned(), n.parse().ok()?)));
            entry.ok_or_else(|| Failure::new(format!("read {RATCHET}: `{line}` is no entry")))
        })
        .collect()
}

fn long_ones(house: &House) -> Result<Lengths, Failure> {
    let mut long = Lengths::new();
    for path in house.files()? {
        if path.ends_with(".rs") {
            measure(&path, &house.read(&path)?, &mut long);
        }
    }
    Ok(long)
}

fn measure(path: &str, text: &str, long: &mut Lengths) {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        long.insert(format!("file {path}"), lines);
    }
    for function in source::functions(&source::code_only(text)) {
        if function.lines > FUNCTION_LINES_MAX {
            // Two long functions of one name count together, so that neither hides.
            *long.entry(format!("function {path} {}", function.name)).or_default() +=
                function.lines;
        }
    }
}

fn compare(long: &Lengths, listed: &Lengths, first: Option<&Lengths>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (what, lines) in long {
        let allowed = listed.get(what).copied().unwrap_or(0);
        if what.starts_with("file ") && *lines > FILE_LINES_NEVER {
            findings
                .push(Finding::new(what, format!("{lines} lines; never over {FILE_LINES_NEVER}")));
        } else if *lines > allowed {
            let limit = if what.starts_with("file ") { FILE_LINES_MAX } else { FUNCTION_LINES_MAX };
            findings
                .push(Finding::new(what, format!("{lines} lines; at most {}", limit.max(allowed))));
        }
    }
    for (what, allowed) in listed {
        let lines = long.get(what).copied().unwrap_or(0);
        if lines < *allowed {
            let message = format!(
                "listed with {allowed} lines and now shorter: run `cargo xtask tidy --ratchet`"
            );
            findings.push(Finding::new(RATCHET, format!("`{what}` is {message}")));
        }
        let at_first = first.map(|first| first.get(what).copied().unwrap_or(0));
        if at_first.is_some_and(|at_first| *allowed > at_first) {
            findings.push(Finding::new(RATCHET, format!("`{what}`: this list may only shrink")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Lengths {
        parse(text).unwrap()
    }

    fn check(long: &str, listed: &str, first: Option<&str>, expected: usize) {
        let found = compare(&lengths(long), &lengths(listed), first.map(lengths).as_ref());
        assert_eq!(found.len(), expected, "{long:?} against {listed:?}, first {first:?}");
    }

    fn check_measure(text: &str, expected: &[(&str, usize)]) {
        let mut long = Lengths::new();
        measure("a.rs", text, &mut long);
        let expected = expected.iter().map(|(what, lines)| ((*what).to_owned(), *lines)).collect();
        assert_eq!(long, expected);
    }

    #[test]
    fn limits_hold_at_the_limit_and_break_one_past_it() {
        check_measure(&"x\n".repeat(FILE_LINES_MAX), &[]);
        check_measure(&"x\n".repeat(FILE_LINES_MAX + 1), &[("file a.rs", 501)]);
        let function = |lines: usize| format!("fn f() {{\n{}}}\n", "x\n".repeat(lines - 2));
        check_measure(&function(FUNCTION_LINES_MAX), &[]);
        check_measure(&function(FUNCTION_LINES_MAX + 1), &[("function a.rs f", 71)]);
    }

    #[test]
    fn what_is_long_must_be_listed_and_may_not_grow() {
        check("file a 600", "", None, 1);
        check("file a 600", "file a 600", None, 0);
        check("file a 601", "file a 600", None, 1);
        check("file a 1000", "file a 1000", None, 0);
        check("file a 1001", "file a 1001", None, 1);
    }

    #[test]
    fn the_list_only_shrinks() {
        check("file a 590", "file a 600", Some("file a 600"), 1);
        check("", "file a 600", Some("file a 600"), 1);
        check("file a 600", "file a 600", Some(""), 1);
        check("file a 600", "file a 600", Some("file a 700"), 0);
    }
}
