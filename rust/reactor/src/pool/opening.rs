//! What a pool is opened with: its listeners, its porter, and what its threads do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::acceptor::{Acceptor, Entrance};
use crate::context::Context;
use crate::handle::Shared;
use crate::porter::Porter;
use crate::queue::{EventRing, EventSender, Sleeper};
use crate::reactor::Reactor;
use crate::settings::{ListenSettings, Settings, TlsListen};
use crate::sys::Listener;

/// A pool cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct OpenError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// Why it cannot.
    pub error: io::Error,
}

impl OpenError {
    /// Turns an error of this address into one.
    pub(super) fn at(address: SocketAddr) -> impl Fn(io::Error) -> Self {
        move |error| Self { address, error }
    }
}

/// Listeners, the address of the first, and that of one for TLS alone.
pub(super) type Bound = (Vec<Acceptor>, SocketAddr, Option<SocketAddr>);

/// Every listener, and where they listen.
pub(super) fn bind_all(listen: &ListenSettings) -> Result<Bound, OpenError> {
    let bind = |address| Listener::bind(address, listen.backlog).map_err(OpenError::at(address));
    let listener = if listen.passed_socket {
        Listener::passed(listen.backlog).map_err(OpenError::at(listen.address))?
    } else {
        bind(listen.address)?
    };
    let address = listener.address();
    let Some(tls) = &listen.tls else {
        return Ok((
            vec![Acceptor::new(listener, Entrance::Plain)],
            address,
            None,
        ));
    };
    let Some(tls_address) = tls.address else {
        return Ok((
            vec![Acceptor::new(listener, Entrance::Either)],
            address,
            None,
        ));
    };
    let secure = bind(tls_address)?;
    let tls_address = secure.address();
    let acceptors = vec![
        Acceptor::new(listener, Entrance::Plain),
        Acceptor::new(secure, Entrance::Tls),
    ];
    Ok((acceptors, address, Some(tls_address)))
}

/// A reactor for each handle, and the rings that their events come by. The first has the listeners.
pub(super) fn make_reactors(
    shared: &Arc<Shared>,
    settings: &Arc<Settings>,
    reader: &Arc<Sleeper>,
    mut acceptors: Vec<Acceptor>,
    event_queue: usize,
) -> io::Result<(Vec<Reactor>, Vec<EventRing>)> {
    let (mut reactors, mut rings) = (Vec::new(), Vec::new());
    for (number, own) in (0..).zip(&shared.handles) {
        let (sender, ring) = event_ring(event_queue.max(1), reader);
        rings.push(ring);
        let cx = Context::new(settings.clone(), sender);
        let acceptors = std::mem::take(&mut acceptors);
        let reactor = Reactor::new(number, own.clone(), shared.clone(), acceptors, cx)?;
        reactors.push(reactor);
    }
    Ok((reactors, rings))
}

/// Refusals of the porter's that wait for the owner; past them they are only counted.
const REFUSALS: usize = 256;

/// The porter, where the pool has a door for it, and the ring that its events come by.
pub(super) fn make_porter(
    shared: &Arc<Shared>,
    settings: &Arc<Settings>,
    reader: &Arc<Sleeper>,
    tls: Option<&TlsListen>,
) -> io::Result<Option<(Box<Porter>, EventRing)>> {
    let Some(door) = &shared.door else {
        return Ok(None);
    };
    let config = tls.map(|tls| tls.config.clone());
    let (events, ring) = event_ring(REFUSALS, reader);
    let porter = Porter::new(
        door.clone(),
        shared.clone(),
        settings.clone(),
        config,
        events,
    )?;
    Ok(Some((Box::new(porter), ring)))
}

/// Both ends of a queue of events, with room for so many.
fn event_ring(room: usize, reader: &Arc<Sleeper>) -> (EventSender, EventRing) {
    let (producer, consumer) = rtrb::RingBuffer::new(room);
    let taken_bytes = Arc::default();
    let ring = EventRing::new(consumer, Arc::clone(&taken_bytes));
    let sender = EventSender::new(producer, reader.clone(), taken_bytes);
    (sender, ring)
}

/// What a thread does until it is told to stop.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// What each thread does, by its name.
pub(super) fn named(reactors: Vec<Reactor>, porter: Option<Box<Porter>>) -> Vec<(String, Work)> {
    let mut works: Vec<(String, Work)> = Vec::new();
    for (number, mut reactor) in reactors.into_iter().enumerate() {
        let name = format!("dscore-reactor-{number}");
        works.push((name, Box::new(move || reactor.run())));
    }
    if let Some(mut porter) = porter {
        works.push(("dscore-porter".into(), Box::new(move || porter.run())));
    }
    works
}
