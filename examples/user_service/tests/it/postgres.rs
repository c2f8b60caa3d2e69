//! A PostgreSQL of this run's own: started at its first use, one database for each test, gone with this process.

use std::fs;
use std::future::pending;
use std::io::{Write, stderr};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::DEADLINE;

/// Set to 1 where a run without PostgreSQL must fail, as in CI.
const REQUIRE: &str = "FLOWGATE_REQUIRE_POSTGRES";
/// Whom PostgreSQL runs as when the tests run as root, which it refuses: `nobody`.
const UNPRIVILEGED: u32 = 65_534;

/// Runs the server until its own standard input ends, which it does when this process is gone, however it went.
const KEEPER: &str = r#"
    "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c synchronous_commit=off \
        -c full_page_writes=off -c max_connections=300 >"$2/log" 2>&1 &
    cat
    kill -QUIT $!
    wait
    rm -r "$2"
"#;

struct Cluster {
    folder: PathBuf,
    /// Its end of the pipe is the keeper's standard input.
    _keeper: Child,
}

/// The URL of a fresh, empty database; `None`, and a word on the terminal, where PostgreSQL is not installed.
pub(crate) async fn database() -> Option<String> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    static DATABASES: AtomicUsize = AtomicUsize::new(0);
    let cluster = CLUSTER.get_or_init(start).as_ref()?;
    let url = |name: &str| format!("postgres:///{name}?host={}&user=postgres", cluster.folder.display());
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    execute(&url("postgres"), &format!("CREATE DATABASE {name}")).await;
    Some(url(&name))
}

/// Runs statements on a connection of its own.
pub(crate) async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The same database by TCP, through a network that carries nothing more on its open connections once it is told to.
pub(crate) async fn behind_a_network(url: &str) -> (String, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rest = url.strip_prefix("postgres:///").unwrap();
    let (name, folder) = rest.split_once("?host=").unwrap();
    let socket = format!("{}/.s.PGSQL.5432", folder.split('&').next().unwrap());
    let url = format!("postgres://postgres@{}/{name}", listener.local_addr().unwrap());
    let (silence, _) = watch::channel(());
    let network = silence.clone();
    // Ends with the test's runtime.
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let (mut silent, socket) = (network.subscribe(), socket.clone());
            connections.spawn(async move {
                let mut server = UnixStream::connect(socket).await.unwrap();
                let carried = async { copy_bidirectional(&mut client, &mut server).await.map(drop) };
                let silenced = async { silent.changed().await };
                tokio::select! {
                    _ = carried => {}
                    _ = silenced => pending().await,
                }
            });
        }
    });
    (url, silence)
}

fn start() -> Option<Cluster> {
    let Some(binaries) = find() else {
        let text = "PostgreSQL is NOT tested: no `initdb` in PATH or in Debian's folders";
        announce(text);
        assert!(std::env::var_os(REQUIRE).is_none_or(|value| value != "1"), "{REQUIRE}=1, and {text}");
        return None;
    };
    let folder = tempfile::Builder::new().prefix("flowgate-pg").tempdir().unwrap().keep();
    let root = fs::metadata(&folder).unwrap().uid() == 0;
    if root {
        chown(&folder, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    }
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(&folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if root {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    };
    let mut initdb = command(&binaries.join("initdb"));
    initdb.args(["--auth=trust", "--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C"]);
    let made = initdb.arg("--pgdata").arg(folder.join("data")).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut keeper = command(Path::new("sh"));
    // A group of its own: Ctrl-C ends the tests, and the keeper sees it by the end of its input.
    keeper.arg("-c").arg(KEEPER).arg("keeper").arg(&binaries).arg(&folder).process_group(0);
    let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_until_ready(&folder.join("log"));
    let version = Command::new(binaries.join("postgres")).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    announce(&format!("databases under test: SQLite in a file and in memory; {version}, started from {binaries:?}"));
    Some(Cluster { folder, _keeper: keeper })
}

/// In PATH, or the newest of Debian's versioned folders.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("initdb")).find(|file| file.exists());
    if let Some(initdb) = in_path.and_then(|file| file.canonicalize().ok()) {
        return initdb.parent().map(Path::to_owned);
    }
    let version = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let mut folders: Vec<_> = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).collect();
    folders.sort_by_key(version);
    folders.iter().rev().map(|entry| entry.path().join("bin")).find(|folder| folder.join("initdb").exists())
}

fn wait_until_ready(log: &Path) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains("ready to accept connections") {
            return;
        }
        assert!(Instant::now() < deadline, "PostgreSQL did not start: {text}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Writes a line where the test harness does not capture it.
fn announce(text: &str) {
    // An error means that nobody is listening.
    let _ = writeln!(stderr(), "\n*** {text} ***");
}
