//! Faults of an answer although readings came, and the remedies.

use std::fmt;

use super::table::table;
use super::{SafeText, Wording, Wordings};

/// Something that was wrong with an answer although readings came, or a remark on a host's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// The GPU it is about, as its bus id or UUID, if one is known.
    pub gpu: Option<SafeText>,
    /// That GPU's index, if it is known: as it says itself, or as it last said.
    pub index: Option<u32>,
    /// The evidence, cleaned and bounded.
    pub evidence: SafeText,
    /// The text about it for a person.
    pub wording: Wording,
}

impl Fault {
    /// A fault of one kind with its line of evidence; the GPU's index is not known.
    pub fn new(kind: FaultKind, gpu: Option<SafeText>, evidence: &str) -> Self {
        Self { kind, gpu, index: None, evidence: SafeText::new(evidence), wording: kind.wording() }
    }

    /// The same fault in the words of a tool.
    #[must_use]
    pub fn worded(mut self, wordings: Wordings<FaultKind>) -> Self {
        self.wording = self.kind.wording().of_tool(&self.kind, wordings);
        self
    }

    /// The GPU that it is about, for a person: `GPU 6, 00000000:07:00.0`; empty where nobody knows.
    pub fn place(&self) -> String {
        match (&self.gpu, self.index) {
            (Some(gpu), Some(index)) => format!("GPU {index}, {gpu}"),
            (Some(gpu), None) => gpu.to_string(),
            (None, Some(index)) => format!("GPU {index}"),
            (None, None) => String::new(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wording.message)?;
        let place = self.place();
        if !place.is_empty() {
            write!(f, " ({place})")?;
        }
        if !self.evidence.is_empty() {
            write!(f, ": {}", self.evidence)?;
        }
        Ok(())
    }
}

/// The loss that a kind of fault means.
#[derive(Clone, Copy)]
enum Loss {
    /// None: it is a remark.
    Nothing,
    /// A reading of this cycle.
    Reading,
    /// A GPU's row in the answer, and with it its reading.
    Row,
}

table! {
    /// The kinds of [`Fault`].
    FaultKind;
    /// Its loss, its label, what happened, and what a person can do about it.
    row: (Loss, &'static str, &'static str, &'static str);
    /// A GPU that was there before, or that the tool names, gave no reading.
    GpuMissing: (Loss::Row, "gpu_missing", "a GPU is missing",
        "do what its words ask for (a reset, a reboot, permissions); else look for Xid messages in the host's kernel log; \
         if it was taken out, lower `gpus` in the inventory");
    BadRow: (Loss::Row, "bad_row", "a row could not be read", "run the command by hand there, and compare");
    /// The answer ends in the middle of a row.
    CutRow: (Loss::Row, "cut_row", "the last row was cut off", "run the command by hand there, and compare");
    /// A known GPU that there was no time to ask for.
    NotAsked: (Loss::Row, "not_asked", "a GPU was not asked for lack of time",
        "enable persistence mode, so that calls are faster, or raise `timeout`");
    /// A GPU's row is there and says that the board is lost.
    GpuLost: (Loss::Reading, "gpu_lost", "a GPU is lost",
        "look for Xid messages in the host's kernel log; a reset or reboot is needed");
    ResetRequired: (Loss::Reading, "reset_required", "a GPU requires a reset",
        "end what uses it and reset it, or reboot the host");
    /// The driver has an error of no known kind in the place of a GPU's power.
    UnknownError: (Loss::Reading, "unknown_error", "a GPU answers with an unknown error",
        "look for Xid messages in the host's kernel log; reset the GPU or reload the driver if it stays");
    NoPermission: (Loss::Reading, "no_permission", "a GPU may not be read by this user",
        "give this user access to the GPU's device files on the host");
    GpuTimeout: (Loss::Reading, "gpu_timeout", "the driver had no answer from a GPU in time",
        "look for Xid messages in the host's kernel log; a reset or reboot may be needed");
    /// A GPU that gave its power before gives none now, or gives something that is no number.
    NoPower: (Loss::Reading, "no_power", "a GPU gives no power reading any more",
        "compare with the tool's own answer on the host");
    ImplausiblePower: (Loss::Reading, "implausible_power", "a GPU's power is implausible and is not recorded",
        "compare with the tool's own answer on the host");
    Implausible: (Loss::Nothing, "implausible", "a number is implausible",
        "compare with the tool's own answer on the host");
    /// A sensor that has not moved by a digit over many readings while the temperature did.
    FrozenSensor: (Loss::Nothing, "frozen_sensor", "the power sensor seems frozen",
        "reload the driver or reboot the host; until then do not trust this reading");
    /// The recorded power is of another kind than in the cycle before.
    KindChanged: (Loss::Nothing, "power_kind_changed", "the power reading is of another kind than before",
        "compare with the tool's own answer on the host");
    /// The driver asks for a reset, reboot or drain of a GPU that still gives readings.
    RecoveryAction: (Loss::Nothing, "recovery_action", "the driver asks for a recovery of a GPU",
        "drain the host and do what it asks for");
    /// Persistence mode is off, so each call loads the driver: slow, and it keeps the card awake.
    PersistenceOff: (Loss::Nothing, "persistence_off", "persistence mode is off, so each poll loads the driver",
        "");
    /// The tool has a warning beside its rows, such as that of a corrupted infoROM.
    Warning: (Loss::Nothing, "warning", "the tool warns",
        "the readings stand; see what the tool says of this board");
    /// Text beside the rows that is no row: of a login script, a wrapper, or the tool itself.
    Remark: (Loss::Nothing, "remark", "text beside the readings",
        "the readings stand; a login script or a wrapper may print it");
    /// Some of the samples between two cycles could not be read, or were not taken.
    SamplesLost: (Loss::Nothing, "samples_lost", "samples are missing",
        "the coverage says how much is missing; a longer `sample` is gentler on the host");
    ToolFailed: (Loss::Reading, "tool_failed", "one of the host's tools failed",
        "run it by hand there; the readings of the others stand");
    /// Another host of the inventory shows the same GPU, and it is in the cluster's sums as that one's.
    CountedElsewhere: (Loss::Nothing, "counted_elsewhere", "the same GPU as on another host, where it is counted",
        "if both are names of one machine, take one out of the inventory");
}

impl FaultKind {
    /// A short, stable label.
    pub const fn label(self) -> &'static str {
        self.row().1
    }

    /// Its wording, whichever tool it is.
    pub const fn wording(self) -> Wording {
        let (_, _, message, hint) = self.row();
        Wording { message, hint }
    }

    /// Whether it means that a GPU has no row in the answer.
    pub const fn costs_a_row(self) -> bool {
        matches!(self.row().0, Loss::Row)
    }

    /// Whether it means that a reading of this cycle is missing, which makes the outcome partial.
    pub const fn costs_a_reading(self) -> bool {
        !matches!(self.row().0, Loss::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_label_of_its_own() {
        let labels: BTreeSet<_> = FaultKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), FaultKind::ALL.len());
    }

    #[test]
    fn a_fault_names_index_and_bus_as_far_as_they_are_known() {
        let mut fault = Fault::new(FaultKind::GpuLost, Some(SafeText::new("0000:07:00.0")), "[GPU is lost]");
        assert_eq!(fault.to_string(), "a GPU is lost (0000:07:00.0): [GPU is lost]");
        fault.index = Some(6);
        assert_eq!(fault.to_string(), "a GPU is lost (GPU 6, 0000:07:00.0): [GPU is lost]");
    }
}
