//! Pools of tasks, by axis.
mod concurrent;
mod correct;
mod early_exit;
mod leak;
mod scope;
