//! The words and the paths that a file's code names.

use super::source::File;

/// A word, a `::`, or any other character that is not a blank.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Colons,
    Sign(char),
}

/// A path such as `crate::rt::now`, once for each leaf of a `use` tree.
#[derive(Debug, PartialEq)]
pub(super) struct NamedPath<'a> {
    pub(super) offset: usize,
    pub(super) segments: Vec<&'a str>,
}

/// The words of a file's code with their offsets; lifetimes and raw words come without their prefix.
pub(super) fn words(file: &File) -> impl Iterator<Item = (usize, &str)> {
    tokens(&file.code).into_iter().filter_map(|(offset, token)| match token {
        Token::Word(word) => Some((offset, word)),
        _ => None,
    })
}

/// The paths of a file's code: what stands between `::`s, and what `use` names; groups are multiplied out.
pub(super) fn paths(file: &File) -> Vec<NamedPath<'_>> {
    let tokens = tokens(&file.code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let follows_use = at > 0 && tokens[at - 1].1 == Token::Word("use");
        let is_path = matches!(tokens[at].1, Token::Word(word) if word != "use")
            && (follows_use || tokens.get(at + 1).is_some_and(|next| next.1 == Token::Colons));
        at = if is_path { tree(&tokens, at, &[], &mut found) } else { at + 1 };
    }
    found
}

/// Reads the tree at `at`, below `prefix`, and returns where it ends.
fn tree<'a>(tokens: &[(usize, Token<'a>)], mut at: usize, prefix: &[&'a str], found: &mut Vec<NamedPath<'a>>) -> usize {
    let mut segments = prefix.to_vec();
    let offset = tokens.get(at).map_or(0, |token| token.0);
    while let Some((_, Token::Word(word))) = tokens.get(at) {
        segments.push(word);
        at += 1;
        if tokens.get(at).is_none_or(|next| next.1 != Token::Colons) {
            break;
        }
        at += 1;
    }
    match tokens.get(at).map(|token| token.1) {
        Some(Token::Sign('{')) if ends_with_colons(tokens, at, prefix) => {
            return group(tokens, at + 1, &segments, found);
        }
        Some(Token::Sign('*')) if ends_with_colons(tokens, at, prefix) => {
            segments.push("*");
            at += 1;
        }
        _ => {}
    }
    found.push(NamedPath { offset, segments });
    at
}

fn ends_with_colons(tokens: &[(usize, Token<'_>)], at: usize, prefix: &[&str]) -> bool {
    !prefix.is_empty() || at.checked_sub(1).is_some_and(|before| tokens[before].1 == Token::Colons)
}

/// Reads the members of a group up to its closing brace.
fn group<'a>(
    tokens: &[(usize, Token<'a>)],
    mut at: usize,
    prefix: &[&'a str],
    found: &mut Vec<NamedPath<'a>>,
) -> usize {
    loop {
        match tokens.get(at).map(|token| token.1) {
            None => return at,
            Some(Token::Sign('}')) => return at + 1,
            Some(Token::Sign(',')) => at += 1,
            Some(Token::Word("as")) => at += 2,
            Some(_) => {
                let before = at;
                at = tree(tokens, at, prefix, found);
                // Anything that is no use tree is stepped over.
                at = at.max(before + 1);
            }
        }
    }
}

fn tokens(code: &str) -> Vec<(usize, Token<'_>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let (length, token) = if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (length, Some(Token::Word(&rest[..length])))
        } else if rest.starts_with("::") {
            (2, Some(Token::Colons))
        } else {
            (first.len_utf8(), (!first.is_whitespace()).then_some(Token::Sign(first)))
        };
        found.extend(token.map(|token| (at, token)));
        at += length;
    }
    found
}

fn named(code: &str) -> Vec<String> {
    let sources = super::Sources::of(&[("src/x.rs", code)]);
    let file = sources.get("src/x.rs").expect("the file just made");
    paths(file).into_iter().map(|path| path.segments.join("::")).collect()
}

#[test]
fn groups_are_multiplied_out() {
    assert_eq!(
        named("use std::{fmt, sync::{Arc, atomic::*, self as s}};\nuse tokio;\nuse ::core::mem as m;"),
        ["std::fmt", "std::sync::Arc", "std::sync::atomic::*", "std::sync::self", "tokio", "core::mem"]
    );
}

#[test]
fn paths_in_expressions_and_types_are_found() {
    assert_eq!(
        named("fn f(x: crate::rt::Instant) { let v = Vec::<u8>::new(); match x { A::B => super::g::<T>(), _ => {} } }"),
        ["crate::rt::Instant", "Vec", "A::B", "super::g"]
    );
    assert_eq!(named("let x = std::env::args() * 2; if a::b {}"), ["std::env::args", "a::b"]);
}
