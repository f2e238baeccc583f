//! The words of the command line: a noun, then a verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Limen: who is this, what may they use, when and where.
///
/// A city issues passes to phones; its gates and doors read them, also offline.
#[derive(Parser)]
#[command(name = "limen", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Begin with `limen demo`, which shows the main job from end to end.\n\n\
    Exit status: 0 done, 1 failed, 2 wrong use, 3 a credential or a transcript was rejected.")]
pub(crate) struct Limen {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Subcommand)]
enum Noun {
    /// Show the main job from end to end: a pass is issued to a phone and opens an offline gate.
    Demo(crate::demo::Demo),
    /// Run an example city that stays: server, operator, products, one person.
    Up(crate::up::Up),
    /// Create a city, and certify its operators.
    #[command(subcommand)]
    City(crate::city::Command),
    /// Ceremonies of the root: hold or rehearse one, verify its transcript, restore the root.
    #[command(subcommand)]
    Ceremony(crate::ceremony::Command),
    /// Run the server of a city.
    Serve(crate::city::Serve),
    /// Remember a server and an access token.
    Login(crate::login::Login),
    /// Forget a server and its access token.
    Logout(crate::login::Logout),
    /// Administer the server: access tokens.
    #[command(subcommand)]
    Admin(crate::admin::Command),
    /// Operators, who are also the tenants.
    #[command(subcommand)]
    Operator(crate::operator::Command),
    /// Places: sites, floors, doors, gates.
    #[command(subcommand)]
    Place(crate::place::Command),
    /// Products, the templates of passes.
    #[command(subcommand)]
    Product(crate::product::Command),
    /// People who may hold passes.
    #[command(subcommand)]
    Person(crate::person::Command),
    /// Passes: issue, offer, suspend, revoke.
    #[command(subcommand)]
    Pass(crate::pass::Command),
    /// Status lists: fetch, inspect, look up.
    #[command(subcommand)]
    Status(crate::status::Command),
    /// The audit log: fetch, verify offline, read.
    #[command(subcommand)]
    Log(crate::log::Command),
    /// Let a fleet of readers live on virtual time: what a rotation of all keys does to it.
    Simulate(crate::simulate::Simulate),
    /// The configuration of a server.
    #[command(subcommand)]
    Config(crate::config::Command),
    /// Print a script that completes commands in a shell.
    Completions(crate::manual::Completions),
    /// Write manual pages.
    Man(crate::manual::Man),
    /// The keys of a city, and the service that holds them.
    #[command(subcommand)]
    Key(crate::key::Command),
    /// Keys in cards: the one process that writes them.
    #[command(subcommand)]
    Card(crate::card::Command),
    /// Look at credentials and verify them, offline, on files.
    #[command(subcommand)]
    Credential(crate::credential::Command),
    /// Be a reader at a gate or a door, and look after readers.
    #[command(subcommand)]
    Reader(crate::reader::Command),
    /// Be a resident's phone.
    #[command(subcommand)]
    Wallet(crate::wallet::Command),
    /// Taps: what each profile costs, and what doors ask of them.
    #[command(subcommand)]
    Tap(crate::tap::Command),
}

impl Limen {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self.noun {
            Noun::Demo(demo) => demo.run(),
            Noun::Up(up) => up.run(),
            Noun::City(command) => command.run(),
            Noun::Ceremony(command) => command.run(),
            Noun::Serve(serve) => serve.run(),
            Noun::Login(login) => login.run(),
            Noun::Logout(logout) => logout.run(),
            Noun::Admin(command) => command.run(),
            Noun::Operator(command) => command.run(),
            Noun::Place(command) => command.run(),
            Noun::Product(command) => command.run(),
            Noun::Person(command) => command.run(),
            Noun::Pass(command) => command.run(),
            Noun::Status(command) => command.run(),
            Noun::Log(command) => command.run(),
            Noun::Simulate(simulate) => simulate.run(),
            Noun::Config(command) => command.run(),
            Noun::Completions(completions) => completions.run(),
            Noun::Man(man) => man.run(),
            Noun::Key(command) => command.run(),
            Noun::Card(command) => command.run(),
            Noun::Credential(command) => command.run(),
            Noun::Reader(command) => command.run(),
            Noun::Wallet(command) => command.run(),
            Noun::Tap(command) => command.run(),
        }
    }
}
