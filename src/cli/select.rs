//! `--host` and `--label`: the hosts that a command is for.

use clap::Args;

use crate::app::HostSelection;

/// The hosts that are meant.
#[derive(Debug, Args)]
pub(super) struct Select {
    /// Only these hosts: names, ranges and patterns, joined by commas; may be given several times
    ///
    /// `node[001-016],login1` are names, all of which must be in the inventory; what has `*` or `?` in it is
    /// a pattern as a shell knows it: 'rack1-*'.
    #[arg(long = "host", value_name = "HOSTS")]
    hosts: Vec<String>,
    /// Only hosts with this label; several keys must all be there, several values of one key are a choice
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl Select {
    pub(super) fn selection(&self) -> HostSelection {
        HostSelection { hosts: self.hosts.clone(), labels: self.labels.clone() }
    }
}

pub(super) fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write a label as key=value, such as rack=a1"),
    }
}
