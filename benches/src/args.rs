//! Command line of `ratios` and `allocs`.

use crate::case::Case;

/// What the command line asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// `--bench`, which cargo appends under `cargo bench`. Without it (`cargo test --benches`) every contender runs
    /// once, briefly, and only its checksum is asserted.
    pub bench: bool,
    /// `--quick`: seven rounds, sized to end within [`QUICK_BUDGET`](crate::harness::QUICK_BUDGET).
    pub quick: bool,
    /// `--json`: one JSON object on standard output instead of text.
    pub json: bool,
    /// `--list`: names of cases and contenders only.
    pub list: bool,
    /// `--help`.
    pub help: bool,
    /// `--no-allocs`: leave the allocation pass out.
    pub no_allocs: bool,
    /// `--workers N`: worker threads of each runtime, two unless told otherwise.
    pub workers: Option<usize>,
    /// `--rounds N`: measured rounds.
    pub rounds: Option<usize>,
    /// `--only NAME`: this contender alone, for a profiler.
    pub only: Option<String>,
    /// Cases whose name contains any of these; all cases if empty.
    pub filters: Vec<String>,
}

/// Why a command line was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// An option that does not exist.
    #[error("unknown option {0}")]
    Unknown(String),
    /// An option that needs a value and stood last.
    #[error("{0} needs a value")]
    Missing(&'static str),
    /// A value that is not a number from 1 up.
    #[error("{option} needs a number from 1 up, not {value}")]
    NotANumber {
        /// The option.
        option: &'static str,
        /// What stood there.
        value: String,
    },
}

/// The text of `--help`.
pub const USAGE: &str = "\
usage: cargo bench --bench ratios -- [OPTIONS] [FILTER]...

FILTER            only cases whose name contains FILTER (several: any of them)
--quick           seven shorter rounds, within 50 s a concept; some cases only if named in full
--json            one JSON object on standard output
--workers N       worker threads of each runtime (2)
--rounds N        measured rounds (15, with --quick 7)
--only NAME       only this contender, for a profiler
--no-allocs       leave the allocation pass out
--list            names of cases and contenders";

impl Args {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// [`ArgsError`] for an unknown option, a missing value or a value that is not a positive number.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, ArgsError> {
        let mut parsed = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => parsed.bench = true,
                "--quick" => parsed.quick = true,
                "--json" => parsed.json = true,
                "--list" => parsed.list = true,
                "--help" | "-h" => parsed.help = true,
                "--no-allocs" => parsed.no_allocs = true,
                "--workers" => parsed.workers = Some(positive("--workers", args.next())?),
                "--rounds" => parsed.rounds = Some(positive("--rounds", args.next())?),
                "--only" => parsed.only = Some(args.next().ok_or(ArgsError::Missing("--only"))?),
                option if option.starts_with('-') => return Err(ArgsError::Unknown(arg)),
                _ => parsed.filters.push(arg),
            }
        }
        Ok(parsed)
    }

    /// Worker threads of each runtime.
    #[must_use]
    pub fn worker_threads(&self) -> usize {
        self.workers.unwrap_or(2)
    }

    /// The cases that the filters, `--quick` and `--only` leave; a case without a contender left is dropped.
    #[must_use]
    pub fn select(&self, cases: Vec<Case>) -> Vec<Case> {
        let wanted =
            |name: &str| self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()));
        let whole = |case: &Case| !self.quick || case.in_quick || self.filters.iter().any(|filter| filter == case.name);
        let mut selected: Vec<Case> = cases.into_iter().filter(|case| wanted(case.name) && whole(case)).collect();
        if self.quick {
            for case in &mut selected {
                case.shape.keys = case.shape.keys.min(case.quick_keys);
            }
        }
        if let Some(only) = &self.only {
            for case in &mut selected {
                case.contenders.retain(|contender| contender.name == only);
            }
        }
        selected.retain(|case| !case.contenders.is_empty());
        selected
    }
}

fn positive(option: &'static str, value: Option<String>) -> Result<usize, ArgsError> {
    let value = value.ok_or(ArgsError::Missing(option))?;
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(ArgsError::NotANumber { option, value }),
    }
}
