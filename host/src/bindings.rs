//! The generated Rust of the WIT packages; the only `bindgen!` of the host.

#![expect(missing_docs, reason = "generated; documented in wit/")]

/// Every capability, as traits the host implements. Those that may wait (for the writer, the disk, a worker thread) are
/// async; the rest answer from memory and are called straight.
pub mod capabilities {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "host",
        imports: {
            "tocsin:capability/exposures.insert-and-revise": async,
            "tocsin:capability/exports": async,
            "tocsin:capability/retention": async,
            "tocsin:capability/blobs": async,
            "tocsin:capability/leases": async,
            "tocsin:capability/signing": async,
            "tocsin:capability/statistics": async,
        },
    });
}

/// The typed export of publish.
pub mod publish {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package tocsin:client; world publish { export tocsin:component/publisher@0.1.0; }",
        world: "tocsin:client/publish",
        exports: { default: async },
    });
}

/// The typed export of export.
pub mod export {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package tocsin:client; world export-jobs { export tocsin:component/exporter@0.1.0; }",
        world: "tocsin:client/export-jobs",
        exports: { default: async },
    });
}

/// The typed export of purge.
pub mod purge {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package tocsin:client; world purge-jobs { export tocsin:component/purger@0.1.0; }",
        world: "tocsin:client/purge-jobs",
        exports: { default: async },
    });
}

/// The contract of validators.
pub mod validator {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "tocsin:validator/contract",
        imports: {
            "tocsin:validator/services.find-key": async | trappable,
            "tocsin:validator/services.random": trappable,
        },
        exports: { default: async },
    });
}
