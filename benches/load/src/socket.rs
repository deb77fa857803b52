//! The calls a fleet makes to the kernel, and the readiness it asks for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::{self, Errno};
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Edge-triggered and registered once: a fleet must cost less than the server it measures.
const AGENT: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);
/// An agent that does not read any more still notices its end.
const STALLED: EventFlags = EventFlags::RDHUP.union(EventFlags::ET);

pub(crate) fn new_epoll() -> io::Result<OwnedFd> {
    epoll::create(epoll::CreateFlags::CLOEXEC)
}

/// Agents that share a source address. Past half of the ephemeral ports the kernel searches long for a free one.
const AGENTS_A_SOURCE: u64 = 4_000;

/// Where on loopback this agent comes from: addresses of this process's own, so that connections of earlier runs in
/// TIME_WAIT hold none of its ports. Elsewhere the kernel chooses.
fn source(to: SocketAddr, token: u64) -> Option<SocketAddr> {
    let IpAddr::V4(server) = to.ip() else {
        return None;
    };
    let [low, high, ..] = std::process::id().to_le_bytes();
    let last = u8::try_from(1 + token / AGENTS_A_SOURCE).ok()?;
    let address = Ipv4Addr::new(127, 64 | high & 63, low, last);
    server.is_loopback().then(|| SocketAddr::from((address, 0)))
}

/// Begins a connection; it is made, or has failed, at the first readiness.
pub(crate) fn connect(epoll: &OwnedFd, to: SocketAddr, token: u64) -> io::Result<OwnedFd> {
    let family = if to.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source(to, token) {
        rustix::net::bind(&socket, &source)?;
    }
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    epoll::add(epoll, &socket, EventData::new_u64(token), AGENT)?;
    Ok(socket)
}

/// What became of `connect`.
pub(crate) fn connected(socket: &OwnedFd) -> io::Result<()> {
    socket_error(socket)?
}

pub(crate) fn stop_reading(epoll: &OwnedFd, socket: &OwnedFd, token: u64) -> io::Result<()> {
    epoll::modify(epoll, socket, EventData::new_u64(token), STALLED)
}

/// Registers a timer or a waker.
pub(crate) fn watch(epoll: &OwnedFd, source: impl AsFd, token: u64) -> io::Result<()> {
    epoll::add(epoll, source, EventData::new_u64(token), EventFlags::IN)
}

/// How much was read; `None`: there is nothing now.
///
/// # Errors
/// The connection has ended; in order, that is `PIPE`.
pub(crate) fn receive(socket: &OwnedFd, input: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::net::recv(socket, input, RecvFlags::empty()) {
        Ok((_, 0)) => Err(Errno::PIPE),
        Ok((_, got)) => Ok(Some(got)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How much went out; a full buffer takes nothing.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN) => Ok(0),
        other => other,
    }
}

/// Lets this process open as many descriptors as it may.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
}
