//! `vecino export`: a library as a file.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use tempfile::NamedTempFile;
use vecino_engine::{precision::Precision, snapshot};

use super::{
    client::segment,
    local::Local,
    progress::{bar, counted, say},
    target::Place,
};
use crate::{cli::Output, storage};

/// What `vecino export` can be told.
#[derive(clap::Args, Clone, Debug)]
pub struct ExportArgs {
    /// The library, by name or id.
    #[arg(value_name = "LIBRARY")]
    pub library: String,
    /// The file to be written.
    #[arg(value_name = "FILE.vecino")]
    pub file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// `int8` leaves the float vectors out: a quarter of the size, to be searched with scores that are a little off.
    #[arg(long, default_value = "float32", value_parser = precision)]
    precision: Precision,
    /// Replace the file if it exists.
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Exported {
    library: String,
    file: String,
    bytes: u64,
    documents: usize,
    chunks: usize,
    seq: u64,
}

/// `vecino export`.
///
/// # Errors
/// A sentence; the file is as it was before then.
pub fn run(args: &ExportArgs, output: Output) -> anyhow::Result<ExitCode> {
    let path = &args.file;
    let shown = path.display();
    ensure!(!path.is_dir(), "{shown} is a folder; name a file in it");
    ensure!(args.force || !path.exists(), "{shown} exists already; replace it with --force, or name another file");
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = beside(folder)?;
    let bar = bar(output, None);
    let bytes = match &args.place.data_dir {
        Some(data) => {
            let mut out = BufWriter::new(bar.wrap_write(&mut file));
            Local::open_existing(data)?.export(&args.library, args.precision, &mut out)?;
            out.flush()?;
            drop(out);
            file.as_file().metadata()?.len()
        }
        None => download(args, &mut file, &bar)?,
    };
    file.as_file().sync_all().with_context(|| format!("cannot write {shown}"))?;
    let library = snapshot::open_as("what was received", &storage::map_file(file.path())?, None)
        .and_then(snapshot::Opened::intact)
        .map_err(|error| anyhow::anyhow!("{}; nothing was written, try again", error.detail))?;
    let exported = Exported {
        library: library.info().name.to_string(),
        file: shown.to_string(),
        bytes,
        documents: library.document_count(),
        chunks: library.chunk_count(),
        seq: library.seq(),
    };
    // On some systems a file that is mapped cannot be renamed.
    drop(library);
    put(file, path, args.force)?;
    sync_folder(folder).with_context(|| format!("cannot sync the folder of {shown}"))?;
    bar.finish_and_clear();
    if output.json {
        say(&serde_json::to_string(&exported)?)?;
    } else if !output.quiet {
        let (documents, chunks) = (counted(exported.documents as u64, "document"), counted(exported.chunks as u64, "chunk"));
        say(&format!("library '{}': {documents}, {chunks}, {} in {shown}", exported.library, counted(bytes, "byte")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that has no name yet that matters.
fn beside(folder: &Path) -> anyhow::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".export-").suffix(".tmp");
    // As the user's other files, not for its owner alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).with_context(|| format!("cannot write in the folder {}", folder.display()))
}

fn download(args: &ExportArgs, file: &mut NamedTempFile, bar: &ProgressBar) -> anyhow::Result<u64> {
    let path = format!("/v1/libraries/{}/snapshot?precision={}", segment(&args.library), args.precision.as_str());
    let client = args.place.client()?;
    let (length, mut body) = client.download(&path)?;
    if let Some(length) = length {
        bar.set_length(length);
    }
    let mut buffer = vec![0; 1 << 18];
    let mut received = 0;
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => bail!("the connection was lost after {received} bytes: {error}; nothing was written, try again"),
        };
        file.write_all(&buffer[..count]).with_context(|| format!("cannot write {}", args.file.display()))?;
        received += count as u64;
        bar.set_position(received);
    }
    Ok(received)
}

fn precision(name: &str) -> Result<Precision, String> {
    Precision::named(name).ok_or_else(|| "float32 or int8".to_owned())
}

fn put(file: NamedTempFile, path: &Path, force: bool) -> anyhow::Result<()> {
    let shown = path.display();
    if force {
        file.persist(path).with_context(|| format!("cannot write {shown}"))?;
    } else {
        file.persist_noclobber(path).with_context(|| format!("cannot write {shown} (it may exist by now)"))?;
    }
    Ok(())
}

/// Makes the new name last; other systems than Unix cannot, and need not.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
