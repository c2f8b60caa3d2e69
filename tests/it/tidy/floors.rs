//! A file imports only from the floors below its own, and each foreign thing has one door.

use super::items::{Brace, headers};
use super::paths::{paths, words};
use super::source::File;
use super::{Sources, accepts, holds, sees};

/// A module of the library (or one file of it) and the modules it may name besides itself.
struct Floor {
    /// The start of the paths it governs; the longest match counts.
    files: &'static str,
    may_name: &'static [&'static str],
}

/// From the ground up. `src/lib.rs` and `src/docs/` are not here: they hold no code at all.
const FLOORS: &[Floor] = &[
    Floor { files: "src/shim.rs", may_name: &[] },
    Floor { files: "src/rt", may_name: &["shim", "contain"] },
    Floor { files: "src/contain.rs", may_name: &[] },
    Floor { files: "src/kernel/", may_name: &["shim"] },
    Floor { files: "src/retry/", may_name: &["shim"] },
    Floor { files: "src/retry/run.rs", may_name: &["shim", "rt"] },
    Floor { files: "src/map/", may_name: &["shim", "rt", "contain", "kernel", "retry"] },
    Floor { files: "src/pool/", may_name: &["shim", "rt", "contain", "kernel", "retry"] },
    Floor { files: "src/fan/", may_name: &["shim", "rt", "contain", "kernel", "retry"] },
    Floor { files: "src/pipeline/", may_name: &["shim", "rt", "contain", "kernel", "retry", "pool", "fan"] },
];

/// A crate that one file alone names, and what the others name instead.
const DOORS: &[(&str, &str, &str)] = &[
    ("tokio", "src/rt.rs", "crate::rt"),
    ("tokio_util", "src/rt.rs", "crate::rt"),
    ("crossbeam_channel", "src/rt.rs", "crate::rt::channel"),
    ("fastrand", "src/rt.rs", "crate::rt::random"),
    ("parking_lot", "src/shim.rs", "crate::shim"),
];

/// Words that a kernel does not know.
const NOT_IN_KERNELS: &[&str] = &["tokio", "tokio_util", "futures", "Instant", "SystemTime", "Runtime"];

fn check(files: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.rust("src/") {
        if file.path == "src/lib.rs" || file.path.starts_with("src/docs/") {
            check_is_index(file, &mut faults);
        } else if let Some(floor) = floor_of(&file.path) {
            check_floor(file, floor, &mut faults);
        } else {
            faults.push(file.fault(0, "stands on no floor; add it to FLOORS in tests/it/tidy/floors.rs"));
        }
        check_doors(file, &mut faults);
        check_std(file, &mut faults);
    }
    faults
}

fn floor_of(path: &str) -> Option<&'static Floor> {
    FLOORS.iter().filter(|floor| path.starts_with(floor.files)).max_by_key(|floor| floor.files.len())
}

/// `pool` of `src/pool/builder.rs`.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split(['/', '.']).next().unwrap_or(inside)
}

fn check_floor(file: &File, floor: &Floor, faults: &mut Vec<String>) {
    let own = module_of(&file.path);
    for path in paths(file) {
        let module = match path.segments[0] {
            "crate" => path.segments.get(1).copied().unwrap_or("*"),
            "super" if climbs_out(file, path.offset, &path.segments) => {
                faults.push(file.fault(path.offset, "`super::` leaves the module; write `crate::…`"));
                continue;
            }
            _ => continue,
        };
        if module != own && !floor.may_name.contains(&module) {
            let may = if floor.may_name.is_empty() { "nothing".into() } else { floor.may_name.join(", ") };
            faults.push(file.fault(
                path.offset,
                &format!("`{}` is not below this floor; besides `{own}` it may name {may}", path.segments.join("::")),
            ));
        }
    }
    if own == "kernel" {
        for (offset, word) in words(file).filter(|(_, word)| NOT_IN_KERNELS.contains(word)) {
            faults.push(file.fault(offset, &format!("a kernel knows no `{word}`; let the caller pass it in")));
        }
    }
}

/// Whether the leading `super`s of a path at `offset` reach the crate's root or beyond.
fn climbs_out(file: &File, offset: usize, segments: &[&str]) -> bool {
    let climbed = segments.iter().take_while(|segment| **segment == "super").count();
    let folders = file.path.strip_prefix("src/").unwrap_or(&file.path);
    let own_depth = folders.trim_end_matches("/mod.rs").split('/').count();
    let header = headers(file).into_iter().take_while(|header| header.offset <= offset).last();
    let inline = header.map_or(0, |header| header.within.iter().filter(|brace| **brace == Brace::Module).count());
    climbed >= own_depth + inline
}

fn check_is_index(file: &File, faults: &mut Vec<String>) {
    for header in headers(file).iter().filter(|header| header.within.is_empty()) {
        let declares = header.text.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        if !declares.starts_with("mod ") && !declares.starts_with("use ") {
            faults.push(file.fault(header.offset, "only `mod` and `pub use` stand here; move the code to its module"));
        }
    }
}

fn check_doors(file: &File, faults: &mut Vec<String>) {
    for (offset, word) in words(file) {
        if let Some((name, _, instead)) = DOORS.iter().find(|(name, door, _)| *name == word && *door != file.path) {
            faults.push(file.fault(offset, &format!("names `{name}`; use `{instead}`")));
        }
    }
}

/// The parts of the standard library that the shim and the runtime stand in for.
fn check_std(file: &File, faults: &mut Vec<String>) {
    for path in paths(file) {
        let [root, module, rest @ ..] = path.segments.as_slice() else { continue };
        let first = rest.first().copied().unwrap_or("");
        let instead = match (*root, *module) {
            ("std" | "core" | "alloc", "sync") if !["Arc", "Weak", "OnceLock"].contains(&first) => "shim",
            ("std", "thread") if first == "panicking" => "shim",
            ("std", "thread") => "rt",
            ("std", "time") if first != "Duration" => "rt",
            _ => continue,
        };
        if module_of(&file.path) != instead {
            let named = path.segments.join("::");
            faults.push(file.fault(path.offset, &format!("names `{named}`; take it from `crate::{instead}`")));
        }
    }
}

#[test]
fn every_file_keeps_to_its_floor() {
    holds(check);
}

#[test]
fn an_import_from_above_is_seen() {
    sees(
        check,
        &[("src/kernel/cell.rs", "\nuse crate::{shim::Mutex, rt::now};")],
        &["src/kernel/cell.rs:2", "crate::rt::now"],
    );
    sees(check, &[("src/retry/mod.rs", "fn f() { crate::rt::now(); }")], &["crate::rt::now"]);
    sees(check, &[("src/map/mod.rs", "use crate::pool::WorkerPool;")], &["not below"]);
    sees(check, &[("src/pool/mod.rs", "use crate::Failure;")], &["crate::Failure"]);
    sees(check, &[("src/pool/error.rs", "use super::super::fan;")], &["super", "crate::"]);
    accepts(check, &[("src/retry/run.rs", "use crate::rt::now; use super::Backoff;")]);
    accepts(
        check,
        &[("src/pool/error.rs", "// use crate::pipeline\nuse super::Job; mod a { use super::super::Job; }")],
    );
    accepts(check, &[("src/pipeline/mod.rs", "use crate::{pool::WorkerPool, fan};")]);
}

#[test]
fn a_second_door_to_a_foreign_crate_is_seen() {
    sees(check, &[("src/pool/mod.rs", "use tokio::time::sleep;")], &["tokio", "crate::rt"]);
    sees(check, &[("src/rt.rs", "use parking_lot::Mutex;")], &["parking_lot"]);
    sees(check, &[("src/retry/mod.rs", "fn f() -> u64 { fastrand::u64(..) }")], &["fastrand"]);
    accepts(check, &[("src/pool/mod.rs", "/// ```\n/// tokio::spawn(f)\n/// ```\nfn f() { g(\"tokio\") }")]);
}

#[test]
fn std_primitives_outside_the_shim_are_seen() {
    sees(check, &[("src/pool/mod.rs", "use std::sync::{Arc, Weak, Mutex};")], &["std::sync::Mutex"]);
    sees(check, &[("src/retry/mod.rs", "use core::sync::atomic::AtomicU8;")], &["atomic"]);
    sees(check, &[("src/pool/mod.rs", "fn f() { std::thread::spawn(g); }")], &["std::thread::spawn", "crate::rt"]);
    sees(check, &[("src/pool/mod.rs", "use std::time::{Duration, Instant};")], &["std::time::Instant", "crate::rt"]);
    accepts(check, &[("src/shim.rs", "pub use std::sync::Mutex; pub use std::thread::panicking;")]);
}

#[test]
fn a_clock_in_a_kernel_is_seen() {
    sees(check, &[("src/kernel/alarms.rs", "fn due(now: Instant) {}")], &["Instant"]);
}

#[test]
fn code_in_the_index_and_files_on_no_floor_are_seen() {
    sees(
        check,
        &[("src/lib.rs", "mod a; pub use a::{B, C}; #[cfg(doctest)] mod r {} pub fn f() {}")],
        &["move the code"],
    );
    sees(check, &[("src/docs/mod.rs", "pub const X: u8 = 1;")], &["move the code"]);
    sees(check, &[("src/helpers.rs", "")], &["no floor"]);
}
