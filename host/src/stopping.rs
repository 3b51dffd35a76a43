//! The two steps in which a host stops.

use tokio_util::sync::CancellationToken;

/// Both steps, each a token that is canceled when it is taken.
#[derive(Clone, Debug)]
pub struct Stopping {
    /// The host is not ready for more, and takes no more Redis messages; requests are still answered.
    pub leaving: CancellationToken,
    /// Nothing more is taken on; what is in flight is finished.
    pub stop: CancellationToken,
}

impl Default for Stopping {
    fn default() -> Self {
        let stop = CancellationToken::new();
        Self { leaving: stop.child_token(), stop }
    }
}
