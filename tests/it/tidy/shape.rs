//! The shape of files: short, whole, without tests of their own inside the library, without `unsafe` anywhere.

use super::paths::words;
use super::source::File;
use super::{Sources, accepts, holds, sees};

/// The most lines a file of the library may have.
const MOST_LINES: usize = 400;

fn check(files: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.rust("") {
        if file.path.starts_with("src/") {
            check_library_file(file, &mut faults);
        }
        for (offset, word) in words(file) {
            let rest = file.code[offset + word.len()..].trim_start();
            match word {
                "unsafe" => faults.push(file.fault(offset, "`unsafe`; no crate here may")),
                "todo" | "unimplemented" if rest.starts_with('!') => {
                    faults.push(file.fault(offset, &format!("`{word}!`; finish it or leave it out")));
                }
                _ => {}
            }
        }
        for (offset, _) in file.comments.match_indices("FIXME") {
            faults.push(file.fault(offset, "FIXME; fix it, or state the limitation where users read it"));
        }
    }
    for manifest in files.manifests() {
        check_manifest(manifest, &mut faults);
    }
    faults
}

fn check_library_file(file: &File, faults: &mut Vec<String>) {
    let lines = file.text.lines().count();
    if lines > MOST_LINES {
        faults.push(file.fault(0, &format!("{lines} lines; split it: {MOST_LINES} are the most")));
    }
    let squeezed: String = file.code.split_whitespace().collect();
    if squeezed.contains("cfg(test)") || squeezed.contains("cfg(all(test") {
        let offset = file.code.find("test").unwrap_or(0);
        faults.push(file.fault(offset, "`cfg(test)` in the library; move the tests to tests/it or tests/models"));
    }
}

fn check_manifest(manifest: &File, faults: &mut Vec<String>) {
    let takes_lints = section(&manifest.text, "[lints]").is_some_and(|body| body.contains("workspace = true"));
    if !takes_lints {
        faults.push(manifest.fault(0, "does not take the workspace's lints; add `[lints] workspace = true`"));
    }
    let forbids =
        section(&manifest.text, "[workspace.lints.rust]").is_some_and(|b| b.contains("unsafe_code = \"forbid\""));
    if manifest.path == "Cargo.toml" && !forbids {
        faults.push(manifest.fault(0, "does not forbid `unsafe_code` in `[workspace.lints.rust]`"));
    }
}

/// The lines of a TOML table.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("\n{name}\n"))? + name.len() + 2;
    let body = &text[start..];
    Some(body.split("\n[").next().unwrap_or(body))
}

#[test]
fn every_file_has_the_shape_of_the_house() {
    holds(check);
}

#[test]
fn a_long_file_is_seen() {
    let long = "fn f() {}\n".repeat(MOST_LINES + 1);
    sees(check, &[("src/pool/mod.rs", &long)], &["401 lines"]);
    accepts(check, &[("src/pool/mod.rs", &"fn f() {}\n".repeat(MOST_LINES)), ("tests/it/long.rs", &long)]);
}

#[test]
fn tests_inside_the_library_are_seen() {
    sees(check, &[("src/retry/mod.rs", "#[cfg( test )]\nmod tests {}")], &["src/retry/mod.rs:1", "cfg(test)"]);
    accepts(check, &[("src/retry/mod.rs", "/// Not `#[cfg(test)]`.\nfn f() {}")]);
}

#[test]
fn unsafe_code_and_unfinished_code_are_seen() {
    sees(check, &[("benches/src/lib.rs", "fn f() { unsafe { g() } }")], &["unsafe"]);
    sees(check, &[("examples/a.rs", "fn f() { todo!() }")], &["todo!"]);
    sees(check, &[("tests/it/a.rs", "fn f() { unimplemented ! () }")], &["unimplemented!"]);
    sees(check, &[("src/pool/mod.rs", "fn f() {} // FIXME: later")], &["FIXME"]);
    accepts(check, &[("src/pool/mod.rs", "#![forbid(unsafe_code)] /// no unsafe\nfn todo() { f(\"todo!() FIXME\") }")]);
}

#[test]
fn a_manifest_without_the_lints_is_seen() {
    sees(check, &[("benches/Cargo.toml", "[package]\nname = \"b\"\n")], &["benches/Cargo.toml", "lints"]);
    let root = "[workspace]\n[workspace.lints.rust]\nmissing_docs = \"warn\"\n[lints]\nworkspace = true\n";
    sees(check, &[("Cargo.toml", root)], &["forbid"]);
    accepts(check, &[("Cargo.toml", &root.replace("missing_docs = \"warn\"", "unsafe_code = \"forbid\""))]);
}
