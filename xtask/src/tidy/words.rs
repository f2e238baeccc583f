//! Words that say where a file was written instead of what it is.
//!
//! A tracked file names no folder of anybody's machine, no registry host and nobody's
//! workplace: the project speaks of itself alone. The patterns are put together from halves,
//! so that this file does not find itself.

use super::Finding;
use crate::house::House;
use crate::process::Failure;

/// Files whose format carries a registry's address by rule.
const EXEMPT: &[&str] = &["Cargo.lock"];

/// A phrase, in lower case, and whether it must not continue a longer path or word.
const PATTERNS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tmp/", "plan"),
    concat!("/tmp/", "bash_jobs"),
    concat!("far", "m-studio"),
    concat!("far", "m-bench"),
    concat!("/far", "m/"),
    concat!("artif", "actory"),
    concat!("debian", ".org"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npm", "js"),
    concat!("index", ".crates"),
    concat!("static", ".crates"),
    concat!("issues", " show"),
    concat!("steering", " repo"),
    concat!("sub", "agent"),
    concat!("shared/", "facts"),
    concat!("shared/", "design"),
    concat!("plan", ".md"),
];

/// Checks every tracked text file.
pub(super) fn check(house: &House) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for path in house.files()? {
        let bytes = std::fs::read(house.path(&path))?;
        if let (Ok(text), false) = (std::str::from_utf8(&bytes), EXEMPT.contains(&path.as_str())) {
            check_text(&path, text, &mut findings);
        }
    }
    Ok(findings)
}

fn check_text(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (index, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for pattern in PATTERNS.iter().filter(|pattern| stands_in(&lower, pattern)) {
            let message = format!("take out `{pattern}`: it says where this was written");
            findings.push(Finding::at(path, index + 1, message));
        }
        if path.ends_with("package-lock.json") && lower.contains(r#""resolved":"#) {
            let message = "a lock file must not record download addresses: \
                           set omit-lockfile-registry-resolved";
            findings.push(Finding::at(path, index + 1, message));
        }
    }
}

/// An absolute path counts only where it begins, not inside of a relative one.
fn stands_in(line: &str, pattern: &str) -> bool {
    line.match_indices(pattern).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '}'))
            || !pattern.starts_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: usize) {
        let mut findings = Vec::new();
        check_text(path, text, &mut findings);
        assert_eq!(findings.len(), expected, "{path}: {text}");
    }

    #[test]
    fn places_of_the_workshop_are_found() {
        check("a.md", concat!("see /wo", "rk/x"), 1);
        check("a.md", concat!("a/fine/framework/wo", "rk/x"), 0);
        check("a.md", concat!("https://PyPI", ".org/x"), 1);
        check("a.md", "a working city", 0);
    }

    #[test]
    fn lock_files_record_no_addresses() {
        check("x/package-lock.json", r#"  "resolved": "y""#, 1);
        check("x/other.json", r#"  "resolved": "y""#, 0);
    }
}
