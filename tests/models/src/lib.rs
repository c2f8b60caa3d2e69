//! Loom models of the kernels.
