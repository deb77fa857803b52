//! Frame headers as literal bytes, read and written.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use dscore_proto::ProtocolError;
use dscore_proto::frame::{
    FrameHeader, MAX_HEADER, Opcode, decode_header, encode_header, encode_message,
};
use proptest::prelude::*;

const KEY: Option<[u8; 4]> = Some(*b"mask");

fn header(fin: bool, opcode: Opcode, len: u64, mask: Option<[u8; 4]>) -> FrameHeader {
    FrameHeader {
        fin,
        opcode,
        len,
        mask,
    }
}

fn encoded(header: &FrameHeader) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_header(
        header.opcode,
        header.fin,
        header.len,
        header.mask,
        &mut bytes,
    );
    bytes
}

#[test]
fn literal_headers_read_and_write() {
    use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
    let cases: [(&[u8], FrameHeader); 14] = [
        (b"\x81\x00", header(true, Text, 0, None)),
        (b"\x01\x03", header(false, Text, 3, None)),
        (b"\x00\x03", header(false, Continuation, 3, None)),
        (b"\x80\x02", header(true, Continuation, 2, None)),
        (b"\x82\x7d", header(true, Binary, 125, None)),
        (b"\x82\xfdmask", header(true, Binary, 125, KEY)),
        (b"\x88\x02", header(true, Close, 2, None)),
        (b"\x89\x7d", header(true, Ping, 125, None)),
        (b"\x8a\x80mask", header(true, Pong, 0, KEY)),
        (b"\x82\x7e\x00\x7e", header(true, Binary, 126, None)),
        (b"\x81\xfe\xff\xffmask", header(true, Text, 0xffff, KEY)),
        (
            b"\x82\x7f\0\0\0\0\0\x01\0\0",
            header(true, Binary, 0x1_0000, None),
        ),
        (
            b"\x01\xff\0\0\0\x01\0\0\0\0mask",
            header(false, Text, 1 << 32, KEY),
        ),
        (
            b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
            header(true, Binary, i64::MAX as u64, None),
        ),
    ];
    for (bytes, header) in cases {
        assert_eq!(decode_header(bytes), Ok(Some((header, bytes.len()))));
        assert_eq!(encoded(&header), bytes);
    }
}

#[test]
fn a_whole_message_is_the_example_of_rfc_6455_5_7() {
    let mut out = b"before".to_vec();
    encode_message(Opcode::Text, b"Hello", &mut out);
    assert_eq!(out, b"before\x81\x05Hello");
}

#[test]
fn reserved_bits_are_rejected() {
    for first in [0x91, 0xa1, 0xc1, 0xf1, 0x90, 0xf8] {
        assert_eq!(
            decode_header(&[first, 0x80]),
            Err(ProtocolError::ReservedBits)
        );
    }
}

#[test]
fn reserved_opcodes_are_rejected() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        assert_eq!(
            decode_header(&[0x80 | opcode, 0x80]),
            Err(ProtocolError::ReservedOpcode(opcode))
        );
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [0x8, 0x9, 0xa] {
        assert_eq!(
            decode_header(&[opcode, 0x80]),
            Err(ProtocolError::FragmentedControl)
        );
        for length in [126, 127] {
            assert_eq!(
                decode_header(&[0x80 | opcode, 0x80 | length]),
                Err(ProtocolError::ControlTooLong)
            );
        }
    }
}

#[test]
fn lengths_use_as_few_bytes_as_possible() {
    for bytes in [
        &b"\x82\x7e\x00\x00"[..],
        b"\x82\x7e\x00\x7d",
        b"\x82\xfe\x00\x05mask",
        b"\x82\x7f\0\0\0\0\0\0\0\x05",
        b"\x82\x7f\0\0\0\0\0\0\xff\xff",
    ] {
        assert_eq!(decode_header(bytes), Err(ProtocolError::NonMinimalLength));
    }
}

#[test]
fn lengths_stay_below_two_to_the_63rd() {
    for bytes in [
        b"\x82\x7f\x80\0\0\0\0\0\0\0",
        b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert_eq!(decode_header(bytes), Err(ProtocolError::LengthOutOfRange));
    }
}

fn any_header() -> impl Strategy<Value = FrameHeader> {
    let opcode = prop_oneof![
        Just(Opcode::Continuation),
        Just(Opcode::Text),
        Just(Opcode::Binary),
        Just(Opcode::Close),
        Just(Opcode::Ping),
        Just(Opcode::Pong),
    ];
    let len = prop_oneof![0..130_u64, 65_500..65_600_u64, 0..=i64::MAX as u64];
    (any::<bool>(), opcode, len, any::<Option<[u8; 4]>>()).prop_map(|(fin, opcode, len, mask)| {
        if opcode.is_control() {
            header(true, opcode, len % 126, mask)
        } else {
            header(fin, opcode, len, mask)
        }
    })
}

proptest! {
    #[test]
    fn a_header_reads_back_as_written(header in any_header(), payload: Vec<u8>) {
        let mut bytes = encoded(&header);
        let len = bytes.len();
        prop_assert!(len <= MAX_HEADER);
        bytes.extend(payload);
        prop_assert_eq!(decode_header(&bytes), Ok(Some((header, len))));
    }

    #[test]
    fn a_header_cut_anywhere_waits_for_more(header in any_header()) {
        let bytes = encoded(&header);
        for cut in 0..bytes.len() {
            prop_assert_eq!(decode_header(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn what_is_accepted_is_written_the_same_way(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(Some((header, len))) = decode_header(&bytes) {
            prop_assert_eq!(encoded(&header), &bytes[..len]);
        }
    }
}
