//! The loop of one thread.
//!
//! A turn: *wait → sockets → accepted → polls → timers → commands → walks → polls → shed → upgrades that waited → hand over*. Each
//! step is bounded, so that none can starve the others: ready sockets by the poller's capacity, one read each; accepted sockets
//! by the acceptor's batch; commands, requests to sessions and upgrades by a `MAX_BATCH`; walks by a slice. Handlers work on a peer
//! inside `with_peer`, which settles it afterwards: see `peers.rs`.
//!
//! Timers run up to the moment by which everything that came was read, and no further (`looking.rs`); what they count in
//! leaves out the time in which this reactor did not look (`clock.rs`).
//!
//! The clock is read once after the wait, once before commands if there are any, and once more before the next wait if the
//! turn was long: for all handlers.

mod accept;
mod commands;
mod engineio_requests;
mod looking;
mod peers;
mod polling;
mod shedding;
mod turns;
mod upgrade;
mod yielding;

use std::collections::VecDeque;
use std::sync::Arc;

use dscore_traffic::ConnId;
use dscore_traffic::command::ServingState;
use dscore_wheel::Wheel;

use crate::acceptor::Acceptor;
use crate::broadcast::{SLICE, Walk};
use crate::clock::Clock;
use crate::context::Context;
use crate::handle::{Handle, Shared};
use crate::pacer::Pacer;
use crate::places::Places;
use crate::sys::{Alarm, Interest, Poller, Readiness, ReadyList};
use crate::table::SlotId;
use crate::yielding::Yielding;
use looking::Pass;
use peers::Peers;

/// Sockets looked at in one turn.
const MAX_READY: usize = 512;
/// Those among them whose peer has gone: closing is dear, and when thousands go at once (a switch that lost its power)
/// the heartbeats of those who stay must not stand in line behind them.
const MAX_ENDED: usize = 64;
/// The same while a walk is under way: the fleet is to hear of a drain before its first answers are counted. With a slice
/// of a walk in 4 to 8 ms these are a thousand a second, more heartbeats than a fleet has.
const MAX_READY_DURING_WALK: usize = 8;
/// A turn with no more sockets than this is short, a millisecond at most: the clock is not read again for the deadlines
/// behind it.
const MAX_SHORT: usize = 32;
/// The receive buffer, shared by all peers of a reactor.
const BUFFER: usize = 256 * 1024;
/// Peers that a reactor makes room for at most when it starts; with more it grows as it must.
const MAX_ROOM: usize = 65_536;
/// Milliseconds of one tick of the wheel: deadlines are at most this late by its doing (PROTOCOL.md §5 rule 8 allows
/// 50), and peers that fall due together are served together.
const TICK_MS: u64 = 8;

const WAKER: u64 = u64::MAX;
const CONTROL_POLLER: u64 = u64::MAX - 1;
/// Of a pool's listeners, in their order.
const LISTENERS: [u64; 2] = [u64::MAX - 2, u64::MAX - 3];
const ALARM: u64 = u64::MAX - 4;
/// What a poller watches beside sockets, at most: those of the names above.
const OWN_TOKENS: usize = 5;

/// One thread's sockets and everything they need.
pub(crate) struct Reactor {
    own: Arc<Handle>,
    shared: Arc<Shared>,
    /// Watches the WebSockets, and the control poller.
    peer_poller: Poller,
    /// Watches everything else: waker, listener, HTTP. Epoll serves descriptors in turn, so that among ten thousand
    /// answers in a drain a health check would wait for all of them; here it waits for its likes only.
    control_poller: Poller,
    /// The first reactor of a pool accepts for all, on every listener.
    acceptors: Vec<Acceptor>,
    peers: Peers,
    wheel: Wheel<SlotId>,
    walks: VecDeque<Walk>,
    /// Connections that give up their places to agents.
    yielding: Yielding,
    /// Engine.IO sessions with something to tell, and when they are to be flushed.
    due_sessions: VecDeque<(u64, ConnId)>,
    clock: Clock,
    /// Ends a sleep in time for the next deadline.
    alarm: Alarm,
    pass: Pass,
    control_pass: Pass,
    /// Everything that came until then was read: timers run no further.
    looked_us: u64,
    /// Who wants to know when everything was read that lies here by then.
    looks: VecDeque<(u64, u64)>,
    /// What was done since the clock was read may have taken its time.
    was_long: bool,
    cx: Context,
    /// The last turn's figures were not published: the next turn must not be long in coming.
    unpublished: bool,
    stopping: bool,
}

impl Reactor {
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new(
        number: u8,
        own: Arc<Handle>,
        shared: Arc<Shared>,
        acceptors: Vec<Acceptor>,
        mut cx: Context,
    ) -> std::io::Result<Self> {
        let room = cx.settings.max_connections.min(MAX_ROOM);
        let (peer_poller, control_poller) = (Poller::new()?, Poller::new()?);
        let alarm = Alarm::new()?;
        peer_poller.add(&control_poller, CONTROL_POLLER, Interest::READ)?;
        peer_poller.add_alarm(&alarm, ALARM)?;
        control_poller.add_waker(&own.commands.reactor.waker, WAKER)?;
        for (acceptor, token) in acceptors.iter().zip(LISTENERS) {
            control_poller.add(acceptor.listener(), token, Interest::READ)?;
        }
        (cx.reactor, cx.reactors) = (number, shared.handles.len() as u8);
        cx.pacer = Pacer::new(number.into(), shared.pace.clone());
        cx.count_addresses_in(shared.addresses.clone());
        cx.places = Places::new(number.into(), shared.handles.clone());
        Ok(Self {
            own,
            shared,
            peer_poller,
            control_poller,
            acceptors,
            peers: Peers::with_capacity(number, room),
            wheel: Wheel::with_capacity(0, room),
            walks: VecDeque::new(),
            yielding: Yielding::default(),
            due_sessions: VecDeque::new(),
            clock: Clock::new(),
            alarm,
            pass: Pass::default(),
            control_pass: Pass::default(),
            looked_us: 0,
            looks: VecDeque::new(),
            was_long: false,
            cx,
            unpublished: false,
            stopping: false,
        })
    }

    /// Turns until it is told to stop.
    pub(crate) fn run(&mut self) {
        let mut control = ReadyList::with_capacity(MAX_READY);
        let mut ready = ReadyList::with_capacity(MAX_READY);
        let mut few = ReadyList::with_capacity(MAX_READY_DURING_WALK);
        let mut buffer = vec![0; BUFFER].into_boxed_slice();
        while !self.stopping {
            let walking = !self.walks.is_empty();
            let ready = if walking { &mut few } else { &mut ready };
            self.turn(&mut control, ready, &mut buffer);
        }
    }

    fn turn(&mut self, control: &mut ReadyList, ready: &mut ReadyList, buffer: &mut [u8]) {
        let paused = self.cx.events.is_full();
        self.wait(control, ready, paused);
        self.read_clock();
        self.cx.stats.turns_total += 1;
        self.was_long = control.len() + ready.len() > MAX_SHORT;
        self.serve_sockets(control, buffer, paused);
        self.serve_sockets(ready, buffer, paused);
        self.resume_accepting();
        self.serve_sessions();
        // What the owner cannot take was not read: see `serve_socket`.
        let paused = paused || self.cx.events.is_full();
        if !paused && self.has_looked(control, ready) {
            self.serve_timers(buffer);
        }
        if !(self.own.commands.is_empty() && self.walks.is_empty()) {
            // Deadlines that commands set count from now, not from before the sockets were served: none may fire early.
            self.read_clock();
            self.was_long = true;
            self.serve_commands();
            self.walk();
        }
        self.shed_input();
        self.serve_sessions();
        self.shed_output();
        self.serve_turns();
        self.serve_claims();
        self.end_turn();
    }

    fn serve_sockets(&mut self, ready: &ReadyList, buffer: &mut [u8], paused: bool) {
        // In a drain every connection ends, and the sooner the better.
        let most = match self.cx.serving {
            ServingState::Draining => MAX_READY,
            ServingState::Open | ServingState::Maintenance => MAX_ENDED,
        };
        let mut ended = 0;
        for (token, readiness) in ready.iter() {
            ended += usize::from(readiness.ended);
            match token {
                WAKER => self.own.commands.reactor.waker.clear(),
                // Its own sockets were asked already.
                CONTROL_POLLER => {}
                ALARM => self.alarm.note_rung(),
                token if let Some(which) = LISTENERS.iter().position(|one| *one == token) => {
                    if !paused {
                        self.accept(which);
                    }
                }
                // It stays ready, and is reported again.
                token if readiness.ended && ended > most => {
                    self.peers.leave_unread(ConnId::from_u64(token));
                }
                token => {
                    self.serve_socket(ConnId::from_u64(token), readiness, buffer, paused);
                }
            }
        }
    }

    fn serve_socket(
        &mut self,
        conn: ConnId,
        readiness: Readiness,
        buffer: &mut [u8],
        paused: bool,
    ) {
        // An earlier handler of this turn may have ended this peer.
        self.with_peer(conn, |peer, cx| {
            if readiness.writable {
                peer.on_writable(conn, cx);
            }
            // What was read in this turn may be all that is to wait for the owner.
            let paused = paused || cx.events.is_full();
            let wants_read = peer.wants_read();
            let is_read = !paused && (wants_read || readiness.hung_up);
            peer.set_unread(peer.has_unread() || (readiness.readable && !is_read));
            if is_read && (readiness.readable || readiness.hung_up) {
                peer.on_readable(conn, buffer, cx);
                // A peer that is not read (it waits for an answer) and has hung up would be ready for ever.
                if readiness.hung_up && !wants_read {
                    peer.hang_up();
                }
            }
        });
        // At once: one turn may read far more than all peers may hold.
        self.shed_input();
    }

    fn serve_timers(&mut self, buffer: &mut [u8]) {
        let now_us = self.cx.now_us;
        self.cx.set_now(self.looked_us);
        self.wheel.advance(self.cx.now_ms / TICK_MS);
        while let Some((_, slot)) = self.wheel.pop_expired() {
            let Some(conn) = self.peers.in_slot(slot) else {
                continue;
            };
            self.was_long = true;
            self.with_peer(conn, |peer, cx| {
                peer.timer = None;
                if peer.has_unread() && peer.wants_read() {
                    peer.on_readable(conn, buffer, cx);
                }
                if !peer.finished {
                    peer.on_timer(conn, cx);
                }
            });
            self.shed_input();
        }
        self.cx.set_now(now_us);
    }

    /// One slice of the first walk that is under way.
    fn walk(&mut self) {
        let Some(mut walk) = self.walks.pop_front() else {
            return;
        };
        for _ in 0..SLICE {
            let Some(conn) = self.peers.next_from(walk.next) else {
                return;
            };
            walk.next = conn.index() + 1;
            self.with_peer(conn, |peer, cx| walk.visit(conn, peer, cx));
        }
        self.walks.push_front(walk);
    }

    fn end_turn(&mut self) {
        self.shrink_queues();
        self.cx.events.hold_outcomes(!self.walks.is_empty());
        self.cx.events.flush();
        let full = self.cx.events.is_full();
        self.cx.stats.reading_paused_total += u64::from(full);
        self.cx.stats.events_queued = self.cx.events.queued() as u64;
        self.cx.stats.events_queued_bytes = self.cx.events.bytes();
        self.cx.stats.upgrades_waiting = self.cx.pacer.len() as u64;
        self.publish_yielding();
        self.unpublished = !self.own.try_publish(&self.cx.stats);
    }
}

impl Drop for Reactor {
    /// Everything still open is told of, so that each `Opened` has its `Closed`, and figures end true.
    fn drop(&mut self) {
        let conns: Vec<ConnId> = self.peers.iter().map(|(conn, _)| conn).collect();
        for conn in conns {
            self.remove(conn);
        }
        self.cx.events.flush();
        self.own.publish(&self.cx.stats);
        self.own.commands.set_stopped();
    }
}
