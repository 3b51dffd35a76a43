//! The command line: what `cargo xtask` takes. Each command is a module of the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, browser, build, chaos, doctor, drill, image, setup, test, up};

/// Sugang's developer commands.
///
/// In a fresh clone, `cargo xtask up` is all it takes: it installs what is missing where it may,
/// builds, starts the whole system and says where everything is.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Arguments {
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

impl Arguments {
    /// Reads the words that follow `cargo xtask`.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in the words that whoever types them would see.
    pub fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let words = std::iter::once("cargo xtask").chain(words);
        Self::try_parse_from(words).map_err(|error| error.to_string())
    }

    /// Does what was asked for; a failure is said on standard error.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
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
}
