//! `cargo xtask drill`: what must be possible while the system is in use, done and printed.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sugang_tests::Shape;
use sugang_tests::drill::{liveness, print, rollout};
use xtask::drill::{Liveness, Rollout};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    Rollout(Rollout),
    Liveness(Liveness),
}

/// What is told of a siege, and what the seed's README has of it: of the siege of one user while a new version was rolled
/// out the availability alone, in words ("배포중 서비스 중단이 발생하여 Availability가 99% 임을 확인"); of many users, without a
/// rollout, its table.
const SEED: [(&str, &str, &str); 11] = [
    ("Transactions", "-", "110 hits"),
    ("Availability", "99 %", "86.61 %"),
    ("Elapsed time", "-", "59.78 secs"),
    ("Data transferred", "-", "0.03 MB"),
    ("Response time", "-", "27.41 secs"),
    ("Transaction rate", "-", "1.84 trans/sec"),
    ("Concurrency", "-", "50.43"),
    ("Successful transactions", "-", "110"),
    ("Failed transactions", "-", "17"),
    ("Longest transaction", "-", "35.62"),
    ("Shortest transaction", "-", "1.02"),
];

fn main() -> ExitCode {
    let done = match Arguments::parse().which {
        Which::Rollout(options) => roll(&options),
        Which::Liveness(options) => freeze(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn roll(options: &Rollout) -> Result<bool> {
    println!("one user for {} s, while two hosts are replaced", options.seconds);
    let one = rollout::roll(Shape::of, 1, options.seconds)?;
    println!("{} users for {} s, while two hosts are replaced", options.users, options.seconds);
    let many = rollout::roll(Shape::of, options.users, options.seconds)?;
    let users = format!("{} users", options.users);
    println!("\n{:<26}{:>16}{:>16}{:>20}{:>16}", "", "the seed, 1", "here, 1", "the seed, 70", users);
    for (name, seed_one, seed_many) in SEED {
        let (here, there) = (one.besieged.figure(name), many.besieged.figure(name));
        println!("{name:<26}{seed_one:>16}{here:>16}{seed_many:>20}{there:>16}");
    }
    println!(
        "\n(The seed's 99 % is with a rollout and without readiness; its 70 users are without a rollout.)"
    );
    let kept = [("one user", &one), (users.as_str(), &many)].map(|(users, rolled)| {
        println!("\n{users}: hosts replaced in {:.1?}", rolled.took);
        print(&rolled.demands())
    });
    Ok(kept == [true, true])
}

fn freeze(options: &Liveness) -> Result<bool> {
    println!("two hosts, of which one stands still, {} times", options.times);
    let revived = liveness::freeze(Shape::of, options.times)?;
    for (time, stood) in revived.stood.iter().enumerate() {
        println!(
            "\n{}: SIGSTOP at 0 s; started anew after {:.1?}; ready after {:.1?}; {} orders taken meanwhile",
            time + 1,
            stood.started_after,
            stood.ready_after,
            stood.taken_meanwhile
        );
    }
    Ok(print(&revived.demands()))
}
