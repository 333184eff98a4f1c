//! Measurements: units, value or absent, and how an attempt to measure ended.
//!
//! Nothing in this room can fail later: what has been built is valid. Nothing here knows a host, a
//! tool, a clock or a database.

mod absent;
mod device;
mod error_chain;
pub mod event_type;
mod fault;
mod gpu;
mod outcome;
mod quantity;
mod quarter;
mod safe_text;
mod station;
mod table;
mod time;
mod units;
mod value;
mod wording;

pub use absent::{Absent, Measured, Reason};
pub use device::{Device, Known};
pub use error_chain::error_chain;
pub use fault::{Fault, FaultKind};
pub use gpu::{PowerDraw, PowerKind, PowerSamples, SampleCounts};
pub use outcome::{Failure, FailureKind, Outcome};
pub use quantity::{Columns, DeviceKind, Quantity, Role};
pub use quarter::Quarter;
pub use safe_text::{MAX_SAFE_TEXT_CHARS, SafeText};
pub use station::{
    AccountReport, AccountTrouble, DataSource, GridState, PollingMode, Presence, Runtime, Station,
    StationReading, StationStatus, Vendor,
};
pub use time::{Span, Timestamp};
pub use units::{Energy, Memory, Power, Share, Temperature};
pub use value::Value;
pub use wording::{Wording, Wordings};
