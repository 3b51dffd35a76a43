//! `sugang image push` and `sugang image save`.

use anyhow::Result;
use sugang_host::image::{Image, Registry};

use crate::cli;
use crate::output::print;

#[tokio::main]
pub(crate) async fn image(what: &cli::Image) -> Result<()> {
    match what {
        cli::Image::Push { reference, from, insecure } => {
            let pushed = Registry::open(reference, *insecure)?.push(&Image::make(from)?).await?;
            print(&format!("{pushed}\n"))
        }
        cli::Image::Save { folder, from } => {
            let image = Image::make(from)?;
            image.save(folder)?;
            print(&format!("{}\n", image.digest()))
        }
    }
}
