//! fleetwatt: agentless power monitoring for GPU fleets and the batteries behind them.
//!
//! One process reads an inventory of hosts, runs `nvidia-smi --query-gpu=…` on each of them, on this
//! machine or over multiplexed SSH, parses the answers to typed readings, and writes all that the
//! cycle learned to one timeline table in one transaction.
//!
//! The rooms, in reading order. A room may use only rooms of a lower rank; `tests/it/tidy.rs` holds
//! that. Ranks 0 to 3 are the core, but for `support`: no async, no I/O, no clock.
//!
//! | rank | room | what it is |
//! |---|---|---|
//! | 0 | [`reading`] | a value or a reason for each quantity of a device; the outcome of an attempt |
//! | 0 | [`support`] | what several rooms need: kept files, backoff, jitter, TLS, secrets, the trait of errors |
//! | 1 | [`probe`] | the exact commands of each tool, and the pure parser of their answers |
//! | 1 | [`ledger`] | energy by quarter-hour: segments, coverage, uncertainty |
//! | 1 | [`alert`] | rules and their state machine: facts in, transitions out |
//! | 1 | [`tariff`] | what energy costs at a time: bands, price files, demand and fixed charges, carbon |
//! | 2 | [`inventory`] | the fleet as written becomes the fleet as meant |
//! | 2 | [`report`] | rows of the ledger, prices and carbon become the figures that people read |
//! | 3 | [`batch`] | what one cycle produced, as timeline events, and the snapshot that outputs show |
//! | 4 | [`transport`] | run this argv there, by this deadline; say which step failed |
//! | 4 | [`battery`] | battery stations by vendor: login, REST, MQTT, frames; its product is readings |
//! | 4 | [`store`] | the timeline: one transaction a batch |
//! | 5 | [`cycle`] | when and whom: host tasks, deadlines, gathering |
//! | 5 | [`output`] | functions of the last snapshot, and subscribers that follow it |
//! | 6 | [`app`] | settings of all rooms, telemetry, each subcommand as a job |
//! | 7 | [`cli`] | subcommands, exit codes, rendering of what is not a snapshot |

pub mod reading;
pub mod support;

pub mod alert;
pub mod ledger;
pub mod probe;
pub mod tariff;

pub mod inventory;
pub mod report;

pub mod batch;

pub mod battery;
pub mod store;
pub mod transport;

pub mod cycle;
pub mod output;

pub mod app;

pub mod cli;
