//! Where documents are written and questions asked: a server, or a folder of this machine.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Secret;

use super::{
    client::{Client, DEFAULT_SERVER, Failure, Patience, Problem, segment},
    document::Document,
};

/// A server or a folder, as options.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Place {
    /// The server [default: http://127.0.0.1:7700].
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub server: Option<String>,
    /// A data folder instead of a server; no server may have it open.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The key for the server. Better set in the environment: others on the machine can see flags.
    #[arg(long, value_name = "KEY", env = "VECINO_API_KEY", hide_env_values = true)]
    pub api_key: Option<Secret>,
}

impl Place {
    /// A client of the server.
    ///
    /// # Errors
    /// A sentence, when the address is none.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(self.server.as_deref().unwrap_or(DEFAULT_SERVER))?.key(self.api_key.as_ref()))
    }
}

/// What becomes of a document whose id exists already.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It stays as it is.
    #[default]
    Skip,
    /// The new one takes its place.
    Replace,
    /// The new one is refused.
    Refuse,
}

impl OnConflict {
    /// The name in the REST interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Replace => "replace",
            Self::Refuse => "refuse",
        }
    }
}

/// A library that is to be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Its name, or the id of one that exists.
    pub library: String,
    /// Its metric, where that matters.
    pub metric: Option<String>,
    /// Its index, where that matters.
    pub index_type: Option<String>,
    /// What is said of it, should it be created.
    pub description: Option<String>,
}

impl Wanted {
    /// The body of the request that creates it.
    pub fn body(&self) -> Value {
        let mut body = json!({"name": self.library, "metadata": {}});
        if let Some(metric) = &self.metric {
            body["metric"] = json!(metric);
        }
        for (name, value) in [("index_type", &self.index_type), ("description", &self.description)] {
            if let Some(value) = value {
                body["metadata"][name] = json!(value);
            }
        }
        body
    }

    /// Whether a library that exists is the one that is wanted.
    ///
    /// # Errors
    /// A refusal that names both values.
    pub fn fits(&self, view: &Value) -> Result<(), Failure> {
        let there =
            [("metric", &self.metric, &view["metric"]), ("index_type", &self.index_type, &view["metadata"]["index_type"])];
        for (name, wanted, found) in there {
            if let (Some(wanted), Some(found)) = (wanted, found.as_str())
                && wanted != found
            {
                let detail = format!(
                    "the library '{}' exists already, and its {name} is {found}, not {wanted}; leave the option out, or name another",
                    self.library
                );
                return Err(Failure::Refused(Problem { detail, code: "library_exists".to_owned(), ..Problem::default() }));
            }
        }
        Ok(())
    }
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Written {
    /// Documents written.
    pub written: u64,
    /// Documents left out because they exist.
    pub skipped: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Sequence of the write.
    pub seq: u64,
}

/// Takes documents and questions.
pub trait Target {
    /// Creates a library that is missing; whether it was.
    ///
    /// # Errors
    /// [`Failure`].
    fn prepare(&mut self, wanted: &Wanted) -> Result<bool, Failure>;

    /// Writes documents whole, all or none.
    ///
    /// # Errors
    /// [`Failure`].
    fn write(&mut self, library: &str, documents: &[&Document], on_conflict: OnConflict) -> Result<Written, Failure>;

    /// Names of libraries, the first `limit` of them.
    ///
    /// # Errors
    /// [`Failure`].
    fn libraries(&mut self, limit: usize) -> Result<Vec<String>, Failure>;

    /// Answers a question in the form of the REST interface.
    ///
    /// # Errors
    /// [`Failure`].
    fn query(&mut self, library: &str, question: &Value) -> Result<Value, Failure>;
}

/// A server.
#[derive(Debug)]
pub struct Remote(pub Client);

impl Target for Remote {
    fn prepare(&mut self, wanted: &Wanted) -> Result<bool, Failure> {
        let path = format!("/v1/libraries/{}", segment(&wanted.library));
        let found = self.0.get(&path, Patience::None);
        if !matches!(&found, Err(Failure::Refused(problem)) if problem.status == 404) {
            return wanted.fits(&found?).map(|()| false);
        }
        let body = wanted.body().to_string();
        match self.0.post("/v1/libraries", body.as_bytes(), Patience::Full) {
            Ok(_) => Ok(true),
            // Somebody else was faster, or an attempt that seemed to fail.
            Err(Failure::Refused(problem)) if problem.status == 409 => {
                wanted.fits(&self.0.get(&path, Patience::Full)?).map(|()| false)
            }
            Err(failure) => Err(failure),
        }
    }

    fn write(&mut self, library: &str, documents: &[&Document], on_conflict: OnConflict) -> Result<Written, Failure> {
        let path = format!("/v1/libraries/{}/documents:batch", segment(library));
        let body = serde_json::to_vec(&json_batch(documents, on_conflict)).map_err(|error| own("this batch", &error))?;
        // A batch that is refused when it is there already must not be sent twice.
        let patience = if on_conflict == OnConflict::Refuse { Patience::UnlessDone } else { Patience::Full };
        let answer = self.0.post(&path, &body, patience)?;
        serde_json::from_value(answer).map_err(|error| own("the answer of the server", &error))
    }

    fn libraries(&mut self, limit: usize) -> Result<Vec<String>, Failure> {
        let found = self.0.get(&format!("/v1/libraries?limit={limit}"), Patience::Full)?;
        let names = found["libraries"].as_array().into_iter().flatten();
        Ok(names.filter_map(|library| library["name"].as_str().map(str::to_owned)).collect())
    }

    fn query(&mut self, library: &str, question: &Value) -> Result<Value, Failure> {
        let path = format!("/v1/libraries/{}/query", segment(library));
        self.0.post(&path, question.to_string().as_bytes(), Patience::Full)
    }
}

/// The body of a request that writes documents.
#[derive(serde::Serialize)]
struct Batch<'a> {
    documents: &'a [&'a Document],
    on_conflict: &'static str,
}

fn json_batch<'a>(documents: &'a [&'a Document], on_conflict: OnConflict) -> Batch<'a> {
    Batch { documents, on_conflict: on_conflict.as_str() }
}

fn own(what: &str, error: &serde_json::Error) -> Failure {
    let detail = format!("{what} cannot be read: {error}");
    Failure::Refused(Problem { detail, code: "unexpected_answer".to_owned(), ..Problem::default() })
}
