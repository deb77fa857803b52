//! The outbox from outside: what is sent, in which order, and what a slow consumer still gets.

use std::io::IoSlice;
use std::sync::Arc;

use dscore_reactor::outbox::Outbox;
use proptest::prelude::*;

fn shared(frames: &[u8]) -> Arc<[u8]> {
    Arc::from(frames)
}

/// What one send of at most `chunks` slices would see.
fn front(outbox: &Outbox, chunks: usize) -> Vec<u8> {
    let mut slices = vec![IoSlice::new(b"left alone"); chunks];
    let filled = outbox.io_slices(&mut slices);
    assert!(
        slices[filled..]
            .iter()
            .all(|slice| **slice == *b"left alone")
    );
    slices[..filled]
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .collect()
}

fn rest(outbox: &Outbox) -> Vec<u8> {
    front(outbox, 1000)
}

#[test]
fn sends_in_the_order_of_pushes() {
    let mut outbox = Outbox::new();
    outbox.push_shared(shared(b"one "));
    outbox.push_slice(b"two ");
    outbox.push_slice(b"three ");
    outbox.push_shared(shared(b"four"));
    assert_eq!(rest(&outbox), b"one two three four");
    assert_eq!(outbox.bytes(), 18);
}

#[test]
fn fills_as_many_slices_as_there_are_places() {
    let mut outbox = Outbox::new();
    for frame in [b"a1", b"b2", b"c3"] {
        outbox.push_shared(shared(frame));
    }
    outbox.consume(1);
    assert_eq!(front(&outbox, 0), b"");
    assert_eq!(front(&outbox, 1), b"1");
    assert_eq!(front(&outbox, 2), b"1b2");
}

#[test]
fn consumes_across_chunks_and_inside_them() {
    let mut outbox = Outbox::new();
    for frame in [b"abc", b"def", b"ghi"] {
        outbox.push_shared(shared(frame));
    }
    outbox.consume(4);
    assert_eq!(rest(&outbox), b"efghi");
    outbox.consume(2);
    assert_eq!(rest(&outbox), b"ghi");
    outbox.consume(3);
    assert!(outbox.is_empty());
    assert_eq!(front(&outbox, 4), b"");
}

#[test]
fn shared_frames_are_not_copied() {
    let frames = shared(b"to all");
    let mut outboxes = [Outbox::new(), Outbox::new()];
    for outbox in &mut outboxes {
        outbox.push_shared(frames.clone());
        let mut slices = [IoSlice::new(&[]); 1];
        outbox.io_slices(&mut slices);
        assert_eq!(slices[0].as_ptr(), frames.as_ptr());
    }
    assert_eq!(Arc::strong_count(&frames), 3);
    outboxes[0].consume(frames.len());
    assert_eq!(
        Arc::strong_count(&frames),
        2,
        "let go of as soon as it is sent"
    );
}

#[test]
fn small_replies_share_chunks_of_bounded_size() {
    let mut outbox = Outbox::new();
    for _ in 0..1000 {
        outbox.push_slice(&[0x8a, 0x06, 1, 2, 3, 4, 5, 6]);
    }
    let mut slices = [IoSlice::new(&[]); 1000];
    let filled = outbox.io_slices(&mut slices);
    assert_eq!(filled, 2);
    assert!(slices.iter().all(|slice| slice.len() <= 4096));
}

#[test]
fn slow_consumer_gets_the_frame_it_has_begun_then_the_close_frame() {
    let mut outbox = Outbox::new();
    outbox.push_shared(shared(b"[begun]"));
    outbox.push_shared(shared(b"[waiting]"));
    outbox.push_slice(b"[reply]");
    outbox.consume(3);
    outbox.drop_all_but_begun(0);
    assert_eq!(outbox.bytes(), 4);
    outbox.push_slice(b"[close]");
    assert_eq!(rest(&outbox), b"gun][close]");
}

#[test]
fn slow_consumer_on_a_frame_border_gets_the_close_frame_only() {
    let mut outbox = Outbox::new();
    outbox.push_shared(shared(b"[sent]"));
    outbox.push_shared(shared(b"[waiting]"));
    outbox.consume(6);
    outbox.drop_all_but_begun(0);
    assert!(outbox.is_empty());
    outbox.push_slice(b"[close]");
    assert_eq!(rest(&outbox), b"[close]");
}

#[test]
fn nothing_pushed_is_nothing_to_send() {
    let mut outbox = Outbox::new();
    outbox.push_slice(b"");
    outbox.push_shared(shared(b""));
    assert!(outbox.is_empty());
    assert_eq!(outbox.io_slices(&mut [IoSlice::new(&[]); 4]), 0);
    outbox.drop_all_but_begun(0);
    assert!(outbox.is_empty());
}

/// An operation on an outbox.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// Push so many bytes that are shared.
    Shared(usize),
    /// Push so many bytes that are its own.
    Slice(usize),
    /// Send a part, in 255ths, of what a send of this many slices would see.
    Send(usize, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..3000usize).prop_map(Op::Shared),
        (0..3000usize).prop_map(Op::Slice),
        (0..8usize, any::<u8>()).prop_map(|(chunks, part)| Op::Send(chunks, part)),
    ]
}

proptest! {
    #[test]
    fn sends_every_byte_once_and_in_order(ops in prop::collection::vec(op(), 1..60)) {
        let mut outbox = Outbox::new();
        // All bytes of the stream are told apart by their place in it, up to a long period.
        let stream: Vec<u8> = (0..60 * 3000u32).map(|place| (place % 251) as u8).collect();
        let (mut pushed, mut sent) = (0, 0);
        for op in ops {
            match op {
                Op::Shared(n) => {
                    outbox.push_shared(shared(&stream[pushed..pushed + n]));
                    pushed += n;
                }
                Op::Slice(n) => {
                    outbox.push_slice(&stream[pushed..pushed + n]);
                    pushed += n;
                }
                Op::Send(chunks, part) => {
                    let seen = front(&outbox, chunks);
                    let n = seen.len() * usize::from(part) / 255;
                    prop_assert_eq!(&seen[..n], &stream[sent..sent + n]);
                    outbox.consume(n);
                    sent += n;
                }
            }
            prop_assert_eq!(outbox.bytes(), pushed - sent);
            prop_assert_eq!(outbox.is_empty(), pushed == sent);
        }
        prop_assert_eq!(rest(&outbox), &stream[sent..pushed]);
    }
}
