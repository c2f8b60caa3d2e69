//! Fan out, fan in: the files below a directory, counted by branches that compete for them.
//!
//! `cargo run --example fan_out_fan_in [DIRECTORY]` deals the files out to a few branches. Each counts the words of its files on a
//! blocking thread; a branch that is done takes the next file, so a large one holds nobody up. What they find is merged into one stream.

use std::path::PathBuf;

use flowgate::{FanIn, fan_in, fan_out};
use futures::{StreamExt as _, stream};

const BRANCHES: usize = 4;
/// Files that may wait for a branch, for each of them.
const WAITING: usize = 8;

struct Counted {
    branch: usize,
    words: usize,
    bytes: usize,
}

async fn count(branch: usize, path: PathBuf) -> std::io::Result<Counted> {
    let bytes = tokio::fs::read(&path).await?;
    let counting = tokio::task::spawn_blocking(move || {
        let words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        Counted { branch, words, bytes: bytes.len() }
    });
    counting.await.map_err(std::io::Error::other)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.') || name == "target";
    let files = walkdir::WalkDir::new(root)
        .min_depth(1)
        .into_iter()
        .filter_entry(move |entry| !hidden(entry.file_name()))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path);

    let branches = fan_out(stream::iter(files), BRANCHES, WAITING)?;
    let counting = branches.into_iter().enumerate();
    let counting = counting.map(|(nth, branch)| branch.then(move |path| count(nth, path)).boxed());
    let mut found = fan_in(counting, FanIn::AsReady);

    let mut by_branch = [(0, 0, 0); BRANCHES];
    let mut unreadable = 0;
    while let Some(file) = found.next().await {
        match file {
            Ok(file) => {
                let (files, words, bytes) = &mut by_branch[file.branch];
                (*files, *words, *bytes) = (*files + 1, *words + file.words, *bytes + file.bytes);
            }
            Err(_) => unreadable += 1,
        }
    }
    for (nth, (files, words, bytes)) in by_branch.iter().enumerate() {
        println!("branch {nth}: {files:>6} files {words:>10} words {bytes:>12} bytes");
    }
    let files: usize = by_branch.iter().map(|(files, ..)| files).sum();
    let words: usize = by_branch.iter().map(|(_, words, _)| words).sum();
    println!("together: {files:>6} files {words:>10} words, {unreadable} unreadable");
    Ok(())
}
