//! Upgrades and Engine.IO openings at a pace (`limits.accept_rate`): those that come too fast wait, in the order they came.
//!
//! Accepting is never held back, nor is any other request: probes and operators get through a storm of agents. A waiting
//! connection stays in its reactor. The pace is one for all reactors of a pool, and the next turn belongs to the
//! connection that has waited longest in any of them. One that leaves costs no turn. Where the wait would be longer than
//! [`MAX_WAIT_MS`] a connection does not wait at all: it is told when to come again, which bounds the queue.

use std::collections::VecDeque;
use std::sync::Arc;

use dscore_traffic::ConnId;

use crate::pace::Pace;

/// Longer than any client library waits for an upgrade.
const MAX_WAIT_MS: u64 = 60_000;
/// While the turn belongs to another reactor, this one looks again so soon.
const LOOK_AGAIN_MS: u64 = 1;

/// What an upgrade or an opening is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Go,
    Wait,
    /// The wait would be too long: come again after so many seconds.
    ComeAgain(u32),
}

/// Those of one reactor that wait for their turn.
#[derive(Debug)]
pub(crate) struct Pacer {
    reactor: usize,
    pace: Arc<Pace>,
    /// In the order in which they came.
    queue: VecDeque<Waiting>,
}

/// One that waits for its turn.
#[derive(Debug)]
struct Waiting {
    conn: ConnId,
    /// On the pool's clock, which all reactors share.
    since_ms: u64,
    /// When it has waited for too long, as far as its reactor looked.
    late_ms: u64,
}

impl Pacer {
    pub(crate) fn new(reactor: usize, pace: Arc<Pace>) -> Self {
        Self {
            reactor,
            pace,
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Asks for a turn; one that is to wait is in the queue then. `pool_us` is the pool's clock, `now_ms` that of deadlines;
    /// `rate` is turns a second; 0: any.
    pub(crate) fn ask(&mut self, conn: ConnId, pool_us: u64, now_ms: u64, rate: f64) -> Turn {
        if rate <= 0.0 {
            return Turn::Go;
        }
        let ahead = self.pace.waiting();
        if ahead == 0 && self.pace.take(pool_us, rate) {
            return Turn::Go;
        }
        let wait_s = (ahead + 1) as f64 / rate;
        if wait_s * 1_000.0 > MAX_WAIT_MS as f64 {
            return Turn::ComeAgain(seconds(wait_s));
        }
        self.queue.push_back(Waiting {
            conn,
            since_ms: pool_us / 1_000,
            late_ms: now_ms + MAX_WAIT_MS,
        });
        self.pace.add_waiting();
        self.publish();
        Turn::Wait
    }

    /// One that waited since then, on the pool's clock, has left.
    pub(crate) fn leave(&mut self, since_ms: u64, conn: ConnId) {
        let from = self
            .queue
            .partition_point(|waiting| waiting.since_ms < since_ms);
        let mut behind = self.queue.range(from..);
        if let Some(at) = behind.position(|waiting| waiting.conn == conn) {
            self.queue.remove(from + at);
            self.left();
        }
    }

    /// The next whose time has come: to go, or to be told that it has waited for too long.
    pub(crate) fn next(&mut self, pool_us: u64, now_ms: u64, rate: f64) -> Option<(ConnId, Turn)> {
        let first = self.queue.front()?;
        let conn = first.conn;
        let is_free = rate <= 0.0;
        let turn = if is_free
            || (self.pace.is_first(self.reactor, first.since_ms) && self.pace.take(pool_us, rate))
        {
            Turn::Go
        } else if first.late_ms <= now_ms {
            Turn::ComeAgain(seconds(self.queue.len() as f64 / rate))
        } else {
            return None;
        };
        self.queue.pop_front();
        self.left();
        Some((conn, turn))
    }

    /// When `next` may have one, on the clock of deadlines.
    pub(crate) fn next_ms(&self, pool_ms: u64, now_ms: u64, rate: f64) -> Option<u64> {
        let first = self.queue.front()?;
        if rate <= 0.0 {
            return Some(now_ms);
        }
        let mut in_ms = self.pace.ready_ms(rate).saturating_sub(pool_ms);
        if !self.pace.is_first(self.reactor, first.since_ms) {
            in_ms += LOOK_AGAIN_MS;
        }
        Some((now_ms + in_ms).min(first.late_ms))
    }

    fn left(&self) {
        self.pace.drop_waiting(1);
        self.publish();
    }

    fn publish(&self) {
        let first = self.queue.front().map_or(u64::MAX, |first| first.since_ms);
        self.pace.publish_first(self.reactor, first);
    }
}

impl Drop for Pacer {
    /// The other reactors wait for none that will never go.
    fn drop(&mut self) {
        self.pace.drop_waiting(self.queue.len());
        self.queue.clear();
        self.publish();
    }
}

/// Whole seconds of a Retry-After: at least one, at most an hour.
fn seconds(wait_s: f64) -> u32 {
    wait_s.ceil().clamp(1.0, 3_600.0) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::pace::MAX_BURST;

    const S: u64 = 1_000_000;

    fn conn(number: usize) -> ConnId {
        ConnId::new(0, number, 1)
    }

    fn pacers(count: usize) -> Vec<Pacer> {
        let pace = Arc::new(Pace::new(count));
        (0..count)
            .map(|reactor| Pacer::new(reactor, pace.clone()))
            .collect()
    }

    /// Asks until one has to wait; how many went at once.
    fn burst(pacer: &mut Pacer, now_us: u64, rate: f64) -> usize {
        (0..1_000)
            .take_while(|number| {
                pacer.ask(conn(*number), now_us, (now_us) / 1_000, rate) == Turn::Go
            })
            .count()
    }

    #[test]
    fn without_a_rate_none_waits() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        assert_eq!(burst(&mut pacer, 0, 0.0), 1_000);
    }

    #[test]
    fn a_seconds_worth_goes_at_once_and_the_others_at_the_pace_in_their_order() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        assert_eq!(burst(&mut pacer, S, 10.0), 10);
        for number in 11..14 {
            assert_eq!(pacer.ask(conn(number), S, (S) / 1_000, 10.0), Turn::Wait);
        }
        assert_eq!(pacer.next(S, (S) / 1_000, 10.0), None);
        for number in [10, 11, 12, 13] {
            let at_ms = pacer.next_ms(S / 1_000, S / 1_000, 10.0).unwrap();
            assert_eq!(at_ms, 1_000 + 100 * (number as u64 - 9));
            assert_eq!(
                pacer.next(at_ms * 1_000 - 1, (at_ms * 1_000 - 1) / 1_000, 10.0),
                None
            );
            assert_eq!(
                pacer.next(at_ms * 1_000, (at_ms * 1_000) / 1_000, 10.0),
                Some((conn(number), Turn::Go))
            );
        }
        assert_eq!(pacer.next_ms(0, 0, 10.0), None);
    }

    #[test]
    fn a_fast_pace_saves_up_no_more_than_a_turn_of_the_loop() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        assert_eq!(burst(&mut pacer, S, 5_000.0), MAX_BURST as usize);
    }

    #[test]
    fn one_that_comes_while_others_wait_does_not_overtake_them() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        let waiting = burst(&mut pacer, S, 10.0);
        // A turn is due by now, but it belongs to the one that waits.
        assert_eq!(
            pacer.ask(conn(99), 2 * S, (2 * S) / 1_000, 10.0),
            Turn::Wait
        );
        assert_eq!(
            pacer.next(2 * S, (2 * S) / 1_000, 10.0),
            Some((conn(waiting), Turn::Go))
        );
        assert_eq!(
            pacer.next(2 * S, (2 * S) / 1_000, 10.0),
            Some((conn(99), Turn::Go))
        );
    }

    #[test]
    fn one_that_leaves_costs_no_turn() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        let first = burst(&mut pacer, S, 10.0);
        assert_eq!(pacer.ask(conn(50), S, (S) / 1_000, 10.0), Turn::Wait);
        pacer.leave(1_000, conn(first));
        pacer.leave(1_000, conn(first));
        assert_eq!(pacer.len(), 1);
        assert_eq!(
            pacer.next(S + S / 10, (S + S / 10) / 1_000, 10.0),
            Some((conn(50), Turn::Go))
        );
    }

    #[test]
    fn where_the_wait_would_be_too_long_one_is_told_when_to_come_again() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        burst(&mut pacer, S, 2.0);
        let waiting = (0..1_000)
            .take_while(|number| pacer.ask(conn(*number), S, (S) / 1_000, 2.0) == Turn::Wait)
            .count();
        assert_eq!(
            waiting, 119,
            "60 s at two a second, one of which waited before"
        );
        assert_eq!(pacer.ask(conn(0), S, (S) / 1_000, 2.0), Turn::ComeAgain(61));
    }

    #[test]
    fn one_that_has_waited_too_long_is_told_so_when_the_pace_slows_down() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        let first = burst(&mut pacer, S, 10.0);
        assert_eq!(pacer.ask(conn(50), S, (S) / 1_000, 10.0), Turn::Wait);
        let slow = 0.001;
        assert_eq!(
            pacer.next(2 * S, (2 * S) / 1_000, slow),
            Some((conn(first), Turn::Go))
        );
        let at_ms = pacer.next_ms(2_000, 2_000, slow).unwrap();
        assert_eq!(at_ms, 1_000 + MAX_WAIT_MS);
        let told = pacer.next(at_ms * 1_000, (at_ms * 1_000) / 1_000, slow);
        assert!(
            matches!(told, Some((_, Turn::ComeAgain(1_000)))),
            "{told:?}"
        );
    }

    #[test]
    fn a_pace_that_is_given_up_lets_all_go() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        burst(&mut pacer, S, 10.0);
        assert_eq!(pacer.next_ms(1_000, 1_000, 0.0), Some(1_000));
        assert!(matches!(
            pacer.next(S, (S) / 1_000, 0.0),
            Some((_, Turn::Go))
        ));
    }

    #[test]
    fn a_slow_pace_does_not_outlive_its_setting() {
        let [mut pacer] = pacers(1).try_into().unwrap();
        // The next turn of this pace would be due in half an hour.
        assert_eq!(pacer.ask(conn(1), S, (S) / 1_000, 1.0 / 1_800.0), Turn::Go);
        assert_eq!(pacer.ask(conn(2), S, (S) / 1_000, 10.0), Turn::Wait);
        let at_ms = pacer.next_ms(1_000, 1_000, 10.0).unwrap();
        assert!(at_ms < 3_000, "{at_ms}");
    }

    #[test]
    fn the_turn_is_of_the_reactor_whose_first_has_waited_longest() {
        let [mut one, mut other] = pacers(2).try_into().unwrap();
        burst(&mut one, S, 10.0);
        assert_eq!(
            other.ask(conn(70), 2 * S, (2 * S) / 1_000, 10.0),
            Turn::Wait
        );
        assert_eq!(one.ask(conn(71), 3 * S, (3 * S) / 1_000, 10.0), Turn::Wait);
        let due = 4 * S;
        assert_eq!(other.next(due, (due) / 1_000, 10.0), None);
        assert!(matches!(
            one.next(due, (due) / 1_000, 10.0),
            Some((_, Turn::Go))
        ));
        assert_eq!(
            one.next(due, (due) / 1_000, 10.0),
            None,
            "the other's has waited longer"
        );
        assert_eq!(
            other.next(due, (due) / 1_000, 10.0),
            Some((conn(70), Turn::Go))
        );
        assert_eq!(
            one.next(due, (due) / 1_000, 10.0),
            Some((conn(71), Turn::Go))
        );
    }

    #[test]
    fn a_reactor_that_ends_holds_up_no_other() {
        let [mut one, mut other] = pacers(2).try_into().unwrap();
        burst(&mut one, S, 10.0);
        assert_eq!(
            other.ask(conn(70), 2 * S, (2 * S) / 1_000, 10.0),
            Turn::Wait
        );
        drop(one);
        assert_eq!(
            other.next(3 * S, (3 * S) / 1_000, 10.0),
            Some((conn(70), Turn::Go))
        );
    }
}
