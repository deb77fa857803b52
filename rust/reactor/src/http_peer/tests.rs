use super::*;
use crate::testing::{Bench, CONN, table_rows};

fn in_state(state: &str, bench: &mut Bench) -> HttpPeer {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut peer = HttpPeer::new(address, false, &mut bench.cx);
    match state {
        "reading" => hears(&mut peer, "GET / HTTP", bench),
        "reading body" => hears(
            &mut peer,
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n",
            bench,
        ),
        "closing" => hears(&mut peer, "nonsense\r\n\r\n", bench),
        _ => {
            hears(&mut peer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", bench);
            if state != "asked" {
                peer.respond(&response(state == "answering"), &mut bench.cx);
            }
        }
    }
    peer
}

fn hears(peer: &mut HttpPeer, input: &str, bench: &mut Bench) {
    let upgraded = peer.on_data(CONN, input.as_bytes(), &mut bench.cx);
    assert!(upgraded.is_none());
}

fn response(more: bool) -> Response {
    Response {
        status: 200,
        headers: vec![],
        body: b"x".to_vec(),
        more,
        notify: false,
    }
}

fn state(peer: &HttpPeer) -> &'static str {
    match peer.state {
        State::Reading if peer.is_idle() => "idle",
        State::Reading => "reading",
        State::ReadingBody(_) => "reading body",
        State::Asked(..) => "asked",
        State::Answering(_) => "answering",
        State::Closing { .. } => "closing",
    }
}

/// Where the event of this column leads, in the words of the table.
fn next(from: &str, column: usize) -> &'static str {
    let mut bench = Bench::new();
    let mut peer = in_state(from, &mut bench);
    assert_eq!(state(&peer), from);
    match column {
        1 => {
            let rest = match from {
                "reading" => "/1.1\r\nHost: x\r\n\r\n",
                "reading body" => "x",
                _ => "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            };
            hears(&mut peer, rest, &mut bench);
        }
        2 => peer.respond(&response(true), &mut bench.cx),
        3 => peer.respond(&response(false), &mut bench.cx),
        4 => peer.respond_more(b"x", true, &mut bench.cx),
        5 => peer.respond_more(b"x", false, &mut bench.cx),
        _ if peer.deadline() == u64::MAX => return "—",
        _ => {
            bench.pass(peer.deadline() - bench.cx.now_ms);
            if peer.on_timer(&mut bench.cx) {
                return "given up";
            }
        }
    }
    state(&peer)
}

#[test]
fn states_follow_each_other_as_the_documented_table_says() {
    let rows = table_rows(include_str!("../http_peer.rs"));
    assert_eq!(rows.len(), 6);
    for row in rows {
        for (column, expected) in row.iter().enumerate().skip(1) {
            assert_eq!(next(row[0], column), *expected, "{row:?}, column {column}");
        }
    }
}

#[test]
fn a_refused_upgrade_keeps_nothing_of_what_came_with_it() {
    let mut bench = Bench::new();
    let mut peer = in_state("closing", &mut bench);
    assert!(peer.input.is_empty());
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    peer = HttpPeer::new(address, false, &mut bench.cx);
    hears(
        &mut peer,
        "GET /ws HTTP/1.1\r\nHost: x\r\n\r\nand much more",
        &mut bench,
    );
    assert_eq!((state(&peer), peer.input.len()), ("closing", 0));
}
