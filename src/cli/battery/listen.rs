//! `listen`: live messages of stations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::account::no_section;
use super::frame;
use super::vendor::mqtt::MqttEvent;
use super::vendor::session::{ListenError, Listener};
use super::vendor::wire::{self, Body, MsgType};
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

/// Listens to the account's stations, or to the one with this serial number, for this time or without an end.
/// `is_passive` is whether stations are left as silent as they are.
pub(super) fn run(
    cli: &Cli,
    serial: Option<&str>,
    is_passive: bool,
    ends_after: Option<Duration>,
    form: Form,
) -> Result<Exit, Failure> {
    let settings = settings_to_read(cli)?;
    let Some(config) = &settings.account else { return Ok(no_section(&settings)) };
    let heard = match block_on(async { Ok(listen(config, serial, is_passive, ends_after, form).await) })? {
        Ok(heard) => heard?,
        Err(error) => (0, Some(error.to_message())),
    };
    match heard {
        (0, Some(hindrance)) => {
            render::eprint_plain_error(&hindrance);
            Ok(Exit::Partial)
        }
        (0, None) => {
            render::eprint_plain_error(&format!(
                "nothing was heard: see `fleetwatt {} devices` for who is connected",
                VENDOR.source
            ));
            Ok(Exit::Nothing)
        }
        _ => Ok(Exit::Ok),
    }
}

/// Listens and prints until Ctrl-C, the time is over, or nobody reads what is printed. Gives the number of messages,
/// and the error that kept us from receiving any, if there was one.
async fn listen(
    config: &Account,
    serial: Option<&str>,
    is_passive: bool,
    ends_after: Option<Duration>,
    form: Form,
) -> Result<std::io::Result<(u64, Option<String>)>, ListenError> {
    let mut listener = Listener::open(config, serial, !is_passive).await?;
    let names: BTreeMap<SafeText, SafeText> =
        listener.devices.iter().map(|device| (device.serial.clone(), device.name.clone())).collect();
    let mut screen = Screen { names, form, newest: BTreeMap::new() };
    let mut end = pin!(sleep(ends_after.unwrap_or(Duration::MAX)));
    let (mut n_messages, mut hindrance) = (0, None);
    let heard = loop {
        let event = tokio::select! {
            event = listener.next_event() => event,
            () = &mut end => break Ok((n_messages, hindrance)),
            _ = tokio::signal::ctrl_c() => break Ok((n_messages, hindrance)),
        };
        match event {
            MqttEvent::Ready { refused } => {
                if refused.is_empty() {
                    tracing::info!("connected to the broker");
                } else {
                    tracing::warn!("{}", refusal(&refused));
                }
                hindrance = (listener.devices.len() <= refused.len()).then(|| refusal(&refused));
            }
            MqttEvent::Lost { error, again_in } => {
                tracing::warn!(?again_in, "{error}");
                hindrance = Some(error.to_string());
            }
            MqttEvent::Message { topic, payload, at } => {
                n_messages += 1;
                if let Some(text) = screen.show(&topic, &payload, at)
                    && let Err(error) = print(&text)
                {
                    break Err(error);
                }
            }
        }
    };
    listener.end(Instant::now() + Duration::from_secs(1)).await;
    Ok(heard)
}

/// The stations as they are printed.
#[derive(Debug)]
struct Screen {
    /// Names by serial number.
    names: BTreeMap<SafeText, SafeText>,
    form: Form,
    /// The newest value of each name, with its type of message and when it came.
    newest: BTreeMap<SafeText, BTreeMap<String, (Value, MsgType, Timestamp)>>,
}

/// The sender of a message, which came by itself or through a panel.
struct Spoken<'a> {
    serial: &'a SafeText,
    model: &'a str,
    at: Timestamp,
}

impl Screen {
    fn show(&mut self, topic: &str, payload: &[u8], at: Timestamp) -> Option<String> {
        let message = wire::read_message(topic, payload)
            .inspect_err(|error| tracing::warn!("a message cannot be read: {}", error_chain(error)))
            .ok()?;
        let spoken = Spoken { serial: &message.serial, model: message.model.as_str(), at };
        match &message.body {
            Body::Frame(bytes) => self.show_frame(&spoken, bytes),
            Body::Json(value) => {
                let values = wire::decode_json(spoken.model, value).values;
                let raw = || SafeText::new(&value.to_string()).to_string();
                let json = |_raw| json!({ "model": spoken.model, "values": values });
                Some(self.show_values(&spoken, MsgType::JSON, &values, raw, json))
            }
        }
    }

    fn show_frame(&mut self, spoken: &Spoken<'_>, bytes: &[u8]) -> Option<String> {
        let model = spoken.model;
        let frame = wire::split(bytes)
            .inspect_err(|error| tracing::warn!("a frame of {model} cannot be read: {error}"))
            .ok()?;
        let decoded = wire::decode(model, &frame);
        for carried in &decoded.embedded {
            let model = carried.model.as_str();
            if let Ok(frame) = wire::split(&carried.frame) {
                let values = wire::decode(model, &frame).values;
                self.note(&Spoken { serial: &carried.serial, model, ..*spoken }, frame.msg_type, &values);
            }
        }
        let json = |raw| {
            let mut shown = frame::json(model, &frame);
            if let (false, Some(object)) = (raw, shown.as_object_mut()) {
                object.remove("fields");
            }
            shown
        };
        let raw = || frame::text(model, &frame);
        Some(self.show_values(spoken, frame.msg_type, &decoded.values, raw, json))
    }

    /// `raw` are the fields with their bytes for a person; `json` gives the message as an object, with them or
    /// without.
    fn show_values(
        &mut self,
        spoken: &Spoken<'_>,
        msg_type: MsgType,
        values: &BTreeMap<String, Value>,
        raw: impl FnOnce() -> String,
        json: impl FnOnce(bool) -> Value,
    ) -> String {
        self.note(spoken, msg_type, values);
        let name = self.names.get(spoken.serial).map_or(spoken.model, SafeText::as_str);
        let clock = clock(spoken.at);
        match self.form {
            Form::Table => self.table(spoken.at),
            Form::Lines { raw: true } => format!("{clock} {name}\n{}\n", raw()),
            Form::Lines { raw: false } => {
                let values = values.iter().map(|(name, value)| format!(" {name}={}", frame::shown(value)));
                format!("{clock} {name} {msg_type}{}\n", values.collect::<String>())
            }
            Form::Json { raw } => {
                let mut line =
                    json!({ "at": spoken.at.to_string(), "serial": spoken.serial.as_str(), "name": name });
                if let (Some(line), Value::Object(shown)) = (line.as_object_mut(), json(raw)) {
                    line.extend(shown);
                }
                format!("{line}\n")
            }
        }
    }

    fn note(&mut self, spoken: &Spoken<'_>, msg_type: MsgType, values: &BTreeMap<String, Value>) {
        let newest = self.newest.entry(spoken.serial.clone()).or_default();
        for (name, value) in values {
            newest.insert(name.clone(), (value.clone(), msg_type, spoken.at));
        }
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
