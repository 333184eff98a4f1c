//! The account whose battery stations are read, and how often they are asked.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::check;
use super::diagnostic::ValueError;
use super::location::{Spanned, put};
use super::model::{AccountServer, SecretSource, StationAccount};
use super::secret_source::read_secret;
use super::section::Section;
use super::vendor;

/// Below, the station never sleeps and the vendor's servers are asked for nothing new; above, a battery can
/// be empty before anybody hears of it.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(60 * 60);
const LISTENS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
pub(super) const REST_EVERY: RangeInclusive<u32> = 1..=1_000;

impl Default for StationAccount {
    fn default() -> Self {
        Self {
            user: SecretSource::Env(vendor::USER_VARIABLE.to_owned()),
            password: SecretSource::Env(vendor::PASSWORD_VARIABLE.to_owned()),
            country: None,
            server: None,
            interval: Duration::from_secs(120),
            fast_interval: Duration::from_secs(30),
            rest_every: 5,
            listen: Duration::from_secs(10),
            api_url: None,
            login_key: None,
            mqtt_address: None,
            extra_ca: None,
        }
    }
}

/// Reads where the account's e-mail address and its password come from.
pub(super) fn read_account(section: &mut Section<'_, '_>, to: &mut StationAccount) {
    if let Some(user) = read_secret(section, "user", "e-mail address", vendor::USER_VARIABLE) {
        to.user = user;
    }
    if let Some(password) = read_secret(section, "password", "password", vendor::PASSWORD_VARIABLE) {
        to.password = password;
    }
}

/// Reads the two intervals; the fast one is never the longer one.
pub(super) fn read_intervals(section: &mut Section<'_, '_>, to: &mut StationAccount) {
    let StationAccount { interval: default, fast_interval: fast_default, .. } = *to;
    let interval = section.parsed("interval", |text| within(text, &INTERVALS, default));
    let fast = section.parsed("fast_interval", |text| within(text, &INTERVALS, fast_default));
    // A value that cannot be read is reported already, and nothing is compared with it.
    let is_readable = interval.is_some() || section.key_location("interval").is_none();
    put(interval, &mut to.interval);
    let Some(Spanned { value: fast, location }) = fast else {
        to.fast_interval = to.fast_interval.min(to.interval);
        return;
    };
    to.fast_interval = fast;
    if is_readable && to.interval < fast {
        let message =
            format!("the fast_interval of {} is above the interval of {}", shown(fast), shown(to.interval));
        let hint = "lower `fast_interval`, or raise `interval`: a low battery is asked more often, not less";
        section.report(location, ValueError::new(message, "not the faster one", hint));
    }
}

/// Parses the time that a poll listens.
pub(super) fn listen(text: &str) -> Result<Duration, ValueError> {
    within(text, &LISTENS, StationAccount::default().listen)
}

fn within(text: &str, bounds: &RangeInclusive<Duration>, default: Duration) -> Result<Duration, ValueError> {
    let duration = check::duration(text)?;
    if bounds.contains(&duration) {
        return Ok(duration);
    }
    let [low, high, default] = [*bounds.start(), *bounds.end(), default].map(shown);
    let hint = format!("write \"{low}\" to \"{high}\"; the default is \"{default}\"");
    Err(ValueError::new("is out of bounds", &format!("from \"{low}\" to \"{high}\""), hint))
}

fn shown(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

pub(super) fn country(text: &str) -> Result<String, ValueError> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(ValueError::new("is not a country", "not two letters", vendor::COUNTRY_HINT))
}

pub(super) fn server(text: &str) -> Result<AccountServer, ValueError> {
    match text {
        "com" => Ok(AccountServer::Com),
        "eu" => Ok(AccountServer::Eu),
        _ => Err(ValueError::new(
            "is an unknown server",
            "not known",
            "use \"com\" or \"eu\", or take it out: it follows the country",
        )),
    }
}

/// `https://host` or `https://host:port`, and nothing behind it but one slash.
pub(super) fn api_url(text: &str) -> Result<String, ValueError> {
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

/// Reads `login_key`: without another server it would encrypt the password for somebody else.
pub(super) fn read_login_key(section: &mut Section<'_, '_>, key: &str) -> Option<Spanned<String>> {
    let login_key = section.parsed(key, login_key);
    if let (Some(location), None) = (section.key_location(key), section.key_location("api_url")) {
        let error = ValueError::new(
            "`login_key` without `api_url`",
            "belongs to another server",
            "write `api_url` beside it, or take it out: the vendor's own key is known",
        );
        section.report(location, error);
    }
    login_key
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

pub(super) fn mqtt_address(text: &str) -> Result<String, ValueError> {
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
