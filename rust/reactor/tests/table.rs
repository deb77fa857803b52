//! The table from outside: names, and what becomes of them when their peer is gone.

use std::collections::HashMap;

use dscore_reactor::table::{SlotId, Table};
use dscore_traffic::ConnId;
use proptest::prelude::*;

#[test]
fn id_holds_reactor_index_and_generation() {
    for (reactor, index, generation) in [(0, 0, 0), (1, 2, 3), (255, 0xff_ffff, u32::MAX)] {
        let id = ConnId::new(reactor, index, generation);
        assert_eq!(
            (id.reactor(), id.index(), id.generation()),
            (reactor, index, generation)
        );
        assert_eq!(ConnId::from_u64(id.to_u64()), id);
    }
    assert_eq!(
        ConnId::new(0xab, 0x123456, 0x789a_bcde).to_u64(),
        0xab12_3456_789a_bcde
    );
}

#[test]
fn first_id_is_not_zero() {
    assert_ne!(Table::new(0).insert(()).to_u64(), 0);
}

#[test]
fn finds_peers_by_id_and_by_slot() {
    let mut table = Table::new(7);
    let (a, b) = (table.insert("a"), table.insert("b"));
    assert_eq!((a.reactor(), b.reactor()), (7, 7));
    assert_eq!((table.get(a), table.get(b)), (Some(&"a"), Some(&"b")));
    assert_eq!(table.next_from(b.index()), Some(b));
    assert_eq!(table.next_from(2), None);
    assert_eq!(table.id_in(SlotId::of(b)), Some(b));
    assert_eq!(table.id_in(SlotId::of(ConnId::new(7, 2, 1))), None);
    if let Some(peer) = table.get_mut(a) {
        *peer = "changed";
    }
    assert!(table.iter().eq([(a, &"changed"), (b, &"b")]));
}

#[test]
fn stale_id_misses_though_its_slot_is_used_again() {
    let mut table = Table::new(0);
    let stale = table.insert("old");
    assert_eq!(table.remove(stale), Some("old"));
    assert_eq!(table.next_from(stale.index()), None);
    let fresh = table.insert("new");
    assert_eq!(fresh.index(), stale.index());
    assert_eq!(table.get(stale), None);
    assert_eq!(table.get_mut(stale), None);
    assert_eq!(table.remove(stale), None);
    assert_eq!(table.get(fresh), Some(&"new"));
    assert_eq!(table.len(), 1);
}

#[test]
fn ids_of_another_reactor_and_made_up_ones_miss() {
    let mut table = Table::new(1);
    let id = table.insert(());
    for number in [0, u64::MAX, id.to_u64() + 1, id.to_u64() + (1 << 32)] {
        assert_eq!(table.get(ConnId::from_u64(number)), None, "{number:#x}");
    }
    let elsewhere = ConnId::new(2, id.index(), id.generation());
    assert_eq!(table.remove(elsewhere), None);
    assert_eq!(table.len(), 1);
}

#[test]
fn id_of_the_next_user_misses_while_the_slot_is_empty() {
    let mut table = Table::new(0);
    let id = table.insert(());
    table.remove(id);
    let next = ConnId::new(0, id.index(), id.generation() + 1);
    assert_eq!(table.get(next), None);
    assert_eq!(table.remove(next), None);
    assert_eq!(table.insert(()), next);
}

#[test]
fn walk_taken_up_again_meets_each_peer_that_stays_once() {
    let mut table = Table::new(0);
    let ids: Vec<ConnId> = (0..6).map(|number| table.insert(number)).collect();
    let mut met = Vec::new();
    let mut from = 0;
    while let Some(id) = table.next_from(from) {
        let index = id.index();
        met.push(index);
        from = index + 1;
        if index == 2 {
            table.remove(ids[0]);
            table.remove(ids[2]);
            table.remove(ids[4]);
        }
    }
    assert_eq!(met, [0, 1, 2, 3, 5]);
    assert_eq!(table.next_from(usize::MAX), None);
}

proptest! {
    #[test]
    fn agrees_with_a_hash_map(
        ops in prop::collection::vec((any::<bool>(), any::<usize>()), 1..300),
    ) {
        let mut table = Table::new(3);
        let mut model: HashMap<ConnId, usize> = HashMap::new();
        let mut ids: Vec<ConnId> = Vec::new();
        for (insert, number) in ops {
            if insert || ids.is_empty() {
                let id = table.insert(number);
                prop_assert_eq!(model.insert(id, number), None, "an id is given out once");
                ids.push(id);
            } else {
                let id = ids[number % ids.len()];
                prop_assert_eq!(table.remove(id), model.remove(&id));
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.is_empty(), model.is_empty());
        }
        for id in ids {
            prop_assert_eq!(table.get(id), model.get(&id));
        }
        prop_assert_eq!(table.iter().count(), model.len());
    }
}
