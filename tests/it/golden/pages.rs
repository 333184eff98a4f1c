//! What the program says of itself, and of an inventory that is wrong.

use super::{Scene, repository};
use crate::program::Home;

/// The names under `Commands:` of a help text.
fn commands(help: &str) -> Vec<String> {
    let list = help.split_once("\nCommands:\n").map_or("", |(_, list)| list);
    let lines = list.lines().take_while(|line| !line.is_empty());
    let name = |line: &str| line.strip_prefix("  ")?.split_whitespace().next().map(str::to_owned);
    let is_own = |line: &&str| !line.starts_with("   ");
    lines.filter(is_own).filter_map(name).filter(|name| name != "help").collect()
}

/// The help and the manual page of a command and of all below it.
fn walk(home: &Home, path: &[String], scene: &mut Scene) {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let name = std::iter::once("fleetwatt").chain(words.iter().copied()).collect::<Vec<_>>().join("-");
    let help = home.run(&[&words[..], &["--help"]].concat());
    let short = home.run(&[&words[..], &["-h"]].concat());
    assert_eq!((help.code, short.code), (Some(0), Some(0)), "{name}");
    let both = format!("{}\n--- -h\n\n{}", help.stdout, short.stdout);
    scene.keep(&format!("{name}.help.txt"), home, &both);
    let page = home.run(&[&["man"], &words[..]].concat());
    assert_eq!(page.code, Some(0), "{name}: {}", page.stderr);
    scene.keep(&format!("{name}.1"), home, &page.stdout);
    for command in commands(&help.stdout) {
        walk(home, &[path, &[command]].concat(), scene);
    }
}

#[test]
fn help_and_manual_pages() {
    let (mut scene, home) = (Scene::new("pages"), Home::new());
    walk(&home, &[], &mut scene);
    scene.keep("fleetwatt-inventory.5", &home, &home.run(&["man", "inventory"]).stdout);
    scene.keep("completions.bash", &home, &home.run(&["completions", "bash"]).stdout);
    scene.finish();
}

#[test]
fn inventories_that_are_wrong_and_the_examples() {
    let (mut scene, home) = (Scene::new("inventories"), Home::new());
    for folder in ["fixtures/inventory", "inventory"] {
        for file in super::names_in(&repository(folder)) {
            let path = repository(folder).join(&file);
            let ran = home.run(&["check", "--list", "--inventory", path.to_str().unwrap()]);
            let text: String = ran.stdout.lines().take(40).map(|line| format!("{line}\n")).collect();
            let code = ran.code.unwrap();
            scene.keep(
                &file.replace(".toml", ".txt"),
                &home,
                &format!("exit code {code}\n{text}{}", ran.stderr),
            );
        }
    }
    scene.finish();
}
