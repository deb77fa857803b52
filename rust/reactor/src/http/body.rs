//! A request body on its way to the program's app: see [`super::upload`] for what becomes of it.

use dscore_proto::http::BodyReader;

/// Bytes of a body that wait for the app before the socket is left unread; one read more may come.
pub(super) const MAX_PART: usize = 64 * 1024;

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
}

impl Upload {
    pub(super) fn new(reader: BodyReader, expects_continue: bool) -> Self {
        Self {
            reader,
            part: Vec::new(),
            is_asked: false,
            expects_continue,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.part.len() >= MAX_PART
    }

    pub(super) fn held(&self) -> usize {
        self.part.capacity()
    }
}
