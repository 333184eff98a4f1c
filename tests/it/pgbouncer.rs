//! The timeline behind a real pgbouncer that lends its connections by the transaction.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::disallowed_methods, reason = "a test starts its pooler")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};

use fleetwatt::store::{Guarantee, Record, StoreUrl, Timeline};

use crate::postgres::{Database, unprivileged};
use crate::spool_once::{TABLE, batch, delivered, writer};

/// A pooler with the settings that Debian's package has, but for its mode and its places.
struct Bouncer {
    child: Child,
    port: u16,
}

impl Bouncer {
    fn start(database: &Database, folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (users, config) = (folder.join("users.txt"), folder.join("pgbouncer.ini"));
        std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let (server, socket) = (database.server, database.server.folder.display());
        let text = format!(
            "[databases]\n* = host={socket} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\n",
            server.port,
            users.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut program = unprivileged("/usr/sbin/pgbouncer");
        program.arg(&config).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_up = lines.by_ref().map_while(Result::ok).any(|line| line.contains("process up"));
        assert!(is_up, "pgbouncer did not start");
        // It must not be stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    fn url(&self, database: &Database) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.port, database.name)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A folder that the pooler's own user may read.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test]
async fn batches_of_several_writers_that_share_two_connections_come_once_each() {
    let database = Database::new("bouncer_many", TABLE).await;
    let folder = open_folder();
    let bouncer = Bouncer::start(&database, folder.path());
    let url = bouncer.url(&database);
    let mut writers = tokio::task::JoinSet::new();
    for of in 0..4_u32 {
        let (state, url) = (folder.path().join(of.to_string()), url.clone());
        writers.spawn(async move {
            std::fs::create_dir(&state).unwrap();
            let mut writer = writer(&state, &url).await;
            for number in 0..10 {
                let (id, events) = batch(of * 10 + number);
                for _twice in 0..2 {
                    assert!(
                        writer.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.is_none()
                    );
                }
            }
            writer.close().await;
        });
    }
    writers.join_all().await;
    let mut numbers = delivered(&database).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_tables_are_made_and_looked_up_through_it() {
    let database = Database::new("bouncer_init", "").await;
    let folder = open_folder();
    let bouncer = Bouncer::start(&database, folder.path());
    let store_url = StoreUrl::parse(&bouncer.url(&database), None).unwrap();
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    let timeline = Timeline::open(&store_url, "unified_timeline").await.unwrap();
    let status = timeline.status().await.unwrap();
    assert_eq!((status.guarantee, status.table_kind), (Guarantee::DeliveryLog, "table"));
    timeline.close().await;
}
