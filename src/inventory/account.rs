//! The account whose battery stations are read, and how often they are asked.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::check;
use super::diagnostic::ValueError;
use super::location::{Spanned, put};
use super::model::{AccountServer, SecretSource, StationAccount};
use super::place::{in_brackets, is_port};
use super::section::Section;
use super::sections::Sections;
use super::vendor;

/// Below, the station never sleeps; above, a battery can be empty before anybody hears of it.
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

/// Reads the two intervals; the fast one is never the longer one.
pub(super) fn read_intervals(section: &mut Section<'_, '_>, to: &mut Sections) {
    let StationAccount { interval: slow, fast_interval: fast, .. } = &mut to.account;
    let interval = section.parsed("interval", |text| within(text, &INTERVALS, *slow));
    // A value that cannot be read is reported already, and nothing is compared with it.
    let is_readable = interval.is_some() || !section.has("interval");
    put(interval, slow);
    let written = section.parsed("fast_interval", |text| within(text, &INTERVALS, *fast));
    let Some(Spanned { value, location }) = written else {
        *fast = (*fast).min(*slow);
        return;
    };
    *fast = value;
    if is_readable && slow < fast {
        let message =
            format!("the fast_interval of {} is above the interval of {}", shown(*fast), shown(*slow));
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
    let servers = [("com", AccountServer::Com), ("eu", AccountServer::Eu)];
    let hint = "use \"com\" or \"eu\", or take it out: it follows the country";
    check::one_of(text, &servers, "is an unknown server", hint)
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

impl Section<'_, '_> {
    /// Reads `login_key`: without another server it would encrypt the password for somebody else.
    pub(super) fn login_key(&mut self, key: &str) -> Option<Spanned<String>> {
        if !self.has("api_url") {
            let hint = "write `api_url` beside it, or take it out: the vendor's own key is known";
            self.refuse(
                key,
                ValueError::new("`login_key` without `api_url`", "belongs to another server", hint),
            );
        }
        self.parsed(key, login_key)
    }
}

fn login_key(text: &str) -> Result<String, ValueError> {
    if text.len() == 130 && text.starts_with("04") && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let hint = "write the uncompressed point: `04` and 128 hexadecimal digits";
    Err(ValueError::new("is not a public key", "not a point of P-256", hint))
}

pub(super) fn mqtt_address(text: &str) -> Result<String, ValueError> {
    let hint = "write `host:port`, as \"127.0.0.1:8883\" or \"[::1]:8883\"";
    let is_one = is_host_and_port(text);
    is_one.then(|| text.to_owned()).ok_or(ValueError::new(
        "is not a host and a port",
        "not `host:port`",
        hint,
    ))
}

/// `host:port`, an IPv6 address in brackets.
fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| is_port(port) && is_host(host))
}

pub(super) fn is_host(text: &str) -> bool {
    match in_brackets(text) {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(check::is_word),
    }
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
