//! Bugs that a test plants, to see that the simulation finds them. None of them can be switched on outside of it.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Syncs of files do nothing.
    FileNotSynced,
    /// Syncs of the folder do nothing.
    FolderNotSynced,
    /// A file gets its name before it is synced.
    RenameBeforeSync,
    /// A write is answered before it is synced.
    AnswerBeforeSync,
    /// The log is read as if its checksums were right.
    ChecksumIgnored,
    /// Snapshots are read as if their checksums were right.
    SnapshotChecksumIgnored,
    /// A torn tail is cut with a part of the frame before it.
    TailCutTooFar,
    /// Readers see a write before it is in the log.
    ApplyBeforeAppend,
}

impl Plant {
    /// Every bug.
    pub const ALL: [Self; 8] = [
        Self::FileNotSynced,
        Self::FolderNotSynced,
        Self::RenameBeforeSync,
        Self::AnswerBeforeSync,
        Self::ChecksumIgnored,
        Self::SnapshotChecksumIgnored,
        Self::TailCutTooFar,
        Self::ApplyBeforeAppend,
    ];
}
