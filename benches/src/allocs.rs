//! Allocations an operation, counted in a process of its own.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::case::{Case, Contender, Measure};
use crate::setup::Setup;

/// What an allocator has handed out since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Allocations and reallocations.
    pub blocks: u64,
    /// Bytes of the allocations, and what reallocations added.
    pub bytes: u64,
}

/// Allocations of one contender in one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The case's name.
    pub case: String,
    /// The contender's name.
    pub contender: String,
    /// Allocations an operation.
    pub blocks: f64,
    /// Bytes an operation.
    pub bytes: f64,
    /// Bytes held an operation, where the case says when to look.
    pub held: Option<f64>,
}

/// Rows by case and contender.
#[derive(Clone, Debug, Default)]
pub struct Table(HashMap<(String, String), Row>);

impl Table {
    /// The row of `contender` in `case`.
    #[must_use]
    pub fn get(&self, case: &str, contender: &str) -> Option<&Row> {
        self.0.get(&(case.to_owned(), contender.to_owned()))
    }
}

impl FromIterator<Row> for Table {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        Self(rows.into_iter().map(|row| ((row.case.clone(), row.contender.clone()), row)).collect())
    }
}

/// Why the allocation pass gave no table.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The process could not be started or read.
    #[error("the allocation pass could not run: {0}")]
    Io(#[from] io::Error),
    /// The process failed; its own words went to standard error.
    #[error("the allocation pass ended with {0}")]
    Status(std::process::ExitStatus),
    /// The process printed something else than its rows.
    #[error("the allocation pass printed no rows: {0}")]
    Rows(#[from] serde_json::Error),
}

/// Counts every contender of `cases` with the allocator behind `count`.
///
/// Each runs twice, with `n` and `3 n` operations, and the difference is divided by `2 n`: what starting a pool or a
/// runtime allocates falls out. A case that is judged by what it holds runs once, in full.
#[must_use]
pub fn count_all(cases: &[Case], workers: usize, count: fn() -> Count, live: fn() -> u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in cases.iter().filter(|case| case.counted) {
        for contender in &case.contenders {
            let counted = |ops| counted(case, contender, ops, workers, count, live);
            let (few, many, ops) = if case.judged_by == Measure::Held {
                let ops = case.whole_ops(case.ops);
                (Counted::default(), counted(ops), ops)
            } else {
                let ops = case.whole_ops((case.ops / 16).max(1));
                (counted(ops), counted(3 * ops), 2 * ops)
            };
            let per_op = |few: u64, many: u64| (many as f64 - few as f64) / ops as f64;
            rows.push(Row {
                case: case.name.to_owned(),
                contender: contender.name.to_owned(),
                blocks: per_op(few.blocks, many.blocks),
                bytes: per_op(few.bytes, many.bytes),
                held: many.held.map(|held| per_op(few.held.unwrap_or(0), held)),
            });
        }
    }
    rows
}

/// What one run has allocated, and held.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    blocks: u64,
    bytes: u64,
    held: Option<u64>,
}

fn counted(
    case: &Case,
    contender: &Contender,
    ops: u64,
    workers: usize,
    count: fn() -> Count,
    live: fn() -> u64,
) -> Counted {
    let setup = Setup::new(case, ops, workers).with_live_bytes(live);
    let before = count();
    let checksum = (contender.run)(&setup);
    let after = count();
    assert_eq!(checksum, (case.checksum)(ops), "{}: {} lost or changed a result", case.name, contender.name);
    Counted { blocks: after.blocks - before.blocks, bytes: after.bytes - before.bytes, held: setup.notes().held }
}

/// Runs the counting program at `program` over the cases that `args` select.
///
/// # Errors
/// [`PassError`] if it cannot be started, fails, or prints no rows.
pub fn run_pass(program: &Path, args: &Args) -> Result<Table, PassError> {
    let mut command = Command::new(program);
    command.args(["--workers", &args.worker_threads().to_string()]);
    if args.quick {
        command.arg("--quick");
    }
    if let Some(only) = &args.only {
        command.args(["--only", only]);
    }
    let output = command.args(&args.filters).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(PassError::Status(output.status));
    }
    let rows: Vec<Row> = serde_json::from_slice(&output.stdout)?;
    Ok(rows.into_iter().collect())
}
