//! The scan: one pass, nothing allocated unless a string holds escapes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Refusal, RefusalCode, flat};
use crate::json;

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
    fields: Fields<'a>,
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
    let fields = match read_flat(text) {
        Some(fields) => fields,
        None => read::<Name>(text).or_else(|_| read_leniently(text))?,
    };
    let type_name = fields
        .string(Field::Type)
        .map_err(|_| Refusal::new(RefusalCode::BadType))?;
    Ok(Scanned {
        kind: Kind::of(&type_name),
        type_name,
        fields,
    })
}

/// The fields the core acts on.
#[derive(Clone, Copy, Debug)]
enum Field {
    Type,
    InstanceId,
    ClientName,
    CheckedName,
    RequestId,
    Status,
    Message,
    Complete,
    Stage,
    NeedMs,
}

impl Field {
    const COUNT: usize = Self::NeedMs as usize + 1;

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "type" => Self::Type,
            "instance_id" => Self::InstanceId,
            "clientName" => Self::ClientName,
            "client_name" => Self::CheckedName,
            "request_id" => Self::RequestId,
            "status" => Self::Status,
            "message" => Self::Message,
            "complete" => Self::Complete,
            "stage" => Self::Stage,
            "need_ms" => Self::NeedMs,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::InstanceId => "instance_id",
            Self::ClientName => "clientName",
            Self::CheckedName => "client_name",
            Self::RequestId => "request_id",
            Self::Status => "status",
            Self::Message => "message",
            Self::Complete => "complete",
            Self::Stage => "stage",
            Self::NeedMs => "need_ms",
        }
    }
}

/// The JSON text of each field that was there, by [`Field`].
#[derive(Clone, Debug, Default)]
struct Fields<'a>([Option<&'a str>; Field::COUNT]);

impl<'a> Fields<'a> {
    fn raw(&self, field: Field) -> Result<&'a str, Refusal> {
        self.0[field as usize].ok_or(Refusal::missing(field.name()))
    }

    /// A string: borrowed, unless it holds escapes.
    fn string(&self, field: Field) -> Result<Cow<'a, str>, Refusal> {
        json::string(self.raw(field)?).ok_or(Refusal::bad(field.name(), "must be a string"))
    }
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

/// The fields of an object of plain strings, if it is one.
fn read_flat(text: &str) -> Option<Fields<'_>> {
    let mut fields = Fields::default();
    let is_flat = flat::read(text, |name, value| {
        if let Some(field) = Field::of(name) {
            fields.0[field as usize] = Some(value);
        }
    });
    is_flat.then_some(fields)
}

/// The fields of an object whose names are read as `N`, and nothing behind it.
fn read<'a, N>(text: &'a str) -> serde_json::Result<Fields<'a>>
where
    N: Deserialize<'a> + Into<Option<Field>>,
{
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(FieldsVisitor::<N>(PhantomData))?;
    deserializer.end()?;
    Ok(fields)
}

/// serde_json refuses a lone surrogate in a name. It is rare, so only what was refused is read with care.
#[cold]
fn read_leniently(text: &str) -> Result<Fields<'_>, Refusal> {
    read::<LenientName>(text).map_err(|error| Refusal::syntax(error.column()))
}

struct FieldsVisitor<N>(PhantomData<N>);

impl<'de, N: Deserialize<'de> + Into<Option<Field>>> Visitor<'de> for FieldsVisitor<N> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<N>()? {
            match name.into() {
                Some(field) => {
                    fields.0[field as usize] = Some(map.next_value::<&RawValue>()?.get())
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// A name as serde_json reads it.
struct Name(Option<Field>);

impl From<Name> for Option<Field> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(Field::of(name)))
    }
}

/// A name in which a lone surrogate escape is U+FFFD.
struct LenientName(Option<Field>);

impl From<LenientName> for Option<Field> {
    fn from(name: LenientName) -> Self {
        name.0
    }
}

impl<'de> Deserialize<'de> for LenientName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(
            json::string(raw.get()).and_then(|name| Field::of(&name)),
        ))
    }
}
