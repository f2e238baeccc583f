//! What every command that talks to a server takes: which server, in whose name, and whether the
//! answer is for people or for programs.
//!
//! A server is found by the command line, then by the environment, then by the profile that
//! `limen login` wrote. The token of a profile goes to the server of that profile alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::client::{Client, Connection};
use crate::failure::{Failure, OrFail};
use crate::output;
use crate::profile::{self, Profile};
use crate::table::Shown;

/// Where to ask and how to answer.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Server")]
pub(crate) struct Call {
    /// The base of the server's URLs; else that of the profile.
    #[arg(long, value_name = "URL", env = "LIMEN_SERVER")]
    pub(crate) server: Option<String>,
    /// The access token; better in the environment or in a profile, where others cannot see it.
    #[arg(long, value_name = "TOKEN", env = "LIMEN_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// A PEM file of the only roots to trust.
    #[arg(long, value_name = "FILE", env = "LIMEN_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// The profile to use.
    #[arg(long, value_name = "NAME", env = "LIMEN_PROFILE", default_value = profile::DEFAULT)]
    pub(crate) profile: String,
    /// Answer as JSON.
    #[arg(long, help_heading = "Options")]
    pub(crate) json: bool,
}

impl Call {
    /// A client for the server that is meant.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::new(self.connection(profile::load(&self.profile)?)?)
    }

    fn connection(&self, profile: Option<Profile>) -> Result<Connection, Failure> {
        let given = self.server.clone();
        let profile = profile.filter(|profile| {
            given.as_ref().is_none_or(|server| profile::is_same(server, &profile.server))
        });
        let known = profile.as_ref().map(|profile| profile.server.clone());
        let server = given.or(known).ok_or_else(|| {
            Failure::usage("no server is known")
                .hint("give --server URL or LIMEN_SERVER, or sign in with `limen login`")
        })?;
        let (token, ca) = profile.map(|p| (Some(p.token), p.ca)).unwrap_or_default();
        Ok(Connection { server, token: self.token.clone().or(token), ca: self.ca.clone().or(ca) })
    }

    /// Prints one thing and, for people, what they may want to do next.
    pub(crate) fn show<T: Shown>(&self, thing: &T, next: &[String]) -> Result<ExitCode, Failure> {
        if self.json {
            return self.value(thing);
        }
        let mut text = thing.tree().to_text();
        if !next.is_empty() {
            text.push_str("\nNext:\n");
            next.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
        output::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Prints anything as JSON.
    pub(crate) fn value(&self, thing: &impl Serialize) -> Result<ExitCode, Failure> {
        output::json(&serde_json::to_value(thing).or_fail("cannot write JSON")?)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            server: "https://city.example".into(),
            token: "of-profile".into(),
            ca: Some("root.pem".into()),
        }
    }

    fn check(call: (Option<&str>, Option<&str>), expected: (&str, Option<&str>, Option<&str>)) {
        let (server, token) = (call.0.map(Into::into), call.1.map(Into::into));
        let call = Call { server, token, ..Call::default() };
        let found = call.connection(Some(profile())).unwrap();
        let ca = found.ca.as_ref().and_then(|path| path.to_str());
        assert_eq!((found.server.as_str(), found.token.as_deref(), ca), expected);
    }

    #[test]
    fn the_token_of_a_profile_goes_to_its_server_alone() {
        let root = Some("root.pem");
        check((None, None), ("https://city.example", Some("of-profile"), root));
        check((None, Some("mine")), ("https://city.example", Some("mine"), root));
        check(
            (Some("https://city.example/"), None),
            ("https://city.example/", Some("of-profile"), root),
        );
        check((Some("https://evil.example"), None), ("https://evil.example", None, None));
        check(
            (Some("https://city.example.evil"), Some("mine")),
            ("https://city.example.evil", Some("mine"), None),
        );
    }

    #[test]
    fn without_a_server_the_ways_to_name_one_are_told() {
        let failure = Call::default().connection(None).err().unwrap();
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("LIMEN_SERVER"), "{failure}");
    }
}
