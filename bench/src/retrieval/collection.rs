//! A judged collection: the files of a BEIR data set in one folder.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::measure::Judged;

/// Queries that have a relevant document, with their judgements.
#[derive(Debug)]
pub(crate) struct Collection {
    /// The documents, one JSON object on each line.
    pub(crate) corpus: PathBuf,
    /// Text and judgements, in the order of the queries' ids.
    pub(crate) queries: Vec<(String, Judged)>,
}

#[derive(Deserialize)]
struct QueryLine {
    #[serde(alias = "id")]
    _id: String,
    text: String,
}

impl Collection {
    /// Reads the queries and judgements of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let mut judgements = judgements(&folder.join("qrels.tsv"))?;
        judgements.retain(|_, judged| judged.values().any(|gain| *gain > 0));
        let path = folder.join("queries.jsonl");
        let mut texts = BTreeMap::new();
        for (number, line) in lines(&path)? {
            let query: QueryLine =
                serde_json::from_str(&line?).with_context(|| format!("{}:{number} is not a query", path.display()))?;
            texts.insert(query._id, query.text);
        }
        let mut queries = Vec::with_capacity(judgements.len());
        for (id, judged) in judgements {
            let Some(text) = texts.remove(&id) else { bail!("{} has no query '{id}', which qrels.tsv judges", path.display()) };
            queries.push((text, judged));
        }
        ensure!(!queries.is_empty(), "{} judges no query", folder.display());
        Ok(Self { corpus: folder.join("corpus.jsonl"), queries })
    }
}

/// The judgements by query. The first line names the columns, if its last field is no number.
fn judgements(path: &Path) -> Result<BTreeMap<String, Judged>> {
    let mut all: BTreeMap<String, Judged> = BTreeMap::new();
    for (number, line) in lines(path)? {
        let line = line?;
        let fields: Vec<&str> = line.split('\t').collect();
        let (query, document, gain) = match fields[..] {
            [query, document, gain] | [query, _, document, gain] => (query, document, gain.trim()),
            _ => bail!("{}:{number} has not the columns query, document and score", path.display()),
        };
        match gain.parse() {
            Ok(gain) => drop(all.entry(query.to_owned()).or_default().insert(document.to_owned(), gain)),
            Err(_) if number == 1 => {}
            Err(_) => bail!("{}:{number}: '{gain}' is not a whole number", path.display()),
        }
    }
    Ok(all)
}

/// The numbered lines that are not empty.
fn lines(path: &Path) -> Result<impl Iterator<Item = (usize, Result<String>)>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let numbered = (1..).zip(BufReader::new(file).lines());
    Ok(numbered.map(|(number, line)| (number, line.map_err(anyhow::Error::from))).filter(|(_, line)| match line {
        Ok(line) => !line.trim().is_empty(),
        Err(_) => true,
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn queries_without_a_relevant_document_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("qrels.tsv"), "query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n2\ta\t0\n").unwrap();
        fs::write(
            folder.path().join("queries.jsonl"),
            "{\"_id\": \"2\", \"text\": \"two\"}\n\n{\"_id\": \"1\", \"text\": \"one\"}\n",
        )
        .unwrap();
        let queries = Collection::open(folder.path()).unwrap().queries;
        assert_eq!(queries, [("one".to_owned(), Judged::from([("a".to_owned(), 2), ("b".to_owned(), 0)]))]);
        fs::write(folder.path().join("qrels.tsv"), "1\t0\ta\t1\n3\t0\ta\t1\n").unwrap();
        let error = Collection::open(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("has no query '3', which qrels.tsv judges"), "{error}");
    }
}
