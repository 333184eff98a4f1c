//! Which fault comes when: a pure function of the seed, the time and the number of hosts.

use std::fmt;
use std::time::Duration;

/// How many times the program is killed at least, however short the soak is.
const KILLS_AT_LEAST: u64 = 20;
/// About how long the program lives otherwise.
const LIFE_MS: u64 = 12_000;
/// At the beginning everything is well, so that there is something to break.
const CALM_MS: u64 = 4_000;
/// How far a broken inventory stays away from a kill: a start with it is refused, and rightly so.
const BROKEN_AWAY_FROM_KILL_MS: u64 = 1_500;

/// One thing that is done to the program or to what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// `kill -9` of the program, which is started again at once.
    KillProgram,
    /// `kill -9` of the whole database server.
    CrashDatabase,
    StartDatabase,
    /// All connections to the database break.
    CutConnections,
    /// Each COMMIT is made, and its answer is lost.
    SwallowCommits(bool),
    /// Nobody listens where the database was.
    DatabaseAway(bool),
    /// Connections stay, and nothing comes through.
    Blackhole(bool),
    /// No block can be added to the table.
    DiskFull(bool),
    ReadOnly(bool),
    /// A host stands still, its connections stay.
    Freeze(u64),
    Thaw(u64),
    /// A host is without power.
    StopHost(u64),
    StartHost(u64),
    /// `kill -9` of one ssh master.
    KillMaster(u64),
    AddHost,
    RemoveHost,
    BreakInventory,
    MendInventory,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::KillProgram => "fleetwatt: kill -9, started again",
            Self::CrashDatabase => "database: kill -9",
            Self::StartDatabase => "database: started again",
            Self::CutConnections => "database: connections cut",
            Self::SwallowCommits(true) => "database: answers to COMMIT are lost",
            Self::SwallowCommits(false) => "database: answers to COMMIT come",
            Self::DatabaseAway(true) => "database: away",
            Self::DatabaseAway(false) => "database: back",
            Self::Blackhole(true) => "database: nothing comes through",
            Self::Blackhole(false) => "database: everything comes through",
            Self::DiskFull(true) => "database: disk full",
            Self::DiskFull(false) => "database: disk has room",
            Self::ReadOnly(true) => "database: read-only",
            Self::ReadOnly(false) => "database: takes writes",
            Self::Freeze(host) => return write!(f, "host: frozen ({host})"),
            Self::Thaw(host) => return write!(f, "host: thawed ({host})"),
            Self::StopHost(host) => return write!(f, "host: stopped ({host})"),
            Self::StartHost(host) => return write!(f, "host: started ({host})"),
            Self::KillMaster(which) => return write!(f, "ssh master: kill -9 ({which})"),
            Self::AddHost => "inventory: a host more",
            Self::RemoveHost => "inventory: a host less",
            Self::BreakInventory => "inventory: broken edit",
            Self::MendInventory => "inventory: mended",
        };
        f.write_str(words)
    }
}

/// An action and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) action: Action,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.3} s  {}", self.at.as_secs_f64(), self.action)
    }
}

/// Everything that is going to happen, in its order.
pub(crate) fn schedule(seed: u64, length: Duration, n_hosts: u64) -> Vec<Step> {
    let end = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut random = Random(seed);
    let kills = kills(&mut random, end);
    let mut timed = database(&mut random, end);
    timed.extend(hosts(&mut random, end, n_hosts.max(1)));
    timed.extend(inventory(&mut random, end, &kills));
    timed.extend(kills.into_iter().map(|at| (at, Action::KillProgram)));
    // Stable, so that what is at the same time keeps its order too.
    timed.sort_by_key(|(at, _)| *at);
    let step = |(at, action)| Step { at: Duration::from_millis(at), action };
    timed.into_iter().map(step).collect()
}

type Timed = (u64, Action);

/// One in each equal share of the time, anywhere in it.
fn kills(random: &mut Random, end: u64) -> Vec<u64> {
    let time = end.saturating_sub(CALM_MS).max(1);
    let n_kills = KILLS_AT_LEAST.max(time / LIFE_MS);
    (0..n_kills).map(|nth| CALM_MS + time * nth / n_kills + random.below((time / n_kills).max(1))).collect()
}

/// One fault of the database after the other, each kind once a round.
fn database(random: &mut Random, end: u64) -> Vec<Timed> {
    use Action::{
        Blackhole, CrashDatabase, CutConnections, DatabaseAway, DiskFull, ReadOnly, StartDatabase,
        SwallowCommits,
    };
    let kinds = [
        (CrashDatabase, StartDatabase, 1_000, 4_000),
        (CutConnections, CutConnections, 300, 2_000),
        (SwallowCommits(true), SwallowCommits(false), 2_000, 5_000),
        (DatabaseAway(true), DatabaseAway(false), 5_000, 20_000),
        (Blackhole(true), Blackhole(false), 3_000, 8_000),
        (DiskFull(true), DiskFull(false), 3_000, 8_000),
        (ReadOnly(true), ReadOnly(false), 2_000, 6_000),
    ];
    in_rounds(random, end, &kinds, 3_000)
}

fn hosts(random: &mut Random, end: u64, n_hosts: u64) -> Vec<Timed> {
    let mut timed = Vec::new();
    let mut at = CALM_MS;
    loop {
        let host = random.below(n_hosts);
        let (begin, finish, length) = match random.below(3) {
            0 => (Action::Freeze(host), Some(Action::Thaw(host)), random.between(2_000, 6_000)),
            1 => (Action::StopHost(host), Some(Action::StartHost(host)), random.between(2_000, 5_000)),
            _ => (Action::KillMaster(host), None, 0),
        };
        if end < at + length {
            return timed;
        }
        timed.push((at, begin));
        timed.extend(finish.map(|finish| (at + length, finish)));
        at += length + random.between(1_000, 4_000);
    }
}

fn inventory(random: &mut Random, end: u64, kills: &[u64]) -> Vec<Timed> {
    let kinds = [
        (Action::AddHost, Action::RemoveHost, 3_000, 9_000),
        (Action::BreakInventory, Action::MendInventory, 1_000, 1_500),
    ];
    let timed = in_rounds(random, end, &kinds, 2_000);
    let (breaks, mut others): (Vec<Timed>, Vec<Timed>) = timed
        .into_iter()
        .partition(|(_, action)| matches!(action, Action::BreakInventory | Action::MendInventory));
    for pair in breaks.chunks_exact(2) {
        let (Some((from, _)), Some((to, _))) = (pair.first(), pair.last()) else { continue };
        let quiet = from.saturating_sub(BROKEN_AWAY_FROM_KILL_MS)..to + BROKEN_AWAY_FROM_KILL_MS;
        if !kills.iter().any(|kill| quiet.contains(kill)) {
            others.extend(pair);
        }
    }
    others
}

/// Each kind once a round, in an order of the round's own, with pauses between.
fn in_rounds(random: &mut Random, end: u64, kinds: &[(Action, Action, u64, u64)], pause: u64) -> Vec<Timed> {
    let mut timed = Vec::new();
    let mut at = CALM_MS;
    loop {
        let mut left: Vec<_> = kinds.to_vec();
        while !left.is_empty() {
            let n_left = u64::try_from(left.len()).unwrap_or(1);
            let (begin, finish, least, most) =
                left.swap_remove(usize::try_from(random.below(n_left)).unwrap_or(0));
            let length = random.between(least, most);
            if end < at + length {
                return timed;
            }
            timed.push((at, begin));
            timed.push((at + length, finish));
            at += length + random.between(pause / 2, pause * 2);
        }
    }
}

/// SplitMix64: small, and the same everywhere for ever, which no crate promises of its generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not zero.
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }
}
