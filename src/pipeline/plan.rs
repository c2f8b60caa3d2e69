//! What a pipeline will be, before it runs: the names of its stages, and what is wrong with them.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Why a pipeline cannot be run. It names the stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPipeline {
    /// An option of a stage, or of the pipeline itself, has a value that cannot be honoured.
    #[error("stage \"{stage}\": {option} is {value}, allowed is {allowed}")]
    Option {
        /// The name of the stage, or `pipeline` for an option of the whole.
        stage: String,
        /// The option.
        option: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be set to.
        allowed: String,
    },
    /// Two stages have the same name.
    #[error("two stages are named \"{0}\"; name them apart, or `stage(..)` could mean either")]
    DuplicateName(String),
    /// There is no tokio runtime to run tasks on, or it was built without a timer.
    #[error("a pipeline needs a tokio runtime with a timer: run it inside `#[tokio::main]`, or enter a runtime first")]
    NoRuntime,
}

/// What kind of stage it is: the start of its name, if it was given none.
pub(super) type Kind = &'static str;

/// A stage as it is described.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    /// What is worth showing of its options.
    pub(super) note: String,
}

/// The stages of a pipeline in order, as [`Stage::describe`](super::Stage::describe) tells of them.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(super) stages: Vec<Planned>,
    /// Where the names of what is described next begin.
    names: Names,
    /// Whether each item needs a ticket.
    pub(super) tracked: bool,
    /// The tightest bound on items around the stage that is described next.
    in_flight: Option<NonZeroUsize>,
    faults: Vec<InvalidPipeline>,
}

/// How stages are named: by their label, inside of whatever pipeline they are nested in, or by kind and position.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Given by `named`, for the next stage.
    label: Option<Arc<str>>,
    /// The names of the pipelines around it.
    prefix: Option<Arc<str>>,
}

impl Names {
    pub(super) fn labelled(&self, label: Option<&Arc<str>>) -> Self {
        Self { label: label.cloned().or_else(|| self.label.clone()), prefix: self.prefix.clone() }
    }

    /// For what is inside of a pipeline that has the next name.
    pub(super) fn inside(&self) -> Self {
        let prefix = match (&self.prefix, &self.label) {
            (Some(prefix), Some(label)) => Some(format!("{prefix}/{label}").into()),
            (prefix, label) => label.clone().or_else(|| prefix.clone()),
        };
        Self { label: None, prefix }
    }

    /// The name of a nested pipeline itself.
    fn whole(&self) -> String {
        match (&self.prefix, &self.label) {
            (Some(prefix), Some(label)) => format!("{prefix}/{label}"),
            (None, Some(name)) | (Some(name), None) => name.to_string(),
            (None, None) => String::from("pipeline"),
        }
    }

    /// The name of the stage at this position.
    pub(super) fn name(&self, kind: Kind, position: usize) -> Arc<str> {
        let own = match &self.label {
            Some(label) => label.to_string(),
            None => format!("{kind}#{}", position + 1),
        };
        match &self.prefix {
            Some(prefix) => format!("{prefix}/{own}").into(),
            None => own.into(),
        }
    }
}

impl Plan {
    /// Describes a stage of your own: each item will have a ticket, so that what such a stage drops is known.
    pub fn custom(&mut self, kind: &'static str) {
        self.tracked = true;
        self.stage(kind, String::new());
    }

    pub(super) fn stage(&mut self, kind: Kind, note: impl fmt::Display) {
        let name = self.next_name(kind);
        self.stages.push(Planned { name, kind, note: note.to_string() });
    }

    fn next_name(&self, kind: Kind) -> Arc<str> {
        self.names.name(kind, self.stages.len())
    }

    /// The stage that is described next cannot be run.
    pub(super) fn refuse(
        &mut self,
        kind: Kind,
        option: &'static str,
        value: impl fmt::Display,
        allowed: impl Into<String>,
    ) {
        let stage = self.next_name(kind).to_string();
        self.faults.push(InvalidPipeline::Option { stage, option, value: value.to_string(), allowed: allowed.into() });
    }

    /// An option of the pipeline that is described cannot be honoured.
    pub(super) fn refuse_whole(&mut self, option: &'static str, value: impl fmt::Display, allowed: impl Into<String>) {
        let stage = self.names.whole();
        self.faults.push(InvalidPipeline::Option { stage, option, value: value.to_string(), allowed: allowed.into() });
    }

    /// Describes a stage under a name.
    pub(super) fn labelled(&mut self, label: Option<&Arc<str>>, describe: impl FnOnce(&mut Self)) {
        let names = self.names.labelled(label);
        let around = std::mem::replace(&mut self.names, names);
        describe(self);
        self.names = around;
    }

    /// Describes what is inside of a pipeline with these bounds.
    pub(super) fn inside(&mut self, in_flight: Option<usize>, describe: impl FnOnce(&mut Self)) {
        let names = self.names.inside();
        let around = (std::mem::replace(&mut self.names, names), self.in_flight);
        let own = in_flight.and_then(NonZeroUsize::new);
        self.in_flight = self.in_flight.into_iter().chain(own).min();
        describe(self);
        (self.names, self.in_flight) = around;
    }

    /// The most items that may be inside of the pipeline around the stage that is described next.
    pub(super) fn in_flight(&self) -> Option<usize> {
        self.in_flight.map(NonZeroUsize::get)
    }

    /// The first thing that is wrong.
    pub(super) fn check(&self) -> Result<(), InvalidPipeline> {
        if let Some(fault) = self.faults.first() {
            return Err(fault.clone());
        }
        let mut seen = HashSet::new();
        match self.stages.iter().find(|stage| !seen.insert(&stage.name)) {
            Some(twice) => Err(InvalidPipeline::DuplicateName(twice.name.to_string())),
            None => Ok(()),
        }
    }
}
