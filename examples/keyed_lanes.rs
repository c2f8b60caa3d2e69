//! Orders per account: one account's entries are booked one after another, in order; accounts run side by side.
//!
//! `cargo run --example keyed_lanes [LEDGER.csv]` where each line is `account,amount`; without a file it makes a day of
//! entries for 200 accounts, one of which has half of them. The books have to add up, and the busy account must not
//! keep the others waiting.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the library's own rules; an example is an application"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flowgate::{Attempt, RetryPolicy, Shutdown, WorkerPool};

#[derive(Clone, Debug)]
struct Entry {
    account: String,
    amount: i64,
}

fn entries(path: Option<String>) -> Result<Vec<Entry>, Box<dyn std::error::Error>> {
    let Some(path) = path else {
        let of =
            |n: i64| Entry { account: format!("{:03}", if n % 2 == 0 { 0 } else { n % 200 }), amount: n % 97 - 48 };
        return Ok((0..4_000).map(of).collect());
    };
    let text = std::fs::read_to_string(&path)?;
    let parse = |(n, line): (usize, &str)| {
        let (account, amount) = line.split_once(',').ok_or(format!("{path}:{n}: expected account,amount"))?;
        let amount = amount.trim().parse().map_err(|error| format!("{path}:{n}: {amount:?}: {error}"))?;
        Ok(Entry { account: account.trim().to_owned(), amount })
    };
    text.lines().enumerate().map(|(n, line)| parse((n + 1, line))).collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let entries = entries(std::env::args().nth(1))?;
    let books = Arc::new(Mutex::new(HashMap::<String, i64>::new()));
    let shelf = books.clone();
    let pool = WorkerPool::<Entry, (), &str>::builder()
        .concurrency(32)
        .queue(480)
        .per_key(64) // the busy account waits in a line of its own
        .retry(RetryPolicy::exponential(Duration::from_millis(2)).max_attempts(5))
        .build(move |entry: Attempt<Entry>| {
            let shelf = shelf.clone();
            async move {
                // Reads, waits as a database would, writes: only the lane keeps another entry from coming between.
                let before = shelf.lock().unwrap_or_else(PoisonError::into_inner).get(&entry.account).copied();
                tokio::time::sleep(Duration::from_micros(200)).await;
                if entry.attempt() == 1 && entry.amount == 48 {
                    return Err("the connection was reset"); // only this account waits for the next attempt
                }
                let after = before.unwrap_or(0) + entry.amount;
                shelf.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.account.clone(), after);
                Ok(())
            }
        })?;

    let mut expected = HashMap::<String, i64>::new();
    for entry in &entries {
        *expected.entry(entry.account.clone()).or_default() += entry.amount;
    }
    let began = Instant::now();
    let mut accounts = HashMap::<String, Vec<Entry>>::new();
    for entry in entries {
        accounts.entry(entry.account.clone()).or_default().push(entry);
    }
    let mut finished = Vec::new();
    let tasks = accounts.into_iter().map(|(account, entries)| {
        let pool = pool.clone();
        async move {
            for entry in entries {
                let key = entry.account.clone();
                drop(pool.job(entry).key(&key).submit().await); // detached: the report accounts for it
            }
            (account, began.elapsed())
        }
    });
    for done in futures::future::join_all(tasks).await {
        finished.push(done);
    }
    let report = pool.shutdown(Shutdown::DrainFor(Duration::from_secs(60))).await?;
    finished.sort_by_key(|(_, at)| *at);
    let books = books.lock().unwrap_or_else(PoisonError::into_inner);
    println!("accounts {}, median let in after {:?}", finished.len(), finished[finished.len() / 2].1);
    println!("the busiest, {}, after {:?}", finished[finished.len() - 1].0, finished[finished.len() - 1].1);
    println!("{report}");
    println!("the books {}", if *books == expected { "add up" } else { "DO NOT ADD UP" });
    if *books == expected { Ok(()) } else { Err("an entry was lost or booked twice".into()) }
}
