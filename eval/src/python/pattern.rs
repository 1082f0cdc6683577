//! Python's `re` on fancy-regex: the syntax where the two differ, `findall` and `sub`.

use fancy_regex::{Captures, Regex, RegexBuilder};

/// Steps after which a search that tries and tries again gives up.
const BACKTRACKS: usize = 1_000_000;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
}

/// What a pattern cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PatternError(String);

impl From<fancy_regex::Error> for PatternError {
    fn from(error: fancy_regex::Error) -> Self {
        Self(error.to_string())
    }
}

/// One of `findall`'s items: a match's groups, or the whole match where the pattern has none.
pub(crate) type Found = Vec<String>;

impl Pattern {
    pub(crate) fn new(pattern: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(&translated(pattern)).backtrack_limit(BACKTRACKS).build()?;
        Ok(Self { regex })
    }

    /// Characters of Unicode's categories P: punctuation.
    pub(crate) fn punctuation() -> Result<Self, PatternError> {
        Ok(Self { regex: Regex::new(r"\p{P}")? })
    }

    /// `re.findall`.
    pub(crate) fn find_all(&self, text: &str) -> Result<Vec<Found>, PatternError> {
        let mut found = Vec::new();
        self.each(text, 0, |captures| {
            let group = |index: usize| captures.get(index).map_or("", |group| group.as_str()).to_owned();
            let groups = captures.len();
            found.push(if groups == 1 { vec![group(0)] } else { (1..groups).map(group).collect() });
        })?;
        Ok(found)
    }

    /// `re.sub` of the first `count` matches, or of all where it is 0; `replacement` with `\1` and `\g<name>`.
    pub(crate) fn replace(&self, text: &str, replacement: &str, count: usize) -> Result<String, PatternError> {
        let (mut replaced, mut copied, mut wrong) = (String::new(), 0, None);
        self.each(text, count, |captures| {
            let Some(whole) = captures.get(0) else { return };
            replaced.push_str(&text[copied..whole.start()]);
            if let Err(error) = expand(replacement, captures, &mut replaced) {
                wrong = Some(error);
            }
            copied = whole.end();
        })?;
        replaced.push_str(&text[copied..]);
        wrong.map_or(Ok(replaced), Err)
    }

    /// Python's scan: a match begins where the last ended, and one character on where that was empty.
    fn each(&self, text: &str, count: usize, mut seen: impl FnMut(&Captures<'_>)) -> Result<(), PatternError> {
        let (mut at, mut number) = (0, 0);
        let mut last_empty = None;
        while at <= text.len() && (count == 0 || number < count) {
            let Some(captures) = self.regex.captures_from_pos(text, at)? else { break };
            let Some(whole) = captures.get(0) else { break };
            let empty = whole.start() == whole.end();
            if empty && last_empty == Some(whole.start()) {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            seen(&captures);
            number += 1;
            at = whole.end();
            last_empty = empty.then_some(at);
        }
        Ok(())
    }
}

/// `re.escape`, of which only what fancy-regex takes for more than a character matters.
pub(crate) fn escaped(text: &str) -> String {
    fancy_regex::escape(text).into_owned()
}

fn expand(replacement: &str, captures: &Captures<'_>, into: &mut String) -> Result<(), PatternError> {
    let wrong = |group: &str| PatternError(format!("the replacement names group `{group}`, which the pattern lacks"));
    let mut rest = replacement.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\\' {
            into.push(character);
            continue;
        }
        match rest.next() {
            Some(digit @ '0'..='9') => {
                let mut number = digit.to_string();
                while let Some(digit) = rest.next_if(|c| c.is_ascii_digit() && number.len() < 2) {
                    number.push(digit);
                }
                let index: usize = number.parse().map_err(|_| wrong(&number))?;
                if index == 0 || index >= captures.len() {
                    return Err(wrong(&number));
                }
                into.push_str(captures.get(index).map_or("", |group| group.as_str()));
            }
            Some('g') => {
                let name: String = rest.by_ref().skip(1).take_while(|c| *c != '>').collect();
                let group = match name.parse::<usize>() {
                    Ok(index) if index < captures.len() => captures.get(index),
                    Ok(_) => return Err(wrong(&name)),
                    Err(_) => captures.name(&name),
                };
                into.push_str(group.map_or("", |group| group.as_str()));
            }
            Some('n') => into.push('\n'),
            Some('t') => into.push('\t'),
            Some('r') => into.push('\r'),
            Some('\\') | None => into.push('\\'),
            Some(other) => return Err(PatternError(format!("the replacement has an escape `\\{other}` that is none"))),
        }
    }
    Ok(())
}

/// The pattern in fancy-regex's syntax. Python's `$` also matches before a last line break, `\Z` is the very end, a brace that begins
/// no repetition and a bracket within a class are characters.
fn translated(pattern: &str) -> String {
    let characters: Vec<char> = pattern.chars().collect();
    let lines = pattern.contains("(?m") || pattern.contains("(?sm") || pattern.contains("(?im");
    let mut written = String::new();
    let (mut class, mut class_start) = (false, 0);
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        match character {
            '\\' => {
                let escaped = characters.get(at + 1).copied();
                match escaped {
                    Some('Z') if !class => written.push_str("\\z"),
                    Some(sign @ ('<' | '>' | '"' | '\'')) => written.push(sign),
                    Some(other) => written.extend(['\\', other]),
                    None => written.push('\\'),
                }
                at += 2;
                continue;
            }
            '[' if class => written.push_str("\\["),
            '&' | '~' if class => written.extend(['\\', character]),
            '[' => {
                class = true;
                class_start = at + 1 + usize::from(characters.get(at + 1) == Some(&'^'));
                written.push('[');
            }
            ']' if class && at > class_start => {
                class = false;
                written.push(']');
            }
            '$' if !class && !lines => written.push_str("(?=\\n?\\z)"),
            '{' if !class && !repetition(&characters[at + 1..]) => written.push_str("\\{"),
            _ => written.push(character),
        }
        at += 1;
    }
    written
}

/// Whether what follows a brace makes it a repetition: `3}`, `3,}`, `,5}` or `3,5}`.
fn repetition(after: &[char]) -> bool {
    let inside: String = after.iter().take_while(|c| **c != '}').collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, "0"));
    let closed = inside.chars().count() < after.len();
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    closed && !inside.is_empty() && inside != "," && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn all(pattern: &str, text: &str) -> Vec<Found> {
        Pattern::new(pattern).unwrap().find_all(text).unwrap()
    }

    #[test]
    fn findall_gives_groups_or_whole_matches() {
        assert_eq!(all(r"\d+", "1 22 x3"), [["1"], ["22"], ["3"]]);
        assert_eq!(all(r"#### (\-?[0-9\.\,]+)", "a #### 1,2 #### -3"), [["1,2"], ["-3"]]);
        assert_eq!(all("(a)|(b)", "ab"), [["a", ""], ["", "b"]]);
        assert_eq!(all("a*", "aab"), [["aa"], [""], [""]]);
        assert_eq!(all("x$", "x\n"), [["x"]]);
        assert!(all(r"x\Z", "x\n").is_empty());
        assert_eq!(all("oxed{(.*)}", "boxed{7}"), [["7"]]);
        assert_eq!(all("[[a&&b]+", "[a&"), [["[a&"]]);
        assert_eq!(all("(?<=is )(A|B)", "is A or B"), [["A"]]);
        assert_eq!(all(r"a{2}|b{1,}", "aab"), [["aa"], ["b"]]);
    }

    #[test]
    fn sub_replaces_with_groups() {
        let replace = |pattern: &str, with: &str, count| Pattern::new(pattern).unwrap().replace("a1b22", with, count);
        assert_eq!(replace(r"\d", "", 0).unwrap(), "ab");
        assert_eq!(replace(r"\d", "#", 2).unwrap(), "a#b#2");
        assert_eq!(replace(r"(?P<l>[ab])(\d)", r"\2\g<l>-", 0).unwrap(), "1a-2b-2");
        assert_eq!(replace("x*", "-", 0).unwrap(), "-a-1-b-2-2-");
        assert!(replace(r"\d", r"\1", 0).is_err());
    }

    #[test]
    fn a_search_that_never_ends_gives_up() {
        let pattern = Pattern::new(r"(?:(?:a+)+)\1?b|(a+)+(?!b)\1c").unwrap();
        assert!(pattern.find_all(&"a".repeat(60)).is_err());
    }
}
