//! `solix listen`: what stations say, as they say it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use super::solix_frame;
use crate::reading::{Clean, Timestamp, with_causes};
use crate::solix::session::{ListenError, Listener, Said};
use crate::solix::wire::{self, Body, Message};
use crate::solix::Config;

/// How a listener prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All newest values as one table, drawn anew with each message.
    Table,
    /// Each message as a line, or with `--raw` as the fields of its frame.
    Lines {
        /// Each field with its bytes.
        raw: bool,
    },
    /// Each message as a line of JSON.
    Json {
        /// With each field and its bytes.
        raw: bool,
    },
}

/// What is asked of a listener.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Whom to listen to; all if `None`.
    pub(super) serial: Option<String>,
    /// Whether stations are left as silent as they are.
    pub(super) is_passive: bool,
    /// When it ends; `None` for never.
    pub(super) ends_after: Option<Duration>,
    /// How to print.
    pub(super) form: Form,
}

/// Why listening ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was asked to.
    Heard {
        /// How many messages came.
        n_messages: u64,
    },
    /// Nobody reads what is printed.
    Print(std::io::Error),
}

/// Listens, and prints by `print`, until Ctrl-C or the time is over.
pub(super) async fn listen(
    config: &Config,
    request: &Request,
    mut print: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<Ended, ListenError> {
    let mut listener = Listener::open(config, request.serial.as_deref(), !request.is_passive).await?;
    let names: BTreeMap<Clean, Clean> =
        listener.devices().iter().map(|device| (device.serial.clone(), device.name.clone())).collect();
    let mut screen = Screen { names, form: request.form, newest: BTreeMap::new() };
    let ends_at = request.ends_after.map(|after| Instant::now() + after);
    let mut n_messages = 0;
    let ended = loop {
        let said = tokio::select! {
            said = listener.said() => said,
            () = until(ends_at) => break Ended::Heard { n_messages },
            _ = tokio::signal::ctrl_c() => break Ended::Heard { n_messages },
        };
        n_messages += u64::from(matches!(said, Said::Message { .. }));
        let Some(text) = screen.show(&said) else { continue };
        if let Err(error) = print(&text) {
            break Ended::Print(error);
        }
    };
    listener.end(Instant::now() + Duration::from_secs(1)).await;
    Ok(ended)
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// What is printed, from what is said.
#[derive(Debug)]
struct Screen {
    /// Names by serial number.
    names: BTreeMap<Clean, Clean>,
    form: Form,
    /// The newest value of each name, with its type of message and when it came.
    newest: BTreeMap<Clean, BTreeMap<String, (Value, String, Timestamp)>>,
}

/// One frame of one device: of a message, or one that a panel carries in it.
struct Spoken<'a> {
    serial: Clean,
    model: Clean,
    bytes: &'a [u8],
    at: Timestamp,
}

impl Screen {
    fn show(&mut self, said: &Said) -> Option<String> {
        match said {
            Said::Connected { refused } if refused.is_empty() => {
                tracing::info!("connected to the broker");
                None
            }
            Said::Connected { refused } => {
                let refused: Vec<&str> = refused.iter().map(Clean::as_str).collect();
                tracing::warn!("the broker refuses the subscription to {}", refused.join(", "));
                None
            }
            Said::Lost { error, again_in } => {
                tracing::warn!(?again_in, "{error}");
                None
            }
            Said::Message { topic, payload, at } => match wire::read_message(topic, payload) {
                Ok(message) => self.show_message(&message, *at),
                Err(error) => {
                    tracing::warn!("a message cannot be read: {}", with_causes(&error));
                    None
                }
            },
        }
    }

    fn show_message(&mut self, message: &Message, at: Timestamp) -> Option<String> {
        let (serial, model) = (message.serial.clone(), message.model.clone());
        match &message.body {
            Body::Frame(bytes) => self.show_frame(&Spoken { serial, model, bytes, at }, true),
            Body::Json(value) => {
                let shown = json!({
                    "at": at.to_string(), "device_sn": serial.as_str(), "device_model": model.as_str(), "json": value,
                });
                Some(format!("{shown}\n"))
            }
        }
    }

    fn show_frame(&mut self, spoken: &Spoken<'_>, may_embed: bool) -> Option<String> {
        let frame = match wire::split(spoken.bytes) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!("a frame of {} cannot be read: {error}", spoken.model);
                return None;
            }
        };
        if !frame.is_checksum_ok {
            tracing::warn!("a frame {} of {} has a wrong checksum", frame.msg_type, spoken.model);
        }
        let decoded = wire::decode(spoken.model.as_str(), &frame);
        let newest = self.newest.entry(spoken.serial.clone()).or_default();
        for (name, value) in &decoded.values {
            newest.insert(name.clone(), (value.clone(), frame.msg_type.to_string(), spoken.at));
        }
        let mut text = match self.form {
            Form::Table => String::new(),
            Form::Lines { raw } => self.line(spoken, &frame, &decoded.values, raw),
            Form::Json { raw } => self.json(spoken, &frame, &decoded.values, raw),
        };
        if may_embed {
            for embedded in &decoded.embedded {
                let spoken = Spoken {
                    serial: embedded.serial.clone(),
                    model: embedded.model.clone(),
                    bytes: &embedded.frame,
                    at: spoken.at,
                };
                text.push_str(&self.show_frame(&spoken, false).unwrap_or_default());
            }
            if self.form == Form::Table {
                text = self.table(spoken.at);
            }
        }
        Some(text)
    }

    fn name(&self, spoken: &Spoken<'_>) -> String {
        self.names.get(&spoken.serial).unwrap_or(&spoken.model).to_string()
    }

    fn line(
        &self,
        spoken: &Spoken<'_>,
        frame: &wire::Frame<'_>,
        values: &BTreeMap<String, Value>,
        raw: bool,
    ) -> String {
        let status = frame.status.map(|status| format!(" status {status:02x}")).unwrap_or_default();
        let mut text = format!("{} {} {}{status}", clock(spoken.at), self.name(spoken), frame.msg_type);
        if raw {
            write!(text, "\n{}", solix_frame::fields(spoken.model.as_str(), frame)).unwrap_or_default();
            return text;
        }
        for (name, value) in values {
            write!(text, " {name}={}", plain(value)).unwrap_or_default();
        }
        text.push('\n');
        text
    }

    fn json(
        &self,
        spoken: &Spoken<'_>,
        frame: &wire::Frame<'_>,
        values: &BTreeMap<String, Value>,
        raw: bool,
    ) -> String {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
        put("at", json!(spoken.at.to_string()));
        put("device_sn", json!(spoken.serial.as_str()));
        put("device_model", json!(spoken.model.as_str()));
        put("device_name", json!(self.name(spoken)));
        put("message", json!(frame.msg_type.to_string()));
        put("status", json!(frame.status));
        put("values", json!(values));
        if raw {
            put("fields", solix_frame::fields_json(spoken.model.as_str(), frame));
        }
        format!("{}\n", Value::Object(object))
    }

    /// All newest values, from the upper left corner of the terminal on.
    fn table(&self, now: Timestamp) -> String {
        let mut text = String::from("\x1b[H\x1b[J");
        for (serial, values) in &self.newest {
            let name = self.names.get(serial).unwrap_or(serial);
            writeln!(text, "{name} ({serial})").unwrap_or_default();
            let width = values.keys().map(String::len).max().unwrap_or(0);
            for (name, (value, msg_type, at)) in values {
                let age = now.since(*at).as_secs();
                writeln!(text, "  {name:width$}  {:>16}  {msg_type}  {age:>4} s", plain(value)).unwrap_or_default();
            }
        }
        text
    }
}

/// The time of day in UTC.
fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..19).unwrap_or(&text).to_owned()
}

/// A value as people read it: text without quotes, cleaned.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => Clean::new(text).to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Clean::new(&value.to_string()).to_string()
        }
    }
}
