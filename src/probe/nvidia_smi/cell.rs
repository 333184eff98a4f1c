//! One cell of an answer: a value in exact units, or absent with its reason and its text.
//!
//! The words in brackets are those that the binaries of drivers 340 to 550 print for each NVML error
//! code (`fixtures/nvidia-smi/nvml-error-to-cell.tsv`) and those in captures up to driver 610.

use crate::reading::{Absent, Measured, Memory, Power, Reason, SafeText, Share, Temperature};
use crate::support::decimal::{self, is_digits};

/// The longest product name: `NVML_DEVICE_NAME_V2_BUFFER_SIZE` is 96 bytes.
const MAX_NAME_BYTES: usize = 96;

/// The longest text that is taken for a GPU's UUID. `GPU-` and the 36 of a UUID are 40.
const MAX_UUID_BYTES: usize = 64;

/// The largest memory that is believed: 1 PiB, in MiB.
const MAX_MEMORY_MIB: i64 = 1 << 30;

/// The whole texts that are known to stand for an absence.
const WORDS: &[(&str, Reason)] = &[
    ("", Reason::Empty),
    ("[N/A]", Reason::NotSupported),
    ("N/A", Reason::NotSupported),
    ("[Not Supported]", Reason::NotSupported),
    ("[Unknown Error]", Reason::UnknownError),
    ("[GPU is lost]", Reason::GpuLost),
    ("[GPU requires reset]", Reason::ResetRequired),
    ("[Insufficient Permissions]", Reason::NoPermission),
    ("[Timeout]", Reason::Timeout),
    ("[Requested functionality has been deprecated]", Reason::Deprecated),
];

/// Why there is no value in a cell with this text; `None` if the text may be a value.
///
/// The bare word `None` may be one: it is a mode, or "no recovery needed".
pub fn cell_reason(text: &str) -> Option<Reason> {
    let text = text.trim();
    if let Some((_, reason)) = WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
        return Some(*reason);
    }
    (text.starts_with('[') && text.ends_with(']')).then_some(Reason::OtherError)
}

/// Free text: a driver version, a bus id.
pub(super) fn text(cell: &str) -> Measured<SafeText> {
    present(cell)?;
    // A bracket that does not close is the head of an error text, not a value.
    if cell.trim_start().starts_with('[') {
        return Err(garbled(cell));
    }
    let clean = SafeText::new(cell);
    if clean.is_empty() { Err(Absent::new(Reason::Empty, cell)) } else { Ok(clean) }
}

/// A product name, commas included.
pub(super) fn name(cell: &str) -> Measured<SafeText> {
    if cell.trim().len() > MAX_NAME_BYTES {
        return Err(garbled(cell));
    }
    text(cell)
}

/// A GPU's UUID. Only letters, digits and dashes: it comes back as an argument of a later call.
pub(super) fn uuid(cell: &str) -> Measured<SafeText> {
    let uuid = text(cell)?;
    if is_uuid(uuid.as_str()) { Ok(uuid) } else { Err(garbled(cell)) }
}

/// Whether this is the UUID of a GPU: `GPU-…`, or on Jetson boards a UUID without that word.
pub(super) fn is_uuid(text: &str) -> bool {
    let body = text.strip_prefix("GPU-");
    let bare = || text.len() == 36 && text.bytes().filter(|b| *b == b'-').count() == 4;
    text.len() <= MAX_UUID_BYTES
        && body.map_or_else(bare, |body| !body.is_empty())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
}

/// A performance state, `P0` to `P15`.
pub(super) fn pstate(cell: &str) -> Measured<SafeText> {
    let state = text(cell)?;
    let number = state.as_str().strip_prefix('P').filter(|digits| is_digits(digits));
    match number.and_then(|digits| digits.parse::<u8>().ok()) {
        Some(0..=15) => Ok(state),
        _ => Err(garbled(cell)),
    }
}

/// A plain non-negative number: the index.
pub(super) fn index(cell: &str) -> Measured<u32> {
    let digits = present(cell)?;
    let number = if is_digits(digits) { digits.parse().ok() } else { None };
    number.ok_or_else(|| garbled(cell))
}

/// `Enabled` or `Disabled`.
pub(super) fn switch(cell: &str) -> Measured<bool> {
    match present(cell)? {
        "Enabled" => Ok(true),
        "Disabled" => Ok(false),
        _ => Err(garbled(cell)),
    }
}

/// A mask of up to 64 bits, `0x0000000000000001`.
pub(super) fn mask(cell: &str) -> Measured<u64> {
    let digits = present(cell)?.strip_prefix("0x").unwrap_or_default();
    let is_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let number = if is_hex { u64::from_str_radix(digits, 16).ok() } else { None };
    number.ok_or_else(|| garbled(cell))
}

/// Power from 0 to `ceiling`.
pub(super) fn power(cell: &str, ceiling: Power) -> Measured<Power> {
    bounded(cell, "W", 0, ceiling.milliwatts()).map(Power::from_milliwatts)
}

/// A temperature. The range is wider than any silicon's, so that only nonsense is refused.
pub(super) fn temperature(cell: &str) -> Measured<Temperature> {
    bounded(cell, "C", -50_000, 200_000).map(Temperature::from_millicelsius)
}

/// A share from 0 to `most` percent.
pub(super) fn share(cell: &str, most: i64) -> Measured<Share> {
    bounded(cell, "%", 0, most.saturating_mul(1000)).map(Share::from_millipercent)
}

/// Memory, to the whole mebibyte (half of one is rounded up).
pub(super) fn memory(cell: &str) -> Measured<Memory> {
    let thousandths = bounded(cell, "MiB", 0, MAX_MEMORY_MIB * 1000)?;
    u64::try_from((thousandths + 500) / 1000).map(Memory::from_mebibytes).map_err(|_| implausible(cell))
}

/// A number with or without its unit, in thousandths, within a range that includes both ends.
fn bounded(cell: &str, unit: &str, least: i64, most: i64) -> Measured<i64> {
    let text = present(cell)?;
    let number = text.strip_suffix(unit).map_or(text, str::trim_end);
    let value = decimal::scaled(number, 3).ok_or_else(|| garbled(cell))?;
    if (least..=most).contains(&value) { Ok(value) } else { Err(implausible(cell)) }
}

/// The trimmed text of a cell that may hold a value.
fn present(cell: &str) -> Result<&str, Absent> {
    cell_reason(cell).map_or_else(|| Ok(cell.trim()), |reason| Err(Absent::new(reason, cell)))
}

fn garbled(cell: &str) -> Absent {
    Absent::new(Reason::Garbled, cell)
}

fn implausible(cell: &str) -> Absent {
    Absent::new(Reason::Implausible, cell)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOARD: Power = Power::from_watts(5000);

    fn reason<T: std::fmt::Debug>(measured: Measured<T>) -> Reason {
        measured.unwrap_err().reason
    }

    #[test]
    fn watts_are_read_exactly_to_the_milliwatt() {
        let milliwatts = |cell| power(cell, BOARD).map(Power::milliwatts);
        assert_eq!(milliwatts("285.50"), Ok(285_500));
        assert_eq!(milliwatts(" 285.50 W\r"), Ok(285_500));
        assert_eq!(milliwatts("0"), Ok(0));
        assert_eq!(milliwatts("0.0004"), Ok(0));
        assert_eq!(milliwatts("0.0005"), Ok(1));
        assert_eq!(milliwatts("12.9999"), Ok(13_000));
    }

    #[test]
    fn what_is_no_plain_decimal_number_is_garbled_and_keeps_its_text() {
        for cell in
            ["1e5", "+", "+1", "-", "inf", "NaN", "1,5", ".5", "5.", "1.2.3", "0x10", "١", "5 MHz", "5 kW"]
        {
            assert_eq!(power(cell, BOARD), Err(Absent::new(Reason::Garbled, cell)), "{cell}");
        }
        assert_eq!(reason(power("99999999999999999999", BOARD)), Reason::Garbled);
        assert_eq!(reason(power("9223372036854775807", BOARD)), Reason::Garbled);
    }

    #[test]
    fn a_number_out_of_range_is_implausible_and_keeps_its_text() {
        assert_eq!(power("-0.01", BOARD), Err(Absent::new(Reason::Implausible, "-0.01")));
        assert_eq!(reason(power("5000.01", BOARD)), Reason::Implausible);
        assert_eq!(reason(temperature("201")), Reason::Implausible);
        assert_eq!(reason(temperature("-51")), Reason::Implausible);
        assert_eq!(temperature("-50"), Ok(Temperature::from_millicelsius(-50_000)));
        assert_eq!(reason(share("101", 100)), Reason::Implausible);
        assert_eq!(reason(memory("-1")), Reason::Implausible);
        assert_eq!(reason(memory("9999999999")), Reason::Implausible);
    }

    #[test]
    fn a_unit_of_another_quantity_is_garbled() {
        assert_eq!(reason(memory("12 W")), Reason::Garbled);
        assert_eq!(reason(temperature("12 %")), Reason::Garbled);
        assert_eq!(memory("876 MiB"), Ok(Memory::from_mebibytes(876)));
        assert_eq!(share("26.3 %", 100), Ok(Share::from_millipercent(26_300)));
    }

    #[test]
    fn an_absence_has_the_class_of_its_text() {
        assert_eq!(cell_reason(" [N/A]"), Some(Reason::NotSupported));
        assert_eq!(cell_reason("N/A"), Some(Reason::NotSupported));
        assert_eq!(cell_reason(" "), Some(Reason::Empty));
        assert_eq!(cell_reason("[Function Not Found]"), Some(Reason::OtherError));
        assert_eq!(cell_reason("None"), None);
        assert_eq!(cell_reason("0"), None);
        assert_eq!(text("None"), Ok(SafeText::new("None")));
        assert_eq!(reason(text("[N/")), Reason::Garbled);
    }

    #[test]
    fn only_a_harmless_text_is_an_identity() {
        assert!(uuid("GPU-df6e7a7c-7314-46f8-abc4-b88b36dcf3aa").is_ok());
        assert!(uuid("df6e7a7c-7314-46f8-abc4-b88b36dcf3aa").is_ok());
        for cell in ["GPU-", "GPU-$(reboot)", "GPU-a b", "-i", "0", "GPU-\u{fffd}"] {
            assert_eq!(reason(uuid(cell)), Reason::Garbled, "{cell}");
        }
    }

    #[test]
    fn states_switches_masks_and_indices_are_read_strictly() {
        assert_eq!(pstate("P8"), Ok(SafeText::new("P8")));
        assert_eq!(reason(pstate("P16")), Reason::Garbled);
        assert_eq!(switch("Disabled"), Ok(false));
        assert_eq!(reason(switch("disabled?")), Reason::Garbled);
        assert_eq!(mask("0x00000000000001FF"), Ok(0x1ff));
        assert_eq!(reason(mask("0x")), Reason::Garbled);
        assert_eq!(reason(mask("0x10000000000000000")), Reason::Garbled);
        assert_eq!(reason(index("-1")), Reason::Garbled);
    }

    proptest! {
        #[test]
        fn a_number_survives_printing_and_reading_exactly(milliwatts in 0_i64..5_000_000) {
            let cell = format!("{}.{:03}", milliwatts / 1000, milliwatts % 1000);
            prop_assert_eq!(power(&cell, BOARD), Ok(Power::from_milliwatts(milliwatts)));
        }

        #[test]
        fn any_text_is_a_value_or_absent(cell in ".*") {
            for measured in [power(&cell, BOARD).err(), temperature(&cell).err(), uuid(&cell).err(), mask(&cell).err()] {
                prop_assert!(measured.is_none_or(|absent| absent.reason != Reason::NotAsked));
            }
        }
    }
}
