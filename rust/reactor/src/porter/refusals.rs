//! Sockets that become no connection: each is counted, and the owner is told of some, with the cause.
//!
//! A refusal costs its client nothing, and a line of the log is not free. So many of one cause are told of in a second, so
//! many of them of one address: a flood of one cause hides no other one, and that of one address no other address.

use std::collections::HashMap;
use std::net::IpAddr;

use dscore_tls::{Failure, Refusal, ShownCertificate};
use dscore_traffic::event::{Ends, Event, RefusedCertificate, TlsRefused};

use crate::queue::EventSender;
use crate::stats::Stats;

/// Refusals of one cause that are told of in a second.
const MAX_TOLD: usize = 20;
/// Those of one address among them.
const MAX_OF_ADDRESS: usize = 4;

/// Why a socket became no connection, in the words of `dscore_tls_refused_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Plaintext,
    Crowded,
    Timeout,
    Gone,
    Tls(Failure),
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Crowded => "crowded",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
            Self::Tls(Failure::Version) => "version",
            Self::Tls(Failure::Incompatible) => "incompatible",
            Self::Tls(Failure::Certificate) => "certificate",
            Self::Tls(Failure::Refused) => "by_client",
            Self::Tls(Failure::Invalid) => "invalid",
        }
    }

    fn counter(self, stats: &mut Stats) -> &mut u64 {
        match self {
            Self::Plaintext => &mut stats.tls_refused_plaintext_total,
            Self::Crowded => &mut stats.tls_refused_crowded_total,
            Self::Timeout => &mut stats.tls_refused_timeout_total,
            Self::Gone => &mut stats.tls_refused_gone_total,
            Self::Tls(Failure::Version) => &mut stats.tls_refused_version_total,
            Self::Tls(Failure::Incompatible) => &mut stats.tls_refused_incompatible_total,
            Self::Tls(Failure::Certificate) => &mut stats.tls_refused_certificate_total,
            Self::Tls(Failure::Refused) => &mut stats.tls_refused_by_client_total,
            Self::Tls(Failure::Invalid) => &mut stats.tls_refused_invalid_total,
        }
    }
}

/// Of one cause.
#[derive(Debug, Default)]
struct Told {
    /// Whose refusals were told of in this second.
    addresses: Vec<IpAddr>,
    /// Refusals since the last one that was told of.
    left_out: u64,
}

/// Counts, and tells.
#[derive(Debug)]
pub(super) struct Refusals {
    pub(super) stats: Stats,
    events: EventSender,
    second: u64,
    /// By cause, of which there are some thirty.
    told: HashMap<&'static str, Told>,
}

impl Refusals {
    pub(super) fn new(events: EventSender) -> Self {
        Self {
            stats: Stats::default(),
            events,
            second: 0,
            told: HashMap::new(),
        }
    }

    /// A turn begins.
    pub(super) fn at(&mut self, now_ms: u64) {
        let second = now_ms / 1_000;
        if second != self.second {
            self.second = second;
            self.told
                .values_mut()
                .for_each(|told| told.addresses.clear());
        }
    }

    /// A turn is over: the owner is to look.
    pub(super) fn flush(&mut self) {
        self.events.flush();
    }

    /// One is counted, and told of.
    pub(super) fn refuse(&mut self, ends: &Ends, reason: Reason, cause: &'static str) {
        self.count(reason);
        self.tell(ends, reason.name(), cause, None);
    }

    /// The same of what TLS itself has found.
    pub(super) fn refuse_handshake(&mut self, ends: &Ends, refusal: Refusal) {
        let reason = Reason::Tls(refusal.failure);
        self.count(reason);
        let certificate = refusal.certificate.map(|shown| Box::new(refused(*shown)));
        self.tell(ends, reason.name(), refusal.cause, certificate);
    }

    /// One is counted that no line is worth: a port was looked at, and nothing said.
    pub(super) fn count(&mut self, reason: Reason) {
        *reason.counter(&mut self.stats) += 1;
    }

    /// A header of the PROXY protocol was none.
    pub(super) fn refuse_header(&mut self, ends: &Ends) {
        self.stats.proxy_headers_invalid_total += 1;
        self.tell(ends, "proxy_header", "proxy_header", None);
    }

    fn tell(
        &mut self,
        ends: &Ends,
        reason: &'static str,
        cause: &'static str,
        certificate: Option<Box<RefusedCertificate>>,
    ) {
        let address = ends.peer.ip();
        let told = self.told.entry(cause).or_default();
        let of_address = told.addresses.iter().filter(|one| **one == address).count();
        let is_enough = told.addresses.len() >= MAX_TOLD || of_address >= MAX_OF_ADDRESS;
        if is_enough || self.events.is_full() {
            told.left_out += 1;
            return;
        }
        told.addresses.push(address);
        self.events.push(Event::TlsRefused(Box::new(TlsRefused {
            peer: ends.peer,
            proxy: ends.proxy,
            reason,
            cause,
            left_out: std::mem::take(&mut told.left_out),
            certificate,
        })));
    }
}

fn refused(shown: ShownCertificate) -> RefusedCertificate {
    RefusedCertificate {
        names: shown.names,
        issuer: shown.issuer,
        serial: shown.serial,
        not_before_s: shown.not_before_s,
        not_after_s: shown.not_after_s,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::sync::Arc;

    use rtrb::{Consumer, RingBuffer};

    use super::*;
    use crate::queue::{Entry, Sleeper};

    fn refusals(room: usize) -> (Refusals, Consumer<Entry>) {
        let (ring, told) = RingBuffer::new(room);
        let owner = Arc::new(Sleeper::new(true).unwrap());
        let refusals = Refusals::new(EventSender::new(ring, owner, Arc::default()));
        (refusals, told)
    }

    fn from(number: u8) -> Ends {
        let peer = ([192, 0, 2, number], 4711).into();
        Ends::plain(peer, ([192, 0, 2, 1], 443).into())
    }

    /// Of each that was told of: the end of its address, its cause, and how many were left out before.
    fn taken(told: &mut Consumer<Entry>) -> Vec<(u8, &'static str, u64)> {
        let mut all = Vec::new();
        while let Ok(Entry::Event(Event::TlsRefused(refused))) = told.pop() {
            let std::net::IpAddr::V4(address) = refused.peer.ip() else {
                panic!("another address");
            };
            all.push((address.octets()[3], refused.cause, refused.left_out));
        }
        all
    }

    #[test]
    fn a_flood_hides_neither_other_addresses_nor_other_causes() {
        let (mut refusals, mut told) = refusals(256);
        refusals.at(1_000);
        for _ in 0..100 {
            refusals.refuse(&from(9), Reason::Gone, "no_hello");
        }
        refusals.refuse(&from(8), Reason::Gone, "no_hello");
        refusals.refuse(&from(9), Reason::Timeout, "no_answer");
        let mut expected = vec![(9, "no_hello", 0); 4];
        expected.extend([(8, "no_hello", 96), (9, "no_answer", 0)]);
        assert_eq!(taken(&mut told), expected);
        assert_eq!(refusals.stats.tls_refused_gone_total, 101);
    }

    #[test]
    fn a_second_has_so_many_lines_of_one_cause_and_the_next_tells_how_many_were_left_out() {
        let (mut refusals, mut told) = refusals(256);
        refusals.at(1_000);
        for number in 0..30 {
            refusals.refuse(&from(number), Reason::Gone, "no_hello");
        }
        assert_eq!(taken(&mut told).len(), 20);
        refusals.at(1_999);
        refusals.refuse(&from(40), Reason::Gone, "no_hello");
        assert_eq!(taken(&mut told), []);
        refusals.at(2_000);
        refusals.refuse(&from(41), Reason::Gone, "no_hello");
        assert_eq!(taken(&mut told), [(41, "no_hello", 11)]);
    }

    #[test]
    fn what_an_owner_that_is_behind_has_no_room_for_is_left_out() {
        let (mut refusals, mut told) = refusals(2);
        refusals.at(1_000);
        for number in 0..9 {
            refusals.refuse(&from(number), Reason::Gone, "no_hello");
        }
        assert_eq!(taken(&mut told).len(), 2);
        refusals.flush();
        assert_eq!(taken(&mut told), [(2, "no_hello", 0)]);
        refusals.refuse(&from(41), Reason::Gone, "no_hello");
        assert_eq!(taken(&mut told), [(41, "no_hello", 6)]);
    }
}
