//! Every future that users get says what dropping it does, where it is declared and in the first table of one page.

use super::items::{Brace, headers};
use super::{Sources, accepts, holds, sees};

const TABLE: &str = "src/docs/cancellation.md";

/// A future in the public interface.
struct Public {
    /// `WorkerPool::submit`, or `JobHandle` for a type that is a future itself.
    name: String,
    fault_at: String,
    has_section: bool,
}

fn check(files: &Sources) -> Vec<String> {
    let futures = public_futures(files);
    let table = files.get(TABLE).map_or("", |file| file.text.as_str());
    let table = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows: Vec<&str> = table.filter_map(first_cell).collect();
    let mut faults = Vec::new();
    for future in &futures {
        if !future.has_section {
            faults.push(format!(
                "{}: `{}` has no `# Cancel safety` heading in its rustdoc",
                future.fault_at, future.name
            ));
        }
        if !rows.iter().any(|row| names(row).any(|name| name == future.name)) {
            faults.push(format!("{}: `{}` has no row in the table of {TABLE}", future.fault_at, future.name));
        }
    }
    for name in rows.iter().flat_map(|row| names(row)) {
        if !futures.iter().any(|future| future.name == name) {
            faults.push(format!(
                "{TABLE}: `{name}` is no public future of the library; remove the row or correct its name"
            ));
        }
    }
    faults
}

fn public_futures(files: &Sources) -> Vec<Public> {
    let mut types: Vec<(&str, bool)> = Vec::new();
    let headers: Vec<_> =
        files.rust("src/").flat_map(|file| headers(file).into_iter().map(move |h| (file, h))).collect();
    for (_, header) in &headers {
        types.extend(header.public_type().map(|name| (name, has_section(&header.docs))));
    }
    let mut found = Vec::new();
    for (file, header) in &headers {
        let fault_at = file.fault(header.offset, "").trim_end_matches([':', ' ']).to_owned();
        if let Some(function) = header.public_function() {
            let is_future =
                function.is_async || function.returns.contains("impl") && function.returns.contains("Future<");
            if is_future {
                let name =
                    header.owner().map_or_else(|| function.name.into(), |owner| format!("{owner}::{}", function.name));
                found.push(Public { name, fault_at, has_section: has_section(&header.docs) });
            }
        } else if let Some(Brace::Impl { of: Some("Future" | "IntoFuture"), on }) = header.within.last() {
            let declared = types.iter().find(|(name, _)| name == on);
            let is_first = found.iter().all(|other: &Public| other.name != *on);
            if let (Some((_, has_section)), true) = (declared, is_first) {
                found.push(Public { name: (*on).into(), fault_at, has_section: *has_section });
            }
        }
    }
    found
}

fn has_section(docs: &[&str]) -> bool {
    docs.iter().any(|line| line.trim_start_matches('/').trim() == "# Cancel safety")
}

fn first_cell(line: &str) -> Option<&str> {
    line.strip_prefix('|').and_then(|rest| rest.split('|').next())
}

/// What stands between backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_public_future_says_what_dropping_it_does() {
    holds(check);
}

const DOCUMENTED: &str =
    "impl<J> Pool<J> {\n/// Waits.\n///\n/// # Cancel safety\n///\n/// Safe.\npub async fn wait(&self) {}\n}";
const ROW: &str = "| future | dropped |\n|---|---|\n| [`Pool::wait`](crate::Pool::wait) | nothing is lost |\n";

#[test]
fn a_missing_section_is_seen() {
    let bare = DOCUMENTED.replace("# Cancel safety", "Cancel safety");
    sees(check, &[("src/pool/mod.rs", &bare), (TABLE, ROW)], &["src/pool/mod.rs:7", "Pool::wait", "heading"]);
    accepts(check, &[("src/pool/mod.rs", DOCUMENTED), (TABLE, ROW)]);
}

#[test]
fn a_missing_row_and_a_stale_row_are_seen() {
    sees(check, &[("src/pool/mod.rs", DOCUMENTED), (TABLE, "`Pool::wait` outside a table")], &["no row"]);
    sees(check, &[("src/pool/mod.rs", ""), (TABLE, ROW)], &["remove the row"]);
    let second = format!("{ROW}\n| value | dropped |\n|---|---|\n| `Permit` | its place is free |\n");
    accepts(check, &[("src/pool/mod.rs", DOCUMENTED), (TABLE, &second)]);
}

#[test]
fn futures_in_any_form_are_seen() {
    let form = "/// # Cancel safety\npub fn run<F: Fn() -> u8>(f: F) -> impl Future<Output = u8> + use<F> {}";
    sees(check, &[("src/retry/run.rs", form)], &["`run` has no row"]);
    let named = "/// # Cancel safety\npub struct Handle;\nimpl Future for Handle { fn poll() {} type Output = u8; }";
    sees(check, &[("src/pool/handle.rs", named)], &["`Handle` has no row"]);
    accepts(check, &[("src/pool/mod.rs", "pub(crate) async fn f() {} struct H; impl Future for H { fn poll() {} }")]);
    accepts(check, &[("src/pool/mod.rs", "pub fn spawn(task: impl Future<Output = ()>) -> u8 { 1 }")]);
}
