//! Trust anchors from the command line: PEM files, folders of them, public JWKs.

use std::path::{Path, PathBuf};

use credential::jose::{json, jwk};
use credential::x509::{TrustAnchors, pem};

use crate::failure::Failure;
use crate::input;

/// Reads every anchor that the paths name.
pub(crate) fn load(paths: &[PathBuf]) -> Result<TrustAnchors, Failure> {
    let mut anchors = TrustAnchors::new();
    for path in paths {
        if path.is_dir() {
            add_folder(&mut anchors, path)?;
        } else {
            add_file(&mut anchors, path)?;
        }
    }
    Ok(anchors)
}

fn add_folder(anchors: &mut TrustAnchors, folder: &Path) -> Result<(), Failure> {
    let unreadable =
        |error| Failure::usage(format!("cannot read folder `{}`: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    let is_anchor = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|e| ["pem", "crt", "cer", "jwk", "json"].contains(&e))
    };
    files.retain(is_anchor);
    files.sort();
    if files.is_empty() {
        let message = format!("no trust anchor in folder `{}`", folder.display());
        return Err(
            Failure::usage(message).hint("it holds no file .pem, .crt, .cer, .jwk or .json")
        );
    }
    files.iter().try_for_each(|file| add_file(anchors, file))
}

fn add_file(anchors: &mut TrustAnchors, path: &Path) -> Result<(), Failure> {
    let unusable = |why: String| {
        Failure::usage(format!("cannot use trust anchor `{}`: {why}", path.display()))
            .hint("expected certificates as PEM, one certificate as DER, or a public JWK")
    };
    let bytes = input::read(path)?;
    let Some(text) = std::str::from_utf8(&bytes).ok().map(str::trim) else {
        return anchors.add_certificate(&bytes).map_err(|error| unusable(error.to_string()));
    };
    if text.starts_with('{') {
        let value = json::parse(text.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        let key = jwk::parse(&value).map_err(|error| unusable(error.to_string()))?;
        return anchors.add_key(key).map_err(|error| unusable(error.to_string()));
    }
    let ders = pem::decode(text, pem::CERTIFICATE).map_err(|error| unusable(error.to_string()))?;
    if ders.is_empty() {
        return Err(unusable(String::from("it holds no certificate")));
    }
    for der in &ders {
        anchors.add_certificate(der).map_err(|error| unusable(error.to_string()))?;
    }
    Ok(())
}
