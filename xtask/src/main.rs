//! `cargo xtask <command>`: the command line alone; each command is a module of the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, browser, build, chaos, doctor, drill, image, setup, test, up};

/// Sugang's developer commands.
///
/// In a fresh clone, `cargo xtask up` is all it takes: it installs what is missing where it may,
/// builds, starts the whole system and says where everything is.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Setup),
    Build(build::Build),
    Up(up::Up),
    Test(test::Test),
    Bench(bench::Bench),
    Chaos(chaos::Chaos),
    Drill(drill::Drill),
    Doctor(doctor::Doctor),
    Image(image::Image),
    Screenshots(browser::Screenshots),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Setup(command) => command.run(),
        Command::Build(command) => command.run(),
        Command::Up(command) => command.run(),
        Command::Test(command) => return command.run(),
        Command::Bench(command) => command.run(),
        Command::Chaos(command) => command.run(),
        Command::Drill(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Image(command) => command.run(),
        Command::Screenshots(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
