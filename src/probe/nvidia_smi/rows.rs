//! Rows out of a text: one row a GPU, and a fault for each line that should have been one.
//!
//! Columns are mapped by their position in the list that was asked, never by a header: drivers from 535
//! on answer an old name under its new one. A bad line costs itself and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::MAX_GPUS;
use super::bound::{MAX_LIMIT, ceiling};
use super::cell::{self, cell_reason};
use super::classify::no_handle;
use super::fields::{Field, is_draw};
use crate::reading::{Absent, Device, DeviceKind, Fault, FaultKind, Power, Quantity, Reason, SafeText};

/// The longest line that can be a row: some twenty cells, each of at most a name's length.
pub(super) const MAX_ROW_BYTES: usize = 2048;

/// The most faults of one kind that are kept from one answer; the rest is counted in one more.
const MAX_FAULTS_OF_A_KIND: usize = 16;

/// The characters that are kept of a line beside the rows, and of the lines before another is added.
const MAX_REMARK_CHARS: usize = 200;

/// Whether the end of a text is the end of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The tool ended by itself without an error, and everything it printed is here.
    Whole,
    /// It was killed, it failed, or its output was cut: a last line without its line end may be half of one.
    Doubtful,
}

/// The readings of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// One reading a row, in the order of the rows.
    pub gpus: Vec<Device>,
    /// Faults of lines and cells. Bounded.
    pub faults: Vec<Fault>,
    /// Number of lines that began like a row and could not be used: GPUs that are there and gave no reading.
    pub n_unread: usize,
}

impl Rows {
    /// Takes the readings and faults of a later answer to a part of the same question. A GPU that is
    /// there already keeps its first reading, a fault is not repeated.
    pub(super) fn merge(&mut self, later: Self) {
        for gpu in later.gpus {
            let is_there = gpu.uuid().is_ok() && self.gpus.iter().any(|known| known.uuid() == gpu.uuid());
            if !is_there && self.gpus.len() < MAX_GPUS {
                self.gpus.push(gpu);
            }
        }
        self.n_unread += later.n_unread;
        for fault in later.faults {
            let is_there = self.faults.iter().any(|known| {
                known == &fault || (known.kind == fault.kind && known.gpu.is_some() && known.gpu == fault.gpu)
            });
            if !is_there && self.faults.len() < MAX_GPUS + 4 * MAX_FAULTS_OF_A_KIND {
                self.faults.push(fault);
            }
        }
    }
}

/// Reads the answer to a query for `fields`, in this order, as CSV.
///
/// Fields that are not in [`super::FIELDS`] hold their place and are not read. Empty lines and header lines are
/// passed over. Other text beside rows is one remark.
pub fn read_rows(fields: &[&str], text: &str, ending: Ending) -> Rows {
    let mut reader = Reader { shape: Shape::new(fields), ..Reader::default() };
    let (whole, rest) = text.rsplit_once('\n').unwrap_or(("", text));
    for line in whole.split('\n') {
        reader.take(line.trim_end_matches('\r'), None);
    }
    reader.take(rest, Some(ending));
    reader.finish()
}

/// The beginning of the tool's own warnings; they stand behind the rows, which are whole.
pub(super) const WARNING: &str = "WARNING:";

/// The kinds of a line.
pub(super) enum Line<'a> {
    /// It is empty, or a header.
    Nothing,
    Row(Vec<&'a str>),
    /// It begins like a row and is none.
    Broken,
    Other,
}

/// Where the columns are that tell a row from other lines.
#[derive(Debug, Default)]
pub(super) struct Shape<'a> {
    names: Vec<&'a str>,
    fields: Vec<Option<&'static Field>>,
    index_at: Option<usize>,
    pub(super) uuid_at: Option<usize>,
}

impl<'a> Shape<'a> {
    pub(super) fn new(names: &[&'a str]) -> Self {
        Self {
            names: names.to_vec(),
            fields: names.iter().map(|name| Field::named(name)).collect(),
            index_at: names.iter().position(|name| *name == "index"),
            uuid_at: names.iter().position(|name| *name == "uuid"),
        }
    }

    pub(super) fn judge<'t>(&self, line: &'t str) -> Line<'t> {
        let line = line.trim_start_matches('\u{feff}');
        if line.trim().is_empty() {
            return Line::Nothing;
        }
        let n_columns = self.names.len();
        // One more than there are columns is enough to see that there are too many. Nobody knows then which of
        // them is the one too many, so that none can be believed.
        let cells: Vec<&str> = line.splitn(n_columns + 1, ',').collect();
        if cells.first().is_some_and(|cell| self.is_header(cell)) {
            return Line::Nothing;
        }
        let is_row = cells.len() == n_columns && line.len() <= MAX_ROW_BYTES;
        if is_row && self.has_identity(&cells) {
            return Line::Row(cells);
        }
        let begins_like_one = self.index_at == Some(0) && cells.len() > 1 && self.has_identity(&cells);
        if begins_like_one { Line::Broken } else { Line::Other }
    }

    /// Reads the cells of the quantities that are `wanted` into their places, and gives the place and text of those
    /// without a value, and why. A board's draw above `most` is implausible.
    pub(super) fn read<'t>(
        &self,
        cells: &[&'t str],
        wanted: impl Fn(Quantity) -> bool,
        most: Power,
        gpu: &mut Device,
    ) -> Vec<(usize, &'t str, Reason)> {
        let mut absences = Vec::new();
        for (place, (field, cell)) in self.fields.iter().zip(cells).enumerate() {
            let Some(field) = field.filter(|field| wanted(field.quantity)) else { continue };
            let measured = field.read(cell, most);
            absences.extend(measured.as_ref().err().map(|absent| (place, *cell, absent.reason)));
            gpu.set(field.quantity, measured);
        }
        absences
    }

    /// The name of the first field, its unit in brackets left out.
    fn is_header(&self, cell: &str) -> bool {
        let name = cell.split_once(" [").map_or(cell, |(name, _)| name);
        self.names.first().is_some_and(|first| *first == name.trim())
    }

    /// Whether the index and the UUID, where they were asked for and are there, look like that.
    fn has_identity(&self, cells: &[&str]) -> bool {
        let cell_at = |place: Option<usize>| place.and_then(|at| cells.get(at));
        let is_index = cell_at(self.index_at).is_none_or(|cell| is_index(cell));
        let is_uuid = cell_at(self.uuid_at).is_none_or(|cell| {
            let cell = cell.trim();
            cell.starts_with("GPU-") || cell::is_uuid(cell) || is_word(cell)
        });
        is_index && is_uuid
    }
}

fn is_index(cell: &str) -> bool {
    cell::index(cell).is_ok() || is_word(cell)
}

/// Whether this may be the head of a row that was cut within its first two cells.
fn is_head(line: &str) -> bool {
    let mut cells = line.split(',');
    let is_first = cells.next().is_some_and(is_index);
    let is_second = cells.next().is_none_or(|cell| {
        let cell = cell.trim();
        "GPU-".starts_with(cell)
            || cell.starts_with('[')
            || cell.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
    });
    is_first && is_second
}

/// One of the tool's own words in a value's place.
pub(super) fn is_word(cell: &str) -> bool {
    cell_reason(cell).is_some_and(|reason| reason != Reason::Empty)
}

#[derive(Default)]
struct Reader<'a> {
    shape: Shape<'a>,
    rows: Rows,
    seen: BTreeSet<String>,
    n_faults: BTreeMap<FaultKind, usize>,
    has_begun: bool,
    /// Text that is no row: the beginning of it, and how many lines.
    text: String,
    n_texts: usize,
}

impl<'a> Reader<'a> {
    /// Takes a line; the last one, if it has no line end, with the ending of the text.
    fn take(&mut self, line: &str, ending: Option<Ending>) {
        let may_be_cut = ending == Some(Ending::Doubtful);
        match self.shape.judge(line) {
            Line::Nothing => {}
            Line::Row(cells) if !may_be_cut => self.take_row(line, &cells),
            Line::Broken if ending.is_none() => self.unread(FaultKind::BadRow, None, line),
            Line::Row(_) | Line::Broken => self.unread(FaultKind::CutRow, None, line),
            Line::Other if may_be_cut && self.may_be_head(line) => {
                self.unread(FaultKind::CutRow, None, line);
            }
            Line::Other => self.take_other(line),
        }
    }

    /// Whether this may be a row that was cut: within its first two cells it has less of the marks of one.
    fn may_be_head(&self, line: &str) -> bool {
        let is_message = no_handle(line).is_some() || line.trim_start().starts_with(WARNING);
        !is_message && (self.has_begun || self.shape.index_at == Some(0) && is_head(line))
    }

    fn take_other(&mut self, line: &str) {
        if let Some(fault) = no_handle(line) {
            self.fault(fault.kind, fault.gpu, line);
        } else if let Some(message) = line.trim_start().strip_prefix(WARNING) {
            self.fault(FaultKind::Warning, None, message);
        } else {
            if self.text.len() < MAX_REMARK_CHARS {
                self.text.push_str(if self.text.is_empty() { "" } else { " / " });
                self.text.extend(line.trim().chars().take(MAX_REMARK_CHARS));
            }
            self.n_texts += 1;
        }
    }

    /// A line that should have been a reading.
    fn unread(&mut self, kind: FaultKind, gpu: Option<SafeText>, line: &str) {
        self.rows.n_unread += 1;
        self.fault(kind, gpu, line);
    }

    fn take_row(&mut self, line: &str, cells: &[&str]) {
        self.has_begun = true;
        let mut gpu = Device::all_absent(DeviceKind::Gpu, &Absent::not_asked());
        // The rest of the row says how much a board may draw, and may stand after its draw.
        let mut absences = self.shape.read(cells, |quantity| !is_draw(quantity), MAX_LIMIT, &mut gpu);
        absences.extend(self.shape.read(cells, is_draw, ceiling(&gpu), &mut gpu));
        absences.sort_by_key(|(place, _, _)| *place);
        let uuid = gpu.uuid().ok().map(ToString::to_string);
        let is_duplicate = uuid.is_some_and(|uuid| !self.seen.insert(uuid));
        if is_duplicate || self.rows.gpus.len() >= MAX_GPUS {
            self.unread(FaultKind::BadRow, label(&gpu), line);
            return;
        }
        let is_powerless = gpu.power().is_err();
        for (place, cell, reason) in &absences {
            let name = self.shape.names.get(*place).copied().unwrap_or_default();
            // That a GPU has no power at all is one fault, and that of the account.
            if *reason == Reason::Implausible && !(is_powerless && name.starts_with("power.draw")) {
                self.fault(FaultKind::Implausible, label(&gpu), &format!("{name}: {}", cell.trim()));
            }
        }
        if let Some((_, cell, _)) = absences.iter().find(|(_, _, reason)| *reason == Reason::GpuLost) {
            self.fault(FaultKind::GpuLost, label(&gpu), cell);
        }
        self.rows.gpus.push(gpu);
    }

    fn fault(&mut self, kind: FaultKind, gpu: Option<SafeText>, evidence: &str) {
        let n = self.n_faults.entry(kind).or_default();
        *n += 1;
        if *n <= MAX_FAULTS_OF_A_KIND || matches!(kind, FaultKind::GpuLost) {
            self.rows.faults.push(Fault::new(kind, gpu, evidence));
        }
    }

    fn finish(mut self) -> Rows {
        for (kind, n) in self.n_faults {
            if n > MAX_FAULTS_OF_A_KIND && kind != FaultKind::GpuLost {
                let evidence = format!("and {} more like these", n - MAX_FAULTS_OF_A_KIND);
                self.rows.faults.push(Fault::new(kind, None, &evidence));
            }
        }
        // Without a row the text is what the whole answer says, which is judged elsewhere.
        if self.has_begun && self.n_texts > 0 {
            let counted = if self.n_texts > 1 { format!("{} lines: ", self.n_texts) } else { String::new() };
            let message = format!("{counted}{}", self.text);
            self.rows.faults.push(Fault::new(FaultKind::Remark, None, &message));
        }
        self.rows
    }
}

/// The name of this GPU in a fault: its bus id, else its UUID.
pub(super) fn label(gpu: &Device) -> Option<SafeText> {
    gpu.bus_id().or_else(|_| gpu.uuid()).ok().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Memory;

    const SHORT: &[&str] = &["index", "uuid", "power.draw", "power.max_limit", "memory.used", "name"];

    fn read(text: &str) -> Rows {
        read_rows(SHORT, text, Ending::Whole)
    }

    fn kinds(rows: &Rows) -> Vec<FaultKind> {
        rows.faults.iter().map(|fault| fault.kind).collect()
    }

    #[test]
    fn eight_rows_with_one_bad_are_seven_readings_and_one_fault() {
        let mut text: String =
            (0..8).map(|i| format!("{i}, GPU-{i}, 50.00, 72.00, 1, NVIDIA L4\n")).collect();
        text = text.replace("3, GPU-3, 50.00, 72.00, 1, NVIDIA L4", "3, GPU-3, 50.00");
        let rows = read(&text);
        assert_eq!(rows.gpus.len(), 7);
        assert_eq!(kinds(&rows), [FaultKind::BadRow]);
    }

    #[test]
    fn a_row_with_more_cells_than_were_asked_for_is_refused_whole() {
        for row in ["0, GPU-a, 1,234.5, 72.00, 1, NVIDIA L4", "0, GPU-a, 50.00, 72.00, 1, NVIDIA L4, 1"] {
            let rows = read(&format!("{row}\n"));
            assert_eq!(
                (rows.gpus.len(), kinds(&rows), rows.n_unread),
                (0, vec![FaultKind::BadRow], 1),
                "{row}"
            );
        }
    }

    #[test]
    fn units_carriage_returns_and_missing_blanks_are_tolerated() {
        let rows = read("0,GPU-a, 50.00 W,72.00 W, 12 MiB, NVIDIA L4\r\n");
        assert_eq!(rows.gpus[0].typed(Quantity::PowerDraw), Ok(&Power::from_watts(50)));
        assert_eq!(rows.gpus[0].memory_used(), Ok(&Memory::from_mebibytes(12)));
        assert_eq!(rows.gpus[0].model(), Ok(&SafeText::new("NVIDIA L4")));
        assert!(rows.faults.is_empty());
    }

    #[test]
    fn text_beside_the_rows_is_one_remark_with_its_words() {
        let row = "0, GPU-a, 50.00, 72.00, 1, NVIDIA L4\n";
        let motd =
            "Welcome, to, node, 7, of, the, fleet\n\n*** maintenance ***\nindex, uuid, power.draw [W], x\n";
        for text in [format!("{motd}{row}"), format!("{row}{motd}")] {
            let rows = read(&text);
            assert_eq!((rows.gpus.len(), kinds(&rows)), (1, vec![FaultKind::Remark]));
            let message = "2 lines: Welcome, to, node, 7, of, the, fleet / *** maintenance ***";
            assert_eq!(rows.faults[0].evidence.as_str(), message);
        }
        let rows = read(&format!("{}\n{row}", "x\u{1b}[2Jy".repeat(100_000)));
        assert!(rows.faults[0].evidence.as_str().starts_with("x[2Jyx"), "{:?}", rows.faults);
        assert!(read(motd).faults.is_empty(), "alone it is the answer");
    }

    #[test]
    fn a_warning_counts_wherever_it_stands() {
        let row = "0, GPU-a, 50.00, 72.00, 1, NVIDIA L4\n";
        let warning = "WARNING: infoROM is corrupted at gpu 0000:0B:00.0\n";
        for text in [format!("{warning}{row}"), format!("{row}{warning}")] {
            let rows = read(&text);
            assert_eq!(kinds(&rows), [FaultKind::Warning]);
            assert_eq!(rows.faults[0].evidence.as_str(), "infoROM is corrupted at gpu 0000:0B:00.0");
        }
    }

    #[test]
    fn power_above_twice_the_boards_maximum_is_implausible_wherever_the_limit_stands() {
        let rows = read("0, GPU-a, 144.01, 72.00, 1, NVIDIA L4\n1, GPU-b, 144.00, 72.00, 1, NVIDIA L4\n");
        assert_eq!(
            rows.gpus[0].typed::<Power>(Quantity::PowerDraw),
            Err(&Absent::new(Reason::Implausible, "144.01"))
        );
        assert_eq!(rows.gpus[1].typed(Quantity::PowerDraw), Ok(&Power::from_watts(144)));
        assert!(rows.faults.is_empty(), "it is told of by the account");
        let rows = read("0, GPU-a, 50.00, 9999.00, 1, NVIDIA L4\n");
        assert_eq!(kinds(&rows), [FaultKind::Implausible]);
        assert_eq!(rows.faults[0].evidence.as_str(), "power.max_limit: 9999.00");
    }

    #[test]
    fn a_board_of_which_nothing_is_known_is_believed_up_to_five_kilowatts() {
        let rows = read("0, GPU-a, 5000.00, [N/A], 1, NVIDIA L4\n1, GPU-b, 5000.01, 0.00, 1, NVIDIA L4\n");
        assert!(rows.gpus[0].get(Quantity::PowerDraw).is_ok());
        assert!(rows.gpus[1].get(Quantity::PowerDraw).is_err());
    }

    #[test]
    fn a_uuid_that_comes_twice_is_read_once() {
        let rows = read("0, GPU-a, 1.00, 72.00, 1, L4\n1, GPU-a, 2.00, 72.00, 1, L4\n");
        assert_eq!(rows.gpus.len(), 1);
        assert_eq!(kinds(&rows), [FaultKind::BadRow]);
    }

    #[test]
    fn a_lost_row_keeps_its_place() {
        let lost = ["[GPU is lost]"; 6].join(", ");
        let rows = read(&format!("0, GPU-a, 1.00, 72.00, 1, L4\n{lost}\n2, GPU-c, 1.00, 72.00, 1, L4\n"));
        assert_eq!(rows.gpus.len(), 3);
        let absent = Absent::new(Reason::GpuLost, "[GPU is lost]");
        assert_eq!(rows.gpus[1].uuid(), Err(&absent.clone()));
        assert_eq!(rows.gpus[1].typed::<Power>(Quantity::PowerDraw), Err(&absent));
        assert_eq!(kinds(&rows), [FaultKind::GpuLost]);
    }

    #[test]
    fn a_board_that_answers_nothing_at_all_is_a_row_like_any_other() {
        let rows = read("0, [N/A], [N/A], [N/A], [N/A], Orin (nvgpu)\n1, N/A, , N/A, N/A, Orin (nvgpu)\n");
        assert_eq!((rows.gpus.len(), rows.faults.len()), (2, 0));
        assert_eq!(rows.gpus[1].typed::<Power>(Quantity::PowerDraw), Err(&Absent::new(Reason::Empty, "")));
        assert_eq!(rows.gpus[0].model(), Ok(&SafeText::new("Orin (nvgpu)")));
    }

    #[test]
    fn bytes_that_are_not_utf8_cost_their_cell_only() {
        let text = String::from_utf8_lossy(b"0, GPU-a, 5\xff.00, 72.00, 1, NVIDIA \xfe L4\n").into_owned();
        let rows = read(&text);
        assert_eq!((rows.gpus.len(), rows.faults.len()), (1, 0));
        assert_eq!(rows.gpus[0].typed::<Power>(Quantity::PowerDraw).unwrap_err().reason, Reason::Garbled);
    }

    #[test]
    fn a_cut_last_line_is_a_fault_at_every_byte() {
        let row = "1, GPU-b, 285.50, 300.00, 12, NVIDIA L4";
        for (cut, head) in (1..=row.len()).map(|cut| (cut, row.split_at(cut).0)) {
            let text = format!("0, GPU-a, 50.00, 72.00, 1, NVIDIA L4\n{head}");
            let rows = read_rows(SHORT, &text, Ending::Doubtful);
            assert_eq!((rows.gpus.len(), kinds(&rows)), (1, vec![FaultKind::CutRow]), "{cut}");
            let alone = read_rows(SHORT, head, Ending::Doubtful);
            assert_eq!((alone.gpus.len(), kinds(&alone)), (0, vec![FaultKind::CutRow]), "{cut}");
        }
    }

    #[test]
    fn a_last_line_without_its_end_counts_if_the_tool_ended_well() {
        let rows = read("0, GPU-a, 50.00, 72.00, 1, NVIDIA L4");
        assert_eq!((rows.gpus.len(), rows.faults.len()), (1, 0));
    }

    #[test]
    fn ten_thousand_columns_are_one_bad_row() {
        let rows = read(&format!("0, GPU-a{}\n", ", 1".repeat(10_000)));
        assert_eq!((rows.gpus.len(), kinds(&rows)), (0, vec![FaultKind::BadRow]));
    }

    #[test]
    fn a_flood_of_rows_and_faults_is_bounded() {
        let rows = read(&(0..5000).map(|i| format!("0, GPU-{i}, x, 1, 1, L4\n")).collect::<String>());
        assert_eq!((rows.gpus.len(), rows.faults.len()), (MAX_GPUS, MAX_FAULTS_OF_A_KIND + 1));
        assert!(rows.faults.last().unwrap().evidence.as_str().starts_with("and "));
    }

    #[test]
    fn a_garbled_cell_costs_only_itself() {
        let rows = read("0, GPU-a, 1e5, 72.00, 12 GiB, NVIDIA L4\n");
        assert_eq!(
            rows.gpus[0].typed::<Power>(Quantity::PowerDraw),
            Err(&Absent::new(Reason::Garbled, "1e5"))
        );
        assert_eq!(rows.gpus[0].memory_used(), Err(&Absent::new(Reason::Garbled, "12 GiB")));
        assert!(rows.gpus[0].get(Quantity::PowerLimitMax).is_ok());
    }
}
