//! Help, completions, manual pages, exit codes and closed pipes.

use std::io::Read;
use std::process::Stdio;

use crate::run::Folder;

/// The sub-commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Visits every command, deepest last.
fn walk(folder: &Folder, path: &[String], visit: &mut impl FnMut(&[String], &str)) {
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = folder.limen(&arguments).expect(0, "Usage:").out;
    visit(path, &help);
    for name in commands(&help) {
        let deeper: Vec<String> = path.iter().cloned().chain([name]).collect();
        walk(folder, &deeper, visit);
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let folder = Folder::new();
    let (mut leaves, mut bare) = (0, Vec::new());
    walk(&folder, &[], &mut |path, help| {
        let line = path.join(" ");
        if !commands(help).is_empty() {
            return;
        }
        leaves += 1;
        // An example that begins with another command is an example of something else.
        let example = help.split("Example").nth(1).unwrap_or_default();
        if !example.contains(&format!("limen {line}")) {
            bare.push(line);
        }
    });
    assert!(bare.is_empty(), "no example in the help of {bare:?}");
    assert!(leaves >= 30, "{leaves} commands found");
}

#[test]
fn completions_know_the_nouns() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.limen(&["completions", shell]).expect(0, "credential").out;
        assert!(script.contains("suspend") && script.contains("server"), "{shell}");
    }
    folder.limen(&["completions", "cmd"]).expect(2, "possible values");
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let folder = Folder::new();
    folder.limen(&["man", "pages/man1"]).expect(0, "");
    walk(&folder, &[], &mut |path, _| {
        let name = ["limen"].into_iter().chain(path.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join("-");
        let page = folder.path(&format!("pages/man1/{name}.1"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("no page {name}"));
        assert!(page.contains(".TH"), "{name}");
    });
    folder.file("flat", "");
    folder.limen(&["man", "flat"]).expect(1, "cannot write manual pages to `flat`");
}

#[test]
fn wrong_use_is_told_with_status_2() {
    let folder = Folder::new();
    let check = |arguments: &[&str], text: &str| {
        folder.limen(arguments).expect(2, text);
    };
    check(&[], "Usage:");
    check(&["pas"], "unrecognized subcommand 'pas'");
    check(&["pass", "show", "person_01kapzzzzz0000000000000000"], "invalid value");
    check(&["pass", "show", "../operators"], "invalid value");
    check(&["pass", "list", "--limit", "0"], "0 is not in 1..=200");
    check(&["pass", "list", "--limit", "201"], "201 is not in 1..=200");
    check(&["operator", "show", "Tram"], "invalid value 'Tram'");
    check(&["place", "add", "a//b", "A"], "invalid value 'a//b'");
    check(&["product", "add"], "required");
    check(&["product", "add", "none.toml", "--server", "http://127.0.0.1:1"], "none.toml");
    check(&["operator", "list"], "no server is known");
    check(&["operator", "list", "--server", "http://city.example"], "this machine only");
    check(&["operator", "list", "--profile", "../x"], "no name of a profile");
    folder.limen(&["--version"]).expect(0, env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let folder = Folder::new();
    let mut command = folder.command(&["completions", "bash"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((child.wait().unwrap().code(), complaint.as_str()), (Some(0), ""));
}
