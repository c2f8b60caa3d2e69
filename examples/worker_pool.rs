//! Checksums the files below a directory. `submit` waits while the pool is full, so that a million files need no more
//! memory than a thousand; what cannot be read is listed. `cargo run --release --example worker_pool -- /usr/share`

use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed};
use std::{error::Error, time::Duration};

use flowgate::{Cx, RetryPolicy, Verdict, WorkerPool};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use walkdir::WalkDir;

/// Lent to one attempt after the other: a retry goes on where the last one stopped.
#[derive(Default)]
struct Job {
    path: PathBuf,
    offset: u64,
    crc: crc32fast::Hasher,
}

async fn checksum((bar, sum): &(ProgressBar, Arc<AtomicU64>), job: &mut Job, _: &Cx) -> io::Result<()> {
    let mut file = tokio::fs::File::open(&job.path).await?;
    file.seek(SeekFrom::Start(job.offset)).await?;
    let mut buffer = vec![0; 64 << 10];
    while let read @ 1.. = file.read(&mut buffer).await? {
        job.crc.update(&buffer[..read]);
        job.offset += read as u64;
        bar.inc(read as u64);
    }
    sum.fetch_add(job.crc.clone().finalize().into(), Relaxed);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).unwrap_or(".".into());
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes} found so far, {bytes_per_sec}")?;
    let (bar, sum) = (ProgressBar::new(0).with_style(style), Arc::new(AtomicU64::new(0)));
    let letters = bar.clone();
    let pool = WorkerPool::builder()
        .concurrency(16)
        .queue(256)
        .attempt_timeout(Duration::from_secs(300))
        .retry(RetryPolicy::fixed(Duration::from_millis(50)).classify(|error: &io::Error, _| match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => Verdict::Stop,
            _ => Verdict::Retry,
        }))
        .on_dead_letter(move |dead| {
            let job = dead.failure().and_then(|failure| failure.job.as_ref());
            let path = job.map_or(Path::new("?"), |job: &Job| &job.path);
            let cause = dead.source().map_or(String::new(), |error| format!(" ({error})"));
            letters.suspend(|| eprintln!("{path:?}: {dead}{cause}"));
        })
        .build_with((bar.clone(), sum.clone()), checksum)?;

    let mut unlisted = 0;
    for entry in WalkDir::new(root) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                bar.inc_length(entry.metadata().map_or(0, |file| file.len()));
                drop(pool.submit(Job { path: entry.into_path(), ..Job::default() }).await?); // detached
            }
            Ok(_) => {} // a directory, a symlink, or what may never end: a pipe, a device
            Err(error) if error.depth() == 0 => return Err(error.to_string().into()),
            Err(error) => {
                unlisted += 1;
                bar.suspend(|| eprintln!("{error}"));
            }
        }
    }
    pool.drain().await?;
    bar.finish_and_clear();
    let (stats, megabytes, seconds) = (pool.stats(), bar.position() as f64 / 1e6, bar.elapsed().as_secs_f64());
    let (files, failed) = (stats.totals.succeeded, stats.totals.ended() - stats.totals.succeeded + unlisted);
    println!("{files} files, {megabytes:.1} MB in {seconds:.1} s, {:.0} MB/s; {failed} failures", megabytes / seconds);
    println!("{stats}\nsum of all checksums: {:x}", sum.load(Relaxed));
    // Not by returning: that would wait for a read that hangs, which no timeout can end.
    std::process::exit(0)
}
