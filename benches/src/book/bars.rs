//! Sheets of bar charts: a panel a case, a bar a contender, the best on top.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::book::{BookError, plot};
use crate::case::Measure;
use crate::json::{CaseReport, ContenderReport};

/// What a bar shows.
pub type Figure = fn(&ContenderReport) -> Option<f64>;

/// A sheet: file, caption, which cases it has, and which figure.
pub type Sheet = (&'static str, &'static str, fn(&CaseReport) -> bool, Figure);

/// All sheets of bars.
pub const SHEETS: &[Sheet] = &[
    (
        "pool-cpu.svg",
        "Pools: CPU nanoseconds a job",
        |case| case.name.starts_with("pool/") && case.judged_by == Measure::Cpu,
        |contender| Some(contender.cpu_ns.median),
    ),
    (
        "pool-wall.svg",
        "Threads and timers: wall nanoseconds a job",
        |case| case.name.starts_with("pool/") && case.judged_by == Measure::Wall,
        |contender| Some(contender.wall_ns.median),
    ),
    (
        "latency.svg",
        "Latency that one operation in a hundred exceeds, in nanoseconds",
        |case| case.contenders.iter().any(|contender| contender.latency.is_some()),
        |contender| contender.latency.map(|latency| latency.p99),
    ),
    (
        "memory.svg",
        "Bytes held: an entry of a map of a million, a submitter that waits",
        |case| case.contenders.iter().any(|contender| held(contender).is_some()),
        held,
    ),
];

fn held(contender: &ContenderReport) -> Option<f64> {
    contender.allocs.and_then(|allocs| allocs.held)
}

const COLUMNS: usize = 3;
const PANEL: (u32, u32) = (400, 24);
const BAR: i32 = 18;
const HEAD: i32 = 30;
const TITLE: i32 = 40;
/// Where bars begin, and the longest bar.
const NAMES: i32 = 165;
const LONGEST: i32 = 160;

const OURS: RGBColor = RGBColor(196, 78, 20);
const OUR_OTHER: RGBColor = RGBColor(230, 165, 120);
const RIVAL: RGBColor = RGBColor(150, 170, 190);
const INK: RGBColor = RGBColor(40, 40, 40);

/// Bars longer than so many times the middle one are cut.
const CUT: f64 = 3.0;

/// Draws the sheet of `cases` into the SVG file at `path`.
///
/// # Errors
/// [`BookError::Plot`] if it cannot be written.
pub fn draw(path: &Path, caption: &str, cases: &[&CaseReport], figure: Figure) -> Result<(), BookError> {
    let tallest = cases.iter().map(|case| case.contenders.len()).max().unwrap_or(1);
    let height = HEAD as u32 + PANEL.1 + BAR as u32 * tallest as u32;
    let columns = COLUMNS.min(cases.len()).max(1);
    let rows = cases.len().div_ceil(columns);
    let size = (PANEL.0 * columns as u32, TITLE as u32 + height * rows as u32);
    let sheet = SVGBackend::new(path, size).into_drawing_area();
    sheet.fill(&WHITE).map_err(plot)?;
    let (title, body) = sheet.split_vertically(TITLE);
    text(&title, caption, (16, TITLE / 2), 20, HPos::Left)?;
    for (panel, case) in body.split_evenly((rows, columns)).iter().zip(cases) {
        draw_case(panel, case, figure)?;
    }
    sheet.present().map_err(plot)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_case(panel: &Area<'_>, case: &CaseReport, figure: Figure) -> Result<(), BookError> {
    text(panel, &case.name, (16, HEAD / 2), 15, HPos::Left)?;
    let ours = case.contenders.first().map_or("", |ours| ours.name.as_str());
    let mut bars: Vec<(&str, f64)> =
        case.contenders.iter().filter_map(|contender| Some((contender.name.as_str(), figure(contender)?))).collect();
    bars.sort_by(|a, b| a.1.total_cmp(&b.1));
    let middle = bars.get(bars.len() / 2).map_or(1.0, |bar| bar.1);
    let full = bars.iter().map(|bar| bar.1).fold(0.0, f64::max).min(CUT * middle).max(f64::MIN_POSITIVE);
    for (row, (name, value)) in bars.into_iter().enumerate() {
        let top = HEAD + BAR * row as i32;
        let cut = value > full;
        let length = (f64::from(LONGEST) * (value / full).min(1.0)).round() as i32;
        let color = match name {
            _ if name == ours => OURS,
            _ if name.starts_with("flowgate") => OUR_OTHER,
            _ => RIVAL,
        };
        let bar = Rectangle::new([(NAMES, top + 2), (NAMES + length.max(1), top + BAR - 3)], color.filled());
        panel.draw(&bar).map_err(plot)?;
        text(panel, name, (NAMES - 6, top + BAR / 2), 12, HPos::Right)?;
        let label = format!("{}{}", if cut { "» " } else { "" }, grouped(value));
        text(panel, &label, (NAMES + length + 5, top + BAR / 2), 12, HPos::Left)?;
    }
    Ok(())
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), size: i32, side: HPos) -> Result<(), BookError> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text, at, style)).map_err(plot)
}

/// A figure with three digits or more, its thousands apart.
#[must_use]
pub fn grouped(value: f64) -> String {
    if value < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
