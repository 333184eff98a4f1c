//! Words for people that several views share.

use crate::reading::{FaultKind, Reason};

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
    }
}

/// What a person can do about a fault; empty where its words say it already.
pub(super) const fn fault_remedy(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::GpuMissing => {
            "look for Xid messages in the host's kernel log; if it was taken out, lower `gpus` in the inventory"
        }
        FaultKind::GpuLost => "look for Xid messages in the host's kernel log; a reset or reboot is needed",
        FaultKind::BadRow | FaultKind::CutRow => "run the command by hand there, and compare",
        FaultKind::Implausible => "compare with `nvidia-smi -q -d POWER` on the host",
        FaultKind::FrozenSensor => {
            "reload the driver or reboot the host; until then do not trust this reading"
        }
        FaultKind::PersistenceOff => "",
    }
}
