//! Sleeping, what time it is then, and up to when everything that came was read: timers run no further, so that silence is
//! never only ours.
//!
//! A list that is full may leave sockets out. The kernel reports sockets in turn, so when as many were reported as there
//! are, all that was ready when that began was read. Beside that a peer whose input did not fit into one read, or had to
//! wait for its turn, is marked, and is read once more before it is judged.
//!
//! This is the only file that reads the clocks for handlers. (The pool reads its own for its owner.)

use std::time::{Duration, SystemTime};

use dscore_traffic::event::{Event, Gap};

use super::{CONTROL_POLLER, OWN_TOKENS, Reactor, TICK_MS};
use crate::sys::ReadyList;

/// How long to sleep when the owner is behind and output may still go out.
const PAUSED_NAP: Duration = Duration::from_millis(2);
/// How long to sleep at most while deadlines run: a process that was stopped for longer notices.
const MAX_SLEEP: Duration = Duration::from_millis(250);
/// How soon figures are published while another thread reads the last ones.
const UNPUBLISHED_NAP: Duration = Duration::from_millis(1);

/// Reading all that came to the sockets of one poller, in one turn or several.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// When it began, if it is under way, and how many sockets were reported since.
    under_way: Option<(u64, usize)>,
    /// Everything that came until then was read.
    looked_us: u64,
}

impl Pass {
    /// Counts one list, found at `now_us`, of a poller that watches at most so many sockets. Up to when everything was
    /// read once these are.
    pub(super) fn count(&mut self, list: &ReadyList, now_us: u64, sockets: usize) -> u64 {
        let (began_us, before) = self.under_way.take().unwrap_or((now_us, 0));
        let reported = before + list.len();
        if !list.is_full() {
            self.looked_us = now_us;
        } else if reported >= sockets {
            self.looked_us = began_us;
        } else {
            self.under_way = Some((began_us, reported));
        }
        self.looked_us
    }
}

impl Reactor {
    /// Sleeps until a socket, a command or a deadline calls.
    pub(super) fn wait(&mut self, control: &mut ReadyList, ready: &mut ReadyList, paused: bool) {
        // Deadlines are late by no more than a short turn, and one reading less is made between two heartbeats.
        if self.was_long || paused || self.clock.stands_still {
            self.read_pool_clock();
        }
        let pool_us = self.clock.pool_us();
        self.clock.stands_still = paused;
        let commands = &self.own.commands;
        let mut timeout = self.time_to_next_deadline().map(|time| time.min(MAX_SLEEP));
        commands.reactor.park();
        let has_work =
            !(commands.is_empty() && self.walks.is_empty() && self.cx.requests.is_empty());
        if has_work || !self.looks.is_empty() {
            timeout = Some(Duration::ZERO);
        }
        if self.unpublished {
            timeout = Some(timeout.map_or(UNPUBLISHED_NAP, |time| time.min(UNPUBLISHED_NAP)));
        }
        if paused {
            // Sockets with input are ready all the time, and are not to be read: nap instead of spinning.
            std::thread::sleep(PAUSED_NAP);
            timeout = Some(Duration::ZERO);
        }
        let meant_us = timeout.map_or(u64::MAX, |time| pool_us + time.as_micros() as u64);
        self.clock.sleep_until(meant_us);
        if timeout.is_some() && meant_us > pool_us && self.alarm.ring_by(pool_us, meant_us).is_ok()
        {
            timeout = None;
        }
        control.clear();
        let mut waited = self.peer_poller.wait(ready, timeout);
        // A list that is full may have no room left for the news that the control poller has one.
        if ready.is_full() || ready.iter().any(|(token, _)| token == CONTROL_POLLER) {
            waited = waited.and(self.control_poller.wait(control, Some(Duration::ZERO)));
        }
        // A poller that fails is broken for good; the turn goes on with what needs none.
        if waited.is_err() {
            std::thread::sleep(PAUSED_NAP);
        }
        commands.reactor.unpark();
    }

    pub(super) fn read_clock(&mut self) {
        let pool_us = self.read_pool_clock();
        self.cx.set_time(pool_us, SystemTime::now);
        self.cx.set_now(self.clock.now_us());
    }

    fn read_pool_clock(&mut self) -> u64 {
        let pool_us = self.shared.now_us();
        if let Some(gap) = self.clock.read(pool_us) {
            self.cx.tell(Event::Gap(Box::new(Gap {
                reactor: self.cx.reactor,
                began_ms: gap.began_ms,
                length_ms: gap.length_ms,
            })));
        }
        pool_us
    }

    fn time_to_next_deadline(&self) -> Option<Duration> {
        let now_us = self.clock.now_us();
        let timer = self.wheel.next_expiration().map(|tick| tick * TICK_MS);
        let accept = self
            .acceptors
            .iter()
            .filter_map(|acceptor| acceptor.resume_ms)
            .min();
        let answer = self.due_sessions.front().map(|&(at_ms, _)| at_ms);
        let upgrade = self.cx.next_turn_ms();
        let next_ms = [timer, accept, answer, upgrade]
            .into_iter()
            .flatten()
            .min()?;
        Some(Duration::from_micros(
            (next_ms * 1_000).saturating_sub(now_us),
        ))
    }

    /// Whether more of what came was read than a turn ago; tells so those who asked.
    pub(super) fn has_looked(&mut self, control: &ReadyList, ready: &ReadyList) -> bool {
        let (now_us, sockets) = (self.cx.now_us, self.peers.len() + OWN_TOKENS);
        let looked_us = self.pass.count(ready, now_us, sockets);
        let looked_us = looked_us.min(self.control_pass.count(control, now_us, sockets));
        // What sockets ask of sessions is read when it was done.
        if looked_us <= self.looked_us || !self.cx.requests.is_empty() {
            return false;
        }
        self.looked_us = looked_us;
        while let Some(&(asked_us, number)) = self.looks.front()
            && asked_us < looked_us
        {
            self.looks.pop_front();
            self.cx.tell(Event::Looked(number));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::sys::{Poller, Waker};

    /// What a pass over ten sockets, so many of them ready, says after each list of four.
    fn looked(ready: usize, turns: u64) -> Vec<u64> {
        let poller = Poller::new().unwrap();
        let wakers: Vec<_> = (0..ready).map(|_| Waker::new().unwrap()).collect();
        for (token, waker) in (0..).zip(&wakers) {
            waker.wake();
            poller.add_waker(waker, token).unwrap();
        }
        let (mut list, mut pass) = (ReadyList::with_capacity(4), Pass::default());
        let mut turn = |now_us| {
            poller.wait(&mut list, Some(Duration::ZERO)).unwrap();
            pass.count(&list, now_us, 10)
        };
        (1..=turns)
            .map(|turn_number| turn(turn_number * 100))
            .collect()
    }

    #[test]
    fn a_list_with_room_to_spare_has_everything_in_it() {
        assert_eq!(looked(0, 2), [100, 200]);
        assert_eq!(looked(3, 2), [100, 200]);
    }

    #[test]
    fn full_lists_say_nothing_until_as_many_were_reported_as_there_are() {
        // Twelve reports are a round of ten: what was ready when it began was read. The next begins then.
        assert_eq!(looked(10, 7), [0, 0, 100, 100, 100, 400, 400]);
        // Exactly full is no promise that there is no more.
        assert_eq!(looked(4, 4), [0, 0, 100, 100]);
    }
}
