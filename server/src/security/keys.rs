//! The keys of a server: a small file in the data folder, replaced as one step.
//!
//! Of a key only its SHA-256 is kept: keys have 256 random bits, so nothing is gained by a slower sum. The file is no part of
//! the log or of snapshots, so no copy of a library carries keys.

use std::{
    collections::HashMap,
    fmt, fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tempfile::NamedTempFile;
use vecino_engine::{Code, Error, Result, model::Timestamp};

use super::{
    Caller, Grant, Role, Scope,
    limits::{Allowance, KeyLimits},
    token,
};

/// The file in the data folder.
pub const FILE: &str = "keys.json";

/// How keys begin, so that people and scanners of sources know them.
const PREFIX: &str = "vecino_";

/// Keys that a server keeps.
pub const MAX_KEYS: usize = 10_000;

/// A key of one's own choice may not be shorter.
const SHORTEST: usize = 16;

const VERSION: u32 = 1;

/// A key, but for the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Made here.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The ids of the libraries that it is for; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub libraries: Option<Vec<String>>,
    /// When it was made.
    pub created_at: String,
    /// SHA-256 of the key, in hexadecimal.
    sha256: String,
}

/// Everything in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    /// What tokens are signed with, in base64.
    token_secret: String,
    keys: Vec<KeyRecord>,
}

#[derive(Clone)]
struct Entry {
    caller: Caller,
    sum: Vec<u8>,
}

/// All keys of a server.
pub struct KeyRing {
    path: PathBuf,
    allowance: Allowance,
    anonymous: Arc<KeyLimits>,
    /// From the settings, never in the file.
    first: Option<Entry>,
    token_secret: Vec<u8>,
    /// Held while the file changes.
    kept: Mutex<Kept>,
    /// As in `kept`, to be found by id.
    entries: RwLock<HashMap<String, Entry>>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("path", &self.path).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Reads the keys of a data folder. `first` is the key of an administrator that the settings bring.
    ///
    /// # Errors
    /// [`Code::InvalidValue`] for a key that is too short, [`Code::Damaged`] or [`Code::Storage`] for the file.
    pub fn open(folder: &Path, first: Option<&str>, allowance: Allowance) -> Result<Self> {
        let path = folder.join(FILE);
        let first = first.map(|key| first_entry(key, allowance)).transpose()?;
        let (kept, there) = match fs::read(&path) {
            Ok(bytes) => (read(&path, &bytes)?, true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (Kept { version: VERSION, token_secret: URL_SAFE_NO_PAD.encode(random::<32>()?), keys: Vec::new() }, false)
            }
            Err(error) => return Err(unwritable("cannot read", &path, &error)),
        };
        let entries =
            kept.keys.iter().map(|record| Ok((record.id.clone(), entry(&path, record, allowance)?))).collect::<Result<_>>()?;
        let ring = Self {
            anonymous: Arc::new(KeyLimits::new(allowance)),
            path,
            allowance,
            first,
            token_secret: secret(&kept).unwrap_or_default(),
            kept: Mutex::new(kept.clone()),
            entries: RwLock::new(entries),
        };
        if !there && ring.required() {
            // Tokens that the first key signs are still good after a restart.
            ring.save(&kept)?;
        }
        Ok(ring)
    }

    /// Whether requests need a key.
    pub fn required(&self) -> bool {
        self.first.is_some() || !self.read_entries(HashMap::is_empty)
    }

    /// Whoever comes without a key, where none is needed.
    pub fn anonymous(&self) -> Caller {
        let limits = Arc::clone(&self.anonymous);
        Caller { key: "anonymous".to_owned(), role: Role::Admin, scope: Scope::All, token: false, limits }
    }

    /// Whose key or token this is; `None` for one that is not valid.
    pub fn authenticate(&self, shown: &str) -> Option<Caller> {
        let sum = sum(shown);
        if let Some(first) = self.first.as_ref().filter(|first| bool::from(first.sum.ct_eq(&sum))) {
            return Some(first.caller.clone());
        }
        if let Some((id, _)) = shown.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) {
            let entry = self.entry(id)?;
            return bool::from(entry.sum.ct_eq(&sum)).then_some(entry.caller);
        }
        let (key, grant) = token::verify(shown, &self.token_secret)?.into_parts();
        let signer = self.entry(&key)?.caller;
        // What a key may no longer do, its tokens may not either.
        let allowed = grant.role <= signer.role && signer.scope.includes(&grant.scope);
        allowed.then_some(Caller { role: grant.role, scope: grant.scope, token: true, ..signer })
    }

    /// Makes a key: what is kept of it, and the key itself, which nobody can tell later.
    ///
    /// # Errors
    /// [`Code::InvalidValue`], [`Code::LimitExceeded`], [`Code::Storage`].
    pub fn create(&self, name: String, grant: &Grant, now: Timestamp) -> Result<(KeyRecord, String)> {
        if grant.role == Role::Admin && grant.scope != Scope::All {
            let detail = "the role admin is for the whole server: leave libraries out, or choose write";
            return Err(Error::new(Code::InvalidValue, detail).field("libraries"));
        }
        let mut kept = self.kept.lock().map_err(broken)?;
        if kept.keys.len() >= MAX_KEYS {
            return Err(Error::limit("keys of a server", MAX_KEYS, kept.keys.len() + 1).unfit());
        }
        let id: String = random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
        let sha256 = sum(&key).iter().map(|byte| format!("{byte:02x}")).collect();
        let record = KeyRecord { id, name, role: grant.role, libraries: grant.scope.ids(), created_at: now.to_string(), sha256 };
        let mut changed = kept.clone();
        changed.keys.push(record.clone());
        self.replace(&mut kept, changed)?;
        Ok((record, key))
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// [`Code::Storage`] after a failure inside.
    pub fn list(&self) -> Result<Vec<KeyRecord>> {
        Ok(self.kept.lock().map_err(broken)?.keys.clone())
    }

    /// Takes a key's validity, and that of its tokens. `None` when there is none of this id.
    ///
    /// # Errors
    /// [`Code::InvalidValue`] for the last administrator, [`Code::Storage`].
    pub fn revoke(&self, id: &str) -> Result<Option<KeyRecord>> {
        let mut kept = self.kept.lock().map_err(broken)?;
        let Some(place) = kept.keys.iter().position(|record| record.id == id) else { return Ok(None) };
        let mut changed = kept.clone();
        let record = changed.keys.remove(place);
        if self.first.is_none() && !changed.keys.iter().any(|record| record.role == Role::Admin) {
            let detail = "this is the last key of an administrator: make another one first";
            return Err(Error::new(Code::InvalidValue, detail).field("key").unfit());
        }
        self.replace(&mut kept, changed)?;
        Ok(Some(record))
    }

    /// Signs a token for a caller, until `expires` in seconds since 1970.
    ///
    /// # Errors
    /// [`Code::Storage`] after a failure inside.
    pub fn sign(&self, caller: &Caller, grant: &Grant, expires: u64) -> Result<String> {
        let claims = token::Claims::new(&caller.key, grant, expires);
        token::sign(&claims, &self.token_secret).ok_or_else(|| Error::new(Code::Storage, "the token cannot be signed"))
    }

    fn entry(&self, id: &str) -> Option<Entry> {
        let first = self.first.as_ref().filter(|first| first.caller.key == id);
        first.cloned().or_else(|| self.read_entries(|entries| entries.get(id).cloned()))
    }

    fn read_entries<T>(&self, read: impl FnOnce(&HashMap<String, Entry>) -> T) -> T {
        read(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file first, then what is in memory: a key that was told is there after a crash.
    fn replace(&self, kept: &mut Kept, changed: Kept) -> Result<()> {
        let old = self.entries.read().map_err(broken)?.clone();
        let same =
            |record: &KeyRecord| old.get(&record.id).cloned().map_or_else(|| entry(&self.path, record, self.allowance), Ok);
        let entries = changed.keys.iter().map(|record| Ok((record.id.clone(), same(record)?))).collect::<Result<_>>()?;
        self.save(&changed)?;
        *self.entries.write().map_err(broken)? = entries;
        *kept = changed;
        Ok(())
    }

    fn save(&self, kept: &Kept) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            // Readable by its owner only. What a crash leaves of it is removed with the storage's own unfinished files.
            let mut file = tempfile::Builder::new().prefix(".tmp-keys").tempfile_in(folder)?;
            serde_json::to_writer_pretty(&mut file, kept)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            NamedTempFile::persist(file, &self.path).map_err(|error| error.error)?;
            #[cfg(unix)]
            fs::File::open(folder)?.sync_all()?;
            Ok(())
        };
        write().map_err(|error| unwritable("cannot write", &self.path, &error))
    }
}

fn first_entry(key: &str, allowance: Allowance) -> Result<Entry> {
    if key.chars().count() < SHORTEST {
        let detail = format!("the key of the settings (api_key) has {SHORTEST} characters or more");
        return Err(Error::new(Code::InvalidValue, detail).field("api_key").numbers(SHORTEST, key.chars().count()));
    }
    let sum = sum(key);
    // Another key is another signer of tokens.
    let id = format!("first-{}", sum.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>());
    let limits = Arc::new(KeyLimits::new(allowance));
    Ok(Entry { caller: Caller { key: id, role: Role::Admin, scope: Scope::All, token: false, limits }, sum })
}

fn entry(path: &Path, record: &KeyRecord, allowance: Allowance) -> Result<Entry> {
    let digits = record.sha256.as_bytes();
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let sum = digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>().filter(|sum| sum.len() == 32);
    let sum = sum.ok_or_else(|| damaged(path, &format!("the key {} has no SHA-256", record.id)))?;
    let scope = Scope::of(record.libraries.clone());
    let limits = Arc::new(KeyLimits::new(allowance));
    Ok(Entry { caller: Caller { key: record.id.clone(), role: record.role, scope, token: false, limits }, sum })
}

fn read(path: &Path, bytes: &[u8]) -> Result<Kept> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|error| damaged(path, &error.to_string()))?;
    if kept.version != VERSION {
        let detail = format!("{} has version {}; this program reads {VERSION}", path.display(), kept.version);
        return Err(Error::new(Code::UnsupportedVersion, detail).numbers(VERSION, kept.version));
    }
    if secret(&kept).is_none() {
        return Err(damaged(path, "the secret of tokens is not one"));
    }
    Ok(kept)
}

fn secret(kept: &Kept) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(&kept.token_secret).ok().filter(|secret| secret.len() == 32)
}

fn sum(key: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, key.as_bytes()).as_ref().to_vec()
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| Error::new(Code::Storage, "the system has no random numbers"))
}

/// Never opened without its keys: an empty ring would let everybody in.
fn damaged(path: &Path, why: &str) -> Error {
    let detail =
        format!("the keys in {} cannot be read: {why}; put back a copy, or remove the file to make new keys", path.display());
    Error::new(Code::Damaged, detail)
}

fn unwritable(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::Storage, format!("{what} {}: {error}", path.display()))
}

fn broken<T>(_: PoisonError<T>) -> Error {
    Error::new(Code::Storage, "an earlier change of the keys failed half way; restart the server")
}
