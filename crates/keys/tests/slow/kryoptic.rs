//! A token of Kryoptic for one test. Its module reads the path of its configuration from the
//! environment and is initialised once for each process, as SoftHSM's: see `softhsm.rs`.

use std::any::type_name;
use std::path::PathBuf;
use std::process::Command;

use keys::token::Settings;

use crate::softhsm::Softhsm;

/// Names the module; `cargo xtask test --slow` sets it.
const MODULE: &str = "LIMEN_KRYOPTIC";
/// The variable by which the module finds its configuration; set in the child only.
const CONFIGURATION: &str = "KRYOPTIC_CONF";

/// Runs `body` in a child process with a fresh token. To be called as the whole of a test.
pub(crate) fn alone<F: FnOnce(&Settings)>(body: F) {
    let Some(module) = std::env::var_os(MODULE).map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "{MODULE} is not set");
        println!("NOT RUN: {MODULE} is not set");
        return;
    };
    if std::env::var_os(CONFIGURATION).is_some() {
        return body(&token(module));
    }
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let folder = format!("limen-kryoptic-{}-{}", std::process::id(), name.replace("::", "-"));
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let database = folder.join("token.sql");
    let configuration = folder.join("kryoptic.conf");
    let text =
        format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
    std::fs::write(&configuration, text).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact", "--nocapture", "--test-threads", "1"]);
    let output = child.env(CONFIGURATION, &configuration).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} failed in its process");
    assert!(told.contains("1 passed"), "{name} is not the name of the test");
}

fn token(module: PathBuf) -> Settings {
    let tool = |arguments: &[&str]| {
        let mut command = Command::new("pkcs11-tool");
        command.arg("--module").arg(&module).args(arguments);
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
    };
    let officer = ["--so-pin", Softhsm::OFFICER_PIN];
    tool(&[&["--init-token", "--slot", "1", "--label", "city"], &officer[..]].concat());
    let login = ["--login", "--login-type", "so", "--token-label", "city"];
    let pin = ["--init-pin", "--pin", Softhsm::PIN];
    tool(&[&login[..], &officer, &pin].concat());
    Settings { module, label: "city".to_owned() }
}
