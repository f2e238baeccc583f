//! Tokens behind PKCS#11 as the command line names them, and SoftHSM's for a demonstration.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use keys::token::pin::PinSource;
use keys::token::{Role, Settings, Token};

use crate::failure::{Failure, OrFail};
use crate::world;

/// Where distributions put SoftHSM's module.
const MODULES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];
/// The variable by which SoftHSM finds its configuration.
pub(crate) const CONFIGURATION: &str = "SOFTHSM2_CONF";
/// The label of the token of a demonstration's city.
pub(crate) const CITY: &str = "limen-city";
/// The label of the token of its root.
pub(crate) const ROOT: &str = "limen-root";

/// Tokens in place of sealed files.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tokens {
    #[command(flatten)]
    root: RootToken,
    /// The label of the token that is to hold the keys of the city.
    #[arg(long, value_name = "LABEL", requires = "module")]
    token: Option<String>,
    /// Where its PIN is: file:PATH, env:NAME or prompt. It goes into keys.toml, so PATH starts at the
    /// folder of the city.
    #[arg(long, value_name = "SOURCE", default_value = "prompt")]
    pin: PinSource,
}

/// The token of the root, in place of a sealed file.
#[derive(Args, Clone, Debug)]
pub(crate) struct RootToken {
    /// The PKCS#11 module of the tokens, a shared library.
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// The label of the token that holds the root, and nothing else.
    #[arg(long, value_name = "LABEL", requires = "module")]
    root_token: Option<String>,
    /// Where the PIN of the root's token is: file:PATH, env:NAME or prompt.
    #[arg(long, value_name = "SOURCE", default_value = "prompt")]
    root_pin: PinSource,
}

impl Tokens {
    /// No tokens: sealed files.
    pub(crate) const fn none() -> Self {
        let (pin, root_pin) = (PinSource::Prompt, PinSource::Prompt);
        let root = RootToken { module: None, root_token: None, root_pin };
        Self { root, token: None, pin }
    }

    /// The token of the city and the source of its PIN.
    pub(crate) fn city(&self) -> Option<(Settings, PinSource)> {
        let settings = Settings { module: self.root.module.clone()?, label: self.token.clone()? };
        Some((settings, self.pin.clone()))
    }

    /// The token of the root, which is another than the city's.
    pub(crate) fn root(&self) -> Result<&RootToken, Failure> {
        if self.token.is_some() && self.token == self.root.root_token {
            return Err(Failure::usage("the root lies on a token of its own: name another one"));
        }
        Ok(&self.root)
    }
}

impl RootToken {
    /// Opens the token, if one is named.
    pub(crate) fn open(&self) -> Result<Option<Token>, Failure> {
        let (Some(module), Some(label)) = (&self.module, &self.root_token) else {
            return Ok(None);
        };
        let pin = self.root_pin.read(label).or_fail("cannot open the token of the root")?;
        let settings = Settings { module: module.clone(), label: label.clone() };
        let token = Token::open(&settings, pin, Role::Root);
        token.map(Some).or_fail("cannot open the token of the root")
    }
}

/// SoftHSM's tokens in a folder of their own.
#[derive(Clone, Debug)]
pub(crate) struct Softhsm {
    folder: PathBuf,
    module: PathBuf,
}

impl Softhsm {
    /// Finds the module, and makes a token for the city and one for the root in `folder`.
    pub(crate) fn create(folder: &Path, module: Option<&Path>) -> Result<Self, Failure> {
        let install = "install the package `softhsm2`, or name the module with --hsm-module";
        let known = || MODULES.iter().map(PathBuf::from).find(|path| path.is_file());
        let module = match module {
            Some(path) if path.is_file() => path.to_owned(),
            Some(path) => {
                let text = format!("there is no PKCS#11 module `{}`", path.display());
                return Err(Failure::usage(text));
            }
            None => known().ok_or_else(|| {
                Failure::usage("SoftHSM is not installed: there is no `libsofthsm2.so`")
                    .hint(install)
            })?,
        };
        let softhsm = Self { folder: folder.into(), module };
        let attempt = "cannot make the tokens";
        std::fs::create_dir_all(softhsm.tokens()).or_fail(attempt)?;
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            softhsm.tokens().display()
        );
        std::fs::write(softhsm.configuration(), text).or_fail(attempt)?;
        for label in [CITY, ROOT] {
            let pin = world::entropy::<8>()?.map(|byte| format!("{byte:02x}")).concat();
            edge::file::replace(&softhsm.pin_file(label), pin.as_bytes()).or_fail(attempt)?;
            let mut command = Command::new("softhsm2-util");
            command.args(["--init-token", "--free", "--label", label, "--so-pin", &pin]);
            command.args(["--pin", &pin, "--module"]).arg(&softhsm.module);
            command.env(CONFIGURATION, softhsm.configuration());
            let output = command.output().map_err(|error| {
                Failure::usage(format!("cannot run `softhsm2-util`: {error}")).hint(install)
            })?;
            if !output.status.success() {
                let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(Failure::broken(format!("{attempt}: {told}")));
            }
        }
        Ok(softhsm)
    }

    /// What commands of this program need to be told to use the tokens.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let pin = |label| format!("file:{}", self.pin_file(label).display());
        let module = self.module.display().to_string();
        [
            ["--module", &module],
            ["--token", CITY],
            ["--pin", &pin(CITY)],
            ["--root-token", ROOT],
            ["--root-pin", &pin(ROOT)],
        ]
        .concat()
        .into_iter()
        .map(String::from)
        .collect()
    }

    /// The variable and its value that make a process see these tokens.
    pub(crate) fn environment(&self) -> (&'static str, PathBuf) {
        (CONFIGURATION, self.configuration())
    }

    /// Pulls the tokens: whatever the module looks for is gone.
    pub(crate) fn pull(&self) -> Result<(), Failure> {
        std::fs::rename(self.tokens(), self.away()).or_fail("cannot pull the token")
    }

    /// Puts the tokens back.
    pub(crate) fn put_back(&self) -> Result<(), Failure> {
        std::fs::rename(self.away(), self.tokens()).or_fail("cannot put the token back")
    }

    /// The keys of one kind (`privkey`, `secrkey`) on the token `label` as OpenSC's `pkcs11-tool` lists
    /// them; none where it is not installed.
    pub(crate) fn listed_by_foreign_client(
        &self,
        label: &str,
        kind: &str,
    ) -> Result<Option<String>, Failure> {
        let pin = std::fs::read_to_string(self.pin_file(label)).or_fail("cannot read the PIN")?;
        let mut command = Command::new("pkcs11-tool");
        command.arg("--module").arg(&self.module);
        command.args(["--token-label", label, "--login", "--pin", &pin, "--list-objects"]);
        command.args(["--type", kind]).env(CONFIGURATION, self.configuration());
        match command.output() {
            Ok(output) if output.status.success() => {
                Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
            }
            Ok(output) => {
                let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(Failure::broken(format!("pkcs11-tool does not list the keys: {told}")))
            }
            Err(_) => Ok(None),
        }
    }

    fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    fn away(&self) -> PathBuf {
        self.folder.join("tokens-away")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    fn pin_file(&self, label: &str) -> PathBuf {
        self.folder.join(format!("{label}.pin"))
    }
}
