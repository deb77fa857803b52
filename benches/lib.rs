//! How the micro benches time: a question, then rounds, then the median with its spread.
//!
//! A round does its work often enough to last for milliseconds, and times only what the question is
//! about. The first rounds warm up and do not count. `cargo bench -- --quick` runs one round of each,
//! small where it would take long, to show that the bench still works; its figures mean nothing.

use std::time::{Duration, Instant};

/// Rounds that do not count, and those that do: an odd number, so that there is a median.
const WARM_UPS: usize = 2;
const ROUNDS: usize = 15;

/// How many of what a bench is of: so many, or with `--quick` a hundredth of them.
pub fn size(full: usize) -> usize {
    if is_quick() { full / 100 } else { full }
}

/// Prints what the lines that follow answer.
pub fn ask(question: &str) {
    println!("\n{question}");
}

/// Times the work alone, so that a round can prepare and clean up outside of it.
pub fn timed<R>(work: impl FnOnce() -> R) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

/// Runs `round`, which handles `items` items and returns the time they took, and prints the time of
/// one item.
pub fn per_item(label: &str, items: usize, round: impl FnMut() -> Duration) {
    let [low, median, high] = rounds(round).map(|time| time.as_nanos() as f64 / items as f64);
    let rate = 1e3 / median;
    println!("  {label:<44} {median:9.2} ns each ({low:.2} to {high:.2}), {rate:.2} M/s");
}

/// Runs `round`, which handles `bytes` bytes and returns the time they took, and prints its speed.
pub fn throughput(label: &str, bytes: usize, round: impl FnMut() -> Duration) {
    let [high, median, low] = rounds(round).map(|time| bytes as f64 / time.as_nanos() as f64);
    println!("  {label:<44} {median:9.2} GB/s ({low:.2} to {high:.2})");
}

/// The shortest, the median and the longest round.
fn rounds(mut round: impl FnMut() -> Duration) -> [Duration; 3] {
    let (warm_ups, rounds) = if is_quick() {
        (0, 1)
    } else {
        (WARM_UPS, ROUNDS)
    };
    for _ in 0..warm_ups {
        round();
    }
    let mut times: Vec<Duration> = (0..rounds).map(|_| round()).collect();
    times.sort();
    [times[0], times[rounds / 2], times[rounds - 1]]
}

fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}
