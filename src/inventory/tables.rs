//! The keys of an inventory. A new key is a row here and a field of the model: the manual page, the
//! diagnostics, the defaults and the overrides follow from the row.

use std::cell::Cell;

use super::account::{self, read_intervals};
use super::alerts::{charge, gpu_power, power, temperature};
use super::alerts::{read_grid, read_webhook, station_silent_for};
use super::check;
use super::diagnostic::ValueError;
use super::ledger::{idle_below, keep_quarters};
use super::location::{Spanned, put};
use super::mqtt;
use super::place;
use super::prometheus::{listen, read_labels, read_textfile};
use super::section::{Key, Read, Section, Table};
use super::sections::Sections;
use super::suggestion::{Form, Unit};
use super::vendor::{self, COUNTRY_HELP};
use crate::probe::Tool;
use Form::{Number, Other, Public, Quantity, Text};
use Unit::{Bytes, Days, GpuPower, Percent, Power, Temperature, Time};

/// More than the most hosts of an inventory makes no difference.
const MAX_AT_ONCE: usize = 65_536;

/// More GPUs than any one machine has.
const MAX_GPUS: u32 = 4_096;

pub(super) static TOP: Table = Table { title: "at the top of the file", keys: &[TOP_KEYS, &[ACCOUNT_KEY]] };
pub(super) static DEFAULTS: Table = Table { title: "in [defaults]", keys: &[HOST_OPTIONS] };
pub(super) static HOST: Table = Table { title: "in [[host]]", keys: &[HOST_KEYS, HOST_OPTIONS] };
pub(super) static CYCLE: Table = Table { title: "in [cycle]", keys: &[CYCLE_KEYS] };
pub(super) static STORE: Table = Table { title: "in [store]", keys: &[STORE_KEYS] };
pub(super) static ALERTS: Table = Table { title: "in [alerts]", keys: &[ALERTS_KEYS] };
pub(super) static ACCOUNT: Table = Table { title: vendor::TITLE, keys: &[ACCOUNT_KEYS] };
pub(super) static LEDGER: Table = Table { title: "in [ledger]", keys: &[LEDGER_KEYS] };
pub(super) static PROMETHEUS: Table = Table { title: "in [prometheus]", keys: &[PROMETHEUS_KEYS] };
pub(super) static MQTT: Table = Table { title: "in [mqtt]", keys: &[MQTT_KEYS] };
pub(super) static CALIBRATION: Table = Table { title: "in [[calibration]]", keys: &[CALIBRATION_KEYS] };

/// The tables that a key may have to be moved to.
pub(super) static SECTIONS: [&Table; 9] =
    [&HOST, &CYCLE, &STORE, &ALERTS, &ACCOUNT, &PROMETHEUS, &MQTT, &LEDGER, &CALIBRATION];

/// `"name": Form, "meaning" [other names] => field = method of Section;`. A field of `ssh` or `host` is an
/// option of hosts, any other is in [`Sections`]. A key without a field is read with another one.
macro_rules! keys {
    ($list:ident = $($name:literal: $form:expr, $help:tt $([$($synonym:ident)+])?
        $(=> $to:ident $(.$field:ident)* $(= $how:ident)? $(($($arg:tt)*))?)?;)+) => {
        const $list: &[Key] = &[$(Key {
            name: $name,
            help: $help,
            form: $form,
            synonyms: &[$($(stringify!($synonym)),+)?],
            is_for_ssh: keys!(@is_for_ssh $($to)?),
            read: keys!(@read $($to $(.$field)* $(= $how)? $(($($arg)*))?)?),
        }),+];
    };
    (@is_for_ssh ssh) => { true };
    (@is_for_ssh $($other:ident)?) => { false };
    (@read $(ssh)?) => { Read::WithOthers };
    (@read ssh.$field:ident = $how:ident($($arg:tt)*)) => {
        Read::HostOption(|section, key, to| {
            to.set(key, section.$how(key, $($arg)*), |_, ssh, value| ssh.$field = value.into());
        })
    };
    (@read host.$field:ident = $how:ident($($arg:tt)*)) => {
        Read::HostOption(|section, key, to| {
            to.set(key, section.$how(key, $($arg)*), |host, _, value| host.$field = value.into());
        })
    };
    (@read program($tool:ident)) => {
        Read::HostOption(|section, key, to| {
            to.set(key, section.parsed(key, check::program), |host, _, program| {
                host.programs.insert(Tool::$tool, program);
            });
        })
    };
    (@read with($read:expr)) => { Read::Setting(|section, _, to| $read(section, to)) };
    (@read $($field:ident).+ = $how:ident($($arg:tt)*)) => {
        Read::Setting(|section, key, to| put(section.$how(key, $($arg)*), &mut to.$($field).+))
    };
}

/// The section of the account.
const ACCOUNT_KEY: Key = Key {
    name: vendor::KEY,
    help: vendor::HELP,
    form: Other,
    synonyms: vendor::SYNONYMS,
    is_for_ssh: false,
    read: Read::WithOthers,
};

keys! { TOP_KEYS =
    "include": Public("…"), "Other files with hosts, as shell patterns relative to this file."
        [includes import imports];
    "exclude": Public("…"), "Hosts that are left out of the fleet: names, ranges and patterns."
        [excludes excluded ignore skip];
    "defaults": Other, "What holds for every host of this file that does not say otherwise."
        [default global globals all common];
    "host": Other, "One host, or a range of them." [hosts node nodes server servers machine machines];
    "cycle": Other, "How often and how many at once." [cycles poll polling schedule scheduler];
    "store": Other, "Where the readings go. Without it: an SQLite file in the state directory."
        [storage database db timeline postgres postgresql sqlite];
    "alerts": Other, "When somebody is told." [alert alerting alarm alarms];
    "prometheus": Other, "What Prometheus is told, and where." [metrics exporter openmetrics];
    "mqtt": Other, "The MQTT broker by which Home Assistant is told." [homeassistant hass broker];
    "ledger": Other, "How the energy of each quarter-hour is kept." [energy];
    "calibration": Other, "A model or a board whose error was measured." [calibrations];
    "site": Other, "The time zone, what cooling adds, and the price of energy from a battery." [location];
    "tariff": Other, "What a kilowatt-hour costs, and when." [tariffs price prices];
    "carbon": Other, "The carbon dioxide of a kilowatt-hour." [co2];
}

keys! { HOST_KEYS =
    "name": Public("node1"), "The name in the timeline; a host name or a range."
        [hostname host hosts node nodes node_name];
    "address": Public("10.0.0.1"), "Where it is reached, if not by its name; a range of the same length."
        [ip ip_address addr fqdn ansible_host host_address] => ssh;
    "exclude": Public("…"), "Hosts of this entry that are left out: names, ranges and patterns."
        [excludes except skip ignore disabled enabled];
    "override": Other, "true: changes keys of hosts that another [[host]] gives." [overrides overwrite];
}

keys! { HOST_OPTIONS =
    "local": Other, "true: this machine, without SSH." [localhost is_local];
    "scripted": Other,
        "A file of captured output that answers in place of a host, for demonstrations and tests.";
    "labels": Other, "Names and values that each row of the host carries, as { room = \"lab\" }."
        [tags tag label];
    "user": Public("monitor"), "The login name." [username ssh_user login login_name remote_user ansible_user]
        => ssh.user = parsed(check::user);
    "port": Number("22"), "The TCP port of sshd." [ssh_port ansible_port] => ssh.port = integer(1..=65_535);
    "identity_file": Text("~/.ssh/fleetwatt"), "The private key; no other one is offered then."
        [ssh_key ssh_key_file key key_file private_key private_key_file identity ssh_identity pem
         ssh_private_key_file ansible_ssh_private_key_file] => ssh.identity_file = path();
    "ssh_config": Other, "The ssh_config file to read in place of the user's own."
        [config config_file ssh_config_file] => ssh.ssh_config = path();
    "known_hosts": Other, "The known_hosts file to use in place of the user's own."
        [known_hosts_file user_known_hosts_file] => ssh.known_hosts = path();
    "jump": Public("bastion"), "Jump hosts, as ssh -J takes them; \"none\" for none."
        [proxy_jump jump_host bastion bastion_host gateway proxy via] => ssh.jump = parsed(place::jump);
    "kex": Public("curve25519-sha256"), "Key exchange algorithms, as KexAlgorithms of ssh_config takes them."
        [kex_algorithms key_exchange] => ssh.kex = parsed(check::kex);
    "host_key": Text("strict"),
        "\"strict\" (the default), or \"accept-new\", which takes an unknown key on first contact."
        [strict_host_key_checking host_key_checking host_key_policy ansible_host_key_checking]
        => ssh.host_key = parsed(check::host_key);
    "connect_timeout": Quantity(Time, "5s"), "How long connecting may take." [connection_timeout ssh_timeout]
        => ssh.connect_timeout = parsed(check::connect_timeout);
    "timeout": Quantity(Time, "15s"), "How long the whole answer may take; below the interval of [cycle]."
        [command_timeout probe_timeout deadline] => host.timeout = parsed(check::duration);
    "sample": Quantity(Time, "1s"),
        "The pace of samples between cycles of the daemon, 100ms to 10s; \"off\" for none."
        [sampling sample_interval sample_every sample_rate sample_period]
        => host.sample = parsed(check::sample);
    "control_persist": Quantity(Time, "10m"), "How long an idle connection is kept for the next poll."
        [persist] => ssh.control_persist = parsed(check::duration);
    "keep_shell": Other, "false: a shell is started on the host for each call; by default one waits there."
        => ssh.keep_shell = flag();
    "probes": Other, "The tools that it is asked by, in this order; [\"nvidia-smi\"] by default."
        => host.probes = probes();
    "nvidia_smi": Public("nvidia-smi"), "The path of nvidia-smi on the host."
        [smi nvidia_smi_path nvidia_smi_command] => program(NvidiaSmi);
    "gpus": Number("8"), "How many GPUs the host has; fewer in an answer is a fault."
        [gpu gpu_count n_gpus num_gpus expected_gpus] => host.gpus = integer(1..=MAX_GPUS);
    "maintenance": Other, "true: the host is polled and shown, but raises no alert and is no failure."
        [paused silenced muted silent] => host.maintenance = flag();
}

keys! { CYCLE_KEYS =
    "interval": Quantity(Time, "60s"), "From one cycle of the daemon to the next."
        [period every poll_interval frequency seconds refresh] => with(read_interval);
    "concurrency": Number("256"), "How many hosts are asked at once."
        [parallel parallelism workers max_workers threads jobs forks max_concurrency]
        => cycle.settings.concurrency = integer(1..=MAX_AT_ONCE);
    "connecting": Number("64"), "How many SSH connections are opened at once."
        [max_connecting max_connections connections logins]
        => cycle.settings.connecting = integer(1..=MAX_AT_ONCE);
}

keys! { STORE_KEYS =
    "url": Text("sqlite:fleetwatt.db"),
        "sqlite:PATH or postgres://user@host:port/database, without a password."
        [database_url dsn uri connection connection_string database db path file]
        => store.url = parsed(check::store_url);
    "password_env": Other, "The environment variable with the password."
        => store.password = secret("password", "FLEETWATT_DB_PASSWORD");
    "password_file": Other, "The file with the password.";
    "password_credential": Other, "The systemd credential with the password.";
    "table": Public("unified_timeline"), "The timeline's table: name or schema.name." [table_name]
        => store.table = parsed(check::table);
    "metadata": Text("slim"),
        "\"full\" (the default), or \"slim\": a GPU's facts once a day and when they change."
        => store.metadata = parsed(check::metadata);
    "spool_size": Quantity(Bytes, "1GiB"),
        "The most that waits for the database, such as 1GiB; then the oldest is dropped."
        [spool_max spool_max_size max_spool] => store.spool_size = parsed(check::spool_size);
    "spool_age": Quantity(Days, "30d"), "How long it waits at most, such as 30d." [spool_max_age]
        => store.spool_age = parsed(check::spool_age);
    "keep": Quantity(Days, "90d"), "How long rows are kept in an SQLite timeline."
        [retention retain keep_for max_age] => store.keep = parsed(check::spool_age);
}

keys! { ALERTS_KEYS =
    "gpu_temperature_above": Quantity(Temperature, "85C"), "A GPU is hotter, such as 85C."
        [temperature_above temp_above max_temperature gpu_max_temperature]
        => alerts.rules.gpu_temperature = threshold(temperature, "gpu_temperature_for");
    "gpu_temperature_for": Quantity(Time, "5m"), "How long it must be; at once without it.";
    "gpu_power_above": Quantity(GpuPower, "110%"), "A GPU draws more, in percent of its limit or in watts."
        [gpu_power_limit gpu_max_power] => alerts.rules.gpu_power = threshold(gpu_power, "gpu_power_for");
    "gpu_power_for": Quantity(Time, "5m"), "How long it must be; at once without it.";
    "host_silent_for": Quantity(Time, "5m"), "A host gives no answer for so long."
        [host_down_for host_down node_down_for node_silent_for]
        => alerts.rules.host_silent_for = parsed(check::duration);
    "cluster_power_above": Quantity(Power, "12kW"), "All GPUs together draw more, such as 12kW."
        [power_above total_power_above max_power] => alerts.rules.cluster_power = parsed(power);
    "spool_older_than": Quantity(Time, "10m"), "A batch waits longer for the database."
        => alerts.rules.spool_older_than = parsed(check::duration);
    "store_away_for": Quantity(Time, "5m"), "The database takes nothing for so long."
        => alerts.rules.store_away_for = parsed(check::duration);
    "battery_below": Quantity(Percent, "30%"), "A station's charge is lower, such as 30%."
        [soc_below battery_low] => alerts.rules.battery_below = parsed(charge);
    "battery_critical_below": Quantity(Percent, "10%"), "The same, critical."
        => alerts.rules.battery_critical_below = parsed(charge);
    "grid_lost": Other, "false: not told when a station's grid is gone." => with(read_grid);
    "grid_lost_for": Quantity(Time, "5m"), "How long it must be gone.";
    "station_silent_for": Quantity(Time, "15m"), "A station gives no answer for so long; \"off\" for never."
        => alerts.rules.station_silent_for = parsed(station_silent_for);
    "webhook_env": Other, "The environment variable with the webhook's URL." => with(read_webhook);
    "webhook_file": Other, "The file with the webhook's URL.";
    "webhook_credential": Other, "The systemd credential with the webhook's URL.";
    "webhook_format": Text("json"), "\"json\" (the default), \"slack\", \"ntfy\" or \"alertmanager\".";
    "webhook_timeout": Quantity(Time, "10s"), "How long one request may take.";
}

keys! { PROMETHEUS_KEYS =
    "listen": Public("127.0.0.1:9836"),
        "Where the daemon listens for Prometheus: an address with its port, or the path of a unix socket."
        [address bind listen_address web_listen_address port] => prometheus.listen = parsed(listen);
    "token_env": Other, "The environment variable with the bearer token that a scrape has to bring."
        => prometheus.token = secret("bearer token", "FLEETWATT_PROMETHEUS_TOKEN");
    "token_file": Other, "The file with it.";
    "token_credential": Other, "The systemd credential with it.";
    "textfile": Text("/var/lib/prometheus/node-exporter/fleetwatt.prom"),
        "A file that each cycle writes anew, for the textfile collector of a node exporter."
        [text_file prom_file] => with(read_textfile);
    "labels": Public("…"), "The labels of hosts that their series have, such as [\"rack\"]; none without it."
        [label] => with(read_labels);
    "max_series": Number("20000"), "The most series of one scrape; beyond, each host is to be scraped by /probe."
        [limit] => prometheus.max_series = integer(1_000..=10_000_000_usize);
}

keys! { MQTT_KEYS =
    "url": Text("mqtt://127.0.0.1:1883"), "The broker: mqtt://host:1883, or mqtts://host:8883 with TLS."
        [broker server] => mqtt.url = parsed(mqtt::url);
    "user_env": Other, "The environment variable with the user name that the broker asks for."
        => mqtt.user = secret("user name", "FLEETWATT_MQTT_USER");
    "user_file": Other, "The file with it.";
    "user_credential": Other, "The systemd credential with it.";
    "password_env": Other, "The environment variable with the password."
        => mqtt.password = secret("password", "FLEETWATT_MQTT_PASSWORD");
    "password_file": Other, "The file with it.";
    "password_credential": Other, "The systemd credential with it.";
    "ca": Text("/etc/fleetwatt/mqtt-ca.pem"),
        "A PEM file of the authorities to trust in place of this machine's."
        [ca_file ca_cert extra_ca] => mqtt.ca = path();
    "discovery_prefix": Public("homeassistant"), "The topic under which Home Assistant looks for devices."
        [prefix] => mqtt.discovery_prefix = parsed(mqtt::topic);
    "topic": Public("fleetwatt"), "The topic under which the states are; each fleetwatt at a broker has its own."
        [topic_prefix base_topic] => mqtt.topic = parsed(mqtt::topic);
    "gpus": Other, "true: each GPU is a device too, with power, energy, temperature and utilization."
        [gpu] => mqtt.gpus = flag();
}

keys! { LEDGER_KEYS =
    "max_gap": Quantity(Time, "3m"),
        "The longest time between two readings that counts as measured; three intervals without it."
        [gap longest_gap] => energy.ledger.max_gap = parsed(check::duration);
    "keep_quarters": Quantity(Days, "62d"),
        "The age from which quarter-hours are made into days, such as 62d; at least 1d."
        [keep retention retain keep_for] => energy.ledger.keep_quarters = parsed(keep_quarters);
    "idle_below": Quantity(Percent, "5%"), "A GPU is idle whose mean utilization is lower, such as 5%."
        [idle] => energy.ledger.idle_below = parsed(idle_below);
}

keys! { CALIBRATION_KEYS =
    "model": Public("NVIDIA A100-SXM4-80GB"), "The model as nvidia-smi names it; all of its boards." [gpu_model];
    "uuid": Public("GPU-…"), "One board, by its UUID." [gpu_uuid gpu id];
    "gain": Number("1.03"), "The true energy for one that is read; 1 without it." [factor scale];
    "uncertainty": Number("0.01"),
        "The standard uncertainty (k=1) that remains, as a share of the energy: 0.01 or \"1%\"." [error];
}

keys! { ACCOUNT_KEYS =
    "enabled": Other, "false: as if the section were not there.";
    "country": Public("US"), COUNTRY_HELP [region country_code] => account.country = parsed(account::country);
    "server": Text("com"), "\"com\" or \"eu\"; by the country without it."
        => account.server = parsed(account::server);
    "user_env": Other, "The environment variable with the account's e-mail address."
        => account.user = secret("e-mail address", vendor::USER_VARIABLE);
    "user_file": Other, "The file with it.";
    "user_credential": Other, "The systemd credential with it.";
    "password_env": Other, "The environment variable with the password."
        => account.password = secret("password", vendor::PASSWORD_VARIABLE);
    "password_file": Other, "The file with it.";
    "password_credential": Other, "The systemd credential with it.";
    "interval": Quantity(Time, "60s"), "How often a station is asked." => with(read_intervals);
    "fast_interval": Quantity(Time, "30s"), "The same with a low battery or without a grid.";
    "rest_every": Number("5"), "Every so many intervals the list of stations is asked for too."
        => account.rest_every = integer(account::REST_EVERY);
    "listen": Quantity(Time, "10s"), "How long a poll waits for answers."
        => account.listen = parsed(account::listen);
    "api_url": Other, "Another server in place of the vendor's, for tests."
        => account.api_url = parsed(account::api_url);
    "login_key": Other, "The public key of that server." => account.login_key = login_key();
    "mqtt_address": Text("127.0.0.1:8883"), "Another broker in place of the vendor's, for tests."
        => account.mqtt_address = parsed(account::mqtt_address);
    "extra_ca": Other, "A file with a certificate authority to trust as well, for tests."
        => account.extra_ca = path();
}

fn read_interval(section: &mut Section<'_, '_>, to: &mut Sections) {
    let interval = section.parsed("interval", check::duration);
    if section.has("interval") {
        to.cycle.interval = interval.as_ref().map(|interval| interval.value);
    }
    to.cycle.interval_location = interval.as_ref().map(|interval| interval.location.clone());
    put(interval, &mut to.cycle.settings.interval);
}

impl Section<'_, '_> {
    /// The tools that are named, each once.
    fn probes(&mut self, key: &str) -> Option<Spanned<Vec<Tool>>> {
        let known =
            Tool::ALL.iter().map(|tool| format!("\"{}\"", tool.label())).collect::<Vec<_>>().join(", ");
        let names_any = Cell::new(false);
        let Spanned { value: named, location } = self.parsed_list(key, |text| {
            names_any.set(true);
            let hint = format!("the probes are: {known}");
            Tool::from_label(text).ok_or(ValueError::new(
                "has an unknown probe",
                "not a probe that is known",
                hint,
            ))
        })?;
        if !names_any.get() {
            let hint = format!("name one of {known}, or take the key out");
            self.report(location, ValueError::new("`probes` names none", "no probe", hint));
            return None;
        }
        let mut tools = Vec::new();
        for tool in named {
            if tools.contains(&tool.value) {
                let error = ValueError::new("a probe is named twice", "asked once", "take one of them out");
                self.report(tool.location, error.warning());
            } else {
                tools.push(tool.value);
            }
        }
        Some(Spanned { value: tools, location })
    }
}
