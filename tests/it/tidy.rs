//! The rules of the house, checked by reading the sources.
//!
//! Each rule is a module with a `check(&Sources) -> Vec<String>`: one line a fault, `file:line: what is wrong; what
//! to do`. Its tests show it a small bad tree first, so that a rule that sees nothing cannot pass for one that is kept.

mod cancel;
mod floors;
mod glossary;
mod items;
mod kernels;
mod models;
mod papers;
mod paths;
mod shape;
mod source;

use source::Sources;

/// Fails with every fault that `check` finds in this repository.
fn holds(check: fn(&Sources) -> Vec<String>) {
    let faults = check(&Sources::of_repository());
    assert!(faults.is_empty(), "{} fault(s)\n{}", faults.len(), faults.join("\n"));
}

/// Fails unless `check` finds exactly one fault in `files`, and its line contains every one of `words`.
fn sees(check: fn(&Sources) -> Vec<String>, files: &[(&str, &str)], words: &[&str]) {
    let faults = check(&Sources::of(files));
    assert_eq!(faults.len(), 1, "expected one fault, found {faults:#?}");
    for word in words {
        assert!(faults[0].contains(word), "{word:?} is missing in: {}", faults[0]);
    }
}

/// Fails if `check` finds anything in `files`.
fn accepts(check: fn(&Sources) -> Vec<String>, files: &[(&str, &str)]) {
    assert_eq!(check(&Sources::of(files)), Vec::<String>::new());
}
