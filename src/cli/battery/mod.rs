//! `solix`: what a person does with an account of one vendor and its devices.

mod account;
mod frame;
mod listen;

use std::io::{IsTerminal, Read};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use self::account::ListFormat;
use self::listen::Form;
use self::vendor::wire::{self, Body, EnvelopeError, FrameError};
use super::{Failure, print, render};
use crate::battery::anker as vendor;
use crate::cli::args::Cli;
use crate::cli::exit::Exit;

/// The name and version of the shape of `solix decode --format json`, and of `solix devices --format json`.
const DECODE_SCHEMA: &str = "fleetwatt.solix.decode/1";
const DEVICES_SCHEMA: &str = "fleetwatt.solix.devices/1";

/// The most that is read from standard input: some days of one device's messages.
const MOST_INPUT_BYTES: u64 = 64 * 1024 * 1024;

/// Stands for the topic of a message that a person has without its topic.
const NO_TOPIC: &str = "dt/anker_power/-/-/-";

#[derive(Debug, Subcommand)]
pub(super) enum BatteryCommand {
    /// Log in to the Solix account, and keep the login
    ///
    /// Takes the e-mail address and the password from where the inventory says, and asks on a terminal for what
    /// is not there. A login that is still valid is not renewed. At most one in ten minutes and six a day are sent, and
    /// a refused password is not sent again: the vendor locks accounts.
    ///
    /// Exit code: 0 logged in; 1 refused, or not allowed now; 2 the call, the inventory or the settings are
    /// wrong.
    Login {
        /// Log in again even if the login is still valid
        #[arg(long)]
        force: bool,
    },
    /// List the devices of the Solix account
    ///
    /// Exit code: 0 listed; 1 there are none, or the cloud does not say; 2 the call, the inventory or the
    /// settings are wrong.
    Devices {
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: ListFormat,
    },
    /// Stream live station messages
    ///
    /// Stations are silent by themselves: they are made to speak every few seconds for as long as this runs,
    /// which keeps them awake. On a terminal the newest values stand in a table; otherwise each message is a
    /// line. Ends with Ctrl-C.
    ///
    /// Exit code: 0 a message was received; 1 none was; 2 the call or the inventory is wrong; 3 the cloud or
    /// the broker refused.
    Listen {
        /// The serial number of the one to listen to; all without it
        #[arg(value_name = "SERIAL")]
        serial: Option<String>,
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: ListenFormat,
        /// Show each field of each frame with its bytes
        #[arg(long)]
        raw: bool,
        /// Listen only: send no requests
        #[arg(long)]
        passive: bool,
        /// End after this time, such as 30s
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        ends_after: Option<Duration>,
    },
    /// Decode frames of a device
    ///
    /// A frame is written in hexadecimal digits or in Base64. A whole MQTT message is JSON and names its
    /// model itself. Without arguments, each line of standard input is one of these.
    ///
    /// Exit code: 0 all were decoded; 1 none was; 2 the call is wrong; 3 some were not.
    Decode {
        /// The product code, such as A1790P; a message may name another, and this one counts
        #[arg(short, long, value_name = "CODE", value_parser = known_model)]
        model: Option<String>,
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: DecodeFormat,
        /// Frames or messages
        #[arg(value_name = "FRAME")]
        frames: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListenFormat {
    /// A table on a terminal, else a line for each message
    Text,
    /// A line of JSON for each message
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DecodeFormat {
    /// A table of fields for each frame
    Text,
    /// One JSON object with a versioned schema
    Json,
}

pub(super) fn run(cli: &Cli, command: &BatteryCommand) -> Result<Exit, Failure> {
    match command {
        BatteryCommand::Login { force } => account::login(cli, *force),
        BatteryCommand::Devices { format } => account::devices(cli, *format),
        BatteryCommand::Listen { serial, format, raw, passive, ends_after } => {
            let is_terminal = std::io::stdout().is_terminal();
            let form = match (format, raw) {
                (ListenFormat::Json, raw) => Form::Json { raw: *raw },
                (ListenFormat::Text, false) if is_terminal => Form::Table,
                (ListenFormat::Text, raw) => Form::Lines { raw: *raw },
            };
            listen::run(cli, serial.as_deref(), *passive, *ends_after, form)
        }
        BatteryCommand::Decode { model, format, frames } => {
            let inputs = if frames.is_empty() { lines_of_stdin()? } else { arguments(frames) };
            decode(model.as_deref(), *format, &inputs)
        }
    }
}

/// The origin of a document to decode, and its text.
type Input = (String, String);

/// A decoded document for a person and for a program.
type Document = (String, Value);

/// Why an input could not be decoded.
#[derive(Debug, thiserror::Error)]
enum DecodeError {
    #[error("neither hexadecimal digits nor Base64 nor a JSON message")]
    Form,
    #[error("half a byte at the end, or something that is no hexadecimal digit")]
    Hex,
    #[error("a frame does not say whose it is: name the model with --model, such as A1790P")]
    NoModel,
    #[error("the model {0} is not known: name the one it resembles with --model, such as A1790P")]
    UnknownModel(String),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

fn decode(model: Option<&str>, format: DecodeFormat, inputs: &[Input]) -> Result<Exit, Failure> {
    let (mut documents, mut n_failed, mut is_call_wrong) = (Vec::new(), 0, false);
    for (place, text) in inputs {
        match decode_one(model, text) {
            Ok(document) => documents.push(document),
            Err(error) => {
                render::eprint_plain_error(&format!("{place}: {error}"));
                is_call_wrong |= matches!(error, DecodeError::NoModel);
                n_failed += 1;
            }
        }
    }
    if !documents.is_empty() {
        print(&rendered(format, documents))?;
    } else if inputs.is_empty() {
        render::eprint_plain_error("there is nothing to decode: standard input is empty");
    }
    Ok(match (n_failed, n_failed == inputs.len()) {
        (_, true) if is_call_wrong => Exit::Usage,
        (_, true) => Exit::Nothing,
        (0, false) => Exit::Ok,
        (_, false) => Exit::Partial,
    })
}

fn rendered(format: DecodeFormat, documents: Vec<Document>) -> String {
    match format {
        DecodeFormat::Text => {
            let texts: Vec<String> = documents.into_iter().map(|(text, _)| text).collect();
            texts.join("\n")
        }
        DecodeFormat::Json => {
            let frames: Vec<Value> = documents.into_iter().map(|(_, json)| json).collect();
            format!("{:#}\n", json!({ "schema": DECODE_SCHEMA, "frames": frames }))
        }
    }
}

fn decode_one(model: Option<&str>, text: &str) -> Result<Document, DecodeError> {
    let text = text.trim();
    if !text.starts_with('{') {
        let model = model.ok_or(DecodeError::NoModel)?;
        return document_of_frame(model, &bytes_of(text)?);
    }
    let message = wire::read_message(NO_TOPIC, text.as_bytes())?;
    let said = message.said_model.as_ref().map(|said| said.as_str());
    let model = model.or(said).ok_or(DecodeError::NoModel)?;
    if wire::model(model).is_none() {
        return Err(DecodeError::UnknownModel(model.to_owned()));
    }
    match &message.body {
        Body::Frame(bytes) => document_of_frame(model, bytes),
        Body::Json(message) => {
            let values = wire::decode_json(model, message).values;
            Ok((frame::text_of_json(model, &values), json!({ "model": model, "values": values })))
        }
    }
}

fn document_of_frame(model: &str, bytes: &[u8]) -> Result<Document, DecodeError> {
    let frame = wire::split(bytes)?;
    Ok((frame::text(model, &frame), frame::json(model, &frame)))
}

/// The bytes of a frame as it is written down. In hexadecimal it begins with ff09, in Base64 with /wk.
fn bytes_of(text: &str) -> Result<Vec<u8>, DecodeError> {
    if let Some(bytes) = wire::from_hex(text) {
        return Ok(bytes);
    }
    if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("ff09")) {
        return Err(DecodeError::Hex);
    }
    STANDARD.decode(text).map_err(|_| DecodeError::Form)
}

fn arguments(frames: &[String]) -> Vec<Input> {
    let numbered = (1..).zip(frames);
    numbered.map(|(nth, text)| (format!("argument {nth}"), text.clone())).collect()
}

/// The lines of standard input that are not blank, each with its number.
fn lines_of_stdin() -> std::io::Result<Vec<Input>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        render::eprint_line("reading frames from standard input, one a line; end with Ctrl-D");
    }
    let mut bytes = Vec::new();
    stdin.lock().take(MOST_INPUT_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    Ok(lines.map(|(nth, line)| (format!("line {nth}"), line.to_owned())).collect())
}

/// A product code that has a field map.
fn known_model(code: &str) -> Result<String, String> {
    let code = code.to_ascii_uppercase();
    if wire::model(&code).is_some() {
        return Ok(code);
    }
    let known: Vec<&str> = wire::models().map(|model| model.code).collect();
    Err(format!("no such model; known are {}", known.join(", ")))
}
