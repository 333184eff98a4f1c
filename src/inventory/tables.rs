//! The keys of an inventory, one row each: name, meaning, form of the value, other names, and how it is read.
//!
//! A new key is a row here and a field of the model: the manual page, the diagnostics of unknown keys and of
//! wrong values, the defaults and the overrides follow from the row.

use std::cell::Cell;

use super::account;
use super::alerts::{charge, gpu_power, power, temperature};
use super::alerts::{read_grid, read_webhook, station_silent_for, threshold};
use super::check;
use super::diagnostic::ValueError;
use super::host_options::HostOptions;
use super::location::{Spanned, put};
use super::place;
use super::secret_source::read_secret;
use super::section::{Key, Read, Section, Table};
use super::sections::{Cycle, Sections};
use super::suggestion::{Form, Unit};
use super::vendor;
use crate::probe::Tool;
use Form::{Number, Other, Public, Quantity, Text};
use Unit::{Bytes, Days, GpuPower, Percent, Power, Temperature, Time};

/// More than the most hosts of an inventory makes no difference.
const MAX_AT_ONCE: u32 = 65_536;

/// More GPUs than any one machine has.
const MAX_GPUS: u32 = 4_096;

pub(super) static TOP: Table = Table { title: "at the top of the file", keys: &[TOP_KEYS] };
pub(super) static DEFAULTS: Table = Table { title: "in [defaults]", keys: &[HOST_OPTIONS] };
pub(super) static HOST: Table = Table { title: "in [[host]]", keys: &[HOST_KEYS, HOST_OPTIONS] };
pub(super) static CYCLE: Table = Table { title: "in [cycle]", keys: &[CYCLE_KEYS] };
pub(super) static STORE: Table = Table { title: "in [store]", keys: &[STORE_KEYS] };
pub(super) static ALERTS: Table = Table { title: "in [alerts]", keys: &[ALERTS_KEYS] };
pub(super) static ACCOUNT: Table = Table { title: vendor::TITLE, keys: &[ACCOUNT_KEYS] };

/// The tables that a key may have to be moved to.
pub(super) static SECTIONS: [&Table; 5] = [&HOST, &CYCLE, &STORE, &ALERTS, &ACCOUNT];

const fn key(name: &'static str, help: &'static str, form: Form) -> Key {
    Key { name, help, form, synonyms: &[], is_for_ssh: false, read: Read::WithOthers }
}

impl Key {
    const fn also(self, synonyms: &'static [&'static str]) -> Self {
        Self { synonyms, ..self }
    }

    const fn for_ssh(self) -> Self {
        Self { is_for_ssh: true, ..self }
    }

    /// Reads the key into a setting of the whole fleet.
    const fn set(self, read: fn(&mut Section<'_, '_>, &'static str, &mut Sections)) -> Self {
        Self { read: Read::Setting(read), ..self }
    }

    /// Reads the key into an option of hosts, for `[defaults]`, `[[host]]` and overrides.
    const fn option(self, read: fn(&mut Section<'_, '_>, &'static str, &mut HostOptions)) -> Self {
        Self { read: Read::HostOption(read), ..self }
    }
}

const TOP_KEYS: &[Key] =
    &[
        key("include", "Other files with hosts, as shell patterns relative to this file.", Public("…"))
            .also(&["includes", "import", "imports"]),
        key("exclude", "Hosts that are left out of the fleet: names, ranges and patterns.", Public("…"))
            .also(&["excludes", "excluded", "ignore", "skip"]),
        key("defaults", "What holds for every host of this file that does not say otherwise.", Other)
            .also(&["default", "global", "globals", "all", "common"]),
        key("host", "One host, or a range of them.", Other)
            .also(&["hosts", "node", "nodes", "server", "servers", "machine", "machines"]),
        key("cycle", "How often and how many at once.", Other).also(&[
            "cycles",
            "poll",
            "polling",
            "schedule",
            "scheduler",
        ]),
        key("store", "Where the readings go. Without it: an SQLite file in the state directory.", Other)
            .also(&["storage", "database", "db", "timeline", "postgres", "postgresql", "sqlite"]),
        key("alerts", "When somebody is told.", Other).also(&["alert", "alerting", "alarm", "alarms"]),
        key(vendor::KEY, vendor::HELP, Other).also(vendor::SYNONYMS),
    ];

/// Keys of one `[[host]]` alone.
const HOST_KEYS: &[Key] = &[
    key("name", "The name in the timeline; a host name or a range.", Public("node1")).also(&[
        "hostname",
        "host",
        "hosts",
        "node",
        "nodes",
        "node_name",
    ]),
    key(
        "address",
        "Where it is reached, if not by its name; a range of the same length.",
        Public("10.0.0.1"),
    )
    .also(&["ip", "ip_address", "addr", "fqdn", "ansible_host", "host_address"])
    .for_ssh(),
    key("exclude", "Hosts of this entry that are left out: names, ranges and patterns.", Public("…"))
        .also(&["excludes", "except", "skip", "ignore", "disabled", "enabled"]),
    key("override", "true: changes keys of hosts that another [[host]] gives.", Other)
        .also(&["overrides", "overwrite"]),
];

/// Keys of `[defaults]` and of each `[[host]]`.
const HOST_OPTIONS: &[Key] = &[
    key("local", "true: this machine, without SSH.", Other).also(&["localhost", "is_local"]),
    key(
        "scripted",
        "A file of captured output that answers in place of a host, for demonstrations and tests.",
        Other,
    ),
    key("labels", "Names and values that each row of the host carries, as { room = \"lab\" }.", Other)
        .also(&["tags", "tag", "label"]),
    key("user", "The login name.", Public("monitor"))
        .also(&["username", "ssh_user", "login", "login_name", "remote_user", "ansible_user"])
        .for_ssh()
        .option(|s, key, to| to.set(key, s.parsed(key, check::user), |_, ssh, user| ssh.user = Some(user))),
    key("port", "The TCP port of sshd.", Number("22")).also(&["ssh_port", "ansible_port"]).for_ssh().option(
        |s, key, to| {
            to.set(key, s.integer(key, 1..=65_535), |_, ssh, port: u16| ssh.port = Some(port));
        },
    ),
    key("identity_file", "The private key; no other one is offered then.", Text("~/.ssh/fleetwatt"))
        .also(&[
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
        ])
        .for_ssh()
        .option(|s, key, to| to.set(key, s.path(key), |_, ssh, path| ssh.identity_file = Some(path))),
    key("ssh_config", "The ssh_config file to read in place of the user's own.", Other)
        .also(&["config", "config_file", "ssh_config_file"])
        .for_ssh()
        .option(|s, key, to| to.set(key, s.path(key), |_, ssh, path| ssh.ssh_config = Some(path))),
    key("known_hosts", "The known_hosts file to use in place of the user's own.", Other)
        .also(&["known_hosts_file", "user_known_hosts_file"])
        .for_ssh()
        .option(|s, key, to| to.set(key, s.path(key), |_, ssh, path| ssh.known_hosts = Some(path))),
    key("jump", "Jump hosts, as ssh -J takes them; \"none\" for none.", Public("bastion"))
        .also(&["proxy_jump", "jump_host", "bastion", "bastion_host", "gateway", "proxy", "via"])
        .for_ssh()
        .option(|s, key, to| to.set(key, s.parsed(key, place::jump), |_, ssh, jump| ssh.jump = Some(jump))),
    key(
        "kex",
        "Key exchange algorithms, as KexAlgorithms of ssh_config takes them.",
        Public("curve25519-sha256"),
    )
    .also(&["kex_algorithms", "key_exchange"])
    .for_ssh()
    .option(|s, key, to| to.set(key, s.parsed(key, check::kex), |_, ssh, kex| ssh.kex = Some(kex))),
    key(
        "host_key",
        "\"strict\" (the default), or \"accept-new\", which takes an unknown key on first contact.",
        Text("strict"),
    )
    .also(&["strict_host_key_checking", "host_key_checking", "host_key_policy", "ansible_host_key_checking"])
    .for_ssh()
    .option(|s, key, to| to.set(key, s.parsed(key, check::host_key), |_, ssh, policy| ssh.host_key = policy)),
    key("connect_timeout", "How long connecting may take.", Quantity(Time, "5s"))
        .also(&["connection_timeout", "ssh_timeout"])
        .for_ssh()
        .option(|s, key, to| {
            to.set(key, s.parsed(key, check::connect_timeout), |_, ssh, time| ssh.connect_timeout = time);
        }),
    key(
        "timeout",
        "How long the whole answer may take; below the interval of [cycle].",
        Quantity(Time, "15s"),
    )
    .also(&["command_timeout", "probe_timeout", "deadline"])
    .option(|s, key, to| to.set(key, s.parsed(key, check::duration), |host, _, time| host.timeout = time)),
    key(
        "sample",
        "The pace of samples between cycles of the daemon, 100ms to 10s; \"off\" for none.",
        Quantity(Time, "1s"),
    )
    .also(&["sampling", "sample_interval", "sample_every", "sample_rate", "sample_period"])
    .option(|s, key, to| to.set(key, s.parsed(key, check::sample), |host, _, pace| host.sample = pace)),
    key("control_persist", "How long an idle connection is kept for the next poll.", Quantity(Time, "10m"))
        .also(&["persist"])
        .for_ssh()
        .option(|s, key, to| {
            to.set(key, s.parsed(key, check::duration), |_, ssh, time| ssh.control_persist = time);
        }),
    key(
        "keep_shell",
        "false: a shell is started on the host for each call; by default one waits there.",
        Other,
    )
    .for_ssh()
    .option(|s, key, to| to.set(key, s.flag(key), |_, ssh, keep| ssh.keep_shell = keep)),
    key("probes", "The tools that it is asked by, in this order; [\"nvidia-smi\"] by default.", Other)
        .option(|s, key, to| to.set(key, read_probes(s, key), |host, _, tools| host.probes = tools)),
    key("nvidia_smi", "The path of nvidia-smi on the host.", Public("nvidia-smi"))
        .also(&["smi", "nvidia_smi_path", "nvidia_smi_command"])
        .option(|s, key, to| {
            to.set(key, s.parsed(key, check::program), |host, _, program| {
                host.programs.insert(Tool::NvidiaSmi, program);
            });
        }),
    key("gpus", "How many GPUs the host has; fewer in an answer is a fault.", Number("8"))
        .also(&["gpu", "gpu_count", "n_gpus", "num_gpus", "expected_gpus"])
        .option(|s, key, to| to.set(key, s.integer(key, 1..=MAX_GPUS), |host, _, n| host.gpus = Some(n))),
    key("maintenance", "true: the host is polled and shown, but raises no alert and is no failure.", Other)
        .also(&["paused", "silenced", "muted", "silent"])
        .option(|s, key, to| to.set(key, s.flag(key), |host, _, is_so| host.maintenance = is_so)),
];

const CYCLE_KEYS: &[Key] = &[
    key("interval", "From one cycle of the daemon to the next.", Quantity(Time, "60s"))
        .also(&["period", "every", "poll_interval", "frequency", "seconds", "refresh"])
        .set(|s, key, to| read_interval(s, key, &mut to.cycle)),
    key("concurrency", "How many hosts are asked at once.", Number("256"))
        .also(&[
            "parallel",
            "parallelism",
            "workers",
            "max_workers",
            "threads",
            "jobs",
            "forks",
            "max_concurrency",
        ])
        .set(|s, key, to| put(s.integer::<usize>(key, 1..=MAX_AT_ONCE), &mut to.cycle.settings.concurrency)),
    key("connecting", "How many SSH connections are opened at once.", Number("64"))
        .also(&["max_connecting", "max_connections", "connections", "logins"])
        .set(|s, key, to| put(s.integer::<usize>(key, 1..=MAX_AT_ONCE), &mut to.cycle.settings.connecting)),
];

const STORE_KEYS: &[Key] = &[
    key(
        "url",
        "sqlite:PATH or postgres://user@host:port/database, without a password.",
        Text("sqlite:fleetwatt.db"),
    )
    .also(&[
        "database_url",
        "dsn",
        "uri",
        "connection",
        "connection_string",
        "database",
        "db",
        "path",
        "file",
    ])
    .set(|s, key, to| put(s.parsed(key, check::store_url), &mut to.store.url)),
    key("password_env", "The environment variable with the password.", Other).set(|s, _, to| {
        to.store.password = read_secret(s, "password", "password", "FLEETWATT_DB_PASSWORD");
    }),
    key("password_file", "The file with the password.", Other),
    key("password_credential", "The systemd credential with the password.", Other),
    key("table", "The timeline's table: name or schema.name.", Public("unified_timeline"))
        .also(&["table_name"])
        .set(|s, key, to| put(s.parsed(key, check::table), &mut to.store.table)),
    key(
        "metadata",
        "\"full\" (the default), or \"slim\": a GPU's facts once a day and when they change.",
        Text("slim"),
    )
    .set(|s, key, to| put(s.parsed(key, check::metadata), &mut to.store.metadata)),
    key(
        "spool_size",
        "The most that waits for the database, such as 1GiB; then the oldest is dropped.",
        Quantity(Bytes, "1GiB"),
    )
    .also(&["spool_max", "spool_max_size", "max_spool"])
    .set(|s, key, to| put(s.parsed(key, check::spool_size), &mut to.store.spool_size)),
    key("spool_age", "How long it waits at most, such as 30d.", Quantity(Days, "30d"))
        .also(&["spool_max_age"])
        .set(|s, key, to| put(s.parsed(key, check::spool_age), &mut to.store.spool_age)),
    key("keep", "How long rows are kept in an SQLite timeline.", Quantity(Days, "90d"))
        .also(&["retention", "retain", "keep_for", "max_age"])
        .set(|s, key, to| put(s.parsed(key, check::spool_age), &mut to.store.keep)),
];

const ALERTS_KEYS: &[Key] = &[
    key("gpu_temperature_above", "A GPU is hotter, such as 85C.", Quantity(Temperature, "85C"))
        .also(&["temperature_above", "temp_above", "max_temperature", "gpu_max_temperature"])
        .set(|s, key, to| {
            to.alerts.rules.gpu_temperature = threshold(s, key, temperature, "gpu_temperature_for");
        }),
    key("gpu_temperature_for", "How long it must be; at once without it.", Quantity(Time, "5m")),
    key(
        "gpu_power_above",
        "A GPU draws more, in percent of its limit or in watts.",
        Quantity(GpuPower, "110%"),
    )
    .also(&["gpu_power_limit", "gpu_max_power"])
    .set(|s, key, to| to.alerts.rules.gpu_power = threshold(s, key, gpu_power, "gpu_power_for")),
    key("gpu_power_for", "How long it must be; at once without it.", Quantity(Time, "5m")),
    key("host_silent_for", "A host gives no answer for so long.", Quantity(Time, "5m"))
        .also(&["host_down_for", "host_down", "node_down_for", "node_silent_for"])
        .set(|s, key, to| put(s.parsed(key, check::duration), &mut to.alerts.rules.host_silent_for)),
    key("cluster_power_above", "All GPUs together draw more, such as 12kW.", Quantity(Power, "12kW"))
        .also(&["power_above", "total_power_above", "max_power"])
        .set(|s, key, to| put(s.parsed(key, power), &mut to.alerts.rules.cluster_power)),
    key("spool_older_than", "A batch waits longer for the database.", Quantity(Time, "10m"))
        .set(|s, key, to| put(s.parsed(key, check::duration), &mut to.alerts.rules.spool_older_than)),
    key("store_away_for", "The database takes nothing for so long.", Quantity(Time, "5m"))
        .set(|s, key, to| put(s.parsed(key, check::duration), &mut to.alerts.rules.store_away_for)),
    key("battery_below", "A station's charge is lower, such as 30%.", Quantity(Percent, "30%"))
        .also(&["soc_below", "battery_low"])
        .set(|s, key, to| put(s.parsed(key, charge), &mut to.alerts.rules.battery_below)),
    key("battery_critical_below", "The same, critical.", Quantity(Percent, "10%"))
        .set(|s, key, to| put(s.parsed(key, charge), &mut to.alerts.rules.battery_critical_below)),
    key("grid_lost", "false: not told when a station's grid is gone.", Other)
        .set(|s, _, to| read_grid(s, &mut to.alerts.rules.grid_lost_for)),
    key("grid_lost_for", "How long it must be gone.", Quantity(Time, "5m")),
    key(
        "station_silent_for",
        "A station gives no answer for so long; \"off\" for never.",
        Quantity(Time, "15m"),
    )
    .set(|s, key, to| put(s.parsed(key, station_silent_for), &mut to.alerts.rules.station_silent_for)),
    key("webhook_env", "The environment variable with the webhook's URL.", Other)
        .set(|s, _, to| to.alerts.webhook = read_webhook(s)),
    key("webhook_file", "The file with the webhook's URL.", Other),
    key("webhook_credential", "The systemd credential with the webhook's URL.", Other),
    key("webhook_format", "\"json\" (the default), \"slack\", \"ntfy\" or \"alertmanager\".", Text("json")),
    key("webhook_timeout", "How long one request may take.", Quantity(Time, "10s")),
];

const ACCOUNT_KEYS: &[Key] = &[
    key("enabled", "false: as if the section were not there.", Other),
    key("country", vendor::COUNTRY_HELP, Public("US"))
        .also(&["region", "country_code"])
        .set(|s, key, to| put(s.parsed(key, account::country), &mut to.account.country)),
    key("server", "\"com\" or \"eu\"; by the country without it.", Text("com"))
        .set(|s, key, to| put(s.parsed(key, account::server), &mut to.account.server)),
    key("user_env", "The environment variable with the account's e-mail address.", Other)
        .set(|s, _, to| account::read_account(s, &mut to.account)),
    key("user_file", "The file with it.", Other),
    key("user_credential", "The systemd credential with it.", Other),
    key("password_env", "The environment variable with the password.", Other),
    key("password_file", "The file with it.", Other),
    key("password_credential", "The systemd credential with it.", Other),
    key("interval", "How often a station is asked.", Quantity(Time, "60s"))
        .set(|s, _, to| account::read_intervals(s, &mut to.account)),
    key("fast_interval", "The same with a low battery or without a grid.", Quantity(Time, "30s")),
    key("rest_every", "Every so many intervals the list of stations is asked for too.", Number("5"))
        .set(|s, key, to| put(s.integer::<u32>(key, account::REST_EVERY), &mut to.account.rest_every)),
    key("listen", "How long a poll waits for answers.", Quantity(Time, "10s"))
        .set(|s, key, to| put(s.parsed(key, account::listen), &mut to.account.listen)),
    key("api_url", "Another server in place of the vendor's, for tests.", Other)
        .set(|s, key, to| put(s.parsed(key, account::api_url), &mut to.account.api_url)),
    key("login_key", "The public key of that server.", Other)
        .set(|s, key, to| put(account::read_login_key(s, key), &mut to.account.login_key)),
    key("mqtt_address", "Another broker in place of the vendor's, for tests.", Text("127.0.0.1:8883"))
        .set(|s, key, to| put(s.parsed(key, account::mqtt_address), &mut to.account.mqtt_address)),
    key("extra_ca", "A file with a certificate authority to trust as well, for tests.", Other)
        .set(|s, key, to| put(s.path(key), &mut to.account.extra_ca)),
];

fn read_interval(section: &mut Section<'_, '_>, key: &'static str, cycle: &mut Cycle) {
    let interval = section.parsed(key, check::duration);
    if interval.is_some() || section.key_location(key).is_some() {
        cycle.interval = interval.as_ref().map(|interval| interval.value);
    }
    cycle.interval_location = interval.as_ref().map(|interval| interval.location.clone());
    put(interval, &mut cycle.settings.interval);
}

/// The tools that are named, each once.
fn read_probes(section: &mut Section<'_, '_>, key: &'static str) -> Option<Spanned<Vec<Tool>>> {
    let known = Tool::ALL.iter().map(|tool| format!("\"{}\"", tool.label())).collect::<Vec<_>>().join(", ");
    let names_any = Cell::new(false);
    let Spanned { value: named, location } = section.parsed_list(key, |text| {
        names_any.set(true);
        let hint = format!("the probes are: {known}");
        let unknown = ValueError::new("has an unknown probe", "not a probe that is known", hint);
        Tool::from_label(text).ok_or(unknown)
    })?;
    if !names_any.get() {
        let hint = format!("name one of {known}, or take the key out");
        section.report(location, ValueError::new("`probes` names none", "no probe", hint));
        return None;
    }
    let mut tools = Vec::new();
    for tool in named {
        if tools.contains(&tool.value) {
            let error = ValueError::new("a probe is named twice", "asked once", "take one of them out");
            section.warn(tool.location, error);
        } else {
            tools.push(tool.value);
        }
    }
    Some(Spanned { value: tools, location })
}
