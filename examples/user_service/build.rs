//! Generates the gRPC messages, server and client from `proto/`.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["user/v1/user.proto"], ["proto"])?;
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("user.v1.bin");
    fs::write(descriptors, files.encode_to_vec())?;
    // The client is for the tests, which bring their own connection.
    tonic_prost_build::configure().build_transport(false).compile_fds(files)?;
    Ok(())
}
