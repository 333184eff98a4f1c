//! What the program of before left on the disk: the spool, what it knew of hosts, its login, the names of its sockets.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use super::{Scene, folder};
use crate::cloud::Options;
use crate::fleet::{Fleet, HostPlan};
use crate::postgres::Database;
use crate::program::{Home, of_type};
use crate::solix_stage::{Stage, values};
use crate::webhook::Webhook;

/// The folder of `fixtures/golden` that was made by the program of before, and is not made again.
pub(super) const FOLDER: &str = "before";

const TABLE: &str = "CREATE TABLE unified_timeline (id bigserial, event_type text, source text, \
                     value double precision, metadata jsonb, created_at timestamptz)";

fn of_before(name: &str) -> PathBuf {
    folder().join(FOLDER).join(name)
}

/// Puts a file into the state directory as the program leaves one there.
fn put(home: &Home, name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(home.path("s")).unwrap();
    std::fs::write(home.path("s").join(name), bytes).unwrap();
    std::fs::set_permissions(home.path("s").join(name), PermissionsExt::from_mode(0o600)).unwrap();
}

fn put_of_before(home: &Home, name: &str) {
    put(home, name, &std::fs::read(of_before(name)).unwrap());
}

/// The two hosts that the program of before read. `hot` is what is played there.
fn hosts(home: &Home, head: &str, hot: &str) -> PathBuf {
    let redfin = super::repository("fixtures/demo/redfin.toml");
    std::fs::write(home.path("hot.toml"), hot).unwrap();
    home.inventory(&format!(
        "{head}\n[[host]]\nname = \"redfin\"\nscripted = {redfin:?}\n[[host]]\nname = \"hot\"\nscripted = \"hot.toml\"\n"
    ))
}

/// The rows of a PostgreSQL timeline with their times, one a line.
async fn rows_of(database: &Database) -> String {
    let sql = "SELECT concat_ws(' ', (extract(epoch FROM created_at) * 1000000)::bigint, event_type, source, \
               coalesce(value::text, 'null'), metadata) FROM unified_timeline ORDER BY id";
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut database.admin().await).await.unwrap();
    rows.into_iter().map(|row| row + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_of_before_is_replayed_whole_and_its_alerts_are_told() {
    let database = Database::new("golden_before", TABLE).await;
    let webhook = Webhook::start().await;
    let mut scene = Scene::new("before-spool");
    let home = Home::new().with("HOOK", webhook.url());
    put_of_before(&home, "spool.db");
    put_of_before(&home, "hosts.json");
    let head = format!(
        "[store]\nurl = \"{}\"\nspool_age = \"10years\"\n\
         [alerts]\ngpu_temperature_above = \"80C\"\nwebhook_env = \"HOOK\"\n",
        database.url("postgres", "?sslmode=disable")
    );
    let inventory = hosts(&home, &head, "gpus = 2\n[set]\n\"temperature.gpu\" = \"60\"\n");
    let run = |args: &[&str]| {
        let args = [args, &["--inventory", inventory.to_str().unwrap()]].concat();
        tokio::task::block_in_place(|| home.run(&args))
    };
    scene.keep("alerts.txt", &home, &run(&["alerts"]).stdout);
    let replayed = run(&["store", "replay"]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    scene.keep_run("replay", "txt", &home, &replayed);
    scene.keep_as_it_is("rows.txt", rows_of(&database).await);
    database.run("TRUNCATE unified_timeline").await;
    assert_eq!(run(&["poll", "--quiet"]).code, Some(0));
    scene.keep("rows-after.txt", &home, &rows_of(&database).await);
    let told: Vec<String> = webhook
        .told()
        .into_iter()
        .map(|told| format!("{} {} {}\n", told.raised, told.key, told.at))
        .collect();
    scene.keep("told.txt", &home, &told.concat());
    scene.finish();
}

#[test]
fn what_was_known_of_hosts_before_is_known() {
    let mut scene = Scene::new("before-hosts");
    let home = Home::new();
    // The daily summary was long ago, whenever this runs.
    let text = std::fs::read_to_string(of_before("hosts.json")).unwrap();
    let (head, _) = text.split_once("\"summary_us\":").unwrap();
    put(&home, "hosts.json", format!("{head}\"summary_us\":1}}}}").as_bytes());
    // One of its two GPUs gives no row, and nothing says that there should be one.
    let inventory = hosts(&home, "", "gpus = 2\nrow-dropped = 1\n");
    scene.keep_run("poll", "txt", &home, &home.poll(&inventory, &["--quiet"]));
    let rows = home.rows();
    let hot = of_type(&rows, "node_up").into_iter().find(|row| row.3["node"] == "hot").unwrap();
    assert_eq!((&hot.3["gpus_expected"], &hot.3["gpus_reporting"]), (&2.into(), &1.into()));
    scene.keep_rows("rows.txt", &home);
    scene.keep_state("hosts.json", &home);
    scene.finish();
}

#[test]
fn a_login_of_before_is_used() {
    let stage = Stage::new(Options::default());
    let kept = stage.cloud.admit();
    for name in ["attempts", "login", "mqtt", "rest", "session"] {
        let name = format!("solix-{name}.json");
        let mut text = std::fs::read_to_string(of_before(&name)).unwrap();
        for (key, value) in &kept {
            let value = serde_json::to_string(value).unwrap();
            text = text.replace(&format!("{{{key}}}"), value.trim_matches('"'));
        }
        put(&stage.home, &name, text.as_bytes());
    }
    let polled = stage.poll(&[]);
    assert_eq!(polled.code, Some(0), "{}{}", polled.stdout, polled.stderr);
    assert_eq!(values(&stage.home.rows(), "solix_battery_soc"), [Some(87.0)]);
    assert_eq!((stage.cloud.logins(), stage.cloud.calls("get_user_mqtt_info")), (0, 0));
    let connections = stage.cloud.broker().connections();
    assert!(connections.iter().all(|one| one.client_id.ends_with("10493")), "{connections:?}");
    let packs: serde_json::Value =
        serde_json::from_slice(&std::fs::read(stage.home.path("s/solix-session.json")).unwrap()).unwrap();
    assert_eq!(packs["content"]["devices"][stage.serial()]["packs"], 2);
    assert!(polled.stderr.lines().all(|line| !line.contains("damaged")), "{}", polled.stderr);
}

#[test]
fn connections_of_before_are_found_by_the_names_of_their_sockets() {
    let home = Home::new();
    std::fs::create_dir(home.path("r")).unwrap();
    std::fs::set_permissions(home.path("r"), PermissionsExt::from_mode(0o700)).unwrap();
    let names = std::fs::read_to_string(of_before("sockets.tsv")).unwrap();
    let names: Vec<(&str, &str)> = names.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let _sockets: Vec<UnixListener> =
        names.iter().map(|(name, _)| UnixListener::bind(home.path("r").join(name)).unwrap()).collect();
    let inventory = of_before("sockets.toml");
    let listed = home.run(&["connections", "list", "--inventory", inventory.to_str().unwrap()]);
    let hosts: Vec<&str> = listed.stdout.lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(hosts, names.iter().map(|(_, host)| *host).collect::<Vec<_>>(), "{}", listed.stdout);
}

#[test]
fn beside_a_socket_are_the_pipes_of_its_shell() {
    let (fleet, home) = (Fleet::start(vec![HostPlan::new("node", "gpus = 1")]).unwrap(), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    let files = home.runtime_files();
    let mut extensions: Vec<&str> = files
        .iter()
        .map(|path| path.extension().map_or("", |extension| extension.to_str().unwrap()))
        .collect();
    extensions.sort_unstable();
    assert_eq!(extensions, ["", "err", "in", "out"]);
}
