//! A model has somebody to race with, and names the bug with which it was seen to fail.

use super::items::headers;
use super::paths::words;
use super::source::File;
use super::{Sources, accepts, holds, sees};

const ROOT: &str = "tests/models/tests/";
const SEEN_TO_FAIL: &str = "Seen to fail:";

fn check(files: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    let starts_threads = |file: &File| squeezed(&file.code).contains("thread::spawn(");
    let helper_does = files.rust(ROOT).any(|file| !is_model(file) && starts_threads(file));
    for file in files.rust(ROOT).filter(|file| is_model(file)) {
        let is_helped = helper_does && squeezed(&file.code).contains(".spawn(");
        if !is_helped && !starts_threads(file) {
            faults.push(file.fault(0, "a model of one thread explores one order only; spawn a second"));
        }
        for header in headers(file).iter().filter(|header| header.attributes.contains("#[test]")) {
            let named = header.docs.iter().find_map(|line| line.split_once(SEEN_TO_FAIL));
            if named.is_none_or(|(_, bug)| bug.trim().is_empty()) {
                let what = format!("no `/// {SEEN_TO_FAIL} …`; plant a bug, see this model catch it, and name it");
                faults.push(file.fault(header.offset, &what));
            }
        }
    }
    faults
}

/// A file with tests that names the model checker or stands in its folder. Property tests do neither.
fn is_model(file: &File) -> bool {
    let is_loom = file.path.contains("/loom/") || words(file).any(|(_, word)| word == "loom");
    file.code.contains("#[test]") && is_loom
}

fn squeezed(code: &str) -> String {
    code.split_whitespace().collect()
}

#[test]
fn every_model_has_a_rival_and_a_planted_bug() {
    holds(check);
}

const MODEL: &str =
    "/// Seen to fail: without the second look.\n#[test]\nfn leaving() { loom::model(|| { thread::spawn(f); }) }";

#[test]
fn a_model_with_one_thread_is_seen() {
    let alone = MODEL.replace("thread::spawn(f)", "f()");
    sees(check, &[("tests/models/tests/engine.rs", &alone)], &["tests/models/tests/engine.rs:1", "spawn a second"]);
    let hidden = alone.replace("loom", "crate::support");
    sees(check, &[("tests/models/tests/loom/engine.rs", &hidden)], &["spawn a second"]);
    accepts(check, &[("tests/models/tests/engine.rs", MODEL), ("tests/models/tests/oracle.rs", "#[test] fn f() {}")]);
}

#[test]
fn a_helper_may_start_the_threads_if_it_does() {
    let helped = MODEL.replace("thread::spawn(f)", "pool.spawn(f)");
    let (model, helper) =
        (("tests/models/tests/loom/engine.rs", helped.as_str()), "tests/models/tests/loom/support.rs");
    accepts(check, &[model, (helper, "fn spawn() { loom::thread::spawn(f); }")]);
    sees(check, &[model, (helper, "fn spawn() { f() }")], &["spawn a second"]);
}

#[test]
fn a_model_that_nobody_saw_fail_is_seen() {
    let second = format!("{MODEL}\n/// Another.\n#[test]\nfn arriving() {{}}");
    sees(check, &[("tests/models/tests/a.rs", &second)], &["tests/models/tests/a.rs:6", "plant a bug"]);
    let unnamed = MODEL.replace(" without the second look.", "");
    sees(check, &[("tests/models/tests/a.rs", &unnamed)], &["plant a bug"]);
}
