//! A model has somebody to race with, and names the bug with which it was seen to fail.

use super::paths::words;
use super::source::File;
use super::{Sources, accepts, holds, sees};

const SEEN_TO_FAIL: &str = "Seen to fail:";

fn check(files: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.rust("tests/models/tests/").filter(|file| is_model(file)) {
        let squeezed: String = file.code.split_whitespace().collect();
        if !squeezed.contains("thread::spawn(") {
            faults.push(file.fault(0, "a model without `thread::spawn` explores one order only; add a second thread"));
        }
        let named = file.comments.split(SEEN_TO_FAIL).nth(1).and_then(|rest| rest.lines().next());
        if named.is_none_or(|bug| bug.trim().is_empty()) {
            faults
                .push(file.fault(0, &format!("no `{SEEN_TO_FAIL}` comment; plant a bug, see it caught, and name it")));
        }
    }
    faults
}

/// A file with tests that names the model checker or stands in its folder. Property tests do neither.
fn is_model(file: &File) -> bool {
    let is_loom = file.path.contains("/loom/") || words(file).any(|(_, word)| word == "loom");
    file.code.contains("#[test]") && is_loom
}

#[test]
fn every_model_has_a_rival_and_a_planted_bug() {
    holds(check);
}

const MODEL: &str = "// Seen to fail: with the second look at `ready` removed.\nuse loom::thread;\n#[test]\nfn leave_races_submit() { loom::model(|| { thread::spawn(f); }) }";

#[test]
fn a_model_with_one_thread_is_seen() {
    let alone = MODEL.replace("thread::spawn(f)", "f()");
    sees(check, &[("tests/models/tests/engine.rs", &alone)], &["tests/models/tests/engine.rs:1", "second thread"]);
    let hidden = alone.replace("loom", "crate::support");
    sees(check, &[("tests/models/tests/loom/engine.rs", &hidden)], &["second thread"]);
    accepts(check, &[("tests/models/tests/engine.rs", MODEL), ("tests/models/tests/oracle.rs", "#[test] fn f() {}")]);
}

#[test]
fn a_model_that_nobody_saw_fail_is_seen() {
    sees(check, &[("tests/models/tests/a.rs", &MODEL.replace("Seen to fail", "Fails"))], &["plant a bug"]);
    sees(
        check,
        &[("tests/models/tests/a.rs", &MODEL.replace(" with the second look at `ready` removed.", ""))],
        &["plant"],
    );
}
