//! Counts primes until Ctrl-C, SIGTERM or the end of the time given, then shuts down in good order: five seconds to
//! finish, and what is not done is given back. A second signal ends it now. `cargo run --example graceful_shutdown -- 10`

use std::{convert::Infallible, error::Error, io, ops::Range, process::ExitCode, time::Duration};

use flowgate::{Attempt, RetryPolicy, Shutdown, WorkerPool};

/// Lent to one attempt after the other, and given back as the last one left it: `untested` shrinks from below.
struct Count {
    untested: Range<u64>,
    primes: u64,
}

async fn count(mut job: Attempt<Count>) -> Result<(), Infallible> {
    while let Some(n) = job.untested.next() {
        let mut divisor = 2;
        while n % divisor != 0 && divisor * divisor < n {
            divisor += 1;
        }
        job.primes += u64::from(n % divisor != 0);
        if n % 64 == 0 {
            tokio::task::yield_now().await; // here it can be stopped
        }
    }
    println!("{} primes up to {}", job.primes, job.untested.end);
    Ok(())
}

/// Waits for the next Ctrl-C or SIGTERM.
#[cfg(unix)]
fn signals() -> io::Result<impl AsyncFnMut() -> &'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move || tokio::select! { _ = interrupt.recv() => "Ctrl-C", _ = terminate.recv() => "SIGTERM" })
}

#[cfg(windows)]
fn signals() -> io::Result<impl AsyncFnMut() -> &'static str> {
    let mut ctrl_c = tokio::signal::windows::ctrl_c()?;
    Ok(async move || ctrl_c.recv().await.map_or("no console", |()| "Ctrl-C"))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut signal = signals()?;
    let seconds = std::env::args().nth(1).map_or(Ok(10), |seconds| seconds.parse().map_err(|_| "how many seconds?"))?;
    let pool = WorkerPool::builder()
        .concurrency(2)
        .queue(10)
        .attempt_timeout(Duration::from_millis(1_500)) // time slice: the next attempt goes on from here
        .retry(RetryPolicy::fixed(Duration::from_millis(500)).max_attempts(u32::MAX).no_budget())
        .build(count)?;
    let produce = async {
        let mut from = 1_000_000_000;
        loop {
            let job = Count { untested: from..from + 200_000 * (1 + from / 200_000 % 4), primes: 0 };
            from = job.untested.end;
            if let Err(refused) = pool.submit(job).await {
                return refused.into_job(); // the pool is closed
            }
        }
    };
    let end = async {
        let why = tokio::time::timeout(Duration::from_secs(seconds), signal()).await.unwrap_or("time is up");
        println!("{why}, 5 s to finish: {}", pool.stats());
        tokio::select! {
            report = pool.shutdown(Shutdown::DrainFor(Duration::from_secs(5))) => report,
            _ = signal() => pool.shutdown(Shutdown::Now).await, // what the other call had collected is in this report
        }
    };
    let (refused, report) = tokio::join!(produce, end);
    let report = report?;
    println!("{report}");
    let show = |what, job: &Count| println!("{what}: {} primes so far, {:?} untested", job.primes, job.untested);
    show("refused", &refused);
    report.unstarted.iter().for_each(|job| show("unstarted", job));
    report.parked.iter().filter_map(|failure| failure.job.as_ref()).for_each(|job| show("parked", job));
    report.aborted.iter().for_each(|job| show("aborted", job));
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
