//! One socket: what speaks on it, the bytes that wait for it, its times.
//!
//! A peer begins with HTTP and may become a WebSocket. Handlers leave their output in [`Context::out`]; `transmit` brings
//! it to the socket. Whatever a handler did, the reactor then settles the peer: see `Reactor::settle`.

use std::io::IoSlice;

use crate::context::Context;
use crate::event::Event;
use crate::http_peer::HttpPeer;
use crate::outbox::{Marks, Outbox};
use crate::sys::{Interest, Received, Sent, Socket};
use crate::table::ConnId;
use crate::websocket_peer::WebSocketPeer;
use crate::wheel::Key;

/// Pieces given to the kernel with one call.
const PIECES: usize = 64;

/// Everything a reactor knows of one socket. Small: ten thousands of them idle.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) socket: Socket,
    pub(crate) stage: Stage,
    /// Empty (and no allocation) nearly always.
    outbox: Option<Box<Waiting>>,
    /// What epoll was last told.
    pub(crate) interest: Interest,
    /// The one timer of this peer, and when it fires. It may fire early for the peer's present needs, never late.
    pub(crate) timer: Option<(Key, u64)>,
    /// When anything last came in.
    pub(crate) last_seen: u64,
    /// The socket has failed, or there is nothing left to do on it.
    pub(crate) finished: bool,
}

/// What speaks on a socket.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Requests, the upgrade among them.
    Http(Box<HttpPeer>),
    /// Messages.
    WebSocket(WebSocketPeer),
}

/// Bytes that the socket did not take at once.
#[derive(Debug)]
struct Waiting {
    outbox: Outbox,
    /// When the socket last took some.
    progress_ms: u64,
    /// Tell when it has caught up.
    notify: bool,
}

impl Peer {
    pub(crate) fn new(socket: Socket, http: HttpPeer, now_ms: u64) -> Self {
        Self {
            socket,
            stage: Stage::Http(Box::new(http)),
            outbox: None,
            interest: Interest::READ,
            timer: None,
            last_seen: now_ms,
            finished: false,
        }
    }

    /// Reads once into `buffer` and lets the stage act on it.
    pub(crate) fn on_readable(&mut self, conn: ConnId, buffer: &mut [u8], cx: &mut Context) {
        match self.socket.receive(buffer) {
            Received::Bytes(count) => {
                self.last_seen = cx.now_ms;
                cx.stats.bytes_received_total += count as u64;
                if let Some(input) = buffer.get_mut(..count) {
                    self.on_data(conn, input, cx);
                }
            }
            Received::Nothing => {}
            // RFC 6455 §7.1.1: a WebSocket is over with its TCP connection. Half-open ones are of no use to anybody.
            Received::End | Received::Broken(_) => self.finished = true,
        }
    }

    /// Acts on bytes: those just read, or none, to go on with those kept back.
    pub(crate) fn on_data(&mut self, conn: ConnId, input: &mut [u8], cx: &mut Context) {
        match &mut self.stage {
            Stage::WebSocket(websocket) => websocket.on_data(conn, input, cx),
            Stage::Http(http) => {
                if let Some((mut websocket, mut rest)) = http.on_data(conn, input, cx) {
                    websocket.on_data(conn, &mut rest, cx);
                    self.stage = Stage::WebSocket(websocket);
                }
            }
        }
    }

    /// Brings `cx.out` to the socket, or as much of it as goes; the rest waits.
    pub(crate) fn transmit(&mut self, cx: &mut Context) {
        if self.finished {
            cx.out.clear();
            return;
        }
        let marks = self.marks(cx);
        if !cx.out.is_empty() {
            let sent = match self.outbox {
                Some(_) => 0,
                None => self.send_now(cx),
            };
            if sent < cx.out.len() && !self.finished {
                let now_ms = cx.now_ms;
                let waiting = self.outbox.get_or_insert_with(|| {
                    Box::new(Waiting {
                        outbox: Outbox::new(),
                        progress_ms: now_ms,
                        notify: false,
                    })
                });
                let over = waiting.outbox.push_slice(&cx.out, marks);
                waiting.outbox.consume(sent, marks);
                cx.stats.outbox_bytes += (cx.out.len() - sent) as u64;
                cx.out.clear();
                if over || waiting.outbox.bytes() > marks.high {
                    self.on_overflow(cx);
                }
            }
            cx.out.clear();
        }
    }

    /// Sends what waits, after the socket said that it has room.
    pub(crate) fn on_writable(&mut self, conn: ConnId, cx: &mut Context) {
        let marks = self.marks(cx);
        let Some(waiting) = &mut self.outbox else {
            return;
        };
        let mut slices = [IoSlice::new(&[]); PIECES];
        let count = waiting.outbox.io_slices(&mut slices);
        match self.socket.send_pieces(&slices[..count]) {
            Sent::Broken(error) => {
                fail_terminations(&mut self.stage, &error);
                self.finished = true;
            }
            Sent::Bytes(0) => {}
            Sent::Bytes(sent) => {
                cx.stats.bytes_sent_total += sent as u64;
                cx.stats.outbox_bytes -= sent as u64;
                waiting.progress_ms = cx.now_ms;
                waiting.outbox.consume(sent, marks);
                if waiting.notify && waiting.outbox.bytes() <= marks.low {
                    waiting.notify = false;
                    cx.tell(Event::Drained(conn));
                }
                if waiting.outbox.is_empty() {
                    self.outbox = None;
                }
            }
        }
    }

    /// Tells, now or later, when what waits is down to low water.
    pub(crate) fn notify_when_drained(&mut self, conn: ConnId, cx: &mut Context) {
        let low = self.marks(cx).low;
        match &mut self.outbox {
            Some(waiting) if waiting.outbox.bytes() > low => waiting.notify = true,
            _ => cx.tell(Event::Drained(conn)),
        }
    }

    /// Bytes that wait for the socket.
    pub(crate) fn output_bytes(&self) -> usize {
        self.outbox
            .as_ref()
            .map_or(0, |waiting| waiting.outbox.bytes())
    }

    /// What epoll should watch.
    pub(crate) fn wanted_interest(&self) -> Interest {
        let read = match &self.stage {
            Stage::Http(http) => http.wants_read(),
            Stage::WebSocket(websocket) => websocket.wants_read(),
        };
        Interest {
            read,
            write: self.outbox.is_some(),
        }
    }

    /// When something is to be done for this peer though nothing comes in; `u64::MAX` for never.
    pub(crate) fn next_deadline(&self, cx: &Context) -> u64 {
        let stage = match &self.stage {
            Stage::Http(http) => http.deadline(),
            Stage::WebSocket(websocket) => websocket.next_deadline(self.last_seen, &cx.settings),
        };
        stage.min(self.stall_deadline(cx))
    }

    /// Does what is due.
    pub(crate) fn on_timer(&mut self, conn: ConnId, cx: &mut Context) {
        if self.stall_deadline(cx) <= cx.now_ms {
            if let Stage::WebSocket(websocket) = &mut self.stage {
                websocket.lose("slow_consumer", cx);
            }
            self.finished = true;
            return;
        }
        let done = match &mut self.stage {
            Stage::Http(http) => http.on_timer(cx),
            Stage::WebSocket(websocket) => websocket.on_timer(conn, self.last_seen, cx),
        };
        self.finished |= done;
    }

    /// After output was brought on its way: ends what only waited for that.
    pub(crate) fn finish_if_done(&mut self) {
        if self.outbox.is_some() || self.finished {
            return;
        }
        let (half, whole) = match &mut self.stage {
            Stage::Http(http) => (http.is_over(), false),
            Stage::WebSocket(websocket) => (websocket.is_failed(), websocket.is_closed()),
        };
        if half {
            // Closing now would reset the connection while input is unread, and destroy our last words on their way.
            self.socket.finish_sending();
        }
        self.finished = whole;
    }

    fn stall_deadline(&self, cx: &Context) -> u64 {
        match &self.outbox {
            Some(waiting) => waiting.progress_ms + cx.settings.silence_limit(),
            None => u64::MAX,
        }
    }

    fn marks(&self, cx: &Context) -> Marks {
        let high = match self.stage {
            // A response is as long as the app made it; the app is held back by `Drained`.
            Stage::Http(_) => usize::MAX,
            Stage::WebSocket(_) => cx.settings.outbox_bytes,
        };
        Marks {
            high,
            low: cx.settings.outbox_bytes / 4,
        }
    }

    fn send_now(&mut self, cx: &mut Context) -> usize {
        match self.socket.send(&cx.out) {
            Sent::Bytes(count) => {
                cx.stats.bytes_sent_total += count as u64;
                count
            }
            Sent::Broken(error) => {
                fail_terminations(&mut self.stage, &error);
                self.finished = true;
                0
            }
        }
    }

    /// The peer does not read: what waits is dropped but for the frame on its way, and a close frame follows.
    fn on_overflow(&mut self, cx: &mut Context) {
        let Stage::WebSocket(websocket) = &mut self.stage else {
            return;
        };
        if !websocket.close_slow_consumer(cx) {
            return;
        }
        if let Some(waiting) = &mut self.outbox {
            let before = waiting.outbox.bytes();
            waiting.outbox.drop_all_but_front();
            waiting.outbox.push_slice(
                &cx.out,
                Marks {
                    high: usize::MAX,
                    low: 0,
                },
            );
            cx.stats.outbox_bytes += waiting.outbox.bytes() as u64;
            cx.stats.outbox_bytes -= before as u64;
        }
    }
}

fn fail_terminations(stage: &mut Stage, error: &dyn std::fmt::Display) {
    if let Stage::WebSocket(websocket) = stage {
        websocket.fail_terminations(&format!("send failed: {error}"));
    }
}
