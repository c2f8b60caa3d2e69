//! Counts the words in the files below a directory on every core, without tokio: `build_blocking` runs its handler on threads.
//! What cannot be read is listed, and the report accounts for every file. `cargo run --release --example cpu_pool -- src`

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, ErrorKind};
use std::path::PathBuf;
use std::{cmp::Reverse, error::Error, fs::File, time::Duration};

use flowgate::{Cx, JobHandle, RetryPolicy, Shutdown, Verdict, WorkerPool};
use indicatif::{ProgressBar, ProgressStyle};
use walkdir::WalkDir;

type Words = HashMap<String, u64>;
type Counting = JobHandle<PathBuf, Words, io::Error>;

/// How many counts may wait to be added up; each is as large as the vocabulary of its file.
const WINDOW: usize = 64;

fn count(path: &mut PathBuf, cx: &Cx) -> io::Result<Words> {
    let mut words = Words::new();
    for line in BufReader::new(File::open(&*path)?).split(b'\n') {
        if cx.is_cancelled() {
            return Err(ErrorKind::Interrupted.into()); // a thread cannot be stopped: it asks, and gives up by itself
        }
        let line = String::from_utf8_lossy(&line?).to_lowercase();
        for word in line.split(|letter: char| !letter.is_alphabetic()).filter(|word| word.len() > 3) {
            *words.entry(word.into()).or_default() += 1;
        }
    }
    Ok(words)
}

/// Adds the oldest count up, when it is there.
fn add_up(counting: &mut VecDeque<Counting>, words: &mut Words, bar: &ProgressBar) {
    let Some(oldest) = counting.pop_front() else { return };
    match oldest.blocking_wait() {
        Ok(counted) => counted.into_iter().for_each(|(word, n)| *words.entry(word).or_default() += n),
        Err(error) => bar.suspend(|| eprintln!("{error}: {:?}", error.failure().and_then(|f| f.job.as_ref()))),
    }
    bar.inc(1);
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).unwrap_or(".".into());
    let cores = std::thread::available_parallelism()?.get();
    let pool = WorkerPool::builder()
        .concurrency(cores)
        .queue(WINDOW)
        .thread_name("words")
        .retry(RetryPolicy::fixed(Duration::from_millis(20)).classify(|error: &io::Error, _| match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory => Verdict::Stop,
            _ => Verdict::Retry,
        }))
        .build_blocking(count)?;

    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} files found so far, {per_sec}")?;
    let (bar, mut counting, mut words) = (ProgressBar::new(0).with_style(style), VecDeque::new(), Words::new());
    for entry in WalkDir::new(root) {
        let entry = entry?;
        if entry.file_type().is_file() {
            bar.inc_length(1);
            counting.push_back(pool.blocking_submit(entry.into_path())?); // waits while the pool is full
        }
        if counting.len() == WINDOW || counting.front().is_some_and(JobHandle::is_finished) {
            add_up(&mut counting, &mut words, &bar);
        }
    }
    while !counting.is_empty() {
        add_up(&mut counting, &mut words, &bar);
    }
    let report = pool.blocking_shutdown(Shutdown::DrainFor(Duration::from_secs(10)))?;
    bar.finish_and_clear();

    let mut ranked: Vec<_> = words.iter().map(|(word, n)| (Reverse(n), word)).collect();
    ranked.sort_unstable();
    for (Reverse(n), word) in ranked.iter().take(10) {
        println!("{n:>8}  {word}");
    }
    println!("{} different words of {} files on {cores} threads\n{report}", words.len(), report.totals.succeeded);
    Ok(())
}
