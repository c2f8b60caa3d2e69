//! One word for one thing: no public function begins with what the glossary lists as another word for it.

use super::items::headers;
use super::{Sources, accepts, holds, sees};

const GLOSSARY: &str = "src/docs/glossary.md";
const LIST: &str = "## Words not used";

fn check(files: &Sources) -> Vec<String> {
    let Some(glossary) = files.get(GLOSSARY) else {
        return vec![format!("{GLOSSARY}:1: is missing")];
    };
    let banned = banned(&glossary.text);
    if banned.is_empty() {
        return vec![glossary.fault(0, &format!("no table under `{LIST}`"))];
    }
    let mut faults = Vec::new();
    for file in files.rust("src/") {
        for header in headers(file) {
            let Some(function) = header.public_function() else { continue };
            for (word, instead) in &banned {
                let begins = format!("{}_", function.name).starts_with(&format!("{word}_"));
                if begins && !is_getter(word, function.returns) {
                    let fault = format!("`{}` says `{word}`; the glossary says {instead}", function.name);
                    faults.push(file.fault(header.offset, &fault));
                }
            }
        }
    }
    faults
}

/// `stop() -> StopReason` names a thing, not an action.
fn is_getter(word: &str, returns: &str) -> bool {
    let mut capitalised = word.to_owned();
    capitalised[..1].make_ascii_uppercase();
    returns.starts_with(&capitalised)
}

/// The rows of the table: the words of the first cell in backticks, and what to write instead.
fn banned(glossary: &str) -> Vec<(String, String)> {
    let table = glossary.split(LIST).nth(1).unwrap_or("");
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let mut found = Vec::new();
    for row in rows {
        let mut cells = row.trim_matches('|').split('|');
        let (words, instead) = (cells.next().unwrap_or(""), cells.next().unwrap_or("").trim());
        found.extend(words.split('`').skip(1).step_by(2).map(|word| (word.to_owned(), instead.to_owned())));
    }
    found
}

#[test]
fn public_names_keep_to_the_glossary() {
    holds(check);
}

const WORDS: (&str, &str) = (
    GLOSSARY,
    "# Glossary\n## Words not used\n| word | write |\n|---|---|\n| `stop`, `kill` | `abort` |\n| `max_retries` | `max_attempts` |\n",
);

#[test]
fn another_word_for_the_same_thing_is_seen() {
    sees(check, &[WORDS, ("src/pool/mod.rs", "impl P { pub async fn stop(&self) {} }")], &["`stop`", "`abort`"]);
    sees(check, &[WORDS, ("src/pool/mod.rs", "impl P {\npub fn kill_all(&self) {} }")], &["src/pool/mod.rs:2", "kill"]);
    sees(check, &[WORDS, ("src/retry/mod.rs", "pub const fn max_retries(n: u32) {}")], &["`max_attempts`"]);
    accepts(
        check,
        &[
            WORDS,
            ("src/pool/mod.rs", "fn stop() {} pub(crate) fn kill() {} pub fn stopwatch() {} pub struct StopReason;"),
        ],
    );
}

#[test]
fn a_glossary_without_the_list_is_seen() {
    sees(check, &[("src/pool/mod.rs", "")], &["missing"]);
    sees(check, &[(GLOSSARY, "# Glossary\n")], &["no table"]);
}
