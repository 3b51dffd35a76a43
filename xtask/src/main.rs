//! `cargo xtask <command>`; everything is in the library.

use std::process::ExitCode;

use clap::Parser;
use xtask::arguments::Arguments;

fn main() -> ExitCode {
    Arguments::parse().run()
}
