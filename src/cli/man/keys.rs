//! What each key of the inventory means, in a sentence.

/// The meaning of a key; empty where none is written here.
pub(super) fn meaning(section: &str, key: &str) -> &'static str {
    let table = match section {
        "at the top of the file" => TOP,
        "in [defaults]" | "in [[host]]" => HOST,
        "in [cycle]" => CYCLE,
        "in [store]" => STORE,
        "in [alerts]" => ALERTS,
        "in [solix]" => SOLIX,
        _ => &[],
    };
    table.iter().find(|(name, _)| *name == key).map_or("", |(_, meaning)| meaning)
}

type Table = &'static [(&'static str, &'static str)];

const TOP: Table = &[
    ("exclude", "Hosts that are left out of the fleet: names, ranges and patterns."),
    ("include", "Other files with hosts, as shell patterns relative to this file."),
    ("defaults", "What holds for every host of this file that does not say otherwise."),
    ("host", "One host, or a range of them."),
    ("cycle", "How often and how many at once."),
    ("store", "Where the readings go. Without it: an SQLite file in the state directory."),
    ("alerts", "When somebody is told."),
    ("solix", "The battery stations of an Anker Solix account."),
];

const HOST: Table = &[
    ("exclude", "Hosts of this entry that are left out: names, ranges and patterns."),
    ("override", "true: changes keys of hosts that another [[host]] gives."),
    ("name", "The name in the timeline; a host name or a range."),
    ("address", "Where it is reached, if not by its name; a range of the same length."),
    ("local", "true: this machine, without SSH."),
    ("scripted", "A file of captured output that answers in place of a host, for demonstrations and tests."),
    ("labels", "Names and values that each row of the host carries, as { room = \"lab\" }."),
    ("user", "The login name."),
    ("port", "The TCP port of sshd."),
    ("identity_file", "The private key; no other one is offered then."),
    ("ssh_config", "The ssh_config file to read in place of the user's own."),
    ("known_hosts", "The known_hosts file to use in place of the user's own."),
    ("jump", "Jump hosts, as ssh -J takes them; \"none\" for none."),
    ("kex", "Key exchange algorithms, as KexAlgorithms of ssh_config takes them."),
    ("host_key", "\"strict\" (the default), or \"accept-new\", which takes an unknown key on first contact."),
    ("connect_timeout", "How long connecting may take."),
    ("timeout", "How long the whole answer may take; below the interval of [cycle]."),
    ("sample", "The pace of samples between cycles of the daemon, 100ms to 10s; \"off\" for none."),
    ("control_persist", "How long an idle connection is kept for the next poll."),
    ("keep_shell", "false: a shell is started on the host for each call; by default one waits there."),
    ("probes", "Does nothing any more: every host is asked by nvidia-smi."),
    ("nvidia_smi", "The path of nvidia-smi on the host."),
    ("gpus", "How many GPUs the host has; fewer in an answer is a fault."),
    ("maintenance", "true: the host is polled and shown, but raises no alert and is no failure."),
];

const CYCLE: Table = &[
    ("interval", "From one cycle of the daemon to the next."),
    ("concurrency", "How many hosts are asked at once."),
    ("connecting", "How many SSH connections are opened at once."),
];

const STORE: Table = &[
    ("url", "sqlite:PATH or postgres://user@host:port/database, without a password."),
    ("password_env", "The environment variable with the password."),
    ("password_file", "The file with the password."),
    ("password_credential", "The systemd credential with the password."),
    ("table", "The timeline's table: name or schema.name."),
    ("metadata", "\"full\" (the default), or \"slim\": a GPU's facts once a day and when they change."),
    ("spool_size", "The most that waits for the database, such as 1GiB; then the oldest is dropped."),
    ("spool_age", "How long it waits at most, such as 30d."),
    ("keep", "How long rows are kept in an SQLite timeline."),
];

const ALERTS: Table = &[
    ("gpu_temperature_above", "A GPU is hotter, such as 85C."),
    ("gpu_temperature_for", "How long it must be; at once without it."),
    ("gpu_power_above", "A GPU draws more, in percent of its limit or in watts."),
    ("gpu_power_for", "How long it must be; at once without it."),
    ("host_silent_for", "A host gives no answer for so long."),
    ("cluster_power_above", "All GPUs together draw more, such as 12kW."),
    ("spool_older_than", "A batch waits longer for the database."),
    ("store_away_for", "The database takes nothing for so long."),
    ("battery_below", "A station's charge is lower, such as 30%."),
    ("battery_critical_below", "The same, critical."),
    ("grid_lost", "false: not told when a station's grid is gone."),
    ("grid_lost_for", "How long it must be gone."),
    ("station_silent_for", "A station gives no answer for so long; \"off\" for never."),
    ("webhook_env", "The environment variable with the webhook's URL."),
    ("webhook_file", "The file with the webhook's URL."),
    ("webhook_credential", "The systemd credential with the webhook's URL."),
    ("webhook_format", "\"json\" (the default), \"slack\", \"ntfy\" or \"alertmanager\"."),
    ("webhook_timeout", "How long one request may take."),
];

const SOLIX: Table = &[
    ("enabled", "false: as if the section were not there."),
    ("country", "The country that the Anker app is set to."),
    ("server", "\"com\" or \"eu\"; by the country without it."),
    ("user_env", "The environment variable with the account's e-mail address."),
    ("user_file", "The file with it."),
    ("user_credential", "The systemd credential with it."),
    ("password_env", "The environment variable with the password."),
    ("password_file", "The file with it."),
    ("password_credential", "The systemd credential with it."),
    ("interval", "How often a station is asked."),
    ("fast_interval", "The same with a low battery or without a grid."),
    ("rest_every", "Every so many intervals the list of stations is asked for too."),
    ("listen", "How long a poll waits for answers."),
    ("api_url", "Another server in place of the vendor's, for tests."),
    ("login_key", "The public key of that server."),
    ("mqtt_address", "Another broker in place of the vendor's, for tests."),
    ("extra_ca", "A file with a certificate authority to trust as well, for tests."),
];
