//! The porter: a thread that makes connections of sockets on which more comes first than HTTP. It reads PROXY headers, does
//! TLS handshakes, and gives each finished connection to the reactor with the fewest.
//!
//! A handshake costs as much as a hundred heartbeats; on a thread of their own, which is nice, a storm of them delays no
//! agent that is connected. A turn: *wait → tasks → sockets → turns that came → deadlines → hand over*. Handshakes go on at
//! the pace of `limits.accept_rate` ([`crate::pacer`]), in the order in which they came; those that came too soon wait,
//! which is no client's fault and counts for none of its deadlines.
//!
//! So many sockets may be inside at once: [`crowd`].

mod crowd;
mod guest;
mod refusals;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dscore_tls::TlsConfig;
use dscore_traffic::ConnId;
use dscore_traffic::command::ServingState;

use crate::clock::Clock;
use crate::door::{Door, Task};
use crate::handle::Shared;
use crate::pace::Pace;
use crate::pacer::{Pacer, Turn};
use crate::places::taken;
use crate::queue::{AcceptedSocket, EventSender, Order};
use crate::settings::Settings;
use crate::stream::Moving;
use crate::sys::{Poller, Readiness, ReadyList};
use crate::table::Table;
use guest::{Connection, Guest, Next};
use refusals::{Reason, Refusals};

/// Of the thread: reactors come first.
const NICENESS: i32 = 10;
/// Sockets looked at in one turn.
const MAX_READY: usize = 256;
/// Tasks taken in one turn.
const MAX_TASKS: usize = 256;
/// A ClientHello is shorter, and so is all else that a client sends at once.
const BUFFER: usize = 16 * 1024;
/// How often deadlines are looked at.
const SWEEP_MS: u64 = 100;
/// A reactor whose queue is full is tried again so soon.
const RETRY: Duration = Duration::from_millis(1);
const WAKER: u64 = u64::MAX;

/// The thread's own.
pub(crate) struct Porter {
    door: Arc<Door>,
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    tls: Option<Arc<TlsConfig>>,
    serving: ServingState,
    poller: Poller,
    guests: Table<Guest>,
    pacer: Pacer,
    /// Connections for which their reactor had no room yet.
    finished: VecDeque<Box<AcceptedSocket>>,
    clock: Clock,
    now_ms: u64,
    pool_us: u64,
    swept_ms: u64,
    refusals: Refusals,
    stopping: bool,
}

impl Porter {
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new(
        door: Arc<Door>,
        shared: Arc<Shared>,
        settings: Arc<Settings>,
        tls: Option<Arc<TlsConfig>>,
        events: EventSender,
    ) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        poller.add_waker(&door.sleeper.waker, WAKER)?;
        Ok(Self {
            door,
            shared,
            settings,
            tls,
            serving: ServingState::default(),
            poller,
            guests: Table::new(0),
            pacer: Pacer::new(0, Arc::new(Pace::new(1))),
            finished: VecDeque::new(),
            clock: Clock::new(),
            now_ms: 0,
            pool_us: 0,
            swept_ms: 0,
            refusals: Refusals::new(events),
            stopping: false,
        })
    }

    /// Turns until it is told to stop.
    pub(crate) fn run(&mut self) {
        let thread = Some(rustix::thread::gettid());
        // A system that does not let a thread be nice has no storm that it could not bear.
        let _is_nice = rustix::process::setpriority_process(thread, NICENESS);
        let mut ready = ReadyList::with_capacity(MAX_READY);
        let mut buffer = vec![0; BUFFER].into_boxed_slice();
        while !self.stopping {
            self.wait(&mut ready);
            self.take_tasks(&mut buffer);
            for (token, readiness) in ready.iter() {
                if token == WAKER {
                    self.door.sleeper.waker.clear();
                    continue;
                }
                self.serve_socket(ConnId::from_u64(token), readiness, &mut buffer);
            }
            self.serve_turns();
            self.sweep(&mut buffer);
            self.assign();
            self.publish();
        }
    }

    fn wait(&mut self, ready: &mut ReadyList) {
        self.door.sleeper.park();
        let mut timeout = if self.guests.is_empty() {
            None
        } else {
            Some(Duration::from_millis(SWEEP_MS))
        };
        let next_ms = self
            .pacer
            .next_ms(self.pool_us / 1_000, self.now_ms, self.pace());
        if let Some(at_ms) = next_ms {
            let until = Duration::from_millis(at_ms.saturating_sub(self.now_ms));
            timeout = Some(timeout.map_or(until, |timeout| timeout.min(until)));
        }
        if !self.finished.is_empty() {
            timeout = Some(RETRY);
        }
        if !self.door.is_empty() {
            timeout = Some(Duration::ZERO);
        }
        let now_us = self.shared.now_us();
        self.clock.read(now_us);
        let meant_us = timeout.map_or(u64::MAX, |time| now_us + time.as_micros() as u64);
        self.clock.sleep_until(meant_us);
        if self.poller.wait(ready, timeout).is_err() {
            // A poller that fails is broken for good.
            std::thread::sleep(RETRY);
        }
        self.door.sleeper.unpark();
        self.pool_us = self.shared.now_us();
        self.clock.read(self.pool_us);
        self.now_ms = self.clock.now_us() / 1_000;
        self.refusals.at(self.now_ms);
    }

    fn serve_socket(&mut self, conn: ConnId, readiness: Readiness, buffer: &mut [u8]) {
        if readiness.writable {
            self.with_guest(conn, Guest::on_writable);
        }
        if readiness.readable || readiness.hung_up {
            self.hear(conn, buffer);
        }
    }

    fn hear(&mut self, conn: ConnId, buffer: &mut [u8]) {
        let (tls, now_ms) = (self.tls.clone(), self.now_ms);
        self.with_guest(conn, |guest, refusals| {
            guest.on_readable(buffer, tls.as_ref(), now_ms, refusals)
        });
    }

    fn take_tasks(&mut self, buffer: &mut [u8]) {
        for _ in 0..MAX_TASKS {
            match self.door.take() {
                None => return,
                Some(Task::Arrived(arrival)) => self.let_in(arrival, buffer),
                Some(Task::Configure(settings)) => self.settings = settings,
                Some(Task::Certify(tls)) => self.tls = Some(tls),
                Some(Task::Serve(serving)) => self.serving = serving,
                Some(Task::Stop) => {
                    self.stopping = true;
                    return;
                }
            }
        }
    }

    /// Works on a guest, and does what comes of it.
    fn with_guest(&mut self, conn: ConnId, work: impl FnOnce(&mut Guest, &mut Refusals) -> Next) {
        let pace = self.pace();
        let Some(guest) = self.guests.get_mut(conn) else {
            return;
        };
        let mut next = work(guest, &mut self.refusals);
        if matches!(next, Next::Asks) && self.pacer.len() >= self.door.most() {
            // The last to come: those that have waited are nearer to their turn.
            self.refusals
                .refuse(guest.ends(), Reason::Crowded, "no_turn");
            next = Next::Gone;
        }
        if matches!(next, Next::Asks) {
            next = match self.pacer.ask(conn, self.pool_us, self.now_ms, pace) {
                Turn::Go => guest.go_on(self.now_ms, &mut self.refusals),
                Turn::Wait => {
                    guest.waits_since_ms = Some(self.pool_us / 1_000);
                    Next::Stays
                }
                Turn::ComeAgain(_) => {
                    self.refusals.stats.refused_total += 1;
                    Next::Gone
                }
            };
        }
        match next {
            Next::Connected(connection) => self.connect(conn, *connection),
            Next::Gone => self.remove(conn),
            Next::Stays | Next::Asks => self.settle(conn),
        }
    }

    /// Watches a guest for what it waits for.
    fn settle(&mut self, conn: ConnId) {
        let Some(guest) = self.guests.get_mut(conn) else {
            return;
        };
        if guest.is_refused() {
            // It was told why; so long its words may take.
            let until_ms = self.now_ms + self.settings.close_timeout;
            guest.deadline_ms = guest.deadline_ms.min(until_ms);
        }
        let interest = guest.interest();
        if interest == guest.watched {
            return;
        }
        guest.watched = interest;
        let token = conn.to_u64();
        if self.poller.modify(guest.socket(), token, interest).is_err() {
            self.remove(conn);
        }
    }

    /// A guest has left.
    fn remove(&mut self, conn: ConnId) {
        if let Some(guest) = self.guests.remove(conn) {
            if let Some(since_ms) = guest.waits_since_ms {
                self.pacer.leave(since_ms, conn);
            }
            self.door.leave();
        }
    }

    /// A guest has become a connection: it is on its way to a reactor from here on.
    fn connect(&mut self, conn: ConnId, connection: Connection) {
        let Some(guest) = self.guests.remove(conn) else {
            return;
        };
        self.door.leave();
        let is_short = guest.is_short;
        let (socket, ends) = guest.into_socket();
        if self.poller.delete(&socket).is_err() {
            return;
        }
        let names = connection.certificate_names;
        let most = self.settings.max_connections;
        self.finished.push_back(Box::new(AcceptedSocket {
            stream: Moving::new(socket, connection.tls),
            ends,
            certificate_names: (!names.is_empty()).then(|| names.into()),
            is_extra: is_short || taken(&self.shared.handles) >= most,
            input: connection.input,
        }));
        self.assign();
    }

    /// Gives finished connections to the reactors with the fewest; the porter waits for none.
    fn assign(&mut self) {
        while let Some(accepted) = self.finished.pop_front() {
            let handles = self.shared.handles.iter();
            let Some(least) = handles.min_by_key(|handle| handle.load()) else {
                return;
            };
            least.add_load();
            if let Err(Order::Adopt(accepted)) = least.commands.try_push(Order::Adopt(accepted)) {
                least.drop_load();
                self.finished.push_front(accepted);
                return;
            }
        }
    }

    /// Lets those go on whose turn has come.
    fn serve_turns(&mut self) {
        for _ in 0..MAX_TASKS {
            let pace = self.pace();
            let Some((conn, turn)) = self.pacer.next(self.pool_us, self.now_ms, pace) else {
                return;
            };
            let pool_ms = self.pool_us / 1_000;
            if let Some(guest) = self.guests.get_mut(conn) {
                // The wait was ours.
                let waited_ms = pool_ms - guest.waits_since_ms.unwrap_or(pool_ms);
                guest.deadline_ms += waited_ms;
                guest.heard_ms = self.now_ms;
            }
            let now_ms = self.now_ms;
            self.with_guest(conn, |guest, refusals| match turn {
                Turn::Go | Turn::Wait => guest.go_on(now_ms, refusals),
                Turn::ComeAgain(_) => {
                    guest.waits_since_ms = None;
                    refusals.stats.refused_total += 1;
                    Next::Gone
                }
            });
        }
    }

    fn publish(&mut self) {
        let stats = &mut self.refusals.stats;
        stats.tls_handshakes_running = self.guests.len() as u64;
        stats.tls_handshakes_waiting = self.pacer.len() as u64;
        self.door.publish(stats);
        self.refusals.flush();
    }

    /// Handshakes a second; 0: any. A drain turns all away, and lets none wait for that.
    fn pace(&self) -> f64 {
        match self.serving {
            ServingState::Draining => 0.0,
            ServingState::Open | ServingState::Maintenance => self.settings.accept_rate,
        }
    }
}

impl Drop for Porter {
    /// Figures end true.
    fn drop(&mut self) {
        let stats = &mut self.refusals.stats;
        stats.tls_handshakes_running = 0;
        stats.tls_handshakes_waiting = 0;
        self.door.publish(stats);
        self.door.close();
    }
}
