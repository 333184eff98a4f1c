//! The page in a browser: on screens, phones and paper, with and without its script.
//!
//! `FLEETWATT_PAGE_PICTURES=DIR` keeps the pictures.

use std::path::PathBuf;

use serde_json::json;

use super::chromium::Chromium;
use super::sample::Plan;
use super::{hostile, month};
use crate::faults::say;
use fleetwatt::output::page;

/// A browser and a folder with the page of a report.
struct Stage {
    chromium: Chromium,
    folder: tempfile::TempDir,
}

impl Stage {
    /// `None` if there is no browser.
    fn start() -> Option<Self> {
        let Some(chromium) = Chromium::start() else {
            say("passed over: Chromium is not installed (apt-get install chromium)");
            return None;
        };
        Some(Self { chromium, folder: tempfile::tempdir().unwrap() })
    }

    fn file(&self, html: &str) -> PathBuf {
        let path = self.folder.path().join("report.html");
        std::fs::write(&path, html).unwrap();
        path
    }

    fn open(&mut self, plan: &Plan, width: u32, scheme: &str, has_script: bool) {
        let file = self.file(&page(&plan.report()));
        self.chromium.set_up(width, scheme, has_script);
        self.chromium.open(&file);
    }

    fn keep_picture(&mut self, name: &str) {
        let picture = self.chromium.screenshot();
        keep(&format!("{name}.png"), &picture);
    }

    fn text(&mut self, expression: &str) -> String {
        self.chromium.evaluate(expression).as_str().unwrap().to_owned()
    }
}

/// Keeps a file, where somebody asked for it.
fn keep(name: &str, bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("FLEETWATT_PAGE_PICTURES") {
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// How much wider the page is than the screen.
const OVERFLOW: &str = "document.documentElement.scrollWidth - innerWidth";

#[test]
fn the_page_asks_for_nothing_complains_of_nothing_and_fits_every_screen() {
    let Some(mut stage) = Stage::start() else { return };
    for (name, plan) in [("month", month()), ("hostile", hostile())] {
        for (width, scheme) in [(1200, "light"), (1200, "dark"), (390, "light"), (390, "dark")] {
            stage.open(&plan, width, scheme, true);
            stage.keep_picture(&format!("{name}-{width}-{scheme}"));
            assert_eq!(stage.chromium.complaints(), [""; 0], "{name} {width} {scheme}");
            let overflow = stage.chromium.evaluate(OVERFLOW);
            assert!(overflow.as_i64().unwrap() <= 0, "{name} {width}: {overflow} too wide");
        }
    }
}

#[test]
fn dark_and_light_are_different() {
    let Some(mut stage) = Stage::start() else { return };
    let colour = "getComputedStyle(document.body).backgroundColor";
    stage.open(&month(), 1200, "light", true);
    assert_eq!(stage.text(colour), "rgb(255, 255, 255)");
    stage.open(&month(), 1200, "dark", true);
    assert_eq!(stage.text(colour), "rgb(20, 24, 29)");
}

#[test]
fn hostile_names_run_nothing() {
    let Some(mut stage) = Stage::start() else { return };
    stage.open(&hostile(), 1200, "light", true);
    assert!(stage.text("document.title").starts_with("GPU energy, "));
    assert_eq!(stage.chromium.evaluate("document.images.length + document.scripts.length"), json!(1));
    let with_handler = "[...document.querySelectorAll('*')]
        .filter(one => one.getAttributeNames().some(name => name.startsWith('on'))).length";
    assert_eq!(stage.chromium.evaluate(with_handler), json!(0));
    assert_eq!(stage.chromium.complaints(), [""; 0]);
}

#[test]
fn a_heading_sorts_its_table_by_click_and_key_and_sums_stay_last() {
    let Some(mut stage) = Stage::start() else { return };
    stage.open(&month(), 1200, "light", true);
    let names =
        "[...document.querySelectorAll('#nodes > .tw tbody th bdi')].map(th => th.textContent).join(' ')";
    let last = "document.querySelector('#nodes > .tw tbody').lastElementChild.cells[0].textContent";
    let heading = "document.querySelector('#nodes > .tw thead th')";
    let before = stage.text(names);
    stage.chromium.evaluate(&format!("{heading}.click()"));
    let sorted = stage.text(names);
    assert_eq!(sorted, "hgx-01 hgx-02 hgx-03 hgx-04 hgx-05 hgx-06 hgx-07 hgx-08 hgx-09");
    assert_ne!(before, sorted);
    let enter = "dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))";
    stage.chromium.evaluate(&format!("{heading}.{enter}"));
    assert!(stage.text(names).starts_with("hgx-09 hgx-08"));
    assert_eq!(stage.text(&format!("{heading}.getAttribute('aria-sort')")), "descending");
    assert_eq!(stage.text(last), "All 9 nodes");
}

#[test]
fn the_read_out_tells_time_and_power_and_what_was_not_measured() {
    let Some(mut stage) = Stage::start() else { return };
    stage.open(&month(), 1200, "light", true);
    let mut read_out = |column: f64| {
        // 28 days and an hour have 2,692 quarters.
        stage.text(&format!(
            "(() => {{ const pane = document.querySelector('.tall .pane'), box = pane.getBoundingClientRect();
             pane.dispatchEvent(new PointerEvent('pointermove', {{ clientX: box.left + box.width * {} }}));
             return document.getElementById('tip').innerText; }})()",
            (column + 0.5) / 2692.0
        ))
    };
    // 12 November 02:15 is 15 days, an hour and 9 quarters after the beginning: 1,453.
    let text = read_out(1453.0);
    assert!(text.starts_with("Thu 12 Nov") && text.contains("02:15"), "{text}");
    assert!(text.contains("hgx-03\tnot measured"), "{text}");
    assert!(read_out(2151.0).contains("all\tnot measured"));
}

#[test]
fn without_a_script_a_week_and_a_day_can_be_looked_at() {
    let Some(mut stage) = Stage::start() else { return };
    stage.open(&month(), 1200, "light", false);
    // Evaluation from outside works; the page's own script did not run.
    assert_eq!(stage.chromium.evaluate("document.querySelectorAll('th[tabindex]').length"), json!(0));
    let width = "document.querySelector('.tall .inner').offsetWidth / document.querySelector('.tall .scroll').clientWidth";
    let wider = |stage: &mut Stage, id: &str| {
        stage.chromium.evaluate(&format!("document.getElementById('{id}').checked = true"));
        stage.chromium.evaluate(width).as_f64().unwrap()
    };
    assert!((wider(&mut stage, "z0") - 1.0).abs() < 0.01);
    assert!((wider(&mut stage, "z1") - 2692.0 / 96.0 / 7.0).abs() < 0.01);
    stage.keep_picture("month-zoomed-to-a-week");
    assert!((wider(&mut stage, "z2") - 2692.0 / 96.0).abs() < 0.01);
}

#[test]
fn a_month_is_printed_on_four_sheets_or_less() {
    let Some(mut stage) = Stage::start() else { return };
    stage.open(&month(), 1200, "dark", true);
    let (pdf, n_sheets) = stage.chromium.print();
    keep("month.pdf", &pdf);
    assert!((1..=4).contains(&n_sheets), "{n_sheets} sheets");
}
