//! What proxies say of their clients: who is believed, and how far.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::net::SocketAddr;

use dscore_proto::forwarded::{Forwarded, MAX_HOPS, Network, TrustedProxies};
use dscore_proto::http::{MAX_HEADERS, parse_head};
use proptest::prelude::*;

const TRUSTED: [&str; 4] = ["10.0.0.0/8", "127.0.0.1", "fd00::/8", "192.0.2.128/25"];

fn proxies() -> TrustedProxies {
    TrustedProxies::new(&TRUSTED.map(str::to_owned)).unwrap()
}

fn read(peer: &str, fields: &[u8]) -> Option<Forwarded> {
    let mut request = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    request.extend_from_slice(fields);
    request.extend_from_slice(b"\r\n");
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (head, _) = parse_head(&request, &mut slots, 1 << 20).unwrap().unwrap();
    proxies().read(peer.parse().unwrap(), &head)
}

/// The client's address, and its scheme where that is said.
fn said(fields: &str) -> (String, &'static str) {
    let forwarded = read("10.0.0.1:5000", fields.as_bytes()).unwrap();
    let scheme = match forwarded.is_secure {
        Some(true) => "https",
        Some(false) => "http",
        None => "",
    };
    (forwarded.client.to_string(), scheme)
}

#[test]
fn reads_the_right_most_address_that_is_no_trusted_proxy() {
    for (fields, client, scheme) in [
        ("X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9:0", ""),
        (
            "X-Forwarded-For: 203.0.113.9:4711\r\n",
            "203.0.113.9:4711",
            "",
        ),
        ("x-forwarded-for:2001:db8::7\r\n", "[2001:db8::7]:0", ""),
        ("X-Forwarded-For: [2001:db8::7]\r\n", "[2001:db8::7]:0", ""),
        (
            "X-Forwarded-For: [2001:db8::7]:80\r\n",
            "[2001:db8::7]:80",
            "",
        ),
        (
            "X-Forwarded-For: ::ffff:203.0.113.9\r\n",
            "203.0.113.9:0",
            "",
        ),
        // What the client made up stands to the left of what the proxy saw.
        (
            "X-Forwarded-For: 1.1.1.1, 203.0.113.9\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.7.7.7\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "X-Forwarded-For: 203.0.113.9, ::ffff:10.7.7.7\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "X-Forwarded-For: 203.0.113.9 ,, 192.0.2.200,\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "X-Forwarded-For: 203.0.113.9, 192.0.2.127\r\n",
            "192.0.2.127:0",
            "",
        ),
        // Several fields are one list.
        (
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.9\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.2.2.2\r\n",
            "203.0.113.9:0",
            "",
        ),
        // All of them are trusted: the farthest.
        ("X-Forwarded-For: 10.9.9.9, 10.8.8.8\r\n", "10.9.9.9:0", ""),
        // What a trusted proxy writes that is no address: who told us is all that is known.
        ("X-Forwarded-For: unknown\r\n", "10.0.0.1:5000", ""),
        (
            "X-Forwarded-For: 203.0.113.9, _hidden, 10.2.2.2\r\n",
            "10.2.2.2:0",
            "",
        ),
        (
            "X-Forwarded-For: 203.0.113.9, fe80::1%eth0\r\n",
            "10.0.0.1:5000",
            "",
        ),
        (
            "X-Forwarded-For: 203.0.113.9, 10.1.1.1:99999\r\n",
            "10.0.0.1:5000",
            "",
        ),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n",
            "203.0.113.9:0",
            "https",
        ),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: WSS\r\n",
            "203.0.113.9:0",
            "https",
        ),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: ws\r\n",
            "203.0.113.9:0",
            "http",
        ),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: gopher\r\n",
            "203.0.113.9:0",
            "",
        ),
        ("X-Forwarded-Proto: https\r\n", "10.0.0.1:5000", "https"),
        // The scheme of the hop that the client is at; one value is said of all.
        (
            "X-Forwarded-For: 203.0.113.9, 10.2.2.2\r\nX-Forwarded-Proto: https, http\r\n",
            "203.0.113.9:0",
            "https",
        ),
        (
            "X-Forwarded-For: 203.0.113.9, 10.2.2.2\r\nX-Forwarded-Proto: https\r\n",
            "203.0.113.9:0",
            "https",
        ),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https, http\r\n",
            "203.0.113.9:0",
            "http",
        ),
        ("Forwarded: for=203.0.113.9\r\n", "203.0.113.9:0", ""),
        (
            "Forwarded: For=\"[2001:db8::7]:80\";Proto=https;by=10.0.0.1\r\n",
            "[2001:db8::7]:80",
            "https",
        ),
        (
            "Forwarded: by=10.0.0.1; proto=http ;for=\"203.0.113.9:80\"\r\n",
            "203.0.113.9:80",
            "http",
        ),
        (
            "Forwarded: for=1.1.1.1;proto=https, for=203.0.113.9;proto=http\r\n",
            "203.0.113.9:0",
            "http",
        ),
        (
            "Forwarded: for=203.0.113.9;proto=https, for=10.2.2.2;proto=http\r\n",
            "203.0.113.9:0",
            "https",
        ),
        (
            "Forwarded: for=203.0.113.9\r\nForwarded: for=10.2.2.2\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "Forwarded: for=203.0.113.9\r\nX-Forwarded-Proto: https\r\n",
            "203.0.113.9:0",
            "https",
        ),
        (
            "Forwarded: for=_hidden;proto=https\r\n",
            "10.0.0.1:5000",
            "https",
        ),
        ("Forwarded: proto=https\r\n", "10.0.0.1:5000", "https"),
        // A quote that the client left open swallows nothing of what the proxy wrote behind it.
        (
            "Forwarded: for=\"1.1.1.1, for=203.0.113.9\r\n",
            "203.0.113.9:0",
            "",
        ),
        (
            "Forwarded: for=\"1.1.1.1;a=\"b, c\", for=203.0.113.9;ext=\"a,b;for=9.9.9.9\"\r\n",
            "203.0.113.9:0",
            "",
        ),
        // Of both, what most proxies write.
        (
            "Forwarded: for=1.1.1.1;proto=https\r\nX-Forwarded-For: 203.0.113.9\r\n",
            "203.0.113.9:0",
            "",
        ),
    ] {
        assert_eq!(said(fields), (client.to_owned(), scheme), "{fields}");
    }
}

#[test]
fn believes_no_other_peer_and_hears_nothing_where_nothing_is_said() {
    let all = b"X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Proto: https\r\n";
    for peer in [
        "11.0.0.1:1",
        "192.0.2.1:1",
        "[2001:db8::1]:1",
        "[fc00::1]:1",
        "127.0.0.2:1",
    ] {
        assert_eq!(read(peer, all), None, "{peer}");
    }
    for peer in [
        "10.255.0.1:1",
        "127.0.0.1:1",
        "[::ffff:10.0.0.1]:1",
        "[fdff::1]:1",
    ] {
        assert!(read(peer, all).is_some(), "{peer}");
        assert_eq!(
            read(peer, b"X-Forwarded-Host: a\r\nX-Real-IP: 1.1.1.1\r\n"),
            None
        );
        assert_eq!(read(peer, b"X-Forwarded-For: ,\r\nForwarded:\r\n"), None);
    }
}

#[test]
fn follows_so_many_hops_and_no_more() {
    let chain = "10.0.0.7, ".repeat(MAX_HOPS);
    let nearer = format!("X-Forwarded-For: 203.0.113.9, {chain}10.0.0.2\r\n");
    assert_eq!(said(&nearer).0, "10.0.0.7:0");
    let commas = ",".repeat(60_000);
    let hollow = format!("X-Forwarded-For: 203.0.113.9{commas}\r\n");
    assert_eq!(said(&hollow).0, "203.0.113.9:0");
}

#[test]
fn takes_ranges_and_single_addresses() {
    for (range, address, expected) in [
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "203.0.113.9", false),
        ("::/0", "2001:db8::1", true),
        ("10.1.2.3/16", "10.1.9.9", true),
        ("10.1.2.3/16", "10.2.2.3", false),
        ("2001:db8:0:1::/64", "2001:db8:0:1:ffff::", true),
        ("2001:db8:0:1::/64", "2001:db8:0:2::", false),
        ("203.0.113.9", "203.0.113.9", true),
        ("203.0.113.9/32", "203.0.113.8", false),
    ] {
        let network: Network = range.parse().unwrap();
        assert_eq!(
            network.contains(address.parse().unwrap()),
            expected,
            "{range} {address}"
        );
    }
    for text in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "a",
        "*",
        "10.0.0.0/8/8",
        "::ffff:10.0.0.0/104",
        "::ffff:10.0.0.1",
    ] {
        let given = [text.to_owned()];
        assert_eq!(TrustedProxies::new(&given), Err(text));
    }
}

proptest! {
    /// Whatever a client sends, a proxy that appends its address decides.
    #[test]
    fn a_client_cannot_hide_behind_what_it_sends(
        own in proptest::collection::vec(any::<u8>().prop_filter("a field", |byte| *byte >= 32 && *byte != 127), 0..200),
    ) {
        let client: SocketAddr = "203.0.113.9:0".parse().unwrap();
        let mut fields = b"X-Forwarded-For: ".to_vec();
        fields.extend_from_slice(&own);
        fields.extend_from_slice(b", 203.0.113.9\r\n");
        prop_assert_eq!(read("10.0.0.1:1", &fields).unwrap().client, client);
        let mut fields = b"Forwarded: ".to_vec();
        fields.extend_from_slice(&own);
        fields.extend_from_slice(b", for=203.0.113.9\r\n");
        prop_assert_eq!(read("10.0.0.1:1", &fields).unwrap().client, client);
    }
}
