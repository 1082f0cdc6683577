//! Files that are read in large pieces, of which the last few are kept.
//!
//! A browser takes about as long for a hundred bytes as for a hundred thousand, and a model is read tensor by tensor, in the decoder's
//! order: what a file has of a layer lies together, but not in that order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use merge_studio::format::{ReadError, Source};

/// Bytes of a piece.
const PIECE: u64 = 8 << 20;
/// Pieces that are kept: two of each of four models.
const KEPT: usize = 8;
/// Bytes that a shelf of these files takes at most.
pub fn room<'a, S: Source + 'a>(files: impl Iterator<Item = &'a S>) -> u64 {
    files.map(Source::len).sum::<u64>().min(PIECE * KEPT as u64)
}

/// The pieces of some files that were used last.
#[derive(Clone, Default)]
pub struct Shelf {
    /// The last one first.
    pieces: Rc<RefCell<VecDeque<Piece>>>,
    files: Rc<Cell<usize>>,
}

struct Piece {
    file: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl Shelf {
    /// A file whose pieces are kept here.
    pub fn keep<S>(&self, source: S) -> Shelved<S> {
        let file = self.files.replace(self.files.get() + 1);
        Shelved { source, file, shelf: self.clone() }
    }
}

/// A file that is read in pieces.
#[derive(Clone)]
pub struct Shelved<S> {
    source: S,
    file: usize,
    shelf: Shelf,
}

impl<S: Source> Shelved<S> {
    /// The piece that begins at `start`, taken from the shelf or read.
    async fn piece(&self, start: u64) -> Result<Piece, ReadError> {
        let mut bytes = {
            let mut pieces = self.shelf.pieces.borrow_mut();
            let is_it = |piece: &Piece| piece.file == self.file && piece.start == start;
            if let Some(piece) = pieces.iter().position(is_it).and_then(|at| pieces.remove(at)) {
                return Ok(piece);
            }
            let oldest = if pieces.len() < KEPT { None } else { pieces.pop_back() };
            oldest.map_or_else(Vec::new, |piece| piece.bytes)
        };
        bytes.resize((self.source.len() - start).min(PIECE) as usize, 0);
        self.source.read(start, &mut bytes).await?;
        Ok(Piece { file: self.file, start, bytes })
    }
}

impl<S: Source> Source for Shelved<S> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    async fn read(&self, offset: u64, mut into: &mut [u8]) -> Result<(), ReadError> {
        let (wanted, len) = (into.len() as u64, self.len());
        if offset.checked_add(wanted).is_none_or(|end| end > len) {
            return Err(ReadError::PastEnd { offset, wanted, len });
        }
        let mut at = offset;
        while !into.is_empty() {
            let piece = self.piece(at / PIECE * PIECE).await?;
            let bytes = &piece.bytes[(at - piece.start) as usize..];
            let (now, later) = into.split_at_mut(bytes.len().min(into.len()));
            now.copy_from_slice(&bytes[..now.len()]);
            at += now.len() as u64;
            into = later;
            self.shelf.pieces.borrow_mut().push_front(piece);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::merged::now;
    use super::*;

    /// Counts what is read of it.
    #[derive(Clone)]
    struct Counted {
        bytes: Rc<Vec<u8>>,
        read: Rc<Cell<u64>>,
    }

    impl Source for Counted {
        fn len(&self) -> u64 {
            self.bytes.len()
        }

        async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
            self.read.set(self.read.get() + into.len() as u64);
            into.copy_from_slice(&self.bytes[offset as usize..][..into.len()]);
            Ok(())
        }
    }

    fn counted(len: u64, seed: u64) -> Counted {
        let bytes = (0..len).map(|at| (((at + seed) * 0x9e37_79b9) >> 16) as u8).collect();
        Counted { bytes: Rc::new(bytes), read: Rc::default() }
    }

    #[test]
    fn what_is_read_is_what_the_files_hold() {
        let shelf = Shelf::default();
        let files = [counted(2 * PIECE + 5, 1), counted(100, 2), counted(PIECE, 3)];
        let kept = files.clone().map(|file| shelf.keep(file));
        for (file, kept) in files.iter().zip(&kept) {
            for (from, to) in [(0, 7), (PIECE - 3, PIECE + 3), (PIECE - 1, 2 * PIECE + 5), (0, file.len()), (50, 50)] {
                let (from, to) = (from.min(file.len()), to.min(file.len()));
                let mut bytes = vec![0; (to - from) as usize];
                now(kept.read(from, &mut bytes)).unwrap().unwrap();
                assert!(bytes == file.bytes[from as usize..to as usize], "{from}..{to} of {}", file.len());
            }
            let past = now(kept.read(file.len() - 1, &mut [0; 2])).unwrap();
            assert_eq!(past, Err(ReadError::PastEnd { offset: file.len() - 1, wanted: 2, len: file.len() }));
        }
    }

    #[test]
    fn backwards_within_two_pieces_nothing_is_read_twice() {
        let (shelf, file) = (Shelf::default(), counted(2 * PIECE, 4));
        let kept = shelf.keep(file.clone());
        for step in (0..(2 * PIECE) >> 18).rev() {
            now(kept.read(step << 18, &mut [0; 1 << 10])).unwrap().unwrap();
        }
        assert_eq!(file.read.get(), 2 * PIECE);
    }

    #[test]
    fn no_more_is_kept_than_was_said() {
        let shelf = Shelf::default();
        let files: Vec<_> = (0..5).map(|seed| shelf.keep(counted(3 * PIECE, seed))).collect();
        for file in &files {
            now(file.read(0, &mut vec![0; 3 * PIECE as usize])).unwrap().unwrap();
        }
        let bytes: usize = shelf.pieces.borrow().iter().map(|piece| piece.bytes.capacity()).sum();
        assert_eq!(bytes as u64, room(files.iter()));
        assert_eq!(room([counted(10, 0), counted(20, 0)].iter()), 30);
    }
}
