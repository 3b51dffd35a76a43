//! `cargo xtask bench scale`: how the system grows with the number of hosts, and with the number of orders that there are.
//!
//! - [`hosts`]: 1, 2, 4, … hosts, each with a share of a processor.
//! - [`growth`]: one host over stores that have 10^4, 10^5, … orders already, on either database ([`stand`]).
//! - [`processor`]: what processes have used.
//! - [`plot`], [`document`]: what is drawn, and where it is written.

mod document;
mod growth;
mod hosts;
mod plot;
mod processor;
mod stand;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use xtask::bench::{Scale, ScalePart};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    scale: Scale,
}

fn main() -> ExitCode {
    match bench(&Arguments::parse().scale) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints and writes; says whether it grows as it should.
fn bench(scale: &Scale) -> Result<bool> {
    let mut good = true;
    if scale.only != Some(ScalePart::Orders) {
        let rows = hosts::measure(scale)?;
        let table = hosts::table(&rows, scale.share);
        println!("\n{table}");
        good &= hosts::is_good(&rows);
        if !scale.no_write {
            plot::hosts(&document::folder().join("performance-hosts.svg"), &rows)?;
            document::write(
                "hosts",
                &format!("![orders per second, by hosts](performance-hosts.svg)\n\n{table}"),
            )?;
        }
    }
    if scale.only != Some(ScalePart::Hosts) {
        let columns = growth::measure(scale)?;
        let table = growth::table(&columns);
        println!("\n{table}");
        good &= growth::is_good(&columns);
        if !scale.no_write {
            plot::growth(&document::folder().join("performance-orders.svg"), &columns)?;
            document::write(
                "orders",
                &format!("![milliseconds, by orders](performance-orders.svg)\n\n{table}"),
            )?;
        }
    }
    Ok(good)
}
