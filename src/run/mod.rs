//! Streams a plan's jobs through a backend: reads windows, measures, masks, mixes, and hands the result to a sink.
//!
//! One job is one tensor and runs on one worker; which worker, and how many there are, cannot be seen in the bytes.
