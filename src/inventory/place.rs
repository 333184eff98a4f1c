//! Names, addresses and jump hosts, and what people write into them that belongs elsewhere.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::check::{allowed, bad_char, first_char, is_word, not_empty, user};
use super::diagnostic::ValueError;
use super::hostlist::{Hostlist, split_terms};

/// Names of hosts, with ranges and commas.
pub(super) fn name(text: &str) -> Result<Hostlist, ValueError> {
    let hint = "a name is letters, digits, `.`, `_` and `-`; put an address or alias into `address`, and join several names by commas without blanks";
    not_empty(text)?;
    reject_login_or_port(text, "name")?;
    each_term(text, |term| {
        first_char(term, &['-', '.'], hint)?;
        allowed_outside_brackets(term, hint, is_word)?;
        if term.ends_with('.') {
            let dot = term.len() - 1..term.len();
            let hint = "leave the dot out here; an `address` may end with one";
            return Err(ValueError::new("ends with `.`", "not at the end", hint).at(dot));
        }
        Ok(())
    })?;
    Hostlist::parse(text)
}

/// Where hosts are, with ranges and commas.
pub(super) fn address(text: &str) -> Result<Hostlist, ValueError> {
    let hint = "an address is a host name, an IP address or an alias of ssh_config; the login name goes into `user`, the port into `port`";
    not_empty(text)?;
    reject_login_or_port(text, "address")?;
    each_term(text, |term| {
        first_char(term, &['-', '.'], hint)?;
        if let Some(ip) = bracketed_ipv6(term) {
            let hint = format!("write it without brackets, as `{ip}`");
            return Err(ValueError::new("is an IPv6 address in brackets", "brackets are for ranges", hint));
        }
        allowed_outside_brackets(term, hint, |c| is_word(c) || c == ':' || c == '%')
    })?;
    Hostlist::parse(text)
}

/// One address after its ranges were expanded: colons and zones are for IPv6 only.
pub(super) fn expanded_address(text: &str) -> Result<(), ValueError> {
    if is_numeric(text) && text.parse::<Ipv4Addr>().is_err() {
        let hint = "write four numbers from 0 to 255, without zeros before them";
        return Err(ValueError::new(format!("`{text}` is not an IPv4 address"), "not an IPv4 address", hint));
    }
    if !text.contains([':', '%']) || is_ipv6(text) {
        return Ok(());
    }
    let message = "has `:` or `%` in it and is not an IPv6 address";
    Err(ValueError::new(message, "not an IPv6 address", "put the port into `port`"))
}

/// Four numbers joined by dots, which is nothing but an IPv4 address.
fn is_numeric(text: &str) -> bool {
    let mut parts = text.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.matches('.').count() == 3 && parts.all(is_number)
}

/// An IPv6 address, with a zone or without.
fn is_ipv6(text: &str) -> bool {
    let (ip, zone) = text.split_once('%').map_or((text, None), |(ip, zone)| (ip, Some(zone)));
    zone.is_none_or(|zone| !zone.is_empty() && zone.chars().all(is_word)) && ip.parse::<Ipv6Addr>().is_ok()
}

/// The address within `[fe80::1%eth0]`, which looks like a range.
fn bracketed_ipv6(text: &str) -> Option<&str> {
    in_brackets(text).filter(|ip| is_ipv6(ip))
}

pub(super) fn in_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// Refuses a login or a port beside the host, as in `root@node1:22`; the hint has the keys that were meant.
fn reject_login_or_port(text: &str, key: &str) -> Result<(), ValueError> {
    let rest = text.strip_prefix("ssh://").unwrap_or(text);
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if is_port(port) && !is_ipv6(place) => (host, Some(port)),
        _ => (place, None),
    };
    // A password behind the login is not to be repeated, nor what could be one.
    let login_is_shown = login.is_none_or(|login| user(login).is_ok());
    let host = bracketed_ipv6(host).unwrap_or(host);
    let is_place = is_ipv6(host) || (allowed_outside_brackets(host, "", is_word).is_ok() && !host.is_empty());
    if (login.is_none() && port.is_none() && rest == text) || !login_is_shown || !is_place {
        return Ok(());
    }
    let keys = [
        Some(format!("`{key} = \"{host}\"`")),
        login.map(|login| format!("`user = \"{login}\"`")),
        port.map(|port| format!("`port = {port}`")),
    ];
    let keys = keys.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let what = match (login, port) {
        (Some(_), Some(_)) => "has a login name and a port in it",
        (Some(_), None) => "has a login name in it",
        (None, Some(_)) => "has a port in it",
        (None, None) => "is a URL",
    };
    Err(ValueError::new(what, "more than a host", format!("write {keys} instead")))
}

/// Checks what stands between commas; what is wrong is marked in the whole text.
fn each_term(text: &str, check: impl Fn(&str) -> Result<(), ValueError>) -> Result<(), ValueError> {
    for (offset, term) in split_terms(text) {
        check(term).map_err(|error| match error.at.clone() {
            Some(part) => error.at(offset + part.start..offset + part.end),
            None => error.at(offset..offset + term.len()),
        })?;
    }
    Ok(())
}

fn allowed_outside_brackets(text: &str, hint: &str, good: impl Fn(char) -> bool) -> Result<(), ValueError> {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            // What stands inside is for the ranges to judge, but never what could hurt.
            _ if good(c) || (inside && c == ',') => {}
            _ => return Err(bad_char(c, hint, at..at + c.len_utf8())),
        }
    }
    Ok(())
}

/// Jump hosts: `[user@]host[:port]`, joined by commas.
pub(super) fn jump(text: &str) -> Result<String, ValueError> {
    let mut at = 0;
    for hop in text.split(',') {
        one_hop(hop).map_err(|error| {
            let part = error.at.clone().unwrap_or(0..hop.len().max(1));
            error.at(at + part.start..at + part.end)
        })?;
        at += hop.len() + 1;
    }
    Ok(text.to_owned())
}

fn one_hop(hop: &str) -> Result<(), ValueError> {
    let hint = "write jump hosts as `host`, `user@host` or `user@host:port`, joined by commas without blanks";
    let (login, place) = hop.split_once('@').map_or((None, hop), |(login, place)| (Some(login), place));
    if let Some(login) = login {
        user(login)?;
    }
    let bad = |message: &str| ValueError::new(message, "not a jump host", hint);
    let host_end = match place.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(bracket) => bracket + 2,
        None => place.find(':').unwrap_or(place.len()),
    };
    let (host, after) = place.split_at(host_end);
    if !after.is_empty() && !after.strip_prefix(':').is_some_and(is_port) {
        return Err(bad("has a jump host whose port is not 1 to 65535"));
    }
    if let Some(ip) = in_brackets(host) {
        let is_one = ip.parse::<Ipv6Addr>().is_ok();
        return if is_one { Ok(()) } else { Err(bad("has a jump host in brackets that is not IPv6")) };
    }
    not_empty(host)?;
    first_char(host, &['-', '.'], hint)?;
    allowed(host, hop.len() - place.len(), hint, is_word)
}

pub(super) fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_become_an_option_or_a_shell_word_is_refused() {
        for hostile in [
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "a$(b)",
            "a`b`",
            "a|b",
            "a&b",
            "a>b",
            "a\nb",
            "a\0b",
            "a'b",
            "a\"b",
            "",
            "good,-oProxyCommand=x",
            "good,a;b",
            "x@y@-o:22",
        ] {
            assert!(name(hostile).is_err(), "name {hostile:?}");
            assert!(address(hostile).is_err(), "address {hostile:?}");
            assert!(jump(hostile).is_err(), "jump {hostile:?}");
        }
    }

    fn hint(text: &str) -> String {
        address(text).unwrap_err().hint
    }

    #[test]
    fn a_login_or_a_port_in_an_address_is_sent_to_its_own_key() {
        assert_eq!(hint("root@node1"), "write `address = \"node1\"`, `user = \"root\"` instead");
        assert_eq!(hint("node[1-3]:2222"), "write `address = \"node[1-3]\"`, `port = 2222` instead");
        assert_eq!(
            hint("ssh://me@10.0.0.1:22"),
            "write `address = \"10.0.0.1\"`, `user = \"me\"`, `port = 22` instead"
        );
        assert_eq!(hint("[fe80::1%eth0]:22"), "write `address = \"fe80::1%eth0\"`, `port = 22` instead");
        assert!(name("me@node1").unwrap_err().hint.starts_with("write `name = \"node1\"`, `user = \"me\"`"));
    }

    #[test]
    fn a_password_behind_a_login_is_never_repeated() {
        for text in ["me:hunter2@node1", "ssh://me:hunter2@node1:22", "hunter 2@node1"] {
            let error = address(text).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
        }
    }

    #[test]
    fn a_name_that_ends_with_a_dot_would_be_another_name() {
        assert_eq!(name("a,node1.").unwrap_err().at, Some(7..8));
        assert!(address("node1.example.").is_ok());
    }

    #[test]
    fn an_ipv4_address_that_is_none_is_not_taken_for_a_name() {
        assert!(expanded_address("10.0.0.255").is_ok());
        assert!(expanded_address("10.0.0.1.example").is_ok());
        for bad in ["10.0.0.256", "10.0.0.01", "1.2.3.4000000"] {
            assert!(expanded_address(bad).unwrap_err().message.contains("IPv4"), "{bad}");
        }
    }

    #[test]
    fn an_address_with_slash_or_login_is_refused() {
        assert!(address("root@host").is_err());
        assert!(address("host/x").is_err());
    }

    #[test]
    fn a_colon_in_an_address_is_only_for_ipv6() {
        assert!(expanded_address("fe80::1%eth0").is_ok());
        assert!(expanded_address("host:22").is_err());
        assert!(expanded_address("host%eth0").is_err());
    }

    #[test]
    fn an_ipv6_address_in_brackets_is_told_apart_from_a_range() {
        for (raw, suggested) in [("[::1]", "`::1`"), ("[fe80::1%eth0]", "`fe80::1%eth0`")] {
            let error = address(raw).unwrap_err();
            assert!(error.message.contains("IPv6") && error.hint.ends_with(suggested), "{error:?}");
        }
    }

    #[test]
    fn jump_hosts_may_have_login_port_and_further_hops() {
        for good in ["bastion", "me@bastion:2222", "a,b@c:22", "me@[fd00::1]:22", "[::1]"] {
            assert_eq!(jump(good).unwrap(), good);
        }
    }

    #[test]
    fn a_bad_jump_host_is_marked_in_the_list() {
        assert_eq!(jump("good,-bad").unwrap_err().at, Some(5..6));
        assert_eq!(jump("good,me@b!d").unwrap_err().at, Some(9..10));
    }

    #[test]
    fn jump_hosts_that_are_incomplete_are_refused() {
        for bad in ["a,", ",a", "@a", "a:", "a:0", "a:65536", "a:+1", "[::1", "[x]", "[::1]22"] {
            assert!(jump(bad).is_err(), "{bad:?}");
        }
    }
}
