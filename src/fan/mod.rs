//! Streams dealt out, merged and copied: each function bounded, with one row in one table.
//!
//! Any `futures` stream goes in, and what comes out are streams.
//!
//! | | [`fan_out`] | [`partition_by`] | [`broadcast()`] | [`fan_in`] | [`merge_sorted_by`] |
//! |---|---|---|---|---|---|
//! | an item goes to | the branch that comes for it | the branch of its key | every leg | the one reader | the one reader |
//! | who polls the input | a task | a task | a task | the reader's poll | the reader's poll |
//! | bound: taken from the input and not yielded | `n * buf` | `n * buf + 1` | the places of each leg | nothing | one item an input |
//! | order | of the input, within a branch | of the input, within a branch, so within a key | of the input, within a leg | of each input; between them as [`FanIn`] says | sorted, stable |
//! | a consumer that does not read | holds back what it took in one batch | stops all, once its branch is full | stops all, if its leg is required; else loses items, counted | stops what it reads | stops what it reads |
//! | a dropped branch | its items go to the others, which may see them out of order | ends the others: [`Ended::BranchDropped`] | required: ends the others; best-effort: is forgotten | - | - |
//! | all consumers dropped | the task ends and drops the input | the same | the same | the inputs are dropped | the inputs are dropped |
//! | a panic in the input, a key function, a `Clone`, a comparison | goes on in the next poll of each branch, after its last item | the same | the same | goes on in the poll; that input is dropped, the others go on | goes on in the poll; the stream has ended |
//! | an error | is an item like any other | the same | the same | the same | the same |
//! | the end | when the input has ended and what a branch is given is read | the same | the same | when all inputs have ended | the same |
//! | a runtime that shuts down | [`Ended::Shutdown`], after what was put in | the same | the same | - | - |
//!
//! From task to task items move in batches, which are handed over when they are large, when a branch has no room, and whenever
//! the input has nothing. A batch is collected only of items that come fast, within 100 µs; of an input that computes for longer
//! each item is handed over at once. The task belongs to its branches: nothing of it is left when they are gone.
//!
//! A circle is bounded too, so it can stand still by its shape: of two required legs of one broadcast that are read in turns by one
//! reader, the one not read fills up and stops the other. Read them side by side, as [`fan_in`] does.

mod branch;
mod broadcast;
mod error;
mod merge;
mod out;
mod pace;
mod partition;
mod pump;
pub(crate) mod share;
mod sorted;

pub use branch::{Branch, Ended};
pub use broadcast::{Leg, OnLag, broadcast};
pub use error::InvalidFan;
pub use merge::{FanIn, InputId, Merged, fan_in};
pub use out::fan_out;
pub use partition::partition_by;
pub(crate) use share::sealed::Sealed;
pub use share::{Role, Share};
pub use sorted::{MergeSorted, merge_sorted_by};
