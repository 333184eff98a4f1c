//! The values of `[prometheus]`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::check::file_path;
use super::diagnostic::ValueError;
use super::location::{Spanned, put};
use super::model::ListenAddress;
use super::section::Section;
use super::sections::Sections;

/// The most labels of the inventory that each series of a host has: each is in the memory of Prometheus.
const MAX_LABELS: usize = 8;

/// The labels that the series have of themselves, or that Prometheus gives them.
const TAKEN: [&str; 10] =
    ["node", "gpu", "uuid", "model", "driver", "kind", "quantity", "reason", "job", "instance"];

/// An address to listen on: one of this machine with its port, or the path of a unix socket.
pub fn listen_address(text: &str) -> Result<ListenAddress, String> {
    if text.starts_with('/') {
        return Ok(ListenAddress::Unix(text.into()));
    }
    let with_port = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: Result<SocketAddr, _> = with_port.as_deref().unwrap_or(text).parse();
    address.map(ListenAddress::Tcp).map_err(|_| {
        "write an address with its port, as \"127.0.0.1:9836\", or the full path of a unix socket".to_owned()
    })
}

pub(super) fn listen(text: &str) -> Result<ListenAddress, ValueError> {
    listen_address(text).map_err(|hint| ValueError::new("is not an address", "not an address", hint))
}

/// The file for a textfile collector.
pub(super) fn read_textfile(section: &mut Section<'_, '_>, to: &mut Sections) {
    let base = section.input.base;
    put(section.parsed("textfile", |text| textfile(text, base)), &mut to.prometheus.textfile);
}

fn textfile(text: &str, base: &Path) -> Result<PathBuf, ValueError> {
    let path = file_path(text, base)?;
    if path.extension().is_none_or(|extension| extension != "prom") {
        let hint = "write a name that ends in .prom: a textfile collector passes over all others";
        return Err(ValueError::new("does not end in .prom", "nobody would read it", hint));
    }
    Ok(path)
}

/// The labels of the inventory that the series of a host have.
pub(super) fn read_labels(section: &mut Section<'_, '_>, to: &mut Sections) {
    let Some(Spanned { value: labels, location }) = section.parsed_list("labels", label) else { return };
    let mut seen = BTreeSet::new();
    let labels: Vec<String> =
        labels.into_iter().map(|label| label.value).filter(|label| seen.insert(label.clone())).collect();
    if labels.len() > MAX_LABELS {
        let hint = format!("name {MAX_LABELS} at most: each is stored with each series");
        section.report(location, ValueError::new("`labels` names too many", "too many labels", hint));
        return;
    }
    to.prometheus.labels = labels;
}

fn label(text: &str) -> Result<String, ValueError> {
    let is_name = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !text.starts_with(|first: char| first.is_ascii_digit())
            && !text.starts_with("__")
    };
    if text.is_empty() || !is_name(text) {
        let hint = "Prometheus takes letters, digits and `_`; call the label so in [[host]] too";
        return Err(ValueError::new("has a name that is no label of Prometheus", "not a label", hint));
    }
    if TAKEN.contains(&text) {
        let hint = "call the label otherwise in [[host]]: this one is a label of the series already";
        return Err(ValueError::new("has a name that is taken", "taken", hint));
    }
    Ok(text.to_owned())
}

/// Refuses to be open to other machines without a token.
pub(super) fn check_openness(section: &mut Section<'_, '_>, sections: &Sections) {
    let settings = &sections.prometheus;
    if settings.listen.as_ref().is_some_and(|listen| !listen.is_private())
        && settings.token.is_none()
        && let Some(location) = section.value_location("listen")
    {
        let hint = "name a token by token_file, token_env or token_credential, or listen on 127.0.0.1";
        let error = ValueError::new("other machines could read everything", "open to others", hint);
        section.report(location, error);
    }
}
