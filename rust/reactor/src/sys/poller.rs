//! Level-triggered epoll, but for alarms.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::alarm::Alarm;
use super::waker::Waker;

const HUNG_UP: epoll::EventFlags = epoll::EventFlags::ERR.union(epoll::EventFlags::HUP);

/// What a descriptor is watched for. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Report when there is something to read, and when the peer has shut its side.
    pub(crate) read: bool,
    /// Report when there is room to write.
    pub(crate) write: bool,
}

impl Interest {
    /// Reading alone.
    pub(crate) const READ: Self = Self {
        read: true,
        write: false,
    };

    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN | epoll::EventFlags::RDHUP, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags
    }
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// There is something to read, or the end of the stream.
    pub(crate) readable: bool,
    /// There is room to write.
    pub(crate) writable: bool,
    /// The socket has failed or both directions are shut: a read will say which.
    pub(crate) hung_up: bool,
    /// The peer sends no more, be it that it shut its side or as above; input may still wait before the end.
    pub(crate) ended: bool,
}

/// One epoll instance.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// What the last wait found. It stays on the thread that waits: the kernel's record could hold a pointer.
pub(crate) struct ReadyList {
    events: Vec<epoll::Event>,
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// Starts watching.
    ///
    /// # Errors
    /// The kernel's: out of memory, or over `max_user_watches`.
    pub(crate) fn add(
        &self,
        source: impl AsFd,
        token: u64,
        interest: Interest,
    ) -> Result<(), Errno> {
        epoll::add(
            &self.epoll,
            source,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )
    }

    /// Begins to watch a waker.
    ///
    /// # Errors
    /// As `add`; the waker was closed.
    pub(crate) fn add_waker(&self, waker: &Waker, token: u64) -> Result<(), Errno> {
        waker.with(|descriptor| self.add(descriptor, token, Interest::READ))
    }

    /// Begins to watch an alarm, which is reported once each time it rings.
    ///
    /// # Errors
    /// As `add`.
    pub(crate) fn add_alarm(&self, alarm: &Alarm, token: u64) -> Result<(), Errno> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.epoll, alarm, epoll::EventData::new_u64(token), flags)
    }

    /// Changes what is watched for.
    ///
    /// # Errors
    /// The kernel's: out of memory.
    pub(crate) fn modify(
        &self,
        source: impl AsFd,
        token: u64,
        interest: Interest,
    ) -> Result<(), Errno> {
        epoll::modify(
            &self.epoll,
            source,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )
    }

    /// Stops watching. Closing a descriptor does the same by itself.
    ///
    /// # Errors
    /// It was not watched.
    pub(crate) fn delete(&self, source: impl AsFd) -> Result<(), Errno> {
        epoll::delete(&self.epoll, source)
    }

    /// Waits until something is ready or `timeout` has passed. A signal ends the wait early (a process that was stopped
    /// and goes on gets one), and what is ready by then is found all the same.
    ///
    /// # Errors
    /// None that a correct program can see; kept so that a broken one does not spin.
    pub(crate) fn wait(
        &self,
        ready: &mut ReadyList,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        ready.clear();
        let mut timeout = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: t.subsec_nanos().into(),
        });
        loop {
            let found = spare_capacity(&mut ready.events);
            match epoll::wait(&self.epoll, found, timeout.as_ref()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => timeout = Some(Timespec::default()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Readable while anything it watches is ready: one poller may watch another.
impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl ReadyList {
    /// Room for `capacity` descriptors a wait, which bounds the length of a turn.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            events: Vec::with_capacity(capacity),
        }
    }

    /// Forgets what was found.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
    }

    /// Whether more may be ready than was found.
    pub(crate) fn is_full(&self) -> bool {
        self.events.len() == self.events.capacity()
    }

    /// How many descriptors are ready.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
    /// Each descriptor that is ready: its token and for what.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Readiness)> {
        self.events.iter().map(|event| {
            let (data, flags) = (event.data, event.flags);
            let readiness = Readiness {
                readable: flags.contains(epoll::EventFlags::IN),
                writable: flags.contains(epoll::EventFlags::OUT),
                hung_up: flags.intersects(HUNG_UP),
                ended: flags.intersects(HUNG_UP | epoll::EventFlags::RDHUP),
            };
            (data.u64(), readiness)
        })
    }
}
