//! Which header fields a test looks at, and which part of them.

use super::index::Index;
use super::mime::{Mime, Piece};
use crate::services::sieve::check::Arguments;
use crate::services::sieve::program::Value;
use crate::services::sieve::run::{Content, Halt, HeaderField, Run};

/// Fields by their names, with the restrictions of `index` and `mime`.
#[derive(Debug)]
pub(super) struct Source {
    names: Vec<Value>,
    index: Option<Index>,
    mime: Option<Mime>,
}

/// The cost of holding a value besides its length, in octets of work: the memory it takes.
pub(super) const HELD: usize = 512;

impl Source {
    /// Takes the tags; `pieces` says whether those that look into a field are allowed.
    pub(super) fn read_tags(arguments: &mut Arguments<'_, '_>, pieces: bool) -> Self {
        let index = Index::read(arguments);
        let mime = Mime::read(arguments, pieces);
        Self { names: Vec::new(), index, mime }
    }

    pub(super) fn with(mut self, names: Vec<Value>) -> Self {
        self.names = names;
        self
    }

    pub(super) fn names(&self) -> &[Value] {
        &self.names
    }

    /// The fields of that name; the one that `index` says among them.
    pub(super) fn fields(&self, run: &mut Run<'_, '_>, name: &str) -> Result<Vec<HeaderField>, Halt> {
        self.named(run, name).map(|found| self.pick(found))
    }

    /// The fields of all names that count, in the order of the names; the one that `index` says among them all (RFC 5260 §6).
    pub(super) fn all_fields(
        &self,
        run: &mut Run<'_, '_>,
        counts: impl Fn(&str) -> bool,
    ) -> Result<Vec<HeaderField>, Halt> {
        let mut found = Vec::new();
        for name in &self.names {
            let name = name.get(run)?;
            if counts(&name) {
                found.extend(self.named(run, &name)?);
            }
        }
        Ok(self.pick(found))
    }

    fn pick(&self, found: Vec<HeaderField>) -> Vec<HeaderField> {
        match &self.index {
            Some(index) => index.pick(found),
            None => found,
        }
    }

    fn named(&self, run: &mut Run<'_, '_>, name: &str) -> Result<Vec<HeaderField>, Halt> {
        let mut found = Vec::new();
        match &self.mime {
            None => {
                run.spend(run.content.lines().len())?;
                found.extend(Content::fields(run.content.lines(), name));
            }
            Some(mime) => {
                for part in mime.parts(run) {
                    let lines = run.content.part_lines(part);
                    let (length, fields) = (lines.len(), Content::fields(lines, name));
                    run.spend(length)?;
                    found.extend(fields);
                }
            }
        }
        // Values are held until all are there.
        run.spend(found.iter().map(|field| HELD + field.body.len()).sum())?;
        Ok(found)
    }

    /// What of a field is compared.
    pub(super) fn values(&self, field: &HeaderField, run: &mut Run<'_, '_>) -> Result<Vec<String>, Halt> {
        match self.mime.as_ref().map(|mime| &mime.piece) {
            None | Some(Piece::Whole) => Ok(vec![field.text()]),
            Some(piece) => piece.of(&field.body, run),
        }
    }
}
