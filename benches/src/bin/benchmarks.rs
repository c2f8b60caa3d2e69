//! `benchmarks RESULTS.json...`: writes BENCHMARKS.md and its plots from what `ratios --json` has printed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flowgate_benches::book;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let written = book::read(&files).and_then(|report| book::write(&report, &root));
    if let Err(error) = written {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
