//! The items of a file: what each header says, what it sits in, and its documentation.

use super::source::File;

/// What stands before a `{` or a `;`, less its attributes.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) offset: usize,
    pub(super) text: &'a str,
    pub(super) attributes: &'a str,
    /// The lines of its `///` comments.
    pub(super) docs: Vec<&'a str>,
    /// The braces around it, outermost first.
    pub(super) within: Vec<Brace<'a>>,
}

/// What a brace opened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Brace<'a> {
    Module,
    /// `impl Trait for Type`, each by its last name.
    Impl {
        of: Option<&'a str>,
        on: &'a str,
    },
    Other,
}

/// A function by its header.
#[derive(Debug)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) returns: &'a str,
    pub(super) is_async: bool,
}

impl Header<'_> {
    /// The type whose `impl` this header stands in.
    pub(super) fn owner(&self) -> Option<&str> {
        match self.within.last() {
            Some(Brace::Impl { on, .. }) => Some(on),
            _ => None,
        }
    }

    /// The public function that this header declares.
    pub(super) fn public_function(&self) -> Option<Function<'_>> {
        let mut rest = self.text.strip_prefix("pub ")?.trim_start();
        let mut is_async = false;
        loop {
            let (word, tail) = rest.split_once(char::is_whitespace)?;
            match word {
                "fn" => return Some(function(tail.trim_start(), is_async)),
                "async" => is_async = true,
                "const" | "extern" => {}
                _ => return None,
            }
            rest = tail.trim_start();
        }
    }

    /// The public struct, enum or trait that this header declares.
    pub(super) fn public_type(&self) -> Option<&str> {
        let rest = self.text.strip_prefix("pub ")?.trim_start();
        let (word, tail) = rest.split_once(char::is_whitespace)?;
        ["struct", "enum", "trait"].contains(&word).then(|| leading_word(tail.trim_start()))
    }
}

fn function(rest: &str, is_async: bool) -> Function<'_> {
    let name = leading_word(rest);
    let mut tail = rest[name.len()..].trim_start();
    if tail.starts_with('<') {
        tail = &tail[balanced(tail, '<', '>')..];
    }
    let tail = tail.trim_start();
    let tail = tail[balanced(tail, '(', ')')..].trim_start();
    let returns = tail.strip_prefix("->").unwrap_or("");
    Function { name, returns: returns.split(" where ").next().unwrap_or("").trim(), is_async }
}

fn leading_word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// The length of what `text` begins with, from `open` to its `close`; the `>` of an arrow closes nothing.
fn balanced(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close && before != '-' {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + 1;
            }
        }
        before = character;
    }
    text.len()
}

/// Every header of the file in order.
pub(super) fn headers(file: &File) -> Vec<Header<'_>> {
    let mut found = Vec::new();
    let mut within = Vec::new();
    let mut outer_brackets = Vec::new();
    let mut brackets = 0_usize;
    let mut start = 0;
    for (at, byte) in file.code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b'{' => {
                let header = header(file, start, at, &within);
                within.push(header.as_ref().map_or(Brace::Other, |header| brace(header.text)));
                found.extend(header);
                outer_brackets.push(std::mem::take(&mut brackets));
                start = at + 1;
            }
            b'}' => {
                within.pop();
                brackets = outer_brackets.pop().unwrap_or(0);
                start = at + 1;
            }
            b';' if brackets == 0 => {
                found.extend(header(file, start, at, &within));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn header<'a>(file: &'a File, start: usize, end: usize, within: &[Brace<'a>]) -> Option<Header<'a>> {
    let mut offset = start;
    loop {
        let rest = &file.code[offset..end];
        offset += rest.len() - rest.trim_start().len();
        let rest = &file.code[offset..end];
        if !rest.starts_with("#[") && !rest.starts_with("#![") {
            break;
        }
        offset += balanced(rest, '[', ']');
    }
    let text = file.code[offset..end].trim_end();
    let attributes = file.code[start..offset].trim();
    let docs = file.comments[start..offset].lines().map(str::trim).filter(|line| line.starts_with("///"));
    (!text.is_empty()).then(|| Header { offset, text, attributes, docs: docs.collect(), within: within.to_vec() })
}

fn brace(text: &str) -> Brace<'_> {
    let is_module = text.split_whitespace().rev().nth(1) == Some("mod");
    let Some(rest) = text.strip_prefix("impl").filter(|rest| rest.starts_with([' ', '<'])) else {
        return if is_module { Brace::Module } else { Brace::Other };
    };
    let rest = if rest.starts_with('<') { &rest[balanced(rest, '<', '>')..] } else { rest };
    let rest = rest.split(" where").next().unwrap_or(rest).trim();
    match rest.split_once(" for ") {
        Some((of, on)) => Brace::Impl { of: Some(last_name(of)), on: last_name(on) },
        None => Brace::Impl { of: None, on: last_name(rest) },
    }
}

/// `Pool` of `crate::pool::Pool<J, T>`.
fn last_name(path: &str) -> &str {
    let path = path.split('<').next().unwrap_or(path).trim();
    path.rsplit("::").next().unwrap_or(path)
}

fn of(code: &str) -> super::Sources {
    super::Sources::of(&[("src/x.rs", code)])
}

#[test]
fn a_method_knows_its_owner_and_its_documentation() {
    let sources = of(concat!(
        "use a::{b, c};\n\n/// A pool.\n#[derive(Debug)]\npub struct Pool<J> { job: [J; 4] }\n",
        "impl<J: Fn(u8) -> u8, T> x::Pool<J>\nwhere J: Send {\n    /// Waits.\n    ///\n    /// # Cancel safety\n    #[must_use]\n",
        "    pub async fn wait<F: Fn() -> u8>(&self, f: F) -> Result<T, [u8; 4]> where T: Send { if a { b(|| { c; }) } }\n}\n",
        "impl<J> Future for Pool<J> { fn poll() {} }",
    ));
    let file = sources.get("src/x.rs").expect("the file just made");
    let headers = headers(file);
    let wait = headers.iter().find(|header| header.public_function().is_some()).expect("a public function");
    let function = wait.public_function().expect("a public function");
    assert_eq!((function.name, function.returns, function.is_async), ("wait", "Result<T, [u8; 4]>", true));
    assert_eq!(wait.owner(), Some("Pool"));
    assert_eq!(wait.attributes, "#[must_use]");
    assert_eq!(wait.docs, ["/// Waits.", "///", "/// # Cancel safety"]);
    assert!(headers.iter().any(|header| header.public_type() == Some("Pool") && header.docs == ["/// A pool."]));
    let poll = headers.iter().find(|header| header.text.starts_with("fn poll")).expect("a private function");
    assert_eq!(poll.within, [Brace::Impl { of: Some("Future"), on: "Pool" }]);
}

#[test]
fn modules_are_told_from_other_braces() {
    let sources = of("pub(crate) mod inner { fn f(modest: u8) { g; } }");
    let headers = headers(sources.get("src/x.rs").expect("the file just made"));
    let g = headers.iter().find(|header| header.text == "g").expect("the statement");
    assert_eq!(g.within, [Brace::Module, Brace::Other]);
}
