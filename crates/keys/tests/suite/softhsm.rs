//! SoftHSM2 tokens in a folder of their own, for one test.
//!
//! SoftHSM reads the path of its configuration from the environment of the process, and a module is
//! initialised once for each process. So every test that opens a token runs in a child process of its
//! own: [`alone`] starts this test binary again for that one test, with `SOFTHSM2_CONF` set. To have
//! the same elsewhere, copy this file beside your tests; a program under test that opens tokens by
//! itself needs only the variable [`Softhsm::CONFIGURATION`] of its `Command`.

use std::any::type_name;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use keys::token::Settings;
use keys::token::pin::Pin;

/// Set in the child only.
const FOLDER: &str = "LIMEN_TEST_SOFTHSM";

/// A folder of tokens.
pub(crate) struct Softhsm {
    folder: PathBuf,
}

/// Runs `body` in a child process with an empty folder of tokens. To be called as the whole of a test.
pub(crate) fn alone<F: FnOnce(&Softhsm)>(body: F) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return body(&Softhsm { folder: folder.into() });
    }
    // The name of the test is that of the function around the closure, without the crate.
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let softhsm = Softhsm::create();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact", "--nocapture", "--test-threads", "1"]);
    let output = softhsm.set(&mut child).env(FOLDER, &softhsm.folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let _ = fs::remove_dir_all(&softhsm.folder);
    assert!(output.status.success(), "{name} failed in its process");
    assert!(told.contains("1 passed"), "{name} is not the name of the test");
}

impl Softhsm {
    /// The variable that names the configuration.
    pub(crate) const CONFIGURATION: &str = "SOFTHSM2_CONF";
    /// The module, as Debian installs it.
    pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    /// The user PIN of every token here.
    pub(crate) const PIN: &str = "271828";
    /// The security officer's PIN of every token here.
    pub(crate) const OFFICER_PIN: &str = "31415926";

    /// The folder of the test that runs [`alone`] in this process.
    pub(crate) fn here() -> Self {
        Self { folder: std::env::var_os(FOLDER).unwrap().into() }
    }

    fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("limen-softhsm-{}-{number}", std::process::id());
        let softhsm = Self { folder: std::env::temp_dir().join(name) };
        fs::create_dir_all(softhsm.tokens()).unwrap();
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            softhsm.tokens().display()
        );
        fs::write(softhsm.configuration(), configuration).unwrap();
        softhsm
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn tokens(&self) -> PathBuf {
        self.path("tokens")
    }

    fn configuration(&self) -> PathBuf {
        self.path("softhsm2.conf")
    }

    /// Makes `command` see these tokens.
    pub(crate) fn set<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(Self::CONFIGURATION, self.configuration())
    }

    /// Makes a token.
    pub(crate) fn token(&self, label: &str) -> Settings {
        let arguments = ["--init-token", "--free", "--label", label];
        let pins = ["--so-pin", Self::OFFICER_PIN, "--pin", Self::PIN];
        self.run(Command::new("softhsm2-util").args(arguments).args(pins));
        Settings { module: Self::MODULE.into(), label: label.to_owned() }
    }

    pub(crate) fn pin() -> Pin {
        Pin::new(Self::PIN).unwrap()
    }

    pub(crate) fn officer_pin() -> Pin {
        Pin::new(Self::OFFICER_PIN).unwrap()
    }

    /// What the foreign client says; it must succeed.
    pub(crate) fn pkcs11_tool(&self, label: &str, arguments: &[&str]) -> String {
        self.run(self.pkcs11_tool_command(label).args(arguments))
    }

    /// The foreign client, logged in to the token `label`.
    pub(crate) fn pkcs11_tool_command(&self, label: &str) -> Command {
        let mut command = Command::new("pkcs11-tool");
        command.args(["--module", Self::MODULE, "--token-label", label]);
        command.args(["--login", "--pin", Self::PIN]);
        self.set(&mut command);
        command
    }

    pub(crate) fn run(&self, command: &mut Command) -> String {
        let output = self.set(command).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Pulls every token.
    pub(crate) fn take_away(&self) {
        fs::rename(self.tokens(), self.away()).unwrap();
    }

    /// Puts the tokens back.
    pub(crate) fn put_back(&self) {
        fs::rename(self.away(), self.tokens()).unwrap();
    }

    fn away(&self) -> PathBuf {
        self.path("tokens-away")
    }
}
