//! How many `error` replies a peer may bring on itself (PROTOCOL.md §10).

use dscore_proto::close::CloseCode;
use dscore_traffic::close::CloseFrame;

use super::identity::Identity;
use crate::context::Context;

/// A minute, in which `max_errors` refusals are too many.
const WINDOW_MS: u64 = 60_000;

impl Identity {
    /// So many more `error` replies are not the peer's fault.
    pub(crate) fn forgive(&mut self, errors: usize) {
        let errors = u8::try_from(errors).unwrap_or(u8::MAX);
        self.forgiven = self.forgiven.saturating_add(errors);
    }

    /// Counts one `error` reply.
    ///
    /// # Errors
    /// The close frame: it was the last one allowed.
    pub(crate) fn count_error(&mut self, cx: &mut Context) -> Result<(), CloseFrame> {
        cx.stats.errors_total += 1;
        if self.forgiven > 0 {
            self.forgiven -= 1;
            return Ok(());
        }
        if cx.now_ms.saturating_sub(self.errors_since) >= WINDOW_MS {
            self.errors_since = cx.now_ms;
            self.errors = 0;
        }
        self.errors = self.errors.saturating_add(1);
        if self.errors < cx.settings.max_errors {
            return Ok(());
        }
        cx.stats.too_many_errors_total += 1;
        Err(CloseFrame::new(
            CloseCode::POLICY,
            "too many errors",
            "protocol_error",
        ))
    }
}
