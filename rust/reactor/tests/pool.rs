//! The pool as a whole: accepted sockets, limits, back-pressure, the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::collections::HashSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dscore_proto::handshake;
use dscore_reactor::ReactorPool;
use dscore_reactor::settings::{ListenSettings, Settings};
use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, ReactorCommand, ServingState};
use dscore_traffic::event::Event;
use support::{Client, Heard, KEY, PATIENCE, Server, connect, exchange, settings};

/// A port of loopback that the kernel chooses.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn accepted_sockets_are_shared_out_evenly() {
    let mut server = Server::with(settings(), 3, 1_024);
    let agents: Vec<_> = (0..30).map(|n| server.agent(&format!("a-{n}"))).collect();
    for reactor in 0..3 {
        let count = agents
            .iter()
            .filter(|(_, conn)| conn.reactor() == reactor)
            .count();
        assert_eq!(count, 10, "reactor {reactor}");
    }
}

#[test]
fn drain_2_new_connections_are_upgraded_and_closed_1013() {
    let mut server = Server::with(settings(), 2, 1_024);
    for (serving, reason) in [
        (ServingState::Draining, "Server shutting down"),
        (ServingState::Maintenance, "Server temporarily unavailable"),
    ] {
        server
            .pool
            .command_all(|| ReactorCommand::SetServingState(serving))
            .unwrap();
        for _ in 0..2 {
            let mut client = Client::open(server.address(), "/ws");
            assert_eq!(client.close_frame(), (1013, reason.into()));
            server.closed();
        }
    }
    server
        .pool
        .command_all(|| ReactorCommand::SetServingState(ServingState::Open))
        .unwrap();
    server.agent("a");
}

#[test]
fn connections_over_the_limit_are_closed_1013_and_no_other_notices() {
    let mut server = Server::start(Settings {
        max_connections: 2,
        ..settings()
    });
    let (mut first, _) = server.agent("a");
    let (second, _) = server.agent("b");
    let mut third = Client::open(server.address(), "/ws");
    assert_eq!(
        third.close_frame(),
        (1013, "Server connection limit reached".into())
    );
    drop((second, third));
    for _ in 0..2 {
        server.closed();
    }
    first.send(r#"{"type":"heartbeat","clientName":"a"}"#);
    assert!(first.text().contains("heartbeat_response"));
    server.agent("c");
}

#[test]
fn a_rate_makes_upgrades_wait_and_neither_accepts_nor_requests() {
    let mut server = Server::with(
        Settings {
            accept_rate: 30.0,
            ..settings()
        },
        2,
        1024,
    );
    let began = Instant::now();
    let mut request = Vec::new();
    handshake::client_request("127.0.0.1", "/ws", KEY, &[], &mut request);
    let _waiting: Vec<_> = (0..90)
        .map(|_| {
            let mut stream = connect(server.address());
            stream.write_all(&request).unwrap();
            stream
        })
        .collect();
    server.stats_when("queue", |stats| {
        stats.accepted_total == 90 && stats.upgrades_waiting > 20
    });
    let mut probe = connect(server.address());
    probe
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    server.wait("request", |event| {
        matches!(event, Event::HttpRequest(_)).then_some(())
    });
    let stats = server.pool.stats();
    assert!(stats.upgrades_waiting > 0, "{stats:?}");
    server.stats_when("all of them", |stats| stats.connections == 90);
    // The first second's worth at once, the others at the pace, whatever reactor they are in.
    assert!(began.elapsed() >= Duration::from_millis(1_900));
    let stats = server.pool.stats();
    assert_eq!(stats.upgrades_waiting, 0);
    assert!(stats.upgrades_delayed_total >= 55, "{stats:?}");
}

#[test]
fn a_full_event_queue_stops_reading_and_loses_nothing() {
    let mut server = Server::with(settings(), 1, 16);
    let mut client = Client::open(server.address(), "/echo");
    let count = 20_000;
    let address = server.address();
    let sender = std::thread::spawn(move || {
        for n in 0..count {
            client.send(&format!("{n}"));
        }
        client
    });
    server.stats_when("pause", |stats| stats.reading_paused_total > 0);
    // Connections and endings during the pause are kept, not dropped.
    let mut late = connect(address);
    late.write_all(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    for n in 0..count {
        let (_, data) = server.message();
        assert_eq!(data, n.to_string().into_bytes());
    }
    drop(sender.join().unwrap());
    server.closed();
    server.wait("late request", |event| {
        matches!(event, Event::HttpRequest(_)).then_some(())
    });
}

#[test]
fn each_opened_has_its_closed_also_when_the_pool_ends() {
    let mut server = Server::with(settings(), 2, 1_024);
    let agents: Vec<_> = (0..20).map(|n| server.agent(&format!("a-{n}"))).collect();
    let _half = connect(server.address());
    server.pool.close();
    server.pool.close();
    let mut open = HashSet::new();
    server.pump();
    for event in &server.events {
        match event {
            Event::Opened(opened) => assert!(open.insert(opened.conn)),
            Event::Closed(closed) => assert!(open.remove(&closed.conn)),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} never closed");
    assert_eq!(server.pool.stats().connections, 0);
    for (mut client, _) in agents {
        assert_eq!(client.hear(), Heard::End);
    }
    let error = server.pool.command_all(|| ReactorCommand::ReadLastSeen {
        number: 0,
        conns: None,
    });
    assert!(error.is_err(), "a closed pool takes no commands");
}

/// Of a pool of one reactor that is not started yet.
fn listen(address: SocketAddr) -> ListenSettings {
    ListenSettings {
        address,
        passed_socket: false,
        backlog: 8,
        reactors: 1,
        event_queue: 1_024,
        tls: None,
        proxy_protocol: false,
    }
}

#[test]
fn a_burst_of_commands_is_served_over_many_turns() {
    let pool = ReactorPool::new(&listen(ANY), settings()).unwrap();
    let read = |number| ReactorCommand::ReadLastSeen {
        number,
        conns: None,
    };
    for number in 0..640 {
        pool.command_all(|| read(number)).unwrap();
    }
    pool.start().unwrap();
    let (mut events, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while events.len() < 640 {
        assert!(Instant::now() < deadline, "{} of 640", events.len());
        pool.take(1_024, &mut events);
        std::thread::yield_now();
    }
    // Between two of them sockets are read: a heartbeat does not wait for all that the owner has said.
    assert!(pool.stats().turns_total >= 9, "{:?}", pool.stats());
    let numbers = events.iter().map(|event| match event {
        Event::LastSeen(last_seen) => last_seen.number,
        other => panic!("{other:?}"),
    });
    assert!(numbers.eq(0..640), "in their order");
}

#[test]
fn a_pool_that_was_never_started_ends_too() {
    let pool = ReactorPool::new(&listen(ANY), settings()).unwrap();
    let address = pool.address();
    pool.close();
    drop(pool);
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "still listening"
    );
}

#[test]
fn the_same_port_can_be_had_again_at_once() {
    let mut server = Server::start(settings());
    let (client, _) = server.agent("a");
    let address = server.address();
    drop(server);
    ReactorPool::new(&listen(address), settings()).unwrap();
    drop(client);
}

/// Has both reactors read, and puts together what they say.
fn read_last_seen(server: &mut Server, number: u64, conns: Option<&[ConnId]>) -> Vec<(u64, u64)> {
    let conns: Option<Arc<[ConnId]>> = conns.map(Into::into);
    let command = || ReactorCommand::ReadLastSeen {
        number,
        conns: conns.clone(),
    };
    server.pool.command_all(command).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let last = server.wait("last seen", |event| match event {
            Event::LastSeen(last) => {
                Some((last.number, last.conns.clone(), last.heartbeat_ms.clone()))
            }
            _ => None,
        });
        assert_eq!(last.0, number);
        seen.extend(last.1.into_iter().zip(last.2));
    }
    seen
}

#[test]
fn last_seen_is_read_in_bulk() {
    let mut server = Server::with(settings(), 2, 1_024);
    let (mut beating, conn) = server.agent("beats");
    let (_silent, _) = server.agent("silent");
    beating.send(r#"{"type":"heartbeat","clientName":"beats"}"#);
    assert!(beating.text().contains("heartbeat_response"));
    let seen = read_last_seen(&mut server, 1, None);
    assert_eq!(seen.len(), 2);
    for (number, heartbeat_ms) in seen {
        assert_eq!(heartbeat_ms > 0, number == conn.to_u64());
    }
}

#[test]
fn last_seen_of_some_connections_is_read_without_looking_at_the_others() {
    let mut server = Server::with(settings(), 2, 1_024);
    let agents: Vec<_> = (0..6).map(|n| server.agent(&format!("a-{n}"))).collect();
    let gone = ConnId::new(1, 77, 3);
    let wanted = [agents[5].1, gone, agents[0].1, agents[2].1];
    let seen = read_last_seen(&mut server, 2, Some(&wanted));
    let found: HashSet<_> = seen.iter().map(|&(conn, _)| conn).collect();
    let expected = [5, 0, 2].map(|at: usize| agents[at].1.to_u64());
    assert_eq!(found, HashSet::from(expected));
    assert_eq!(read_last_seen(&mut server, 3, Some(&[])), []);
}

#[test]
fn an_unknown_path_is_the_apps_business() {
    let mut server = Server::start(settings());
    let address = server.address();
    let client = std::thread::spawn(move || {
        exchange(
            address,
            b"GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
    });
    let conn = server.wait("request", |event| match event {
        Event::HttpRequest(request) => Some(request.conn),
        _ => None,
    });
    server.pool.command(conn, Command::Abort).unwrap();
    assert_eq!(client.join().unwrap(), "");
}
