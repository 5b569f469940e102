//! Compiles `poq/v1/*.proto` to Rust types with proto3 JSON, without a `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 11] = [
    "poq/v1/beacon.proto",
    "poq/v1/genesis.proto",
    "poq/v1/model.proto",
    "poq/v1/node.proto",
    "poq/v1/params.proto",
    "poq/v1/query.proto",
    "poq/v1/session.proto",
    "poq/v1/state.proto",
    "poq/v1/task.proto",
    "poq/v1/tx.proto",
    "poq/v1/validator.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=poq");
    let descriptors = protox::compile(FILES, ["."])?;
    let encoded = descriptors.encode_to_vec();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("poq.v1.descriptors.bin"), &encoded)?;
    let services = descriptors.file.iter().flat_map(|file| &file.service);
    let messages = services
        .filter(|service| service.name() == "Msg")
        .flat_map(|service| &service.method)
        .map(|method| method.input_type().trim_start_matches(".poq.v1."));
    std::fs::write(out.join("messages.rs"), for_each_message(messages))?;

    prost_build::Config::new()
        .enable_type_names()
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .preserve_proto_field_names()
        .build(&[".poq.v1"])?;
    Ok(())
}

/// A macro that lists the messages of `service Msg`.
fn for_each_message<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    format!(
        "/// Calls a macro with the names of all messages of `poq.v1.Msg`, after names of the caller's own.
        #[macro_export]
        macro_rules! for_each_message {{
            ($call:ident $($own:ident)*) => {{ $call! {{ $($own)* {} }} }};
        }}",
        names.join(" ")
    )
}
