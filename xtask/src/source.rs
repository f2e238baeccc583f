//! Just enough of Rust's lexical structure to count and to search honestly.
//!
//! Comments and the contents of literals are blanked, so that a word in a sentence is not
//! taken for code and a brace in a string does not upset the count. Positions and line
//! numbers stay as they were.

/// A function and how many lines it takes, signature and closing brace included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// The source with comments, strings and character literals turned into spaces.
pub(crate) fn code_only(source: &str) -> String {
    let characters: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    let mut previous = ' ';
    while let Some(&character) = characters.get(at) {
        let length = opaque_length(previous, characters.get(at..).unwrap_or_default());
        if length == 0 {
            code.push(character);
            previous = character;
            at += 1;
            continue;
        }
        let end = (at + length).min(characters.len());
        for hidden in characters.get(at..end).unwrap_or_default() {
            code.push(if *hidden == '\n' { '\n' } else { ' ' });
        }
        previous = ' ';
        at = end;
    }
    code
}

/// How many characters from here belong to a comment or a literal; 0 if this is code.
fn opaque_length(previous: char, rest: &[char]) -> usize {
    match rest {
        ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment_length(rest),
        ['"', ..] => quoted_length(rest, '"'),
        ['\'', '\\', ..] => quoted_length(rest, '\''),
        ['\'', _, '\'', ..] => 3,
        ['r', '"' | '#', ..] if !is_word(previous) || matches!(previous, 'b' | 'c') => {
            raw_length(rest)
        }
        _ => 0,
    }
}

fn block_comment_length(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match rest.get(at..) {
            Some(['/', '*', ..]) => (depth, at) = (depth + 1, at + 2),
            Some(['*', '/', ..]) => (depth, at) = (depth.saturating_sub(1), at + 2),
            Some([_, ..]) => at += 1,
            _ => return rest.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    loop {
        match rest.get(at) {
            Some('\\') => at += 2,
            Some(c) if *c == quote => return at + 1,
            Some(_) => at += 1,
            None => return rest.len(),
        }
    }
}

fn raw_length(rest: &[char]) -> usize {
    let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0; // A raw identifier such as `r#type`.
    }
    let mut at = hashes + 2;
    while at < rest.len() {
        let closing =
            rest.get(at + 1..).unwrap_or_default().iter().take_while(|c| **c == '#').count();
        if rest.get(at) == Some(&'"') && closing >= hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Code without the items that `#[cfg(test)]` marks; what is blanked keeps its lines.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((before, marked)) = rest.split_once(MARK) {
        kept.push_str(before);
        let end = item_end(marked);
        let (item, after) = marked.split_at_checked(end).unwrap_or((marked, ""));
        kept.extend(item.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// The byte just after the item that starts here: its closing brace or its semicolon.
fn item_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && character == '}' {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Every function with a body, nested ones too, in the order in which they open.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code.get(from..).and_then(|rest| rest.find("fn ")).map(|at| from + at) {
        from = at + 3;
        let boundary = code.get(..at).and_then(|before| before.chars().next_back());
        let after = code.get(from..).unwrap_or_default();
        let name: String = after.trim_start().chars().take_while(|c| is_word(*c)).collect();
        if boundary.is_some_and(is_word) || name.is_empty() {
            continue;
        }
        let end = item_end(after);
        let body = after.get(..end).unwrap_or_default();
        if body.ends_with('}') {
            let line = line_of(code, at);
            found.push(Function { name, line, lines: body.matches('\n').count() + 1 });
        }
    }
    found
}

/// The lines, counted from 1, on which `word` stands as code and not inside a longer word.
pub(crate) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let starts_as_word = word.chars().next().is_some_and(is_word);
    let ends_as_word = word.chars().next_back().is_some_and(is_word);
    code.match_indices(word)
        .filter(|(at, _)| {
            let before = code.get(..*at).and_then(|text| text.chars().next_back());
            let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
            !(starts_as_word && before.is_some_and(is_word)
                || ends_as_word && after.is_some_and(is_word))
        })
        .map(|(at, _)| line_of(code, at))
        .collect()
}

/// The line, counted from 1, of a byte position.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_code(source: &str, expected: &str) {
        assert_eq!(code_only(source), expected);
    }

    #[test]
    fn comments_and_literals_are_blank() {
        check_code("a // b {\nc", &format!("a{}\nc", " ".repeat(7)));
        check_code("a /* b /* c */ d */ e", &format!("a{}e", " ".repeat(19)));
        check_code(r#"a "b \" {" c"#, &format!("a{}c", " ".repeat(10)));
        check_code("a r#\"b \" {\"# c", &format!("a{}c", " ".repeat(12)));
        check_code("br\"{\" 'x' '{' '\\'' &'a str", &format!("b{}&'a str", " ".repeat(18)));
        check_code("r#type", "r#type");
    }

    #[test]
    fn unfinished_literals_reach_the_end() {
        check_code("\"abc", "    ");
        check_code("/* abc", "      ");
        check_code("r\"abc", "     ");
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let code = "fn a() {\n  1\n}\ntrait T { fn b(x: [u8; 4]); fn c() -> [u8; 2] {\n} }\nlet f: fn (u8);";
        let found = functions(code);
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, [("a", 1, 3), ("c", 4, 2)]);
    }

    #[test]
    fn items_of_the_tests_are_left_out() {
        let code = "a\n#[cfg(test)]\nmod tests {\n  b { }\n}\nc\n#[cfg(test)]\nmod tests;\nd";
        assert_eq!(without_tests(code), "a\n\n\n\n\nc\n\n\nd");
    }

    #[test]
    fn a_word_is_found_only_where_it_stands_alone() {
        assert_eq!(lines_with("rand::x\noperand::x\n\nrand::y", "rand::"), [1, 4]);
        assert_eq!(lines_with("SystemTimes\nSystemTime", "SystemTime"), [2]);
    }
}
