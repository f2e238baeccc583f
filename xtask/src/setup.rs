//! The foreign peers: other people's implementations that ours must agree with.
//!
//! Everything is pinned and checked in (`package-lock.json`, `requirements.txt`); nothing is
//! installed outside `target/` and `node_modules`, except Debian packages, and those only by
//! root. Where something is missing that may not be installed here, the one command that does
//! it is printed, and the step fails.

use std::path::Path;

use crate::house::House;
use crate::process::{self, Failure};

const PEERS: &str = "crates/conformance/peers";
const VENV: &str = "target/peers/venv";

/// A program that the peers need, how to see that it works, and the Debian package it is in.
struct Tool {
    program: &'static str,
    proof: &'static [&'static str],
    package: &'static str,
}

/// The oldest version that all peers run on is that of Debian 12.
const NODE_IS_NEW_ENOUGH: &str = "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)";

const TOOLS: &[Tool] = &[
    Tool { program: "git", proof: &["--version"], package: "git" },
    Tool { program: "node", proof: &["--eval", NODE_IS_NEW_ENOUGH], package: "nodejs" },
    Tool { program: "npm", proof: &["--version"], package: "npm" },
    Tool { program: "python3", proof: &["-c", "import venv, ensurepip"], package: "python3-venv" },
    Tool { program: "softhsm2-util", proof: &["--version"], package: "softhsm2" },
    Tool { program: "opensc-tool", proof: &["--info"], package: "opensc" },
    Tool { program: "faketime", proof: &["--version"], package: "faketime" },
    Tool { program: "pcscd", proof: &["--version"], package: "pcscd" },
    Tool {
        program: "pkg-config",
        proof: &["--exists", "libpcsclite"],
        package: "pkg-config libpcsclite-dev",
    },
    Tool {
        program: "ls",
        proof: &["/usr/lib/pcsc/drivers/serial/libifdvpcd.so"],
        package: "vsmartcard-vpcd",
    },
    Tool { program: "ls", proof: &["/usr/bin/vicc"], package: "vsmartcard-vpicc" },
    Tool { program: "ip", proof: &["-Version"], package: "iproute2" },
    // What building pyscard takes.
    Tool { program: "python3-config", proof: &["--includes"], package: "python3-dev" },
];

/// What building the second token of the slow tests takes besides.
const SLOW_TOOLS: &[Tool] = &[
    Tool { program: "clang-14", proof: &["--version"], package: "clang-14" },
    Tool { program: "ls", proof: &["/usr/lib/llvm-14/lib/libclang.so.1"], package: "libclang1-14" },
    Tool {
        program: "pkg-config",
        proof: &["--exists", "openssl", "sqlite3"],
        package: "pkg-config libssl-dev libsqlite3-dev",
    },
];

/// As [`run`], and what only the slow tests take.
pub(crate) fn run_slow(house: &House) -> Result<(), Failure> {
    debian_packages(house, SLOW_TOOLS)?;
    run(house)
}

/// Installs what is missing or out of date; does nothing when all is there.
pub(crate) fn run(house: &House) -> Result<(), Failure> {
    debian_packages(house, TOOLS)?;
    npm_packages(house)?;
    python_packages(house)
}

fn debian_packages(house: &House, tools: &[Tool]) -> Result<(), Failure> {
    let works = |tool: &&Tool| {
        process::read(process::program(tool.program, tool.proof, house.root())).is_ok()
    };
    let missing: Vec<&str> =
        tools.iter().filter(|tool| !works(tool)).map(|tool| tool.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    let is_root = process::read(process::program("id", &["-u"], house.root()))?.trim() == "0";
    if !is_root {
        return Err(Failure::new(format!(
            "the foreign peers need more packages; as root, run: {command}"
        )));
    }
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let mut update = process::program("apt-get", &["update", "--quiet"], house.root());
    update.env("DEBIAN_FRONTEND", "noninteractive");
    process::show(update)?;
    let mut install = process::program("apt-get", &words, house.root());
    install.env("DEBIAN_FRONTEND", "noninteractive");
    process::show(install)
}

fn npm_packages(house: &House) -> Result<(), Failure> {
    let lock = format!("{PEERS}/package-lock.json");
    let stamp = house.path(&format!("{PEERS}/node_modules/.installed"));
    unless_installed(house, &lock, &stamp, || {
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        process::show(process::program("npm", &install, &house.path(PEERS)))
    })
}

fn python_packages(house: &House) -> Result<(), Failure> {
    let requirements = format!("{PEERS}/requirements.txt");
    let venv = house.path(VENV);
    unless_installed(house, &requirements, &venv.join(".installed"), || {
        let path = venv.to_string_lossy();
        process::show(process::program(
            "python3",
            &["-m", "venv", "--clear", &path],
            house.root(),
        ))?;
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
            &requirements,
        ];
        process::show(process::program(venv.join("bin/python"), &install, house.root()))
    })
}

/// Installs unless `stamp` holds what the list of packages says; then writes the stamp.
fn unless_installed(
    house: &House,
    list: &str,
    stamp: &Path,
    install: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let wanted = house.read(list)?;
    if std::fs::read_to_string(stamp).is_ok_and(|installed| installed == wanted) {
        println!("setup: {list} is installed");
        return Ok(());
    }
    install()?;
    std::fs::write(stamp, wanted)?;
    println!("setup: installed {list}");
    Ok(())
}
