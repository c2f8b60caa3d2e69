//! The defects of a naive retrying worker pool, one test each, S1 to S29.
//!
//! | | defect | where |
//! |---|---|---|
//! | S1-S7 | what happens to jobs on their way in and out | [`flow`] |
//! | S8-S13, S23 | the end of a pool | [`ending`] |
//! | S14-S18, S24 | retries | [`retries`] |
//! | S3, S19-S21, S25-S29 | cancellation, nesting, fairness, counts | [`sharing`] |

mod ending;
mod flow;
mod retries;
mod sharing;
