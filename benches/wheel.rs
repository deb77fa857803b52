//! What timers cost. The budget: 50 ns to arm or cancel one with 1,000,000 armed.
//!
//! Ticks are milliseconds here. Deadlines are up to a minute away, as those of connections are, and
//! timers are cancelled in random order: the memory of a million of them does not fit the cache.

use std::hint::black_box;

use dscore_benches::{ask, per_item, timed};
use dscore_wheel::{Key, Wheel};

const ARMED: usize = 1_000_000;
const MINUTE: u64 = 60_000;
const NOW: u64 = 1_000_000_007;

fn main() {
    let mut random = fastrand::Rng::with_seed(1);
    ask("With 1,000,000 timers armed, what does it cost to arm, cancel or rearm one?");
    change(&mut random);
    ask("What does an expired timer cost, cascades included, however many there are?");
    expire(&mut random);
    ask("What does a turn of the loop cost when nothing is due, with 1,000,000 timers armed?");
    turn(&mut random);
}

fn change(random: &mut fastrand::Rng) {
    let (mut wheel, mut keys) = armed(random);
    let deadlines: Vec<u64> = (0..ARMED / 10)
        .map(|_| NOW + random.u64(1..MINUTE))
        .collect();
    per_item("cancel, of a random one", deadlines.len(), || {
        random.shuffle(&mut keys);
        let cancelled = keys.split_off(ARMED - deadlines.len());
        let time = timed(|| {
            cancelled
                .iter()
                .filter_map(|key| wheel.cancel(*key))
                .count()
        });
        keys.extend(deadlines.iter().map(|deadline| wheel.arm(*deadline, 0)));
        time
    });
    per_item("arm, for a random deadline", deadlines.len(), || {
        random.shuffle(&mut keys);
        for key in keys.drain(ARMED - deadlines.len()..) {
            wheel.cancel(key);
        }
        timed(|| keys.extend(deadlines.iter().map(|deadline| wheel.arm(*deadline, 0))))
    });
    per_item("rearm, of a random one", deadlines.len(), || {
        random.shuffle(&mut keys);
        timed(|| {
            let pairs = keys.iter().zip(&deadlines);
            pairs
                .filter(|(key, deadline)| wheel.rearm(**key, **deadline))
                .count()
        })
    });
}

fn expire(random: &mut fastrand::Rng) {
    for timers in [1_000, 10_000, 100_000, ARMED] {
        per_item(&format!("expire, of {timers} in a minute"), timers, || {
            let mut wheel = Wheel::new(NOW);
            for _ in 0..timers {
                wheel.arm(NOW + random.u64(1..MINUTE), 0);
            }
            timed(|| {
                while let Some(next) = wheel.next_expiration() {
                    advance(&mut wheel, next);
                }
            })
        });
    }
}

fn turn(random: &mut fastrand::Rng) {
    let mut wheel = Wheel::new(NOW);
    for _ in 0..ARMED {
        wheel.arm(NOW + MINUTE + random.u64(1..MINUTE), 0u64);
    }
    let mut now = NOW;
    per_item("next_expiration and advance by 1 ms", 1_000, || {
        timed(|| {
            for _ in 0..1_000 {
                now += 1;
                black_box(wheel.next_expiration());
                black_box(advance(&mut wheel, now));
            }
        })
    });
}

fn armed(random: &mut fastrand::Rng) -> (Wheel<u64>, Vec<Key>) {
    let mut wheel = Wheel::new(NOW);
    let keys = (0..ARMED)
        .map(|_| wheel.arm(NOW + random.u64(1..MINUTE), 0))
        .collect();
    (wheel, keys)
}

fn advance(wheel: &mut Wheel<u64>, now: u64) -> usize {
    wheel.advance(now);
    std::iter::from_fn(|| wheel.pop_expired()).count()
}
