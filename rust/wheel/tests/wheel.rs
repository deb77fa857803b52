//! The wheel from outside: single stories, then random operations against a sorted map.

mod wheel_model;

use dscore_wheel::Wheel;
use proptest::prelude::*;
use wheel_model::{Checked, Op, Tick};

fn pop_all<T>(wheel: &mut Wheel<T>) -> Vec<(u64, T)> {
    std::iter::from_fn(|| wheel.pop_expired()).collect()
}

#[test]
fn expires_on_its_tick_and_not_before() {
    for deadline in [
        1,
        63,
        64,
        65,
        4095,
        4096,
        30_000,
        1 << 36,
        (1 << 36) + 1,
        u64::MAX,
    ] {
        let mut wheel = Wheel::new(0);
        wheel.arm(deadline, "a");
        wheel.advance(deadline - 1);
        assert_eq!(wheel.pop_expired(), None, "one tick before {deadline}");
        wheel.advance(deadline);
        assert_eq!(wheel.pop_expired(), Some((deadline, "a")));
        assert_eq!(wheel.pop_expired(), None);
        assert!(wheel.is_empty());
    }
}

#[test]
fn next_expiration_stops_where_entries_cascade() {
    let mut wheel = Wheel::new(0);
    wheel.arm(4096 + 64 + 6, ());
    let mut stops = Vec::new();
    while let Some(next) = wheel.next_expiration() {
        stops.push(next);
        wheel.advance(next);
        pop_all(&mut wheel);
    }
    assert_eq!(stops, [4096, 4160, 4166]);
}

#[test]
fn yields_in_order_of_deadlines_then_of_arming() {
    let mut wheel = Wheel::new(0);
    for (deadline, value) in [(9000, 'd'), (70, 'b'), (1, 'a'), (70, 'c'), (9000, 'e')] {
        wheel.arm(deadline, value);
    }
    wheel.advance(10_000);
    let order: String = pop_all(&mut wheel)
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(order, "abcde");
}

#[test]
fn deadline_in_the_past_expires_at_the_next_advance() {
    let mut wheel = Wheel::new(1000);
    wheel.arm(10, "late");
    assert_eq!(wheel.pop_expired(), None, "not before advance");
    assert_eq!(wheel.next_expiration(), Some(1000));
    wheel.advance(1000);
    assert_eq!(wheel.pop_expired(), Some((10, "late")));
}

#[test]
fn what_was_armed_for_now_while_popping_waits_for_the_next_advance() {
    let mut wheel = Wheel::new(0);
    wheel.arm(5, 0);
    wheel.advance(5);
    let mut popped = 0;
    while let Some((deadline, value)) = wheel.pop_expired() {
        wheel.arm(deadline, value + 1);
        popped += 1;
    }
    assert_eq!(popped, 1, "an entry that arms itself again must not spin");
    assert_eq!(wheel.next_expiration(), Some(5));
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut wheel = Wheel::new(100);
    wheel.arm(110, ());
    wheel.advance(50);
    wheel.arm(60, ());
    assert_eq!(wheel.next_expiration(), Some(100));
    wheel.advance(105);
    assert_eq!(pop_all(&mut wheel), [(60, ())]);
}

#[test]
fn cancelled_entry_never_expires_even_if_it_had() {
    let mut wheel = Wheel::new(0);
    let first = wheel.arm(5, "first");
    let second = wheel.arm(5, "second");
    let third = wheel.arm(50, "third");
    wheel.advance(5);
    assert_eq!(wheel.pop_expired(), Some((5, "first")));
    assert_eq!(wheel.cancel(second), Some("second"));
    assert_eq!(wheel.cancel(third), Some("third"));
    assert_eq!(wheel.cancel(first), None, "popped");
    assert_eq!(wheel.cancel(second), None, "cancelled");
    wheel.advance(100);
    assert_eq!(wheel.pop_expired(), None);
}

#[test]
fn rearmed_entry_expires_at_its_new_deadline_only() {
    let mut wheel = Wheel::new(0);
    let key = wheel.arm(5, "a");
    assert!(wheel.rearm(key, 5000));
    wheel.advance(4999);
    assert_eq!(wheel.pop_expired(), None);
    wheel.advance(5000);
    assert!(
        wheel.rearm(key, 6000),
        "expired but not popped: it may still be put off"
    );
    assert_eq!(wheel.pop_expired(), None);
    wheel.advance(6000);
    assert_eq!(wheel.pop_expired(), Some((6000, "a")));
    assert!(!wheel.rearm(key, 7000), "popped");
}

#[test]
fn stale_key_does_not_name_the_next_user_of_its_node() {
    let mut wheel = Wheel::new(0);
    let stale = wheel.arm(5, "old");
    wheel.cancel(stale);
    let fresh = wheel.arm(5, "new");
    assert_ne!(stale, fresh);
    assert_eq!(wheel.cancel(stale), None);
    assert!(!wheel.rearm(stale, 9));
    assert_eq!(wheel.len(), 1);
    assert_eq!(wheel.cancel(fresh), Some("new"));
}

#[test]
fn dropping_the_wheel_drops_what_it_holds() {
    let value = std::rc::Rc::new(());
    let mut wheel = Wheel::new(0);
    let key = wheel.arm(1, value.clone());
    wheel.arm(2, value.clone());
    wheel.cancel(key);
    assert_eq!(
        std::rc::Rc::strong_count(&value),
        2,
        "a cancelled value is gone at once"
    );
    drop(wheel);
    assert_eq!(std::rc::Rc::strong_count(&value), 1);
}

/// Ticks of every order of magnitude: a uniform choice would hardly ever be a small one.
fn tick() -> impl Strategy<Value = Tick> {
    let span = || (0..64u32, any::<u64>()).prop_map(|(bits, random)| random >> bits);
    prop_oneof![
        6 => span().prop_map(Tick::Ahead),
        1 => span().prop_map(Tick::Ago),
        2 => (0..64u32).prop_map(Tick::BeforeBorder),
    ]
}

/// Advances by less than entries are armed for, else hardly any would live to be cancelled.
fn step() -> impl Strategy<Value = Tick> {
    prop_oneof![
        6 => (0..5000u64).prop_map(Tick::Ahead),
        2 => (0..40u32).prop_map(|bits| Tick::Ahead(1 << bits)),
        1 => (0..64u64).prop_map(Tick::Ago),
        1 => (0..24u32).prop_map(Tick::BeforeBorder),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => tick().prop_map(Op::Arm),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => (any::<usize>(), tick()).prop_map(|(number, tick)| Op::Rearm(number, tick)),
        1 => step().prop_map(Op::Advance),
        1 => step().prop_map(Op::AdvanceAndPopOne),
        1 => Just(Op::AdvanceToNext),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_sorted_map(
        now in prop_oneof![Just(0), any::<u64>(), (0..64u32).prop_map(|bits| u64::MAX >> bits)],
        ops in prop::collection::vec(op(), 1..400),
    ) {
        let mut checked = Checked::new(now);
        ops.into_iter().for_each(|op| checked.apply(op));
        checked.finish();
    }
}
