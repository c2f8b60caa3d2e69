//! The sheet of maps: throughput over the number of threads, a panel a load, a line a map.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::book::{BookError, plot};
use crate::json::{CaseReport, Report};

/// File and caption.
pub const SHEET: (&str, &str) = ("map-threads.svg", "Maps: million operations a second on 1, 2, 4 and 8 threads");

/// A load on several numbers of threads.
#[derive(Clone, Debug)]
pub struct Load<'r> {
    /// `map/<load>`.
    pub name: &'r str,
    /// Number of threads, and the case.
    pub cases: Vec<(usize, &'r CaseReport)>,
}

/// The loads of maps that were run on more than one number of threads.
#[must_use]
pub fn loads(report: &Report) -> Vec<Load<'_>> {
    let mut loads: Vec<Load<'_>> = Vec::new();
    for case in report.cases.iter().filter(|case| case.name.starts_with("map/")) {
        let Some((name, threads)) = case.name.rsplit_once("/t") else { continue };
        let Ok(threads) = threads.parse() else { continue };
        match loads.iter_mut().find(|load| load.name == name) {
            Some(load) => load.cases.push((threads, case)),
            None => loads.push(Load { name, cases: vec![(threads, case)] }),
        }
    }
    loads.retain(|load| load.cases.len() > 1);
    loads
}

const COLUMNS: usize = 3;
const PANEL: (u32, u32) = (400, 270);
const HEAD: i32 = 76;

/// A color for each map; ours stands out.
const COLORS: [RGBColor; 9] = [
    RGBColor(196, 78, 20),
    RGBColor(31, 90, 160),
    RGBColor(110, 170, 220),
    RGBColor(30, 130, 90),
    RGBColor(130, 190, 110),
    RGBColor(130, 90, 160),
    RGBColor(180, 60, 110),
    RGBColor(120, 120, 120),
    RGBColor(190, 160, 60),
];

/// Draws the sheet into the SVG file at `path`.
///
/// # Errors
/// [`BookError::Plot`] if it cannot be written.
pub fn draw(path: &Path, caption: &str, loads: &[Load<'_>]) -> Result<(), BookError> {
    let columns = COLUMNS.min(loads.len()).max(1);
    let rows = loads.len().div_ceil(columns);
    let size = (PANEL.0 * columns as u32, HEAD as u32 + PANEL.1 * rows as u32);
    let sheet = SVGBackend::new(path, size).into_drawing_area();
    sheet.fill(&WHITE).map_err(plot)?;
    let names = names(loads);
    let (head, body) = sheet.split_vertically(HEAD);
    let left = |size: i32| {
        TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(Pos::new(HPos::Left, VPos::Center))
    };
    head.draw(&Text::new(caption, (16, 20), left(20))).map_err(plot)?;
    let step = (size.0 as i32 - 32) / names.len().max(1) as i32;
    for (place, name) in names.iter().enumerate() {
        let x = 16 + step * place as i32;
        head.draw(&Rectangle::new([(x, 52), (x + 14, 57)], color(place).filled())).map_err(plot)?;
        head.draw(&Text::new((*name).to_owned(), (x + 19, 55), left(13))).map_err(plot)?;
    }
    for (panel, load) in body.split_evenly((rows, columns)).iter().zip(loads) {
        draw_load(panel, load, &names)?;
    }
    sheet.present().map_err(plot)
}

const INK: RGBColor = RGBColor(40, 40, 40);

fn color(place: usize) -> RGBColor {
    COLORS[place % COLORS.len()]
}

/// Every contender once, in the order of the cases.
fn names<'r>(loads: &[Load<'r>]) -> Vec<&'r str> {
    let mut names = Vec::new();
    for contender in loads.iter().flat_map(|load| &load.cases).flat_map(|(_, case)| &case.contenders) {
        if !names.contains(&contender.name.as_str()) {
            names.push(&contender.name);
        }
    }
    names
}

fn draw_load(
    panel: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    load: &Load<'_>,
    names: &[&str],
) -> Result<(), BookError> {
    let line = |name: &str| -> Vec<(f64, f64)> {
        let point = |(place, (_, case)): (usize, &(usize, &CaseReport))| {
            let contender = case.contenders.iter().find(|contender| contender.name == name)?;
            Some((place as f64, 1e3 / contender.wall_ns.median))
        };
        load.cases.iter().enumerate().filter_map(point).collect()
    };
    let lines: Vec<_> = names.iter().map(|name| line(name)).collect();
    let top = lines.iter().flatten().map(|point| point.1).fold(0.0, f64::max) * 1.1;
    let last = (load.cases.len() - 1) as f64;
    let mut chart = ChartBuilder::on(panel)
        .caption(load.name, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(42)
        .build_cartesian_2d(-0.15..last + 0.15, 0.0..top.max(f64::MIN_POSITIVE))
        .map_err(plot)?;
    let threads = |place: &f64| {
        let case = load.cases.get(place.round() as usize).filter(|_| (place - place.round()).abs() < 0.01);
        case.map_or_else(String::new, |(threads, _)| threads.to_string())
    };
    chart
        .configure_mesh()
        .x_labels(load.cases.len())
        .x_label_formatter(&threads)
        .y_labels(5)
        .light_line_style(WHITE)
        .draw()
        .map_err(plot)?;
    // Ours last, over the others.
    for (place, points) in lines.into_iter().enumerate().rev() {
        let style = color(place).stroke_width(if place == 0 { 3 } else { 1 });
        chart.draw_series(LineSeries::new(points.iter().copied(), style)).map_err(plot)?;
        let dots =
            points.into_iter().map(|point| Circle::new(point, if place == 0 { 4 } else { 2 }, color(place).filled()));
        chart.draw_series(dots).map_err(plot)?;
    }
    Ok(())
}
