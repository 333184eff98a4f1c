//! Absence as a value: why a number is not there, and the text that stood in its place.

use super::SafeText;

/// A measured value, or why there is none. Never a silent zero.
pub type Measured<T> = Result<T, Absent>;

/// Why a value is missing, with the text that the tool printed instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// The class of the absence.
    pub reason: Reason,
    /// What stood in the cell, cleaned and bounded; empty where there was nothing.
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

/// The class of an absence. The texts are those of `nvml-error-to-cell` (drivers 340 to 550) and of
/// captured answers up to 610.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `[N/A]`, `N/A`, `[Not Supported]`: the board does not have it.
    NotSupported,
    /// `[Unknown Error]`.
    UnknownError,
    /// `[GPU is lost]`: the board fell off the bus.
    GpuLost,
    /// `[GPU requires reset]`.
    ResetRequired,
    /// `[Insufficient Permissions]`.
    NoPermission,
    /// `[Timeout]`: the driver had no answer from the board in time.
    Timeout,
    /// `[Requested functionality has been deprecated]`.
    Deprecated,
    /// Any other text in square brackets.
    OtherError,
    /// Nothing stood between the commas.
    Empty,
    /// The driver does not know this field, so it was not asked.
    NotAsked,
    /// A number that no such board can have; the text is kept.
    Implausible,
    /// Neither a number nor a known text.
    Garbled,
    /// The device did not say it.
    NotReported,
}

impl Reason {
    /// Whether the board or its driver has no such number at all, which is no error.
    pub const fn is_structural(self) -> bool {
        match self {
            Self::NotSupported | Self::Deprecated | Self::NotAsked | Self::NotReported | Self::Empty => true,
            Self::UnknownError
            | Self::GpuLost
            | Self::ResetRequired
            | Self::NoPermission
            | Self::Timeout
            | Self::OtherError
            | Self::Implausible
            | Self::Garbled => false,
        }
    }

    /// A short, stable label for a database column, a metric or a log field.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotSupported => "not_supported",
            Self::UnknownError => "unknown_error",
            Self::GpuLost => "gpu_lost",
            Self::ResetRequired => "reset_required",
            Self::NoPermission => "no_permission",
            Self::Timeout => "timeout",
            Self::Deprecated => "deprecated",
            Self::OtherError => "other_error",
            Self::Empty => "empty",
            Self::NotAsked => "not_asked",
            Self::Implausible => "implausible",
            Self::Garbled => "garbled",
            Self::NotReported => "not_reported",
        }
    }

    /// What stands for a person where the number is missing. Never a number, never nothing.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotSupported => "n/a",
            Self::UnknownError => "unknown error",
            Self::GpuLost => "lost",
            Self::ResetRequired => "needs reset",
            Self::NoPermission => "no permission",
            Self::Timeout => "timeout",
            Self::Deprecated => "deprecated",
            Self::OtherError => "error",
            Self::Empty => "empty",
            Self::NotAsked => "not asked",
            Self::Implausible => "implausible",
            Self::Garbled => "garbled",
            Self::NotReported => "not reported",
        }
    }
}
