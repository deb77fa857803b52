//! What lies from one rank to another among many, without the others being sorted: quickselect, a step at a time.
//!
//! Ids are the peers' to choose, and so is the order of what is selected from: what it is divided by is drawn by lot.

use std::hash::{BuildHasher, RandomState};

/// So many are selected from in one step.
const FEW: usize = 1024;

/// Invariant: all in front of `low` belong before the rank that is looked for, all from `high` on behind it.
#[derive(Debug)]
pub(crate) struct Selection<T> {
    all: Vec<T>,
    /// Ranks that are looked for still, the next one last.
    ranks: Vec<usize>,
    low: usize,
    high: usize,
    division: Option<Division>,
    lot: RandomState,
}

/// From `low` to `high` by the last of them: those in front of `less` belong before it, those up to `at` behind it.
#[derive(Debug)]
struct Division {
    at: usize,
    less: usize,
}

impl<T: Ord> Selection<T> {
    /// Of what is in order from rank `from` up to `to`.
    pub(crate) fn new(all: Vec<T>, from: usize, to: usize) -> Self {
        let (to, high) = (to.min(all.len()), all.len());
        let from = from.min(to);
        // Each rank divides what is behind the one before it. At the end there is nothing to divide.
        let ranks = [to, from].into_iter().filter(|&rank| rank < high);
        Self {
            ranks: ranks.collect(),
            low: 0,
            high,
            division: None,
            lot: RandomState::new(),
            all,
        }
    }

    /// Compares about so many times; true when it is done.
    pub(crate) fn step(&mut self, most: usize) -> bool {
        let mut left = most;
        while let Some(&rank) = self.ranks.last() {
            if left == 0 {
                return false;
            }
            let count = self.high - self.low;
            if count <= FEW {
                self.all[self.low..self.high].select_nth_unstable(rank - self.low);
                left = left.saturating_sub(3 * count);
                self.found(rank);
            } else {
                self.divide(rank, &mut left);
            }
        }
        true
    }

    fn divide(&mut self, rank: usize, left: &mut usize) {
        let (low, last) = (self.low, self.high - 1);
        if self.division.is_none() {
            let lot = self.lot.hash_one((low, last)) as usize;
            self.all.swap(low + lot % (last - low), last);
        }
        let division = self.division.get_or_insert(Division { at: low, less: low });
        while division.at < last && *left > 0 {
            if self.all[division.at] < self.all[last] {
                self.all.swap(division.at, division.less);
                division.less += 1;
            }
            division.at += 1;
            *left -= 1;
        }
        if division.at < last {
            return;
        }
        let middle = division.less;
        self.division = None;
        self.all.swap(middle, last);
        match rank.cmp(&middle) {
            std::cmp::Ordering::Less => self.high = middle,
            std::cmp::Ordering::Equal => self.found(rank),
            std::cmp::Ordering::Greater => self.low = middle + 1,
        }
    }

    fn found(&mut self, rank: usize) {
        self.ranks.pop();
        (self.low, self.high) = (rank, self.all.len());
    }

    /// What was looked for, in order.
    pub(crate) fn sorted(mut self, from: usize, to: usize) -> Vec<T> {
        self.all.truncate(to);
        let mut found = self.all.split_off(from.min(self.all.len()));
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, and the most comparisons of a step.
    fn select(all: Vec<u64>, from: usize, to: usize) -> (Vec<u64>, usize) {
        let mut selection = Selection::new(all, from, to);
        let mut steps = 1;
        while !selection.step(1000) {
            steps += 1;
        }
        (selection.sorted(from, to), steps)
    }

    #[test]
    fn finds_what_sorting_would() {
        let lot = RandomState::new();
        for count in [0, 1, 2, FEW as u64, FEW as u64 + 1, 10_000] {
            let mixed: Vec<u64> = (0..count).map(|n| lot.hash_one(n) % 5_000).collect();
            let mut sorted = mixed.clone();
            sorted.sort_unstable();
            let count = count as usize;
            for from in [0, 1, count / 2, count.saturating_sub(3), count, count + 5] {
                for to in [from, from + 1, from + 73, count, count + 9] {
                    let expected: Vec<u64> = (sorted.iter().copied())
                        .take(to)
                        .skip(from.min(to))
                        .collect();
                    assert_eq!(select(mixed.clone(), from, to).0, expected, "{from}..{to}");
                }
            }
        }
    }

    #[test]
    fn what_is_sorted_already_or_turned_round_or_alike_takes_as_long() {
        let count = 100_000;
        for all in [
            (0..count).collect::<Vec<u64>>(),
            (0..count).rev().collect(),
            (0..count).map(|n| n % 50_021).collect(),
        ] {
            let (found, steps) = select(all, 50_000, 50_073);
            assert_eq!(found.len(), 73);
            // On average three comparisons each; that it takes ten is no matter of luck.
            assert!(steps < 1_000, "{steps} steps of 1,000 comparisons");
        }
    }
}
