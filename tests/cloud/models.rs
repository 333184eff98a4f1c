//! What each model says, and what it is asked with.

use std::collections::BTreeMap;

use super::frame::{Moment, Template};
use super::types::Model;

/// How a model behaves.
#[derive(Debug)]
pub struct Manner {
    /// What it publishes while a trigger runs.
    pub telemetry: u16,
    /// The message type of its status request.
    pub status_request: Option<u16>,
    /// The message type of the answer to that: an answer of its own, or telemetry once.
    pub status_answer: u16,
    templates: Vec<Template>,
}

impl Manner {
    /// The manner of a model. A panel has no templates: see `panel`.
    pub fn of(model: Model) -> Self {
        let (telemetry, status_request, status_answer, texts): (_, _, _, &[&'static str]) = match model {
            Model::F3800Plus | Model::F3800 => (
                0x0405,
                Some(0x0040),
                0x0840,
                &[
                    include_str!("frames/a1790-0405.txt"),
                    include_str!("frames/a1790-0407.txt"),
                    include_str!("frames/a1790-040a.txt"),
                    include_str!("frames/0830.txt"),
                ],
            ),
            Model::Panel => (0x0505, None, 0x0505, &[]),
            Model::Inverter | Model::Meter | Model::Plug => (0x0405, None, 0x0405, &[]),
            Model::Solarbank => (
                0x0405,
                Some(0x0040),
                0x0405,
                &[
                    include_str!("frames/a17c0-0405.txt"),
                    include_str!("frames/a17c0-0407.txt"),
                    include_str!("frames/a17c0-0408.txt"),
                ],
            ),
            Model::Solarbank2 => (0x0405, Some(0x0040), 0x0405, &[include_str!("frames/a17c1-0405.txt")]),
            Model::C1000Gen2 => (
                0x0421,
                Some(0x0100),
                0x0900,
                &[include_str!("frames/a1763-0421.txt"), include_str!("frames/0830.txt")],
            ),
        };
        let templates = texts.iter().map(|text| Template::parse(text)).collect();
        Self { telemetry, status_request, status_answer, templates }
    }

    /// Whether its frames have a value of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.templates.iter().any(|template| template.names().any(|known| known == name))
    }

    /// Whether it has messages of this type.
    pub fn has(&self, message: u16) -> bool {
        self.templates.iter().any(|template| template.message == message) || message == self.status_answer
    }

    /// Panics if a value does not fit into its place.
    pub fn check(&self, name: &str, value: f64) {
        self.templates.iter().for_each(|template| template.check(name, value));
    }

    /// What a value is: as set, else as in the templates.
    pub fn value(&self, name: &str, values: &BTreeMap<String, f64>) -> Option<f64> {
        self.templates.iter().find_map(|template| template.value(name, values))
    }

    /// A message of this type at this moment, with the last part of its topic.
    pub fn message(&self, message: u16, moment: Moment<'_>) -> Option<(&'static str, Vec<u8>)> {
        if message == self.status_answer && message != self.telemetry {
            let (topic, _) = self.message(self.telemetry, moment)?;
            let template = self.templates.iter().find(|template| template.message == self.telemetry)?;
            return Some((topic, template.answer(message, moment)));
        }
        let template = self.templates.iter().find(|template| template.message == message)?;
        // 0830 is an answer too: 0x0030 was the request.
        let is_answer = message & 0x0800 != 0;
        let frame = if is_answer { template.answer(message, moment) } else { template.frame(moment) };
        Some((template.topic, frame))
    }
}
