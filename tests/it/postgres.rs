//! A real PostgreSQL for tests, in a temporary folder, one for the whole process.
//!
//! A shell owns the server and waits for the end of its standard input. That comes when this process
//! ends in whatever way, `kill -9` included; then the shell stops the server and removes the folder.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(dead_code, reason = "several programs use this module, each a part of it")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions};

/// Arguments: the folder of the programs, the TCP port. Prints the folder when the server is ready.
const SCRIPT: &str = r#"
set -eu
trap '' INT HUP
bin=$1 port=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/fleetwatt-pg.XXXXXX")
cleanup() { "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || :; rm -rf "$dir"; }
trap cleanup EXIT
{
  cd "$dir"
  for ca in ca other; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=fleetwatt test $ca" \
      -keyout $ca.key -out $ca.pem
  done
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr
  printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > server.ext
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile server.ext -out server.pem
  chmod 600 server.key
  "$bin/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync
  cat > data/pg_hba.conf <<HBA
local   all all trust
host    all scram 127.0.0.1/32 scram-sha-256
hostnossl all tls_only 127.0.0.1/32 reject
host    all all 127.0.0.1/32 trust
HBA
  cat >> data/postgresql.conf <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$dir'
timezone = 'Asia/Kathmandu'
fsync = off
max_connections = 50
ssl = on
ssl_cert_file = '$dir/server.pem'
ssl_key_file = '$dir/server.key'
CONF
  "$bin/pg_ctl" -D data -l server.log -w -t 60 start
} >"$dir/setup.log" 2>&1 || { cat "$dir/setup.log" >&2; exit 1; }
echo "$dir"
# Whoever reads the output of the test shall not wait for the removal of the folder.
exec >/dev/null 2>&1
cat
"#;

/// The running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where the Unix socket and the certificates are.
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    /// Held, because its standard input holds the server.
    _shell: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// The server, started on first use.
pub(crate) fn server() -> &'static Server {
    SERVER.get_or_init(start)
}

#[allow(clippy::disallowed_methods, reason = "a test starts its database")]
fn command(program: &str) -> std::process::Command {
    std::process::Command::new(program)
}

impl Server {
    /// Kills the server with all its processes, as the end of its machine would.
    pub(crate) fn crash(&self) {
        let pid_file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let postmaster: i32 = pid_file.lines().next().unwrap().trim().parse().unwrap();
        let mut pids = vec![postmaster];
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
            if parent == Some(&postmaster.to_string()) {
                pids.extend(entry.file_name().to_str().and_then(|pid| pid.parse::<i32>().ok()));
            }
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            kill_process(pid, Signal::KILL).unwrap_or_default();
        }
    }

    /// Starts the server again after [`Self::crash`], and returns when it answers.
    pub(crate) fn start_again(&self) {
        let bin = programs().unwrap();
        let mut start = unprivileged(bin.join("pg_ctl").to_str().unwrap());
        start.arg("-D").arg(self.folder.join("data")).arg("-l").arg(self.folder.join("server.log"));
        start.args(["-w", "-t", "60", "start"]).current_dir("/");
        let status = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "PostgreSQL did not start again");
    }
}

/// A program as a user that PostgreSQL agrees with: it refuses to run as root.
pub(crate) fn unprivileged(program: &str) -> std::process::Command {
    if !rustix::process::geteuid().is_root() {
        return command(program);
    }
    let mut setpriv = command("setpriv");
    setpriv.args(["--reuid=postgres", "--regid=postgres", "--init-groups", program]);
    setpriv
}

fn start() -> Server {
    let bin = programs().expect("PostgreSQL's initdb in /usr/lib/postgresql/*/bin or in PATH");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut shell = unprivileged("sh");
    shell.args(["-c", SCRIPT, "sh"]).arg(&bin).arg(port.to_string()).current_dir("/");
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "PostgreSQL did not start");
    Server { folder: PathBuf::from(line.trim_end()), port, _shell: shell }
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = debian.chain(std::env::split_paths(&path)).collect();
    folders.retain(|folder| folder.join("initdb").is_file());
    folders.into_iter().next()
}

/// A database of its own for one test.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: &'static str,
    pub(crate) server: &'static Server,
}

impl Database {
    /// Creates the database anew and runs `sql` in it.
    pub(crate) async fn new(name: &'static str, sql: &str) -> Self {
        let server = server();
        let mut admin = options(server, "postgres").connect().await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
        let database = Self { name, server };
        database.run(sql).await;
        database
    }

    /// A superuser's connection by the Unix socket.
    pub(crate) async fn admin(&self) -> PgConnection {
        options(self.server, self.name).connect().await.unwrap()
    }

    /// Runs statements as superuser.
    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.admin().await).await.unwrap();
    }

    /// A URL by TCP. `query` begins with `?` or is empty.
    pub(crate) fn url(&self, user: &str, query: &str) -> String {
        format!("postgres://{user}@localhost:{}/{}{query}", self.server.port, self.name)
    }

    /// A file in the server's folder, such as `ca.pem`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.server.folder).join(name)
    }
}

fn options(server: &Server, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&server.folder)
        .port(server.port)
        .username("postgres")
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}
