//! Letting go of the whole of results that are shown shortened, once they are old or too many.

use super::codec::{StoredOverflow, decode};
use super::types::{EntryId, Retention};
use super::window::Item;
use super::write::Draft;
use super::{Inner, Session, now};
use crate::error::Boxed;
use crate::order;
use crate::store::{Range, RecordKind};

/// Entries whose wholes are read at once.
const CHUNK: u64 = 32;

/// What a sweep came to.
struct Swept {
    deletes: Vec<Range>,
    bytes: u64,
    /// The first that stays, and when it was written.
    first: Option<(EntryId, f64)>,
}

impl Session<'_> {
    /// Deletes what retention lets go of. A failure is no reason to fail whatever was done before: it is a warning, and
    /// the next sweep tries again.
    pub(super) async fn sweep(&self) {
        if let Some(retention) = self.options.retention
            && let Err(error) = self.do_sweep(retention).await
        {
            self.warn(error.code(), format!("old results could not be let go of: {error}"));
        }
    }

    async fn do_sweep(&self, retention: Retention) -> Boxed<()> {
        let now = now(&*self.host);
        let (revision, head, shown) = {
            let inner = self.inner.borrow();
            (inner.at.revision, inner.at.head.clone(), inner.needed())
        };
        let is_old = |time: f64| retention.max_age_ms.is_some_and(|age| now - time > age);
        let is_over = |bytes: u64| retention.max_bytes.is_some_and(|most| bytes > most);
        if head.overflow_bytes == 0 || !(is_over(head.overflow_bytes) || is_old(head.overflow_since)) {
            return Ok(());
        }
        let mut swept = Swept { deletes: Vec::new(), bytes: head.overflow_bytes, first: None };
        let mut from = head.overflow_from;
        'sweep: while from < head.entries {
            let to = head.entries.min(from + CHUNK);
            let ranges = [Range { kind: RecordKind::Overflow, from, to }];
            for record in self.read(&ranges).await?.records {
                let read = decode::<StoredOverflow>(&record).ok();
                let (time, bytes) = read.map_or((0.0, 0), |read| (read.time, read.message.get().len() as u64));
                let goes = is_old(time) || is_over(swept.bytes);
                if goes && shown.binary_search(&record.number).is_err() {
                    swept.deletes.push(Range::one(RecordKind::Overflow, record.number));
                    swept.bytes = swept.bytes.saturating_sub(bytes);
                } else if swept.first.is_none() {
                    swept.first = Some((record.number, time));
                }
                if !goes {
                    break 'sweep;
                }
            }
            from = to;
        }
        if swept.deletes.is_empty() {
            return Ok(());
        }
        self.write(|inner| {
            // Somebody else may show some of these by now, or have added to them: the next sweep looks again.
            if inner.at.revision != revision {
                return Ok(None);
            }
            let mut head = inner.at.head.clone();
            let (first, since) = swept.first.unwrap_or((head.entries, now));
            (head.overflow_bytes, head.overflow_from, head.overflow_since) = (swept.bytes, first, since);
            let deletes = swept.deletes.clone();
            Ok(Some(Draft { deletes, ..Draft::new(head, ()) }))
        })
        .await?;
        Ok(())
    }
}

impl Inner<'_> {
    /// Entries that the view shows in whichever form, ascending: the model may ask for the whole of them.
    fn needed(&self) -> Vec<EntryId> {
        order::numbers(self.window.items.iter().filter_map(Item::entry))
    }
}
