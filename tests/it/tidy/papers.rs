//! The papers agree with the code: the changelog, the README, the reasons beside the dependencies.

use super::source::File;
use super::{Sources, accepts, holds, sees};

fn check(files: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(manifest) = files.get("Cargo.toml") {
        check_changelog(files, manifest, &mut faults);
        check_reasons(manifest, &mut faults);
    }
    if let Some(readme) = files.get("README.md") {
        check_readme(files, readme, &mut faults);
    }
    faults
}

fn check_changelog(files: &Sources, manifest: &File, faults: &mut Vec<String>) {
    let version = manifest.text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    let Some(version) = version else {
        faults.push(manifest.fault(0, "no line `version = \"…\"` in `[workspace.package]`"));
        return;
    };
    let heading = format!("## [{version}]");
    if !files.get("CHANGELOG.md").is_some_and(|file| file.text.lines().any(|line| line.starts_with(&heading))) {
        faults.push(format!("CHANGELOG.md:1: no heading `{heading}`; write down what this version changes"));
    }
}

/// Each dependency of the library stands below a comment that says why.
fn check_reasons(manifest: &File, faults: &mut Vec<String>) {
    let mut before = "";
    let mut inside = false;
    let mut offset = 0;
    for line in manifest.text.split_inclusive('\n') {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if inside && line.contains(" = ") && !line.starts_with('#') && !before.starts_with('#') {
            faults.push(manifest.fault(offset, "a dependency without a reason; write one in a comment above it"));
        }
        before = line;
        offset += line.len();
    }
}

fn check_readme(files: &Sources, readme: &File, faults: &mut Vec<String>) {
    let index = files.get("src/lib.rs").map_or("", |file| file.text.as_str());
    if !index.contains("cfg(doctest)") || !index.contains("include_str!(\"../README.md\")") {
        faults
            .push("src/lib.rs:1: does not doc-test README.md; include it as documentation under `cfg(doctest)`".into());
    }
    for (offset, _) in readme.text.match_indices("```") {
        let tag = readme.text[offset + 3..].lines().next().unwrap_or("");
        if tag.contains("ignore") || tag.contains("no_run") {
            faults.push(readme.fault(offset, "an example that is not run; let it run, or leave it out"));
        }
    }
    if !readme.text.lines().any(|line| line.split('#').next().unwrap_or("").trim() == "cargo test") {
        faults.push(readme.fault(0, "no line `cargo test`: it is the command that CI runs first"));
    }
    check_named_files(files, readme, faults);
    check_numbers(files, readme, faults);
}

/// Whatever the README names in backticks as a file or a folder of the repository exists.
fn check_named_files(files: &Sources, readme: &File, faults: &mut Vec<String>) {
    for name in readme.text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let is_path = ["src/", "tests/", "benches/", "examples/"].iter().any(|root| name.starts_with(root));
        if is_path && !files.has(name) {
            let offset = name.as_ptr() as usize - readme.text.as_ptr() as usize;
            faults.push(readme.fault(offset, &format!("there is no `{name}`; correct the path")));
        }
    }
}

/// The last cell of each row under `## Numbers` is the bench behind it: `` `ratios pool/trivial` `` is that case in
/// `benches/benches/ratios.rs` or in what the benches share.
fn check_numbers(files: &Sources, readme: &File, faults: &mut Vec<String>) {
    let Some(start) = readme.text.find("\n## Numbers") else {
        faults.push(readme.fault(0, "no heading `## Numbers`"));
        return;
    };
    let body = &readme.text[start + 1..];
    let body = body.split("\n## ").next().unwrap_or(body);
    let rows = body.lines().filter(|line| line.starts_with('|')).skip(2);
    for row in rows {
        let offset = row.as_ptr() as usize - readme.text.as_ptr() as usize;
        let cell = row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or("").trim();
        let mut words = cell.trim_matches('`').split_whitespace();
        let bench = words.next().unwrap_or("");
        if files.get(&format!("benches/benches/{bench}.rs")).is_none() {
            faults.push(readme.fault(offset, &format!("no bench `{bench}`; end the row with `bench case`")));
            continue;
        }
        if let Some(case) = words.next().filter(|case| !files.rust("benches/").any(|file| file.text.contains(case))) {
            faults.push(readme.fault(offset, &format!("no case `{case}` in the benches")));
        }
    }
}

#[test]
fn the_papers_agree_with_the_code() {
    holds(check);
}

const MANIFEST: &str =
    "version = \"0.2.0\"\n[dependencies]\n# Time.\ntokio = \"1\"\n[dev-dependencies]\nfutures = \"0.3\"\n";
const INDEX: &str = "#[cfg(doctest)]\n#[doc = include_str!(\"../README.md\")]\nmod readme {}";
const README: &str = "# x\n```sh\ncargo test   # all\n```\n## Numbers\n| case | cost | bench |\n|---|---|---|\n| trivial | 0.2 | `ratios pool/trivial` |\n## MSRV\n";
const BENCH: (&str, &str) = ("benches/benches/ratios.rs", "case(\"pool/trivial\")");

#[test]
fn a_version_without_a_changelog_is_seen() {
    sees(check, &[("Cargo.toml", MANIFEST), ("CHANGELOG.md", "## [0.1.0]\n")], &["CHANGELOG.md", "## [0.2.0]"]);
    accepts(check, &[("Cargo.toml", MANIFEST), ("CHANGELOG.md", "## [0.2.0] - Unreleased\n")]);
}

#[test]
fn a_dependency_without_a_reason_is_seen() {
    let bare = MANIFEST.replace("# Time.\n", "");
    sees(check, &[("Cargo.toml", &bare), ("CHANGELOG.md", "## [0.2.0]")], &["Cargo.toml:3", "reason"]);
}

#[test]
fn a_readme_that_is_not_tested_is_seen() {
    accepts(check, &[("README.md", README), ("src/lib.rs", INDEX), BENCH]);
    sees(check, &[("README.md", README), ("src/lib.rs", "mod pool;"), BENCH], &["doc-test"]);
    let ignored = README.replace("```sh", "```rust,ignore");
    sees(check, &[("README.md", &ignored), ("src/lib.rs", INDEX), BENCH], &["README.md:2", "not run"]);
    let lost = README.replace("## MSRV", "`tests/models` and `tests/it/pool.rs`");
    let models = ("tests/models/src/lib.rs", "");
    sees(check, &[("README.md", &lost), ("src/lib.rs", INDEX), BENCH, models], &["README.md:9", "`tests/it/pool.rs`"]);
    let silent = README.replace("cargo test ", "cargo bench");
    sees(check, &[("README.md", &silent), ("src/lib.rs", INDEX), BENCH], &["cargo test"]);
}

#[test]
fn a_number_without_a_bench_is_seen() {
    sees(check, &[("README.md", README), ("src/lib.rs", INDEX)], &["README.md:8", "no bench `ratios`"]);
    let other = (BENCH.0, "case(\"pool/yield\")");
    sees(check, &[("README.md", README), ("src/lib.rs", INDEX), other], &["no case `pool/trivial`"]);
    sees(check, &[("README.md", &README.replace("## Numbers", "## Figures")), ("src/lib.rs", INDEX)], &["## Numbers"]);
}
