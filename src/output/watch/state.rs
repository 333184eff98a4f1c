//! The fleet that is watched, and the way in which it is looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::document::Document;
use super::history::{History, interval};
use crate::reading::{SafeText, Timestamp};

/// A cycle is late, and its figures are not counted on, after so many intervals.
const MAX_INTERVALS: u32 = 2;

/// Number of nodes from which they begin in groups.
const MANY_NODES: usize = 200;

/// Where the documents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// The daemon behind this socket.
    Daemon(String),
    /// Polls of this inventory, by this program itself.
    Polling(String),
}

/// The time of a frame.
#[derive(Debug, Clone)]
pub struct Now {
    /// The instant.
    pub at: Timestamp,
    /// The zone in which times are told.
    pub zone: TimeZone,
}

impl Now {
    /// The time of day: `14:32:07`.
    pub(super) fn clock(&self, at: Timestamp) -> String {
        self.shown(at, "%H:%M:%S")
    }

    /// A moment before: `09:00` of this day, `25 Nov 18:50` of another.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        let day = "%Y-%m-%d";
        let form = if self.shown(at, day) == self.shown(self.at, day) { "%H:%M" } else { "%-d %b %H:%M" };
        self.shown(at, form)
    }

    fn shown(&self, at: Timestamp, form: &str) -> String {
        let instant = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or_default();
        instant.to_zoned_datetime(self.zone.clone()).strftime(form).to_string()
    }
}

/// A view of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Fleet,
    Alerts,
    Battery,
    Down,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowId {
    Group(String),
    Node(String),
    Gpu(String, usize),
}

/// A column by which lines are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortBy {
    Power,
    Temperature,
    Utilization,
    Memory,
    Name,
}

impl SortBy {
    pub(super) const ALL: [Self; 5] =
        [Self::Power, Self::Temperature, Self::Utilization, Self::Memory, Self::Name];
}

/// A way to group nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GroupBy {
    Label(SafeText),
    Model,
}

/// Everything that a frame is made of, but the time.
#[derive(Debug, Clone)]
pub struct State {
    pub(super) feed: Feed,
    /// The cycle that is shown.
    pub(super) document: Option<Arc<Document>>,
    /// The cycle that came while the frame was frozen.
    pub(super) newer: Option<Arc<Document>>,
    pub(super) is_frozen: bool,
    /// Why nothing comes.
    pub(super) trouble: Option<String>,
    pub(super) history: History,
    pub(super) size: (u16, u16),
    pub(super) view: View,
    pub(super) is_help: bool,
    pub(super) selected: Option<RowId>,
    pub(super) open: BTreeSet<RowId>,
    /// The first line that is shown of the table, or of a list.
    pub(super) top: usize,
    /// The selected entry of a list.
    pub(super) entry: usize,
    pub(super) sort: SortBy,
    pub(super) is_turned: bool,
    pub(super) group: Option<GroupBy>,
    pub(super) filter: String,
    /// The filter before it was edited, while it is.
    pub(super) edited: Option<String>,
}

impl State {
    /// Nothing is known yet.
    pub fn new(feed: Feed) -> Self {
        Self {
            feed,
            document: None,
            newer: None,
            is_frozen: false,
            trouble: None,
            history: History::default(),
            size: (80, 24),
            view: View::Fleet,
            is_help: false,
            selected: None,
            open: BTreeSet::new(),
            top: 0,
            entry: 0,
            sort: SortBy::Power,
            is_turned: false,
            group: None,
            filter: String::new(),
            edited: None,
        }
    }

    /// A new cycle. While the frame is frozen it waits.
    pub fn take(&mut self, document: Document) {
        self.trouble = None;
        self.history.add(&document);
        if self.document.is_none() && document.nodes.len() >= MANY_NODES {
            self.group = groupings(&document).into_iter().next();
        }
        let document = Some(Arc::new(document));
        if self.is_frozen {
            self.newer = document;
        } else {
            self.document = document;
        }
    }

    /// Nothing comes, for this reason. What came stays.
    pub fn fail(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    /// The size of the terminal.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.size = (width, height);
    }

    /// The age of the shown cycle, if it is so old that its figures are not counted on.
    pub(super) fn stale_for(&self, now: &Now) -> Option<std::time::Duration> {
        let document = self.document.as_ref()?;
        let age = now.at.since(document.started_at);
        (age > interval(document) * MAX_INTERVALS).then_some(age)
    }

    /// Stops the frame, or lets it go on.
    pub(super) fn freeze(&mut self) {
        self.is_frozen = !self.is_frozen;
        if let Some(newer) = self.newer.take_if(|_| !self.is_frozen) {
            self.document = Some(newer);
        }
    }
}

/// The groupings that a fleet has: each label with several values or several nodes of one, then the model.
pub(super) fn groupings(document: &Document) -> Vec<GroupBy> {
    let keys: BTreeSet<&SafeText> = document.nodes.iter().flat_map(|node| node.labels.keys()).collect();
    let labels = keys.into_iter().cloned().map(GroupBy::Label);
    labels.chain([GroupBy::Model]).collect()
}
