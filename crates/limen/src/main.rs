//! The one command of Limen. It holds no logic of its own: it is the face of the other crates.
#![forbid(unsafe_code)]

mod admin;
mod call;
mod card;
mod ceremony;
mod city;
mod cli;
mod client;
mod config;
mod credential;
mod demo;
mod example;
mod failure;
mod field;
mod hsm;
mod input;
mod key;
mod log;
mod login;
mod manual;
mod operator;
mod output;
mod pass;
mod person;
mod picture;
mod place;
mod product;
mod profile;
mod reader;
mod reader_admin;
mod simulate;
mod status;
mod table;
mod tap;
mod tree;
mod up;
mod wallet;
mod world;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let command = cli::Limen::parse();
    match command.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
