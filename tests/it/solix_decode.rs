//! `solix decode`: frames as people have them, and what is wrong with them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::fs::File;

use serde_json::Value;

use crate::program::{Home, Ran};

/// Versions of a C1000, an answer (0830).
const VERSIONS: &str = "ff091d0003000f083000a10876302e322e332e31a20676312e352e39c1";

fn decode(args: &[&str]) -> Ran {
    Home::new().run(&[&["solix", "decode"], args].concat())
}

/// With these lines on standard input.
fn decode_lines(args: &[&str], lines: &str) -> (Option<i32>, String, String) {
    let home = Home::new();
    std::fs::write(home.path("lines"), lines).unwrap();
    let mut command = home.command(&[&["solix", "decode"], args].concat());
    let output = command.stdin(File::open(home.path("lines")).unwrap()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn message() -> String {
    let path = format!("{}/fixtures/solix/receive-pipeline.json", env!("CARGO_MANIFEST_DIR"));
    let pipeline: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    pipeline["messages"][0]["message"].to_string()
}

#[test]
fn a_frame_is_shown_field_by_field() {
    let ran = decode(&["--model", "A1761", VERSIONS]);
    assert_eq!(ran.code, Some(0));
    insta::assert_snapshot!(ran.stdout, @r"
    A1761 0830, 2 fields, status 00, checksum ok
    tag  type  name        value     unit  bytes
    ───────────────────────────────────────────────────────
    a1         hw_version  v0.2.3.1        76302e322e332e31
    a2         sw_version  v1.5.9          76312e352e39
    ");
}

#[test]
fn the_same_frame_in_another_form_is_shown_alike() {
    let spaced = VERSIONS.replace("00", " 00 ");
    let base64 = "/wkdAAMADwgwAKEIdjAuMi4zLjGiBnYxLjUuOcE=";
    let shown = decode(&["--model", "A1761", VERSIONS]).stdout;
    assert_eq!(decode(&["--model", "a1761", &spaced]).stdout, shown);
    assert_eq!(decode(&["--model", "A1761", base64]).stdout, shown);
}

#[test]
fn a_whole_message_names_its_model_itself() {
    let (code, stdout, stderr) = decode_lines(&["--format", "json"], &format!("\n{}\n", message()));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["schema"], "fleetwatt.solix.decode/1");
    let frame = &document["frames"][0];
    assert_eq!((&frame["model"], &frame["type"]), (&Value::from("A1790P"), &Value::from("0405")));
    assert_eq!(frame["values"]["output_power_total"], 435);
}

#[test]
fn lines_that_are_wrong_are_named_and_the_others_shown() {
    let (code, stdout, stderr) =
        decode_lines(&["--model", "A1761"], &format!("{VERSIONS}\nff091\n{{}}\nff09\n"));
    assert_eq!(code, Some(3));
    assert!(stdout.starts_with("A1761 0830, 2 fields, status 00, checksum ok\n"), "{stdout}");
    insta::assert_snapshot!(stderr, @r"
    error: line 2: half a byte at the end, or something that is no hexadecimal digit
    error: line 3: the message carries neither `data` nor `trans`
    error: line 4: a frame has at least 10 bytes, this has 2
    ");
}

#[test]
fn a_frame_without_a_model_is_a_wrong_call_and_an_unreadable_one_gives_nothing() {
    assert_eq!(decode(&[VERSIONS]).code, Some(2));
    assert_eq!(decode(&["--model", "A9999", VERSIONS]).code, Some(2));
    assert_eq!(decode(&["--model", "A1761", "zz"]).code, Some(1));
    assert_eq!(decode_lines(&["--model", "A1761"], "\n").0, Some(1));
}

#[test]
fn a_wrong_checksum_is_said_and_the_frame_shown() {
    let broken = VERSIONS.replace("39c1", "39c2");
    let ran = decode(&["--model", "A1761", &broken]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("CHECKSUM WRONG") && ran.stdout.contains("v1.5.9"), "{}", ran.stdout);
}
