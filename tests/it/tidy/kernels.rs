//! The documentation of a kernel has its five headings, in their order.

use super::{Sources, accepts, holds, sees};

const HEADINGS: [&str; 5] = ["What", "States", "Invariants", "Why not the obvious", "Cost"];

fn check(files: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.rust("src/kernel/").filter(|file| is_kernel(&file.path)) {
        let found: Vec<&str> = file.text.lines().filter_map(|line| line.strip_prefix("//! # ")).collect();
        if found != HEADINGS {
            let wanted = HEADINGS.join(" · ");
            faults.push(file.fault(0, &format!("its module docs have the headings {found:?}; write {wanted}")));
        }
    }
    faults
}

/// `kernel/cell.rs` and `kernel/engine/mod.rs`; the index and the parts of a folder are none.
fn is_kernel(path: &str) -> bool {
    let inside = path.strip_prefix("src/kernel/").unwrap_or(path);
    match inside.split_once('/') {
        None => inside != "mod.rs",
        Some((_, rest)) => rest == "mod.rs",
    }
}

#[test]
fn every_kernel_is_documented_in_the_five_headings() {
    holds(check);
}

const DOCS: &str = "//! # What\n//! # States\n//! # Invariants\n//! # Why not the obvious\n//! # Cost\n";

#[test]
fn a_missing_heading_is_seen() {
    sees(check, &[("src/kernel/cell.rs", &DOCS.replace("//! # Cost\n", ""))], &["src/kernel/cell.rs:1", "Cost"]);
    sees(check, &[("src/kernel/engine/mod.rs", &DOCS.replace("# States", "States"))], &["States"]);
    accepts(check, &[("src/kernel/cell.rs", DOCS), ("src/kernel/mod.rs", ""), ("src/kernel/engine/ending.rs", "")]);
}
