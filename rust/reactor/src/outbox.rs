//! The bytes that wait until a peer's socket takes them.
//!
//! A chunk is one whole frame or several. That is what lets a slow consumer be told why it is
//! closed: all chunks but the one on its way are dropped, and a close frame still follows on the
//! border of a frame. A broadcast is the same chunk in every outbox; small replies share a chunk.
//!
//! The outbox does not decide what too much is: it says how much there is to send and what that costs in memory, and its
//! owner compares. The two differ: a chunk stays whole until its last byte is sent, and one that many outboxes hold is
//! there once.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Small chunks share one up to this size, so that thousands of short replies are not thousands of
/// chunks. A page: it costs little to keep, and less than a system call to copy.
const SHARED_CHUNK: usize = 4096;

/// What a chunk costs beside its bytes.
const CHUNK_COST: usize = 64;

/// A queue of bytes, in chunks that end on the border of a frame.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// How much of the front chunk was sent. Less than its length; 0 if there is none.
    sent: usize,
    /// What is left to send: the sum of all chunks less `sent`.
    bytes: usize,
    /// The sum of what all chunks cost.
    cost: usize,
}

#[derive(Debug)]
enum Chunk {
    /// With this outbox's part of what it costs.
    Shared(Arc<[u8]>, usize),
    Owned(Vec<u8>),
}

impl Outbox {
    /// An empty outbox, which holds no memory outside itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues frames that other outboxes queue as well.
    ///
    /// If some of the bytes were sent already, past the empty outbox, queue them all the same and
    /// consume them: the rest of a frame must not pass for a whole one. So with [`Self::push_slice`].
    pub fn push_shared(&mut self, frames: Arc<[u8]>) {
        // Others of the same message that wait elsewhere pay for it too. Each pays by what it found: n of them pay for
        // it ln n times together, never less than once.
        let payers = Arc::strong_count(&frames).saturating_sub(1).max(1);
        let part = frames.len().div_ceil(payers);
        self.push(Chunk::Shared(frames, part));
    }

    /// Queues frames that are this peer's own, and lie in a buffer which will be used again.
    pub fn push_slice(&mut self, frames: &[u8]) {
        match self.last_with_room(frames.len()) {
            Some(last) => {
                let before = last.capacity();
                last.extend_from_slice(frames);
                let grown = last.capacity() - before;
                self.bytes += frames.len();
                self.cost += grown;
            }
            None => self.push(Chunk::Owned(frames.to_vec())),
        }
    }

    /// How many bytes are left to send.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that what is left to send costs.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// True if there is nothing left to send.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Points the first of `slices` at what is to be sent next, for one gathering send. Returns how
    /// many it pointed.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.sent;
        let filled = slices.iter_mut().zip(&self.chunks).map(|(slice, chunk)| {
            *slice = IoSlice::new(&chunk.bytes()[skip..]);
            skip = 0;
        });
        filled.count()
    }

    /// Forgets the first `n` bytes, because they were sent.
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.bytes, "consumed more than was queued");
        self.bytes -= n;
        self.sent += n;
        while let Some(front) = self.chunks.front()
            && front.bytes().len() <= self.sent
        {
            self.sent -= front.bytes().len();
            self.cost -= front.cost();
            self.chunks.pop_front();
        }
    }

    /// Drops what need not be sent before a close frame: all but the rest of the chunks that are partly
    /// sent, or whose next `begun` bytes are on their way, since the peer must get a frame it got the start of.
    pub fn drop_all_but_begun(&mut self, begun: usize) {
        let (mut kept, mut bytes, mut cost) = (0, 0, 0);
        for chunk in &self.chunks {
            if bytes >= self.sent + begun {
                break;
            }
            kept += 1;
            bytes += chunk.bytes().len();
            cost += chunk.cost();
        }
        self.chunks.truncate(kept);
        self.bytes = bytes.saturating_sub(self.sent);
        self.cost = cost;
        self.chunks.shrink_to(1);
    }

    fn push(&mut self, chunk: Chunk) {
        let length = chunk.bytes().len();
        if length > 0 {
            self.cost += chunk.cost();
            self.chunks.push_back(chunk);
            self.bytes += length;
        }
    }

    /// The last chunk, if it may take `n` more bytes. The part of it that was sent stays in it; the
    /// bound on its length keeps that small.
    fn last_with_room(&mut self, n: usize) -> Option<&mut Vec<u8>> {
        match self.chunks.back_mut() {
            Some(Chunk::Owned(last)) if last.len() + n <= SHARED_CHUNK => Some(last),
            _ => None,
        }
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(frames, _) => frames,
            Self::Owned(frames) => frames,
        }
    }

    fn cost(&self) -> usize {
        CHUNK_COST
            + match self {
                Self::Shared(_, part) => *part,
                Self::Owned(frames) => frames.capacity(),
            }
    }
}
