//! Filters: from what a model wrote to what is compared.

use crate::python::pattern::{self, Pattern};
use crate::python::text::strip;

use super::fields;
use super::yaml::Node;
use super::{Error, Output, Value};

/// What a pattern finds where a task gives none: the number behind `####`.
const NUMBER: &str = r"#### (\-?[0-9\.\,]+)";
const FALLBACK: &str = "[invalid]";

/// Filters one after the other, under a name.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) name: String,
    filters: Vec<Filter>,
}

#[derive(Clone, Debug)]
enum Filter {
    /// Of one answer it is the answer.
    Nothing,
    Strip,
    Lower,
    Upper,
    Map {
        pairs: Vec<(String, String)>,
        otherwise: String,
    },
    Regex(Search),
    MultipleChoice {
        search: Search,
        case: bool,
        punctuation: bool,
        ignored: Vec<Pattern>,
    },
}

#[derive(Clone, Debug)]
struct Search {
    pattern: Pattern,
    written: String,
    select: i64,
    fallback: String,
}

impl Pipeline {
    pub(super) fn usual() -> Self {
        Self { name: "none".into(), filters: Vec::new() }
    }

    /// One of `filter_list`.
    pub(super) fn read(node: &Node, output: Output) -> Result<Self, Error> {
        let (mut name, mut filters) = (None, None);
        for (key, value) in fields::map(node, "filter_list")? {
            match fields::name(key).as_str() {
                "name" => name = Some(fields::text(value, "filter_list.name")?),
                "filter" => filters = Some(fields::list(value, "filter_list.filter")?),
                _ => return fields::unknown(key, "filter_list"),
            }
        }
        let missing = |key| Error::MissingKey { file: node.at.to_string(), key };
        let name = name.ok_or_else(|| missing("filter_list.name"))?;
        let mut pipeline = Self { name, filters: Vec::new() };
        let mut taken = false;
        for item in filters.ok_or_else(|| missing("filter_list.filter"))? {
            let (function, filter) = Filter::read(item)?;
            if taken {
                let why = "behind take_first lm-evaluation-harness filters the answer's letters one by one";
                return fields::unsupported_value(function, "function", why);
            }
            taken = function_name(function) == Some("take_first");
            if output != Output::GenerateUntil && !matches!(filter, Filter::Nothing) {
                return fields::unsupported_value(
                    function,
                    "function",
                    "there are texts to filter in generate_until only",
                );
            }
            pipeline.filters.push(filter);
        }
        if !taken {
            return fields::unsupported_value(node, "filter_list", "the last filter must be take_first");
        }
        Ok(pipeline)
    }

    /// What is compared of what a model wrote about a document.
    pub(super) fn apply(&self, written: &str, document: &Value) -> Result<String, String> {
        self.filters.iter().try_fold(written.to_owned(), |text, filter| filter.apply(text, document))
    }
}

fn function_name(node: &Node) -> Option<&str> {
    match &node.data {
        super::yaml::Data::Scalar(value) => value.text(),
        _ => None,
    }
}

impl Filter {
    /// The filter, and the node that names it.
    fn read(node: &Node) -> Result<(&Node, Self), Error> {
        let pairs = fields::map(node, "filter_list.filter")?;
        let Some((_, function)) = pairs.iter().find(|(key, _)| key.value.text() == Some("function")) else {
            return Err(Error::MissingKey { file: node.at.to_string(), key: "filter_list.filter.function" });
        };
        let name = fields::text(function, "function")?;
        let (mut written, mut select, mut fallback) = (NUMBER.to_owned(), 0, FALLBACK.to_owned());
        let (mut case, mut punctuation, mut ignored) = (false, false, Vec::new());
        let (mut map, mut otherwise, mut many) = (Vec::new(), None, None);
        let (regex, choices) = (matches!(name.as_str(), "regex" | "multi_choice_regex"), name == "multi_choice_regex");
        for (key, value) in pairs {
            let option = fields::name(key);
            let full = format!("{name}.{option}");
            match option.as_str() {
                "function" => {}
                "regex_pattern" if regex => written = fields::text(value, &full)?,
                "group_select" if regex => select = fields::whole(value, &full)?,
                "fallback" if regex => fallback = fields::text(value, &full)?,
                "ignore_case" if choices => case = fields::flag(value, &full)?,
                "ignore_punctuation" if choices => punctuation = fields::flag(value, &full)?,
                "regexes_to_ignore" if choices && fields::set(value).is_some() => {
                    ignored = fields::list(value, &full)?
                        .iter()
                        .map(|item| compile(&fields::text(item, &full)?))
                        .collect::<Result<_, _>>()?;
                }
                "regexes_to_ignore" if choices => {}
                "mapping_dict" if name == "map" => {
                    for (from, to) in fields::map(value, &full)? {
                        let Some(from) = from.value.text() else {
                            return Err(Error::WrongKind {
                                at: from.at.clone(),
                                key: full,
                                wanted: "a mapping from texts",
                            });
                        };
                        map.push((from.to_owned(), fields::text(to, &full)?));
                    }
                }
                "default_value" if name == "map" => otherwise = Some(fields::text(value, &full)?),
                "k" if name == "take_first_k" => many = Some(fields::whole(value, &full)?),
                _ => return fields::unknown(key, &name),
            }
        }
        let search = |written: String| {
            Ok::<_, Error>(Search { pattern: compile(&written)?, written, select, fallback: fallback.clone() })
        };
        let filter = match name.as_str() {
            "take_first" | "majority_vote" => Self::Nothing,
            "take_first_k" if many == Some(1) => Self::Nothing,
            "take_first_k" => {
                return fields::unsupported_value(function, "function", "every question is answered once: k must be 1");
            }
            "remove_whitespace" => Self::Strip,
            "lowercase" => Self::Lower,
            "uppercase" => Self::Upper,
            "regex" => Self::Regex(search(written)?),
            "multi_choice_regex" => Self::MultipleChoice { search: search(written)?, case, punctuation, ignored },
            "map" => {
                let Some(otherwise) = otherwise else {
                    let why = "without a default_value lm-evaluation-harness fails at an answer that is not in the map";
                    return fields::unsupported_value(function, "function", why);
                };
                Self::Map { pairs: map, otherwise }
            }
            _ => {
                return fields::unsupported_value(function, "function", "it is none of the filters that are done here");
            }
        };
        Ok((function, filter))
    }

    fn apply(&self, text: String, document: &Value) -> Result<String, String> {
        Ok(match self {
            Self::Nothing => text,
            Self::Strip => strip(&text).to_owned(),
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Map { pairs, otherwise } => {
                pairs.iter().rev().find(|(from, _)| *from == text).map_or(otherwise, |(_, to)| to).clone()
            }
            Self::Regex(search) => match search.selected(&search.pattern, &text)? {
                None => search.fallback.clone(),
                Some(found) if found.len() == 1 => strip(&found[0]).to_owned(),
                Some(found) => {
                    strip(found.iter().find(|group| !group.is_empty()).unwrap_or(&search.fallback)).to_owned()
                }
            },
            Self::MultipleChoice { search, case, punctuation, ignored } => {
                multiple_choice(search, *case, *punctuation, ignored, &text, document)?
            }
        })
    }
}

fn compile(written: &str) -> Result<Pattern, Error> {
    Pattern::new(written).map_err(|wrong| Error::Pattern { pattern: written.to_owned(), detail: wrong.to_string() })
}

impl Search {
    /// The match that `group_select` names, from the end where it is negative.
    fn selected(&self, pattern: &Pattern, text: &str) -> Result<Option<pattern::Found>, String> {
        let mut found = pattern.find_all(text).map_err(|error| format!("{}: {error}", self.written))?;
        if found.is_empty() {
            return Ok(None);
        }
        let count = found.len() as i64;
        let at = if self.select < 0 { self.select + count } else { self.select };
        if !(0..count).contains(&at) {
            return Err(format!("group_select is {} where `{}` matches {count} times", self.select, self.written));
        }
        Ok(Some(found.swap_remove(at as usize)))
    }

    /// The selected match's first group that holds something.
    fn first(&self, pattern: &Pattern, text: &str) -> Result<Option<String>, String> {
        let found = self.selected(pattern, text)?;
        let group = found.and_then(|groups| groups.into_iter().find(|group| !group.is_empty()));
        Ok(group.map(|group| strip(&group).to_owned()).filter(|group| !group.is_empty()))
    }
}

/// A letter in parentheses: what the pattern finds, else the choice whose text is in the answer, else a letter behind a colon.
fn multiple_choice(
    search: &Search,
    case: bool,
    punctuation: bool,
    ignored: &[Pattern],
    text: &str,
    document: &Value,
) -> Result<String, String> {
    if let Some(found) = search.first(&search.pattern, text)? {
        return Ok(found);
    }
    let plain = |text: &str| -> Result<String, String> {
        let mut text = text.to_owned();
        for pattern in ignored {
            text = pattern.replace(&text, "", 0).map_err(|error| error.to_string())?;
        }
        if case {
            text = text.to_lowercase();
        }
        if punctuation {
            let marks = Pattern::punctuation().map_err(|error| error.to_string())?;
            text = marks.replace(&text, "", 0).map_err(|error| error.to_string())?;
        }
        Ok(text)
    };
    let choices = document.get("choices").and_then(Value::list).ok_or("multi_choice_regex wants a list `choices`")?;
    let mut letters: Vec<(String, String)> = Vec::new();
    for (choice, letter) in choices.iter().zip('A'..='Z') {
        let choice = choice.text().ok_or("multi_choice_regex wants texts in `choices`")?;
        letters.push((plain(strip(choice))?, format!("({letter})")));
    }
    let mut texts: Vec<String> = letters.iter().map(|(choice, _)| pattern::escaped(choice)).collect();
    // The longest first, so that no choice hides one that begins with it.
    texts.sort_by_key(|text| std::cmp::Reverse(text.chars().count()));
    let any = Pattern::new(&texts.join("|")).map_err(|error| error.to_string())?;
    if let Some(found) = search.first(&any, &plain(text)?)? {
        let letter = letters.iter().rev().find(|(choice, _)| *choice == found).map(|(_, letter)| letter.clone());
        return Ok(letter.unwrap_or(found));
    }
    let names: Vec<String> = ('A'..='Z').take(letters.len()).map(String::from).collect();
    let behind = Pattern::new(&format!(":[\\s]*({})", names.join("|"))).map_err(|error| error.to_string())?;
    Ok(search.first(&behind, text)?.map_or_else(|| search.fallback.clone(), |letter| format!("({letter})")))
}
