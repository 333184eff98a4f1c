//! Absence as a value: why a number is not there, and the text that stood in its place.

use super::table::table;
use super::{FaultKind, SafeText};

/// A measured value, or why there is none. Never a silent zero.
pub type Measured<T> = Result<T, Absent>;

/// Why a value is missing, with the text that the tool printed instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// The class of the absence.
    pub reason: Reason,
    /// The text of the cell, cleaned and bounded; empty where there was nothing.
    pub text: SafeText,
}

impl Absent {
    /// An absence with the text that stood in the value's place.
    pub fn new(reason: Reason, text: &str) -> Self {
        Self { reason, text: SafeText::new(text) }
    }

    /// The device did not say it.
    pub const fn not_reported() -> Self {
        Self { reason: Reason::NotReported, text: SafeText::EMPTY }
    }

    /// The field was not asked for, since this driver does not know it.
    pub const fn not_asked() -> Self {
        Self { reason: Reason::NotAsked, text: SafeText::EMPTY }
    }
}

table! {
    /// The class of an absence. The texts are those of `nvml-error-to-cell` (drivers 340 to 550) and of
    /// captured answers up to 610.
    Reason;
    /// Its label, its words for a person, and the fault that it is; none where the board or its driver has no such
    /// number at all.
    row: (&'static str, &'static str, Option<FaultKind>);
    /// `[N/A]`, `N/A`, `[Not Supported]`: the board does not have it.
    NotSupported: ("not_supported", "n/a", None);
    /// `[Unknown Error]`.
    UnknownError: ("unknown_error", "unknown error", Some(FaultKind::UnknownError));
    /// `[GPU is lost]`: the board fell off the bus.
    GpuLost: ("gpu_lost", "lost", Some(FaultKind::GpuLost));
    /// `[GPU requires reset]`.
    ResetRequired: ("reset_required", "needs reset", Some(FaultKind::ResetRequired));
    /// `[Insufficient Permissions]`.
    NoPermission: ("no_permission", "no permission", Some(FaultKind::NoPermission));
    /// `[Timeout]`: the driver had no answer from the board in time.
    Timeout: ("timeout", "timeout", Some(FaultKind::GpuTimeout));
    /// `[Requested functionality has been deprecated]`.
    Deprecated: ("deprecated", "deprecated", None);
    /// Any other text in square brackets.
    OtherError: ("other_error", "error", Some(FaultKind::NoPower));
    /// Nothing stood between the commas.
    Empty: ("empty", "empty", None);
    /// The driver does not know this field, so it was not asked.
    NotAsked: ("not_asked", "not asked", None);
    /// A number that no such board can have; the text is kept.
    Implausible: ("implausible", "implausible", Some(FaultKind::ImplausiblePower));
    /// Neither a number nor a known text.
    Garbled: ("garbled", "garbled", Some(FaultKind::NoPower));
    /// The device did not say it.
    NotReported: ("not_reported", "not reported", None);
}

impl Reason {
    /// A short, stable label for a database column, a metric or a log field.
    pub const fn label(self) -> &'static str {
        self.row().0
    }

    /// The words for a person in the number's place. Never a number, never nothing.
    pub const fn word(self) -> &'static str {
        self.row().1
    }

    /// Whether the board or its driver has no such number at all, which is no error.
    pub const fn is_structural(self) -> bool {
        self.row().2.is_none()
    }

    /// The fault of a GPU whose power is missing for this reason. `gave_power` is whether it ever gave one: a board
    /// that has no sensor is no fault, and then there is none.
    pub fn fault_of_power(self, gave_power: bool) -> Option<FaultKind> {
        self.row().2.or(gave_power.then_some(FaultKind::NoPower))
    }
}
