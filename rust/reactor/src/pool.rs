//! The reactors of one server, seen from outside: start them, command them, take their events, stop them.

pub(crate) mod opening;

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use dscore_tls::TlsConfig;
use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, ReactorCommand};
use dscore_traffic::event::Event;
use uuid::Uuid;

use crate::admission::Admission;
use crate::door::{Door, Task};
use crate::handle::{Handle, Shared};
use crate::pace::Pace;
use crate::places::taken;
use crate::porter::Porter;
use crate::queue::{CommandQueue, EventReceiver, Order, Sleeper, Stopped};
use crate::reactor::Reactor;
use crate::settings::{ListenSettings, Settings};
use crate::stats::Stats;
use crate::sys::{Descriptors, boot_time};
use opening::{Bound, OpenError, bind_all, make_porter, make_reactors, named};

/// Commands that may wait for a reactor; past it their giver waits.
const COMMAND_QUEUE: usize = 4_096;
/// Sockets with the porter where there is no TLS: their PROXY headers come at once.
const HANDSHAKES: usize = 1_024;
/// Connections of one `SendMany`: a reactor does a command in one go.
const SEND_MANY: usize = 256;

/// A listening socket and the threads that serve it. All methods may be called from any thread.
#[derive(Debug)]
pub struct ReactorPool {
    shared: Arc<Shared>,
    receiver: Mutex<EventReceiver>,
    reader: Arc<Sleeper>,
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    life: Mutex<Life>,
}

enum Life {
    Made(Vec<Reactor>, Option<Box<Porter>>),
    Running(Vec<JoinHandle<()>>),
    CloseInfo,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Made(..) => "Made",
            Self::Running(_) => "Running",
            Self::CloseInfo => "CloseInfo",
        })
    }
}

impl ReactorPool {
    /// Binds and listens, or takes the socket that was passed on; nothing is accepted yet.
    ///
    /// # Errors
    /// The address cannot be had, no socket was passed, or descriptors have run out.
    pub fn new(listen: &ListenSettings, settings: Settings) -> Result<Self, OpenError> {
        let bound = bind_all(listen)?;
        Self::with(bound, listen, settings).map_err(OpenError::at(listen.address))
    }

    fn with(
        (acceptors, address, tls_address): Bound,
        listen: &ListenSettings,
        settings: Settings,
    ) -> io::Result<Self> {
        let reader = Arc::new(Sleeper::new(true)?);
        // A connection's number has eight bits for its reactor.
        let count = u8::try_from(listen.reactors).unwrap_or(u8::MAX).max(1);
        let mut handles = Vec::with_capacity(count.into());
        for _ in 0..count {
            handles.push(Arc::new(Handle::new(CommandQueue::new(COMMAND_QUEUE)?)));
        }
        let tls = listen.tls.as_ref();
        let handshakes = tls.map_or(HANDSHAKES, |tls| tls.handshakes);
        let needs_porter = tls.is_some() || listen.proxy_protocol;
        let door = needs_porter.then(|| Door::new(handshakes)).transpose()?;
        let shared = Arc::new(Shared {
            handles,
            door: door.map(Arc::new),
            admission: Admission {
                proxy_protocol: listen.proxy_protocol,
                asks_for_tls: tls.is_some_and(|tls| !tls.is_plain_for_all),
            },
            pace: Arc::new(Pace::new(count.into())),
            addresses: Arc::default(),
            start: boot_time(),
        });
        let settings = Arc::new(settings);
        let (reactors, mut rings) =
            make_reactors(&shared, &settings, &reader, acceptors, listen.event_queue)?;
        let porter = make_porter(&shared, &settings, &reader, tls)?.map(|(porter, ring)| {
            rings.push(ring);
            porter
        });
        Ok(Self {
            shared,
            receiver: Mutex::new(EventReceiver::new(rings)),
            reader,
            address,
            tls_address,
            life: Mutex::new(Life::Made(reactors, porter)),
        })
    }

    /// Starts the threads. A second call does nothing.
    ///
    /// # Errors
    /// The process may have no more threads; the pool is then closed.
    pub fn start(&self) -> io::Result<()> {
        let mut life = self.life();
        let (reactors, porter) = match std::mem::replace(&mut *life, Life::CloseInfo) {
            Life::Made(reactors, porter) => (reactors, porter),
            other => {
                *life = other;
                return Ok(());
            }
        };
        let mut threads = Vec::with_capacity(reactors.len());
        for (name, work) in named(reactors, porter) {
            match std::thread::Builder::new().name(name).spawn(work) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    *life = Life::Running(threads);
                    drop(life);
                    self.close();
                    return Err(error);
                }
            }
        }
        *life = Life::Running(threads);
        Ok(())
    }

    /// The bound address of the listener for TLS, where there is one of its own.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Takes other certificates: from now on handshakes are done by them.
    pub fn certify(&self, tls: &Arc<TlsConfig>) {
        self.tell_porter(|| Task::Certify(tls.clone()));
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many reactors there are.
    pub fn reactors(&self) -> usize {
        self.shared.handles.len()
    }

    /// Readable while events wait; None once the pool was closed and all its events were taken.
    pub fn event_fd(&self) -> Option<RawFd> {
        self.reader.waker.as_raw_fd()
    }

    /// Milliseconds since the pool was made, those in which the machine was suspended included: the clock of every time in
    /// an event.
    pub fn now_ms(&self) -> u64 {
        self.shared.now_us() / 1_000
    }

    /// Takes at most `limit` events, and 4 MiB of what peers said, in order for each connection. The descriptor calls
    /// again when there is more.
    ///
    /// Coming again says that the last batch was dealt with. A plain connection that breaks the protocol is not told
    /// so before: what the owner answered to its earlier messages goes out first.
    pub fn take(&self, limit: usize, batch: &mut Vec<Event>) {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        for conn in receiver.take_fences() {
            // With the reactors stopped no peer is left to be told.
            let _stopped = self.order(conn, Order::Settled(conn));
        }
        if receiver.take(limit, batch) {
            return;
        }
        // The order matters: what is pushed after the last look finds us asleep and wakes us.
        self.reader.waker.clear();
        self.reader.park();
        if !receiver.is_empty() || receiver.has_fences() {
            self.reader.wake();
        } else if matches!(*self.life(), Life::CloseInfo) {
            self.reader.waker.close();
        }
    }

    /// Bytes of what peers said in the last batch.
    pub fn taken_bytes(&self) -> u64 {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.last_bytes()
    }

    /// Gives a command to the reactor of `conn`.
    ///
    /// # Errors
    /// The reactors have stopped.
    pub fn command(&self, conn: ConnId, command: Command) -> Result<(), Stopped> {
        self.order(conn, Order::Peer(conn, command))
    }

    /// Gives each reactor a command.
    ///
    /// # Errors
    /// The reactors have stopped.
    pub fn command_all(&self, command: impl Fn() -> ReactorCommand) -> Result<(), Stopped> {
        if self.shared.door.is_some()
            && let ReactorCommand::SetServingState(serving) = command()
        {
            self.tell_porter(|| Task::Serve(serving));
        }
        self.order_all(|| Order::Reactor(command()))
    }

    /// Gives each reactor new limits and times.
    ///
    /// # Errors
    /// The reactors have stopped.
    pub fn configure(&self, settings: Settings) -> Result<(), Stopped> {
        let settings = Arc::new(settings);
        self.tell_porter(|| Task::Configure(settings.clone()));
        self.order_all(|| Order::Configure(settings.clone()))
    }

    /// Sends one frame, or several that lie one after the other, to many: as far as a socket takes them in one write.
    ///
    /// # Errors
    /// The reactors have stopped.
    pub fn send_many(&self, conns: &[ConnId], frames: &Arc<[u8]>) -> Result<(), Stopped> {
        for (number, handle) in self.shared.handles.iter().enumerate() {
            let own: Vec<ConnId> = conns
                .iter()
                .copied()
                .filter(|conn| usize::from(conn.reactor()) == number)
                .collect();
            for part in own.chunks(SEND_MANY) {
                handle
                    .commands
                    .push(Order::SendMany(part.to_vec(), frames.clone()))?;
            }
        }
        Ok(())
    }

    /// Sends terminate_app to one agent, which has `timeout_ms` to answer, and with termination_progress up to
    /// `max_extension_ms` more; returns the id of the request.
    ///
    /// # Errors
    /// The reactors have stopped.
    pub fn terminate(
        &self,
        conn: ConnId,
        timeout_ms: u64,
        max_extension_ms: u64,
        reason: &str,
    ) -> Result<Uuid, Stopped> {
        let request = Uuid::new_v4();
        let reason = reason.into();
        self.command(
            conn,
            Command::Terminate {
                request,
                timeout_ms,
                max_extension_ms,
                reason,
            },
        )?;
        Ok(request)
    }

    /// Counters and gauges, over all reactors.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for handle in &self.shared.handles {
            sum.add(&handle.stats());
        }
        if let Some(door) = &self.shared.door {
            sum.add(&door.stats());
        }
        let handles = &self.shared.handles;
        sum.places_taken = taken(handles) as u64;
        let extra: isize = handles.iter().map(|handle| handle.extra.get()).sum();
        sum.places_short = extra.max(0) as u64;
        let yielding: isize = handles.iter().map(|handle| handle.yields.get()).sum();
        sum.places_yielding = yielding.max(0) as u64;
        sum.descriptors_short = Descriptors::new().are_short_now().into();
        sum
    }

    /// Whether a reactor has ended though it was not stopped: a fault of ours, never of a peer.
    pub fn has_failed(&self) -> bool {
        match &*self.life() {
            Life::Running(threads) => threads.iter().any(JoinHandle::is_finished),
            Life::Made(..) | Life::CloseInfo => false,
        }
    }

    /// Stops the reactors, joins their threads, closes every descriptor. Events not taken stay, and theirs with them. A
    /// second call does nothing.
    pub fn close(&self) {
        let life = std::mem::replace(&mut *self.life(), Life::CloseInfo);
        match life {
            Life::Running(threads) => {
                // First: it would go on to give connections to reactors.
                self.tell_porter(|| Task::Stop);
                let _some_stopped_already = self.order_all(|| Order::Stop);
                for thread in threads {
                    // A thread that panicked has told so on stderr; here it has ended like any other.
                    let _panicked = thread.join();
                }
            }
            Life::Made(reactors, porter) => drop((reactors, porter)),
            Life::CloseInfo => return,
        }
        // The owner may hold a closed pool for as long as it likes: no descriptor stays for that.
        for handle in &self.shared.handles {
            handle.commands.reactor.waker.close();
        }
        if let Some(door) = &self.shared.door {
            door.sleeper.waker.close();
        }
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        self.reader.wake();
        if receiver.is_empty() {
            self.reader.waker.close();
        }
    }

    fn order(&self, conn: ConnId, order: Order) -> Result<(), Stopped> {
        match self.shared.handles.get(usize::from(conn.reactor())) {
            Some(handle) => handle.commands.push(order),
            // No reactor has such a connection: as good as gone.
            None => Ok(()),
        }
    }

    fn order_all(&self, order: impl Fn() -> Order) -> Result<(), Stopped> {
        self.shared
            .handles
            .iter()
            .try_for_each(|handle| handle.commands.push(order()))
    }

    fn tell_porter(&self, task: impl FnOnce() -> Task) {
        if let Some(door) = &self.shared.door {
            door.order(task());
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReactorPool {
    fn drop(&mut self) {
        self.close();
    }
}
