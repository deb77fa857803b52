//! The way out of one stream: straight to the kernel while it takes bytes, else through an outbox.

use std::io::IoSlice;
use std::sync::Arc;

use rustix::io::Errno;

use crate::context::Context;
use crate::outbox::Outbox;
use crate::stream::Stream;
use crate::sys::Sent;

/// Pieces given to the kernel with one call.
const MAX_PIECES: usize = 64;

/// How many waiting bytes are too many, and how few are few enough again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// More than this is too much: the peer is a slow consumer.
    pub(crate) high: usize,
    /// With this or less the peer has caught up. At most `high`.
    pub(crate) low: usize,
}

/// What became of bytes that were to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Sent, or waiting for room.
    Fine,
    /// Waiting, and more than the high mark allows.
    Over,
    /// The connection is broken.
    Broken(Errno),
}

/// What still waits for the socket; nothing (and no allocation) nearly always.
#[derive(Debug, Default)]
pub(crate) struct Output {
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    outbox: Outbox,
    /// When the socket last took some, or when bytes first had to wait.
    progress_ms: u64,
    /// Tell when no more bytes wait than this: more do.
    notify_at: Option<usize>,
}

impl Waiting {
    /// Whether it has caught up, and that is to be told: once.
    fn catch_up(&mut self) -> bool {
        let caught_up = self.notify_at.is_some_and(|at| self.outbox.bytes() <= at);
        if caught_up {
            self.notify_at = None;
        }
        caught_up
    }
}

impl Output {
    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.waiting
            .as_ref()
            .map_or(0, |waiting| waiting.outbox.bytes())
    }

    /// How much memory waits, and for how long the socket has not taken any of it: what one peer costs the others.
    pub(crate) fn burden(&self, now_ms: u64) -> u64 {
        self.waiting.as_ref().map_or(0, |waiting| {
            let stalled_ms = now_ms.saturating_sub(waiting.progress_ms) + 1;
            (waiting.outbox.cost() as u64).saturating_mul(stalled_ms)
        })
    }

    /// When the socket last took bytes while others waited, if any wait.
    pub(crate) fn progress_ms(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.progress_ms)
    }

    /// Sends frames that others get as well: what does not go at once waits without being copied.
    pub(crate) fn send_shared(
        &mut self,
        stream: Option<&mut Stream>,
        frames: &Arc<[u8]>,
        marks: Marks,
        cx: &mut Context,
    ) -> Sending {
        self.send_with(stream, frames, marks, cx, |outbox| {
            outbox.push_shared(frames.clone());
        })
    }

    /// Sends whole frames, or bytes of HTTP. Without a socket they wait until they are taken.
    pub(crate) fn send(
        &mut self,
        stream: Option<&mut Stream>,
        bytes: &[u8],
        marks: Marks,
        cx: &mut Context,
    ) -> Sending {
        self.send_with(stream, bytes, marks, cx, |outbox| outbox.push_slice(bytes))
    }

    fn send_with(
        &mut self,
        stream: Option<&mut Stream>,
        bytes: &[u8],
        marks: Marks,
        cx: &mut Context,
        push: impl FnOnce(&mut Outbox),
    ) -> Sending {
        let sent = match (&self.waiting, stream) {
            (Some(_), _) | (_, None) => 0,
            (None, Some(stream)) => match stream.send(bytes) {
                Sent::Bytes(sent) => sent,
                Sent::Broken(error) => return Sending::Broken(error),
            },
        };
        cx.stats.bytes_sent_total += sent as u64;
        if sent == bytes.len() {
            return Sending::Fine;
        }
        let now_ms = cx.now_ms;
        let waiting = self.waiting.get_or_insert_with(|| {
            Box::new(Waiting {
                outbox: Outbox::new(),
                progress_ms: now_ms,
                notify_at: None,
            })
        });
        let before = waiting.outbox.cost();
        push(&mut waiting.outbox);
        waiting.outbox.consume(sent);
        cx.stats.outbox_bytes += (bytes.len() - sent) as u64;
        count_cost(before, &waiting.outbox, cx);
        if waiting.outbox.bytes() > marks.high {
            Sending::Over
        } else {
            Sending::Fine
        }
    }

    /// Sends what waits, after the socket said that it has room. True when it has caught up and a notice was asked for.
    pub(crate) fn flush(&mut self, stream: &mut Stream, cx: &mut Context) -> Result<bool, Errno> {
        let Some(waiting) = &mut self.waiting else {
            return Ok(false);
        };
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let count = waiting.outbox.io_slices(&mut pieces);
        let sent = match stream.send_pieces(&mut pieces[..count]) {
            Sent::Bytes(sent) => sent,
            Sent::Broken(error) => return Err(error),
        };
        if sent > 0 {
            waiting.progress_ms = cx.now_ms;
        }
        cx.stats.bytes_sent_total += sent as u64;
        cx.stats.outbox_bytes -= sent as u64;
        let before = waiting.outbox.cost();
        waiting.outbox.consume(sent);
        count_cost(before, &waiting.outbox, cx);
        let caught_up = waiting.catch_up();
        if waiting.outbox.is_empty() {
            self.waiting = None;
        }
        Ok(caught_up)
    }

    /// Takes what waits in front, to send it some other way: as much of it as `fit` says of what it is shown, which is
    /// more and more until that is not all of it. True beside it when it has caught up and a notice was asked for.
    pub(crate) fn take(
        &mut self,
        fit: impl Fn(&[u8]) -> usize,
        cx: &mut Context,
    ) -> (Vec<u8>, bool) {
        let Some(waiting) = &mut self.waiting else {
            return (Vec::new(), false);
        };
        let mut bytes = Vec::new();
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let count = waiting.outbox.io_slices(&mut pieces);
        for piece in &pieces[..count] {
            bytes.extend_from_slice(piece);
            let fitting = fit(&bytes);
            if fitting < bytes.len() {
                bytes.truncate(fitting);
                break;
            }
        }
        let before = waiting.outbox.cost();
        waiting.outbox.consume(bytes.len());
        count_cost(before, &waiting.outbox, cx);
        waiting.progress_ms = cx.now_ms;
        cx.stats.outbox_bytes -= bytes.len() as u64;
        cx.stats.bytes_sent_total += bytes.len() as u64;
        let caught_up = waiting.catch_up();
        if waiting.outbox.is_empty() {
            self.waiting = None;
        }
        (bytes, caught_up)
    }

    /// Wants to know when no more bytes wait than `at`. False if it is so already.
    pub(crate) fn notify(&mut self, at: usize) -> bool {
        match &mut self.waiting {
            Some(waiting) if waiting.outbox.bytes() > at => {
                // Asked for twice it is told once, when both are true.
                let other = waiting.notify_at.unwrap_or(at);
                waiting.notify_at = Some(at.min(other));
                true
            }
            _ => false,
        }
    }

    /// Forgets what waits but for the frames on their way, `begun` bytes of which the stream has taken in, and puts
    /// `last_words` behind that.
    pub(crate) fn cut_short(&mut self, last_words: &[u8], begun: usize, cx: &mut Context) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let before = waiting.outbox.cost();
        cx.stats.outbox_bytes -= waiting.outbox.bytes() as u64;
        waiting.outbox.drop_all_but_begun(begun);
        waiting.outbox.push_slice(last_words);
        cx.stats.outbox_bytes += waiting.outbox.bytes() as u64;
        count_cost(before, &waiting.outbox, cx);
    }

    /// Forgets all that waits: its peer has gone.
    pub(crate) fn release(self, cx: &mut Context) {
        if let Some(waiting) = self.waiting {
            cx.stats.outbox_bytes -= waiting.outbox.bytes() as u64;
            cx.stats.output_bytes -= waiting.outbox.cost() as u64;
        }
    }
}

/// What all that waits costs, after one outbox has changed that cost `before`.
fn count_cost(before: usize, outbox: &Outbox, cx: &mut Context) {
    cx.stats.output_bytes += outbox.cost() as u64;
    cx.stats.output_bytes -= before as u64;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    const MARKS: Marks = Marks { high: 20, low: 4 };

    /// Fits whole lines, at most so many.
    fn lines(most: usize) -> impl Fn(&[u8]) -> usize {
        move |bytes| {
            let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            ends.take(most).last().map_or(0, |(at, _)| at + 1)
        }
    }

    fn waiting(bench: &mut Bench, pieces: &[&str]) -> Output {
        let mut output = Output::default();
        for piece in pieces {
            let frame = Arc::from(piece.as_bytes());
            let sent = output.send_shared(None, &frame, MARKS, &mut bench.cx);
            assert_eq!(sent, Sending::Fine);
        }
        output
    }

    #[test]
    fn what_has_no_socket_waits_until_it_is_taken() {
        let mut bench = Bench::new();
        let mut output = waiting(&mut bench, &["a\n", "b\n", "c\n"]);
        assert_eq!((output.bytes(), bench.cx.stats.outbox_bytes), (6, 6));
        assert_eq!(output.take(lines(2), &mut bench.cx).0, b"a\nb\n");
        assert_eq!((output.bytes(), bench.cx.stats.outbox_bytes), (2, 2));
        assert_eq!(output.take(lines(2), &mut bench.cx).0, b"c\n");
        assert!(output.is_empty());
        assert_eq!(output.take(lines(2), &mut bench.cx), (vec![], false));
        let stats = &bench.cx.stats;
        assert_eq!((stats.outbox_bytes, stats.bytes_sent_total), (0, 6));
    }

    #[test]
    fn pieces_of_one_line_are_taken_together() {
        let mut bench = Bench::new();
        let mut output = waiting(&mut bench, &["ab", "c\nd"]);
        // What is shown first ends in the middle of a line: nothing of that fits alone.
        let (taken, _) = output.take(lines(9), &mut bench.cx);
        assert_eq!((taken, output.bytes()), (vec![], 5));
        let mut output = waiting(&mut bench, &["ab\n", "c\nd"]);
        let (taken, _) = output.take(lines(9), &mut bench.cx);
        assert_eq!((&*taken, output.bytes()), (&b"ab\nc\n"[..], 1));
    }

    #[test]
    fn more_pieces_than_the_kernel_takes_at_once_are_taken_in_turn() {
        let mut bench = Bench::new();
        let high = Marks {
            high: 1_000,
            ..MARKS
        };
        let mut output = Output::default();
        for _ in 0..MAX_PIECES + 1 {
            let frame = Arc::from(&b"x\n"[..]);
            output.send_shared(None, &frame, high, &mut bench.cx);
        }
        let (taken, _) = output.take(<[u8]>::len, &mut bench.cx);
        assert_eq!((taken.len(), output.bytes()), (2 * MAX_PIECES, 2));
    }

    #[test]
    fn who_wants_to_know_is_told_once_when_what_waits_is_down_to_low_water() {
        let mut bench = Bench::new();
        let mut output = waiting(&mut bench, &["one\n", "two\n", "six\n"]);
        assert!(output.notify(MARKS.low));
        assert!(!output.take(lines(1), &mut bench.cx).1, "8 bytes wait");
        assert!(output.take(lines(1), &mut bench.cx).1, "4 bytes wait");
        assert!(!output.take(lines(1), &mut bench.cx).1, "it was told");
        assert!(!output.notify(MARKS.low), "nothing waits");
    }

    #[test]
    fn who_wants_to_know_that_nothing_waits_is_told_then_and_not_before() {
        let mut bench = Bench::new();
        let mut output = waiting(&mut bench, &["one\n", "two\n"]);
        assert!(output.notify(0));
        assert!(output.notify(MARKS.low));
        assert!(!output.take(lines(1), &mut bench.cx).1, "4 bytes wait");
        assert!(output.take(lines(1), &mut bench.cx).1);
        assert!(!output.notify(0), "nothing waits");
    }

    #[test]
    fn too_much_without_a_socket_leaves_nothing_but_the_last_words() {
        let mut bench = Bench::new();
        let mut output = waiting(&mut bench, &["0123456789\n", "012345678"]);
        let over = output.send(None, b"x", MARKS, &mut bench.cx);
        assert_eq!(over, Sending::Over);
        output.cut_short(b"bye\n", 0, &mut bench.cx);
        assert_eq!(output.take(lines(9), &mut bench.cx).0, b"bye\n");
        assert_eq!(bench.cx.stats.outbox_bytes, 0);
    }
}
