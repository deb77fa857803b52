//! Clients of Engine.IO: HTTP requests on plain sockets, and what both transports have in common.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{Client, Heard, connect, read_some};

/// An HTTP connection that is kept.
pub struct Http {
    stream: TcpStream,
    input: Vec<u8>,
}

/// What a request was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Its status, and the code in its body if it was refused as Engine.IO does.
    pub fn refusal(&self) -> (u16, Option<u32>) {
        let code = self.text().strip_prefix(r#"{"code":"#);
        let code = code.and_then(|rest| rest.chars().next()?.to_digit(10));
        (self.status, code)
    }
}

impl Http {
    pub fn open(address: SocketAddr) -> Self {
        Self {
            stream: connect(address),
            input: Vec::new(),
        }
    }

    pub fn ask(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) {
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{fields}\r\n"
        );
        let request = [head.as_bytes(), body].concat();
        self.stream.write_all(&request).unwrap();
    }

    pub fn answer(&mut self) -> Answer {
        let end = loop {
            let end = self.input.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            assert!(read_some(&mut self.stream, &mut self.input), "no answer");
        };
        let head = String::from_utf8(self.input.drain(..end).collect()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse().unwrap())
        });
        let length = length.unwrap_or(0);
        while self.input.len() < length {
            assert!(
                read_some(&mut self.stream, &mut self.input),
                "half an answer"
            );
        }
        Answer {
            status: head[9..12].parse().unwrap(),
            body: self.input.drain(..length).collect(),
            head,
        }
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, "", b"");
        self.answer()
    }

    /// Nothing has come that was not looked at.
    pub fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let read = self.stream.read(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        self.input.is_empty() && read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// A session that polls.
pub struct Session {
    address: SocketAddr,
    path: String,
    pub query: String,
    pub polls: Http,
    pub posts: Http,
    /// Packets behind the open packet that were not heard yet.
    packets: VecDeque<String>,
    pub open: String,
    pub sid: String,
}

impl Session {
    /// Of revision 4.
    pub fn open(address: SocketAddr, path: &str) -> Self {
        let mut polls = Http::open(address);
        let answer = polls.get(&format!("{path}?EIO=4&transport=polling"));
        assert_eq!(answer.status, 200, "{answer:?}");
        Self::begin(address, path, "EIO=4", polls, packets(answer.text()))
    }

    /// Of revision 3, which wants no binary payloads unless the query says so.
    pub fn open_v3(address: SocketAddr, path: &str, query: &str) -> Self {
        let mut polls = Http::open(address);
        let answer = polls.get(&format!("{path}?{query}&transport=polling"));
        assert_eq!(answer.status, 200, "{answer:?}");
        Self::begin(address, path, query, polls, packets_v3(answer.text()))
    }

    fn begin(
        address: SocketAddr,
        path: &str,
        query: &str,
        polls: Http,
        mut packets: VecDeque<String>,
    ) -> Self {
        let open = packets.pop_front().unwrap();
        let sid = open.strip_prefix(r#"0{"sid":""#).expect(&open)[..32].to_owned();
        Self {
            address,
            path: path.into(),
            query: query.into(),
            polls,
            posts: Http::open(address),
            packets,
            open,
            sid,
        }
    }

    fn is_v3(&self) -> bool {
        self.query.starts_with("EIO=3")
    }

    /// Where its requests go.
    pub fn target(&self) -> String {
        let (path, query, sid) = (&self.path, &self.query, &self.sid);
        format!("{path}?{query}&transport=polling&sid={sid}")
    }

    pub fn begin_poll(&mut self) {
        self.polls.ask("GET", &self.target(), "", b"");
    }

    pub fn poll(&mut self) -> Answer {
        self.begin_poll();
        self.polls.answer()
    }

    pub fn begin_push(&mut self, body: &[u8]) {
        let plain = "Content-Type: text/plain;charset=UTF-8\r\n";
        self.posts.ask("POST", &self.target(), plain, body);
    }

    pub fn push(&mut self, body: &str) -> Answer {
        self.begin_push(body.as_bytes());
        self.posts.answer()
    }

    /// The next packet; polls as often as it must.
    pub fn hear(&mut self) -> String {
        while self.packets.is_empty() {
            let answer = self.poll();
            assert_eq!(answer.status, 200, "{answer:?}");
            self.packets = if self.is_v3() {
                packets_v3(answer.text())
            } else {
                packets(answer.text())
            };
        }
        self.packets.pop_front().unwrap()
    }

    /// A WebSocket for it.
    pub fn websocket(&self) -> Client {
        let (path, query, sid) = (&self.path, &self.query, &self.sid);
        let target = format!("{path}?{query}&transport=websocket&sid={sid}");
        Client::open(self.address, &target)
    }

    /// Moves to a WebSocket, as a client does that waits for its poll to be freed.
    pub fn upgrade(&mut self) -> Client {
        let mut websocket = self.websocket();
        self.begin_poll();
        websocket.send("2probe");
        assert_eq!(websocket.text(), "3probe");
        let freed = self.polls.answer();
        let noop = if self.is_v3() { "1:6" } else { "6" };
        assert_eq!((freed.status, freed.text()), (200, noop));
        websocket.send("5");
        websocket
    }
}

fn packets(payload: &str) -> VecDeque<String> {
    payload.split('\x1e').map(str::to_owned).collect()
}

fn packets_v3(mut payload: &str) -> VecDeque<String> {
    let mut packets = VecDeque::new();
    while let Some((length, rest)) = payload.split_once(':') {
        // Tests of other characters than ASCII look at the payload itself.
        let (packet, behind) = rest.split_at(length.parse().unwrap());
        packets.push_back(packet.to_owned());
        payload = behind;
    }
    packets
}

/// A client that speaks Engine.IO of revision 4, over either transport.
pub enum Caller {
    Polling(Session),
    WebSocket(Client),
}

impl Caller {
    /// Both kinds, each of whom has been told that its session has begun.
    pub fn both(address: SocketAddr, path: &str) -> [Self; 2] {
        let session = Session::open(address, path);
        let mut client = Client::open(address, &format!("{path}?EIO=4&transport=websocket"));
        let open = client.text();
        assert!(open.starts_with(r#"0{"sid":""#), "{open}");
        [Self::Polling(session), Self::WebSocket(client)]
    }

    pub fn say(&mut self, packet: &str) {
        match self {
            Self::Polling(session) => assert_eq!(session.push(packet).text(), "ok"),
            Self::WebSocket(client) => client.send(packet),
        }
    }

    /// Binary data, as each transport has it.
    pub fn say_binary(&mut self, data: &[u8], base64: &str) {
        match self {
            Self::Polling(_) => self.say(&format!("b{base64}")),
            Self::WebSocket(client) => client.send_binary(data),
        }
    }

    pub fn hear(&mut self) -> String {
        match self {
            Self::Polling(session) => session.hear(),
            Self::WebSocket(client) => client.text(),
        }
    }

    pub fn hear_binary(&mut self, data: &[u8], base64: &str) {
        match self {
            Self::Polling(session) => assert_eq!(session.hear(), format!("b{base64}")),
            Self::WebSocket(client) => assert_eq!(client.hear(), Heard::Binary(data.into())),
        }
    }

    /// Ends its session.
    pub fn leave(mut self) {
        self.say("1");
    }

    /// The very next thing is the end: as a WebSocket's close frame, or a packet that says so.
    pub fn hears_end(&mut self, code: u16, reason: &str) {
        match self {
            Self::Polling(session) => {
                assert_eq!(session.hear(), "1");
                assert_eq!(session.poll().refusal(), (400, Some(1)), "it has ended");
            }
            Self::WebSocket(client) => {
                assert_eq!(client.hear(), Heard::Close(code, reason.into()));
            }
        }
    }
}
