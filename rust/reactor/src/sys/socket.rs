//! One connected TCP socket that never blocks.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType,
    socket_with,
};

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// That many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer will send no more.
    End,
    /// The connection is broken.
    Broken(Errno),
}

/// What a write achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// That many bytes were taken; fewer than given (or none) means that the kernel's buffer is full.
    Bytes(usize),
    /// The connection is broken.
    Broken(Errno),
}

/// A non-blocking stream socket; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Takes over a descriptor that is non-blocking already.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// A socket that is connected to nothing: it holds a descriptor, no more.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn unconnected() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        Ok(Self { fd })
    }

    /// The address and port it came in on, if the kernel still knows.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        let address = rustix::net::getsockname(&self.fd).ok()?;
        SocketAddr::try_from(address).ok()
    }

    /// Reads once into `buffer`.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        loop {
            match rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Received::End,
                Ok((count, _)) => return Received::Bytes(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Received::Nothing,
                Err(error) => return Received::Broken(error),
            }
        }
    }

    /// Writes once.
    pub(crate) fn send(&self, bytes: &[u8]) -> Sent {
        Self::sent(|| rustix::net::send(&self.fd, bytes, SendFlags::NOSIGNAL))
    }

    /// Writes many pieces with one call.
    pub(crate) fn send_pieces(&self, pieces: &[IoSlice<'_>]) -> Sent {
        let mut control = SendAncillaryBuffer::default();
        Self::sent(|| rustix::net::sendmsg(&self.fd, pieces, &mut control, SendFlags::NOSIGNAL))
    }

    /// Says that nothing more will be sent; reading goes on. A socket that is broken already needs no goodbye.
    pub(crate) fn finish_sending(&self) {
        let _broken_already = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }

    /// Ends it in both directions; what has come can be read still.
    pub(crate) fn finish(&self) {
        let _broken_already = rustix::net::shutdown(&self.fd, Shutdown::Both);
    }

    fn sent(mut write: impl FnMut() -> Result<usize, Errno>) -> Sent {
        loop {
            match write() {
                Ok(count) => return Sent::Bytes(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Sent::Bytes(0),
                Err(error) => return Sent::Broken(error),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
