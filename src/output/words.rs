//! Words for people that several views share.

use crate::reading::Reason;

/// What stands in a cell where a number is missing. Never a number, never nothing.
pub(super) const fn absent_word(reason: Reason) -> &'static str {
    match reason {
        Reason::NotSupported => "n/a",
        Reason::UnknownError => "unknown error",
        Reason::GpuLost => "lost",
        Reason::ResetRequired => "needs reset",
        Reason::NoPermission => "no permission",
        Reason::Deprecated => "deprecated",
        Reason::OtherError => "error",
        Reason::Empty => "empty",
        Reason::NotAsked => "not asked",
        Reason::Implausible => "implausible",
        Reason::Garbled => "garbled",
        Reason::NotReported => "not reported",
    }
}
