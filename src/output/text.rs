//! One cycle for a person: a table of the GPUs, what went wrong, the total, and the battery stations. Colour
//! only repeats what the words say.

mod bar;
mod grid;
mod groups;
mod problems;
mod stations;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::batch::{GroupBy, GroupOrder, HostReport, Snapshot};
use crate::support::with_thousands;

pub(super) use bar::bar;

const INDENT: &str = "    ";

pub(super) const PLAIN: Style = Style::new();
pub(super) const HEAD: Style = Style::new().bold();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const CARE: Style = AnsiColor::Yellow.on_default();

/// Drawing more than this share of the limit asks for a look.
const DRAW_CARE_PERCENT: f64 = 90.0;

/// From here on, boards hold their clocks down or soon will.
const HOT_CELSIUS: f64 = 85.0;

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextOptions {
    /// Whether to use the terminal's colours.
    pub colour: bool,
    /// The columns of the terminal; without it, nothing is cut and nothing is wrapped.
    pub width: Option<u16>,
}

/// The groups that a table has in place of GPUs, and the way they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// The grouping.
    pub by: GroupBy,
    /// The order of the rows; without it, that of the inventory.
    pub order: Option<GroupOrder>,
    /// Whether bars are drawn.
    pub has_bars: bool,
}

/// The batch and the active alerts as text; an inventory of stations alone has no table.
pub fn text(snapshot: &Snapshot, options: &TextOptions) -> String {
    page(snapshot, options, &table::table(&snapshot.batch, options))
}

/// The same with a row a group and a total.
pub fn text_by_group(snapshot: &Snapshot, view: &GroupView, options: &TextOptions) -> String {
    page(snapshot, options, &groups::table(&snapshot.batch, view, options))
}

fn page(snapshot: &Snapshot, options: &TextOptions, table: &str) -> String {
    let Snapshot { batch, alerts, .. } = snapshot;
    let mut parts = vec![problems::problems(batch, options)];
    if !alerts.is_empty() {
        parts.push(problems::alerts(alerts, batch.started_at, options));
    }
    if !batch.reports.is_empty() {
        parts.insert(0, table.to_owned());
        parts.push(options.paint(HEAD, &cluster_line(snapshot)) + "\n");
    }
    parts.retain(|part| !part.is_empty());
    let stations = |account| stations::stations(account, batch.started_at, options);
    parts.join("\n") + &batch.account.as_ref().map(stations).unwrap_or_default()
}

fn cluster_line(Snapshot { batch, today, .. }: &Snapshot) -> String {
    let totals = batch.totals();
    let known = if totals.nodes_without_gpu_count > 0 { "known " } else { "" };
    let power = totals
        .power
        .map_or_else(|| "no power reading".to_owned(), |power| with_thousands(&power.to_string()));
    let today = today.as_ref().map(|today| format!("; today {today}")).unwrap_or_default();
    let n_maintained = batch.reports.iter().filter(|report| report.maintenance).count();
    let maintained =
        if n_maintained > 0 { format!(" ({n_maintained} in maintenance)") } else { String::new() };
    format!(
        "Cluster: {} of {} nodes{maintained}, {} of {} {known}GPUs, {power}{today}",
        totals.nodes_reporting, totals.nodes_expected, totals.gpus_reporting, totals.gpus_expected
    )
}

/// The GPUs of a host that gave no row, if there are such.
fn missing(report: &HostReport) -> Option<String> {
    let n_known = report.gpus_known().unwrap_or(0);
    let n_missing = n_known - report.gpus.len();
    if n_missing > 0 {
        Some(format!("{n_missing} of {n_known} GPUs did not answer"))
    } else {
        report.gpus.is_empty().then(|| "no GPU answered".to_owned())
    }
}

impl TextOptions {
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if self.colour && style != PLAIN { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// A line with its head in a style, broken to the width, with a line break at its end.
fn headed(head: &str, message: &str, style: Style, options: &TextOptions) -> String {
    let wrapped = wrap(&format!("{head}: {message}"), options.width);
    match wrapped.strip_prefix(head) {
        Some(rest) => format!("{}{rest}\n", options.paint(style, head)),
        None => format!("{wrapped}\n"),
    }
}

/// Broken between words to the width, the following lines indented.
fn wrap(line: &str, width: Option<u16>) -> String {
    let Some(width) = width.map(usize::from).filter(|width| *width > 2 * INDENT.len()) else {
        return line.to_owned();
    };
    broken(line, width, INDENT.len()).join(&format!("\n{INDENT}"))
}

/// Lines between whose words a text is broken, which have room for so many columns, and less by the indent from the second
/// on. A word that is wider has a line of its own.
pub(super) fn broken(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::<String>::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let room = if lines.len() > 1 { width.saturating_sub(indent) } else { width };
        match lines.last_mut().filter(|line| line.width() + 1 + word.width() <= room) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The text, cut to so many columns with an ellipsis.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    let trimmed = kept.trim_end();
    format!("{trimmed}…")
}

/// Names, each cut to so many columns: at its end, or in its middle where others would look the same.
pub(super) fn cut_apart(names: &[&str], width: usize) -> Vec<String> {
    let mut alike = BTreeMap::<String, BTreeSet<&str>>::new();
    for name in names {
        alike.entry(cut(name, width)).or_default().insert(name);
    }
    let shown = |name: &&str| {
        let cut = cut(name, width);
        if alike.get(&cut).is_some_and(|names| names.len() > 1) {
            cut_in_the_middle(name, width)
        } else {
            cut
        }
    };
    names.iter().map(shown).collect()
}

/// The text, cut to so many columns with an ellipsis between its beginning and its end.
fn cut_in_the_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let mut used = 0;
    let mut end: Vec<char> = Vec::new();
    for c in text.chars().rev() {
        used += c.width().unwrap_or(0);
        if used > room / 2 {
            break;
        }
        end.push(c);
    }
    let end: String = end.into_iter().rev().collect();
    format!("{}{end}", cut(text, width.saturating_sub(end.width())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Today, fixtures};
    use crate::reading::{Energy, Share};

    const WIDE: TextOptions = TextOptions { colour: false, width: None };

    #[test]
    fn names_that_would_look_the_same_are_cut_in_their_middle() {
        let names = ["rack-of-the-north-1", "rack-of-the-north-2", "a-long-name-of-its-own", "short"];
        assert_eq!(cut_apart(&names, 10), ["rack-…th-1", "rack-…th-2", "a-long-na…", "short"]);
    }

    #[test]
    fn the_mixed_fleet_reads_like_this() {
        insta::assert_snapshot!(text(&fixtures::fleet().into(), &WIDE), @r#"
        node     GPU  model           draw W  limit W  of limit  util %  temp °C   memory GiB  outcome
        ──────────────────────────────────────────────────────────────────────────────────────────────
        redfin     0  RTX 3090         285.5      300      95 %      98       86   0.9 / 24.0  ok
        node001    0  H100 80GB HBM3   612.2      700      88 %      98       64  69.6 / 79.6  partial
        node001    1  H100 80GB HBM3   612.2      700      88 %      98       64  69.6 / 79.6  partial
        node001    2  H100 80GB HBM3   612.2      700      88 %      98       64  69.6 / 79.6  partial
        node001    3  H100 80GB HBM3   612.2      700      88 %      98       64  69.6 / 79.6  partial
        node001    4  H100 80GB HBM3   612.2      700      88 %      98       64  69.6 / 79.6  partial
        node001    5  lost: no reading from 00000000:10:00.0
        node001    6  H100 80GB HBM3   612.2      700      88 %      98       64  69.6 / 79.6  partial
        node001    7  H100 80GB HBM3   612.2      700      88 %      98       64  69.6 / 79.6  partial
        node003  failed: the host key has changed
        mig01      0  A100-SXM4-40GB   211.4      400      53 %     n/a       64  19.3 / 40.0  ok
        spark      0  GB10              11.3      n/a       n/a       0       41          n/a  ok

        node003: the host key has changed: Host key verification failed; if the host was reinstalled, remove the old key with `ssh-keygen -R`; if not, somebody may be in between
        node001: a GPU is lost (GPU-7f9a1c00-0000-0000-0000-000000000005): [GPU is lost]; look for Xid messages in the host's kernel log; a reset or reboot is needed

        Cluster: 4 of 5 nodes, 10 of 12 GPUs, 4,794.0 W
        "#);
    }

    #[test]
    fn stations_stand_below_the_total() {
        let mut batch = fixtures::fleet();
        batch.reports.truncate(1);
        batch.account = Some(fixtures::station_report());
        insta::assert_snapshot!(text(&batch.clone().into(), &WIDE), @r#"
        node    GPU  model     draw W  limit W  of limit  util %  temp °C  memory GiB  outcome
        ──────────────────────────────────────────────────────────────────────────────────────
        redfin    0  RTX 3090   285.5      300      95 %      98       86  0.9 / 24.0  ok

        Cluster: 1 of 1 nodes, 1 of 1 GPUs, 285.5 W
        F3800 Plus: SOC 87 % in 412 W out 836 W grid 0 W solar 412 W, about 7.9 h at the present draw
        "#);
    }

    #[test]
    fn eighty_columns_are_enough() {
        let page = text(&fixtures::fleet().into(), &TextOptions { width: Some(80), ..WIDE });
        assert!(page.lines().all(|line| line.width() <= 80), "{page}");
        insta::assert_snapshot!(page, @r#"
        node    GPU model          draw W limit W util % temp °C  memory GiB outcome
        ────────────────────────────────────────────────────────────────────────────
        redfin    0 RTX 3090        285.5     300     98      86  0.9 / 24.0 ok
        node001   0 H100 80GB HBM3  612.2     700     98      64 69.6 / 79.6 partial
        node001   1 H100 80GB HBM3  612.2     700     98      64 69.6 / 79.6 partial
        node001   2 H100 80GB HBM3  612.2     700     98      64 69.6 / 79.6 partial
        node001   3 H100 80GB HBM3  612.2     700     98      64 69.6 / 79.6 partial
        node001   4 H100 80GB HBM3  612.2     700     98      64 69.6 / 79.6 partial
        node001   5 lost: no reading from 00000000:10:00.0
        node001   6 H100 80GB HBM3  612.2     700     98      64 69.6 / 79.6 partial
        node001   7 H100 80GB HBM3  612.2     700     98      64 69.6 / 79.6 partial
        node003 failed: the host key has changed
        mig01     0 A100-SXM4-40GB  211.4     400    n/a      64 19.3 / 40.0 ok
        spark     0 GB10             11.3     n/a      0      41         n/a ok

        node003: the host key has changed: Host key verification failed; if the host was
            reinstalled, remove the old key with `ssh-keygen -R`; if not, somebody may
            be in between
        node001: a GPU is lost (GPU-7f9a1c00-0000-0000-0000-000000000005): [GPU is
            lost]; look for Xid messages in the host's kernel log; a reset or reboot is
            needed

        Cluster: 4 of 5 nodes, 10 of 12 GPUs, 4,794.0 W
        "#);
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let batch = Batch { account: Some(fixtures::station_report()), ..fixtures::fleet() };
        for width in [None, Some(80), Some(40)] {
            let plain = text(&batch.clone().into(), &TextOptions { colour: false, width });
            let coloured = text(&batch.clone().into(), &TextOptions { colour: true, width });
            assert!(coloured.contains("\u{1b}[31m"), "nothing is red");
            assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
        }
    }

    #[test]
    fn a_fleet_without_a_reading_says_so() {
        let mut batch = fixtures::fleet();
        batch.reports = vec![fixtures::failed("node003")];
        assert!(
            text(&batch.clone().into(), &WIDE)
                .ends_with("Cluster: 0 of 1 nodes, 0 of 1 GPUs, no power reading\n")
        );
        batch.reports[0].gpus_expected = None;
        assert!(text(&batch.clone().into(), &WIDE).contains("0 of 0 known GPUs"));
    }

    #[test]
    fn the_day_so_far_stands_behind_the_power() {
        let today = Today {
            energy: Energy::from_millijoules(148_320_000_000),
            costs: Vec::new(),
            measured: Some(Share::from_millipercent(98_900)),
        };
        let snapshot = Snapshot { today: Some(today), ..fixtures::fleet().into() };
        assert!(text(&snapshot, &WIDE).ends_with("GPUs, 4,794.0 W; today 41.2 kWh, 98.9 % measured\n"));
    }

    #[test]
    fn text_is_cut_by_columns_of_the_screen() {
        assert_eq!(cut("RTX PRO 6000", 12), "RTX PRO 6000");
        assert_eq!(cut("RTX PRO 6000", 8), "RTX PRO…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
    }

    #[test]
    fn long_lines_are_broken_between_words_and_indented() {
        assert_eq!(wrap("one two three four five", Some(12)), "one two\n    three\n    four\n    five");
        assert_eq!(wrap("one two three", None), "one two three");
    }
}
