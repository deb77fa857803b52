//! One socket with the porter: its PROXY header, then its first byte, then its handshake.
//!
//! | phase | header is whole | a handshake begins | plain bytes | hello is whole | done | deadline, end |
//! |---|---|---|---|---|---|---|
//! | header | first | — | — | — | — | gone |
//! | first | — | shaking | handed over, or refused | — | — | gone |
//! | shaking | — | — | — | waits for its turn | handed over | gone |
//! | refused | refused | refused | refused | refused | refused | gone |
//!
//! Refused means that the reason is on its way; input is only waited out, for closing at once would destroy it.

use std::sync::Arc;

use dscore_proto::http::{self, Particulars};
use dscore_proto::proxy;
use dscore_tls::{Handshake, Progress, Refusal, Tls, TlsConfig, begins_handshake};
use dscore_traffic::event::Ends;

use crate::door::{Arrival, Speech};
use crate::places::TIME_TO_SPEAK_MS;
use crate::sys::{Interest, Received, Sent, Socket};

use super::refusals::{Reason, Refusals};

/// Words of a request, by which plain HTTP on a port of TLS shows.
const METHODS: [&[u8]; 6] = [b"GET ", b"POST", b"HEAD", b"OPTI", b"PUT ", b"DELE"];

/// One that has said nothing for so long yields its place, or its descriptor, while others want it.
pub(super) const QUIET_MS: u64 = 1_000;
/// As long may a hello take, and a last flight, where one of them is to make room: a client that says a byte at a time is never
/// quiet.
pub(super) const SLOW_MS: u64 = 3_000;

/// A socket whose connection is not made yet.
pub(super) struct Guest {
    socket: Socket,
    ends: Ends,
    speech: Speech,
    phase: Phase,
    /// What is to be written.
    out: Vec<u8>,
    pub(super) is_short: bool,
    /// When it must be done, or has refused long enough.
    pub(super) deadline_ms: u64,
    /// When it last said something.
    pub(super) heard_ms: u64,
    /// How often it did.
    pub(super) heard: u32,
    /// Since when it is waited for to say what it has to say next, whole.
    pub(super) since_ms: u64,
    /// Its hello was answered: what it owes is a word that takes a round trip.
    is_answered: bool,
    /// Since when it waits for its turn, on the pool's clock.
    pub(super) waits_since_ms: Option<u64>,
    pub(super) watched: Interest,
}

enum Phase {
    /// With what came of it.
    Header(Vec<u8>),
    First,
    Shaking(Box<Handshake>),
    Refused,
}

/// What became of a guest.
pub(super) enum Next {
    /// It stays.
    Stays,
    /// Its hello is whole: it goes on when its turn has come.
    Asks,
    /// It is a connection, with what was said on it already.
    Connected(Box<Connection>),
    /// It has left, or was told why it must.
    Gone,
}

/// What a guest has become.
pub(super) struct Connection {
    /// None for a plain one.
    pub(super) tls: Option<Tls>,
    /// What was said on it already.
    pub(super) input: Vec<u8>,
    pub(super) certificate_names: Vec<String>,
}

impl Guest {
    pub(super) fn new(arrival: Arrival, now_ms: u64, timeout_ms: u64) -> Self {
        let phase = if arrival.expects.header {
            Phase::Header(Vec::new())
        } else {
            Phase::First
        };
        Self {
            socket: arrival.socket,
            ends: arrival.ends,
            speech: arrival.expects.speech,
            phase,
            out: Vec::new(),
            is_short: arrival.is_short,
            deadline_ms: now_ms + timeout_ms,
            heard_ms: now_ms,
            heard: 0,
            since_ms: now_ms,
            is_answered: false,
            waits_since_ms: None,
            watched: Interest::READ,
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Where it comes from and to.
    pub(super) fn ends(&self) -> &Ends {
        &self.ends
    }

    /// What has not come of it, as the cause of its end.
    pub(super) fn what_it_owes(&self) -> &'static str {
        if self.is_answered {
            "no_answer"
        } else {
            "no_hello"
        }
    }

    /// It has left. One that never began a handshake looked at the port, as a proxy's checks do: no line is worth that.
    fn count_gone(&self, refusals: &mut Refusals) {
        match self.phase {
            Phase::Shaking(_) => refusals.refuse(&self.ends, Reason::Gone, self.what_it_owes()),
            Phase::Header(_) | Phase::First => refusals.count(Reason::Gone),
            // It was counted then.
            Phase::Refused => {}
        }
    }

    /// With where it comes from and to, for its connection.
    pub(super) fn into_socket(self) -> (Socket, Ends) {
        (self.socket, self.ends)
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused)
    }

    /// Whether it is to make room for others: it was silent for long, or has shown nothing yet where it had the time to.
    pub(super) fn yields(&self, now_ms: u64) -> bool {
        let has_shown = self.is_answered || self.speech == Speech::Tls;
        let quiet_ms = if has_shown {
            QUIET_MS
        } else {
            TIME_TO_SPEAK_MS
        };
        let is_quiet = self.heard_ms + quiet_ms <= now_ms;
        self.waits_since_ms.is_none() && (is_quiet || self.is_slow(now_ms, SLOW_MS))
    }

    /// Whether it takes longer than it may to say what it has to, however often it says something.
    pub(super) fn is_slow(&self, now_ms: u64, most_ms: u64) -> bool {
        self.waits_since_ms.is_none() && self.since_ms + most_ms <= now_ms
    }

    /// How long it may take over what it has to say while all places are taken. A last flight takes a round trip, which a
    /// slow link may have, and an answer that was dear.
    pub(super) fn crowded_ms(&self) -> u64 {
        if self.is_answered {
            QUIET_MS
        } else {
            TIME_TO_SPEAK_MS
        }
    }

    /// What it is to be watched for.
    pub(super) fn interest(&self) -> Interest {
        Interest {
            read: self.waits_since_ms.is_none(),
            write: !self.out.is_empty(),
        }
    }

    /// Reads once and acts on it.
    pub(super) fn on_readable(
        &mut self,
        buffer: &mut [u8],
        tls: Option<&Arc<TlsConfig>>,
        now_ms: u64,
        refusals: &mut Refusals,
    ) -> Next {
        let count = match self.socket.receive(buffer) {
            Received::Bytes(count) => count,
            Received::Nothing => return Next::Stays,
            Received::End | Received::Broken(_) => {
                self.count_gone(refusals);
                return Next::Gone;
            }
        };
        self.heard_ms = now_ms;
        self.heard = self.heard.wrapping_add(1);
        let input = buffer.get(..count).unwrap_or_default();
        match &mut self.phase {
            Phase::Header(kept) => {
                kept.extend_from_slice(input);
                self.on_header(tls, refusals)
            }
            Phase::First => self.on_first(input.to_vec(), tls, refusals),
            Phase::Shaking(handshake) => {
                let progress = handshake.on_data(input);
                self.after(progress, refusals)
            }
            Phase::Refused => Next::Stays,
        }
    }

    /// Its turn has come. One that has left while it waited costs no handshake.
    pub(super) fn go_on(&mut self, now_ms: u64, refusals: &mut Refusals) -> Next {
        self.since_ms = now_ms;
        if self.waits_since_ms.take().is_some() {
            match self.socket.receive(&mut [0]) {
                Received::Nothing => {}
                Received::Bytes(_) | Received::End | Received::Broken(_) => {
                    self.count_gone(refusals);
                    return Next::Gone;
                }
            }
        }
        let Phase::Shaking(handshake) = &mut self.phase else {
            return Next::Stays;
        };
        self.is_answered = true;
        let progress = handshake.go_on();
        self.after(progress, refusals)
    }

    /// Writes what waits; then it may be done.
    pub(super) fn on_writable(&mut self, refusals: &mut Refusals) -> Next {
        if !self.flush() {
            return Next::Gone;
        }
        match &mut self.phase {
            // It was done but for this.
            Phase::Shaking(handshake) if self.out.is_empty() => {
                let progress = handshake.on_data(&[]);
                self.after(progress, refusals)
            }
            _ => Next::Stays,
        }
    }

    fn on_header(&mut self, tls: Option<&Arc<TlsConfig>>, refusals: &mut Refusals) -> Next {
        let Phase::Header(kept) = &mut self.phase else {
            return Next::Stays;
        };
        let (header, length) = match proxy::parse(kept) {
            Ok(None) => return Next::Stays,
            Ok(Some(read)) => read,
            Err(_) => {
                refusals.refuse_header(&self.ends);
                let detail = "this port expects the PROXY protocol from this address";
                return self.refuse_plain(400, detail);
            }
        };
        let rest = kept.split_off(length);
        // Even where it says nothing of the client: who it is the proxy of is not known, and is never this machine itself.
        self.ends.proxy = Some(self.ends.peer.ip());
        if let Some((client, local)) = header.addresses {
            (self.ends.peer, self.ends.local) = (client, local);
        }
        self.ends.is_secure = header.is_secure;
        self.phase = Phase::First;
        if rest.is_empty() && self.speech != Speech::Plain {
            return Next::Stays;
        }
        self.on_first(rest, tls, refusals)
    }

    fn on_first(
        &mut self,
        input: Vec<u8>,
        tls: Option<&Arc<TlsConfig>>,
        refusals: &mut Refusals,
    ) -> Next {
        let is_tls = input.first().is_some_and(|first| begins_handshake(*first));
        match (self.speech, tls) {
            (Speech::Tls | Speech::Either { .. }, Some(tls)) if is_tls => {
                self.ends.is_secure = true;
                let mut handshake = Box::new(Handshake::new(tls.clone()));
                let progress = handshake.on_data(&input);
                self.phase = Phase::Shaking(handshake);
                self.after(progress, refusals)
            }
            (Speech::Plain | Speech::Either { may_be_plain: true }, _) => {
                connected(None, input, Vec::new())
            }
            (Speech::Tls | Speech::Either { .. }, _) => {
                refusals.refuse(&self.ends, Reason::Plaintext, "plaintext");
                if METHODS.iter().any(|method| input.starts_with(method)) {
                    let detail = "this port speaks TLS: use https:// or wss://";
                    return self.refuse_plain(400, detail);
                }
                Next::Gone
            }
        }
    }

    fn after(&mut self, progress: Result<Progress, Refusal>, refusals: &mut Refusals) -> Next {
        let Phase::Shaking(handshake) = &mut self.phase else {
            return Next::Stays;
        };
        self.out.append(handshake.output());
        let is_broken = !self.flush();
        match progress {
            Err(refusal) => {
                refusals.refuse_handshake(&self.ends, refusal);
                self.phase = Phase::Refused;
                self.leave_politely()
            }
            Ok(_) if is_broken => {
                self.count_gone(refusals);
                Next::Gone
            }
            Ok(Progress::Waits) => Next::Stays,
            Ok(Progress::Ready) => Next::Asks,
            Ok(Progress::Done) if !self.out.is_empty() => Next::Stays,
            Ok(Progress::Done) => self.establish(refusals),
        }
    }

    fn establish(&mut self, refusals: &mut Refusals) -> Next {
        let Phase::Shaking(handshake) = std::mem::replace(&mut self.phase, Phase::Refused) else {
            return Next::Stays;
        };
        match handshake.establish() {
            Ok(established) => {
                let stats = &mut refusals.stats;
                stats.tls_handshakes_total += 1;
                stats.tls_handshakes_resumed_total += u64::from(established.is_resumed);
                let (input, names) = (established.input, established.certificate_names);
                connected(Some(established.tls), input, names)
            }
            Err(refusal) => {
                refusals.refuse_handshake(&self.ends, refusal);
                self.leave_politely()
            }
        }
    }

    fn refuse_plain(&mut self, status: u16, detail: &str) -> Next {
        http::error_response(status, detail, Particulars::default(), &mut self.out);
        self.phase = Phase::Refused;
        self.flush();
        self.leave_politely()
    }

    /// Nothing more is said; what was is to arrive.
    fn leave_politely(&self) -> Next {
        self.socket.finish_sending();
        Next::Stays
    }

    /// False if the socket is broken.
    fn flush(&mut self) -> bool {
        if self.out.is_empty() {
            return true;
        }
        match self.socket.send(&self.out) {
            Sent::Bytes(sent) => {
                self.out.drain(..sent);
                true
            }
            Sent::Broken(_) => false,
        }
    }
}

fn connected(tls: Option<Tls>, input: Vec<u8>, certificate_names: Vec<String>) -> Next {
    Next::Connected(Box::new(Connection {
        tls,
        input,
        certificate_names,
    }))
}
