//! The text that Prometheus reads, in both of its forms.
//!
//! Formats: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. No sample has a timestamp: a textfile collector refuses a
//! file with one, and Prometheus knows best when it scraped.

use std::collections::HashSet;
use std::fmt::{self, Write};

/// The form of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text of version 0.0.4, which each Prometheus and the textfile collector read.
    Text,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// The media type of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The kind of a family, which says how its samples are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Goes up and down.
    Gauge,
    /// Never falls but when it begins again; its name ends in `_total`.
    Counter,
    /// Always 1, for the sake of its labels; its name ends in `_info`.
    Info,
}

/// The labels of a sample, as they are written: `node="a",gpu="0"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct LabelSet(String);

impl LabelSet {
    /// The same with one label more, of a name that is none of its own. An empty value is no label, as Prometheus has it.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            return self;
        }
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
        self
    }
}

/// An exposition that is being written, family by family. Each family stands once and is whole.
#[derive(Debug)]
pub(super) struct Exposition {
    format: Format,
    text: String,
    n_samples: usize,
}

impl Exposition {
    pub(super) const fn new(format: Format) -> Self {
        Self { format, text: String::new(), n_samples: 0 }
    }

    /// Writes a family of gauges. One without samples is left out, as is each sample whose labels came before: one that is
    /// doubled would cost the whole scrape.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (LabelSet, f64)>,
    ) {
        self.family(Kind::Gauge, name, help, samples);
    }

    /// The same of counters.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (LabelSet, f64)>,
    ) {
        self.family(Kind::Counter, name, help, samples);
    }

    /// The same of what is said by labels alone.
    pub(super) fn info(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = LabelSet>) {
        self.family(Kind::Info, name, help, samples.into_iter().map(|labels| (labels, 1.0)));
    }

    fn family(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (LabelSet, f64)>,
    ) {
        let mut seen = HashSet::new();
        for (labels, value) in samples {
            if seen.is_empty() {
                self.header(kind, name, help);
            }
            if !seen.contains(&labels) {
                self.sample(name, &labels, value);
                seen.insert(labels);
            }
        }
    }

    /// Number of samples so far.
    pub(super) const fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn header(&mut self, kind: Kind, name: &str, help: &str) {
        let (name, kind) = match (self.format, kind) {
            (_, Kind::Gauge) | (Format::Text, Kind::Info) => (name, "gauge"),
            (Format::Text, Kind::Counter) => (name, "counter"),
            (Format::OpenMetrics, Kind::Counter) => (name.trim_end_matches("_total"), "counter"),
            (Format::OpenMetrics, Kind::Info) => (name.trim_end_matches("_info"), "info"),
        };
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        let unit = name.rsplit_once('_').map(|(_, unit)| unit).filter(|unit| UNITS.contains(unit));
        if let Some(unit) = unit.filter(|_| self.format == Format::OpenMetrics) {
            self.write(format_args!("# UNIT {name} {unit}\n"));
        }
    }

    fn sample(&mut self, name: &str, LabelSet(labels): &LabelSet, value: f64) {
        self.n_samples += 1;
        if labels.is_empty() {
            self.write(format_args!("{name} {value}\n"));
        } else {
            self.write(format_args!("{name}{{{labels}}} {value}\n"));
        }
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        self.text.write_fmt(text).unwrap_or_default();
    }
}

/// The units that names end in.
const UNITS: [&str; 6] = ["watts", "celsius", "ratio", "bytes", "joules", "seconds"];

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> LabelSet {
        LabelSet::default().with("node", name)
    }

    fn written(format: Format) -> String {
        let mut exposition = Exposition::new(format);
        exposition.gauge("x_power_watts", "The draw.", [(node("a"), 412.87), (node("b"), 0.0)]);
        exposition.counter("x_energy_joules_total", "The energy.", [(node("a"), 3_600_000.001)]);
        exposition.info("x_build_info", "The version.", [LabelSet::default().with("version", "1.2")]);
        exposition.finish()
    }

    #[test]
    fn the_text_of_version_0_0_4_reads_like_this() {
        insta::assert_snapshot!(written(Format::Text), @r#"
        # HELP x_power_watts The draw.
        # TYPE x_power_watts gauge
        x_power_watts{node="a"} 412.87
        x_power_watts{node="b"} 0
        # HELP x_energy_joules_total The energy.
        # TYPE x_energy_joules_total counter
        x_energy_joules_total{node="a"} 3600000.001
        # HELP x_build_info The version.
        # TYPE x_build_info gauge
        x_build_info{version="1.2"} 1
        "#);
    }

    #[test]
    fn open_metrics_reads_like_this() {
        insta::assert_snapshot!(written(Format::OpenMetrics), @r#"
        # HELP x_power_watts The draw.
        # TYPE x_power_watts gauge
        # UNIT x_power_watts watts
        x_power_watts{node="a"} 412.87
        x_power_watts{node="b"} 0
        # HELP x_energy_joules The energy.
        # TYPE x_energy_joules counter
        # UNIT x_energy_joules joules
        x_energy_joules_total{node="a"} 3600000.001
        # HELP x_build The version.
        # TYPE x_build info
        x_build_info{version="1.2"} 1
        # EOF
        "#);
    }

    #[test]
    fn what_could_end_a_label_is_escaped_and_an_empty_one_is_none() {
        let labels = node("a\"b\\c\nd").with("rack", "").with("gpu", "0");
        assert_eq!(labels, LabelSet(r#"node="a\"b\\c\nd",gpu="0""#.to_owned()));
    }

    #[test]
    fn a_doubled_sample_counts_once_and_a_family_without_samples_is_not_there() {
        let mut exposition = Exposition::new(Format::Text);
        exposition.counter("x_energy_joules_total", "The energy.", []);
        exposition.gauge(
            "x_power_watts",
            "The draw.",
            [(node("a"), 1.0), (node("b"), 2.0), (node("a"), 3.0)],
        );
        assert_eq!(exposition.n_samples(), 2);
        assert!(exposition.finish().ends_with("watts{node=\"a\"} 1\nx_power_watts{node=\"b\"} 2\n"));
    }
}
