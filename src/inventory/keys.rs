//! Keys that are not known here: which one was meant.

use super::section::{ALERTS, CYCLE, DEFAULTS, HOST, SOLIX, STORE, Schema, TOP};

/// What people call our keys: by ssh's own names, those of other tools, and in other words.
type Synonyms = &'static [(&'static str, &'static [&'static str])];

const OF_TOP: Synonyms = &[
    ("alerts", &["alert", "alerting", "alarm", "alarms"]),
    ("store", &["storage", "database", "db", "timeline", "postgres", "postgresql", "sqlite"]),
    ("defaults", &["default", "global", "globals", "all", "common"]),
    ("host", &["hosts", "node", "nodes", "server", "servers", "machine", "machines"]),
    ("cycle", &["cycles", "poll", "polling", "schedule", "scheduler"]),
    ("solix", &["anker", "anker_solix", "battery"]),
    ("include", &["includes", "import", "imports"]),
    ("exclude", &["excludes", "excluded", "ignore", "skip"]),
];

const OF_DEFAULTS: Synonyms = &[
    ("user", &["username", "ssh_user", "login", "login_name", "remote_user", "ansible_user"]),
    ("port", &["ssh_port", "ansible_port"]),
    (
        "identity_file",
        &[
            "ssh_key",
            "ssh_key_file",
            "key",
            "key_file",
            "private_key",
            "private_key_file",
            "identity",
            "ssh_identity",
            "pem",
            "ssh_private_key_file",
            "ansible_ssh_private_key_file",
        ],
    ),
    ("jump", &["proxy_jump", "jump_host", "bastion", "bastion_host", "gateway", "proxy", "via"]),
    (
        "host_key",
        &["strict_host_key_checking", "host_key_checking", "host_key_policy", "ansible_host_key_checking"],
    ),
    ("ssh_config", &["config", "config_file", "ssh_config_file"]),
    ("known_hosts", &["known_hosts_file", "user_known_hosts_file"]),
    ("kex", &["kex_algorithms", "key_exchange"]),
    ("control_persist", &["persist"]),
    ("connect_timeout", &["connection_timeout", "ssh_timeout"]),
    ("timeout", &["command_timeout", "probe_timeout", "deadline"]),
    ("sample", &["sampling", "sample_interval", "sample_every", "sample_rate", "sample_period"]),
    ("nvidia_smi", &["smi", "nvidia_smi_path", "nvidia_smi_command"]),
    ("gpus", &["gpu", "gpu_count", "n_gpus", "num_gpus", "expected_gpus"]),
    ("labels", &["tags", "tag", "label"]),
    ("maintenance", &["paused", "silenced", "muted", "silent"]),
    ("local", &["localhost", "is_local"]),
];

const OF_HOST: Synonyms = &[
    ("name", &["hostname", "host_name", "host", "hosts", "node", "nodes", "node_name"]),
    ("address", &["ip", "ip_address", "addr", "fqdn", "ansible_host", "host_address"]),
    ("exclude", &["excludes", "except", "skip", "ignore", "disabled", "enabled"]),
    ("override", &["overrides", "overwrite"]),
];

const OF_CYCLE: Synonyms = &[
    ("interval", &["period", "every", "poll_interval", "frequency", "seconds", "refresh"]),
    (
        "concurrency",
        &["parallel", "parallelism", "workers", "max_workers", "threads", "jobs", "forks", "max_concurrency"],
    ),
    ("connecting", &["max_connecting", "max_connections", "connections", "logins"]),
];

const OF_STORE: Synonyms = &[
    (
        "url",
        &["database_url", "dsn", "uri", "connection", "connection_string", "database", "db", "path", "file"],
    ),
    ("table", &["table_name"]),
    ("spool_size", &["spool_max", "spool_max_size", "max_spool"]),
    ("spool_age", &["spool_max_age"]),
    ("keep", &["retention", "retain", "keep_for", "max_age"]),
];

const OF_ALERTS: Synonyms = &[
    ("gpu_temperature_above", &["temperature_above", "temp_above", "max_temperature", "gpu_max_temperature"]),
    ("gpu_power_above", &["gpu_power_limit", "gpu_max_power"]),
    ("host_silent_for", &["host_down_for", "host_down", "node_down_for", "node_silent_for"]),
    ("cluster_power_above", &["power_above", "total_power_above", "max_power"]),
    ("battery_below", &["soc_below", "battery_low"]),
];

const OF_SOLIX: Synonyms = &[("country", &["region", "country_code"])];

/// What people cut short.
const SHORT: &[(&str, &str)] = &[("temp", "temperature"), ("pwr", "power"), ("crit", "critical")];

/// What to do about a key that this table may not have, if it can be told which one was meant.
pub(super) fn suggested(key: &str, schema: &Schema) -> Option<String> {
    if let Some(home) = home_of(key) {
        return Some(format!("`{key}` belongs {home}"));
    }
    if let Some(ours) = synonym(key, schema) {
        return Some(called(ours, schema));
    }
    if let Some(near) = nearest(key, schema.keys) {
        return Some(format!("did you mean {}?", as_written(near, schema)));
    }
    let elsewhere = [HOST, CYCLE, STORE, ALERTS, SOLIX];
    let ours = elsewhere.iter().filter_map(|other| synonym(key, other));
    let (ours, other) = ours.filter_map(|ours| Some((ours, home_of(ours)?))).next()?;
    Some(format!("here it is called `{ours}`, and belongs {other}"))
}

/// Whether somebody meant the name of a host by this key.
pub(super) fn names_host(key: &str) -> bool {
    synonym(key, &HOST) == Some("name")
}

/// Says our name for what somebody calls otherwise.
fn called(ours: &str, schema: &Schema) -> String {
    let also = match ours {
        "name" => ", and `address` beside it where that is another one",
        "host_key" => ": \"strict\", or \"accept-new\" to add a host's key on first contact",
        "jump" => ": `host`, `user@host` or `user@host:port`, joined by commas",
        "exclude" if schema.title == HOST.title => {
            " and names the hosts of this entry that are left out; `maintenance = true` polls a host in silence"
        }
        "url" => ": `sqlite:fleetwatt.db` or `postgres://user@host/database`",
        _ => "",
    };
    format!("here it is called {}{also}", as_written(ours, schema))
}

/// A key as it stands in the file: a section with its brackets.
fn as_written(key: &str, schema: &Schema) -> String {
    match key {
        "host" if schema.title == TOP.title => "[[host]], in double brackets, one for each host".to_owned(),
        "include" | "exclude" => format!("`{key}`"),
        _ if schema.title == TOP.title => format!("[{key}]"),
        _ => format!("`{key}`"),
    }
}

/// The section that has this key; the caller's own does not have it.
fn home_of(key: &str) -> Option<&'static str> {
    if DEFAULTS.keys.contains(&key) {
        return Some("in [defaults] or a [[host]]");
    }
    [HOST, CYCLE, STORE, ALERTS, SOLIX]
        .into_iter()
        .find(|schema| schema.keys.contains(&key))
        .map(|schema| if schema.title == HOST.title { "in a [[host]]" } else { schema.title })
}

fn synonym(key: &str, schema: &Schema) -> Option<&'static str> {
    let tables: &[Synonyms] = match schema.title {
        title if title == TOP.title => &[OF_TOP],
        title if title == DEFAULTS.title => &[OF_DEFAULTS],
        title if title == HOST.title => &[OF_HOST, OF_DEFAULTS],
        title if title == CYCLE.title => &[OF_CYCLE],
        title if title == STORE.title => &[OF_STORE],
        title if title == ALERTS.title => &[OF_ALERTS],
        title if title == SOLIX.title => &[OF_SOLIX],
        _ => &[],
    };
    let key = compact(key);
    let mut entries = tables.iter().flat_map(|table| table.iter());
    entries.find(|(_, theirs)| theirs.iter().any(|name| compact(name) == key)).map(|(ours, _)| *ours)
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

/// How far two keys of the same number of words are from each other; `None` if any word is another one.
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
    use super::*;

    #[test]
    fn a_near_miss_is_suggested() {
        for (key, schema, suggested) in [
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
            assert_eq!(nearest(key, schema.keys), Some(suggested), "{key}");
        }
        for (key, schema) in [("colour", &HOST), ("gpu_fan_above", &ALERTS), ("x", &ALERTS)] {
            assert_eq!(nearest(key, schema.keys), None, "{key}");
        }
    }

    #[test]
    fn names_of_other_tools_are_told_ours() {
        for (key, schema, ours) in [
            ("username", &DEFAULTS, "`user`"),
            ("IdentityFile", &HOST, "`identity_file`"),
            ("ssh_key", &HOST, "`identity_file`"),
            ("ProxyJump", &HOST, "`jump`"),
            ("proxy-jump", &HOST, "`jump`"),
            ("hostname", &HOST, "`name`"),
            ("ip", &HOST, "`address`"),
            ("StrictHostKeyChecking", &DEFAULTS, "`host_key`"),
            ("alert", &TOP, "[alerts]"),
            ("storage", &TOP, "[store]"),
            ("node", &TOP, "[[host]]"),
        ] {
            let hint = suggested(key, schema).unwrap_or_default();
            assert!(hint.contains(ours), "{key}: {hint}");
        }
    }

    #[test]
    fn a_key_of_another_section_is_sent_there_under_either_name() {
        assert!(suggested("interval", &HOST).unwrap().contains("in [cycle]"));
        assert!(suggested("user", &TOP).unwrap().contains("[defaults]"));
        assert_eq!(
            suggested("ip", &DEFAULTS).unwrap(),
            "here it is called `address`, and belongs in a [[host]]"
        );
        assert!(
            suggested("proxyjump", &TOP).unwrap().contains("`jump`, and belongs in [defaults] or a [[host]]")
        );
    }

    #[test]
    fn every_synonym_leads_to_a_key_and_is_none_itself() {
        for (schema, table) in [
            (&TOP, OF_TOP),
            (&DEFAULTS, OF_DEFAULTS),
            (&HOST, OF_HOST),
            (&CYCLE, OF_CYCLE),
            (&STORE, OF_STORE),
            (&ALERTS, OF_ALERTS),
            (&SOLIX, OF_SOLIX),
        ] {
            for (ours, theirs) in table {
                assert!(schema.keys.contains(ours), "{ours}");
                assert!(theirs.iter().all(|name| !schema.keys.contains(name)), "{theirs:?}");
            }
        }
    }
}
