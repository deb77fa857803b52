//! A packed timeline against a list.

use dscore_fleet::{Entry, TIMELINE_LENGTH, Timeline};
use proptest::prelude::*;

type Line = (u64, i64, String, Vec<u8>);

fn entry(line: &Line) -> Entry<'_> {
    let (number, at, kind, data) = line;
    Entry {
        number: *number,
        at: *at,
        kind,
        data: data.into(),
    }
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (
        1_u64..1 << 40,
        any::<i64>(),
        ".{0,12}",
        proptest::collection::vec(any::<u8>(), 0..300),
    );
    proptest::collection::vec(line, 0..260).prop_map(|mut lines| {
        let mut last = 0;
        for line in &mut lines {
            last += line.0;
            line.0 = last;
        }
        lines
    })
}

proptest! {
    #[test]
    fn gives_back_what_was_put_in(lines in lines(), forgotten in 0_usize..260) {
        let mut timeline = Timeline::default();
        for line in &lines {
            timeline.push(&entry(line));
        }
        let start = lines.len().saturating_sub(TIMELINE_LENGTH);
        let kept = &lines[start..];
        prop_assert!(timeline.iter().eq(kept.iter().map(entry)));
        prop_assert_eq!(timeline.last_number(), kept.last().map_or(0, |line| line.0));
        let to = lines.get(forgotten).map_or(0, |line| line.0);
        timeline.drop_to(to);
        let rest = kept.iter().filter(|line| line.0 > to);
        prop_assert!(timeline.iter().eq(rest.clone().map(entry)));
        prop_assert_eq!(timeline.is_empty(), rest.count() == 0);
    }
}

#[test]
fn takes_no_memory_once_it_is_empty() {
    let mut timeline = Timeline::default();
    timeline.push(&entry(&(7, -5, "connected".to_owned(), b"{}".to_vec())));
    assert!(timeline.bytes() > 0);
    timeline.drop_to(7);
    assert_eq!(timeline.bytes(), 0);
}
