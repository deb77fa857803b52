//! What Python has said, as the reactors send it: frames made once, packets checked.

use std::sync::Arc;

use dscore_proto::close::CloseCode;
use dscore_proto::frame::{self, Opcode};
use dscore_proto::socketio::{self, Kind};
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::{Notify, OutgoingPacket, ReactorCommand};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pub(crate) fn low_water(notify: bool) -> Notify {
    if notify { Notify::LowWater } else { Notify::No }
}

pub(crate) fn conn_ids(numbers: Vec<u64>) -> Arc<[ConnId]> {
    numbers.into_iter().map(ConnId::from_u64).collect()
}

/// For each reactor; all share the list.
pub(crate) fn read_last_seen(
    number: u64,
    conns: Option<Vec<u64>>,
) -> impl Fn() -> ReactorCommand + Send + Sync {
    let conns = conns.map(conn_ids);
    move || ReactorCommand::ReadLastSeen {
        number,
        conns: conns.clone(),
    }
}

pub(crate) fn close_frame(code: u16, reason: &str, cause: &str) -> PyResult<CloseFrame> {
    let code = CloseCode::new(code).ok_or_else(|| {
        PyValueError::new_err(format!("code: {code} may not be sent in a close frame"))
    })?;
    Ok(CloseFrame::new(code, reason.to_owned(), cause.to_owned()))
}

pub(crate) fn packet(
    kind: Kind,
    namespace: &str,
    id: Option<u64>,
    data: &[u8],
    attachments: Vec<Vec<u8>>,
    notify: bool,
) -> PyResult<OutgoingPacket> {
    let is_array = |text: &&str| socketio::is_array(text);
    let data = std::str::from_utf8(data).ok().filter(is_array);
    let data = data.ok_or_else(|| PyValueError::new_err("data: not a JSON array"))?;
    if attachments.len() > socketio::MAX_ATTACHMENTS {
        return Err(PyValueError::new_err(format!(
            "attachments: more than {}",
            socketio::MAX_ATTACHMENTS
        )));
    }
    Ok(OutgoingPacket {
        kind,
        namespace: namespace.into(),
        id,
        data: data.into(),
        attachments: attachments.into_iter().map(Into::into).collect(),
        notify,
    })
}

pub(crate) fn frames(texts: &[Vec<u8>]) -> PyResult<Vec<Arc<[u8]>>> {
    texts.iter().map(|text| text_frame(text)).collect()
}

/// One after the other.
pub(crate) fn text_frames(texts: &[Bound<'_, PyBytes>]) -> PyResult<Arc<[u8]>> {
    let mut frames = Vec::new();
    for text in texts {
        frame::encode_message(Opcode::Text, utf8(text.as_bytes())?, &mut frames);
    }
    Ok(frames.into())
}

pub(crate) fn text_frame(text: &[u8]) -> PyResult<Arc<[u8]>> {
    Ok(framed(Opcode::Text, utf8(text)?))
}

fn utf8(text: &[u8]) -> PyResult<&[u8]> {
    std::str::from_utf8(text)
        .map_err(|error| PyValueError::new_err(format!("text: not UTF-8: {error}")))?;
    Ok(text)
}

pub(crate) fn framed(opcode: Opcode, payload: &[u8]) -> Arc<[u8]> {
    let mut frame = Vec::new();
    frame::encode_message(opcode, payload, &mut frame);
    frame.into()
}
