//! `demo history`: days of a played fleet, in a folder of their own, so that reports and their page have something to
//! show. They go the way of real cycles: as batches, judged, in the timeline and its ledger.

mod fleet;
mod load;
mod station;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::alerts::{Alerting, SystemFacts};
use super::commit::{Closed, commit};
use super::store::open_writer;
use super::{Environment, Error, HostSelection, PollRequest, Settings, poll};
use crate::alert::Scope;
use crate::batch::{Batch, BatchId, Event, HostReport, InventorySent};
use crate::reading::Timestamp;
use crate::store::{AlertRecord, Receipt, Record, Writer};
use crate::support::state_file;
use fleet::PlayedFleet;

/// The fleet, and the scene files of its hosts.
const INVENTORY: &str = include_str!("fleet.toml");
const TURING: &str = include_str!("turing.toml");
const SCENES: [(&str, &str); 5] = [
    ("hgx.toml", include_str!("hgx.toml")),
    ("redfin.toml", include_str!("redfin.toml")),
    ("bluefin.toml", include_str!("bluefin.toml")),
    ("turing.toml", TURING),
    (HUNG, TURING),
];

/// The scene of the host that is down in the end.
const HUNG: &str = "turing-02.toml";

/// The name of the inventory, and that of the timeline beside it.
const INVENTORY_NAME: &str = "fleet.toml";
const TIMELINE_NAME: &str = "fleetwatt.db";

/// The zone in which days and nights are played.
const ZONE: &str = "America/Chicago";

/// So many cycles go in one transaction: each is synced, which takes longer than what is in it.
const CYCLES_AT_ONCE: usize = 12;

const DAY: Duration = Duration::from_hours(24);

/// The days to be played.
#[derive(Debug, Clone)]
pub struct HistoryRequest {
    /// A folder that is not there yet, or empty.
    pub folder: PathBuf,
    /// Number of days.
    pub days: u32,
    /// From one cycle to the next.
    pub interval: Duration,
    /// The last cycle.
    pub until: Timestamp,
    /// The same seed gives the same days.
    pub seed: u64,
}

/// The days that were played.
#[derive(Debug)]
pub struct History {
    /// The inventory of the played fleet, in the folder as it was named.
    pub inventory: PathBuf,
    /// Number of hosts.
    pub hosts: usize,
    /// Number of boards.
    pub gpus: usize,
    /// Number of cycles.
    pub cycles: u64,
    /// Number of rows in the timeline.
    pub rows: u64,
}

/// Plays days of a fleet into a folder. `progress` is given how many cycles are done, of how many.
///
/// # Errors
/// The folder has something in it, or cannot be written.
pub async fn demo_history(
    request: &HistoryRequest,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<History, Error> {
    let folder = empty_folder(&request.folder)?;
    let inventory = folder.join(INVENTORY_NAME);
    for (name, text) in SCENES {
        write(&folder, name, text)?;
    }
    write(&folder, INVENTORY_NAME, &inventory_text(&folder, request.interval))?;
    // Of the process's environment nothing counts, since what is written has to be in this folder.
    let mut settings = Settings::load(Some(inventory.clone()), Environment(|_| None))?;
    settings.state_dir.clone_from(&folder);
    let zone = TimeZone::get(ZONE).unwrap_or(TimeZone::UTC);
    let end =
        jiff::Timestamp::from_microsecond(request.until.micros()).unwrap_or_default().to_zoned_datetime(zone);
    let mut fleet = PlayedFleet::new(hosts(&settings).await?, request.seed, &end);
    let mut player = Player::new(&settings).await?;
    let n_cycles = n_cycles(request);
    let mut played = 0;
    for number in 0..n_cycles {
        let before = u32::try_from(n_cycles - 1 - number).unwrap_or(u32::MAX);
        let at = request.until.minus(request.interval.saturating_mul(before));
        if let Some(batch) = fleet.cycle(number, at) {
            player.play(&settings, &batch).await?;
            played += 1;
        }
        progress(number + 1, n_cycles);
    }
    let rows = player.end().await?;
    write(&folder, HUNG, &format!("fault = \"hang\"\n{TURING}"))?;
    let inventory = request.folder.join(INVENTORY_NAME);
    Ok(History { inventory, hosts: fleet.n_hosts(), gpus: fleet.n_gpus(), cycles: played, rows })
}

/// The folder by its full path, created if it is not there.
fn empty_folder(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Directory("demo", folder.to_owned(), source);
    state_file::create_folder(folder).map_err(failed)?;
    if std::fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Error::DemoFolder(folder.to_owned()));
    }
    folder.canonicalize().map_err(failed)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(name);
    state_file::write(&path, text.as_bytes())
        .map_err(|error| Error::Directory("demo", folder.to_owned(), error.source))
}

fn inventory_text(folder: &Path, interval: Duration) -> String {
    let store = format!("sqlite:{}", folder.join(TIMELINE_NAME).display());
    let interval = humantime::format_duration(interval).to_string();
    INVENTORY.replace("\"@INTERVAL@\"", &quoted(&interval)).replace("\"@STORE@\"", &quoted(&store))
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn n_cycles(request: &HistoryRequest) -> u64 {
    let cycles = DAY.saturating_mul(request.days).as_micros() / request.interval.as_micros().max(1);
    u64::try_from(cycles).unwrap_or(u64::MAX).max(1)
}

/// The hosts with their boards, as one cycle over the scene files finds them.
async fn hosts(settings: &Settings) -> Result<Vec<HostReport>, Error> {
    let selection = HostSelection { hosts: Vec::new(), labels: Vec::new() };
    let request = PollRequest { dry_run: true, selection, changes_only: false, by_hand: true, alerts: false };
    let polled = Box::pin(poll(settings, &request, |_, _| ())).await?;
    Ok(polled.snapshot.batch.reports.clone())
}

/// Keeps cycles, several in a transaction.
struct Player {
    next: NextTransaction,
    written: InventorySent,
    alerting: Alerting,
}

/// The cycles of the next transaction.
struct NextTransaction {
    writer: Writer,
    records: Vec<Record>,
    events: Vec<Event>,
    state: Option<String>,
    /// The last of them.
    last: Option<BatchId>,
    n_cycles: usize,
    n_kept: i64,
    n_rows: u64,
}

impl Player {
    async fn new(settings: &Settings) -> Result<Self, Error> {
        let mut alerting = Alerting::new(settings, serde_json::Value::Null);
        alerting.read().await;
        let next = NextTransaction {
            writer: open_writer(settings).await?,
            records: Vec::new(),
            events: Vec::new(),
            state: None,
            last: None,
            n_cycles: 0,
            n_kept: 0,
            n_rows: 0,
        };
        Ok(Self { next, written: InventorySent::new(), alerting })
    }

    async fn play(&mut self, settings: &Settings, batch: &Batch) -> Result<(), Error> {
        let style = settings.inventory.store.metadata;
        let closed = Closed { batch, scope: Scope::Whole, style, system: SystemFacts::default() };
        let next = &mut self.next;
        let submit = async |id, records, alerts| next.put(id, records, alerts).await;
        commit(submit, &closed, &mut self.written, Some(&mut self.alerting)).await?;
        Ok(())
    }

    /// Keeps the rest; says how many rows there are.
    async fn end(mut self) -> Result<u64, Error> {
        self.next.keep().await?;
        self.next.writer.close().await;
        Ok(self.next.n_rows)
    }
}

impl NextTransaction {
    async fn put(
        &mut self,
        id: BatchId,
        records: Vec<Record>,
        alerts: Option<AlertRecord>,
    ) -> Result<Receipt, Error> {
        self.records.extend(records);
        if let Some(alerts) = alerts {
            self.events.extend(alerts.events);
            self.state = alerts.state.or(self.state.take());
        }
        self.last = Some(id);
        self.n_cycles += 1;
        if self.n_cycles >= CYCLES_AT_ONCE { self.keep().await } else { Ok(Receipt::default()) }
    }

    /// Keeps all that is there, under the name of its last cycle.
    async fn keep(&mut self) -> Result<Receipt, Error> {
        let Some(id) = self.last.take() else { return Ok(Receipt::default()) };
        let records = std::mem::take(&mut self.records);
        let (events, state) = (std::mem::take(&mut self.events), self.state.take());
        let n_states = i64::from(state.is_some());
        let record = AlertRecord { events, judged_by: self.n_kept, state, messages: Vec::new() };
        let receipt = self.writer.keep(id, &records, Some(&record)).await?;
        self.n_kept += n_states;
        self.n_cycles = 0;
        self.n_rows += u64::try_from(receipt.kept_rows).unwrap_or_default();
        Ok(receipt)
    }
}
