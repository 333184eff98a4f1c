//! Databases that are filled by their own SQL, since millions of rows would take long by the program's way.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::fresh;
use super::postgres::Database;

/// 2026-11-01T00:00:00Z, in seconds since 1970.
const FROM: i64 = 1_793_491_200;

/// A timeline as an installation has it.
const TABLE: &str = "CREATE TABLE unified_timeline (id bigserial, event_type varchar(64) NOT NULL, \
    source varchar(128) NOT NULL, value double precision, metadata jsonb, created_at timestamptz); \
    CREATE INDEX ON unified_timeline (event_type, source, created_at)";

/// A row's metadata with slim metadata, but for its board and its cycle.
const METADATA: &str = r#""power_draw_w":412.87,"power_kind":"average","power_draw_average_w":412.87,"power_draw_instant_w":420.15,"power_efficiency_pct":59.0,"temperature_c":61.0,"gpu_utilization_pct":97.0,"memory_used_mb":71232,"fan_speed_pct":null,"fan_speed_pct_absent":"not_supported","pstate":"P0","clocks_event_reasons":"0x0000000000000004","batch":"01a20c28-56e0-7e1d-8600-1a659cd38394","cycle":"2026-11-24T06:05:00.000000Z""#;

/// The size of a ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) gpus: i64,
    pub(super) days: i64,
}

impl Size {
    pub(super) const fn rows(self) -> i64 {
        self.gpus * self.quarters()
    }

    const fn quarters(self) -> i64 {
        self.days * 96
    }

    /// Its time, in RFC 3339.
    pub(super) fn range(self) -> (String, String) {
        let at = |seconds| jiff::Timestamp::from_second(seconds).unwrap().to_string();
        (at(FROM), at(FROM + self.days * 86_400))
    }
}

/// A database with its folder.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) dir: PathBuf,
    database: Option<Database>,
}

impl Place {
    pub(super) fn sqlite(dir: &Path) -> Self {
        fresh(dir);
        Self { name: "SQLite", dir: dir.to_owned(), database: None }
    }

    pub(super) async fn postgres(dir: &Path) -> Self {
        fresh(dir);
        let database = Database::new("bench", TABLE).await;
        Self { name: "PostgreSQL", dir: dir.to_owned(), database: Some(database) }
    }

    pub(super) fn url(&self) -> String {
        match &self.database {
            // By its socket: over TCP each large statement of sqlx 0.9.0 waits 40 ms, as it leaves Nagle's algorithm on.
            Some(database) => {
                let tcp = database.url("postgres", "");
                let (_, port) = tcp.rsplit_once(':').unwrap();
                let (port, name) = port.split_once('/').unwrap();
                let folder = database.file("").display().to_string().replace('/', "%2F");
                format!("postgres://postgres@{folder}:{port}/{name}")
            }
            None => format!("sqlite:{}", self.file().display()),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("fleetwatt.db")
    }

    async fn open_file(&self) -> SqliteConnection {
        let mut connection = SqliteConnectOptions::new().filename(self.file()).connect().await.unwrap();
        let tuning = "PRAGMA cache_size = -262144; PRAGMA synchronous = OFF; PRAGMA mmap_size = 1073741824";
        sqlx::raw_sql(tuning).execute(&mut connection).await.unwrap();
        connection
    }

    async fn open_server(&self) -> Option<PgConnection> {
        Some(self.database.as_ref()?.admin().await)
    }

    async fn execute(&self, sqlite: String, postgres: String) {
        match self.open_server().await {
            Some(mut server) => {
                sqlx::raw_sql(AssertSqlSafe(postgres)).execute(&mut server).await.map(drop).unwrap();
            }
            None => {
                let mut file = self.open_file().await;
                sqlx::raw_sql(AssertSqlSafe(sqlite)).execute(&mut file).await.map(drop).unwrap();
            }
        }
    }

    /// One with a flat price, one with a price for each quarter-hour.
    pub(super) fn write_inventories(&self, size: Size) {
        let last = size.gpus / 8 - 1;
        let text = format!(
            "[store]\nurl = \"{}\"\n[[host]]\nname = \"node[000-{last:03}]\"\nlocal = false\nlabels = {{ site = \"hall\" }}\n\
             [[tariff]]\nname = \"hall\"\ncurrency = \"EUR\"\n",
            self.url()
        );
        std::fs::write(self.dir.join("flat.toml"), format!("{text}per_kwh = 0.21\n")).unwrap();
        let of_files = format!("{text}[tariff.prices]\nfile = \"prices.csv\"\n");
        std::fs::write(self.dir.join("quarters.toml"), of_files).unwrap();
        let at = |quarter: i64| jiff::Timestamp::from_second(FROM + quarter * 900).unwrap();
        let row =
            |quarter: i64| format!("{},{},0.{:03}\n", at(quarter), at(quarter + 1), quarter * 7_919 % 400);
        let rows: String = (0..size.quarters()).map(row).collect();
        std::fs::write(self.dir.join("prices.csv"), format!("start,end,price\n{rows}")).unwrap();
    }

    /// Every GPU in every quarter, but for twelve nodes that are down for nine hours.
    pub(super) async fn fill_ledger(&self, size: Size) {
        let (gpus, last_quarter) = (size.gpus, size.quarters() - 1);
        let row = "(s.n - 1) / 8 + 1, 270000000 + (s.n * 7919 + q.n * 104729) % 360000000, 900000, 15, \
                   200000 + s.n, 690000 + q.n, 1000000.0, CASE WHEN (s.n + q.n) % 11 = 0 THEN 3000 ELSE 850000 END, 1";
        let is_there = "NOT (s.n BETWEEN 289 AND 384 AND q.n BETWEEN 1000 AND 1035)";
        let name = "'gpu:GPU-' || substr('00000000' || s.n, -8) || '-0000-0000-0000-000000000000'";
        let numbers = |name: &str, first: i64, last: i64| {
            format!("{name}(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM {name} WHERE n < {last})")
        };
        let (s, q) = (numbers("s", 1, gpus), numbers("q", 0, last_quarter));
        let sqlite = format!(
            "WITH RECURSIVE {s} INSERT INTO fleetwatt_series SELECT n, {name}, 'NVIDIA H100 80GB HBM3' FROM s; \
             WITH RECURSIVE {s} INSERT OR IGNORE INTO fleetwatt_node \
             SELECT (n - 1) / 8 + 1, 'node' || substr('000' || ((n - 1) / 8), -3) FROM s; \
             WITH RECURSIVE {q}, {s} INSERT INTO fleetwatt_energy \
             SELECT s.n, ({FROM} + q.n * 900) * 1000000, {row} FROM q CROSS JOIN s WHERE {is_there}; ANALYZE; \
             PRAGMA wal_checkpoint(TRUNCATE)",
        );
        let name = name.replace("substr('00000000' || s.n, -8)", "lpad(s.n::text, 8, '0')");
        let postgres = format!(
            "INSERT INTO fleetwatt.series (key, model) \
             SELECT {name}, 'NVIDIA H100 80GB HBM3' FROM generate_series(1, {gpus}) AS s (n) ORDER BY s.n; \
             INSERT INTO fleetwatt.node (name) \
             SELECT 'node' || lpad(s.n::text, 3, '0') FROM generate_series(0, {gpus} / 8 - 1) AS s (n) ORDER BY s.n; \
             INSERT INTO fleetwatt.energy (series, quarter, node, energy_mj, covered_ms, samples, min_mw, max_mw, \
             variance_mj2, busy_ms, method) SELECT s.n, to_timestamp({FROM} + q.n * 900), {row} \
             FROM generate_series(0::bigint, {last_quarter}) AS q (n) CROSS JOIN generate_series(1::bigint, {gpus}) AS s (n) \
             WHERE {is_there} ORDER BY q.n, s.n",
        );
        self.execute(sqlite, postgres).await;
        if self.database.is_some() {
            self.execute(String::new(), "VACUUM (ANALYZE) fleetwatt.energy".to_owned()).await;
        }
    }

    /// The sum by node that a person would write, on one core.
    pub(super) async fn bare_sum(&self, size: Size) -> Duration {
        self.timed(size, |energy, node, time| {
            format!(
                "SELECT n.name, sum(e.energy_mj), sum(e.covered_ms) FROM {energy} e \
                 JOIN {node} n ON n.id = e.node WHERE {time} GROUP BY 1"
            )
        })
        .await
    }

    /// The highest quarter-hour of each node's sum, which is one of a report's columns, on one core.
    pub(super) async fn bare_peaks(&self, size: Size) -> Duration {
        self.timed(size, |energy, node, time| {
            format!(
                "SELECT n.name, max(q.energy_mj), count(*) FROM (SELECT node, quarter, sum(energy_mj) AS energy_mj \
                 FROM {energy} e WHERE {time} GROUP BY 1, 2) q JOIN {node} n ON n.id = q.node GROUP BY 1"
            )
        })
        .await
    }

    /// Runs a query of a name and two numbers a node, over a connection that is open.
    async fn timed(&self, size: Size, sql: impl Fn(&str, &str, &str) -> String) -> Duration {
        let (from, to) = (FROM, FROM + size.days * 86_400);
        let (n_nodes, took) = match self.open_server().await {
            Some(mut server) => {
                let time = format!("quarter >= to_timestamp({from}) AND quarter < to_timestamp({to})");
                let sql = sql("fleetwatt.energy", "fleetwatt.node", &time);
                let sql = format!("SELECT a, b::int8, c::int8 FROM ({sql}) AS sums (a, b, c)");
                let one_core = "SET max_parallel_workers_per_gather = 0";
                sqlx::query(one_core).execute(&mut server).await.unwrap();
                let began_at = Instant::now();
                let rows: Vec<(String, i64, i64)> =
                    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut server).await.unwrap();
                (rows.len(), began_at.elapsed())
            }
            None => {
                let time = format!("quarter >= {from}000000 AND quarter < {to}000000");
                let sql = sql("fleetwatt_energy", "fleetwatt_node", &time);
                let mut file = self.open_file().await;
                let began_at = Instant::now();
                let rows: Vec<(String, i64, i64)> =
                    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut file).await.unwrap();
                (rows.len(), began_at.elapsed())
            }
        };
        assert_eq!(i64::try_from(n_nodes).unwrap(), size.gpus / 8);
        took
    }

    /// So many rows of cycles a minute apart, a third of them draws; the others have no metadata, since nothing here
    /// reads it. The ledger is emptied.
    pub(super) async fn fill_timeline(&self, gpus: i64, rows: i64) {
        let last_cycle = rows / 3 / gpus - 1;
        let numbers = |name: &str, first: i64, last: i64| {
            format!("{name}(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM {name} WHERE n < {last})")
        };
        let (s, q) = (numbers("s", 1, gpus), numbers("q", 0, last_cycle));
        let value = "300 + (s.n * 7919 + q.n * 104729) % 360";
        let source = "'gpu_node' || PAD3((s.n - 1) / 8) || '_' || ((s.n - 1) % 8)";
        let metadata = format!(
            "'{{\"gpu_index\":' || ((s.n - 1) % 8) || ',\"gpu_uuid\":\"GPU-' || PAD8(s.n) || '-0000-0000-0000-000000000000\",' || \
             '{METADATA},\"node\":\"node' || PAD3((s.n - 1) / 8) || '\"}}'"
        );
        let row = format!(
            "CASE t.n WHEN 0 THEN 'gpu_power_draw' WHEN 1 THEN 'gpu_temperature' ELSE 'gpu_utilization' END, {source}, \
             {value}, CASE t.n WHEN 0 THEN {metadata} ELSE '{{}}' END"
        );
        let of_sqlite = row
            .replace("PAD3((s.n - 1) / 8)", "substr('000' || ((s.n - 1) / 8), -3)")
            .replace("PAD8(s.n)", "substr('00000000' || s.n, -8)");
        let of_postgres = row
            .replace("PAD3((s.n - 1) / 8)", "lpad(((s.n - 1) / 8)::text, 3, '0')")
            .replace("PAD8(s.n)", "lpad(s.n::text, 8, '0')")
            .replace("ELSE '{}' END", "ELSE '{}' END::jsonb");
        let empty = "DELETE FROM fleetwatt_energy; DELETE FROM unified_timeline;";
        let sqlite = format!(
            "{empty} WITH RECURSIVE {q}, {s}, {} INSERT INTO unified_timeline (event_type, source, value, metadata, created_at) \
             SELECT {of_sqlite}, ({FROM} + q.n * 60) * 1000000 FROM q CROSS JOIN s CROSS JOIN t; \
             PRAGMA wal_checkpoint(TRUNCATE)",
            numbers("t", 0, 2),
        );
        let postgres = format!(
            "TRUNCATE fleetwatt.energy; TRUNCATE unified_timeline; \
             INSERT INTO unified_timeline (event_type, source, value, metadata, created_at) \
             SELECT {of_postgres}, to_timestamp({FROM} + q.n * 60) \
             FROM generate_series(0::bigint, {last_cycle}) AS q (n) CROSS JOIN generate_series(1::bigint, {gpus}) AS s (n) \
             CROSS JOIN generate_series(0, 2) AS t (n) ORDER BY q.n, s.n, t.n",
        );
        self.execute(sqlite, postgres).await;
        if self.database.is_some() {
            self.execute(String::new(), "VACUUM (ANALYZE) unified_timeline".to_owned()).await;
        }
    }

    /// Gives the disk its room back.
    pub(super) async fn empty(&self) {
        match &self.database {
            Some(_) => {
                self.execute(String::new(), "TRUNCATE unified_timeline; TRUNCATE fleetwatt.energy".to_owned())
                    .await
            }
            None => fresh(&self.dir),
        }
    }
}
