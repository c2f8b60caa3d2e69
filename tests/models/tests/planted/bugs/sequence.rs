//! The bugs of the models in `loom/sequence.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "sequence::finish_and_turn",
        what: "a number that is done lets the reader sleep",
        file: SEQUENCE,
        find: "reader: state.reader.take() }",
        put: "reader: None }",
    },
    Bug {
        model: "sequence::finish_and_room",
        what: "a number that is done makes room, and nobody is told",
        file: SEQUENCE,
        find: "Advanced { issuer: state.issuer.take(),",
        put: "Advanced { issuer: None,",
    },
];
