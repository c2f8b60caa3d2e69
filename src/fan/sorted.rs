//! Sorted streams read as one sorted stream, in place.

use futures_core::stream::{FusedStream, Stream};
use std::cmp::Ordering;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Merges streams that are each sorted by `compare` into one that is sorted by it, in place: nothing is spawned.
///
/// One item of each input is held, and none is yielded before each input that has not ended has shown its next. It is stable: of
/// items that compare as equal, those of an earlier input come first. Inputs that are not sorted yield an order that is not sorted
/// either, without any item missing. It ends when all inputs have ended; without inputs it has ended at once. An item costs about
/// log₂ of the number of inputs in comparisons (a tournament tree, Knuth, *The Art of Computer Programming* 3, 5.4.1).
///
/// # Panics
/// A panic of an input or of `compare` goes on in the poll that meets it, and ends the stream: what is merged then is not known to be
/// sorted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures::{StreamExt as _, stream};
///
/// let logs = [vec![1, 4, 9], vec![2, 3, 10], vec![]].map(stream::iter);
/// let merged: Vec<u32> = flowgate::merge_sorted_by(logs, |a: &u32, b| a.cmp(b)).collect().await;
/// assert_eq!(merged, [1, 2, 3, 4, 9, 10]);
/// # }
/// ```
pub fn merge_sorted_by<I, F>(streams: I, compare: F) -> MergeSorted<I::Item, F>
where
    I: IntoIterator,
    I::Item: Stream,
    F: FnMut(&<I::Item as Stream>::Item, &<I::Item as Stream>::Item) -> Ordering,
{
    let inputs: Vec<_> = streams.into_iter().map(|stream| Some(Box::pin(stream))).collect();
    let heads = inputs.iter().map(|_| None).collect();
    let missing = (0..inputs.len()).collect();
    MergeSorted { inputs, heads, missing, losers: Vec::new(), compare, intact: true }
}

/// Sorted streams as one. Made by [`merge_sorted_by`].
///
/// # Cancel safety
/// Safe: the items that it holds stay in it between polls. Dropping it drops them, and the inputs.
#[must_use = "a stream does nothing unless it is polled"]
pub struct MergeSorted<S: Stream, F> {
    /// `None` once it has ended.
    inputs: Vec<Option<Pin<Box<S>>>>,
    /// The next item of each.
    heads: Vec<Option<S::Item>>,
    /// Those that have to show their next item; all of them at first, later the one that won.
    missing: Vec<usize>,
    /// The winner at 0; at each other node, the loser of its match. Empty until all have shown their first.
    losers: Vec<usize>,
    compare: F,
    /// Not so while code of the user's is being called: still not at the next poll, it has panicked.
    intact: bool,
}

impl<S, F> MergeSorted<S, F>
where
    S: Stream,
    F: FnMut(&S::Item, &S::Item) -> Ordering,
{
    /// Whether `a` comes before `b`: an input that has ended comes last.
    fn beats(&mut self, a: usize, b: usize) -> bool {
        match (&self.heads[a], &self.heads[b]) {
            (Some(first), Some(second)) => match (self.compare)(first, second) {
                Ordering::Less => true,
                Ordering::Equal => a < b,
                Ordering::Greater => false,
            },
            (first, second) => first.is_some() || (second.is_none() && a < b),
        }
    }

    /// Plays all matches. The leaves of the tree are the nodes from `inputs` on, the inner ones those below.
    fn play_all(&mut self) {
        let inputs = self.inputs.len();
        self.losers = vec![0; inputs];
        let mut winners = vec![0; 2 * inputs];
        for (input, leaf) in winners[inputs..].iter_mut().enumerate() {
            *leaf = input;
        }
        for node in (1..inputs).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) = if self.beats(left, right) { (left, right) } else { (right, left) };
            winners[node] = winner;
            self.losers[node] = loser;
        }
        self.losers[0] = winners[1];
    }

    /// Plays the matches of the last winner again, whose head is another.
    fn replay(&mut self, input: usize) {
        let mut winner = input;
        let mut node = (input + self.inputs.len()) / 2;
        while node > 0 {
            let rival = self.losers[node];
            if self.beats(rival, winner) {
                self.losers[node] = winner;
                winner = rival;
            }
            node /= 2;
        }
        self.losers[0] = winner;
    }

    /// Polls those whose next item is not known. Whether all are now.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        let (inputs, heads) = (&mut self.inputs, &mut self.heads);
        self.missing.retain(|nth| {
            let Some(input) = &mut inputs[*nth] else { return false };
            match input.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => heads[*nth] = Some(item),
                Poll::Ready(None) => inputs[*nth] = None,
                Poll::Pending => return true,
            }
            false
        });
        self.missing.is_empty()
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let returning = self.missing.first().copied();
        if !self.fill(cx) {
            return Poll::Pending;
        }
        match returning {
            Some(_) if self.losers.is_empty() => self.play_all(),
            Some(input) => self.replay(input),
            None => {}
        }
        let Some(winner) = self.losers.first().copied() else { return Poll::Ready(None) };
        let item = self.heads[winner].take();
        if item.is_some() {
            self.missing.push(winner);
        }
        Poll::Ready(item)
    }
}

// The inputs are boxed; items are never pinned.
impl<S: Stream, F> Unpin for MergeSorted<S, F> {}

impl<S, F> Stream for MergeSorted<S, F>
where
    S: Stream,
    F: FnMut(&S::Item, &S::Item) -> Ordering,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.intact, false) {
            this.inputs.clear();
            this.heads.clear();
            this.missing.clear();
            this.losers.clear();
            return Poll::Ready(None);
        }
        let next = this.next(cx);
        this.intact = true;
        next
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let held = self.heads.iter().flatten().count();
        let mut least = held;
        let mut most = Some(held);
        for input in self.inputs.iter().flatten() {
            let (low, high) = input.size_hint();
            least = least.saturating_add(low);
            most = most.zip(high).and_then(|(most, high)| most.checked_add(high));
        }
        if self.intact { (least, most) } else { (0, Some(0)) }
    }
}

impl<S, F> FusedStream for MergeSorted<S, F>
where
    S: Stream,
    F: FnMut(&S::Item, &S::Item) -> Ordering,
{
    fn is_terminated(&self) -> bool {
        !self.intact || (self.inputs.iter().all(Option::is_none) && self.heads.iter().all(Option::is_none))
    }
}

impl<S: Stream, F> fmt::Debug for MergeSorted<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.inputs.iter().flatten().count();
        f.debug_struct("MergeSorted").field("inputs", &open).finish_non_exhaustive()
    }
}
