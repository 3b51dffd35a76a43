//! What browsers load beside a page: each file as it is and compressed twice, under a name that has its content's hash in
//! it, so that it may be kept for ever.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How hard brotli tries; it is done once, here.
const BROTLI: (u32, u32) = (11, 22);

/// The files of a folder with this ending, by name.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// One stylesheet of all of them, in the order of their names, without comments and the space that stands for nothing.
fn stylesheet(folder: &Path) -> Result<String, Box<dyn Error>> {
    let mut whole = String::new();
    for file in files(folder, "css")? {
        whole.push_str(&fs::read_to_string(file)?);
    }
    let mut bare = String::with_capacity(whole.len());
    let mut rest = whole.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        bare.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    bare.push_str(rest);
    Ok(lines(&bare))
}

/// Without empty lines and without what lines begin with.
fn lines(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.fold(String::with_capacity(text.len()), |all, line| all + line + "\n")
}

/// FNV-1a: names differ where contents do; nothing here is a secret.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Rust that lists them all, beside files with their bytes in `out`.
pub(crate) fn generate(folder: &Path, out: &Path) -> Result<String, Box<dyn Error>> {
    let mut assets = vec![("site", "css", "text/css; charset=utf-8", stylesheet(&folder.join("css"))?)];
    let mut named = Vec::new();
    for (ending, kind) in [("js", "text/javascript; charset=utf-8"), ("svg", "image/svg+xml")] {
        for file in files(&folder.join(ending), ending)? {
            let name = file.file_stem().and_then(|name| name.to_str()).ok_or("a file without a name")?;
            named.push((name.to_owned(), ending, kind, lines(&fs::read_to_string(&file)?)));
        }
    }
    assets
        .extend(named.iter().map(|(name, ending, kind, text)| (name.as_str(), *ending, *kind, text.clone())));

    let mut code = String::new();
    let mut all = String::new();
    for (name, ending, kind, text) in assets {
        let path = format!("{name}.{:016x}.{ending}", hash(text.as_bytes()));
        let constant = format!("{name}_{ending}").to_uppercase().replace('-', "_");
        let file = |coding: &str| format!("{name}.{ending}.{coding}");
        fs::write(out.join(file("plain")), &text)?;
        fs::write(out.join(file("gzip")), gzip(text.as_bytes())?)?;
        fs::write(out.join(file("br")), brotli(text.as_bytes())?)?;
        writeln!(code, "/// `{name}.{ending}`.\npub(crate) const {constant}: &str = \"/assets/{path}\";")?;
        let bytes = |coding| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{}\"))", file(coding));
        writeln!(
            all,
            "    Asset {{ path: {constant}, kind: {kind:?}, plain: {}, gzip: {}, br: {} }},",
            bytes("plain"),
            bytes("gzip"),
            bytes("br")
        )?;
    }
    writeln!(code, "/// All of them.\npub(crate) const ALL: &[Asset] = &[\n{all}];")?;
    Ok(code)
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn brotli(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut compressed, 4096, BROTLI.0, BROTLI.1);
    encoder.write_all(bytes)?;
    encoder.flush()?;
    drop(encoder);
    Ok(compressed)
}
