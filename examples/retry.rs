//! A client that retries, against an HTTP server on the loopback interface with a bad start: it hangs up on the
//! first request, is busy for the second (503 with `Retry-After`) and then serves. `cargo run --example retry`

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use flowgate::retry::{RetryPolicy, Verdict};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("connection: {0}")]
    Connection(#[from] io::Error),
    #[error("the server is busy for another {0:?}")]
    Busy(Duration),
    #[error("the server answered {0}")]
    Refused(String),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let policy = RetryPolicy::exponential(Duration::from_millis(50))
        .max_attempts(5)
        .max_elapsed(Duration::from_secs(10))
        .classify(|error, info| {
            println!("  attempt {} failed after {:?}: {error}", info.attempt, info.elapsed);
            match error {
                FetchError::Connection(_) => Verdict::Retry, // after a jittered backoff
                FetchError::Busy(hint) => Verdict::RetryAfter(*hint), // when the server says so
                FetchError::Refused(_) => Verdict::Stop,     // asking again cannot help
            }
        });
    tokio::select! {
        failed = serve(listener) => failed.map_err(Into::into),
        () = async {
            for path in ["/greeting", "/nothing-here"] {
                println!("GET {path}");
                match policy.run(|_| fetch(addr, path)).await {
                    Ok(body) => println!("  {body:?}"),
                    Err(gone) => println!("  {gone}"),
                }
            }
        } => Ok(()),
    }
}

async fn fetch(addr: SocketAddr, path: &str) -> Result<String, FetchError> {
    let mut stream = BufReader::new(TcpStream::connect(addr).await?);
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let seconds = head.lines().find_map(|line| line.strip_prefix("Retry-After: ")?.parse().ok());
    match (head.split(' ').nth(1), seconds) {
        (Some("200"), _) => Ok(body.to_owned()),
        (Some("503"), Some(seconds)) => Err(FetchError::Busy(Duration::from_secs(seconds))),
        (status, _) => Err(FetchError::Refused(status.unwrap_or("nonsense").to_owned())),
    }
}

/// Answers one request after the other until it is dropped.
async fn serve(listener: TcpListener) -> io::Result<()> {
    for request in 1.. {
        let mut stream = BufReader::new(listener.accept().await?.0);
        let mut head = String::new();
        while stream.read_line(&mut head).await? > "\r\n".len() {}
        let answer = match (request, head.starts_with("GET /greeting ")) {
            (1, _) => continue, // hangs up
            (2, _) => "503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\r\n",
            (_, true) => "200 OK\r\nConnection: close\r\n\r\nhello",
            (_, false) => "404 Not Found\r\nConnection: close\r\n\r\n",
        };
        stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await?;
    }
    Ok(())
}
