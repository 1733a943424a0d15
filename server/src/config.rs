//! The settings of the server, and where each comes from.
//!
//! A flag goes before the environment, the environment before the file, the file before the default. [`ServeArgs`] is the one
//! list of them: clap reads flags and environment, and the values of the file are laid in as defaults. Nothing else in the
//! program reads the environment.

use std::{
    ffi::OsString,
    fmt, fs,
    io::Write,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use anyhow::Context;
use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches,
    builder::{RangedI64ValueParser, RangedU64ValueParser},
    parser::ValueSource,
};
use serde_json::json;
use toml::{Table, Value};

use crate::{
    cli::{Cli, Output, bytes},
    memory::MemoryLimit,
    store::UNLOAD_AFTER,
};

/// The subcommands that take settings.
const WITH_SETTINGS: [&str; 2] = ["serve", "config"];

/// Settings that are shown as asterisks.
const SECRETS: [&str; 1] = ["api_key"];

/// What `vecino serve` can be told.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// A file of settings, in TOML: the names of the flags with `_` for `-`.
    #[arg(long, value_name = "FILE", env = "VECINO_CONFIG")]
    pub config: Option<PathBuf>,
    /// The folder that keeps the data; created if it is missing.
    #[arg(long, value_name = "DIR", env = "VECINO_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// The address to listen at.
    #[arg(long, value_name = "ADDR", env = "VECINO_LISTEN", default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,
    /// The key of the first administrator, of 16 characters or more. Better set in the environment: others on the machine can
    /// see flags.
    #[arg(long, value_name = "KEY", env = "VECINO_API_KEY", hide_env_values = true)]
    pub api_key: Option<Secret>,
    /// Listen at an address that other machines can reach, though nobody is asked for a key.
    #[arg(long, env = "VECINO_INSECURE_NO_AUTH")]
    pub insecure_no_auth: bool,
    /// The certificates for TLS, in PEM; read again when the file changes.
    #[arg(long, value_name = "FILE", env = "VECINO_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key for TLS, in PEM.
    #[arg(long, value_name = "FILE", env = "VECINO_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// An origin whose pages may ask this server, such as `https://example.com`; several with commas between them.
    #[arg(long, value_name = "ORIGIN", env = "VECINO_CORS_ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,
    /// Requests a second for each key, 0 for any number.
    #[arg(long, value_name = "N", env = "VECINO_RATE_LIMIT", default_value_t = 0)]
    pub rate_limit: u32,
    /// Requests of each key that are worked on at once.
    #[arg(long, value_name = "N", env = "VECINO_CONCURRENCY_LIMIT", default_value_t = 256, value_parser = number(1..=65_536))]
    pub concurrency_limit: u32,
    /// Connections that are open at once.
    #[arg(long, value_name = "N", env = "VECINO_MAX_CONNECTIONS", default_value_t = 16_384, value_parser = number(1..=1_000_000))]
    pub max_connections: u32,
    /// After so many seconds a connection that has not sent the head of a request is closed.
    #[arg(long, value_name = "SECONDS", env = "VECINO_HEADER_TIMEOUT", default_value_t = 30, value_parser = seconds())]
    pub header_timeout: u64,
    /// After so many seconds a request is given up.
    #[arg(long, value_name = "SECONDS", env = "VECINO_REQUEST_TIMEOUT", default_value_t = 60, value_parser = seconds())]
    pub request_timeout: u64,
    /// The largest body of a request, such as `64MiB`.
    #[arg(long, value_name = "SIZE", env = "VECINO_MAX_BODY_BYTES", default_value = "64MiB", value_parser = bytes)]
    pub max_body_bytes: u64,
    /// Write snapshots when the log is larger than this and than half of the data, such as `256MiB`, or when it overwrites much;
    /// 0 for only on demand.
    #[arg(long, value_name = "SIZE", env = "VECINO_SNAPSHOT_AFTER_BYTES", default_value = "256MiB", value_parser = bytes)]
    pub snapshot_after_bytes: u64,
    /// What is left free of the disk, for deletions and snapshots; 64 MiB unless told, but no more than a twentieth of the disk.
    #[arg(long, value_name = "SIZE", env = "VECINO_RESERVE_BYTES", value_parser = bytes)]
    pub reserve_bytes: Option<u64>,
    /// Bytes of memory above which writes are refused, such as `2GiB`; `auto` for nine tenths of what the container may have,
    /// `off` for no limit.
    #[arg(long, value_name = "SIZE", env = "VECINO_MEMORY_LIMIT", default_value = "auto")]
    pub memory_limit: MemoryLimit,
    /// Libraries that nobody has asked for so many seconds are unloaded, and opened again when somebody does; 0 for never.
    #[arg(long, value_name = "SECONDS", env = "VECINO_UNLOAD_AFTER", default_value_t = UNLOAD_AFTER.as_secs(), value_parser = idle())]
    pub unload_after: u64,
    /// Queries that take longer are logged with their explanation; 0 for none.
    #[arg(long, value_name = "MS", env = "VECINO_SLOW_QUERY_MS", default_value = "1000", value_parser = millis)]
    pub slow_query_ms: Duration,
    /// What is logged, such as `debug` or `vecino_server=debug`; `info` unless told, `error` with `--quiet`.
    #[arg(long, value_name = "FILTER", env = "VECINO_LOG")]
    pub log: Option<String>,
    /// The form of the log; `json` with `--json`.
    #[arg(long, value_name = "FORM", env = "VECINO_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
    /// The collector of OpenTelemetry that gets a span for every request, over HTTP, such as `http://localhost:4318`.
    #[arg(long, value_name = "URL", env = "VECINO_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Also append the acts of administration to this file, a line of JSON each.
    #[arg(long, value_name = "FILE", env = "VECINO_AUDIT_LOG")]
    pub audit_log: Option<PathBuf>,
}

fn number(range: RangeInclusive<i64>) -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(range)
}

fn idle() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(..=31_536_000)
}

fn seconds() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=86_400)
}

fn millis(text: &str) -> Result<Duration, String> {
    let millis: Option<f64> = text.parse().ok();
    let wrong = || "this is a number of milliseconds, such as 500 or 0.5".to_owned();
    millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1e3).ok()).ok_or_else(wrong)
}

/// The form of the log.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// A line of JSON each.
    Json,
}

/// A word that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The word itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// A setting as it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    name: String,
    value: Option<String>,
    from: String,
}

/// Reads a command line, with the environment and the file of settings that it names.
///
/// # Errors
/// What clap says, and what is wrong with the file, in the same form.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let (mut matches, file) = matches(&line.into_iter().collect::<Vec<_>>())?;
    let mut cli = Cli::from_arg_matches_mut(&mut matches.clone())?;
    if let Some(settings) = cli.settings() {
        *settings = effective(&mut matches, file.as_ref());
    }
    Ok(cli)
}

/// The settings that a command prints.
#[derive(Clone, Debug, Default)]
pub struct Effective(Vec<Setting>);

/// `vecino config`: prints the settings as they hold, and where they come from.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(settings: &Effective, output: Output) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if output.json {
        let row = |setting: &Setting| (setting.name.clone(), json!({"value": setting.value, "from": setting.from}));
        let all: serde_json::Map<_, _> = settings.0.iter().map(row).collect();
        writeln!(out, "{:#}", serde_json::Value::Object(all))?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = |setting: &Setting| setting.value.clone().unwrap_or_else(|| "-".to_owned());
    let width = settings.0.iter().map(|setting| text(setting).chars().count()).max().unwrap_or_default();
    for setting in &settings.0 {
        writeln!(out, "{:<22} {:<width$} {}", setting.name, text(setting), setting.from)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses twice where there is a file: its name must be known before its values can be the defaults.
fn matches(line: &[OsString]) -> Result<(ArgMatches, Option<(PathBuf, Table)>), clap::Error> {
    let mut command = Cli::command();
    let matches = command.clone().try_get_matches_from(line)?;
    let path = matches.subcommand().filter(|(name, _)| WITH_SETTINGS.contains(name));
    let Some(path) = path.and_then(|(_, settings)| settings.get_one::<PathBuf>("config").cloned()) else {
        return Ok((matches, None));
    };
    let wrong = |error: anyhow::Error| {
        let message = format!("{}: {error:#}", path.display());
        Cli::command().error(clap::error::ErrorKind::InvalidValue, message)
    };
    let table = read(&path).map_err(wrong)?;
    for (name, value) in &table {
        let text = text(name, value).map_err(wrong)?;
        for subcommand in WITH_SETTINGS {
            let known = command.find_subcommand(subcommand).is_some_and(|known| knows(known, name));
            if !known {
                return Err(wrong(anyhow::anyhow!("there is no setting '{name}'; `vecino config` lists them")));
            }
            let (id, text) = (name.clone(), text.clone());
            command = command.mut_subcommand(subcommand, |known| known.mut_arg(id, |arg| arg.default_value(text)));
        }
    }
    Ok((command.try_get_matches_from(line)?, Some((path, table))))
}

fn read(path: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(path).context("the file of settings cannot be read")?;
    Ok(text.parse::<Table>()?)
}

fn knows(command: &clap::Command, name: &str) -> bool {
    name != "config" && command.get_arguments().any(|arg| arg.get_id() == name && !arg.is_global_set())
}

/// A value as it would stand on the command line.
fn text(name: &str, value: &Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Array(items) => items.iter().map(|item| text(name, item)).collect::<Result<Vec<_>, _>>()?.join(","),
        other => anyhow::bail!("the setting '{name}' is text, a whole number, true or false; received a {}", other.type_str()),
    })
}

fn effective(matches: &mut ArgMatches, file: Option<&(PathBuf, Table)>) -> Effective {
    let Some((name, values)) = matches.remove_subcommand() else { return Effective::default() };
    let command = Cli::command();
    let Some(known) = command.find_subcommand(&name) else { return Effective::default() };
    let settings = known.get_arguments().filter(|arg| arg.get_long().is_some() && !arg.is_global_set());
    let settings = settings.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()));
    let setting = |arg: &clap::Arg| {
        let id = arg.get_id().as_str();
        let raw = values.get_raw(id).map(|raw| raw.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(","));
        let value = raw.map(|value| if SECRETS.contains(&id) { "****".to_owned() } else { value });
        let from = match values.value_source(id) {
            Some(ValueSource::CommandLine) => format!("--{}", arg.get_long().unwrap_or_default()),
            Some(ValueSource::EnvVariable) => arg.get_env().unwrap_or_default().to_string_lossy().into_owned(),
            _ => match file {
                Some((path, table)) if table.contains_key(id) => path.display().to_string(),
                _ => "default".to_owned(),
            },
        };
        Setting { name: id.to_owned(), value, from }
    };
    Effective(settings.map(setting).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn settings(line: &[&str]) -> Result<Effective, String> {
        let line: Vec<OsString> = [&["vecino", "config"], line].concat().iter().map(OsString::from).collect();
        let (mut matches, file) = matches(&line).map_err(|error| error.to_string())?;
        Ok(effective(&mut matches, file.as_ref()))
    }

    fn value(settings: &Effective, name: &str) -> (Option<String>, String) {
        let setting = settings.0.iter().find(|setting| setting.name == name).unwrap();
        (setting.value.clone(), setting.from.clone())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let text = "listen = \"127.0.0.1:1\"\nrate_limit = 5\ninsecure_no_auth = true\ncors_origin = [\"https://a\", \"https://b\"]\n\
                    api_key = \"a long enough secret\"";
        let file = file(text);
        let path = file.path().to_str().unwrap();
        let settings = settings(&["--config", path, "--listen", "127.0.0.1:2"]).unwrap();
        assert_eq!(value(&settings, "listen"), (Some("127.0.0.1:2".to_owned()), "--listen".to_owned()));
        assert_eq!(value(&settings, "rate_limit"), (Some("5".to_owned()), path.to_owned()));
        assert_eq!(value(&settings, "insecure_no_auth").0.as_deref(), Some("true"));
        assert_eq!(value(&settings, "cors_origin").0.as_deref(), Some("https://a,https://b"));
        assert_eq!(value(&settings, "api_key"), (Some("****".to_owned()), path.to_owned()));
        assert_eq!(value(&settings, "request_timeout"), (Some("60".to_owned()), "default".to_owned()));
        assert_eq!(value(&settings, "tls_cert"), (None, "default".to_owned()));
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_by_name() {
        for (text, why) in [
            ("rate_limits = 5", "there is no setting 'rate_limits'"),
            ("config = \"x\"", "there is no setting 'config'"),
            ("json = true", "there is no setting 'json'"),
            ("rate_limit = 1.5", "received a float"),
            ("rate_limit = ", "TOML parse error"),
            ("rate_limit = \"many\"", "--rate-limit"),
        ] {
            let file = file(text);
            let error = settings(&["--config", file.path().to_str().unwrap()]).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(settings(&["--config", "no/such/file"]).unwrap_err().contains("no/such/file"));
    }

    #[test]
    fn the_page_of_settings_has_them_all() {
        let page = include_str!("../../docs/operating.md");
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        for arg in serve.get_arguments().filter(|arg| arg.get_env().is_some()) {
            let default =
                arg.get_default_values().first().map_or_else(String::new, |value| format!("`{}`", value.to_str().unwrap()));
            let env = arg.get_env().unwrap().to_str().unwrap();
            let row = format!("| `{}` | `--{}` | `{env}` | {default} |", arg.get_id(), arg.get_long().unwrap());
            let row = row.replace("|  |", "| |");
            assert!(page.lines().any(|line| line.starts_with(&row)), "docs/operating.md lacks the row\n{row}");
        }
    }
}
