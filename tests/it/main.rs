//! All integration tests, as one binary: one module a feature.

mod alert_delivery;
mod alerts;
#[path = "../fleet/case.rs"]
mod case;
mod cli;
#[path = "../cloud/cloud.rs"]
mod cloud;
mod cloud_self;
mod corpus;
mod dead_letters;
mod demo_history;
mod documents;
#[path = "../kills/energies.rs"]
mod energies;
mod fake_clock;
mod faults;
#[path = "../fleet/fleet.rs"]
mod fleet;
mod fleet_self;
#[path = "../kills/gate.rs"]
mod gate;
mod golden;
mod gpu_cases;
mod grafana;
mod home_assistant;
#[path = "../../src/output/home_assistant/schema.rs"]
mod home_assistant_schema;
mod inventory;
mod inventory_alerts;
mod inventory_energy;
mod inventory_fleet;
mod inventory_machines;
mod inventory_mqtt;
mod inventory_prometheus;
mod inventory_solix;
mod inventory_words;
mod kept_shell;
#[path = "../kills/kills.rs"]
mod kills;
mod kills_self;
mod ledger;
mod ledger_by_hand;
mod ledger_derive;
mod ledger_reader;
mod ledger_rebuild;
mod ledger_roll_up;
mod ledger_totals;
mod ledger_traces;
mod ledger_words;
mod loop_marks;
mod page;
mod pgbouncer;
mod poll;
mod postgres;
mod program;
mod prometheus;
mod report;
mod report_stores;
mod run;
mod sampling;
mod sampling_ssh;
mod selection;
mod solix_account;
mod solix_decode;
mod solix_faults;
mod solix_fieldmap;
mod solix_listen;
mod solix_readings;
mod solix_rest;
mod solix_session;
mod solix_stage;
mod solix_wire;
mod spool;
mod spool_once;
mod spool_proxy;
mod ssh_config;
mod store_guarantee;
mod store_kept;
mod store_postgres;
mod store_sqlite;
mod store_story;
mod streams;
mod tariff;
mod this_machine;
mod tidy;
#[cfg(feature = "test-tools")]
mod two_tools;
mod watch;
#[path = "../kills/webhook.rs"]
mod webhook;
mod without_secrets;
