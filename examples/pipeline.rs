//! Reads an access log as web servers write it, asks a service about each client, in order and at a limited rate, and writes a
//! table. `cargo run --example pipeline -- access.log table.csv`; without arguments it makes a log of its own.

use std::{collections::HashMap, env, error::Error, io, net::IpAddr, num::NonZeroU32, path::PathBuf};
use std::{sync::Arc, time::Duration};

use flowgate::{Batch, Par, Pipeline};
use futures::{Stream, StreamExt as _, stream};
use governor::{DefaultDirectRateLimiter, Quota};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::fs::{self, File};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

const LONGEST: u64 = 16 << 10; // bytes of a line that are kept
const SHOWN: u64 = 10; // rejected lines that are shown; all are counted
const RATE: NonZeroU32 = NonZeroU32::new(2_000).expect("above zero"); // questions a second
const BURST: NonZeroU32 = NonZeroU32::new(16).expect("above zero"); // and at once

type Line = (u64, Vec<u8>);
type Hit = (String, String, u16, u64);

/// The lines of a file with their numbers; what is too long in a line is skipped and not held.
fn lines(file: File) -> impl Stream<Item = Result<Line, String>> + Send {
    stream::try_unfold((BufReader::new(file), 1), |(mut file, number)| async move {
        let mut line = Vec::new();
        let read = async {
            (&mut file).take(LONGEST).read_until(b'\n', &mut line).await?;
            let mut rest = if is_cut(&line) { line.clone() } else { Vec::new() };
            while is_cut(&rest) {
                rest.clear();
                (&mut file).take(LONGEST).read_until(b'\n', &mut rest).await?;
            }
            io::Result::Ok(())
        };
        read.await.map_err(|error| format!("line {number}: {error}"))?;
        Ok((!line.is_empty()).then_some(((number, line), (file, number + 1))))
    })
}

fn is_cut(line: &[u8]) -> bool {
    line.len() as u64 == LONGEST && !line.ends_with(b"\n")
}

/// `client - user [time] "GET /path HTTP/1.1" status bytes`
fn parse(line: &[u8]) -> Result<Hit, Box<dyn Error>> {
    if is_cut(line) {
        return Err(format!("longer than {LONGEST} bytes").into());
    }
    let (start, rest) = std::str::from_utf8(line)?.trim().split_once(" \"").ok_or("no request in quotes")?;
    let (request, end) = rest.split_once("\" ").ok_or("nothing behind the request")?;
    let (client, path) = (start.split(' ').next().unwrap_or(start), request.split(' ').nth(1).ok_or("no path")?);
    let mut numbers = end.split(' ');
    let status = numbers.next().unwrap_or("").parse().map_err(|error| format!("status: {error}"))?;
    let bytes = numbers.next().filter(|bytes| *bytes != "-").unwrap_or("0").parse();
    Ok((client.into(), path.replace('"', "\"\""), status, bytes.map_err(|error| format!("bytes: {error}"))?))
}

/// Stands for a question to another service, which takes some milliseconds.
#[allow(clippy::disallowed_methods, reason = "the library's own clock is not its users'")]
async fn ask(client: &str) -> &'static str {
    tokio::time::sleep(Duration::from_millis(1 + client.len() as u64 % 4)).await;
    match client.parse() {
        Ok(IpAddr::V4(ip)) if ip.is_private() || ip.is_loopback() => "own",
        Ok(IpAddr::V6(ip)) if ip.is_unique_local() || ip.is_loopback() => "own",
        Ok(_) => "public",
        Err(_) => "named",
    }
}

/// A log in which some lines are something else.
async fn sample() -> io::Result<PathBuf> {
    let path = env::temp_dir().join("flowgate-sample.log");
    let line = |n: u32| match n % 1_000 {
        999 => String::from("-- rotated --\n"),
        _ => format!("10.0.{}.{} - - [-] \"GET /item/{n} HTTP/1.1\" 200 {}\n", n % 7, n % 251, n % 9_973),
    };
    fs::write(&path, (0..5_000).map(line).collect::<String>()).await.map(|()| path)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    let log = match args.next() {
        Some(log) => log,
        None => sample().await?,
    };
    let table = args.next().unwrap_or_else(|| env::temp_dir().join("flowgate-table.csv"));
    let part = table.with_extension("part"); // renamed at the end: the table is whole, or not there
    let about = |path: &PathBuf, error| format!("{}: {error}", path.display());
    let file = File::open(&log).await.map_err(|error| about(&log, error))?;
    let mut out = File::create(&part).await.map_err(|error| about(&part, error))?;

    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left, held up by {msg}")?;
    let bar = ProgressBar::new(file.metadata().await?.len()).with_style(style); // drawn in a terminal only
    let (shown, mut rejected) = (bar.clone(), 0);
    let quota = Quota::per_second(RATE).allow_burst(BURST);
    let limit = Arc::new(DefaultDirectRateLimiter::direct(quota));
    let pipeline = Pipeline::new()
        .filter_map(move |(number, line): Line| {
            shown.inc(line.len() as u64);
            let parsed = parse(&line);
            rejected += u64::from(parsed.is_err());
            if rejected > SHOWN {
                return parsed.ok();
            }
            parsed.map_err(|fault| shown.suspend(|| eprintln!("line {number}: {fault}"))).ok()
        })
        .named("parse")
        .map_async(Par::ordered(16).window(64), move |(client, path, status, bytes)| {
            let limit = limit.clone();
            async move {
                limit.until_ready().await;
                format!("{client},{},\"{path}\",{status},{bytes}\n", ask(&client).await)
            }
        })
        .named("ask")
        .batch(Batch::of(256).within(Duration::from_millis(100)));

    let mut running = pipeline.try_run(lines(file))?;
    let mut held_up = HashMap::new(); // by what, and how often
    while let Some(batch) = running.next().await {
        out.write_all(batch.concat().as_bytes()).await?;
        if let Some(by) = running.snapshot().bottleneck {
            bar.set_message(by.to_string());
            held_up.entry(by.to_string()).or_insert((0, by)).0 += 1;
        }
    }
    bar.finish_and_clear();
    let mut end = running.snapshot();
    let report = match running.join().await {
        Ok(report) => report,
        Err(error) => {
            fs::remove_file(&part).await?;
            return Err(error.to_string().into());
        }
    };
    out.flush().await?;
    fs::rename(&part, &table).await?;
    end.bottleneck = held_up.into_values().max_by_key(|(times, _)| *times).map(|(_, by)| by);
    println!("{report}\n\n{end}\n\n{}\n{} rows in {}", end.to_mermaid(), report.settled, table.display());
    Ok(())
}
