//! `image`: the application as one OCI image, in Spin's own layout, for a registry or as a folder.
//!
//! The host makes it, since it also reads it back; here everything is built first.

use std::{path::PathBuf, process::Command};

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{build, workspace};

/// Build everything, and make one image of the application.
///
/// Spin 4.1 (`spin up -f`), SpinKube and `sugang up -f` run it. The same sources, built by the same compiler, give the same
/// digest.
#[derive(Args)]
pub struct Image {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Push it to a registry, and print what to pull it by
    Push {
        /// Where to: REGISTRY/NAME:TAG
        reference: String,
        /// Speak to the registry without TLS
        #[arg(short = 'k', long)]
        insecure: bool,
    },
    /// Write it into a new folder, as the OCI image layout has it, and print its digest
    Save {
        /// The folder to make; it must not exist yet
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

impl Image {
    /// Builds, and pushes or saves.
    pub fn run(&self) -> Result<()> {
        build::everything()?;
        workspace::run(&mut self.command())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(workspace::host_binary());
        command.arg("image");
        match &self.what {
            What::Push { reference, insecure } => {
                command.args(["push", reference]).args(insecure.then_some("--insecure"));
            }
            What::Save { folder } => {
                command.arg("save").arg(folder);
            }
        }
        command.arg("--from").arg(workspace::manifest());
        command
    }
}
