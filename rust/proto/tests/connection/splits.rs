//! Any stream under any split: equal events, no panic, bounded memory.

use dscore_proto::Role;
use dscore_proto::frame::{Opcode, encode_header};
use dscore_proto::mask::apply_mask;
use proptest::prelude::*;

use crate::pair::{Endpoint, Seen};

/// Something a peer says while it keeps to the protocol.
#[derive(Clone, Debug)]
enum Said {
    /// Cut at these places; a ping between each two fragments.
    Text(String, Vec<prop::sample::Index>),
    Binary(Vec<u8>, Vec<prop::sample::Index>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn any_said() -> impl Strategy<Value = Said> {
    let cuts = || prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        3 => ("\\PC{0,100}", cuts()).prop_map(|(text, cuts)| Said::Text(text, cuts)),
        2 => (bytes(300), cuts()).prop_map(|(data, cuts)| Said::Binary(data, cuts)),
        1 => (bytes(70_000), cuts()).prop_map(|(data, cuts)| Said::Binary(data, cuts)),
        1 => bytes(126).prop_map(Said::Ping),
        1 => bytes(126).prop_map(Said::Pong),
    ]
}

/// The frames of a side; a client's are masked.
struct Wire {
    masked: bool,
    bytes: Vec<u8>,
    expected: Vec<Seen>,
}

impl Wire {
    fn frame(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) {
        let key = self.masked.then_some([payload.len() as u8, 0x5a, 0, 0xff]);
        encode_header(opcode, fin, payload.len() as u64, key, &mut self.bytes);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        if let Some(key) = key {
            apply_mask(&mut self.bytes[start..], key, 0);
        }
    }

    fn message(&mut self, opcode: Opcode, payload: &[u8], cuts: &[prop::sample::Index]) {
        let mut borders: Vec<_> = cuts
            .iter()
            .map(|cut| cut.index(payload.len() + 1))
            .collect();
        borders.sort_unstable();
        let (mut opcode, mut start) = (opcode, 0);
        for end in borders {
            self.frame(opcode, false, &payload[start..end]);
            self.frame(Opcode::Ping, true, b"between");
            self.expected.push(Seen::Ping(b"between".to_vec()));
            (opcode, start) = (Opcode::Continuation, end);
        }
        self.frame(opcode, true, &payload[start..]);
    }

    fn say(&mut self, said: Said) {
        match said {
            Said::Text(text, cuts) => {
                self.message(Opcode::Text, text.as_bytes(), &cuts);
                self.expected.push(Seen::Text(text));
            }
            Said::Binary(data, cuts) => {
                self.message(Opcode::Binary, &data, &cuts);
                self.expected.push(Seen::Binary(data));
            }
            Said::Ping(payload) => {
                self.frame(Opcode::Ping, true, &payload);
                self.expected.push(Seen::Ping(payload));
            }
            Said::Pong(payload) => {
                self.frame(Opcode::Pong, true, &payload);
                self.expected.push(Seen::Pong(payload));
            }
        }
    }
}

fn wire(masked: bool, script: Vec<Said>) -> Wire {
    let mut wire = Wire {
        masked,
        bytes: Vec::new(),
        expected: Vec::new(),
    };
    script.into_iter().for_each(|said| wire.say(said));
    wire
}

/// Reads of these sizes, over and over.
fn read(mut endpoint: Endpoint, mut stream: &[u8], sizes: &[usize]) -> Endpoint {
    for &size in sizes.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (part, rest) = stream.split_at(size.min(stream.len()));
        endpoint.read(part);
        stream = rest;
    }
    endpoint
}

fn any_sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![1..4_usize, 1..200_usize, 1..70_000_usize];
    prop::collection::vec(size, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn events_do_not_depend_on_the_split(
        from_client: bool,
        script in prop::collection::vec(any_said(), 0..8),
        sizes in any_sizes(),
    ) {
        let wire = wire(from_client, script);
        let endpoint = || if from_client { Endpoint::server() } else { Endpoint::client() };
        for sizes in [&sizes[..], &[1], &[usize::MAX]] {
            let endpoint = read(endpoint(), &wire.bytes, sizes);
            prop_assert_eq!(&endpoint.seen, &wire.expected);
            prop_assert_eq!(endpoint.connection.buffered(), 0);
        }
    }

    #[test]
    fn a_damaged_stream_fails_alike_under_any_split(
        script in prop::collection::vec(any_said(), 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        sizes in any_sizes(),
        max_message_size in 0..2000_usize,
        max_fragments in 0..5_u32,
    ) {
        let mut stream = wire(true, script).bytes;
        for (place, byte) in damage {
            let place = place.index(stream.len().max(1));
            if let Some(target) = stream.get_mut(place) {
                *target = byte;
            }
        }
        let endpoint = || Endpoint::server_within(max_message_size, max_fragments);
        let whole = read(endpoint(), &stream, &[usize::MAX]).outcome();
        prop_assert_eq!(read(endpoint(), &stream, &sizes).outcome(), whole.clone());
        prop_assert_eq!(read(endpoint(), &stream, &[1]).outcome(), whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        stream in prop::collection::vec(any::<u8>(), 0..2000),
        client: bool,
        sizes in any_sizes(),
    ) {
        let role = if client { Role::Client { seed: 1 } } else { Role::Server };
        let whole = read(Endpoint::new(role), &stream, &[usize::MAX]).outcome();
        prop_assert_eq!(read(Endpoint::new(role), &stream, &sizes).outcome(), whole);
    }
}
