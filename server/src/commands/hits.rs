//! Answers for people.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use textwrap::{Options, wrap};

/// Columns where there is no terminal to ask.
const COLUMNS: usize = 100;

/// Lines of text that a hit shows.
const SNIPPET_LINES: usize = 3;

const INDENT: &str = "     ";

/// Prints an answer of the REST interface; colours only on a terminal, and not when `NO_COLOR` is set.
///
/// # Errors
/// Those of stdout.
pub(super) fn show(answer: &Value) -> io::Result<()> {
    let columns = console::Term::stdout().size_checked().map_or(COLUMNS, |(_, columns)| usize::from(columns).clamp(40, 120));
    write(&mut anstream::stdout().lock(), answer, columns)
}

fn write(out: &mut dyn Write, answer: &Value, columns: usize) -> io::Result<()> {
    let (bold, dim, score) = (Style::new().bold(), Style::new().dimmed(), AnsiColor::Cyan.on_default());
    let hits = answer["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (number, hit) in hits.iter().enumerate() {
        let title = plain(hit["metadata"]["title"].as_str().or(hit["document_id"].as_str()).unwrap_or_default());
        let value = hit["score"].as_f64().unwrap_or_default();
        writeln!(out, "{:>3}. {score}{value:.4}{score:#}  {bold}{title}{bold:#}", number + 1)?;
        for line in snippet(hit["text"].as_str().unwrap_or_default(), columns) {
            writeln!(out, "{line}")?;
        }
        let options = Options::new(columns).initial_indent(INDENT).subsequent_indent(INDENT);
        for line in wrap(&about(hit), options) {
            writeln!(out, "{dim}{line}{dim:#}")?;
        }
        writeln!(out)?;
    }
    let (returned, requested) = (&answer["returned"], &answer["requested"]);
    let more = match answer["exhausted"].as_bool() {
        Some(true) => "all that match",
        _ => "more match",
    };
    let took = answer["took_ms"].as_f64().map_or(String::new(), |took| format!(" in {took:.1} ms"));
    let metric = answer["metric"].as_str().unwrap_or_default();
    writeln!(out, "{dim}{returned} of {requested} asked for, {more}; {metric}, state {}{took}{dim:#}", answer["seq"])?;
    if let Some(explain) = answer["explain"].as_object() {
        for (name, value) in explain {
            writeln!(out, "{dim}  {name}: {}{dim:#}", shown(value))?;
        }
    }
    Ok(())
}

/// The first lines of a text.
fn snippet(text: &str, columns: usize) -> Vec<String> {
    // More than these characters never fit.
    let start: String = text.chars().take(columns * (SNIPPET_LINES + 1)).collect();
    let flat = plain(&start);
    let options = Options::new(columns - 1).initial_indent(INDENT).subsequent_indent(INDENT);
    let all = wrap(&flat, options);
    let mut lines: Vec<String> = all.iter().take(SNIPPET_LINES).map(|line| line.clone().into_owned()).collect();
    if let (true, Some(last)) = (all.len() > SNIPPET_LINES || start.len() < text.len(), lines.last_mut()) {
        last.push('…');
    }
    lines
}

/// The document, its metadata and the attributes on one line.
fn about(hit: &Value) -> String {
    let mut parts = vec![plain(hit["document_id"].as_str().unwrap_or_default())];
    for name in ["author", "document_type", "page_number", "source_url", "tags"] {
        let value = &hit["metadata"][name];
        if !value.is_null() && value.as_array().is_none_or(|tags| !tags.is_empty()) {
            parts.push(format!("{name} {}", shown(value)));
        }
    }
    for (name, value) in hit["attributes"].as_object().into_iter().flatten() {
        parts.push(format!("{} {}", plain(name), shown(value)));
    }
    parts.join(" · ")
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Words with single blanks between them, and nothing that a terminal would obey.
fn plain(text: &str) -> String {
    let harmless = |letter: char| if letter.is_control() { ' ' } else { letter };
    anstream::adapter::strip_str(text)
        .to_string()
        .chars()
        .map(harmless)
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hit_is_wrapped_and_harmless() {
        let hit = json!({
            "id": "a-0", "document_id": "a", "score": 0.51234567, "distance": 0.5, "text": "word\u{1b}[31m ".repeat(200),
            "metadata": {"title": "A\u{7} title", "tags": ["x", "y"]}, "attributes": {"year": 1999},
        });
        let answer = json!({
            "hits": [hit], "returned": 1, "requested": 3, "exhausted": true, "metric": "cosine", "seq": 7,
            "explain": {"strategy": "exact_scan"},
        });
        let mut out = Vec::new();
        write(&mut out, &answer, 60).unwrap();
        let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  1. 0.5123  A title");
        assert!(lines[1..4].iter().all(|line| line.starts_with("     word") && line.chars().count() <= 60), "{text}");
        assert!(lines[3].ends_with('…'));
        assert_eq!(lines[4], "     a · tags x, y · year 1999");
        assert_eq!(lines[6], "1 of 3 asked for, all that match; cosine, state 7");
        assert_eq!(lines[7], "  strategy: exact_scan");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'));
    }
}
