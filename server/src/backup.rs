//! Backups: a tar archive of the files that are the state.
//!
//! It holds the last checkpoint with its snapshots and all of the log since: so the state after each record from the checkpoint
//! on can be had back. The last entry, `BACKUP`, says that the archive is whole. Checkpoints wait while it is written, reads and
//! writes go on; what is written in the meantime may be in it, up to some record.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use anyhow::{Context, bail, ensure};
use tar::{Archive, Builder, EntryType, Header};
use vecino_engine::{Code, Error, Result, codec, storage::Storage};

/// The entry that says that an archive is whole. It names the others, a line each.
const BACKUP: &str = "BACKUP";

/// Writes an archive of a storage from which nothing is removed in the meantime; how many files are in it.
///
/// # Errors
/// [`Code::Storage`]: what cannot be read, or written to `out`.
pub fn write<S: Storage>(storage: &S, out: &mut dyn Write) -> Result<usize> {
    let unwritable = |error: io::Error| Error::new(Code::Storage, format!("the backup cannot be written: {error}"));
    let mut archive = Builder::new(out);
    let mut names = String::new();
    let mut count = 0;
    for name in storage.list()?.iter().filter(|name| is_part(name)) {
        let Some(blob) = storage.read(name)? else { continue };
        let bytes = if name.ends_with(".log") { codec::written(blob.bytes()) } else { blob.bytes() };
        add(&mut archive, name, bytes).map_err(unwritable)?;
        names.push_str(name);
        names.push('\n');
        count += 1;
    }
    add(&mut archive, BACKUP, names.as_bytes()).map_err(unwritable)?;
    archive.finish().map_err(unwritable)?;
    Ok(count)
}

fn add(archive: &mut Builder<&mut dyn Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    header.set_entry_type(EntryType::Regular);
    archive.append_data(&mut header, name, bytes)
}

/// Whether a file is a part of the state.
fn is_part(name: &str) -> bool {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    name == "CHECKPOINT" || name.strip_suffix(".log").or_else(|| name.strip_suffix(".vecino")).is_some_and(plain)
}

/// Writes the files of an archive into an empty folder.
///
/// # Errors
/// When this is no backup, when it was cut short, or when the folder cannot be written.
pub fn unpack(archive: impl Read, folder: &Path) -> anyhow::Result<()> {
    let mut archive = Archive::new(archive);
    let mut written = BTreeSet::new();
    for entry in archive.entries().context("this is no tar archive")? {
        let mut entry = entry.context("the archive is damaged or cut short")?;
        let name = entry.path().ok().and_then(|path| Some(path.to_str()?.to_owned())).context("a file without a name")?;
        if name == BACKUP {
            let mut names = String::new();
            entry.read_to_string(&mut names)?;
            ensure!(names.lines().eq(written.iter().map(String::as_str)), "files are missing from the archive");
            return Ok(());
        }
        ensure!(is_part(&name) && entry.header().entry_type().is_file(), "'{name}' is no part of a backup of Vecino");
        let mut file = File::create_new(folder.join(&name)).with_context(|| format!("cannot write {name}"))?;
        io::copy(&mut entry, &mut file).with_context(|| format!("{name} cannot be read from the archive"))?;
        written.insert(name);
    }
    bail!("the archive was cut short, or is no backup of Vecino")
}
