//! `vecino backup`, `vecino restore` and `vecino repair`: folders from what was kept, or from what is left.

use std::{
    fs::{self, File},
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use serde::Serialize;
use tempfile::NamedTempFile;
use vecino_engine::{Error, journal, salvage, shelf::Summary, state::State};

use super::{
    progress::{counted, say},
    target::Place,
};
use crate::{backup, cli::Output, storage::FileStorage};

/// What `vecino backup` can be told.
///
/// A server goes on reading and writing in the meantime.
#[derive(clap::Args, Clone, Debug)]
pub struct BackupArgs {
    /// The archive to be written.
    #[arg(value_name = "FILE.tar")]
    pub file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Replace the archive if it exists.
    #[arg(short, long)]
    pub force: bool,
}

/// What `vecino restore` can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct RestoreArgs {
    /// An archive that `vecino backup` wrote.
    #[arg(value_name = "FILE.tar")]
    pub file: PathBuf,
    /// The folder to be made; it must be empty or missing.
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// The state after this record, instead of the last one in the archive.
    #[arg(long, value_name = "SEQ")]
    pub at_seq: Option<u64>,
}

/// What `vecino repair` can be told.
///
/// The damaged folder stays as it is. Ends with 0 when all was saved, with 1 when something was lost.
#[derive(clap::Args, Clone, Debug)]
pub struct RepairArgs {
    /// The damaged data folder.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The folder to be made; it must be empty or missing.
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
}

/// What a new folder holds.
#[derive(Serialize)]
struct Made {
    folder: String,
    seq: u64,
    libraries: usize,
    documents: usize,
    chunks: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Vec<Error>>,
}

impl Made {
    fn of(folder: &Path, state: &State) -> Self {
        let sum = |count: fn(&Summary) -> usize| state.holdings().map(|holding| count(&holding.summary())).sum();
        Self {
            folder: folder.display().to_string(),
            seq: state.seq(),
            libraries: state.holdings().count(),
            documents: sum(|summary| summary.documents),
            chunks: sum(|summary| summary.chunks),
            lost: None,
        }
    }

    fn tell(&self, output: Output) -> anyhow::Result<()> {
        if output.json {
            say(&serde_json::to_string(self)?)?;
        } else if !output.quiet {
            for lost in self.lost.iter().flatten() {
                say(&format!("{}: {}", lost.field.as_deref().unwrap_or("the folder"), lost.detail))?;
            }
            let (documents, chunks) = (counted(self.documents as u64, "document"), counted(self.chunks as u64, "chunk"));
            say(&format!(
                "{}: the state after record {}, {} libraries with {documents} and {chunks}",
                self.folder, self.seq, self.libraries
            ))?;
        }
        Ok(())
    }
}

/// `vecino backup`.
///
/// # Errors
/// A sentence; there is no archive then, or the old one.
pub fn run(args: &BackupArgs, output: Output) -> anyhow::Result<ExitCode> {
    let (path, shown) = (&args.file, args.file.display());
    ensure!(args.force || !path.exists(), "{shown} exists already; replace it with --force, or name another file");
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).with_context(|| format!("cannot write in the folder {}", folder.display()))?;
    match &args.place.data_dir {
        Some(data) => drop(backup::write(&FileStorage::open_read_only(data)?, &mut file)?),
        None => download(args, &mut file)?,
    }
    file.as_file().sync_all().with_context(|| format!("cannot write {shown}"))?;
    // That it is whole is seen by taking it apart.
    let apart = tempfile::tempdir_in(folder)?;
    backup::unpack(BufReader::new(file.reopen()?), apart.path()).context("the backup is not whole; try again")?;
    let state = journal::state_at(&FileStorage::open_read_only(apart.path())?, None)?;
    if args.force {
        file.persist(path).with_context(|| format!("cannot write {shown}"))?;
    } else {
        file.persist_noclobber(path).with_context(|| format!("cannot write {shown}"))?;
    }
    Made::of(path, &state).tell(output)?;
    Ok(ExitCode::SUCCESS)
}

fn download(args: &BackupArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let client = args.place.client()?;
    let (_, mut body) = client.download("/v1/backup")?;
    io::copy(&mut body, out).context("the connection was lost; nothing was written, try again")?;
    Ok(())
}

/// `vecino restore`.
///
/// # Errors
/// A sentence; nothing is restored then.
pub fn restore(args: &RestoreArgs, output: Output) -> anyhow::Result<ExitCode> {
    let file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    must_be_empty(&args.into)?;
    let parent = args.into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let apart = tempfile::tempdir_in(parent)?;
    backup::unpack(BufReader::new(file), apart.path()).with_context(|| format!("cannot restore {}", args.file.display()))?;
    let state = journal::state_at(&FileStorage::open_read_only(apart.path())?, args.at_seq)?;
    journal::found(&FileStorage::open(&args.into)?, &state)?;
    Made::of(&args.into, &state).tell(output)?;
    Ok(ExitCode::SUCCESS)
}

/// `vecino repair`.
///
/// # Errors
/// A sentence, when the folder cannot be read or the new one not be written.
pub fn repair(args: &RepairArgs, output: Output) -> anyhow::Result<ExitCode> {
    must_be_empty(&args.into)?;
    let salvaged = salvage::salvage(&FileStorage::open_read_only(&args.folder)?)?;
    journal::found(&FileStorage::open(&args.into)?, &salvaged.state)?;
    let all = salvaged.lost.is_empty();
    let made = Made { lost: Some(salvaged.lost), ..Made::of(&args.into, &salvaged.state) };
    made.tell(output)?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn must_be_empty(folder: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot use {}", folder.display())),
    };
    ensure!(entries.next().is_none(), "{} is not empty; choose a new folder", folder.display());
    Ok(())
}
