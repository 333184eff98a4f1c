//! `listen`: live messages of stations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::account::no_section;
use super::frame;
use super::vendor::mqtt::MqttEvent;
use super::vendor::session::{ListenError, Listener};
use super::vendor::wire::{self, Body, Message, MsgType};
use crate::battery::{Account, VENDOR};
use crate::cli::args::Cli;
use crate::cli::exit::Exit;
use crate::cli::{Failure, block_on, print, render, settings_to_read};
use crate::reading::{SafeText, Timestamp, error_chain};

/// The output of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All newest values as one table, redrawn with each message.
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

/// A request to listen.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Whom to listen to; all if `None`.
    pub(super) serial: Option<String>,
    /// Whether stations are left as silent as they are.
    pub(super) is_passive: bool,
    /// When it ends; `None` for never.
    pub(super) ends_after: Option<Duration>,
    /// The output format.
    pub(super) form: Form,
}

/// Why listening ended.
#[derive(Debug)]
enum Ended {
    /// It was asked to.
    Heard {
        /// Number of messages received.
        n_messages: u64,
        /// The error that kept us from receiving any, if there was one.
        hindrance: Option<String>,
    },
    /// Nobody reads what is printed.
    Print(std::io::Error),
}

/// Listens to the account's stations.
pub(super) fn run(cli: &Cli, request: &Request) -> Result<Exit, Failure> {
    let settings = settings_to_read(cli)?;
    let Some(config) = &settings.account else { return Ok(no_section(&settings)) };
    let job = async { Ok(listen(config, request, print).await) };
    match block_on(job)? {
        Ok(Ended::Heard { n_messages: 0, hindrance: Some(hindrance) }) => {
            render::eprint_plain_error(&hindrance);
            Ok(Exit::Partial)
        }
        Ok(Ended::Heard { n_messages: 0, hindrance: None }) => {
            render::eprint_plain_error(&format!(
                "nothing was heard: see `fleetwatt {} devices` for who is connected",
                VENDOR.source
            ));
            Ok(Exit::Nothing)
        }
        Ok(Ended::Heard { .. }) => Ok(Exit::Ok),
        Ok(Ended::Print(error)) => Err(Failure::Print(error)),
        Err(error) => {
            render::eprint_plain_error(&error.to_message());
            Ok(Exit::Partial)
        }
    }
}

/// Listens, and prints by `print`, until Ctrl-C or the time is over.
async fn listen(
    config: &Account,
    request: &Request,
    mut print: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<Ended, ListenError> {
    let mut listener = Listener::open(config, request.serial.as_deref(), !request.is_passive).await?;
    let names: BTreeMap<SafeText, SafeText> =
        listener.devices.iter().map(|device| (device.serial.clone(), device.name.clone())).collect();
    let mut screen = Screen { names, form: request.form, newest: BTreeMap::new() };
    let mut end = pin!(sleep(request.ends_after.unwrap_or(Duration::MAX)));
    let n_devices = listener.devices.len();
    let mut n_messages = 0;
    let mut hindrance = None;
    let ended = loop {
        let event = tokio::select! {
            event = listener.next_event() => event,
            () = &mut end => break Ended::Heard { n_messages, hindrance },
            _ = tokio::signal::ctrl_c() => break Ended::Heard { n_messages, hindrance },
        };
        match &event {
            MqttEvent::Ready { refused } if refused.len() < n_devices => hindrance = None,
            MqttEvent::Ready { refused } => hindrance = Some(refusal(refused)),
            MqttEvent::Lost { error, .. } => hindrance = Some(error.to_string()),
            MqttEvent::Message { .. } => (),
        }
        n_messages += u64::from(matches!(event, MqttEvent::Message { .. }));
        let Some(text) = screen.show(&event) else { continue };
        if let Err(error) = print(&text) {
            break Ended::Print(error);
        }
    };
    listener.end(Instant::now() + Duration::from_secs(1)).await;
    Ok(ended)
}

/// The output of events.
#[derive(Debug)]
struct Screen {
    /// Names by serial number.
    names: BTreeMap<SafeText, SafeText>,
    form: Form,
    /// The newest value of each name, with its type of message and when it came.
    newest: BTreeMap<SafeText, BTreeMap<String, (Value, MsgType, Timestamp)>>,
}

/// The text of a device's event, which comes by itself or through a panel.
struct Spoken<'a> {
    serial: &'a SafeText,
    model: &'a str,
    at: Timestamp,
}

impl Screen {
    fn show(&mut self, event: &MqttEvent) -> Option<String> {
        match event {
            MqttEvent::Ready { refused } if refused.is_empty() => tracing::info!("connected to the broker"),
            MqttEvent::Ready { refused } => tracing::warn!("{}", refusal(refused)),
            MqttEvent::Lost { error, again_in } => tracing::warn!(?again_in, "{error}"),
            MqttEvent::Message { topic, payload, at } => match wire::read_message(topic, payload) {
                Ok(message) => return self.show_message(&message, *at),
                Err(error) => tracing::warn!("a message cannot be read: {}", error_chain(&error)),
            },
        }
        None
    }

    fn show_message(&mut self, message: &Message, at: Timestamp) -> Option<String> {
        let spoken = Spoken { serial: &message.serial, model: message.model.as_str(), at };
        let text = match &message.body {
            Body::Frame(bytes) => self.show_frame(&spoken, bytes)?,
            Body::Json(value) => {
                let decoded = wire::decode_json(spoken.model, value);
                self.note(&spoken, MsgType::JSON, &decoded.values);
                self.show_json(&spoken, value, &decoded)
            }
        };
        Some(if self.form == Form::Table { self.table(at) } else { text })
    }

    fn show_frame(&mut self, spoken: &Spoken<'_>, bytes: &[u8]) -> Option<String> {
        let frame = match wire::split(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!("a frame of {} cannot be read: {error}", spoken.model);
                return None;
            }
        };
        let decoded = wire::decode(spoken.model, &frame);
        self.note(spoken, frame.msg_type, &decoded.values);
        for carried in &decoded.embedded {
            let model = carried.model.as_str();
            if let Ok(frame) = wire::split(&carried.frame) {
                let values = wire::decode(model, &frame).values;
                self.note(&Spoken { serial: &carried.serial, model, ..*spoken }, frame.msg_type, &values);
            }
        }
        Some(match self.form {
            Form::Table => String::new(),
            Form::Lines { raw: true } => {
                format!("{} {}\n{}\n", clock(spoken.at), self.name(spoken), frame::text(spoken.model, &frame))
            }
            Form::Lines { raw: false } => self.line(spoken, frame.msg_type, &decoded.values),
            Form::Json { raw } => {
                let mut shown = frame::json(spoken.model, &frame);
                if let (false, Some(object)) = (raw, shown.as_object_mut()) {
                    object.remove("fields");
                }
                self.json_line(spoken, shown)
            }
        })
    }

    fn show_json(&self, spoken: &Spoken<'_>, value: &Value, decoded: &wire::Decoded) -> String {
        match self.form {
            Form::Table => String::new(),
            Form::Lines { raw: true } => {
                format!("{} {}\n{}\n", clock(spoken.at), self.name(spoken), SafeText::new(&value.to_string()))
            }
            Form::Lines { raw: false } => self.line(spoken, MsgType::JSON, &decoded.values),
            Form::Json { .. } => {
                self.json_line(spoken, json!({ "model": spoken.model, "values": decoded.values }))
            }
        }
    }

    fn note(&mut self, spoken: &Spoken<'_>, msg_type: MsgType, values: &BTreeMap<String, Value>) {
        let newest = self.newest.entry(spoken.serial.clone()).or_default();
        for (name, value) in values {
            newest.insert(name.clone(), (value.clone(), msg_type, spoken.at));
        }
    }

    fn name(&self, spoken: &Spoken<'_>) -> String {
        self.names.get(spoken.serial).map_or_else(|| spoken.model.to_owned(), SafeText::to_string)
    }

    fn line(&self, spoken: &Spoken<'_>, msg_type: MsgType, values: &BTreeMap<String, Value>) -> String {
        let mut text = format!("{} {} {msg_type}", clock(spoken.at), self.name(spoken));
        for (name, value) in values {
            write!(text, " {name}={}", frame::shown(value)).unwrap_or_default();
        }
        text.push('\n');
        text
    }

    /// One line of JSON: when and who, and what.
    fn json_line(&self, spoken: &Spoken<'_>, what: Value) -> String {
        let mut object = Map::new();
        object.insert("at".to_owned(), json!(spoken.at.to_string()));
        object.insert("serial".to_owned(), json!(spoken.serial.as_str()));
        object.insert("name".to_owned(), json!(self.name(spoken)));
        if let Value::Object(what) = what {
            object.extend(what);
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
                let value = frame::shown(value);
                writeln!(text, "  {name:width$}  {value:>20}  {msg_type}  {age:>4} s ago")
                    .unwrap_or_default();
            }
        }
        text
    }
}

/// The broker does not let us hear these.
fn refusal(refused: &[SafeText]) -> String {
    let refused: Vec<&str> = refused.iter().map(SafeText::as_str).collect();
    format!("the broker refuses the subscription to {}", refused.join(", "))
}

/// The time of day in UTC.
fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..19).unwrap_or(&text).to_owned()
}
