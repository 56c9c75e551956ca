//! Checks the write-ahead log before SQLite reads it. SQLite takes the first frame whose checksum
//! does not match for the end of the log. That is right for a frame that was being written when the
//! power failed, and wrong for one in the middle that the disk has changed since. Each commit is
//! synced before the next begins, so behind a torn frame there is at most the rest of one commit;
//! more than that means that answered events would be lost silently.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use hookward_core::store::OpenError;

/// First four bytes of a log; the last bit says whether checksums read big-endian words.
const MAGIC: u32 = 0x377f_0682;
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Page size of the files that this store creates.
const DEFAULT_PAGE_BYTES: u32 = 4096;

/// A log that is damaged before its last commit.
#[derive(Debug, PartialEq, Eq)]
struct Damage {
    /// Intact bytes before the damage.
    at: u64,
    /// Commits that end behind it.
    commits: usize,
}

/// What a log holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogSummary {
    /// There is a log, even if nothing in it can be read.
    pub(crate) exists: bool,
    /// The salts of an intact header, which name the log.
    pub(crate) salts: Option<(u32, u32)>,
    /// Commits that SQLite reads.
    pub(crate) commits: usize,
}

/// Reads the log beside `path`. Returns an error if it is damaged before its last commit. Changes
/// nothing.
pub(crate) fn check(path: &Path) -> Result<LogSummary, OpenError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = Path::new(&log);
    let file = match File::open(log) {
        Ok(file) => file,
        // A store that was closed regularly has no log.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(LogSummary::default()),
        Err(e) => {
            return Err(OpenError::new(format!(
                "{} cannot be read: {e}; the store needs a file, and a log beside it, that this \
                 user may read and write",
                log.display()
            )));
        }
    };
    let read = read_log(BufReader::with_capacity(1 << 16, file));
    let (summary, damage) =
        read.map_err(|e| OpenError::new(format!("{} cannot be read: {e}", log.display())))?;
    let Some(Damage { at, commits }) = damage else { return Ok(summary) };
    let log = log.display();
    Err(OpenError::new(format!(
        "{log} is damaged at byte {at}, and {commits} of its commits end behind the damage; \
         restore {} and its log from a backup, or give up those commits: keep a copy, then \
         truncate -s {at} {log}",
        path.display()
    )))
}

fn read_log(mut log: impl Read) -> std::io::Result<(LogSummary, Option<Damage>)> {
    let mut header = [0; HEADER_BYTES];
    let mut summary = LogSummary { exists: true, ..LogSummary::default() };
    if !read_or_end(&mut log, &mut header)? {
        return Ok((summary, None));
    }
    // Fields are big-endian; the words of the checksum are as the last bit of the magic says.
    let field = |bytes: &[u8], n| read_word(bytes, n, true);
    let big_endian = field(&header, 0) & 1 == 1;
    let mut sum = checksum((0, 0), header.get(..24).unwrap_or_default(), big_endian);
    let is_intact =
        field(&header, 0) & !1 == MAGIC && sum == (field(&header, 6), field(&header, 7));
    // A damaged header does not say how long a frame is. Ours have this size.
    let page = if is_intact { field(&header, 2) } else { DEFAULT_PAGE_BYTES };
    let page = usize::try_from(page).unwrap_or(0).clamp(512, 1 << 16);
    // A log is overwritten from its start after a checkpoint. Frames of an earlier round have other
    // salts and do not belong to it.
    let mut salts = is_intact.then(|| (field(&header, 4), field(&header, 5)));
    summary.salts = salts;
    let (mut at, mut damaged) = (HEADER_BYTES as u64, (!is_intact).then_some(0));
    let (mut frame, mut commits) = (vec![0; FRAME_HEADER_BYTES + page], 0);
    // A frame that the file ends within was being written, and ends the log.
    while read_or_end(&mut log, &mut frame)? {
        let salt = (field(&frame, 2), field(&frame, 3));
        let is_own = *salts.get_or_insert(salt) == salt;
        if damaged.is_none() {
            // The checksum continues from frame to frame, so a change in one frame shows in all
            // later ones: after the first mismatch no checksum can be compared.
            sum = checksum(sum, frame.get(..8).unwrap_or_default(), big_endian);
            sum = checksum(sum, frame.get(FRAME_HEADER_BYTES..).unwrap_or_default(), big_endian);
            if !is_own || sum != (field(&frame, 4), field(&frame, 5)) {
                damaged = Some(at);
            }
        }
        // The first damaged frame counts even with a wrong salt: the damage may be in the salt. With
        // two wrong salts it is of an earlier round, in the place of a frame that was being
        // written. The last frame of a commit has the size of the file after it, all others have
        // zero.
        let is_near = salts.is_some_and(|own| own.0 == salt.0 || own.1 == salt.1);
        let commit = usize::from(field(&frame, 1) != 0);
        match damaged {
            None => summary.commits += commit,
            Some(from) if is_own || (from == at && is_near) => commits += commit,
            Some(_) => {}
        }
        at += frame.len() as u64;
    }
    // One commit was being written. Frames behind it that end no commit are of an earlier commit
    // that was interrupted, and whose place it took.
    Ok((summary, damaged.filter(|_| commits > 1).map(|at| Damage { at, commits })))
}

/// Reads a whole buffer; `false` at the end of the file.
fn read_or_end(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// The word `n` of four bytes.
fn read_word(bytes: &[u8], n: usize, big_endian: bool) -> u32 {
    let word = bytes.get(4 * n..4 * n + 4).and_then(|word| word.try_into().ok());
    let word = word.unwrap_or_default();
    if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

/// SQLite's cumulative checksum of a log, over pairs of words.
fn checksum((mut a, mut b): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(read_word(pair, 0, big_endian)).wrapping_add(b);
        b = b.wrapping_add(read_word(pair, 1, big_endian)).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests;
