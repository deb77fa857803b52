//! `ReactorPool`: the messages of a conversation. Documented in `_core.pyi`.

use std::sync::Arc;

use dscore_proto::frame::Opcode;
use dscore_proto::socketio::Kind;
use dscore_traffic::command::{Command, Notify, Outgoing};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;
use crate::outgoing::{conn_ids, framed, low_water, packet, text_frame, text_frames};
use crate::pool::ReactorPool;

#[pymethods]
impl ReactorPool {
    #[pyo3(signature = (conn, text, *, notify = false, flushed = false))]
    fn send(
        &self,
        py: Python<'_>,
        conn: u64,
        text: &[u8],
        notify: bool,
        flushed: bool,
    ) -> PyResult<()> {
        let notify = if flushed {
            Notify::Empty
        } else {
            low_water(notify)
        };
        self.send_frame(py, conn, text_frame(text)?, notify)
    }

    #[pyo3(signature = (conn, data, *, notify = false))]
    fn send_binary(&self, py: Python<'_>, conn: u64, data: &[u8], notify: bool) -> PyResult<()> {
        self.send_frame(py, conn, framed(Opcode::Binary, data), low_water(notify))
    }

    #[pyo3(signature = (conn, data, *, namespace = "/", id = None, attachments = vec![], notify = false))]
    #[expect(clippy::too_many_arguments, reason = "the parts of an event")]
    fn send_event(
        &self,
        py: Python<'_>,
        conn: u64,
        data: &[u8],
        namespace: &str,
        id: Option<u64>,
        attachments: Vec<Vec<u8>>,
        notify: bool,
    ) -> PyResult<()> {
        let packet = packet(Kind::Event, namespace, id, data, attachments, notify)?;
        self.give(py, conn, Command::SendPacket(Box::new(packet)))
    }

    #[pyo3(signature = (conn, id, data, *, namespace = "/", attachments = vec![]))]
    fn send_ack(
        &self,
        py: Python<'_>,
        conn: u64,
        id: u64,
        data: &[u8],
        namespace: &str,
        attachments: Vec<Vec<u8>>,
    ) -> PyResult<()> {
        let packet = packet(Kind::Ack, namespace, Some(id), data, attachments, false)?;
        self.give(py, conn, Command::SendPacket(Box::new(packet)))
    }

    #[pyo3(signature = (conns, *texts))]
    fn send_many(
        &self,
        py: Python<'_>,
        conns: Vec<u64>,
        texts: Vec<Bound<'_, PyBytes>>,
    ) -> PyResult<()> {
        let (frames, conns) = (text_frames(&texts)?, conn_ids(conns));
        let pool = self.own()?;
        py.detach(|| pool.send_many(&conns, &frames))
            .map_err(errors::stopped)
    }
}

impl ReactorPool {
    fn send_frame(
        &self,
        py: Python<'_>,
        conn: u64,
        frame: Arc<[u8]>,
        notify: Notify,
    ) -> PyResult<()> {
        self.give(py, conn, Command::Send(Outgoing { frame, notify }))
    }
}
