//! Who has a place with the porter, and who gives it up.
//!
//! Where all places are taken, those that are late make room ([`Guest::crowded_ms`]): connections that are silent, or say a
//! byte at a time, keep none out for longer than that, from however many addresses they come. The oldest go first, so that
//! each has the more time the fewer come; and before them what an address has beyond its share of the places, for one that
//! comes again as fast as its places are taken from it could hold them all. An address of IPv6 is its /64; this machine's
//! own and trusted proxies have no share, for who is behind them was not told.
//!
//! On a port for TLS alone what comes then waits in the backlog. On a port that speaks plainly too probes are not to wait
//! behind a storm. There one that has shown no hello makes room for the next, as many again may wait for their turn, and
//! a handshake past those is turned away; the backlog is for what comes faster than the porter works.

use std::collections::HashMap;

use dscore_traffic::ConnId;

use super::guest::{Guest, Next, QUIET_MS, SLOW_MS};
use super::refusals::Reason;
use super::{Porter, SWEEP_MS};
use crate::addresses::Site;
use crate::door::Arrival;
use crate::sys::Interest;

/// Guests that are read once more where one of them is to make room.
const MAX_LOOKS: usize = 8;
/// So many addresses share the places.
const SHARES: usize = 8;
/// Such a part of the places is made free at once, where all are taken: no more than may be wanted until the next look.
const PARTS: usize = 4;

impl Porter {
    pub(super) fn let_in(&mut self, arrival: Arrival, buffer: &mut [u8]) {
        // The acceptor of a port for TLS alone has kept to the bound.
        if self.guests.len() - self.pacer.len() >= self.door.most() {
            self.make_room(buffer);
        }
        let timeout_ms = self.settings.handshake_timeout;
        let guest = Guest::new(arrival, self.now_ms, timeout_ms);
        let conn = self.guests.insert(guest);
        let watched = self.guests.get(conn).map(|guest| {
            self.poller
                .add(guest.socket(), conn.to_u64(), Interest::READ)
                .is_ok()
        });
        if watched == Some(true) {
            // Most clients have spoken by now: it is not silent only because it was not read.
            self.hear(conn, buffer);
        } else {
            self.remove(conn);
        }
    }

    /// Ends the guest that was quiet for longest among those that yield, if one does.
    fn make_room(&mut self, buffer: &mut [u8]) {
        for _ in 0..MAX_LOOKS {
            let guests = self.guests.iter();
            let yielding = guests.filter(|(_, guest)| guest.yields(self.now_ms));
            let quietest = yielding.min_by_key(|(_, guest)| guest.heard_ms);
            let Some(conn) = quietest.map(|(conn, _)| conn) else {
                return;
            };
            if self.yield_place(conn, buffer, SLOW_MS) {
                return;
            }
        }
    }

    /// Ends a guest for others, unless it has spoken and was not read yet, and has not taken `most_ms` over it: false then.
    fn yield_place(&mut self, conn: ConnId, buffer: &mut [u8], most_ms: u64) -> bool {
        let heard = self.guests.get(conn).map(|guest| guest.heard);
        self.hear(conn, buffer);
        match self.guests.get(conn) {
            None => true,
            Some(guest) if Some(guest.heard) != heard && !guest.is_slow(self.now_ms, most_ms) => {
                false
            }
            Some(guest) => {
                // One that was refused was counted then.
                if !guest.is_refused() {
                    let cause = guest.what_it_owes();
                    self.refusals.refuse(guest.ends(), Reason::Crowded, cause);
                }
                self.remove(conn);
                true
            }
        }
    }

    /// Those that are late, and the time that they had: what addresses have beyond their share of the places in front, and
    /// of either the oldest.
    fn late(&self) -> Vec<(ConnId, u64)> {
        let guests = self.guests.iter();
        let mut guests: Vec<(ConnId, &Guest)> = guests
            .filter(|(_, guest)| guest.waits_since_ms.is_none())
            .collect();
        guests.sort_unstable_by_key(|(_, guest)| guest.since_ms);
        let share = (self.door.most() / SHARES).max(1);
        let mut younger: HashMap<Site, usize> = HashMap::new();
        let mut late = Vec::new();
        for (conn, guest) in guests.into_iter().rev() {
            let site = Site::of(guest.ends().peer.ip(), &self.settings);
            let of_site = site.map_or(0, |site| {
                let younger = younger.entry(site).or_default();
                *younger += 1;
                *younger
            });
            let most_ms = guest.crowded_ms();
            if guest.is_slow(self.now_ms, most_ms) {
                late.push((of_site <= share, guest.since_ms, conn, most_ms));
            }
        }
        late.sort_unstable_by_key(|(is_within, since_ms, ..)| (*is_within, *since_ms));
        let late = late.into_iter();
        late.map(|(.., conn, most_ms)| (conn, most_ms)).collect()
    }

    /// Ends those that were not done in time, and those that are quiet while others want their places.
    pub(super) fn sweep(&mut self, buffer: &mut [u8]) {
        if self.now_ms < self.swept_ms + SWEEP_MS {
            return;
        }
        self.swept_ms = self.now_ms;
        let is_full = self.guests.len() - self.pacer.len() >= self.door.most();
        if self.door.room() == 0 || is_full {
            let most = (self.door.most() / PARTS).max(1);
            for (conn, most_ms) in self.late().into_iter().take(most) {
                self.yield_place(conn, buffer, most_ms);
            }
        }
        let now_ms = self.now_ms;
        // Its descriptor is one of few.
        let yields = |guest: &Guest| {
            let is_quiet = guest.heard_ms + QUIET_MS <= now_ms;
            guest.is_short && (is_quiet || guest.is_slow(now_ms, SLOW_MS))
        };
        let due = |guest: &Guest| guest.deadline_ms <= now_ms;
        let over: Vec<(ConnId, bool)> = self
            .guests
            .iter()
            .filter(|(_, guest)| guest.waits_since_ms.is_none() && (due(guest) || yields(guest)))
            .map(|(conn, guest)| (conn, due(guest)))
            .collect();
        for (conn, is_late) in over {
            if is_late {
                self.with_guest(conn, |guest, refusals| {
                    if !guest.is_refused() {
                        let cause = guest.what_it_owes();
                        refusals.refuse(guest.ends(), Reason::Timeout, cause);
                    }
                    Next::Gone
                });
            } else {
                self.yield_place(conn, buffer, SLOW_MS);
            }
        }
    }
}
