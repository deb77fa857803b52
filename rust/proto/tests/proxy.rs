//! Headers of the PROXY protocol, as haproxy and nginx write them, and as they do not.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::net::SocketAddr;

use dscore_proto::proxy::{Header, NoHeader, parse};
use proptest::prelude::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn from(source: &str, destination: &str, is_secure: bool) -> Header {
    let addresses: Option<(SocketAddr, SocketAddr)> =
        Some((source.parse().unwrap(), destination.parse().unwrap()));
    Header {
        addresses,
        is_secure,
    }
}

fn of_the_proxy() -> Header {
    Header {
        addresses: None,
        is_secure: false,
    }
}

fn binary(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [SIGNATURE, &[version_command, family], &length, body].concat()
}

fn ipv4() -> Vec<u8> {
    vec![203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0x01, 0xbb]
}

fn good() -> Vec<(Vec<u8>, Header)> {
    let four = from("203.0.113.9:4711", "10.0.0.1:443", false);
    let six = from("[2001:db8::9]:4711", "[2001:db8::1]:443", false);
    let mut ipv6 = Vec::new();
    for last in [9, 1] {
        ipv6.extend_from_slice(&[
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last,
        ]);
    }
    ipv6.extend_from_slice(&[0x12, 0x67, 0x01, 0xbb]);
    let tls = [ipv4(), vec![3, 0, 1, 9, 0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
    let no_tls = [ipv4(), vec![0x20, 0, 5, 0, 0, 0, 0, 0]].concat();
    vec![
        (
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n".to_vec(),
            four,
        ),
        (
            b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 443\r\n".to_vec(),
            six,
        ),
        (
            b"PROXY TCP6 ::ffff:203.0.113.9 ::ffff:10.0.0.1 4711 443\r\n".to_vec(),
            four,
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), of_the_proxy()),
        (
            b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
            of_the_proxy(),
        ),
        (binary(0x21, 0x11, &ipv4()), four),
        (binary(0x21, 0x21, &ipv6), six),
        (
            binary(0x21, 0x11, &tls),
            from("203.0.113.9:4711", "10.0.0.1:443", true),
        ),
        (binary(0x21, 0x11, &no_tls), four),
        (binary(0x20, 0x00, &[]), of_the_proxy()),
        (binary(0x20, 0x11, &tls), of_the_proxy()),
        (binary(0x20, 0x11, &[]), of_the_proxy()),
        (binary(0x21, 0x00, &[1, 2, 3]), of_the_proxy()),
        (binary(0x21, 0x31, &[0; 216]), of_the_proxy()),
    ]
}

#[test]
fn reads_what_proxies_write_and_leaves_what_is_behind() {
    for (bytes, expected) in good() {
        let behind = [&bytes[..], b"\x16\x03\x01 and more"].concat();
        assert_eq!(
            parse(&behind),
            Ok(Some((expected, bytes.len()))),
            "{bytes:?}"
        );
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{bytes:?} cut at {cut}");
        }
    }
}

#[test]
fn refuses_what_is_none() {
    let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 93]].concat();
    let mut cut_vector = ipv4();
    cut_vector.extend_from_slice(&[0x20, 0, 9, 1]);
    let mut crumbs = ipv4();
    crumbs.extend_from_slice(&[4, 0]);
    let refused: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"\x16\x03\x01".to_vec(),
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n".to_vec(),
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n".to_vec(),
        b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(),
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(),
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(),
        b"PROXY TCP4 \xff 1.2.3.4 1 1\r\n".to_vec(),
        long,
        binary(0x11, 0x11, &ipv4()),
        binary(0x22, 0x11, &ipv4()),
        binary(0x21, 0x11, &ipv4()[..11]),
        binary(0x21, 0x21, &[0; 35]),
        binary(0x21, 0x11, &[0; 2049]),
        binary(0x21, 0x11, &cut_vector),
        binary(0x21, 0x11, &crumbs),
    ];
    for bytes in refused {
        assert_eq!(parse(&bytes), Err(NoHeader), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), binary in any::<bool>()) {
        let front: &[u8] = if binary { SIGNATURE } else { b"PROXY TCP" };
        for input in [&bytes[..], &[front, &bytes].concat()] {
            if let Ok(Some((_, length))) = parse(input) {
                prop_assert!(length <= input.len());
            }
        }
    }
}
