//! The loop of one process: connect, wait, sockets, commands, timers, heartbeats.

mod driver;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventFlags};
use rustix::io::{self, Errno};
use rustls::ClientConfig;

use crate::agent::{Agent, Next, Phase};
use crate::beats::Beats;
use crate::clock::{Alarm, as_ns, cpu_seconds, now_ns};
use crate::control::Inbox;
use crate::line::{self, Line};
use crate::options::{Options, Role};
use crate::peer::Peer;
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
const MAX_RETURN_DELAY: u64 = 3600 * SECOND;
/// Before trying to come back again, where too many are on the way.
const TURN_DELAY: u64 = SECOND / 100;

const ALARM: u64 = u64::MAX;
const INBOX: u64 = u64::MAX - 1;

pub(crate) struct Fleet<'a> {
    options: &'a Options,
    inbox: Inbox,
    epoll: OwnedFd,
    alarm: Alarm,
    tls: Option<Arc<ClientConfig>>,
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
    pub(crate) fn new(options: &'a Options, inbox: Inbox) -> std::io::Result<Self> {
        let epoll = socket::new_epoll()?;
        let alarm = Alarm::new()?;
        socket::watch(&epoll, &alarm, ALARM)?;
        socket::watch(&epoll, inbox.waker(), INBOX)?;
        let role = |index| options.mix.role(index, options.agents);
        let peers: Vec<Peer> = options
            .share()
            .map(|index| Peer::new(Agent::new(index, role(index))))
            .collect();
        let tls = options.is_secure.then(line::config);
        let started = now_ns();
        Ok(Self {
            options,
            inbox,
            epoll,
            alarm,
            tls: tls.transpose().map_err(std::io::Error::other)?,
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
            heartbeats_wanted: options.heartbeats,
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
                self.expire(due);
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
            self.beats.as_ref().map(Beats::next),
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

    fn has_room(&self) -> bool {
        self.under_way < (self.options.concurrency / self.options.processes).max(1)
    }

    /// When the next first connection may begin; `None` while enough are under way.
    fn next_connection(&self) -> Option<u64> {
        if !self.has_room() || self.begun == self.peers.len() {
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
        self.tally.connect_started.get_or_insert_with(now_ns);
        let peer = &mut self.peers[slot];
        peer.agent.begin();
        peer.under_way = true;
        self.under_way += 1;
        self.open += 1;
        self.arm(
            slot,
            Timer::Introduction,
            as_ns(self.options.handshake_timeout),
        );
        match self.open_line(slot) {
            Ok(line) => self.peers[slot].line = Some(line),
            Err(error) => self.fail(slot, &format!("connect: {error}")),
        }
    }

    fn open_line(&self, slot: usize) -> std::io::Result<Line> {
        let server = self.options.server;
        let socket = socket::connect(&self.epoll, server, slot as u64)?;
        match &self.tls {
            Some(config) => {
                Line::secure(socket, config, server.ip()).map_err(std::io::Error::other)
            }
            None => Ok(Line::plain(socket)),
        }
    }

    /// An introduction came to nothing.
    fn fail(&mut self, slot: usize, sentence: &str) {
        let id = self.peers[slot].agent.id(self.options);
        self.tally.remark(format!("{id}: {sentence}"));
        self.end(slot, false);
    }

    fn ready(&mut self, slot: usize, flags: EventFlags) {
        let peer = &mut self.peers[slot];
        let Some(line) = &peer.line else { return };
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        match peer.agent.phase {
            Phase::Connecting => match socket::connected(&line.socket) {
                Ok(()) if flags.contains(EventFlags::OUT) => {
                    peer.agent.connected(self.options, &mut self.out);
                    peer.flush(&mut self.out);
                    self.note_arrival(slot);
                }
                Ok(()) => {}
                Err(error) => self.fail(slot, &format!("connect: {error}")),
            },
            Phase::Holding if !ended => {}
            Phase::Holding => self.end(slot, false),
            Phase::Open if peer.agent.role == Role::Stall => {
                if ended {
                    self.end(slot, false);
                }
            }
            _ => {
                peer.flush(&mut self.out);
                self.read(slot, ended);
            }
        }
    }

    /// Reads until there is no more: readiness is told once.
    fn read(&mut self, slot: usize, ended: bool) {
        loop {
            let peer = &mut self.peers[slot];
            let (filled, more) = match peer.fill(&mut self.input) {
                Ok(Some(filled)) => filled,
                Ok(None) => return self.note_arrival(slot),
                Err(_) => return self.end(slot, false),
            };
            let input = &mut self.input[..filled];
            let (agent, tally, out) = (&mut peer.agent, &mut self.tally, &mut self.out);
            let (used, next) = agent.receive(input, now_ns(), self.options, tally, out);
            peer.kept.extend_from_slice(&input[used..]);
            peer.flush(out);
            self.carry_out(slot, next);
            self.note_arrival(slot);
            // An end that was told of is read at once: it may not be told of again.
            if !more && !ended {
                return;
            }
        }
    }

    /// An agent that comes no further counts as introduced once TLS is done.
    fn note_arrival(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        let is_done = peer
            .line
            .as_ref()
            .is_some_and(|line| !line.is_handshaking());
        if peer.agent.phase == Phase::Arriving && is_done {
            let next = peer.agent.hold(now_ns(), &mut self.tally);
            self.carry_out(slot, next);
        }
    }

    fn carry_out(&mut self, slot: usize, next: Next) {
        let peer = &mut self.peers[slot];
        match next {
            Next::Nothing => {}
            Next::Introduced => {
                peer.under_way = false;
                self.under_way -= 1;
                if let (Role::Stall, Some(line)) = (peer.agent.role, &peer.line)
                    && let Err(error) = socket::stop_reading(&self.epoll, &line.socket, slot as u64)
                {
                    self.tally.remark(format!("epoll_ctl: {error}"));
                }
            }
            Next::AnswerLater => {
                let delay = self.options.delay_of(peer.agent.role);
                self.arm(slot, Timer::Answer, as_ns(delay));
            }
            Next::AwaitEnd => self.arm(slot, Timer::End, END_TIMEOUT),
            Next::Cut => self.end(slot, true),
        }
    }

    fn arm(&mut self, slot: usize, timer: Timer, after: u64) {
        let attempt = self.peers[slot].agent.attempt;
        self.timers.arm(Due {
            at: now_ns() + after,
            slot,
            attempt,
            timer,
        });
    }

    /// A connection has ended; `cut` if it was this side that ended it without a word.
    fn end(&mut self, slot: usize, cut: bool) {
        let peer = &mut self.peers[slot];
        if peer.agent.phase == Phase::Gone {
            return;
        }
        peer.agent.end(now_ns(), cut, &mut self.tally);
        peer.hang_up();
        self.open -= 1;
        if std::mem::take(&mut peer.under_way) {
            self.under_way -= 1;
            self.tally.connect_failures += 1;
        }
        if self.options.reconnect && !cut && peer.agent.may_return {
            let hint = peer
                .agent
                .reconnect_after
                .map(|ms| ms.saturating_mul(1_000_000));
            self.returning += 1;
            self.arm(
                slot,
                Timer::Return,
                hint.unwrap_or(RETURN_DELAY).min(MAX_RETURN_DELAY),
            );
        }
    }

    fn expire(&mut self, due: Due) {
        let (slot, peer) = (due.slot, &mut self.peers[due.slot]);
        if peer.agent.attempt != due.attempt {
            return;
        }
        match due.timer {
            Timer::Introduction if peer.under_way => self.fail(slot, "not introduced in time"),
            Timer::Introduction => {}
            Timer::Answer => {
                peer.agent
                    .answer(self.options, &mut self.tally, &mut self.out);
                peer.flush(&mut self.out);
            }
            Timer::End if peer.agent.phase == Phase::Closing => {
                let id = peer.agent.id(self.options);
                self.tally
                    .fault(format!("{id}: the server did not end TCP after the close"));
                self.end(slot, true);
            }
            Timer::End => {}
            Timer::Return if !self.has_room() => self.arm(slot, Timer::Return, TURN_DELAY),
            Timer::Return => {
                self.returning -= 1;
                self.connect(slot);
            }
        }
    }

    fn switch_heartbeats(&mut self) {
        let on = self.all_introduced && self.heartbeats_wanted;
        let interval = self.options.heartbeat_interval;
        self.beats = if on {
            Beats::new(now_ns(), interval, self.peers.len())
        } else {
            None
        };
    }

    fn send_heartbeats(&mut self, now: u64) {
        let Some(beats) = &mut self.beats else { return };
        for _ in 0..BEATS_A_TURN {
            let Some((due, slot)) = beats.take(now) else {
                return;
            };
            let peer = &mut self.peers[slot];
            peer.agent
                .beat(due, self.options, &mut self.tally, &mut self.out);
            peer.flush(&mut self.out);
        }
    }
}
