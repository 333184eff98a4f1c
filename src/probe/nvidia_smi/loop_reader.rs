//! A call that keeps printing (`--loop-ms`): its bytes become samples, whatever the pieces they come in.
//!
//! A pass is one row of each GPU, in an order that does not change while the call lives: it opens the
//! GPUs once. So a board that is lost, and whose row says nothing else, is known by its place. Every line
//! is a sample with a number, a sample without one, or is counted as bad. A row's power is read at once;
//! the rest of it only from the last row of each GPU, when a cycle ends, by the same reader as any answer.

use std::time::Duration;

use super::bound::{LIMITING, MAX_LIMIT, ceiling_in_class, class_maximum};
use super::fields::{query_args, wanted};
use super::rows::{Line, MAX_ROW_BYTES, Shape, WARNING, is_word};
use crate::probe::exchange::Command;
use crate::probe::profile::HostProfile;
use crate::reading::{
    Absent, Device, DeviceKind, Measured, Power, PowerKind, Quantity, Reason, Role, SafeText,
};

/// Below this period the instantaneous value is sampled, since the mean of the last second would smooth away
/// what is asked for; from it on the mean misses nothing.
const INSTANT_BELOW: Duration = Duration::from_secs(1);

/// The number of cells at the beginning of each row that say whose it is: index, UUID and bus id.
const N_IDENTITY: usize = 3;

/// A sample of one GPU's draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The GPU's place in the answer that the loop follows.
    pub place: usize,
    /// Its draw, of the kind that [`LoopReader::kind`] says.
    pub power: Measured<Power>,
}

/// The news in some lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoopCounts {
    /// Passes that reached the last GPU.
    pub n_passes: u64,
    /// Lines that should have been rows and were not.
    pub n_bad: u64,
    /// One of them.
    pub evidence: Option<SafeText>,
    /// A GPU came that was not there when the loop was started.
    pub has_unknown_gpu: bool,
}

/// One GPU of the loop.
#[derive(Debug)]
struct Slot {
    uuid: Option<String>,
    /// The first cells of its row, which a lost board does not say.
    identity: String,
    kind: PowerKind,
    /// The largest power of its class, where its rows tell no limit.
    class: Power,
    /// Its last row; empty where it had none since the last time.
    row: String,
}

impl Slot {
    fn new(gpu: &Device, period: Duration) -> Self {
        let text =
            |quantity| gpu.get(quantity).map_or_else(|_| "[N/A]".to_owned(), |value| value.to_string());
        Self {
            uuid: gpu.uuid().ok().map(SafeText::to_string),
            identity: [Quantity::Index, Quantity::Uuid, Quantity::BusId].map(text).join(", "),
            kind: kind_of(gpu, period),
            class: class_maximum(gpu),
            row: String::new(),
        }
    }
}

/// The reader of a loop's output. Holds one row a GPU and one line, whatever comes.
#[derive(Debug, Default)]
pub struct LoopReader {
    shape: Shape<'static>,
    slots: Vec<Slot>,
    line: Vec<u8>,
    /// The place that the next row should have.
    next: usize,
    has_begun: bool,
    /// A line of this pass was bad, so that a nameless row cannot be told by its place.
    is_doubtful: bool,
    counts: LoopCounts,
    last_message: Option<SafeText>,
}

impl LoopReader {
    /// The call for a loop over the GPUs of an answer, and the reader of what it prints. `None` if there is
    /// nothing to loop over, or a missing GPU keeps the others from being asked for together.
    pub fn open(profile: &HostProfile, gpus: &[Device], period: Duration) -> Option<(Self, Command)> {
        let fields = wanted(&profile.refused);
        let slots: Vec<Slot> = gpus.iter().map(|gpu| Slot::new(gpu, period)).collect();
        let mut args = query_args(&fields);
        args.push(format!("--loop-ms={}", period.as_millis()));
        let is_there = |known: &String| slots.iter().any(|slot| slot.uuid.as_ref() == Some(known));
        if !profile.gpus.keys().all(is_there) {
            // One GPU without a handle would end the loop before its first row.
            let uuids = slots.iter().map(|slot| slot.uuid.clone()).collect::<Option<Vec<_>>>()?;
            args.extend(["-i".to_owned(), uuids.join(",")]);
        }
        let reader = Self { shape: Shape::new(&fields), slots, ..Self::default() };
        (!gpus.is_empty()).then_some((reader, Command { args }))
    }

    /// The kind of power number that is sampled of the GPU at a place.
    pub fn kind(&self, place: usize) -> Option<PowerKind> {
        self.slots.get(place).map(|slot| slot.kind)
    }

    /// Takes what was printed next, cut anywhere, and gives each sample in it.
    pub fn take(&mut self, bytes: &[u8], mut give: impl FnMut(Sample)) {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for end_of_line in lines {
            self.keep(end_of_line);
            let line = std::mem::take(&mut self.line);
            if let Some(sample) = self.take_line(&String::from_utf8_lossy(&line)) {
                give(sample);
            }
            self.line = line;
            self.line.clear();
        }
        self.keep(last);
    }

    /// Nothing more will come: half a line is a bad one.
    pub fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        if self.has_begun && !text.trim().is_empty() {
            self.bad(&text);
        }
    }

    /// The last row of each GPU that had one since the last time, as an answer to the ordinary query; `None` if
    /// none had.
    pub fn last_pass(&mut self) -> Option<String> {
        let mut text = String::new();
        for slot in self.slots.iter_mut().filter(|slot| !slot.row.is_empty()) {
            text.extend([&slot.row, "\n"]);
            slot.row.clear();
        }
        (!text.is_empty()).then_some(text)
    }

    /// The news since the last time.
    pub fn take_counts(&mut self) -> LoopCounts {
        std::mem::take(&mut self.counts)
    }

    /// The last message that was no row: why a loop ended, if it said so.
    pub fn last_message(&self) -> Option<&SafeText> {
        self.last_message.as_ref()
    }

    /// Adds to the line, up to what is enough to see that it is too long for a row.
    fn keep(&mut self, bytes: &[u8]) {
        let room = (MAX_ROW_BYTES + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn take_line(&mut self, line: &str) -> Option<Sample> {
        let line = line.trim_end_matches('\r');
        let cells = match self.shape.judge(line) {
            Line::Nothing => return None,
            Line::Row(cells) => cells,
            Line::Broken => {
                self.bad(line);
                return None;
            }
            Line::Other => {
                self.last_message = Some(SafeText::new(line));
                if self.has_begun && !line.starts_with(WARNING) {
                    self.bad(line);
                }
                return None;
            }
        };
        self.has_begun = true;
        let uuid = self.shape.uuid_at.and_then(|at| cells.get(at)).map_or("", |cell| cell.trim());
        let Some(place) = self.place(uuid) else {
            self.counts.has_unknown_gpu |= !is_word(uuid);
            self.bad(line);
            return None;
        };
        if place < self.next {
            self.begin_pass();
        }
        let slot = self.slots.get_mut(place)?;
        slot.row.clear();
        match line.splitn(N_IDENTITY + 1, ',').nth(N_IDENTITY) {
            // So that the reader of the answer need not guess whose row it is.
            Some(rest) if is_word(uuid) && slot.uuid.is_some() => {
                slot.row.extend([&slot.identity, ",", rest])
            }
            _ => slot.row.push_str(line),
        }
        // Of each row only the draw is read, and what says how much a board may draw: a cap may be moved meanwhile.
        let mut gpu = Device::all_absent(DeviceKind::Gpu, &Absent::not_asked());
        self.shape.read(&cells, |quantity| LIMITING.contains(&quantity), MAX_LIMIT, &mut gpu);
        let (quantity, ceiling) = (slot.kind.quantity(), ceiling_in_class(&gpu, slot.class));
        self.shape.read(&cells, |other| other == quantity, ceiling, &mut gpu);
        let power = gpu.typed(quantity).copied().map_err(Absent::clone);
        self.next = place + 1;
        if self.next == self.slots.len() {
            self.counts.n_passes += 1;
            self.begin_pass();
        }
        Some(Sample { place, power })
    }

    /// Where a row belongs: by its UUID, or by its turn if the board is lost and says nothing else.
    fn place(&self, uuid: &str) -> Option<usize> {
        let is_called = |slot: &Slot| slot.uuid.as_deref() == Some(uuid);
        // Mostly it is its turn.
        if self.slots.get(self.next).is_some_and(is_called) {
            return Some(self.next);
        }
        if is_word(uuid) {
            return (!self.is_doubtful && self.next < self.slots.len()).then_some(self.next);
        }
        self.slots.iter().position(is_called)
    }

    fn begin_pass(&mut self) {
        self.next = 0;
        self.is_doubtful = false;
    }

    fn bad(&mut self, line: &str) {
        self.is_doubtful = true;
        self.counts.n_bad += 1;
        self.counts.evidence = Some(SafeText::new(line));
    }
}

/// The number to sample of a GPU that answered so. It does not change while the loop lives, so that a mean is
/// of one kind.
fn kind_of(gpu: &Device, period: Duration) -> PowerKind {
    let kinds = if period < INSTANT_BELOW {
        [PowerKind::Instant, PowerKind::Draw, PowerKind::Average]
    } else {
        [PowerKind::Average, PowerKind::Draw, PowerKind::Instant]
    };
    let has_it = |kind: &PowerKind| match gpu.typed::<Power>(kind.quantity()) {
        Ok(_) => true,
        Err(absent) => !absent.reason.is_structural(),
    };
    kinds.into_iter().find(has_it).unwrap_or(PowerKind::Draw)
}

/// Whether a value that a GPU gave when its loop was started is an error now, which no later pass heals: seen
/// on consumer boards, where utilisation answers once. A lost board is not that: it heals by itself.
pub fn sensor_stopped(before: &Device, now: &Device) -> bool {
    let is_error = |absent: &Absent| {
        matches!(absent.reason, Reason::UnknownError | Reason::Timeout | Reason::OtherError)
    };
    let is_said = |quantity: &Quantity| matches!(quantity.columns().role, Role::Sample | Role::Extra);
    now.quantities().filter(is_said).any(|quantity| {
        before.get(quantity).is_ok() && now.get(quantity).is_err_and(|absent| is_error(&absent))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::probe::KnownGpu;
    use crate::probe::nvidia_smi::{Ending, read_rows};

    const PERIOD: Duration = Duration::from_millis(100);

    fn profile() -> HostProfile {
        let refused = ["module.power.draw.instant", "pstate", "fan.speed", "persistence_mode"];
        HostProfile { refused: refused.map(str::to_owned).into(), ..HostProfile::default() }
    }

    fn row(gpu: usize, watts: u32) -> String {
        let cell = |field: &&str| match *field {
            "index" => gpu.to_string(),
            "uuid" => format!("GPU-{gpu}"),
            "pci.bus_id" => format!("00000000:0{gpu}:00.0"),
            "driver_version" => "590.48.01".to_owned(),
            "power.draw.instant" => format!("{watts}.50"),
            "power.limit" | "enforced.power.limit" | "power.max_limit" => "700.00".to_owned(),
            "clocks_event_reasons.active" => "0x0000000000000004".to_owned(),
            "name" => "NVIDIA H100 80GB".to_owned(),
            _ => "50".to_owned(),
        };
        wanted(&profile().refused).iter().map(cell).collect::<Vec<_>>().join(", ")
    }

    fn lost() -> String {
        vec!["[GPU is lost]"; wanted(&profile().refused).len()].join(", ")
    }

    fn gpus(n: usize) -> Vec<Device> {
        let text: String = (0..n).map(|gpu| row(gpu, 100) + "\n").collect();
        read_rows(&wanted(&profile().refused), &text, Ending::Whole).gpus
    }

    fn reader(n: usize) -> LoopReader {
        LoopReader::open(&profile(), &gpus(n), PERIOD).unwrap().0
    }

    /// Place and milliwatts of each sample; `None` without a number.
    fn samples(reader: &mut LoopReader, text: &str) -> Vec<(usize, Option<i64>)> {
        let mut given = Vec::new();
        let number = |sample: &Sample| sample.power.as_ref().ok().map(|power| power.milliwatts());
        reader.take(text.as_bytes(), |sample| given.push((sample.place, number(&sample))));
        given
    }

    #[test]
    fn the_call_is_the_ordinary_one_with_its_period() {
        let (_, call) = LoopReader::open(&profile(), &gpus(2), PERIOD).unwrap();
        assert!(call.args[0].starts_with("--query-gpu=index,uuid,pci.bus_id,"));
        assert_eq!(call.args[1..], ["--format=csv,noheader,nounits", "--loop-ms=100"]);
    }

    #[test]
    fn with_a_missing_gpu_the_others_are_named() {
        let mut profile = profile();
        profile.gpus = BTreeMap::from([("GPU-9".to_owned(), KnownGpu::default())]);
        let (_, call) = LoopReader::open(&profile, &gpus(2), PERIOD).unwrap();
        assert_eq!(call.args[3..], ["-i", "GPU-0,GPU-1"]);
        assert!(LoopReader::open(&profile, &[], PERIOD).is_none());
    }

    #[test]
    fn fast_loops_sample_the_instantaneous_value_and_slow_ones_the_mean() {
        let mut gpu = gpus(1).remove(0);
        assert_eq!(kind_of(&gpu, PERIOD), PowerKind::Instant);
        assert_eq!(kind_of(&gpu, INSTANT_BELOW), PowerKind::Average);
        gpu.set(Quantity::PowerInstant, Err(Absent::not_asked()));
        assert_eq!(kind_of(&gpu, PERIOD), PowerKind::Draw);
    }

    #[test]
    fn rows_become_samples_and_whole_passes_are_counted() {
        let mut reader = reader(2);
        let text = format!("{}\r\n{}\n{}\n", row(0, 10), row(1, 20), row(0, 30));
        assert_eq!(samples(&mut reader, &text), [(0, Some(10_500)), (1, Some(20_500)), (0, Some(30_500))]);
        let last = reader.last_pass().unwrap();
        assert_eq!(last, format!("{}\n{}\n", row(0, 30), row(1, 20)));
        assert_eq!(reader.last_pass(), None);
        assert_eq!(reader.take_counts(), LoopCounts { n_passes: 1, ..LoopCounts::default() });
    }

    /// A row of a board whose cap is moved.
    fn capped(watts: u32, limit: u32) -> String {
        let column = |name: &str| wanted(&profile().refused).iter().position(|field| *field == name).unwrap();
        let mut cells: Vec<String> = row(0, watts).splitn(19, ", ").map(str::to_owned).collect();
        for name in ["power.limit", "enforced.power.limit"] {
            cells[column(name)] = format!("{limit}.00");
        }
        cells.join(", ")
    }

    #[test]
    fn a_cap_that_is_moved_under_load_costs_no_sample_and_invents_none() {
        let steps = [(190, 200), (650, 700), (690, 700), (650, 300), (300, 300), (1_399, 200)];
        let rows: String = steps.iter().map(|(watts, limit)| capped(*watts, *limit) + "\n").collect();
        let basis = read_rows(&wanted(&profile().refused), &capped(190, 200), Ending::Whole).gpus;
        let mut reader = LoopReader::open(&profile(), &basis, PERIOD).unwrap().0;
        let expected: Vec<_> =
            steps.iter().map(|(watts, _)| (0, Some(i64::from(*watts) * 1000 + 500))).collect();
        assert_eq!(samples(&mut reader, &rows), expected);
        assert_eq!(samples(&mut reader, &(capped(1_400, 700) + "\n")), [(0, None)], "twice its maximum");
    }

    #[test]
    fn a_lost_board_is_known_by_its_place_and_heals() {
        let mut reader = reader(3);
        let text = [row(0, 1), lost(), row(2, 1), row(0, 2), row(1, 2), row(2, 2), String::new()].join("\n");
        let expected =
            [(0, Some(1500)), (1, None), (2, Some(1500)), (0, Some(2500)), (1, Some(2500)), (2, Some(2500))];
        assert_eq!(samples(&mut reader, &text), expected);
        assert_eq!(reader.take_counts(), LoopCounts { n_passes: 2, ..LoopCounts::default() });
        let text = [row(0, 1), lost(), row(2, 1), String::new()].join("\n");
        samples(&mut reader, &text);
        let fields = wanted(&profile().refused);
        let gpu = read_rows(&fields, &reader.last_pass().unwrap(), Ending::Whole).gpus.remove(1);
        assert_eq!((gpu.index(), gpu.uuid().unwrap().as_str()), (Ok(&1), "GPU-1"));
        assert_eq!(gpu.temperature().map_err(|absent| absent.reason), Err(Reason::GpuLost));
    }

    #[test]
    fn a_lost_board_behind_a_bad_line_is_given_to_nobody() {
        let mut reader = reader(3);
        let text = [row(0, 1), "rubbish".to_owned(), lost(), row(0, 2), String::new()].join("\n");
        assert_eq!(samples(&mut reader, &text), [(0, Some(1500)), (0, Some(2500))]);
        assert_eq!(reader.take_counts().n_bad, 2);
    }

    #[test]
    fn noise_and_cut_lines_are_counted_and_cost_only_themselves() {
        let mut reader = reader(2);
        let cut: String = row(1, 1).chars().take(30).collect();
        let text = format!(
            "Welcome\n{}\n{cut}\n{}\nnoise\n{}\n{}",
            row(0, 1),
            row(0, 2),
            row(1, 2),
            row(0, 3).chars().take(40).collect::<String>()
        );
        assert_eq!(samples(&mut reader, &text), [(0, Some(1500)), (0, Some(2500)), (1, Some(2500))]);
        reader.end();
        let counts = reader.take_counts();
        assert_eq!((counts.n_passes, counts.n_bad, counts.has_unknown_gpu), (1, 3, false));
    }

    #[test]
    fn an_unknown_board_is_noticed_and_given_to_nobody() {
        let mut reader = reader(1);
        assert_eq!(samples(&mut reader, &(row(7, 1) + "\n")), []);
        assert!(reader.take_counts().has_unknown_gpu);
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_no_neighbour_along() {
        let mut reader = reader(1);
        for _ in 0..100 {
            assert_eq!(samples(&mut reader, &"0, GPU-0, ".repeat(1000)), []);
        }
        assert!(reader.line.capacity() <= 4 * MAX_ROW_BYTES);
        assert_eq!(samples(&mut reader, &format!("\n{}\n", row(0, 5))), [(0, Some(5500))]);
        assert_eq!(reader.take_counts().n_bad, 1);
    }

    #[test]
    fn a_number_that_became_an_error_is_dark_and_a_lost_board_is_not() {
        let before = gpus(1).remove(0);
        let mut now = before.clone();
        assert!(!sensor_stopped(&before, &now));
        now.set(Quantity::Utilization, Err(Absent::new(Reason::GpuLost, "[GPU is lost]")));
        assert!(!sensor_stopped(&before, &now));
        now.set(Quantity::Utilization, Err(Absent::new(Reason::UnknownError, "[Unknown Error]")));
        assert!(sensor_stopped(&before, &now) && !sensor_stopped(&now, &before));
    }

    fn lines() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => (0..3_usize, 0..999_u32).prop_map(|(gpu, watts)| row(gpu, watts)),
            1 => Just(lost()),
            1 => (0..3_usize, 0..80_usize).prop_map(|(gpu, n)| row(gpu, 1).chars().take(n).collect()),
            1 => "\\PC{0,40}",
        ]
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_samples(
            lines in prop::collection::vec(lines(), 0..30),
            line_end in prop::sample::select(vec!["\n", "\r\n"]),
            cuts in prop::collection::vec(1..200_usize, 1..30),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}{line_end}")).collect();
            let (mut whole, mut pieces) = (reader(3), reader(3));
            let (mut expected, mut given) = (Vec::new(), Vec::new());
            whole.take(text.as_bytes(), |sample| expected.push(sample));
            let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                pieces.take(piece, |sample| given.push(sample));
                rest = behind;
            }
            prop_assert_eq!(&given, &expected);
            prop_assert_eq!(pieces.last_pass(), whole.last_pass());
            prop_assert_eq!(pieces.take_counts(), whole.take_counts());
        }

        #[test]
        fn no_bytes_panic_and_none_take_memory(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mut reader = reader(3);
            reader.take(&bytes, drop);
            reader.end();
            prop_assert!(reader.line.capacity() <= 4 * MAX_ROW_BYTES);
        }
    }
}
