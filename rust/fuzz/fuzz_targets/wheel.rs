//! Any sequence of operations on a wheel must do what it does to a sorted map.

#![no_main]

#[path = "../../wheel/tests/wheel_model/mod.rs"]
mod wheel_model;

use libfuzzer_sys::fuzz_target;
use wheel_model::{Checked, Op, Tick};

// Four bytes are an operation; the first eight are the present.
fuzz_target!(|data: &[u8]| {
    let Some((now, ops)) = data.split_first_chunk() else {
        return;
    };
    let mut checked = Checked::new(u64::from_le_bytes(*now));
    for op in ops.as_chunks().0 {
        checked.apply(decode(*op));
    }
    checked.finish();
});

fn decode([kind, shift, low, high]: [u8; 4]) -> Op {
    let number = usize::from(low);
    let ticks = u64::from(u16::from_le_bytes([low, high])) << (shift % 49);
    let tick = match kind >> 4 {
        0 => Tick::Ago(ticks),
        1 => Tick::BeforeBorder(u32::from(shift)),
        _ => Tick::Ahead(ticks),
    };
    match kind % 16 {
        0 | 1 => Op::Cancel(number),
        2 | 3 => Op::Rearm(usize::from(high), tick),
        4 => Op::Advance(tick),
        5 => Op::AdvanceAndPopOne(tick),
        6 => Op::AdvanceToNext,
        _ => Op::Arm(tick),
    }
}
