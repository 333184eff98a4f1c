//! `[solix]`: the account whose battery stations are read, and how often they are asked.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::check;
use super::diagnostic::ValueError;
use super::host_options::file_path;
use super::model::{SecretSource, SolixServer, SolixSettings};
use super::section::Section;
use super::settings::read_secret;

/// The variables of the existing installation.
const DEFAULT_USER: &str = "ANKER_USER";
const DEFAULT_PASSWORD: &str = "ANKER_PASS";

const DEFAULT_INTERVAL: Duration = Duration::from_secs(120);
const DEFAULT_FAST_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_LISTEN: Duration = Duration::from_secs(10);
const DEFAULT_REST_EVERY: u32 = 5;

/// Below, the station never sleeps and the vendor's servers are asked for nothing new; above, a battery can
/// be empty before anybody hears of it.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(60 * 60);
const LISTENS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
const REST_EVERY: RangeInclusive<u32> = 1..=1_000;

/// Reads `[solix]`; `None` where it is switched off.
pub(super) fn read_solix(section: &mut Section<'_, '_>, base: &Path) -> Option<SolixSettings> {
    let is_enabled = section.flag("enabled").is_none_or(|enabled| enabled.value);
    let user = read_secret(section, base, "user", "e-mail address", DEFAULT_USER);
    let password = read_secret(section, base, "password", "password", DEFAULT_PASSWORD);
    let (interval, fast_interval) = read_intervals(section);
    let settings = SolixSettings {
        user: user.unwrap_or_else(|| SecretSource::Env(DEFAULT_USER.to_owned())),
        password: password.unwrap_or_else(|| SecretSource::Env(DEFAULT_PASSWORD.to_owned())),
        country: section.parsed("country", country).map(|country| country.value),
        server: section.parsed("server", server).map(|server| server.value),
        interval,
        fast_interval,
        rest_every: section.integer("rest_every", REST_EVERY).map_or(DEFAULT_REST_EVERY, |at| at.value),
        listen: section
            .parsed("listen", |text| within(text, &LISTENS, DEFAULT_LISTEN))
            .map_or(DEFAULT_LISTEN, |listen| listen.value),
        api_url: section.parsed("api_url", api_url).map(|url| url.value),
        login_key: read_login_key(section),
        mqtt_address: section.parsed("mqtt_address", mqtt_address).map(|address| address.value),
        extra_ca: section.parsed("extra_ca", |text| file_path(text, base)).map(|path| path.value),
    };
    is_enabled.then_some(settings)
}

/// The two intervals; the fast one is never the longer one.
fn read_intervals(section: &mut Section<'_, '_>) -> (Duration, Duration) {
    let interval = section.parsed("interval", |text| within(text, &INTERVALS, DEFAULT_INTERVAL));
    let fast = section.parsed("fast_interval", |text| within(text, &INTERVALS, DEFAULT_FAST_INTERVAL));
    // What cannot be read is an error already, and measures nothing.
    let is_readable = interval.is_some() || section.key_location("interval").is_none();
    let interval = interval.map_or(DEFAULT_INTERVAL, |interval| interval.value);
    let Some(fast) = fast else { return (interval, DEFAULT_FAST_INTERVAL.min(interval)) };
    if is_readable && interval < fast.value {
        let message = format!(
            "the fast_interval of {} is above the interval of {}",
            message(fast.value),
            message(interval)
        );
        let hint = "lower `fast_interval`, or raise `interval`: a low battery is asked more often, not less";
        section.report(fast.location, ValueError::new(message, "not the faster one", hint));
    }
    (interval, fast.value)
}

fn within(text: &str, bounds: &RangeInclusive<Duration>, default: Duration) -> Result<Duration, ValueError> {
    let duration = check::duration(text)?;
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let [low, high, default] = [*bounds.start(), *bounds.end(), default].map(message);
    let hint = format!("write \"{low}\" to \"{high}\"; the default is \"{default}\"");
    Err(ValueError::new("is out of bounds", &format!("from \"{low}\" to \"{high}\""), hint))
}

fn message(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn country(text: &str) -> Result<String, ValueError> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(ValueError::new(
        "is not a country",
        "not two letters",
        "write the two letters of the country that the Anker app is set to, as \"US\" or \"DE\"",
    ))
}

fn server(text: &str) -> Result<SolixServer, ValueError> {
    match text {
        "com" => Ok(SolixServer::Com),
        "eu" => Ok(SolixServer::Eu),
        _ => Err(ValueError::new(
            "is an unknown server",
            "not known",
            "use \"com\" or \"eu\", or take it out: it follows the country",
        )),
    }
}

/// `https://host` or `https://host:port`, and nothing behind it but one slash.
fn api_url(text: &str) -> Result<String, ValueError> {
    let hint = "write `https://host:port`, without login, path or question mark";
    if text.contains('@') {
        return Err(ValueError::new("has a login in it", "a login does not belong here", hint).hiding());
    }
    let Some(rest) = text.strip_prefix("https://") else {
        return Err(ValueError::new("does not begin with `https://`", "not https", hint).hiding());
    };
    let place = rest.strip_suffix('/').unwrap_or(rest);
    if place.contains(['/', '?', '#']) {
        return Err(ValueError::new("has more than a host and a port", "too much", hint).hiding());
    }
    if is_host(place) || is_host_and_port(place) {
        return Ok(format!("https://{place}"));
    }
    Err(ValueError::new("has no host, or a port that is none", "not a host", hint))
}

/// A key alone would only encrypt the password for somebody else than who is asked.
fn read_login_key(section: &mut Section<'_, '_>) -> Option<String> {
    let key = section.parsed("login_key", login_key);
    if let (Some(location), None) = (section.key_location("login_key"), section.key_location("api_url")) {
        let error = ValueError::new(
            "`login_key` without `api_url`",
            "belongs to another server",
            "write `api_url` beside it, or take it out: the vendor's own key is known",
        );
        section.report(location, error);
    }
    key.map(|key| key.value)
}

fn login_key(text: &str) -> Result<String, ValueError> {
    if text.len() == 130 && text.starts_with("04") && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(ValueError::new(
        "is not a public key",
        "not a point of P-256",
        "write the uncompressed point: `04` and 128 hexadecimal digits",
    ))
}

fn mqtt_address(text: &str) -> Result<String, ValueError> {
    if is_host_and_port(text) {
        return Ok(text.to_owned());
    }
    Err(ValueError::new(
        "is not a host and a port",
        "not `host:port`",
        "write `host:port`, as \"127.0.0.1:8883\" or \"[::1]:8883\"",
    ))
}

/// `host:port`, an IPv6 address in brackets.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|n: u16| n > 0);
    is_port && is_host(host)
}

fn is_host(text: &str) -> bool {
    if let Some(ip) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return ip.parse::<Ipv6Addr>().is_ok();
    }
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_url_is_a_host_with_or_without_a_port_and_nothing_else() {
        for (raw, suggested) in [
            ("https://api.example", "https://api.example"),
            ("https://127.0.0.1:4443/", "https://127.0.0.1:4443"),
            ("https://[::1]:4443", "https://[::1]:4443"),
        ] {
            assert_eq!(api_url(raw).as_deref(), Ok(suggested));
        }
        for bad in [
            "",
            "api.example",
            "http://api.example",
            "HTTPS://api.example",
            "https://",
            "https:///",
            "https://:443",
            "https://u:p@api.example",
            "https://api.example/v1",
            "https://api.example?x",
            "https://api.example#x",
            "https://api.example//",
            "https://api.example:0",
            "https://api.example:65536",
            "https://api.example:",
            "https://-x",
            "https://a b",
            "https://::1",
            "https://[::1",
            "https://a\n",
        ] {
            assert!(api_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_brokers_address_is_a_host_and_a_port() {
        for good in ["127.0.0.1:8883", "broker.example:1", "[fd00::1]:65535"] {
            assert_eq!(mqtt_address(good).as_deref(), Ok(good));
        }
        for bad in
            ["", "broker", ":8883", "broker:", "broker:0", "broker:+1", "broker:65536", "::1:8883", "a b:1"]
        {
            assert!(mqtt_address(bad).is_err(), "{bad:?}");
        }
        assert!(mqtt_address("mqtts://broker:8883").is_err());
    }

    #[test]
    fn a_country_is_two_letters_in_either_case() {
        assert_eq!(country("de").as_deref(), Ok("DE"));
        for bad in ["", "D", "DEU", "D1", "ü", "Germany"] {
            assert!(country(bad).is_err(), "{bad:?}");
        }
    }
}
