//! Each rule of the replay, held against the facts it is made of.

use super::*;
use crate::support::regular_file;

/// A loaded RTX 4080 SUPER of driver 595, which knows all the newer fields.
const NEW: &str = "../nvidia-smi/corpus/smi-full-linux-rtx-4080-super-595.71.05-load.csv";
/// An idle RTX 2080 SUPER of driver 465, which knows none of them.
const OLD: &str = "../nvidia-smi/corpus/smi-full-465.27-linux-rtx-2080-super.csv";

fn demo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo").join(name)
}

fn dump(name: &Path) -> Result<String, ScenarioError> {
    read(&demo("").join(name))
}

fn read(path: &Path) -> Result<String, ScenarioError> {
    regular_file::read_text(path, 16 << 20)
        .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })
}

fn load(name: &str) -> Result<Scenario, ScenarioError> {
    let path = demo(name);
    Scenario::parse(&read(&path)?, &path, dump)
}

fn scenario(text: &str) -> Scenario {
    Scenario::parse(text, &demo("test.toml"), dump).unwrap()
}

fn ask(scenario: &Scenario, args: &str) -> Reply {
    scenario.answer(&args.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

/// The output and the exit code.
fn said(scenario: &Scenario, args: &str) -> (String, i32) {
    let reply = ask(scenario, args);
    assert_eq!(reply.stderr, b"", "nvidia-smi says everything on standard output");
    (String::from_utf8(reply.stdout).unwrap(), reply.exit)
}

/// The rows of a query of `fields` without header and units.
fn rows(scenario: &Scenario, fields: &str) -> Vec<String> {
    let (text, exit) = said(scenario, &format!("--query-gpu={fields} --format=csv,noheader,nounits"));
    assert_eq!(exit, 0, "{text}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn units_stand_in_the_header_in_any_case_and_at_the_values_unless_hidden() {
    let scenario = scenario(&format!("dump = '{NEW}'"));
    let query = "--query-gpu=power.draw,temperature.gpu,clocks.sm,memory.used,pstate --format=csv";
    let header = "power.draw [W], temperature.gpu, clocks.current.sm [MHz], memory.used [MiB], pstate\n";
    let with = format!("{header}84.24 W, 46, 2805 MHz, 1474 MiB, P2\n");
    let without = format!("{header}84.24, 46, 2805, 1474, P2\n");
    assert_eq!(said(&scenario, query), (with, 0));
    assert_eq!(said(&scenario, &format!("{query},nounits")), (without, 0));
    let bare = "84.24, 46, 2805, 1474, P2\n".to_owned();
    assert_eq!(said(&scenario, &format!("{query},noheader,nounits")), (bare, 0));
}

#[test]
fn an_old_name_is_answered_under_the_new_one_and_the_other_way_round() {
    let query = "--query-gpu=clocks_throttle_reasons.active --format=csv";
    let (text, _) = said(&scenario(&format!("dump = '{NEW}'")), query);
    assert_eq!(text, "clocks_event_reasons.active\n0x0000000000000000\n");
    let (text, _) = said(&scenario(&format!("dump = '{NEW}'\ndriver = '470.256.02'")), query);
    assert_eq!(text, "clocks_throttle_reasons.active\n0x0000000000000000\n");
    let (text, _) = said(&scenario(&format!("dump = '{OLD}'\ndriver = '550.163.01'")), query);
    assert_eq!(text, "clocks_event_reasons.active\n0x0000000000000001\n");
}

#[test]
fn the_first_unknown_field_is_named_and_nothing_else_is_said() {
    let scenario = scenario(&format!("dump = '{OLD}'\ngpus = 2"));
    let refused = |field: &str| (format!("Field \"{field}\" is not a valid field to query.\n\n"), 2);
    let query = |fields: &str| said(&scenario, &format!("--query-gpu={fields} --format=csv"));
    assert_eq!(query("name,power.draw.instant,clocks_event_reasons.active"), refused("power.draw.instant"));
    assert_eq!(query("name,Power.draw"), refused("Power.draw"), "names are case-sensitive");
    let spaced = ["--query-gpu=name, power.draw".to_owned(), "--format=csv".to_owned()];
    let reply = scenario.answer(&spaced);
    assert_eq!((String::from_utf8(reply.stdout).unwrap(), reply.exit), refused(" power.draw"));
}

#[test]
fn an_empty_element_is_skipped_and_a_double_repeats_its_column() {
    let scenario = scenario(&format!("dump = '{OLD}'"));
    assert_eq!(rows(&scenario, "index,,power.draw,power.draw"), ["0, 30.37, 30.37"]);
}

#[test]
fn other_arguments_are_refused_with_exit_2() {
    let scenario = scenario("");
    for args in [
        "--query-gpu=name",
        "--query-gpu=name --format=xml",
        "--query-gpu=name --format=noheader",
        "--query-gpu=name --format=csv,nohead",
        "--query-gpu=name --query-gpu=name --format=csv",
        "--query-gpu=name --format=csv -i",
        "--format=csv",
        "--help-query-gpu",
        "-q",
        "",
    ] {
        let (text, exit) = said(&scenario, args);
        assert_eq!(exit, 2, "{args}");
        assert!(text.ends_with("\n\n"), "{args}: {text}");
    }
}

#[test]
fn no_field_at_all_is_an_error_up_to_470_and_empty_lines_later() {
    let query = "--query-gpu= --format=csv";
    assert_eq!(said(&scenario("driver = '470.256.02'"), query).1, 2);
    assert_eq!(said(&scenario("driver = '550.54.15'"), query), ("\n\n".to_owned(), 0));
}

#[test]
fn what_the_capture_lacks_is_absent_in_the_words_of_the_driver() {
    let text = |driver: &str, field: &str| {
        rows(&scenario(&format!("dump = '{OLD}'\ndriver = '{driver}'")), field).remove(0)
    };
    assert_eq!(text("595.71.05", "power.draw.instant"), "[N/A]");
    assert_eq!(text("390.157", "serial"), "[Not Supported]");
    assert_eq!(text("418.226.00", "serial"), "[N/A]");
}

#[test]
fn an_older_driver_hides_what_a_newer_capture_holds() {
    let scenario = scenario(&format!("dump = '{NEW}'\ndriver = '470.256.02'"));
    assert_eq!(rows(&scenario, "driver_version,power.management"), ["470.256.02, [N/A]"]);
    let (text, exit) = said(&scenario, "--query-gpu=power.draw.average --format=csv");
    assert_eq!(
        (text.lines().next(), exit),
        (Some("Field \"power.draw.average\" is not a valid field to query."), 2)
    );
}

#[test]
fn repeated_gpus_have_identities_of_their_own_and_differ_a_little() {
    let scenario = scenario("gpus = 16");
    for field in ["index", "uuid", "pci.bus_id", "serial"] {
        let mut values = rows(&scenario, field);
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 16, "{field}");
    }
    let watts: Vec<f64> = rows(&scenario, "power.draw").iter().map(|cell| cell.parse().unwrap()).collect();
    assert_eq!(watts[0].to_string(), "631.95", "GPU 0 is the capture");
    assert!(watts.iter().all(|watt| (590.0..=700.0).contains(watt)), "{watts:?}");
    assert!(watts[1..].iter().all(|watt| watt.to_string() != "631.95"));
    assert_eq!(rows(&scenario, "count")[3], "16");
    assert_eq!(rows(&scenario, "uuid"), rows(&scenario, "gpu_uuid"));
}

#[test]
fn hosts_that_share_a_scene_have_different_gpus() {
    let (a, b) = (scenario("gpus = 2").seeded("a"), scenario("gpus = 2").seeded("b"));
    assert_ne!(rows(&a, "uuid"), rows(&b, "uuid"));
    assert_eq!(rows(&a, "uuid")[1], gpu_uuid("a", 1));
    assert_eq!(rows(&a, "power.draw"), rows(&b, "power.draw"));
}

#[test]
fn cells_can_be_set_for_all_gpus_and_for_one() {
    let scenario = scenario(
        "gpus = 2\n[set]\n'power.draw' = '512.5'\nname = 'A'\n'clocks_throttle_reasons.active' = '0x4'\n\
         [[gpu]]\nindex = 1\nset = { gpu_name = 'B', 'power.draw' = 'ERR!' }",
    );
    let (text, _) =
        said(&scenario, "--query-gpu=name,power.draw,clocks_event_reasons.active --format=csv,noheader");
    assert_eq!(text, "A, 512.5 W, 0x4\nB, ERR!, 0x4\n");
}

#[test]
fn a_gpu_is_chosen_by_index_uuid_or_bus_id_and_a_strange_one_is_not_found() {
    let scenario = scenario(&format!("dump = '{NEW}'\ngpus = 3\nseed = 'x'"));
    let pick = |id: &str| said(&scenario, &format!("--query-gpu=index --format=csv,noheader -i {id}"));
    let uuid = gpu_uuid("x", 2);
    for id in ["2", &uuid, "00000000:23:00.0", "0000:23:00.0"] {
        assert_eq!(pick(id), ("2\n".to_owned(), 0), "{id}");
    }
    assert_eq!(pick("2,0"), ("2\n0\n".to_owned(), 0));
    assert_eq!(pick("7"), ("No devices were found\n".to_owned(), 6));
    let (text, _) = said(&scenario, &format!("--query-gpu=index --format=csv,noheader --id={uuid}"));
    assert_eq!(text, "2\n");
}

#[test]
fn one_lost_handle_hides_every_row_unless_the_healthy_ones_are_named() {
    let text = |driver: &str| {
        let scenario = scenario(&format!("dump = '{OLD}'\ndriver = '{driver}'\ngpus = 3\nhandle-lost = 1"));
        let healthy = said(&scenario, "--query-gpu=index --format=csv,noheader -i 0,2");
        assert_eq!(healthy, ("0\n2\n".to_owned(), 0));
        said(&scenario, "--query-gpu=index --format=csv")
    };
    let lost = "GPU is lost.  Reboot the system to recover this GPU\n";
    let at = "Unable to determine the device handle for";
    assert_eq!(text("470.256.02"), (format!("{at} GPU 0000:1D:00.0: {lost}"), 15));
    assert_eq!(text("535.274.02"), (format!("{at} GPU0000:1D:00.0: {lost}"), 15));
    let scenario = scenario(&format!("dump = '{NEW}'\nhandle-unknown = 0"));
    let (text, exit) = said(&scenario, "--query-gpu=index --format=csv");
    assert_eq!((text, exit), (format!("{at} GPU0000:01:00.0: Unknown Error\n"), 255));
}

#[test]
fn a_dropped_row_is_silent_and_lost_cells_keep_their_row() {
    assert_eq!(rows(&scenario("gpus = 3\nrow-dropped = 1"), "index"), ["0", "2"]);
    let lost = rows(&scenario("gpus = 2\ncells-lost = 1"), "index,uuid");
    assert_eq!(lost[1], "[GPU is lost], [GPU is lost]");
}

#[test]
fn a_host_that_cannot_start_says_so_with_the_exit_code_of_its_driver() {
    let start = |fault: &str, driver: &str| {
        let scenario = scenario(&format!("fault = '{fault}'\ndriver = '{driver}'"));
        said(&scenario, "--query-gpu=name --format=csv")
    };
    let nvml = "Failed to initialize NVML:";
    let mismatch = format!("{nvml} Driver/library version mismatch\n");
    assert_eq!(start("mismatch", "390.157"), (mismatch.clone(), 231));
    assert_eq!(start("mismatch", "470.256.02"), (mismatch.clone(), 255));
    assert_eq!(start("mismatch", "580.126.18"), (format!("{mismatch}NVML library version: 580.126\n"), 18));
    assert_eq!(start("init-unknown-error", "595.71.05"), (format!("{nvml} Unknown Error\n"), 255));
    assert_eq!(start("init-reset-required", "418.226.00"), (format!("{nvml} GPU requires reset\n"), 231));
    assert_eq!(start("init-gpu-lost", "550.54.15"), (format!("{nvml} GPU is lost\n"), 15));
    assert_eq!(start("no-permission", "550.54.15"), (format!("{nvml} Insufficient Permissions\n"), 4));
    assert_eq!(start("no-devices", "550.54.15"), ("No devices were found\n".to_owned(), 6));
    let (text, exit) = start("no-driver", "470.256.02");
    assert!(text.starts_with("NVIDIA-SMI has failed because it couldn't communicate"), "{text}");
    assert_eq!((exit, text.ends_with("running.\n\n")), (9, true));
    let (text, exit) = start("no-library", "550.54.15");
    assert!(text.starts_with("NVIDIA-SMI couldn't find libnvidia-ml.so"), "{text}");
    assert_eq!(exit, 12);
}

#[test]
fn a_missing_command_is_the_shells_message_on_standard_error() {
    let reply = ask(&scenario("fault = 'command-missing'"), "--query-gpu=name --format=csv");
    assert_eq!((reply.exit, reply.stdout), (127, Vec::new()));
    assert!(reply.stderr.ends_with(b"nvidia-smi: command not found\n"));
}

#[test]
fn spoiled_answers_are_spoiled_as_named() {
    let spoil = |fault: &str| {
        let scenario = scenario(&format!("dump = '{NEW}'\nfault = '{fault}'"));
        ask(&scenario, "--query-gpu=index,power.draw,name --format=csv,noheader")
    };
    let text = |fault: &str| String::from_utf8(spoil(fault).stdout).unwrap();
    assert!(text("babble").ends_with("\n0, 84.24 W, NVIDIA GeForce RTX 4080 SUPER\n"));
    assert!(text("escapes").contains("\u{1b}[2J"));
    assert!(text("comma-in-name").ends_with("4080 SUPER, Rev. B\n"));
    assert_eq!(text("wide").split(", ").count(), 10_000);
    assert!(String::from_utf8(spoil("garbage").stdout).is_err());
    assert!(matches!(spoil("flood").behavior, Behavior::Flood { bytes: 0x4000_0000 }));
    assert_eq!(spoil("hang").behavior, Behavior::Hang);
    assert_eq!(spoil("hang-ignoring-term").behavior, Behavior::HangIgnoringTerm);
}

#[test]
fn a_cut_answer_ends_within_the_last_number() {
    let scenario = scenario(&format!("dump = '{NEW}'\ngpus = 2\nfault = 'cut'"));
    let reply = ask(&scenario, "--query-gpu=index,temperature.gpu,power.limit --format=csv,noheader,nounits");
    let text = String::from_utf8(reply.stdout).unwrap();
    assert!(text.ends_with(", 320.0") && text.lines().count() == 2, "{text}");
    assert_eq!((reply.behavior, reply.exit), (Behavior::Killed, 137));
}

#[test]
fn a_slow_host_answers_late() {
    let scenario = scenario("slow = '2s'");
    let reply = ask(&scenario, "--query-gpu=index --format=csv,noheader");
    assert_eq!((reply.behavior, reply.stdout), (Behavior::Delay(Duration::from_secs(2)), b"0\n".to_vec()));
}

#[test]
fn a_wrong_scene_is_refused_with_its_reason() {
    let refused = |text: &str| Scenario::parse(text, &demo("test.toml"), dump).unwrap_err().to_string();
    assert_eq!(refused("[set]\n'power.drawn' = '1'"), "no driver knows a field `power.drawn`");
    assert_eq!(refused("gpus = 2\nhandle-lost = 2"), "there is no GPU 2: the scene has 2");
    assert_eq!(refused("driver = 'new'"), "`new` is not a driver version");
    for syntax in ["fault = 'bad'", "fualt = 'hang'", "slow = 'two'"] {
        assert!(refused(syntax).starts_with("scene `"), "{syntax}");
    }
    assert!(refused("dump = 'none.csv'").starts_with("reading `"));
}

#[test]
fn every_field_of_a_full_capture_is_answered_with_its_own_cell() {
    for (dump, driver) in [(NEW, "595.71.05"), (OLD, "465.27")] {
        let scenario = scenario(&format!("dump = '{dump}'"));
        let text = read(&demo(dump)).unwrap();
        let mut lines = text.lines();
        let header = lines.next().unwrap();
        let fields: Vec<_> = header.split(", ").map(|name| name.split(" [").next().unwrap()).collect();
        let known: Vec<_> = fields.iter().filter(|field| scenario.driver.knows(field)).copied().collect();
        assert!(known.len() + 2 >= fields.len(), "{driver}: {} of {}", known.len(), fields.len());
        let (answer, exit) = said(&scenario, &format!("--query-gpu={} --format=csv", known.join(",")));
        assert_eq!(exit, 0, "{answer}");
        for (given, original) in answer.lines().zip([header, lines.next().unwrap()]) {
            let original = original.split(", ").zip(&fields).filter(|(_, field)| known.contains(field));
            for ((given, (original, field)), known) in given.split(", ").zip(original).zip(&known) {
                assert!(
                    given == original || ["uuid", "serial"].contains(field),
                    "{known}: {given} {original}"
                );
            }
        }
    }
}

#[test]
fn the_demo_scenes_can_be_played() {
    let query = "index,uuid,name,power.draw,power.limit,temperature.gpu,memory.used,utilization.gpu";
    for (name, n_gpus) in [("redfin", 1), ("bluefin", 1), ("h100x8", 8), ("mig", 2), ("old", 2)] {
        let scenario = load(&format!("{name}.toml")).unwrap();
        assert_eq!(rows(&scenario, query).len(), n_gpus, "{name}");
    }
    let lost = load("lost.toml").unwrap();
    assert_eq!(said(&lost, "--query-gpu=index --format=csv").1, 15);
}

#[test]
fn a_loop_is_refused_at_an_interval_of_zero_and_goes_on_at_any_other() {
    let scenario = scenario("slow = '50ms'");
    let query = "--query-gpu=index --format=csv,noheader";
    for refused in ["--loop-ms=0", "-lms 0", "-l 0", "--loop=x", "-l 1 -lms 1", "-lms"] {
        assert_eq!(said(&scenario, &format!("{query} {refused}")).1, EXIT_USAGE, "{refused}");
    }
    for (looping, millis) in [("--loop-ms=100", 150), ("-lms 100", 150), ("-l 2", 2050), ("--loop=1", 1050)] {
        let reply = ask(&scenario, &format!("{query} {looping}"));
        assert_eq!(reply.behavior, Behavior::Loop(Duration::from_millis(millis)));
        assert_eq!(reply.stdout, b"0\n");
    }
}

/// The passes of a loop up to its end or its silence.
fn passes(scenario: &Scenario, args: &str, most: u64) -> Vec<PassOutput> {
    let args: Vec<_> = args.split(' ').map(str::to_owned).collect();
    (0..most).map(|number| scenario.pass(&args, number)).collect()
}

#[test]
fn the_header_comes_once_and_power_rises_by_a_watt_a_pass_for_ten_passes() {
    let scenario = scenario("[set]\n'power.draw' = '100.25 W'");
    let printed = |text: &str| PassOutput::Rows(text.as_bytes().to_vec());
    let all = passes(&scenario, "--query-gpu=power.draw --format=csv --loop-ms=1", 11);
    assert_eq!(all[..2], [printed("power.draw [W]\n100.25 W\n"), printed("101.25 W\n")]);
    assert_eq!(all[9..], [printed("109.25 W\n"), printed("100.25 W\n")]);
}

#[test]
fn a_loop_dies_stalls_or_loses_a_board_or_a_field_where_its_scene_says() {
    let query = "--query-gpu=index,utilization.gpu --format=csv,noheader,nounits --loop-ms=1";
    let dies = passes(&scenario("loop-dies-after = 1"), query, 2);
    assert!(matches!(&dies[..], [PassOutput::Rows(_), PassOutput::Died(_, EXIT_OTHER)]), "{dies:?}");
    let stalls = passes(&scenario("loop-stalls-after = 1"), query, 2);
    assert!(matches!(&stalls[..], [PassOutput::Rows(_), PassOutput::Stalled]), "{stalls:?}");
    let text = "gpus = 2\ncells-lost = 1\ncells-lost-after = 1\nunknown-in-loop = 'utilization.gpu'";
    let changed = passes(&scenario(text), query, 2);
    assert_eq!(changed[1], PassOutput::Rows(b"0, [Unknown Error]\n[GPU is lost], [GPU is lost]\n".to_vec()));
    assert!(!format!("{:?}", changed[0]).contains("lost"));
}
