//! fleetwatt: agentless power monitoring for GPU fleets and the batteries behind them.
//!
//! One process reads an inventory of hosts, runs `nvidia-smi --query-gpu=…` on each of them, on this
//! machine or over multiplexed SSH, parses the answers to typed readings, and writes all that the
//! cycle learned to one timeline table in one transaction.
//!
//! The rooms, in reading order. A room may use only rooms of a lower rank; `tests/it/tidy.rs` holds
//! that. Ranks 0 to 2 are the core, but for `support`: no async, no I/O, no clock.
//!
//! | rank | room | what it is |
//! |---|---|---|
//! | 0 | [`reading`] | units, value or absent, outcome of an attempt |
//! | 0 | [`support`] | what several rooms need: the writer of kept files |
//! | 1 | [`inventory`] | the fleet as written becomes the fleet as meant |
//! | 1 | [`probe`] | the exact command, and the pure parser of its answer |
//! | 1 | [`alert`] | rules and their state machine: facts in, transitions out |
//! | 2 | [`batch`] | what one cycle produced, as timeline events |
//! | 3 | [`transport`] | run this argv there, by this deadline; say which step failed |
//! | 3 | [`battery`] | battery stations by vendor: login, REST, MQTT, frames; its product is readings |
//! | 3 | [`store`] | the timeline: one transaction a batch |
//! | 4 | [`cycle`] | when and whom: host tasks, deadlines, gathering |
//! | 4 | [`output`] | read-only views of what a cycle produced |
//! | 5 | [`app`] | settings of all rooms, telemetry |
//! | 6 | [`cli`] | subcommands, exit codes, words for people |

pub mod reading;
pub mod support;

pub mod alert;
pub mod inventory;
pub mod probe;

pub mod batch;

pub mod battery;
pub mod store;
pub mod transport;

pub mod cycle;
pub mod output;

pub mod app;

pub mod cli;
