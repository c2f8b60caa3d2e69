//! What the figures were taken on.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::pool::load;

/// The workspace's lock file, which names the versions that this program was built with.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The packages whose versions belong beside the figures.
const NAMED: [&str; 18] = [
    "tokio",
    "async-channel",
    "flume",
    "kanal",
    "futures-util",
    "par-stream",
    "tower",
    "parking_lot",
    "threadpool",
    "rayon",
    "crossbeam-channel",
    "dashmap",
    "scc",
    "papaya",
    "moka",
    "quick_cache",
    "foldhash",
    "hashbrown",
];

/// Machine, compiler, and versions of tokio and the rivals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor, as the system names it.
    pub cpu: String,
    /// Threads that the process may run at once.
    pub cores: usize,
    /// Operating system and architecture.
    pub system: String,
    /// What `rustc --version` says where the benches run.
    pub rustc: String,
    /// Worker threads of each runtime.
    pub workers: usize,
    /// What one job of the `1us` load takes here, alone.
    pub busy_job_ns: u64,
    /// Version by package.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// This machine. What cannot be found out is `unknown`.
    #[must_use]
    pub fn detect(workers: usize) -> Self {
        Self {
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            rustc: rustc_version(),
            workers,
            busy_job_ns: load::job_ns(load::BUSY_STEPS),
            versions: locked_versions(LOCK, &NAMED),
        }
    }
}

impl Machine {
    /// Whether figures of both may stand in one table.
    #[must_use]
    pub fn same_place(&self, other: &Self) -> bool {
        Self { busy_job_ns: other.busy_job_ns, ..self.clone() } == *other
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine: {}, {} cores, {}, {}", self.cpu, self.cores, self.system, self.rustc)?;
        for (name, version) in &self.versions {
            write!(f, ", {name} {version}")?;
        }
        write!(f, "; {} tokio workers; 1us job = {} ns", self.workers, self.busy_job_ns)
    }
}

/// Versions of `names` in the text of a lock file; the newest where there are several.
#[must_use]
pub fn locked_versions(lock: &str, names: &[&str]) -> BTreeMap<String, String> {
    let value =
        |line: &str, key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned);
    let mut versions = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(found) = value(line, "name") {
            name = Some(found);
        } else if let Some(version) = value(line, "version")
            && let Some(name) = name.take().filter(|name| names.contains(&name.as_str()))
        {
            versions.insert(name, version);
        }
    }
    versions
}

fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(':').nth(1));
    model.map_or_else(|| "unknown".to_owned(), |model| model.trim().to_owned())
}

fn rustc_version() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("--version").output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.and_then(|text| String::from_utf8(text).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
