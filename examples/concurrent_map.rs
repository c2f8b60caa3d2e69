//! Counts the words of the files given, each file in a task of its own, and prints the most frequent ones.
//! `cargo run --example concurrent_map -- README.md CHANGELOG.md`; without arguments it reads this crate's README.

use std::path::PathBuf;

use flowgate::{Attempt, ConcurrentMap, Shutdown, WorkerPool};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

const SHOWN: usize = 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        files.push(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md").into());
    }

    // A clone is the same map: every job counts into one.
    let counts = ConcurrentMap::<String, u64>::builder().name("words").build()?;
    let shared = counts.clone();
    let pool = WorkerPool::<PathBuf, usize, std::io::Error>::builder().concurrency(4).build(
        move |file: Attempt<PathBuf>| {
            let counts = shared.clone();
            async move { Ok(count(&tokio::fs::read_to_string(&*file).await?, &counts)) }
        },
    )?;

    let mut jobs = FuturesUnordered::new();
    for file in files {
        jobs.push(pool.submit(file).await?);
    }
    let mut words = 0;
    while let Some(counted) = jobs.next().await {
        words += counted.inspect_err(|error| eprintln!("{error}")).unwrap_or(0);
    }
    println!("{}", pool.shutdown(Shutdown::Drain).await?);

    println!("{words} words, {} different", counts.len());
    let mut frequent = counts.snapshot();
    frequent.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    for (word, count) in frequent.iter().take(SHOWN) {
        println!("{count:6} {word}");
    }

    // One step for each entry, under its shard's lock: what is rare goes.
    let rare = counts.retain(|_, count| *count > 1);
    println!("{rare} words came once; {} are left", counts.len());
    Ok(())
}

/// Counts the words of a text, and returns how many there are. A word is cloned when it comes for the first time.
fn count(text: &str, counts: &ConcurrentMap<String, u64>) -> usize {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(0, |sum, word| {
        counts.upsert_ref(&word.to_lowercase(), |count| *count += 1, || 1);
        sum + 1
    })
}
