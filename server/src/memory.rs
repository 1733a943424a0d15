//! How much memory the process holds, and may hold: writes are refused before the kernel ends it.

use std::{
    fs,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::cli::bytes;

/// How old the last look at the process may be.
const FRESH: Duration = Duration::from_millis(100);

/// A body takes about so many times its length until it is stored: as text, as numbers, as a record.
const TIMES: u64 = 3;

/// Has the system give this process memory in small pages, where it can be told. The first touch of a huge one takes as long as it
/// takes to clear two megabytes, and longer where a hypervisor has to find them first: of the time of 64 writers at once, a quarter to
/// a third was that. Searches of a graph lose a twentieth.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages are as the system has them");
    }
}

/// How much memory is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// Nine tenths of what the container may have; no limit outside of one.
    Auto,
    /// No limit.
    Off,
    /// So many bytes.
    Bytes(u64),
}

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            size => bytes(size).map(Self::Bytes),
        }
    }
}

/// The memory of this process.
#[derive(Debug)]
pub struct Memory {
    limit: Option<u64>,
    /// Bytes of bodies that are being taken in.
    coming: AtomicU64,
    seen: Mutex<Option<(Instant, u64)>>,
}

/// Room for a body, until it is dropped.
#[derive(Debug)]
pub struct Room {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    /// With a limit.
    pub fn new(limit: MemoryLimit) -> Self {
        let limit = match limit {
            MemoryLimit::Auto => container_limit().map(|bytes| bytes / 10 * 9),
            MemoryLimit::Off => None,
            MemoryLimit::Bytes(bytes) => Some(bytes),
        };
        Self { limit, coming: AtomicU64::new(0), seen: Mutex::new(None) }
    }

    /// The limit, if there is one.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Bytes that the process holds, without files that are mapped. 0 where the system does not tell.
    pub fn held(&self) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match *seen {
            Some((at, bytes)) if at.elapsed() < FRESH => bytes,
            _ => {
                let bytes = anonymous_bytes().unwrap_or(0);
                *seen = Some((Instant::now(), bytes));
                bytes
            }
        }
    }

    /// Whether more than three quarters of the limit are taken: time to give back what can be had again.
    pub fn is_short(&self) -> bool {
        self.limit.is_some_and(|limit| self.held() > limit / 4 * 3)
    }

    /// Room for a body of `bytes`.
    ///
    /// # Errors
    /// What is held and coming, and the limit, where both are too much.
    pub fn room(self: &Arc<Self>, bytes: u64) -> Result<Room, (u64, u64)> {
        let coming = self.coming.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let room = Room { memory: Arc::clone(self), bytes };
        if let Some(limit) = self.limit {
            let wanted = self.held().saturating_add(coming.saturating_mul(TIMES));
            if wanted > limit {
                return Err((wanted, limit));
            }
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.memory.coming.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What belongs to this process alone, as Linux counts it.
fn anonymous_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What the container may have, in either version of control groups.
fn container_limit() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit: u64 = files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())?;
    // Without a limit, the older version tells a number that no machine has.
    (limit < 1 << 60).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn pages_are_small() {
        use_small_pages();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }

    #[test]
    fn there_is_room_until_there_is_none() {
        let memory = Arc::new(Memory::new(MemoryLimit::Bytes(1 << 40)));
        let half = memory.room(1 << 37).unwrap();
        let _other = memory.room(1 << 37).unwrap();
        let (wanted, limit) = memory.room(1 << 37).unwrap_err();
        assert!(wanted > limit && limit == 1 << 40);
        drop(half);
        assert!(memory.room(1 << 36).is_ok(), "room that is not used any more, or was refused, is free again");
        assert!(Arc::new(Memory::new(MemoryLimit::Off)).room(u64::MAX).is_ok());
        assert!(Arc::new(Memory::new(MemoryLimit::Bytes(1))).room(1).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_holds_memory() {
        assert!(anonymous_bytes().unwrap() > 1 << 16);
    }

    #[test]
    fn limits_are_read() {
        assert_eq!("auto".parse(), Ok(MemoryLimit::Auto));
        assert_eq!("off".parse(), Ok(MemoryLimit::Off));
        assert_eq!("2GiB".parse(), Ok(MemoryLimit::Bytes(2 << 30)));
        assert!("much".parse::<MemoryLimit>().is_err());
    }
}
