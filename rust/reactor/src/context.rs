//! What every handler of one turn shares: the time, the settings, the way out.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use dscore_proto::agent;
use dscore_traffic::ConnId;
use dscore_traffic::command::ServingState;
use dscore_traffic::event::{AddressLimit, Event};

use crate::addresses::{AddressCounts, Addresses};
use crate::engineio_request::EngineIoRequest;
use crate::form::Form;
use crate::pace::Pace;
use crate::pacer::{Pacer, Turn};
use crate::places::Places;
use crate::queue::EventSender;
use crate::settings::Settings;
use crate::stamp::{Date, StampedFrame, TimeOfDay, Timestamp};
use crate::stats::Stats;
use crate::sys::Descriptors;

/// Of the bytes of unfinished input, the part that whole messages may take up besides while they wait for the owner.
const QUEUED_SHARE: u64 = 4;

/// Of the bytes of input, the part that stays for what is unfinished, however much waits for answers.
const UNFINISHED_SHARE: u64 = 8;

/// Room in a buffer that stays after it held more.
const KEPT_BUFFER: usize = 256 * 1024;

/// One reactor's surroundings. Handlers get it beside the peer they work on.
pub(crate) struct Context {
    /// What every deadline is measured in: see [`crate::clock`]. Read at most twice a turn.
    pub(crate) now_ms: u64,
    pub(crate) now_us: u64,
    /// The pool's clock: what the owner is told.
    pub(crate) pool_ms: u64,
    of_day: TimeOfDay,
    /// Which reactor this is, and of how many.
    pub(crate) reactor: u8,
    pub(crate) reactors: u8,
    pub(crate) settings: Arc<Settings>,
    pub(crate) serving: ServingState,
    pub(crate) stats: Stats,
    /// Bytes of requests that wait for their answers: no shedding frees them before.
    pub(crate) asked_bytes: u64,
    pub(crate) events: EventSender,
    /// Who has a place, where all are taken.
    pub(crate) places: Places,
    /// Upgrades and openings that wait for their turn.
    pub(crate) pacer: Pacer,
    /// What each address has, where that is limited.
    addresses: Addresses,
    /// What sockets ask of sessions that are not their own.
    pub(crate) requests: VecDeque<EngineIoRequest>,
    /// Bytes for the peer at hand; `with_peer` settles that peer before the next.
    pub(crate) out: Vec<u8>,
    /// A message being written, before it is framed.
    text: Vec<u8>,
    /// A message being heard, in the words of every dialect.
    pub(crate) said: Vec<u8>,
    timestamp: Timestamp,
    date: Date,
    /// The `message` of every heartbeat_response, as a JSON string.
    heartbeat_message: String,
    heartbeat_response: StampedFrame,
    /// The same as a Socket.IO event.
    heartbeat_event: StampedFrame,
}

impl Context {
    pub(crate) fn new(settings: Arc<Settings>, events: EventSender) -> Self {
        let mut context = Self {
            now_ms: 0,
            now_us: 0,
            pool_ms: 0,
            of_day: TimeOfDay::default(),
            reactor: 0,
            reactors: 1,
            settings: settings.clone(),
            serving: ServingState::default(),
            stats: Stats::default(),
            asked_bytes: 0,
            events,
            places: Places::default(),
            pacer: Pacer::new(0, Arc::new(Pace::new(1))),
            addresses: Addresses::new(Arc::default()),
            requests: VecDeque::new(),
            out: Vec::new(),
            text: Vec::new(),
            said: Vec::new(),
            timestamp: Timestamp::default(),
            date: Date::default(),
            heartbeat_message: String::new(),
            heartbeat_response: StampedFrame::default(),
            heartbeat_event: StampedFrame::default(),
        };
        context.configure(settings);
        context
    }

    /// What time it is for all that comes next, on the pool's clock and of day; `read` reads the clock of that.
    pub(crate) fn set_time(&mut self, pool_us: u64, read: impl FnOnce() -> SystemTime) {
        self.of_day.set(pool_us, read);
        self.pool_ms = pool_us / 1_000;
    }

    /// What time it is for deadlines.
    pub(crate) fn set_now(&mut self, now_us: u64) {
        self.now_us = now_us;
        self.now_ms = now_us / 1_000;
    }

    /// A time that deadlines are measured in, on the pool's clock: as long ago on either.
    pub(crate) fn on_pool_clock(&self, then_ms: u64) -> u64 {
        self.pool_ms - self.now_ms.saturating_sub(then_ms)
    }

    pub(crate) fn configure(&mut self, settings: Arc<Settings>) {
        let mut quoted = Vec::new();
        agent::encode_string(&settings.heartbeat_message, &mut quoted);
        self.heartbeat_message = String::from_utf8_lossy(&quoted).into_owned();
        self.events.bound_bytes(settings.input_bytes / QUEUED_SHARE);
        self.settings = settings;
        self.heartbeat_response = StampedFrame::default();
        self.heartbeat_event = StampedFrame::default();
    }

    /// How much of requests may wait for their answers.
    pub(crate) fn max_asked_bytes(&self) -> u64 {
        self.settings.input_bytes - self.settings.input_bytes / UNFINISHED_SHARE
    }

    /// How much may be held beside that until the rest of it comes, or its turn.
    pub(crate) fn max_unfinished_bytes(&self) -> u64 {
        let most = self.settings.input_bytes;
        let left = most.saturating_sub(self.asked_bytes);
        left.max(most / UNFINISHED_SHARE)
    }

    /// How much is.
    pub(crate) fn unfinished_bytes(&self) -> u64 {
        self.stats.input_bytes - self.asked_bytes
    }

    /// What time it is, in HTTP's form, and where it is to be written.
    pub(crate) fn date_and_out(&mut self) -> (&str, &mut Vec<u8>) {
        (self.date.at(self.of_day.now()), &mut self.out)
    }

    /// Gives back what buffers have grown to beyond what they nearly always hold.
    pub(crate) fn shrink(&mut self) {
        for buffer in [&mut self.out, &mut self.text, &mut self.said] {
            if buffer.capacity() > KEPT_BUFFER {
                *buffer = Vec::new();
            }
        }
    }

    /// Asks for the turn of an upgrade or an opening. A drain turns all of them away, and lets none wait for that.
    pub(crate) fn ask_for_turn(&mut self, conn: ConnId) -> Turn {
        let (pool_us, now_ms) = (self.pool_ms * 1_000, self.now_ms);
        let turn = self.pacer.ask(conn, pool_us, now_ms, self.pace());
        match turn {
            Turn::Go => {}
            Turn::Wait => self.stats.upgrades_delayed_total += 1,
            Turn::ComeAgain(_) => self.stats.refused_total += 1,
        }
        turn
    }

    /// The next that has waited for its turn long enough.
    pub(crate) fn next_turn(&mut self) -> Option<(ConnId, Turn)> {
        let (pool_us, now_ms) = (self.pool_ms * 1_000, self.now_ms);
        let next = self.pacer.next(pool_us, now_ms, self.pace());
        if let Some((_, Turn::ComeAgain(_))) = next {
            self.stats.refused_total += 1;
        }
        next
    }

    /// When `next_turn` may have one, ms.
    pub(crate) fn next_turn_ms(&self) -> Option<u64> {
        self.pacer.next_ms(self.pool_ms, self.now_ms, self.pace())
    }

    /// Turns a second; 0: any.
    fn pace(&self) -> f64 {
        match self.serving {
            ServingState::Draining => 0.0,
            ServingState::Open | ServingState::Maintenance => self.settings.accept_rate,
        }
    }

    /// What each address has is counted together with the other reactors.
    pub(crate) fn count_addresses_in(&mut self, counts: Arc<AddressCounts>) {
        self.addresses = Addresses::new(counts);
    }

    /// Whether an address may have one more conversation, which [`Self::hold_address`] names.
    pub(crate) fn take_address(&mut self, address: IpAddr) -> bool {
        let may = self.addresses.take(address, &self.settings);
        if !may {
            self.stats.address_connections_refused_total += 1;
            self.stats.refused_total += 1;
            self.tell_of_address(AddressLimit::Connections, address);
        }
        may
    }

    /// The conversation that an address was given last.
    pub(crate) fn hold_address(&mut self, conn: ConnId, address: IpAddr) {
        self.addresses.hold(conn, address, &self.settings);
    }

    /// A conversation has ended.
    pub(crate) fn release_address(&mut self, conn: ConnId) {
        self.addresses.release(conn);
    }

    /// Whether the address of a conversation may introduce itself once more.
    pub(crate) fn may_introduce(&mut self, conn: ConnId) -> bool {
        let introduced = self.addresses.introduce(conn, self.pool_ms, &self.settings);
        if let Err(address) = introduced {
            self.stats.address_introductions_refused_total += 1;
            self.tell_of_address(AddressLimit::Introductions, address);
        }
        introduced.is_ok()
    }

    fn tell_of_address(&mut self, limit: AddressLimit, address: IpAddr) {
        if let Some(refused) = self.addresses.refused(limit, address, self.pool_ms) {
            self.tell(Event::AddressRefused(Box::new(refused)));
        }
    }

    /// A place for a connection that came when all were taken, and turns out to be an agent's.
    pub(crate) fn take_place(&mut self) -> bool {
        self.places.take(self.places_in_all())
    }

    /// Whether there would be one.
    pub(crate) fn has_place(&self) -> bool {
        self.places.can_take(self.places_in_all())
    }

    /// Where descriptors are short there are none but those that others yield.
    fn places_in_all(&self) -> usize {
        if Descriptors::new().are_short_now() {
            0
        } else {
            self.settings.max_connections
        }
    }

    /// Whether another reactor has this connection, if any has.
    pub(crate) fn is_elsewhere(&self, conn: ConnId) -> bool {
        conn.reactor() != self.reactor && conn.reactor() < self.reactors
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Asks for [`Order::Settled`](crate::queue::Order::Settled) once the owner is done with all it was told so far.
    pub(crate) fn ask_to_settle(&mut self, conn: ConnId) {
        self.events.push_fence(conn);
    }

    /// Queues one text message for the peer at hand, written by `write`.
    pub(crate) fn send_text(&mut self, form: Form, write: impl FnOnce(&str, &mut Vec<u8>)) {
        self.text.clear();
        let timestamp = self.timestamp.at(self.pool_ms, self.of_day.now());
        write(timestamp, &mut self.text);
        form.encode_text(&self.text, &mut self.out);
        self.stats.messages_sent_total += 1;
    }

    /// Queues a frame that exists already.
    pub(crate) fn send_frame(&mut self, frame: &[u8]) {
        self.out.extend_from_slice(frame);
        self.stats.messages_sent_total += 1;
    }

    /// Queues a heartbeat_response: the same bytes for every agent that beats in the same millisecond.
    pub(crate) fn send_heartbeat_response(&mut self, form: Form) {
        let response = match form {
            Form::Event => &mut self.heartbeat_event,
            Form::Bare | Form::Packet(_) => &mut self.heartbeat_response,
        };
        let timestamp = self.timestamp.at(self.pool_ms, self.of_day.now());
        let frame = response.at(self.pool_ms, timestamp, |frame| {
            let next_ms = self.settings.next_heartbeat_in;
            self.text.clear();
            agent::encode_heartbeat_response(
                timestamp,
                &self.heartbeat_message,
                next_ms,
                &mut self.text,
            );
            form.encode_text(&self.text, frame);
        });
        self.out.extend_from_slice(frame);
        self.stats.messages_sent_total += 1;
    }
}
