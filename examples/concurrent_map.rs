//! Counts the words of the files given, each file in a task of its own, prints the most frequent ones, and serves look-ups
//! of their ranks, each loaded once.
//! `cargo run --example concurrent_map -- README.md CHANGELOG.md`; without arguments it reads this crate's README.

use std::path::PathBuf;
use std::time::Duration;

use flowgate::{Attempt, ConcurrentMap, LoadSource, Shutdown, WorkerPool};
use futures::StreamExt as _;
use futures::future::join_all;
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

    // Look-ups through a second map: whatever is asked for often is computed once, however many wait for it.
    let ranks = ConcurrentMap::<String, usize>::builder().ttl(Duration::from_secs(60)).build()?;
    let asked = frequent.iter().take(SHOWN).cycle().take(100 * SHOWN);
    let look_ups = asked.map(|(word, count)| {
        let (counts, count) = (counts.clone(), *count);
        ranks.get_or_load(
            word.clone(),
            move || async move { 1 + counts.values().filter(|other| *other > count).count() },
        )
    });
    let mut loads = 0;
    for rank in join_all(look_ups).await {
        loads += usize::from(rank?.source == LoadSource::Load);
    }
    println!("{} look-ups of {} words took {loads} loads", 100 * SHOWN, ranks.len());
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
