//! The loop of one process: connect, wait, sockets, commands, timers, heartbeats.

use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventFlags};
use rustix::io::{self, Errno};
use serde_json::json;

use crate::agent::{Agent, Phase, Todo};
use crate::clock::{Alarm, as_ns, cpu_seconds, now_ns};
use crate::control::{Command, Inbox, emit};
use crate::options::{Options, Role};
use crate::socket;
use crate::tally::Tally;
use crate::timers::{Due, Timer, Timers};

const RECEIVE: usize = 64 * 1024;
const MAX_EVENTS: usize = 1024;
/// Heartbeats sent before the sockets are looked at again.
const BEATS_A_TURN: usize = 256;
const SECOND: u64 = 1_000_000_000;
/// How long the server may take to end TCP after the close frames (RFC 6455 §7.1.1: it ends it first).
const END_TIMEOUT: u64 = 5 * SECOND;
/// Before coming back, where the server gave no hint.
const RETURN_DELAY: u64 = SECOND;

const ALARM: u64 = u64::MAX;
const INBOX: u64 = u64::MAX - 1;

/// An agent and its place in the kernel.
struct Peer {
    agent: Agent,
    socket: Option<OwnedFd>,
    /// A started frame or head, to go in front of the next bytes.
    kept: Vec<u8>,
    unsent: Vec<u8>,
    /// Begun, and not yet introduced.
    under_way: bool,
}

/// The open loop of heartbeats: number `n` is due at `base + n × interval / agents`, answered or not.
struct Beats {
    base: u64,
    n: u64,
}

pub(crate) struct Fleet<'a> {
    options: &'a Options,
    inbox: Inbox,
    epoll: OwnedFd,
    alarm: Alarm,
    peers: Vec<Peer>,
    timers: Timers,
    tally: Tally,
    input: Vec<u8>,
    out: Vec<u8>,
    started: u64,
    /// Peers that have been connected for the first time: all below this slot.
    begun: usize,
    under_way: usize,
    open: usize,
    /// Agents that wait to come back.
    returning: usize,
    all_introduced: bool,
    heartbeats_wanted: bool,
    beats: Option<Beats>,
    progress_at: u64,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(options: &'a Options, inbox: Inbox) -> io::Result<Self> {
        let epoll = socket::new_epoll()?;
        let alarm = Alarm::new()?;
        socket::watch(&epoll, &alarm, ALARM)?;
        socket::watch(&epoll, inbox.waker(), INBOX)?;
        let peers: Vec<Peer> = options
            .share()
            .map(|index| Peer {
                agent: Agent::new(index, options.mix.role(index, options.agents)),
                socket: None,
                kept: Vec::new(),
                unsent: Vec::new(),
                under_way: false,
            })
            .collect();
        let started = now_ns();
        Ok(Self {
            options,
            inbox,
            epoll,
            alarm,
            tally: Tally {
                agents: peers.len() as u64,
                ..Tally::default()
            },
            peers,
            timers: Timers::default(),
            input: vec![0; RECEIVE],
            out: Vec::new(),
            started,
            begun: 0,
            under_way: 0,
            open: 0,
            returning: 0,
            all_introduced: false,
            heartbeats_wanted: true,
            beats: None,
            progress_at: started + SECOND,
        })
    }

    /// Plays the whole run.
    pub(crate) fn run(mut self) -> io::Result<Tally> {
        let mut events = Vec::with_capacity(MAX_EVENTS);
        let end = self.started + as_ns(self.options.max_time);
        loop {
            self.begin_connections();
            self.note_introductions();
            let busy = self.begun < self.peers.len() || self.open > 0 || self.returning > 0;
            self.tally.out_of_time = busy && now_ns() >= end;
            if !busy || self.tally.stopped || self.tally.out_of_time {
                break;
            }
            self.wait(end, &mut events)?;
            for event in &events {
                match event.data.u64() {
                    ALARM => {}
                    INBOX => self.obey_commands(),
                    slot => self.ready(slot as usize, event.flags),
                }
            }
            let now = now_ns();
            while let Some(due) = self.timers.pop(now) {
                self.expire(due, now);
            }
            self.send_heartbeats(now);
            self.tell_progress(now);
        }
        for slot in 0..self.peers.len() {
            self.end(slot, true);
        }
        self.tally.cpu_seconds = cpu_seconds();
        Ok(self.tally)
    }

    fn wait(&mut self, end: u64, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let next = [
            Some(end),
            Some(self.progress_at),
            self.timers.next(),
            self.next_connection(),
            self.next_beat(),
        ];
        if let Some(next) = next.into_iter().flatten().min() {
            self.alarm.set(next)?;
        }
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(events), None) {
            Err(Errno::INTR) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// When the next first connection may begin; `None` while enough are under way.
    fn next_connection(&self) -> Option<u64> {
        let room = self.under_way < (self.options.concurrency / self.options.processes).max(1);
        if !room || self.begun == self.peers.len() {
            return None;
        }
        let rate = self.options.connect_rate / self.options.processes as f64;
        let wait = if rate > 0.0 {
            self.begun as f64 / rate * 1e9
        } else {
            0.0
        };
        Some(self.started + wait as u64)
    }

    fn begin_connections(&mut self) {
        while self.next_connection().is_some_and(|at| at <= now_ns()) {
            self.begun += 1;
            self.connect(self.begun - 1);
        }
    }

    fn connect(&mut self, slot: usize) {
        let now = now_ns();
        self.tally.connect_started.get_or_insert(now);
        let peer = &mut self.peers[slot];
        peer.agent.begin();
        peer.under_way = true;
        self.under_way += 1;
        self.open += 1;
        let at = now + as_ns(self.options.handshake_timeout);
        self.timers.arm(Due {
            at,
            slot,
            attempt: peer.agent.attempt,
            timer: Timer::Introduction,
        });
        match socket::connect(&self.epoll, self.options.server, slot as u64) {
            Ok(socket) => peer.socket = Some(socket),
            Err(error) => self.fail(slot, &format!("connect: {error}")),
        }
    }

    /// An introduction came to nothing.
    fn fail(&mut self, slot: usize, sentence: &str) {
        let id = self.peers[slot].agent.id(self.options);
        self.tally.remark(format!("{id}: {sentence}"));
        self.end(slot, false);
    }

    /// Tells, once, that nobody is on the way in any more, and lets the heartbeats begin.
    fn note_introductions(&mut self) {
        if self.all_introduced || self.begun < self.peers.len() || self.under_way > 0 {
            return;
        }
        self.all_introduced = true;
        emit(&json!({
            "event": "introduced",
            "count": self.tally.introduced,
            "seconds": self.tally.introduction_seconds(),
            "started_ns": self.tally.connect_started,
            "ended_ns": self.tally.last_introduced,
        }));
        self.switch_heartbeats();
    }

    fn ready(&mut self, slot: usize, flags: EventFlags) {
        let peer = &mut self.peers[slot];
        let Some(socket) = &peer.socket else { return };
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        match peer.agent.phase {
            Phase::Connecting => match socket::connected(socket) {
                Ok(()) if flags.contains(EventFlags::OUT) => {
                    peer.agent.connected(self.options, &mut self.out);
                    self.flush(slot);
                }
                Ok(()) => {}
                Err(error) => self.fail(slot, &format!("connect: {error}")),
            },
            Phase::Open if peer.agent.role == Role::Stall => {
                if ended {
                    self.end(slot, false);
                }
            }
            _ => {
                self.flush(slot);
                self.read(slot, ended);
            }
        }
    }

    /// Reads until there is no more: readiness is told once.
    fn read(&mut self, slot: usize, ended: bool) {
        loop {
            let peer = &mut self.peers[slot];
            let Some(socket) = &peer.socket else { return };
            let kept = peer.kept.len();
            self.input[..kept].copy_from_slice(&peer.kept);
            let got = match socket::receive(socket, &mut self.input[kept..]) {
                Ok(None) => return,
                Ok(Some(0)) | Err(_) => return self.end(slot, false),
                Ok(Some(got)) => got,
            };
            let input = &mut self.input[..kept + got];
            let (used, todo) = peer.agent.receive(
                input,
                now_ns(),
                self.options,
                &mut self.tally,
                &mut self.out,
            );
            peer.kept.clear();
            peer.kept.extend_from_slice(&input[used..]);
            self.flush(slot);
            self.carry_out(slot, todo);
            // A short read has emptied the socket (epoll(7)); an end behind it is read at once if it was told of.
            if got < RECEIVE - kept && !ended {
                return;
            }
        }
    }

    fn carry_out(&mut self, slot: usize, todo: Todo) {
        let peer = &mut self.peers[slot];
        let attempt = peer.agent.attempt;
        match todo {
            Todo::Nothing => {}
            Todo::Introduced => {
                peer.under_way = false;
                self.under_way -= 1;
                if let (Role::Stall, Some(socket)) = (peer.agent.role, &peer.socket)
                    && let Err(error) = socket::stop_reading(&self.epoll, socket, slot as u64)
                {
                    self.tally.remark(format!("epoll_ctl: {error}"));
                }
            }
            Todo::AnswerLater => {
                let at = now_ns() + as_ns(self.options.answer_delay);
                self.timers.arm(Due {
                    at,
                    slot,
                    attempt,
                    timer: Timer::Answer,
                });
            }
            Todo::AwaitEnd => {
                self.timers.arm(Due {
                    at: now_ns() + END_TIMEOUT,
                    slot,
                    attempt,
                    timer: Timer::End,
                });
            }
            Todo::Cut => self.end(slot, true),
        }
    }

    /// Sends what is in `out`, behind what is waiting already.
    fn flush(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        let Some(socket) = &peer.socket else {
            return self.out.clear();
        };
        peer.unsent.append(&mut self.out);
        if peer.unsent.is_empty() {
            return;
        }
        // An error here is an end, which the socket tells of as well.
        let sent = socket::send(socket, &peer.unsent).unwrap_or(peer.unsent.len());
        peer.unsent.drain(..sent);
        if peer.unsent.is_empty() && peer.unsent.capacity() > 4096 {
            peer.unsent = Vec::new();
        }
    }

    fn end(&mut self, slot: usize, cut: bool) {
        let peer = &mut self.peers[slot];
        if peer.agent.phase == Phase::Gone {
            return;
        }
        let now = now_ns();
        peer.agent.end(now, cut, &mut self.tally);
        peer.socket = None;
        peer.kept = Vec::new();
        peer.unsent = Vec::new();
        self.open -= 1;
        if std::mem::take(&mut peer.under_way) {
            self.under_way -= 1;
            self.tally.connect_failures += 1;
        }
        if self.options.reconnect && !cut && peer.agent.may_return {
            let delay = peer
                .agent
                .reconnect_after
                .map_or(RETURN_DELAY, |ms| ms * 1_000_000);
            let attempt = peer.agent.attempt;
            self.timers.arm(Due {
                at: now + delay,
                slot,
                attempt,
                timer: Timer::Return,
            });
            self.returning += 1;
        }
    }

    fn expire(&mut self, due: Due, now: u64) {
        let peer = &mut self.peers[due.slot];
        if peer.agent.attempt != due.attempt {
            return;
        }
        match due.timer {
            Timer::Introduction if peer.under_way => self.fail(due.slot, "not introduced in time"),
            Timer::Introduction => {}
            Timer::Answer => {
                peer.agent.answer(&mut self.tally, &mut self.out);
                self.flush(due.slot);
            }
            Timer::End if peer.agent.phase == Phase::Closing => {
                let id = peer.agent.id(self.options);
                self.tally.fault(format!(
                    "{id}: TCP was not ended after the closing handshake"
                ));
                self.end(due.slot, true);
            }
            Timer::End => {}
            Timer::Return if self.under_way >= self.options.concurrency => {
                self.timers.arm(Due {
                    at: now + SECOND / 100,
                    ..due
                });
            }
            Timer::Return => {
                self.returning -= 1;
                self.connect(due.slot);
            }
        }
    }

    fn switch_heartbeats(&mut self) {
        let possible = self.all_introduced && !self.options.heartbeat_interval.is_zero();
        let on = possible && self.heartbeats_wanted;
        self.beats = on.then(|| Beats {
            base: now_ns(),
            n: 0,
        });
    }

    fn next_beat(&self) -> Option<u64> {
        let beats = self.beats.as_ref()?;
        let interval = self.options.heartbeat_interval.as_nanos();
        Some(beats.base + (u128::from(beats.n) * interval / self.peers.len() as u128) as u64)
    }

    fn send_heartbeats(&mut self, now: u64) {
        for _ in 0..BEATS_A_TURN {
            let Some(due) = self.next_beat().filter(|due| *due <= now) else {
                return;
            };
            let Some(beats) = &mut self.beats else { return };
            let slot = (beats.n % self.peers.len() as u64) as usize;
            beats.n += 1;
            self.peers[slot]
                .agent
                .beat(due, self.options, &mut self.tally, &mut self.out);
            self.flush(slot);
        }
    }

    fn obey_commands(&mut self) {
        self.inbox.reset();
        while let Some(command) = self.inbox.take() {
            match command {
                Command::Trigger(at) => self.tally.trigger = Some(at),
                Command::Heartbeats(on) => {
                    self.heartbeats_wanted = on;
                    self.switch_heartbeats();
                }
                Command::Vanish(n) => self.vanish(n),
                Command::Message(text) => self.say_all(&text),
                Command::Stop => self.tally.stopped = true,
            }
        }
    }

    fn vanish(&mut self, n: usize) {
        let open = |peer: &Peer| peer.agent.phase == Phase::Open;
        let slots: Vec<usize> = (0..self.peers.len())
            .filter(|slot| open(&self.peers[*slot]))
            .take(n)
            .collect();
        self.tally.vanished += slots.len() as u64;
        for slot in slots {
            self.end(slot, true);
        }
    }

    fn say_all(&mut self, text: &str) {
        for slot in 0..self.peers.len() {
            if self.peers[slot].agent.phase == Phase::Open {
                self.peers[slot].agent.say(text, &mut self.out);
                self.flush(slot);
            }
        }
    }

    fn tell_progress(&mut self, now: u64) {
        if now < self.progress_at {
            return;
        }
        self.progress_at = now + SECOND;
        emit(&json!({
            "event": "progress",
            "introduced": self.tally.introduced,
            "open": self.open,
            "heartbeats_sent": self.tally.heartbeats_sent,
            "heartbeats_answered": self.tally.heartbeat_latency.len(),
            "terminate_received": self.tally.receipts.len(),
            "ended": self.tally.ends.len(),
        }));
    }
}
