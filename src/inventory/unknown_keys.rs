//! Keys that a table may not have, and the key that was most likely intended.

use toml::de::DeTable;

use super::check;
use super::diagnostic::{DiagnosticSink, ValueError};
use super::location::Location;
use super::secret_keys::is_secret_key;
use super::section::{Input, Key, Section, Table};
use super::snippet::is_secret_word;
use super::tables::{ACCOUNT, DEFAULTS, HOST, SECTIONS, TOP};
use super::vendor;
use crate::reading::SafeText;
use crate::tariff::KEY_TABLES;

/// Keys under which somebody may write the account's e-mail address itself.
const EMAIL_KEYS: &[&str] = &["user", "username", "email", "mail", "account"];

/// Abbreviations that people use.
const SHORT: &[(&str, &str)] = &[("temp", "temperature"), ("pwr", "power"), ("crit", "critical")];

/// Opens a table, and reports every key that it may not have.
pub(super) fn open<'a, 'i>(
    input: Input<'a>,
    raw: &'a DeTable<'i>,
    table: &'static Table,
    sink: &'a mut DiagnosticSink,
) -> Section<'a, 'i> {
    for (key, value) in raw {
        let name: &str = key.get_ref();
        if let Some(error) = key_error(name, table) {
            if error.hides {
                sink.hide(Location::new(input.file, &value.span()));
            }
            sink.push(Location::new(input.file, &key.span()), error);
        }
    }
    Section { input, raw, table, sink }
}

/// Why a key may not stand in a table of this schema.
fn key_error(key: &str, table: &Table) -> Option<ValueError> {
    if table.key(key).is_some() || is_secret_key(key) {
        return None;
    }
    let title = table.title;
    if title == ACCOUNT.title && EMAIL_KEYS.contains(&key) {
        let hint = format!(
            "say where it is by user_env, user_file or user_credential; without them it is in the variable {}",
            vendor::USER_VARIABLE
        );
        let error =
            ValueError::new(format!("`{key}` {title}"), "the account itself is not written here", hint);
        return Some(error.hiding());
    }
    let hint = suggested(key, table)
        .or_else(|| is_secret_word(key).then(|| check::secret_in_file("", secrets_of(title)).hint))
        .unwrap_or_else(|| format!("known here: {}", table.names().join(", ")));
    let message = format!("unknown key `{}` {title}", SafeText::new(key));
    Some(ValueError::new(message, "not a key that is known here", hint))
}

/// The section that has password_env and its like for a secret in the section of this title.
fn secrets_of(title: &str) -> &'static str {
    if title == ACCOUNT.title { vendor::SECTION } else { "[store]" }
}

/// The hint for a key that this table may not have, if the intended key can be told.
pub(super) fn suggested(key: &str, table: &Table) -> Option<String> {
    if let Some(ours) = synonym(key, table) {
        return Some(called(ours, table));
    }
    if let Some(home) = home_of(key) {
        return Some(format!("`{key}` belongs {home}"));
    }
    if let Some(near) = nearest(key, &table.names()) {
        return Some(format!("did you mean {}?", as_written(near, table)));
    }
    let ours = SECTIONS.iter().filter_map(|other| synonym(key, other));
    let (ours, other) = ours.filter_map(|ours| Some((ours, home_of(ours)?))).next()?;
    Some(format!("here it is called `{ours}`, and belongs {other}"))
}

/// Whether somebody meant the name of a host by this key.
pub(super) fn names_host(key: &str) -> bool {
    synonym(key, &HOST) == Some("name")
}

/// Says our name for what somebody calls otherwise.
fn called(ours: &str, table: &Table) -> String {
    let also = match ours {
        "name" => ", and `address` beside it where that is another one",
        "host_key" => ": \"strict\", or \"accept-new\" to add a host's key on first contact",
        "jump" => ": `host`, `user@host` or `user@host:port`, joined by commas",
        "exclude" if table.title == HOST.title => {
            " and names the hosts of this entry that are left out; `maintenance = true` polls a host in silence"
        }
        "url" => ": `sqlite:fleetwatt.db` or `postgres://user@host/database`",
        _ => "",
    };
    format!("here it is called {}{also}", as_written(ours, table))
}

/// A key as it stands in the file: a section with its brackets.
fn as_written(key: &str, table: &Table) -> String {
    match key {
        "host" if table.title == TOP.title => "[[host]], in double brackets, one for each host".to_owned(),
        "tariff" | "calibration" if table.title == TOP.title => format!("[[{key}]], in double brackets"),
        "include" | "exclude" => format!("`{key}`"),
        _ if table.title == TOP.title => format!("[{key}]"),
        _ => format!("`{key}`"),
    }
}

/// The section that has this key; the caller's own does not have it.
fn home_of(key: &str) -> Option<&'static str> {
    if DEFAULTS.key(key).is_some() {
        return Some("in [defaults] or a [[host]]");
    }
    if let Some(home) = SECTIONS.iter().find(|table| table.key(key).is_some()) {
        return Some(if home.title == HOST.title { "in a [[host]]" } else { home.title });
    }
    KEY_TABLES.iter().find(|table| table.names().contains(&key)).map(|table| table.title)
}

/// The key of this table that somebody calls otherwise.
fn synonym(key: &str, table: &Table) -> Option<&'static str> {
    let key = compact(key);
    let is_it = |ours: &&Key| ours.synonyms.iter().any(|name| compact(name) == key);
    table.keys().find(is_it).map(|ours| ours.name)
}

/// Without what people write differently: `ProxyJump`, `proxy-jump` and `proxy_jump` are one.
fn compact(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The key that somebody may have meant: word for word nearly the same, or a part of it.
pub(super) fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > 40 {
        return None;
    }
    let lower = key.to_ascii_lowercase().replace('-', "_");
    if let Some(same) = known.iter().find(|candidate| compact(candidate) == compact(&lower)) {
        return Some(same);
    }
    let by_words = known.iter().filter_map(|candidate| Some((distance(&lower, candidate)?, *candidate)));
    let whole = |candidate: &&'static str| {
        let distance = strsim::osa_distance(&lower, candidate);
        (distance <= (candidate.len() / 3).clamp(1, 2)).then_some((distance, *candidate))
    };
    let nearest = by_words.chain(known.iter().filter_map(whole)).min();
    let continued = || known.iter().copied().find(|candidate| candidate.starts_with(&format!("{lower}_")));
    nearest.map(|(_, candidate)| candidate).or_else(|| continued().filter(|_| lower.len() > 2))
}

/// The distance of two keys with the same number of words; `None` if any word is another one.
fn distance(key: &str, candidate: &str) -> Option<usize> {
    let (message, theirs): (Vec<&str>, Vec<&str>) =
        (key.split('_').collect(), candidate.split('_').collect());
    if message.len() != theirs.len() {
        return None;
    }
    message.iter().zip(theirs).map(|(word, other)| word_distance(word, other)).sum()
}

fn word_distance(word: &str, other: &str) -> Option<usize> {
    if SHORT.contains(&(word, other)) {
        return Some(0);
    }
    let is_cut = word.len() > 2 && other.starts_with(word);
    let distance = if is_cut { 1 } else { strsim::osa_distance(word, other) };
    (distance <= (other.len() / 3).max(1)).then_some(distance)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::inventory::tables::{ALERTS, CYCLE};

    #[test]
    fn a_near_miss_is_suggested() {
        for (key, table, suggested) in [
            ("adress", &HOST, "address"),
            ("Identity-File", &HOST, "identity_file"),
            ("identityfile", &HOST, "identity_file"),
            ("hosts", &TOP, "host"),
            ("intervall", &CYCLE, "interval"),
            ("gpu_temp_above", &ALERTS, "gpu_temperature_above"),
            ("gpu_temp_for", &ALERTS, "gpu_temperature_for"),
            ("gpu_pwr_above", &ALERTS, "gpu_power_above"),
            ("gpu_temperature", &ALERTS, "gpu_temperature_above"),
            ("conc", &CYCLE, "concurrency"),
        ] {
            assert_eq!(nearest(key, &table.names()), Some(suggested), "{key}");
        }
        for (key, table) in [("colour", &HOST), ("gpu_fan_above", &ALERTS), ("x", &ALERTS)] {
            assert_eq!(nearest(key, &table.names()), None, "{key}");
        }
    }

    #[test]
    fn names_of_other_tools_are_told_ours() {
        for (key, table, ours) in [
            ("username", &DEFAULTS, "`user`"),
            ("IdentityFile", &HOST, "`identity_file`"),
            ("ssh_key", &HOST, "`identity_file`"),
            ("ProxyJump", &HOST, "`jump`"),
            ("proxy-jump", &HOST, "`jump`"),
            ("hostname", &HOST, "`name`"),
            ("ip", &HOST, "`address`"),
            ("StrictHostKeyChecking", &DEFAULTS, "`host_key`"),
            ("alert", &TOP, "[alerts]"),
            ("prices", &TOP, "[[tariff]]"),
            ("storage", &TOP, "[store]"),
            ("node", &TOP, "[[host]]"),
        ] {
            let hint = suggested(key, table).unwrap_or_default();
            assert!(hint.contains(ours), "{key}: {hint}");
        }
    }

    #[test]
    fn a_key_of_another_section_is_sent_there_under_either_name() {
        assert!(suggested("interval", &HOST).unwrap().contains("in [cycle]"));
        assert!(suggested("user", &TOP).unwrap().contains("[defaults]"));
        assert!(suggested("per_kwh", &TOP).unwrap().contains("in [[tariff]]"));
        assert_eq!(
            suggested("ip", &DEFAULTS).unwrap(),
            "here it is called `address`, and belongs in a [[host]]"
        );
        assert!(
            suggested("proxyjump", &TOP).unwrap().contains("`jump`, and belongs in [defaults] or a [[host]]")
        );
    }

    #[test]
    fn a_synonym_is_not_a_key_and_belongs_to_one_key_of_a_table() {
        for table in SECTIONS.iter().chain([&&TOP, &&DEFAULTS]) {
            let synonyms: Vec<&str> = table.keys().flat_map(|key| key.synonyms).copied().collect();
            let distinct: BTreeSet<String> = synonyms.iter().map(|name| compact(name)).collect();
            assert_eq!(distinct.len(), synonyms.len(), "{}", table.title);
            assert!(synonyms.iter().all(|name| table.key(name).is_none()), "{synonyms:?}");
        }
    }
}
