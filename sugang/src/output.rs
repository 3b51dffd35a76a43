//! Printing. Whoever reads may go away in the middle (`sugang check --json | head`), and a disk under a log may be full.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Prints what was asked for. A reader that has gone away has read enough; that it cannot be written elsewhere is an error.
pub(crate) fn print(text: &str) -> Result<()> {
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot print the answer"),
        _ => Ok(()),
    }
}

/// Prints what nobody has to read.
pub(crate) fn mention(text: &str) {
    drop(print(text));
}

/// Tells of a failure, or of what goes on, on standard error; if that cannot be written there is nobody to tell.
pub(crate) fn tell(text: &str) {
    let mut errors = io::stderr().lock();
    drop(errors.write_all(text.as_bytes()).and_then(|()| errors.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_away_is_no_failure_and_a_full_disk_is() {
        print_to(&mut Fails(ErrorKind::BrokenPipe), "text").unwrap();
        let failure = format!("{:#}", print_to(&mut Fails(ErrorKind::StorageFull), "text").unwrap_err());
        assert!(failure.contains("cannot print"), "{failure}");
    }
}
