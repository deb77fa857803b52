//! A request body on its way to the program's app: see [`super::upload`] for what becomes of it.

use dscore_proto::http::BodyReader;

/// Bytes of a body that wait for the app before the socket is left unread; one read more may come.
pub(super) const MAX_PART: usize = 64 * 1024;

/// Milliseconds that each byte is worth to its client: who keeps to 500 bytes a second is never late, however long it all takes.
const MS_PER_BYTE: u64 = 2;

/// The body of the request at hand, as far as the app does not have it.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) reader: BodyReader,
    /// What has come since the app was last given something.
    pub(super) part: Vec<u8>,
    /// The app waits for the next part.
    pub(super) is_asked: bool,
    /// The client waits for 100 (Continue), which it gets when the app asks.
    pub(super) expects_continue: bool,
    /// How long the client may still be waited for, by the clock of `since_ms`.
    patience_ms: u64,
    /// Since when it is waited for, if it is.
    since_ms: Option<u64>,
}

impl Upload {
    /// `patience_ms` is how long its client may be waited for before anything comes.
    pub(super) fn new(reader: BodyReader, expects_continue: bool, patience_ms: u64) -> Self {
        Self {
            reader,
            part: Vec::new(),
            is_asked: false,
            expects_continue,
            patience_ms,
            since_ms: None,
        }
    }

    /// Bytes of the client's have come: they are worth time, of which it never has more than `most_ms` before it.
    pub(super) fn earn(&mut self, bytes: usize, most_ms: u64, now_ms: u64) {
        self.spend(now_ms);
        let earned = (bytes as u64).saturating_mul(MS_PER_BYTE);
        self.patience_ms = self.patience_ms.saturating_add(earned).min(most_ms);
    }

    /// The client's time runs from here on, or stands still; returns when it will be late.
    pub(super) fn run(&mut self, is_waited_for: bool, now_ms: u64) -> Option<u64> {
        self.spend(now_ms);
        self.since_ms = is_waited_for.then_some(now_ms);
        is_waited_for.then(|| now_ms.saturating_add(self.patience_ms))
    }

    fn spend(&mut self, now_ms: u64) {
        if let Some(since_ms) = &mut self.since_ms {
            let waited = now_ms.saturating_sub(std::mem::replace(since_ms, now_ms));
            self.patience_ms = self.patience_ms.saturating_sub(waited);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.part.len() >= MAX_PART
    }

    pub(super) fn held(&self) -> usize {
        self.part.capacity()
    }
}
