//! What timers cost on dscore's wheel, on tokio-util's DelayQueue and on a binary heap.
//!
//! The same work for each: a million armed, deadlines up to a minute away, cancelled in random
//! order. The heap forgets a cancelled timer only when it comes up, as heaps of timers do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::task::{Context, Waker};
use std::time::Duration;

use dscore_benches::{ask, per_item, size, timed};
use dscore_wheel::{self as wheel, Wheel};
use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue};

const ARMED: usize = 1_000_000;
const MINUTE: u64 = 60_000;
const STEP: u64 = 10;

/// What a user asks of timers; times are milliseconds from the start.
trait Timers {
    type Key;
    fn arm(&mut self, deadline: u64) -> Self::Key;
    fn cancel(&mut self, key: Self::Key);
    /// How many are due.
    fn advance(&mut self, now: u64) -> usize;
}

impl Timers for Wheel<u64> {
    type Key = wheel::Key;

    fn arm(&mut self, deadline: u64) -> Self::Key {
        Wheel::arm(self, deadline, 0)
    }

    fn cancel(&mut self, key: Self::Key) {
        black_box(Wheel::cancel(self, key));
    }

    fn advance(&mut self, now: u64) -> usize {
        Wheel::advance(self, now);
        std::iter::from_fn(|| self.pop_expired()).count()
    }
}

/// Tokio's clock stands still but for `advance`: what it takes to move it is not timed.
struct Tokio {
    queue: DelayQueue<u64>,
    start: Instant,
}

impl Timers for Tokio {
    type Key = delay_queue::Key;

    fn arm(&mut self, deadline: u64) -> Self::Key {
        let at = self.start + Duration::from_millis(deadline);
        self.queue.insert_at(0, at)
    }

    fn cancel(&mut self, key: Self::Key) {
        black_box(self.queue.remove(&key));
    }

    fn advance(&mut self, _: u64) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match self.queue.poll_expired(&mut cx) {
            std::task::Poll::Ready(expired) => expired,
            std::task::Poll::Pending => None,
        })
        .count()
    }
}

/// Deadlines with their keys, and which keys still count.
#[derive(Default)]
struct Heap {
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    armed: Vec<bool>,
}

impl Timers for Heap {
    type Key = usize;

    fn arm(&mut self, deadline: u64) -> Self::Key {
        let key = self.armed.len();
        self.armed.push(true);
        self.heap.push(Reverse((deadline, key)));
        key
    }

    fn cancel(&mut self, key: Self::Key) {
        self.armed[key] = false;
    }

    fn advance(&mut self, now: u64) -> usize {
        let mut expired = 0;
        while let Some(Reverse((deadline, key))) = self.heap.peek().copied()
            && deadline <= now
        {
            self.heap.pop();
            expired += usize::from(self.armed[key]);
        }
        expired
    }
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let _entered = runtime.enter();
    let tokio = || Tokio {
        queue: DelayQueue::new(),
        start: Instant::now(),
    };
    let pass = |by| runtime.block_on(tokio::time::advance(Duration::from_millis(by)));

    ask("With 1,000,000 timers armed, what does it cost to arm one, or to cancel one?");
    change("wheel", || Wheel::new(0));
    change("DelayQueue", tokio);
    change("binary heap", Heap::default);

    ask("What does an expired timer cost, of 1,000,000 in a minute?");
    expire("wheel", || Wheel::new(0), |_| {});
    expire("DelayQueue", tokio, pass);
    expire("binary heap", Heap::default, |_| {});
    Ok(())
}

fn change<T: Timers>(name: &str, new: impl Fn() -> T) {
    let mut random = fastrand::Rng::with_seed(1);
    let (mut timers, mut keys) = filled(new(), &mut random);
    random.shuffle(&mut keys);
    let changed = keys.len() / 10;
    per_item(&format!("{name}: arm"), changed, || {
        for key in keys.drain(..changed) {
            timers.cancel(key);
        }
        let deadlines: Vec<u64> = (0..changed).map(|_| random.u64(1..MINUTE)).collect();
        let time = timed(|| keys.extend(deadlines.iter().map(|at| timers.arm(*at))));
        random.shuffle(&mut keys);
        time
    });
    let (mut timers, mut keys) = filled(new(), &mut random);
    random.shuffle(&mut keys);
    per_item(&format!("{name}: cancel"), changed, || {
        let cancelled: Vec<T::Key> = keys.drain(..changed).collect();
        let time = timed(|| cancelled.into_iter().for_each(|key| timers.cancel(key)));
        keys.extend((0..changed).map(|_| timers.arm(random.u64(1..MINUTE))));
        random.shuffle(&mut keys);
        time
    });
}

fn expire<T: Timers>(name: &str, new: impl Fn() -> T, pass: impl Fn(u64)) {
    let mut random = fastrand::Rng::with_seed(1);
    per_item(&format!("{name}: expire"), size(ARMED), || {
        let (mut timers, _) = filled(new(), &mut random);
        let mut expired = 0;
        let mut step = |now| {
            pass(STEP);
            timed(|| expired += timers.advance(now))
        };
        let time = (1..=MINUTE / STEP).map(|turn| step(turn * STEP)).sum();
        assert_eq!(expired, size(ARMED));
        time
    });
}

fn filled<T: Timers>(mut timers: T, random: &mut fastrand::Rng) -> (T, Vec<T::Key>) {
    let keys = (0..size(ARMED))
        .map(|_| timers.arm(random.u64(1..MINUTE)))
        .collect();
    (timers, keys)
}
