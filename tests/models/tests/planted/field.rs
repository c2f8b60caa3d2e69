//! A copy of the kernels and their models in which bugs are planted.

use super::Bug;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A package of its own with a copy of the sources, at the same places as in the workspace.
#[derive(Debug)]
pub(crate) struct Field {
    at: PathBuf,
}

/// What became of a bug.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The model failed, with this message.
    Killed(String),
    /// The model did not notice it.
    Survived,
    /// It does not compile, or the model did not run.
    Unfit(String),
}

const MANIFEST: &str = r#"
[workspace]

[package]
name = "planted"
edition = "2024"

[lib]
path = "lib.rs"

[[test]]
name = "loom"
path = "tests/models/tests/loom/main.rs"

[dev-dependencies]
loom = { version = "0.7.3", features = ["futures"] }
hashbrown = { version = "0.17", default-features = false, features = ["equivalent", "inline-more"] }

[profile.dev.package.loom]
opt-level = 3
[profile.dev.package.generator]
opt-level = 3
"#;

impl Field {
    /// Copies the sources.
    pub(crate) fn prepare() -> Self {
        let field = Self { at: Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted") };
        for folder in ["src/kernel", "tests/models/tests/loom"] {
            let to = field.at.join(folder);
            if to.exists() {
                fs::remove_dir_all(&to).expect("the last run's copy can be removed");
            }
            copy(&root().join(folder), &to);
        }
        fs::write(field.at.join("Cargo.toml"), MANIFEST).expect("the manifest can be written");
        fs::write(field.at.join("lib.rs"), "").expect("the library can be written");
        // The same versions as in the workspace.
        fs::copy(root().join("Cargo.lock"), field.at.join("Cargo.lock")).expect("the lock file can be copied");
        field
    }

    /// Without a planted bug, every model passes.
    pub(crate) fn expect_sound(&self) {
        let output = self.cargo(&["--quiet"]);
        assert!(output.status.success(), "without a planted bug: {}", said(&output));
    }

    /// Plants a bug, runs its model, and takes the bug out again.
    pub(crate) fn try_bug(&self, bug: &Bug) -> Verdict {
        let file = self.at.join(bug.file);
        let sound = fs::read_to_string(&file).expect("a bug names a file");
        fs::write(&file, sound.replacen(bug.find, bug.put, 1)).expect("a copied file can be written");
        let verdict = self.judge(bug);
        fs::write(&file, sound).expect("a copied file can be written");
        verdict
    }

    fn judge(&self, bug: &Bug) -> Verdict {
        let built = self.cargo(&["--no-run"]);
        if !built.status.success() {
            return Verdict::Unfit(said(&built));
        }
        let run = self.cargo(&["--", "--exact", bug.model]);
        let text = said(&run);
        if !text.contains("running 1 test") {
            return Verdict::Unfit(text);
        }
        if run.status.success() { Verdict::Survived } else { Verdict::Killed(reason(&text)) }
    }

    fn cargo(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO"))
            .args(["test", "--offline", "--test", "loom"])
            .args(arguments)
            .current_dir(&self.at)
            .env("CARGO_TARGET_DIR", self.at.join("target"))
            // A kill is a failed assertion or a deadlock, not a lower number of executions.
            .env("FLOWGATE_NO_BASELINE", "1")
            .env("RUST_BACKTRACE", "0")
            .env_remove("FLOWGATE_DEEP")
            .output()
            .expect("cargo can be started")
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder of sources").path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a source file can be copied");
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The first panic's message, on one line.
fn reason(text: &str) -> String {
    let message = text.split("panicked at ").nth(1).and_then(|panic| panic.split_once(":\n"));
    let line = message.map_or("aborted", |(_, message)| message.lines().next().unwrap_or_default());
    let line: String = line.chars().take(90).collect();
    line.replace('|', "/")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(reason) => write!(f, "killed: {reason}"),
            Self::Survived => f.write_str("SURVIVED"),
            Self::Unfit(reason) => write!(f, "UNFIT: {reason}"),
        }
    }
}
