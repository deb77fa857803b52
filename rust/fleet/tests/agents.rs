//! The table of agents against one as it could not be simpler: whatever happens, and in whatever order, both hold the same
//! agents, in the same states, with the same grace periods, and show the same pages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod model;

use dscore_fleet::Sort;
use model::{Checked, Op};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    let id = 0..8_usize;
    let conn = 0..12_usize;
    prop_oneof![
        4 => (conn.clone(), id.clone()).prop_map(|(conn, id)| Op::Introduce { conn, id }),
        3 => conn.clone().prop_map(Op::Close),
        2 => (id.clone(), 1..4_u32).prop_map(|(id, misses)| Op::Miss { id, misses }),
        1 => id.clone().prop_map(Op::Beat),
        2 => (0..40_i64).prop_map(Op::Pass),
        2 => Just(Op::Expire),
        1 => id.prop_map(Op::Remove),
        1 => Just(Op::Evict),
        1 => (0..60_i64).prop_map(Op::ForgetOlder),
        1 => any::<bool>().prop_map(|stop| Op::Clock { stop }),
        1 => (1..20_i64).prop_map(Op::Skip),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_naive_table(ops in prop::collection::vec(op(), 0..120)) {
        let mut checked = Checked::new();
        for op in ops {
            checked.apply(op);
            checked.compare();
        }
    }

    #[test]
    fn pages_hold_every_agent_that_fits_once_and_in_order(
        ops in prop::collection::vec(op(), 0..60),
        sort in prop::sample::select(vec![Sort::Id, Sort::Status, Sort::State, Sort::ConnectedAt, Sort::Since]),
        is_descending in any::<bool>(),
        is_online in prop::option::of(any::<bool>()),
        limit in 1..4_usize,
    ) {
        let mut checked = Checked::new();
        for op in ops {
            checked.apply(op);
        }
        checked.compare_pages((sort, is_descending), is_online, limit);
    }
}
