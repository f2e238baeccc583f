//! The one command of Limen.

fn main() {}
