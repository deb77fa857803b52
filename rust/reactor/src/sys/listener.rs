//! The listening socket.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::{io, net};

use listenfd::ListenFd;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Type};

use super::Socket;

/// Bytes that the kernel takes of a peer before it has sent them (`TCP_NOTSENT_LOWAT`, tcp(7)). Left to itself it takes
/// megabytes: of readers that stall, a thousand hold a gigabyte that no bound of ours counts. What is on its way, and so
/// the throughput, is not bounded by it, as it would be by `SO_SNDBUF`; the rest waits in our outbox, where it counts.
const UNSENT: u32 = 64 * 1024;

/// What one accept brought.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A connection, and where it comes from.
    Connection(Socket, SocketAddr),
    /// No one waits.
    Nothing,
    /// One that waited has left already, or a passing fault of the network: try the next.
    Gone,
    /// No descriptor is free: connections wait in the backlog.
    NoDescriptor,
    /// No memory for another socket; try later.
    NoMemory,
}

/// A bound, listening, non-blocking TCP socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds and listens. The address may be taken again right after a crash (`SO_REUSEADDR`), and everything accepted
    /// sends without delay (`TCP_NODELAY`, inherited: one system call saved for each connection), and lets the kernel
    /// hold little (see [`UNSENT`]).
    ///
    /// # Errors
    /// The address is in use, not ours, or not permitted.
    pub(crate) fn bind(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Self::listen(socket.into(), backlog)
    }

    /// Takes the socket that the service manager has bound and passed on (sd_listen_fds(3)). It is there once: what the
    /// environment said of it is removed.
    ///
    /// # Errors
    /// None was passed, or it is no TCP socket.
    pub(crate) fn passed(backlog: u32) -> io::Result<Self> {
        let socket = ListenFd::from_env().take_tcp_listener(0)?;
        let none = || io::Error::new(io::ErrorKind::NotFound, "no listening socket was passed");
        Self::listen(socket.ok_or_else(none)?, backlog)
    }

    fn listen(socket: net::TcpListener, backlog: u32) -> io::Result<Self> {
        let options = SockRef::from(&socket);
        options.set_tcp_nodelay(true)?;
        options.set_tcp_notsent_lowat(UNSENT)?;
        options.set_nonblocking(true)?;
        options.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The bound address, with the port the kernel chose where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes one connection from the backlog.
    pub(crate) fn accept(&self) -> Accepted {
        match acceptfrom_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((fd, Some(peer))) => match SocketAddr::try_from(peer) {
                Ok(peer) => Accepted::Connection(Socket::new(fd), plain_ipv4(peer)),
                Err(_) => Accepted::Gone,
            },
            Ok((_, None)) => Accepted::Gone,
            Err(Errno::AGAIN) => Accepted::Nothing,
            Err(Errno::MFILE | Errno::NFILE) => Accepted::NoDescriptor,
            Err(Errno::NOBUFS | Errno::NOMEM) => Accepted::NoMemory,
            // accept(2): pending network errors of the new socket come out here and must be retried.
            Err(_) => Accepted::Gone,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `::ffff:10.0.0.1` written as `10.0.0.1`: one machine has one address, whichever way it came.
fn plain_ipv4(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}
