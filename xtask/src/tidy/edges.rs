//! Who imports whom: the allow-list in `house` against `cargo metadata` and `cargo tree`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Finding;
use crate::house::{self, House, Room};
use crate::process::{self, Failure};

/// Runtimes, clocks' owners and native engines that must not reach the lower floors.
const HEAVY: &[&str] =
    &["tokio", "mio", "async-std", "smol", "rusqlite", "hyper", "axum", "rustls", "tracing"];

/// A description opens with the reason why the crate exists.
const REASONS: &[&str] = &["T:", "H:", "B:", "W:"];

/// The other end of a conversation, which a crate meets in its tests alone.
const MET_IN_TESTS: &[(&str, &str)] = &[
    ("wallet", "audit"),
    ("wallet", "issuance"),
    ("wallet", "policy"),
    ("wallet", "reader"),
    ("keys", "card"),
];

/// Checks each package's description, place in the house and imports.
pub(super) fn check(house: &House) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for package in house.packages()? {
        let name = text(&package, "name");
        let place = format!("{}/Cargo.toml", house::directory(name));
        let reason = text(&package, "description");
        if !REASONS.iter().any(|begin| reason.starts_with(begin)) {
            findings.push(Finding::new(&place, "the description must begin with T:, H:, B: or W:"));
        }
        match house::ROOMS.iter().find(|room| room.name == name) {
            Some(room) => check_imports(room, &package, &place, &mut findings),
            None => findings.push(Finding::new(&place, "no such crate in xtask/src/house.rs")),
        }
    }
    Ok(findings)
}

fn check_imports(room: &Room, package: &Value, place: &str, findings: &mut Vec<Finding>) {
    let dependencies = package.get("dependencies").and_then(Value::as_array);
    for dependency in dependencies.into_iter().flatten() {
        let name = text(dependency, "name");
        let is_ours = dependency.get("path").is_some_and(Value::is_string);
        let is_met = name == room.name || MET_IN_TESTS.contains(&(room.name, name));
        let is_for_tests = is_met && text(dependency, "kind") == "dev";
        if is_ours && !is_for_tests && !room.imports.contains(&name) {
            let message = format!("`{}` must not import `{name}`", room.name);
            findings.push(Finding::new(place, message));
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Checks that no runtime or engine is in the closure of a crate below the rim.
pub(super) fn check_floors(house: &House) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let below: Vec<&Room> = house.rooms().filter(|room| room.floor.is_below_the_rim()).collect();
    let closure = closure(house, &below)?;
    if closure.len() < below.len() {
        return Err(Failure::new("read cargo tree: it names fewer crates than were asked for"));
    }
    for heavy in HEAVY.iter().filter(|heavy| closure.contains(**heavy)) {
        let message = format!("`{heavy}` is in the closure of ground, field or city");
        findings.push(Finding::new(format!("cargo tree -e normal -i {heavy}"), message));
    }
    Ok(findings)
}

fn closure(house: &House, rooms: &[&Room]) -> Result<BTreeSet<String>, Failure> {
    let mut arguments = vec!["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    for room in rooms {
        arguments.extend(["--package", room.name]);
    }
    let told = process::read(process::cargo(house, &arguments))?;
    Ok(told.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(room: &str, dependency: &Value, expected: usize) {
        let room = house::ROOMS.iter().find(|known| known.name == room).unwrap();
        let package = serde_json::json!({ "dependencies": [dependency] });
        let mut findings = Vec::new();
        check_imports(room, &package, "Cargo.toml", &mut findings);
        assert_eq!(findings.len(), expected, "{} -> {dependency}", room.name);
    }

    #[test]
    fn only_listed_imports_pass() {
        let import = |name: &str| serde_json::json!({ "name": name, "path": "/x", "kind": null });
        check("credential", &import("vocabulary"), 0);
        check("credential", &import("presentation"), 1);
        check("issuance", &import("identity"), 1);
        check("credential", &serde_json::json!({ "name": "p256", "path": null }), 0);
    }

    #[test]
    fn a_crate_may_import_itself_for_its_tests_alone() {
        check(
            "credential",
            &serde_json::json!({ "name": "credential", "path": "/x", "kind": "dev" }),
            0,
        );
        check(
            "credential",
            &serde_json::json!({ "name": "credential", "path": "/x", "kind": null }),
            1,
        );
    }

    #[test]
    fn nothing_in_the_table_imports_upwards() {
        let rank = |name: &str| house::ROOMS.iter().position(|room| room.name == name).unwrap();
        for room in house::ROOMS {
            for import in room.imports {
                assert!(rank(import) < rank(room.name), "{} imports {import}", room.name);
            }
        }
    }
}
