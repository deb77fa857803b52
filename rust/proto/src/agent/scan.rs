//! The scan: one pass, nothing allocated unless a string holds escapes.

use std::borrow::Cow;

use super::fields::{Field, Fields};
use super::{Refusal, RefusalCode};

/// Bytes of an agent id (PROTOCOL.md §10).
pub const MAX_AGENT_ID: usize = 128;

/// The types the core tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `app_ready`
    AppReady,
    /// `heartbeat`
    Heartbeat,
    /// `connection_check_response`
    ConnectionCheckResponse,
    /// `app_terminated`
    AppTerminated,
    /// `termination_progress`
    TerminationProgress,
    /// `client_status_request`
    ClientStatusRequest,
    /// `reconnection_success`
    ReconnectionSuccess,
    /// `watch`
    Watch,
    /// Anything else: policy's.
    Other,
}

impl Kind {
    /// The kind of a message whose `type` this is.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "app_ready" => Self::AppReady,
            "heartbeat" => Self::Heartbeat,
            "connection_check_response" => Self::ConnectionCheckResponse,
            "app_terminated" => Self::AppTerminated,
            "termination_progress" => Self::TerminationProgress,
            "client_status_request" => Self::ClientStatusRequest,
            "reconnection_success" => Self::ReconnectionSuccess,
            "watch" => Self::Watch,
            _ => Self::Other,
        }
    }
}

/// A message that is a JSON object with a string `type`. Its fields are checked when they are asked
/// for.
#[derive(Clone, Debug)]
pub struct Scanned<'a> {
    /// What `type` says.
    pub kind: Kind,
    /// `type` itself.
    pub type_name: Cow<'a, str>,
    pub(super) fields: Fields<'a>,
}

impl<'a> Scanned<'a> {
    /// The agent id, under the name it has in this kind of message: without the white space at its
    /// ends (that of Unicode's `White_Space`).
    ///
    /// # Errors
    /// Missing or blank: `missing_field` (so is that of a kind that carries none). No string, with
    /// a control character in it, or longer than [`MAX_AGENT_ID`]: `bad_field`.
    pub fn agent_id(&self) -> Result<Cow<'a, str>, Refusal> {
        let field = self.id_field();
        let id = self.fields.string(field)?;
        // Nearly all are: nothing to trim, and no need to look at characters.
        if id.len() <= MAX_AGENT_ID && !id.is_empty() && is_plain(&id) {
            return Ok(id);
        }
        let id = trimmed(id);
        let bad = |sentence| Err(Refusal::bad(field.name(), sentence));
        match id.len() {
            0 => Err(Refusal::missing(field.name())),
            1..=MAX_AGENT_ID if id.contains(char::is_control) => bad("holds a control character"),
            1..=MAX_AGENT_ID => Ok(id),
            _ => bad("is longer than 128 bytes"),
        }
    }

    /// Whether it carries this agent's id.
    ///
    /// # Errors
    /// As [`Self::agent_id`].
    pub fn is_of(&self, agent_id: &str) -> Result<bool, Refusal> {
        // A fleet says thousands of times a second what it said before.
        match self.fields.string(self.id_field()) {
            Ok(id) if id == agent_id => Ok(true),
            _ => self.agent_id().map(|id| id == agent_id),
        }
    }

    fn id_field(&self) -> Field {
        match self.kind {
            Kind::Heartbeat | Kind::ClientStatusRequest | Kind::ReconnectionSuccess => {
                Field::ClientName
            }
            Kind::ConnectionCheckResponse => Field::CheckedName,
            _ => Field::InstanceId,
        }
    }

    /// `request_id` of app_terminated and termination_progress.
    ///
    /// # Errors
    /// `missing_field`, or `bad_field` if it is no string.
    pub fn request_id(&self) -> Result<Cow<'a, str>, Refusal> {
        self.fields.string(Field::RequestId)
    }

    /// `status` of app_terminated.
    ///
    /// # Errors
    /// `missing_field`, or `bad_field` if it is no string.
    pub fn status(&self) -> Result<Cow<'a, str>, Refusal> {
        self.fields.string(Field::Status)
    }

    /// `message` of app_terminated, if there is one and it is a string: it is only shown.
    pub fn message(&self) -> Option<Cow<'a, str>> {
        self.fields.string(Field::Message).ok()
    }

    /// `complete` of app_terminated: every stream reached its end. True where the agent does not say.
    ///
    /// # Errors
    /// `bad_field` if it is there and neither `true` nor `false`.
    pub fn complete(&self) -> Result<bool, Refusal> {
        match self.fields.raw(Field::Complete) {
            Ok("true") | Err(_) => Ok(true),
            Ok("false") => Ok(false),
            Ok(_) => Err(Refusal::bad(
                Field::Complete.name(),
                "must be true or false",
            )),
        }
    }

    /// `stage` of termination_progress.
    ///
    /// # Errors
    /// `missing_field`, or `bad_field` if it is no string.
    pub fn stage(&self) -> Result<Cow<'a, str>, Refusal> {
        self.fields.string(Field::Stage)
    }

    /// `need_ms` of termination_progress.
    ///
    /// # Errors
    /// `missing_field`, or `bad_field` if it is not an integer from 0 to 2⁶⁴ − 1.
    pub fn need_ms(&self) -> Result<u64, Refusal> {
        let raw = self.fields.raw(Field::NeedMs)?;
        // Valid JSON has no sign or leading zero that `u64` would read differently.
        raw.parse()
            .map_err(|_| Refusal::bad(Field::NeedMs.name(), "must be an integer, 0 or more"))
    }
}

/// Scans one message.
///
/// # Errors
/// `bad_json` if it is not one JSON object and nothing else, `bad_type` if its `type` is missing or
/// no string.
///
/// # Example
/// ```
/// use dscore_proto::agent::{Kind, scan};
///
/// let message = scan(r#"{"type":"heartbeat","clientName":"edge-7"}"#)?;
/// assert_eq!((message.kind, &*message.agent_id()?), (Kind::Heartbeat, "edge-7"));
/// # Ok::<(), dscore_proto::agent::Refusal>(())
/// ```
pub fn scan(text: &str) -> Result<Scanned<'_>, Refusal> {
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return Err(Refusal::new(RefusalCode::BadJson));
    }
    let mut fields = Fields::default();
    fields.read(text)?;
    let type_name = fields
        .string(Field::Type)
        .map_err(|_| Refusal::new(RefusalCode::BadType))?;
    Ok(Scanned {
        kind: Kind::of(&type_name),
        type_name,
        fields,
    })
}

/// Whether it is of printable ASCII, without a space.
fn is_plain(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn trimmed(id: Cow<'_, str>) -> Cow<'_, str> {
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(id.trim()),
        Cow::Owned(id) => Cow::Owned(id.trim().to_owned()),
    }
}
