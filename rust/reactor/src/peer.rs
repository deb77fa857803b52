//! One socket: what speaks on it, the bytes that wait for it, its times.
//!
//! A peer begins with HTTP and may become a WebSocket. Handlers leave their output in [`Context::out`]; `transmit` brings
//! it to the socket. Whatever a handler did, the reactor then settles the peer: see `Reactor::settle`.

use std::sync::Arc;

use rustix::io::Errno;

use crate::context::Context;
use crate::event::Event;
use crate::http_peer::HttpPeer;
use crate::output::{Marks, Output, Sending};
use crate::sys::{Interest, Received, Socket};
use crate::table::ConnId;
use crate::websocket_peer::WebSocketPeer;
use crate::wheel::Key;

/// Everything a reactor knows of one socket. Small: ten thousands of them idle.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) socket: Socket,
    pub(crate) stage: Stage,
    output: Output,
    /// Bytes of input held, as last counted.
    held_input: u32,
    /// What epoll was last told.
    pub(crate) interest: Interest,
    /// Watched by the lobby's poller: not a WebSocket yet.
    pub(crate) in_lobby: bool,
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

impl Peer {
    pub(crate) fn new(socket: Socket, http: HttpPeer, now_ms: u64) -> Self {
        Self {
            socket,
            stage: Stage::Http(Box::new(http)),
            output: Output::default(),
            held_input: 0,
            interest: Interest::READ,
            in_lobby: true,
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
        if matches!(self.stage, Stage::Http(_)) {
            // Answers go out before the next request is looked at.
            self.transmit(cx);
        }
        match &mut self.stage {
            Stage::WebSocket(websocket) => websocket.on_data(conn, input, cx),
            Stage::Http(http) if !self.output.is_empty() => http.keep(input),
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
        if !cx.out.is_empty() && !self.finished {
            let out = std::mem::take(&mut cx.out);
            let sending = self.output.send(&self.socket, &out, self.marks(cx), cx);
            cx.out = out;
            self.after_sending(sending, cx);
        }
        cx.out.clear();
    }

    /// Sends one message that others get as well, if this is a WebSocket that still takes them.
    pub(crate) fn send_shared(&mut self, frame: &Arc<[u8]>, cx: &mut Context) {
        if self.finished
            || !matches!(&self.stage, Stage::WebSocket(websocket) if websocket.takes_messages())
        {
            return;
        }
        cx.stats.messages_sent_total += 1;
        let sending = self
            .output
            .send_shared(&self.socket, frame, self.marks(cx), cx);
        self.after_sending(sending, cx);
    }

    /// Sends what waits, after the socket said that it has room.
    pub(crate) fn on_writable(&mut self, conn: ConnId, cx: &mut Context) {
        match self.output.flush(&self.socket, self.marks(cx), cx) {
            Ok(true) => cx.tell(Event::Drained(conn)),
            Ok(false) => {}
            Err(error) => self.break_off(error),
        }
        if self.output.is_empty()
            && !self.finished
            && matches!(&self.stage, Stage::Http(http) if http.has_input())
        {
            self.on_data(conn, &mut [], cx);
        }
    }

    /// Tells, now or later, when what waits is down to low water.
    pub(crate) fn notify_when_drained(&mut self, conn: ConnId, cx: &mut Context) {
        if !self.output.notify(self.marks(cx)) {
            cx.tell(Event::Drained(conn));
        }
    }

    /// Bytes that wait for the socket.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output.bytes()
    }

    /// Input that is held until the rest of it comes, as last counted.
    pub(crate) fn held_input(&self) -> u64 {
        self.held_input.into()
    }

    /// Counts the input that is held. Whoever makes it too much for all is the one that is turned away.
    pub(crate) fn count_input(&mut self, cx: &mut Context) {
        let held = match &self.stage {
            Stage::Http(http) => http.held_input(),
            Stage::WebSocket(websocket) => websocket.held_input(),
        };
        // No message or body may be that long.
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let grew = held > self.held_input;
        cx.stats.input_bytes += u64::from(held);
        cx.stats.input_bytes -= u64::from(self.held_input);
        self.held_input = held;
        if grew && cx.stats.input_bytes > cx.settings.input_bytes && !self.finished {
            match &mut self.stage {
                Stage::Http(http) => http.turn_away(cx),
                Stage::WebSocket(websocket) => websocket.turn_away(cx),
            }
        }
    }

    /// What epoll should watch.
    pub(crate) fn wanted_interest(&self) -> Interest {
        let read = match &self.stage {
            Stage::Http(http) => http.wants_read(!self.output.is_empty()),
            Stage::WebSocket(websocket) => websocket.wants_read(),
        };
        Interest {
            read,
            write: !self.output.is_empty(),
        }
    }

    /// True once a WebSocket waits to be watched by the other poller.
    pub(crate) fn leaves_lobby(&self) -> bool {
        self.in_lobby && matches!(self.stage, Stage::WebSocket(_))
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
                websocket.give_up_slow_consumer(cx);
            }
            self.finished = true;
            return;
        }
        let done = match &mut self.stage {
            Stage::Http(http) if self.output.is_empty() => http.on_timer(cx),
            Stage::Http(http) => {
                http.postpone(cx);
                false
            }
            Stage::WebSocket(websocket) => websocket.on_timer(conn, self.last_seen, cx),
        };
        self.finished |= done;
    }

    /// After output was brought on its way: ends what only waited for that.
    pub(crate) fn finish_if_done(&mut self) {
        if !self.output.is_empty() || self.finished {
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

    /// When a socket that takes nothing counts as dead: the same silence as of one that sends nothing.
    fn stall_deadline(&self, cx: &Context) -> u64 {
        match self.output.progress_ms() {
            Some(progress_ms) => progress_ms + cx.settings.silence_limit(),
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

    fn after_sending(&mut self, sending: Sending, cx: &mut Context) {
        match sending {
            Sending::Fine => {}
            Sending::Broken(error) => self.break_off(error),
            Sending::Over => self.on_overflow(cx),
        }
    }

    fn break_off(&mut self, error: Errno) {
        if let Stage::WebSocket(websocket) = &mut self.stage {
            websocket.fail_terminations(&format!("send failed: {error}"));
        }
        self.finished = true;
    }

    /// The peer does not read: what waits is dropped but for the frame on its way, and a close frame follows.
    fn on_overflow(&mut self, cx: &mut Context) {
        cx.out.clear();
        if let Stage::WebSocket(websocket) = &mut self.stage
            && websocket.close_slow_consumer(cx)
        {
            let last_words = std::mem::take(&mut cx.out);
            self.output.cut_short(&last_words, cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_peer_is_small() {
        // Of 320 bytes that a reactor may spend on an idle agent; the others hold its timer and its id.
        assert!(size_of::<Peer>() <= 232, "{} bytes", size_of::<Peer>());
    }
}
