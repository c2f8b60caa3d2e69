//! Each model has a bug that it kills: one removed check or ordering, planted in a copy of the sources.
//!
//! Plain `cargo test` checks the list: every model has its bug, under the words of its own comment, and every bug
//! still fits the sources. `FLOWGATE_PLANTED=1` (`.ci/planted`) builds and runs the models over each planted bug, in
//! child processes, as a deadlock found by loom ends the process, and prints a table; `FLOWGATE_PLANTED_ONLY` picks the
//! models whose names contain it, or one of several words with commas between.

mod bugs;
mod field;

use bugs::{Bug, bugs};
use field::{Field, Verdict, root};
use std::collections::BTreeMap;
use std::fs;

/// The models and the words of their comments, by `file::function`.
fn models() -> BTreeMap<String, String> {
    const TAG: &str = "/// Seen to fail: ";
    let mut models = BTreeMap::new();
    for file in fs::read_dir(root().join("tests/models/tests/loom")).expect("the models' folder") {
        let path = file.expect("a file of the models' folder").path();
        if !path.is_file() {
            continue;
        }
        let module = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("a source file is text");
        for test in source.split("#[test]\n").skip(1) {
            models.extend(name_of(test).map(|name| (format!("{module}::{name}"), String::new())));
        }
        for tagged in source.split(TAG).skip(1) {
            let (words, test) = tagged.split_once("\n#[test]\n").expect("a comment is followed by its test");
            let words = words.replace("\n/// ", " ").trim_end_matches('.').to_owned();
            models.extend(name_of(test).map(|name| (format!("{module}::{name}"), words)));
        }
    }
    models
}

/// The name of the function at the start of `test`, unless it is ignored: a bug of that one is still in the sources.
fn name_of(test: &str) -> Option<&str> {
    let name = test.trim_start().strip_prefix("fn ")?.split('(').next();
    Some(name.expect("a function has parameters"))
}

#[test]
fn every_model_names_its_bug() {
    let named = models();
    assert!(named.len() >= 14, "the models are found: {named:?}");
    let listed: BTreeMap<_, _> = bugs().map(|bug| (bug.model.to_owned(), bug.what.to_owned())).collect();
    assert_eq!(listed.len(), bugs().count(), "one bug a model");
    assert_eq!(listed, named);
}

#[test]
fn every_bug_fits_the_sources() {
    for bug in bugs() {
        let source = fs::read_to_string(root().join(bug.file)).expect("a bug names a file");
        assert_eq!(source.matches(bug.find).count(), 1, "{}: {} in {}", bug.model, bug.what, bug.file);
        assert_ne!(bug.find, bug.put);
    }
}

#[test]
fn every_model_kills_its_bug() {
    if std::env::var_os("FLOWGATE_PLANTED").is_none() {
        println!("SKIP: FLOWGATE_PLANTED is not set; .ci/planted sets it");
        return;
    }
    let field = Field::prepare();
    field.expect_sound();
    let only = std::env::var("FLOWGATE_PLANTED_ONLY").unwrap_or_default();
    let mut survivors = Vec::new();
    println!("| model | planted bug | verdict |\n|---|---|---|");
    for bug in bugs().filter(|bug| only.split(',').any(|word| bug.model.contains(word))) {
        let verdict = field.try_bug(bug);
        println!("| {} | {} | {verdict} |", bug.model, bug.what);
        if !matches!(verdict, Verdict::Killed(_)) {
            survivors.push(bug.model);
        }
    }
    assert!(survivors.is_empty(), "not killed: {survivors:?}");
}
