//! BENCHMARKS.md and its plots, from what `ratios --json` printed.

pub mod bars;
pub mod curves;
pub mod tables;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::json::{CaseReport, Report};

/// Where the plots lie, below the root of the repository.
pub const PLOTS: &str = "benches/plots";

/// Why a book could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what `ratios --json` prints.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The results were taken in different places.
    #[error("the results are of different machines or versions, which no table may mix")]
    Mixed,
    /// No result was named.
    #[error("name at least one file that `ratios --json` has printed")]
    Empty,
    /// A plot could not be drawn.
    #[error("a plot could not be drawn: {0}")]
    Plot(String),
}

impl BookError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::File { path: path.to_owned(), source }
    }
}

/// What plotters says of any backend.
pub(crate) fn plot(error: impl fmt::Display) -> BookError {
    BookError::Plot(error.to_string())
}

/// Reads reports and makes one of them, its cases in the order of the files; of a case that is in several, the last.
///
/// # Errors
/// [`BookError`] if there is none, one cannot be read, or they are not from one machine and one set of versions.
pub fn read(files: &[PathBuf]) -> Result<Report, BookError> {
    let mut whole: Option<Report> = None;
    for path in files {
        let text = std::fs::read_to_string(path).map_err(BookError::file(path))?;
        let part: Report =
            serde_json::from_str(&text).map_err(|source| BookError::Json { path: path.clone(), source })?;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) if whole.machine.same_place(&part.machine) => {
                whole.quick |= part.quick;
                whole.cases.retain(|case| part.cases.iter().all(|newer| newer.name != case.name));
                whole.cases.extend(part.cases);
            }
            Some(_) => return Err(BookError::Mixed),
        }
    }
    whole.ok_or(BookError::Empty)
}

/// Writes BENCHMARKS.md and the plots into the repository at `root`.
///
/// # Errors
/// [`BookError`] if a file cannot be read or written, or a plot not drawn.
pub fn write(report: &Report, root: &Path) -> Result<(), BookError> {
    let notes = root.join("benches/notes.md");
    let notes = std::fs::read_to_string(&notes).map_err(BookError::file(&notes))?;
    let folder = root.join(PLOTS);
    std::fs::create_dir_all(&folder).map_err(BookError::file(&folder))?;
    let plots = plots(report, &folder)?;
    let book = root.join("BENCHMARKS.md");
    std::fs::write(&book, tables::book(report, &plots, &notes)).map_err(BookError::file(&book))
}

/// A plot: its file's name, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// Name of the file in [`PLOTS`].
    pub file: &'static str,
    /// What it shows.
    pub caption: &'static str,
}

/// Draws every plot for which there are cases.
fn plots(report: &Report, folder: &Path) -> Result<Vec<Plot>, BookError> {
    let mut drawn = Vec::new();
    for (file, caption, prefix, figure) in bars::SHEETS {
        let cases: Vec<&CaseReport> = report.cases.iter().filter(|case| prefix(case)).collect();
        if !cases.is_empty() {
            bars::draw(&folder.join(file), caption, &cases, *figure)?;
            drawn.push(Plot { file, caption });
        }
    }
    let loads = curves::loads(report);
    if !loads.is_empty() {
        let (file, caption) = curves::SHEET;
        curves::draw(&folder.join(file), caption, &loads)?;
        drawn.push(Plot { file, caption });
    }
    Ok(drawn)
}
