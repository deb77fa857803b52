//! Which connections of one reactor would yield their place or their descriptor, and in which order: see [`crate::places`].

use std::collections::VecDeque;

use dscore_traffic::ConnId;

use crate::claim::Claim;
use crate::handle::Handle;
use crate::places::Standing;

/// Of all places, sessions that poll and have not introduced themselves have this part at most.
const POLLING_SHARE: usize = 8;
/// But so many they may always have.
const LEAST_POLLING: usize = 16;
/// Connections of one reactor that would yield, in the order in which they would.
#[derive(Debug, Default)]
pub(crate) struct Yielding {
    /// Since when, ms. Those that have done something since, or have gone, are left in it for a while.
    idle: VecDeque<(u64, ConnId)>,
    unconnected: VecDeque<ConnId>,
    unauthenticated: VecDeque<ConnId>,
    /// Since when, ms.
    extra: VecDeque<(u64, ConnId)>,
    /// Those that are really there.
    counts: [usize; 4],
}

impl Yielding {
    /// A connection stands otherwise than before.
    pub(crate) fn note(
        &mut self,
        conn: ConnId,
        now_ms: u64,
        (before, now): (Standing, Standing),
        handle: &Handle,
    ) {
        if let Some(count) = self.count(before) {
            *count -= 1;
        }
        if let Some(count) = self.count(now) {
            *count += 1;
        }
        match (before.has_place(), now.has_place()) {
            (false, true) => handle.yields.add_one(),
            (true, false) => handle.yields.drop_one(),
            _ => {}
        }
        match (before == Standing::Extra, now == Standing::Extra) {
            (false, true) => handle.yields_extra.add_one(),
            (true, false) => handle.yields_extra.drop_one(),
            _ => {}
        }
        match now {
            Standing::Kept => {}
            Standing::Idle => self.idle.push_back((now_ms, conn)),
            Standing::Unconnected => self.unconnected.push_back(conn),
            Standing::Unauthenticated => self.unauthenticated.push_back(conn),
            Standing::Extra => self.extra.push_back((now_ms, conn)),
        }
    }

    /// The next that yields to such a claim. `stands` tells how a connection stands, and since when at least.
    pub(crate) fn next(
        &mut self,
        claim: Claim,
        stands: impl Fn(ConnId) -> Option<(Standing, u64)>,
    ) -> Option<ConnId> {
        if claim == Claim::Descriptor {
            self.forget_former_extra(stands);
            return self.extra.pop_front().map(|(_, conn)| conn);
        }
        while let Some((since_ms, conn)) = self.idle.pop_front() {
            let idles = |(now, last_ms)| now == Standing::Idle && last_ms <= since_ms;
            if stands(conn).is_some_and(idles) {
                return Some(conn);
            }
        }
        self.next_polling(stands)
    }

    /// The next session that polls to yield.
    pub(crate) fn next_polling(
        &mut self,
        stands: impl Fn(ConnId) -> Option<(Standing, u64)>,
    ) -> Option<ConnId> {
        let stands_as = |conn, standing| stands(conn).is_some_and(|(now, _)| now == standing);
        first(&mut self.unconnected, |conn| {
            stands_as(conn, Standing::Unconnected)
        })
        .or_else(|| {
            first(&mut self.unauthenticated, |conn| {
                stands_as(conn, Standing::Unauthenticated)
            })
        })
    }

    /// Since when the first idles; `u64::MAX` if none does.
    pub(crate) fn idle_since(&self) -> u64 {
        self.idle.front().map_or(u64::MAX, |&(since, _)| since)
    }

    /// Since when the first that is extra would yield its descriptor; `u64::MAX` if none does.
    pub(crate) fn extra_since(&self) -> u64 {
        self.extra.front().map_or(u64::MAX, |&(since, _)| since)
    }

    /// Makes the first that is extra one that would yield, so that it tells since when.
    fn forget_former_extra(&mut self, stands: impl Fn(ConnId) -> Option<(Standing, u64)>) {
        let is_former = |conn| stands(conn).is_none_or(|(now, _)| now != Standing::Extra);
        while let Some(&(_, conn)) = self.extra.front()
            && is_former(conn)
        {
            self.extra.pop_front();
        }
    }

    /// Sessions that poll and have not introduced themselves.
    pub(crate) fn polling(&self) -> usize {
        let [_, unconnected, unauthenticated, _] = self.counts;
        unconnected + unauthenticated
    }

    /// Whether such a session more would be too many for this reactor, one of so many.
    pub(crate) fn is_polling_full(&self, max: usize, reactors: usize) -> bool {
        let share = (max / POLLING_SHARE).max(LEAST_POLLING);
        self.polling() >= share.div_ceil(reactors.max(1))
    }

    /// Forgets entries that count for nothing any more, when they are the most.
    pub(crate) fn sweep(&mut self, stands: impl Fn(ConnId) -> Option<(Standing, u64)>) {
        let [idle, unconnected, unauthenticated, extra] = self.counts;
        self.forget_former_extra(&stands);
        let stands_as = |conn, standing| stands(conn).is_some_and(|(now, _)| now == standing);
        if is_littered(self.idle.len(), idle) {
            self.idle.retain(|&(since_ms, conn)| {
                let idles = |(now, last_ms)| now == Standing::Idle && last_ms <= since_ms;
                stands(conn).is_some_and(idles)
            });
        }
        if is_littered(self.extra.len(), extra) {
            self.extra
                .retain(|&(_, conn)| stands_as(conn, Standing::Extra));
        }
        for (queue, count, standing) in [
            (&mut self.unconnected, unconnected, Standing::Unconnected),
            (
                &mut self.unauthenticated,
                unauthenticated,
                Standing::Unauthenticated,
            ),
        ] {
            if is_littered(queue.len(), count) {
                queue.retain(|&conn| stands_as(conn, standing));
            }
        }
    }

    fn count(&mut self, standing: Standing) -> Option<&mut usize> {
        let [idle, unconnected, unauthenticated, extra] = &mut self.counts;
        match standing {
            Standing::Kept => None,
            Standing::Idle => Some(idle),
            Standing::Unconnected => Some(unconnected),
            Standing::Unauthenticated => Some(unauthenticated),
            Standing::Extra => Some(extra),
        }
    }
}

fn first(queue: &mut VecDeque<ConnId>, is_it: impl Fn(ConnId) -> bool) -> Option<ConnId> {
    while let Some(conn) = queue.pop_front() {
        if is_it(conn) {
            return Some(conn);
        }
    }
    None
}

fn is_littered(entries: usize, count: usize) -> bool {
    entries > 2 * count + 64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::queue::CommandQueue;

    fn conn(number: usize) -> ConnId {
        ConnId::new(0, number, 1)
    }

    /// Connections, how they stand and when they last did something.
    struct Room {
        yielding: Yielding,
        handle: Arc<Handle>,
        standings: HashMap<ConnId, (Standing, u64)>,
    }

    impl Room {
        fn new() -> Self {
            Self {
                yielding: Yielding::default(),
                handle: Arc::new(Handle::new(CommandQueue::new(4).unwrap())),
                standings: HashMap::new(),
            }
        }

        fn stand(&mut self, number: usize, now_ms: u64, standing: Standing) {
            let conn = conn(number);
            let before = self.standings.insert(conn, (standing, now_ms));
            let before = before.map_or(Standing::Kept, |(before, _)| before);
            self.yielding
                .note(conn, now_ms, (before, standing), &self.handle);
        }

        fn next(&mut self, claim: Claim) -> Option<usize> {
            let standings = &self.standings;
            let next = self
                .yielding
                .next(claim, |conn| standings.get(&conn).copied());
            next.map(ConnId::index)
        }
    }

    #[test]
    fn the_longest_idle_yields_first_then_sessions_that_never_joined_then_those_that_did() {
        let mut room = Room::new();
        room.stand(1, 10, Standing::Unauthenticated);
        room.stand(2, 20, Standing::Unconnected);
        room.stand(3, 30, Standing::Idle);
        room.stand(4, 40, Standing::Idle);
        // This one did something meanwhile.
        room.stand(3, 50, Standing::Kept);
        room.stand(3, 60, Standing::Idle);
        room.stand(5, 70, Standing::Extra);
        let order: Vec<_> = std::iter::from_fn(|| room.next(Claim::Place)).collect();
        assert_eq!(order, [4, 3, 2, 1]);
        assert_eq!(room.next(Claim::Descriptor), Some(5));
        assert_eq!(room.next(Claim::Descriptor), None);
    }

    #[test]
    fn counts_are_of_those_that_are_there() {
        let mut room = Room::new();
        room.stand(1, 1, Standing::Idle);
        room.stand(2, 1, Standing::Extra);
        room.stand(3, 1, Standing::Unconnected);
        assert_eq!(
            (room.handle.yields.get(), room.handle.yields_extra.get()),
            (2, 1)
        );
        room.stand(1, 2, Standing::Kept);
        room.stand(3, 2, Standing::Unauthenticated);
        room.stand(2, 2, Standing::Kept);
        assert_eq!(
            (room.handle.yields.get(), room.handle.yields_extra.get()),
            (1, 0)
        );
        assert_eq!(room.yielding.polling(), 1);
    }

    #[test]
    fn what_counts_no_more_is_swept() {
        let mut room = Room::new();
        for now_ms in 0..1_000 {
            room.stand(1, 2 * now_ms, Standing::Idle);
            room.stand(1, 2 * now_ms + 1, Standing::Kept);
        }
        room.stand(1, 5_000, Standing::Idle);
        let standings = &room.standings;
        room.yielding.sweep(|conn| standings.get(&conn).copied());
        assert_eq!(room.yielding.idle.len(), 1);
        assert_eq!(room.next(Claim::Place), Some(1));
    }

    #[test]
    fn polling_sessions_have_an_eighth_of_the_places_at_least_16() {
        let mut room = Room::new();
        for number in 0..16 {
            assert!(!room.yielding.is_polling_full(100, 1));
            room.stand(number, 1, Standing::Unconnected);
        }
        assert!(room.yielding.is_polling_full(100, 1));
        assert!(!room.yielding.is_polling_full(1_000, 1));
        assert!(room.yielding.is_polling_full(200, 2));
    }
}
