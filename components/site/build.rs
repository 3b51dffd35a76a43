//! Makes Rust of what is not Rust: the message files become functions, and the assets bytes that are compressed already.

#[path = "build/assets.rs"]
mod assets;
#[path = "build/messages.rs"]
mod messages;

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for folder in ["assets", "messages", "build"] {
        println!("cargo::rerun-if-changed={}", here.join(folder).display());
    }
    std::fs::write(out.join("messages.rs"), messages::generate(&here.join("messages"))?)?;
    std::fs::write(out.join("assets.rs"), assets::generate(&here.join("assets"), &out)?)?;
    Ok(())
}
