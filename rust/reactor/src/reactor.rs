//! The loop of one thread.
//!
//! A turn: *wait → sockets → newcomers → commands → timers → walks → hand over*. Each step is bounded, so that none can
//! starve the others: ready sockets by the poller's capacity, one read each; newcomers by the acceptor's batch;
//! commands by `COMMANDS`; walks by a slice. After a handler has worked on a peer, `settle` brings its output to
//! the socket and its interest and timer up to date; that is the only place where peers end.
//!
//! This is the only file that reads the clock: after the wait, and before the commands.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::acceptor::Acceptor;
use crate::broadcast::{SLICE, Walk};
use crate::command;
use crate::context::Context;
use crate::event::{Command, Event, LastSeen};
use crate::http_peer::HttpPeer;
use crate::peer::{Peer, Stage};
use crate::queue::CommandQueue;
use crate::stats::Stats;
use crate::sys::{Interest, Poller, Readiness, ReadyList, Socket};
use crate::table::{ConnId, Table};
use crate::wheel::Wheel;

/// Sockets looked at in one turn.
const READY: usize = 256;
/// The same while a walk is under way: the fleet is to hear of a drain before its first answers are counted.
const READY_DURING_WALK: usize = 32;
/// Commands taken in one turn.
const COMMANDS: usize = 1024;
/// The receive buffer, shared by all peers of a reactor.
const BUFFER: usize = 256 * 1024;
/// Milliseconds of one tick of the wheel: deadlines are at most this late by its doing (PROTOCOL.md §5 rule 8 allows
/// 50), and peers that fall due together are served together.
const TICK_MS: u64 = 8;
/// How long to sleep when the owner is behind and output may still go out.
const PAUSED_NAP: Duration = Duration::from_millis(2);

const WAKER: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// What the reactors of one pool share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// One queue for each reactor.
    pub(crate) queues: Vec<CommandQueue>,
    /// Sockets of each reactor: newcomers go to the one with the fewest.
    pub(crate) loads: Vec<AtomicUsize>,
    pub(crate) stats: Vec<Mutex<Stats>>,
    /// The zero of `now_ms`.
    pub(crate) start: Instant,
}

/// One thread's sockets and everything they need.
pub(crate) struct Reactor {
    number: usize,
    shared: Arc<Shared>,
    poller: Poller,
    /// The first reactor of a pool accepts for all.
    acceptor: Option<Acceptor>,
    /// Whether the listener is watched; it is not while newcomers are to wait.
    accepting: bool,
    table: Table<Peer>,
    wheel: Wheel<ConnId>,
    walks: VecDeque<Walk>,
    buffer: Box<[u8]>,
    cx: Context,
    stopping: bool,
}

impl Reactor {
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new(
        number: usize,
        shared: Arc<Shared>,
        acceptor: Option<Acceptor>,
        cx: Context,
    ) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        if let Some(queue) = shared.queues.get(number) {
            poller.add(&queue.reactor.waker, WAKER, Interest::READ)?;
        }
        if let Some(acceptor) = &acceptor {
            poller.add(acceptor.listener(), LISTENER, Interest::READ)?;
        }
        Ok(Self {
            number,
            shared,
            poller,
            accepting: acceptor.is_some(),
            acceptor,
            table: Table::new(u8::try_from(number).unwrap_or(u8::MAX)),
            wheel: Wheel::new(0),
            walks: VecDeque::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            cx,
            stopping: false,
        })
    }

    /// Turns until it is told to stop.
    pub(crate) fn run(&mut self) {
        let mut ready = ReadyList::with_capacity(READY);
        let mut few = ReadyList::with_capacity(READY_DURING_WALK);
        while !self.stopping {
            let walking = !self.walks.is_empty();
            self.turn(if walking { &mut few } else { &mut ready });
        }
    }

    fn turn(&mut self, ready: &mut ReadyList) {
        let paused = self.cx.events.is_full();
        self.wait(ready, paused);
        self.cx.begin_turn(self.shared.start.elapsed());
        self.serve_sockets(ready, paused);
        self.resume_accepting();
        // Deadlines that commands set count from now, not from before the sockets were served: none may fire early.
        self.cx.set_time(self.shared.start.elapsed());
        self.serve_commands();
        self.serve_timers();
        self.walk();
        self.hand_over();
    }

    /// Sleeps until a socket, a command or a deadline calls.
    fn wait(&self, ready: &mut ReadyList, paused: bool) {
        let Some(queue) = self.shared.queues.get(self.number) else {
            return;
        };
        let mut timeout = self.time_to_next_deadline();
        queue.reactor.lie_down();
        if !queue.is_empty() || !self.walks.is_empty() {
            timeout = Some(Duration::ZERO);
        }
        if paused {
            // Sockets with input are ready all the time, and are not to be read: nap instead of spinning.
            std::thread::sleep(PAUSED_NAP);
            timeout = Some(Duration::ZERO);
        }
        // A poller that fails is broken for good; the turn goes on with what needs none.
        if self.poller.wait(ready, timeout).is_err() {
            std::thread::sleep(PAUSED_NAP);
        }
        queue.reactor.get_up();
    }

    fn time_to_next_deadline(&self) -> Option<Duration> {
        let now_us = u64::try_from(self.shared.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let timer = self.wheel.next_expiration().map(|tick| tick * TICK_MS);
        let accept = self
            .acceptor
            .as_ref()
            .and_then(|acceptor| acceptor.resume_ms);
        let next_ms = [timer, accept].into_iter().flatten().min()?;
        Some(Duration::from_micros(
            (next_ms * 1_000).saturating_sub(now_us),
        ))
    }

    fn serve_sockets(&mut self, ready: &ReadyList, paused: bool) {
        for (token, readiness) in ready.iter() {
            match token {
                WAKER => {
                    if let Some(queue) = self.shared.queues.get(self.number) {
                        queue.reactor.waker.clear();
                    }
                }
                LISTENER if !paused => self.accept(),
                LISTENER => {}
                token => self.serve_socket(ConnId::from_u64(token), readiness, paused),
            }
        }
    }

    fn serve_socket(&mut self, conn: ConnId, readiness: Readiness, paused: bool) {
        // An earlier handler of this turn may have ended this peer.
        let Some(peer) = self.table.get_mut(conn) else {
            return;
        };
        if readiness.writable {
            peer.on_writable(conn, &mut self.cx);
        }
        if !paused && (readiness.readable || readiness.hung_up) {
            if peer.interest.read || readiness.hung_up {
                peer.on_readable(conn, &mut self.buffer, &mut self.cx);
            }
            // A peer that is not read (it waits for an answer) and has hung up would be ready for ever.
            peer.finished |= readiness.hung_up && !peer.interest.read;
        }
        self.settle(conn);
    }

    fn accept(&mut self) {
        let Some(acceptor) = &mut self.acceptor else {
            return;
        };
        let rate = self.cx.settings.accept_rate;
        let mut newcomers = Vec::new();
        let tally = acceptor.accept(self.cx.now_ms, rate, |socket, peer| {
            newcomers.push((socket, peer))
        });
        self.cx.stats.accept_errors_total += tally.errors;
        self.cx.stats.refused_total += tally.turned_away;
        if acceptor.resume_ms.is_some() {
            self.watch_listener(false);
        }
        for (socket, peer) in newcomers {
            self.hand_out(socket, peer);
        }
    }

    fn resume_accepting(&mut self) {
        let due = self
            .acceptor
            .as_ref()
            .and_then(|acceptor| acceptor.resume_ms);
        if due.is_some_and(|at| at <= self.cx.now_ms) {
            self.watch_listener(true);
            self.accept();
        }
    }

    fn watch_listener(&mut self, watch: bool) {
        let Some(acceptor) = &self.acceptor else {
            return;
        };
        if watch == self.accepting {
            return;
        }
        let interest = Interest {
            read: watch,
            write: false,
        };
        if self
            .poller
            .modify(acceptor.listener(), LISTENER, interest)
            .is_ok()
        {
            self.accepting = watch;
        }
    }

    /// Gives a newcomer to the reactor with the fewest sockets.
    fn hand_out(&mut self, socket: Socket, peer: SocketAddr) {
        self.cx.stats.accepted_total += 1;
        let loads = &self.shared.loads;
        let total: usize = loads.iter().map(|load| load.load(Ordering::Relaxed)).sum();
        let over_limit = total >= self.cx.settings.max_connections;
        let least = (0..loads.len())
            .min_by_key(|&number| {
                loads
                    .get(number)
                    .map_or(usize::MAX, |l| l.load(Ordering::Relaxed))
            })
            .unwrap_or(self.number);
        if let Some(load) = loads.get(least) {
            load.fetch_add(1, Ordering::Relaxed);
        }
        if least == self.number {
            self.adopt(socket, peer, over_limit);
        } else if let Some(queue) = self.shared.queues.get(least) {
            // Never wait for another reactor: two that waited for each other would wait for ever.
            if let Err(Command::Adopt {
                socket,
                peer,
                over_limit,
            }) = queue.try_push(Command::Adopt {
                socket,
                peer,
                over_limit,
            }) {
                self.move_load(least);
                self.adopt(socket, peer, over_limit);
            }
        }
    }

    fn move_load(&self, from: usize) {
        if let (Some(from), Some(to)) = (
            self.shared.loads.get(from),
            self.shared.loads.get(self.number),
        ) {
            from.fetch_sub(1, Ordering::Relaxed);
            to.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn adopt(&mut self, socket: Socket, address: SocketAddr, over_limit: bool) {
        let http = HttpPeer::new(address, over_limit, &mut self.cx);
        let conn = self.table.insert(Peer::new(socket, http, self.cx.now_ms));
        let Some(peer) = self.table.get_mut(conn) else {
            return;
        };
        if self
            .poller
            .add(&peer.socket, conn.to_u64(), Interest::READ)
            .is_err()
        {
            peer.finished = true;
        }
        self.settle(conn);
    }

    fn serve_commands(&mut self) {
        for _ in 0..COMMANDS {
            let Some(command) = self
                .shared
                .queues
                .get(self.number)
                .and_then(CommandQueue::pop)
            else {
                return;
            };
            self.serve_command(command);
        }
    }

    fn serve_command(&mut self, command: Command) {
        if let Some(conn) = command::target(&command) {
            match self.table.get_mut(conn) {
                Some(peer) => command::apply(command, conn, peer, &mut self.cx),
                None => command::miss(&command, conn, &mut self.cx),
            }
            self.settle(conn);
            return;
        }
        match command {
            Command::Adopt {
                socket,
                peer,
                over_limit,
            } => self.adopt(socket, peer, over_limit),
            Command::SendMany(conns, frame) => {
                for conn in conns {
                    if let Some(peer) = self.table.get_mut(conn) {
                        peer.send_shared(&frame, &mut self.cx);
                    }
                    self.settle(conn);
                }
            }
            Command::CloseAll {
                farewell,
                spread_ms,
            } => {
                let walk = Walk::close(*farewell, spread_ms, self.table.len(), &self.cx);
                self.walks.push_back(walk);
            }
            Command::TerminateAll(order) => {
                let walk = Walk::terminate(*order, &self.cx);
                self.walks.push_back(walk);
            }
            Command::SetGate(gate) => self.cx.gate = gate,
            Command::ReadLastSeen => {
                let last_seen = Box::new(self.last_seen());
                self.cx.tell(Event::LastSeen(last_seen));
            }
            Command::Configure(settings) => self.cx.configure(settings),
            Command::Stop => self.stopping = true,
            // All others have a target.
            _ => {}
        }
    }

    fn serve_timers(&mut self) {
        self.wheel.advance(self.cx.now_ms / TICK_MS);
        while let Some((_, conn)) = self.wheel.pop_expired() {
            let Some(peer) = self.table.get_mut(conn) else {
                continue;
            };
            peer.timer = None;
            peer.on_timer(conn, &mut self.cx);
            self.settle(conn);
        }
    }

    /// One slice of the first walk that is under way.
    fn walk(&mut self) {
        let Some(mut walk) = self.walks.pop_front() else {
            return;
        };
        for _ in 0..SLICE {
            let Some(index) = self.table.next_from(walk.next) else {
                return;
            };
            walk.next = index + 1;
            let Some((conn, peer)) = self.table.by_index(index) else {
                continue;
            };
            walk.visit(conn, peer, &mut self.cx);
            self.settle(conn);
        }
        self.walks.push_front(walk);
    }

    fn hand_over(&mut self) {
        self.cx.events.hand_over();
        let full = self.cx.events.is_full();
        self.cx.stats.reading_paused_total += u64::from(full);
        self.cx.stats.events_queued = self.cx.events.queued() as u64;
        // Whoever reads the figures copies them and is gone; a reactor waits for nobody all the same.
        if let Some(Ok(mut stats)) = self.shared.stats.get(self.number).map(Mutex::try_lock) {
            stats.clone_from(&self.cx.stats);
        }
    }

    /// After a handler: output to the socket, then the end of the peer, or its interest and timer.
    fn settle(&mut self, conn: ConnId) {
        let Some(peer) = self.table.get_mut(conn) else {
            self.cx.out.clear();
            return;
        };
        peer.transmit(&mut self.cx);
        peer.finish_if_done();
        if peer.finished {
            self.remove(conn);
            return;
        }
        let interest = peer.wanted_interest();
        if interest != peer.interest
            && self
                .poller
                .modify(&peer.socket, conn.to_u64(), interest)
                .is_ok()
        {
            peer.interest = interest;
        }
        let deadline = peer.next_deadline(&self.cx);
        match peer.timer {
            // Fires early enough; then it is armed again. Traffic thus never moves a timer.
            Some((_, armed)) if armed <= deadline => {}
            _ if deadline == u64::MAX => {}
            Some((key, _)) => {
                self.wheel.rearm(key, deadline.div_ceil(TICK_MS));
                peer.timer = Some((key, deadline));
            }
            None => {
                let key = self.wheel.arm(deadline.div_ceil(TICK_MS), conn);
                peer.timer = Some((key, deadline));
            }
        }
    }

    fn remove(&mut self, conn: ConnId) {
        let Some(peer) = self.table.remove(conn) else {
            return;
        };
        if let Some((key, _)) = peer.timer {
            self.wheel.cancel(key);
        }
        if let Some(load) = self.shared.loads.get(self.number) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
        self.cx.stats.outbox_bytes -= peer.output_bytes() as u64;
        match peer.stage {
            Stage::WebSocket(websocket) => websocket.bury(conn, &mut self.cx),
            Stage::Http(http) => {
                self.cx.stats.http_connections -= 1;
                if http.is_asked() {
                    self.cx.tell(Event::HttpGone(conn));
                }
            }
        }
    }

    fn last_seen(&self) -> LastSeen {
        let mut last_seen = LastSeen::default();
        for (conn, peer) in self.table.iter() {
            if let Stage::WebSocket(websocket) = &peer.stage {
                last_seen.conns.push(conn.to_u64());
                last_seen.seen_ms.push(peer.last_seen);
                last_seen
                    .heartbeat_ms
                    .push(websocket.session.last_heartbeat);
            }
        }
        last_seen
    }
}

impl Drop for Reactor {
    /// Everything still open is told of, so that each `Opened` has its `Closed`, and figures end true.
    fn drop(&mut self) {
        let conns: Vec<ConnId> = self.table.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            self.remove(conn);
        }
        self.cx.events.hand_over();
        if let Some(stats) = self.shared.stats.get(self.number) {
            stats
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&self.cx.stats);
        }
        if let Some(queue) = self.shared.queues.get(self.number) {
            queue.set_stopped();
        }
    }
}
