//! Who has a place, and who gives it up when there is none left.
//!
//! The connection limit counts places. A connection that comes when all are taken is *extra*: its requests are answered,
//! for probes get through any storm; a place it gets only by showing that it is an agent, with an upgrade or an Engine.IO
//! opening. Then a connection that makes no use of its place yields it: an idle HTTP connection, or one that has sent
//! nothing yet, the longest idle first; else a session that polls and has not introduced itself, first those that never
//! joined a namespace. None yields that has a request under way.
//!
//! Where descriptors run short extra connections that say nothing yield them before any other, once they have had the time
//! to say something. Before that the longest idle yields: extra ones are few, and in a flood of silent connections a probe,
//! which is extra too, would be gone before its request was read.
//!
//! A claim is made by any reactor and met by the one that has the connection: the counts in its [`Handle`] are those of its
//! connections that would yield, less the claims that are on their way.

use std::sync::Arc;

use crate::claim::Claim;
use crate::handle::Handle;

/// A client that means it speaks at once, but what it says may be lost once on its way, and a process that opens connections
/// by the thousand comes to speak on the first when it has opened the last: for so long one that has said nothing is not asked
/// for its place, its descriptor or its turn with the porter, if any other yields one.
pub(crate) const TIME_TO_SPEAK_MS: u64 = 500;

/// Whether a connection would yield its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No.
    #[default]
    Kept,
    /// HTTP without a request.
    Idle,
    /// It polls and never joined a namespace.
    Unconnected,
    /// It polls and never introduced itself.
    Unauthenticated,
    /// Extra, and idle or on its way out: it has no place, but a descriptor.
    Extra,
}

impl Standing {
    pub(crate) fn has_place(self) -> bool {
        matches!(self, Self::Idle | Self::Unconnected | Self::Unauthenticated)
    }
}

/// One reactor's view of the places of its pool.
#[derive(Debug, Default)]
pub(crate) struct Places {
    own: usize,
    handles: Vec<Arc<Handle>>,
    /// Claims that are to be met, and by which reactor.
    claims: Vec<(usize, Claim)>,
}

impl Places {
    pub(crate) fn new(own: usize, handles: Vec<Arc<Handle>>) -> Self {
        Self {
            own,
            handles,
            claims: Vec::new(),
        }
    }

    /// Whether all places are taken.
    pub(crate) fn are_taken(&self, max: usize) -> bool {
        taken(&self.handles) >= max
    }

    /// A place for a connection that was extra: one that is free by now, or another's.
    pub(crate) fn take(&mut self, max: usize) -> bool {
        let has_place = !self.are_taken(max) || self.claim_place();
        if has_place && let Some(own) = self.handles.get(self.own) {
            own.extra.drop_one();
        }
        has_place
    }

    /// Whether `take` would succeed, as far as it shows.
    pub(crate) fn can_take(&self, max: usize) -> bool {
        !self.are_taken(max) || self.handles.iter().any(|handle| handle.yields.any())
    }

    /// Asks the connection that has idled longest to yield its place; false if none would.
    fn claim_place(&mut self) -> bool {
        let with_some = self.handles.iter().enumerate();
        let with_some = with_some.filter(|(_, handle)| handle.yields.any());
        let Some((number, handle)) = with_some.min_by_key(|(_, handle)| handle.idle_since()) else {
            return false;
        };
        handle.yields.drop_one();
        self.claims.push((number, Claim::Place));
        true
    }

    /// How many connections would yield their descriptor.
    pub(crate) fn would_yield(&self) -> usize {
        let one = |handle: &Arc<Handle>| handle.yields.get() + handle.yields_extra.get();
        self.handles.iter().map(one).sum::<isize>().max(0) as usize
    }

    /// Asks a connection to yield its descriptor; false if none would.
    pub(crate) fn claim_descriptor(&mut self, now_ms: u64) -> bool {
        let had_time = now_ms.saturating_sub(TIME_TO_SPEAK_MS);
        self.claim_extra(had_time) || self.claim_place() || self.claim_extra(u64::MAX)
    }

    /// Asks the first extra connection to yield its descriptor; false if none would that is so since then.
    fn claim_extra(&mut self, since_ms: u64) -> bool {
        let with_some = self.handles.iter().enumerate();
        let with_some = with_some
            .filter(|(_, handle)| handle.yields_extra.any() && handle.extra_since() <= since_ms);
        let first = with_some.min_by_key(|(_, handle)| handle.extra_since());
        let Some((number, handle)) = first else {
            return false;
        };
        handle.yields_extra.drop_one();
        self.claims.push((number, Claim::Descriptor));
        true
    }

    /// Whether claims are to be met.
    pub(crate) fn next_claim(&mut self) -> Option<(usize, Claim)> {
        self.claims.pop()
    }
}

/// Places taken by all reactors together.
pub(crate) fn taken(handles: &[Arc<Handle>]) -> usize {
    let one = |handle: &Arc<Handle>| handle.load() as isize - handle.extra.get();
    handles.iter().map(one).sum::<isize>().max(0) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::queue::CommandQueue;

    fn handle() -> Arc<Handle> {
        Arc::new(Handle::new(CommandQueue::new(4).unwrap()))
    }

    #[test]
    fn a_claim_goes_to_the_reactor_whose_connection_has_idled_longest() {
        let handles: Vec<Arc<Handle>> = (0..3).map(|_| handle()).collect();
        for (handle, since) in handles.iter().zip([u64::MAX, 50, 20]) {
            handle.set_idle_since(since);
        }
        let mut places = Places::new(0, handles.clone());
        assert!(!places.claim_place());
        handles[1].yields.add_one();
        handles[2].yields.add_one();
        for expected in [2, 1] {
            assert!(places.claim_place());
            assert_eq!(places.next_claim(), Some((expected, Claim::Place)));
        }
        assert!(!places.claim_place(), "each is claimed once");
    }

    #[test]
    fn a_descriptor_comes_from_an_extra_connection_that_had_time_to_speak() {
        let now_ms = 1_000;
        let handles: Vec<Arc<Handle>> = (0..3).map(|_| handle()).collect();
        for (handle, since) in handles.iter().zip([now_ms - 20, now_ms - 500, now_ms - 10]) {
            handle.yields_extra.add_one();
            handle.set_extra_since(since);
        }
        handles[2].yields.add_one();
        let mut places = Places::new(0, handles);
        for expected in [
            (1, Claim::Descriptor),
            // Any that idles comes before those that are new.
            (2, Claim::Place),
            (0, Claim::Descriptor),
            (2, Claim::Descriptor),
        ] {
            assert!(places.claim_descriptor(now_ms));
            assert_eq!(places.next_claim(), Some(expected));
        }
        assert!(!places.claim_descriptor(now_ms), "each is claimed once");
    }

    #[test]
    fn a_free_place_is_taken_before_one_is_claimed() {
        let handles = vec![handle()];
        let mut places = Places::new(0, handles.clone());
        for _ in 0..2 {
            handles[0].add_load();
        }
        handles[0].extra.add_one();
        assert!(places.are_taken(1));
        assert!(!places.take(1), "none would yield");
        assert!(places.take(2));
        assert_eq!((places.next_claim(), taken(&handles)), (None, 2));
    }
}
