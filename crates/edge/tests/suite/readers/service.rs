//! A `pcscd` with virtual readers in namespaces of its own: its socket has one place in a file system,
//! and `vpcd` listens on all interfaces, which here are one loopback that nobody else sees.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use edge::pcsc::{Listed, Presence, list};

const FIRST_PORT: u16 = 0x8C7B;
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
const ALONE: &str = "LIMEN_TEST_ALONE";
/// How long anything may take that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `body` in namespaces of its own, as root there, for two minutes at most; `test` is the name of
/// the test that calls.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        must("ip", &["link", "set", "lo", "up"]);
        must("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
        // Each is process 1 in here, and names its folders so.
        must("mount", &["-t", "tmpfs", "tmpfs", &std::env::temp_dir().to_string_lossy()]);
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let name = format!("readers::{test}");
    // When a card is pulled, `vpcd` 3.3 may close a file twice, which may be the service's line to us by
    // then: such a run says nothing of ours.
    let spoilt = "CommError";
    for is_last in [false, false, true] {
        let mut command = Command::new("timeout");
        command.args(["120", "unshare", "--map-root-user", "--mount", "--net"]);
        // Whatever happens, nothing that was started in there stays.
        command.args(["--pid", "--fork", "--kill-child", "--"]).arg(&program);
        command.args([&name, "--exact", "--nocapture"]).env(ALONE, "1").stdin(Stdio::null());
        let output = command.output().expect("`timeout` and `unshare`");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        println!("{out}");
        if output.status.success() && out.contains("1 passed") {
            return;
        }
        assert!(err.contains(spoilt) && !is_last, "{out}{err}");
        println!("once more: the service lost its lines");
    }
}

pub(crate) fn must(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// A PC/SC service with virtual readers, two for each stanza of its configuration.
pub(crate) struct Service {
    child: Child,
    folder: PathBuf,
}

impl Service {
    pub(crate) fn start(folder: &Path, readers: u16) -> Self {
        let folder = folder.join("reader.conf.d");
        fs::create_dir_all(&folder).unwrap();
        for pair in 0..readers.div_ceil(2) {
            add_pair(&folder, pair);
        }
        let service = Self { child: run(&folder), folder };
        until("all readers are there", || {
            list().is_ok_and(|listed| listed.len() == usize::from(readers.div_ceil(2) * 2))
        });
        service
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = run(&self.folder);
    }

    /// Plugs two readers in; a service with udev reads its configuration only when it starts.
    pub(crate) fn plug(&mut self, pair: u16) {
        add_pair(&self.folder, pair);
        self.restart();
    }

    /// Unplugs two readers.
    pub(crate) fn unplug(&mut self, pair: u16) {
        fs::remove_file(self.folder.join(format!("pair-{pair}"))).unwrap();
        self.restart();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let ended = self.child.try_wait();
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.with_file_name("pcscd.log"));
            println!(
                "pcscd, which had ended by itself: {ended:?}, said:\n{}",
                log.unwrap_or_default()
            );
        }
    }
}

/// Each stanza has a copy of the driver to itself: one driver keeps the cards of all its stanzas in one
/// table of two slots.
fn add_pair(folder: &Path, pair: u16) {
    let port = FIRST_PORT + 2 * pair;
    let driver = folder.with_file_name(format!("libifdvpcd-{pair}.so"));
    fs::copy(DRIVER, &driver).expect("install the package `vsmartcard-vpcd`");
    let stanza = format!(
        "FRIENDLYNAME \"City Reader {pair}\"\nDEVICENAME /dev/null:0x{port:X}\n\
         LIBPATH {}\nCHANNELID 0x{port:X}\n",
        driver.display()
    );
    fs::write(folder.join(format!("pair-{pair}")), stanza).unwrap();
}

fn run(folder: &Path) -> Child {
    let log = fs::File::create(folder.with_file_name("pcscd.log")).unwrap();
    let errors = log.try_clone().unwrap();
    let mut command = Command::new("pcscd");
    command.args(["--foreground", "--config"]).arg(folder);
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().expect("install the packages `pcscd` and `vsmartcard-vpcd`")
}

/// Waits for something of a foreign program that gives no notice.
pub(crate) fn until(what: &str, is_true: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the service sees a card in this reader.
pub(crate) fn until_card(reader: &str) {
    until("the card is seen", || {
        let listed = list().unwrap_or_default();
        let card = listed.into_iter().find(|it| it.name == reader).map(|it| it.card);
        matches!(card, Some(Presence::Card { .. }))
    });
}

/// The names of the virtual readers, in the order of their ports.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> =
        list().unwrap().into_iter().map(|Listed { name, .. }| name).collect();
    names.sort();
    names
}

/// Where a card is put into the virtual reader number so-and-so.
pub(crate) fn port_of(reader: u16) -> SocketAddr {
    ([127, 0, 0, 1], FIRST_PORT + reader).into()
}
