//! What components print: each line goes to the host's standard error, with the component's id, and to the telemetry.

use std::{
    io::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::telemetry::{self, Traces};

/// Longer lines are printed in pieces, so that a component cannot fill the host's memory.
const MAX_LINE: usize = 16 << 10;

/// Where the output of one component goes.
#[derive(Clone)]
pub(crate) struct Output {
    component: Arc<str>,
    quiet: bool,
    traces: Traces,
}

impl Output {
    /// The output of `component`, which is thrown away if `quiet`.
    pub(crate) fn new(component: &str, quiet: bool) -> Self {
        Self { component: component.into(), quiet, traces: Traces::default() }
    }

    /// The output of an instance that is in these traces.
    pub(crate) fn in_trace(&self, traces: &Traces) -> Self {
        Self { traces: traces.clone(), ..self.clone() }
    }

    fn print(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let is_telemetry = telemetry::component_printed(&self.component, text.trim_end(), &self.traces);
        if self.quiet || is_telemetry {
            return;
        }
        // There is nobody to tell when standard error is closed.
        drop(writeln!(std::io::stderr().lock(), "[{}] {}", self.component, text.trim_end()));
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines { output: self.clone(), unfinished: Vec::new() })
    }
}

/// Gathers bytes until a line is whole.
struct Lines {
    output: Output,
    unfinished: Vec<u8>,
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.unfinished.len() >= MAX_LINE {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        if !self.unfinished.is_empty() {
            self.output.print(&self.unfinished);
            self.unfinished.clear();
        }
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.finish();
    }
}
