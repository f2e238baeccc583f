//! A rehearsal: the same steps and the same transcript, on keys that are thrown away.
//!
//! SoftHSM2 reads its configuration from the environment, so that the program starts itself anew with
//! that set. Everything lies in a folder of its own; nothing that the plan names is touched.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use keys::ceremony::certificate::certify_root;
use keys::ceremony::lead::Setting;
use keys::ceremony::plan::{Custodian, Kind, Place, Plan, SealedFile};
use keys::ceremony::room::{Left, Room, Screen};
use keys::ceremony::seat::RootSeat;
use keys::ceremony::shares::Share;
use keys::ceremony::transcript::hex;
use keys::ceremony::transcript::verify::Verified;
use keys::custody::{Custody, NewKey};
use keys::purpose::Purpose;
use keys::seal;
use keys::software::Keystore;
use keys::token::pin::PinSource;
use keys::token::{Settings, Token};
use keys::unlock::Unlock;
use vocabulary::time::Instant;
use zeroize::Zeroizing;

use super::run::{PROGRAM, hold as lead};
use super::terminal::Terminal;
use crate::city::runtime;
use crate::failure::{Failure, OrFail};
use crate::world;

/// Where packages put the module of SoftHSM2.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];
const LABEL: &str = "limen-rehearsal";
/// Names the module to the process that holds the rehearsal; absent where there is none.
const MODULE: &str = "LIMEN_REHEARSAL_MODULE";

/// Makes the folder and the token, and holds the rehearsal in a process that sees them.
pub(super) fn begin(plan: &Path, json: bool) -> Result<ExitCode, Failure> {
    let attempt = "cannot begin the rehearsal";
    let tag = hex(&world::entropy::<6>()?);
    let folder = std::env::temp_dir().join(format!("limen-rehearsal-{tag}"));
    DirBuilder::new().mode(0o700).create(&folder).or_fail(attempt)?;
    let mut command = Command::new(std::env::current_exe().or_fail(attempt)?);
    command.args(["ceremony", "run", "--rehearse", "--rehearsal-folder"]).arg(&folder);
    command.args(json.then_some("--json")).arg("--").arg(plan).env_remove(MODULE);
    match make_token(&folder) {
        Ok(module) => {
            command.env(MODULE, module).env("SOFTHSM2_CONF", configuration(&folder));
        }
        Err(why) => Terminal::new().print(&format!(
            "NO TOKEN: {why}\nThe rehearsal goes on with a SEALED FILE in its place. Steps and transcript \
             are the same;\nwhat a token does is not rehearsed. On Debian: apt-get install softhsm2\n"
        )),
    }
    let status = command.status().or_fail(attempt)?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

fn configuration(folder: &Path) -> PathBuf {
    folder.join("softhsm2.conf")
}

/// A fresh token in `folder`; answers the module, or why there is none.
fn make_token(folder: &Path) -> Result<&'static str, String> {
    let module = MODULES.into_iter().find(|path| Path::new(path).exists());
    let module = module.ok_or("SoftHSM2 is not installed.")?;
    let io = |error: std::io::Error| format!("SoftHSM2 does not start ({error}).");
    let tokens = folder.join("tokens");
    DirBuilder::new().mode(0o700).create(&tokens).map_err(io)?;
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(configuration(folder), text).map_err(io)?;
    // They protect nothing: the token is thrown away, and its folder is the owner's alone.
    let pin = hex(&world::entropy::<8>().map_err(|error| error.to_string())?);
    fs::write(pin_file(folder), &pin).map_err(io)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(pin_file(folder), mode).map_err(io)?;
    let done = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", LABEL, "--so-pin", &pin, "--pin", &pin])
        .env("SOFTHSM2_CONF", configuration(folder))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match done {
        Ok(status) if status.success() => Ok(module),
        Ok(_) => Err(String::from("`softhsm2-util` made no token.")),
        Err(error) => Err(format!("`softhsm2-util` does not start ({error}).")),
    }
}

fn pin_file(folder: &Path) -> PathBuf {
    folder.join("pin")
}

/// Holds the rehearsal in `folder`; answers what was verified, and where the transcript lies.
pub(super) fn hold(text: &str, folder: &Path) -> Result<(Verified, PathBuf), Failure> {
    let attempt = "cannot hold the rehearsal";
    let mut plan = Plan::parse(text, Path::new("")).or_fail(attempt)?;
    // Whatever the plan names, nothing outside of the folder is read or written.
    plan.move_paths(&mut |path| *path = folder.join("files").join(inside(path)));
    let root: Box<dyn RootSeat> = match std::env::var_os(MODULE) {
        Some(module) => {
            let settings = Settings { module: module.into(), label: LABEL.to_owned() };
            let pin = PinSource::File(pin_file(folder)).read(LABEL).or_fail(attempt)?;
            let officer = pin.clone();
            Box::new(Token::open_with_officer(&settings, pin, officer).or_fail(attempt)?)
        }
        None => Box::new(sealed_root(folder, "root")?),
    };
    // Places that the plan names are not those of a rehearsal.
    plan.root = Place::File(SealedFile { path: folder.join("root.keys"), key_file: None });
    let old_root = match plan.kind {
        Kind::Create => None,
        Kind::Renew => Some(old_root(&plan, folder)?),
    };
    let setting = Setting {
        plan: &plan,
        plan_text: text,
        rehearsal: true,
        program: PROGRAM,
        root: &*root,
        old_root: old_root.as_ref().map(|store| store as _),
    };
    let verified = lead(&setting, &mut Rehearsal(Terminal::new()))?;
    Ok((verified, plan.transcript))
}

/// The path without what would lead out of a folder.
fn inside(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

fn sealed_root(folder: &Path, name: &str) -> Result<Keystore, Failure> {
    let attempt = "cannot make the root of the rehearsal";
    let key = folder.join(format!("{name}.key"));
    Unlock::create_key_file(&key).or_fail(attempt)?;
    let path = folder.join(format!("{name}.keys"));
    let unlock = Unlock::key_file(&key, &path).or_fail(attempt)?;
    Keystore::create(&path, seal::Kind::Root, &unlock).or_fail(attempt)
}

/// An old root to be renewed, made for the occasion.
fn old_root(plan: &Plan, folder: &Path) -> Result<Keystore, Failure> {
    let attempt = "cannot make the old root of the rehearsal";
    let store = sealed_root(folder, "old-root")?;
    let now = world::now();
    let make = async {
        let request = NewKey::active(Purpose::CityRoot, None, now);
        let key = store.generate(request).await.or_fail(attempt)?;
        let der = certify_root(&store, &key, &plan.city, plan.life, now).await.or_fail(attempt)?;
        store.attach_certificate(&key.handle, &der).await.or_fail(attempt)
    };
    runtime()?.block_on(make)?;
    Ok(store)
}

/// The room of a rehearsal: the program answers for everybody, and says so.
struct Rehearsal(Terminal);

impl Room for Rehearsal {
    fn now(&mut self) -> Instant {
        world::now()
    }

    fn confirm(&mut self, screen: &Screen) -> Result<(), Left> {
        self.0.print(&format!("{}\n{screen}", "-".repeat(72)));
        for name in &screen.present {
            self.0.print(&format!("(rehearsal: the program confirms for {name})"));
        }
        Ok(())
    }

    fn tell(&mut self, text: &str) {
        self.0.print(&format!("\n{text}\n"));
    }

    fn show_share(&mut self, custodian: &Custodian, share: &Share) -> Result<(), Left> {
        self.0.print(&format!(
            "\nShare {} of {}:\n\n{}\n\n(rehearsal: this share is of no use; a real one is cleared away)\n",
            share.index(),
            custodian.name,
            *share.danger_text()
        ));
        Ok(())
    }

    fn passphrase(&mut self, whose: &str, _: bool) -> Result<Zeroizing<String>, Left> {
        self.0.print(&format!("(rehearsal: the program types a passphrase for {whose})"));
        Ok(Zeroizing::new(String::from("rehearsal passphrase")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_a_plan_leads_out_of_the_folder() {
        for (path, expected) in
            [("/etc/x", "etc/x"), ("../../x", "x"), ("a/../b", "a/b"), ("./a", "a"), ("..", "")]
        {
            assert_eq!(inside(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
