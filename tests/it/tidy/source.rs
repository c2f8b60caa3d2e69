//! The files under inspection, each in three views that share their line numbers.

use std::fs;
use std::path::Path;

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// `text` with comments and the insides of literals blanked. Empty unless the file is Rust.
    pub(super) code: String,
    /// `text` with everything but the comments blanked. Empty unless the file is Rust.
    pub(super) comments: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let (code, comments) = if is_rust(path) { split(text) } else { (String::new(), String::new()) };
        Self { path: path.into(), text: text.into(), code, comments }
    }

    /// A fault at a byte offset of any view.
    pub(super) fn fault(&self, offset: usize, what: &str) -> String {
        let line = 1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        format!("{}:{line}: {what}", self.path)
    }
}

/// A tree of files.
#[derive(Debug)]
pub(super) struct Sources(Vec<File>);

impl Sources {
    /// The Rust, Markdown and TOML files of this repository.
    pub(super) fn of_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        collect(root, root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the sources are not where they are looked for");
        Self(files)
    }

    /// A made-up tree of (path, text).
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| File::new(path, text)).collect())
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.iter().find(|file| file.path == path)
    }

    /// Whether there is a file, or a folder with a file, of this name.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.0.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    }

    /// The Rust files whose path starts with `prefix`.
    pub(super) fn rust<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a File> {
        self.0.iter().filter(move |file| file.path.starts_with(prefix) && is_rust(&file.path))
    }

    /// The Cargo manifests.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &File> {
        self.0.iter().filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
    }
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name");
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(root, &path, files);
            }
        } else if [".rs", ".md", ".toml"].iter().any(|ending| name.ends_with(ending)) {
            let text = fs::read_to_string(&path).expect("a UTF-8 source file");
            let relative = path.strip_prefix(root).expect("a path under the root");
            files.push(File::new(&relative.to_string_lossy().replace('\\', "/"), &text));
        }
    }
}

/// What a stretch of Rust text is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Splits Rust text into its code and its comments, each as long as the text and blank elsewhere.
fn split(text: &str) -> (String, String) {
    let mut code = Vec::with_capacity(text.len());
    let mut comments = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while !rest.is_empty() {
        let (kind, length) = next_stretch(rest, after_word);
        for byte in rest[..length].bytes() {
            let blank = if byte == b'\n' { b'\n' } else { b' ' };
            code.push(if kind == Kind::Code { byte } else { blank });
            comments.push(if kind == Kind::Comment { byte } else { blank });
        }
        let last = rest[..length].chars().next_back();
        after_word = kind == Kind::Code && last.is_some_and(|last| last.is_alphanumeric() || last == '_');
        rest = &rest[length..];
    }
    (String::from_utf8(code).expect("whole characters"), String::from_utf8(comments).expect("whole characters"))
}

/// The kind and the length of what `rest` begins with. Code comes one character at a time.
fn next_stretch(rest: &str, after_word: bool) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment(rest));
    }
    if !after_word {
        for prefix in ["r", "br", "cr"] {
            if let Some(length) = rest.strip_prefix(prefix).and_then(raw_string) {
                return (Kind::Literal, prefix.len() + length);
            }
        }
    }
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let literal = match rest.as_bytes()[0] {
        b'"' => Some(quoted(rest, '"')),
        b'\'' if is_char_literal(rest) => Some(quoted(rest, '\'')),
        _ => None,
    };
    literal.map_or((Kind::Code, first), |length| (Kind::Literal, length))
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a raw string from its first `#` or quote on, if `rest` is one.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(body.find(&end).map_or(rest.len(), |at| hashes + 1 + at + end.len()))
}

/// The length of a literal between two `quote`s, with backslash escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut characters = rest.chars().skip(1);
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => true,
        (Some(_), Some(second)) => second == '\'',
        _ => false,
    }
}

#[test]
fn comments_and_literals_are_told_from_code() {
    let text = concat!(
        "/// doc\nfn f<'a>(s: &'a str) { g(\"// no \\\" comment\", 'x', '\\'', r#\"raw \" //\"#); } // tail\n",
        "/* a /* b */ c */ use d; let r = 1; let c = '/';",
    );
    let file = File::new("src/x.rs", text);
    assert_eq!(file.code.len(), text.len());
    assert_eq!(file.comments.len(), text.len());
    let squeezed = |view: &str| view.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeezed(&file.code), "fn f<'a>(s: &'a str) { g( , , , ); } use d; let r = 1; let c = ;");
    assert_eq!(squeezed(&file.comments), "/// doc // tail /* a /* b */ c */");
    assert_eq!(file.code.lines().count(), text.lines().count());
}

#[test]
fn this_repository_is_read() {
    let sources = Sources::of_repository();
    assert!(sources.get("src/lib.rs").is_some());
    assert!(sources.get("README.md").is_some());
    assert!(sources.manifests().count() >= 4);
    assert!(sources.rust("tests/it/").count() > 1);
}
