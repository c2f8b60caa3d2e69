//! Broadcast: every line of a file to three readers, of which one may fall behind.
//!
//! `cargo run --example broadcast [FILE]` reads a file line by line. A checksum and a word count each get every line, and the file
//! is read no faster than they go. A preview on the terminal, which draws slowly, gets the latest lines and counts what it missed.

use std::sync::Arc;
use std::time::Duration;

use flowgate::{Branch, Leg, OnLag, broadcast};
use futures::{StreamExt as _, stream};
use tokio::io::{AsyncBufReadExt as _, BufReader};

type Lines = Branch<Arc<str>>;

async fn checksum(lines: Lines) -> u32 {
    let summed = lines.fold(crc32fast::Hasher::new(), |mut hasher, line| async move {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
        hasher
    });
    summed.await.finalize()
}

async fn words(lines: Lines) -> usize {
    lines.fold(0, |words, line| async move { words + line.split_whitespace().count() }).await
}

/// Draws a line now and then; how many it has shown, and missed.
async fn preview(mut lines: Lines) -> (usize, u64) {
    let mut shown = 0;
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while let Some(line) = lines.next().await {
        println!("  … {}", line.chars().take(100).collect::<String>());
        shown += 1;
        pace.tick().await;
    }
    (shown, lines.lagged())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "README.md".into());
    let file = BufReader::new(tokio::fs::File::open(&path).await?);
    let lines = stream::unfold(file.lines(), |mut lines| async move {
        match lines.next_line().await {
            Ok(line) => line.map(|line| (Arc::from(line), lines)),
            Err(error) => {
                eprintln!("the file ends early: {error}");
                None
            }
        }
    });

    let legs = [Leg::required(256), Leg::required(256), Leg::best_effort(4, OnLag::DropOldest)];
    let mut legs = broadcast(lines, legs)?.into_iter();
    let (Some(first), Some(second), Some(third)) = (legs.next(), legs.next(), legs.next()) else {
        return Err("a broadcast has as many branches as legs".into());
    };
    let (sum, words, (shown, missed)) = tokio::join!(checksum(first), words(second), preview(third));
    println!("{path}: crc32 {sum:08x}, {words} words; the preview showed {shown} lines and missed {missed}");
    Ok(())
}
