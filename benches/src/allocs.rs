//! Allocations an operation, counted in a process of its own.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::case::{Case, Contender, Setup};

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
/// runtime allocates falls out.
#[must_use]
pub fn count_all(cases: &[Case], workers: usize, count: fn() -> Count) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in cases {
        let ops = case.whole_ops((case.ops / 16).max(1));
        for contender in &case.contenders {
            let few = counted(case, contender, ops, workers, count);
            let many = counted(case, contender, 3 * ops, workers, count);
            let per_op = |few: u64, many: u64| (many as f64 - few as f64) / (2 * ops) as f64;
            rows.push(Row {
                case: case.name.to_owned(),
                contender: contender.name.to_owned(),
                blocks: per_op(few.blocks, many.blocks),
                bytes: per_op(few.bytes, many.bytes),
            });
        }
    }
    rows
}

fn counted(case: &Case, contender: &Contender, ops: u64, workers: usize, count: fn() -> Count) -> Count {
    let setup = Setup::new(case.shape, ops, workers);
    let before = count();
    let checksum = (contender.run)(&setup);
    let after = count();
    assert_eq!(checksum, (case.checksum)(ops), "{}: {} lost or changed a result", case.name, contender.name);
    Count { blocks: after.blocks - before.blocks, bytes: after.bytes - before.bytes }
}

/// Runs the counting program at `program` over the cases that `args` select.
///
/// # Errors
/// [`PassError`] if it cannot be started, fails, or prints no rows.
pub fn run_pass(program: &Path, args: &Args) -> Result<Table, PassError> {
    let mut command = Command::new(program);
    command.args(["--workers", &args.worker_threads().to_string()]);
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
