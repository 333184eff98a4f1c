//! The values of `[mqtt]`.

use super::account::is_host;
use super::check::secret_in_file;
use super::diagnostic::ValueError;
use super::location::Location;
use super::model::BrokerUrl;
use super::place::is_port;
use super::section::Section;
use super::sections::Sections;

/// The longest topic: it is the beginning of all others.
const MAX_TOPIC_CHARS: usize = 64;

/// `mqtt://host:1883` or `mqtts://host:8883`, each without its port too.
pub(super) fn url(text: &str) -> Result<BrokerUrl, ValueError> {
    if text.contains('@') {
        return Err(login_in_url());
    }
    let hint = "write `mqtt://host:1883`, or `mqtts://host:8883` for TLS";
    let (is_tls, place) = match (text.strip_prefix("mqtt://"), text.strip_prefix("mqtts://")) {
        (Some(place), _) => (false, place),
        (None, Some(place)) => (true, place),
        (None, None) => {
            let label = "not `mqtt://` or `mqtts://`";
            return Err(ValueError::new("is not the URL of a broker", label, hint).hiding());
        }
    };
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, port.parse().unwrap_or_default()),
        _ => (place, if is_tls { 8883 } else { 1883 }),
    };
    if !is_host(host) {
        let label = "not a host and a port";
        return Err(ValueError::new("has no host, or a port that is none", label, hint));
    }
    Ok(BrokerUrl { host: host.to_owned(), port, is_tls })
}

fn login_in_url() -> ValueError {
    let secret = secret_in_file("has a login in it", "[mqtt]");
    let hint = "take it out, and say where the user name and the password are by user_file and password_file, or \
                by user_env and password_env, or user_credential and password_credential";
    ValueError { hint: hint.to_owned(), ..secret }
}

/// A topic that others begin with.
pub(super) fn topic(text: &str) -> Result<String, ValueError> {
    let is_level =
        |level: &str| level.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let is_topic = text.split('/').all(|level| !level.is_empty() && is_level(level));
    if is_topic && text.len() <= MAX_TOPIC_CHARS {
        return Ok(text.to_owned());
    }
    let hint = "write letters, digits, `_` and `-`, with `/` between them, at most 64 characters";
    Err(ValueError::new("is not a topic that others can begin with", "not a topic", hint))
}

/// Refuses a section that says nothing, and keys that are of no use there. `location` is that of the section.
pub(super) fn check_mqtt(section: &mut Section<'_, '_>, location: Option<Location>, sections: &Sections) {
    let settings = &sections.mqtt;
    if let Some(location) = location.filter(|_| !section.has("url") && !has_broker(section)) {
        let hint = "write `url = \"mqtt://127.0.0.1:1883\"`, or take the section out";
        section.report(location, ValueError::new("[mqtt] without a `url`", "no broker", hint));
    }
    if settings.password.is_some() && settings.user.is_none() {
        for key in ["password_env", "password_file", "password_credential"] {
            let hint = "name the user too, as by user_file: a broker takes no password without one";
            section.refuse(key, ValueError::new("a password without a user name", "of whom?", hint));
        }
    }
    // Our own `online` would be heard as its start, which everything is said again for.
    if settings.topic == "homeassistant" || settings.topic == settings.discovery_prefix {
        for key in ["topic", "discovery_prefix"] {
            let hint = "write another `topic`, such as `fleetwatt`: under this one Home Assistant says that it has started";
            section.refuse(key, ValueError::new("`topic` is Home Assistant's own", "taken", hint));
        }
    }
    if settings.url.as_ref().is_some_and(|url| !url.is_tls) {
        let hint = "write `mqtts://` in `url`, or take it out";
        section.refuse("ca", ValueError::new("`ca` without TLS", "nothing is encrypted", hint));
    }
}

/// Whether the broker stands there under another key, which is reported already.
fn has_broker(section: &Section<'_, '_>) -> bool {
    section.raw.keys().any(|key| section.table.key(key.get_ref()).is_none())
}
