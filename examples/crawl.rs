//! A crawler: handlers submit more work to their own pool.
//!
//! `cargo run --example crawl [DIRECTORY]` walks a local directory tree. Each job reads one directory and submits its
//! subdirectories. When the pool is full, `submit` inside one of its own handlers answers `WouldDeadlock` at once and
//! gives the directory back: the handler then walks it itself. So the queue stays bounded and nothing can wait for itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowgate::{Cx, Shutdown, SubmitError, WorkerPool};

type Crawler = WorkerPool<PathBuf, (), std::io::Error>;

#[derive(Default)]
struct Found {
    directories: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    unreadable: AtomicU64,
    walked_here: AtomicU64,
}

/// Counts the files of one directory; its subdirectories.
async fn list(found: &Found, directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = tokio::fs::read_dir(directory).await?;
    found.directories.fetch_add(1, Ordering::Relaxed);
    let mut below = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let metadata = entry.metadata().await?; // of a link itself: no cycles
        if metadata.is_dir() {
            below.push(entry.path());
        } else {
            found.files.fetch_add(1, Ordering::Relaxed);
            found.bytes.fetch_add(metadata.len(), Ordering::Relaxed);
        }
    }
    Ok(below)
}

async fn crawl(found: &Arc<Found>, directory: &mut PathBuf, cx: &Cx) -> std::io::Result<()> {
    let mut left = vec![std::mem::take(directory)];
    while let Some(directory) = left.pop() {
        let below = match list(found, &directory).await {
            Ok(below) => below,
            Err(_) => {
                found.unreadable.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        for child in below {
            let Some(pool) = cx.pool::<PathBuf, (), std::io::Error>().and_then(|pool| pool.upgrade()) else {
                return Ok(());
            };
            match pool.submit(child).await {
                Ok(handle) => drop(handle), // detached: `drain` waits for it, the report counts it
                Err(SubmitError::WouldDeadlock(child)) => {
                    found.walked_here.fetch_add(1, Ordering::Relaxed);
                    left.push(child);
                }
                Err(_) => return Ok(()),
            }
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    if !root.is_dir() {
        return Err(format!("{} is not a directory", root.display()).into());
    }
    let found = Arc::new(Found::default());
    let pool = Crawler::builder().concurrency(16).queue(48).build_with(found.clone(), crawl)?;
    drop(pool.submit(root).await.map_err(|refused| refused.to_string())?);
    pool.drain().await?;
    let report = pool.shutdown(Shutdown::DrainFor(Duration::from_secs(5))).await?;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!("{} directories, {} files, {} bytes", count(&found.directories), count(&found.files), count(&found.bytes));
    println!(
        "{} unreadable; {} walked in place while the pool was full",
        count(&found.unreadable),
        count(&found.walked_here)
    );
    println!("{report}");
    Ok(())
}
