//! Composition with wac-graph, as Spin does it with `[component.NAME.dependencies]`.

use crate::harness::components_folder;
use std::collections::BTreeMap;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

const HTTP: &str = "wasi:http/incoming-handler@0.2.12";

/// Files that give interfaces to others; each is instantiated only where somebody needs it.
const PROVIDERS: [(&str, &str); 7] = [
    ("verification", "verification.wasm"),
    ("storage", "spin/storage-adapter.wasm"),
    ("keys", "spin/keys-adapter.wasm"),
    ("signature", "spin/signature-adapter.wasm"),
    ("files", "spin/files-adapter.wasm"),
    ("settings", "spin/settings-adapter.wasm"),
    ("types", "spin/types-adapter.wasm"),
];

/// A component with everything of ours inside.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it imports: this is what Spin must grant.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

struct Provider {
    id: PackageId,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Composes `publish`, `export` or `purge`.
pub fn compose(name: &str) -> Composed {
    let mut graph = CompositionGraph::new();
    let mut packages: BTreeMap<&str, Provider> =
        PROVIDERS.iter().map(|(name, file)| (*name, register(&mut graph, name, &read(file)))).collect();
    packages.insert(name, register(&mut graph, name, &read(&format!("{name}.wasm"))));
    let node = instantiate(&mut graph, &packages, &mut BTreeMap::new(), name);
    let exported = graph.alias_instance_export(node, HTTP).expect("a handler");
    graph.export(exported, HTTP).expect("exported");
    let bytes = graph.encode(EncodeOptions::default()).expect("encoded");
    let composed = register(&mut CompositionGraph::new(), name, &bytes);
    Composed { bytes, imports: composed.imports, exports: composed.exports }
}

fn read(file: &str) -> Vec<u8> {
    std::fs::read(components_folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn register(graph: &mut CompositionGraph, name: &str, bytes: &[u8]) -> Provider {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut()).expect("a component");
    let world = &graph.types()[package.ty()];
    let imports = world.imports.keys().cloned().collect();
    let exports = world.exports.keys().cloned().collect();
    Provider { id: graph.register_package(package).expect("registered"), imports, exports }
}

fn instantiate<'n>(
    graph: &mut CompositionGraph,
    packages: &BTreeMap<&'n str, Provider>,
    made: &mut BTreeMap<&'n str, NodeId>,
    name: &'n str,
) -> NodeId {
    if let Some(node) = made.get(name) {
        return *node;
    }
    let package = &packages[name];
    let node = graph.instantiate(package.id);
    made.insert(name, node);
    for import in package.imports.iter().filter(|import| import.starts_with("tocsin:")) {
        let provides = |(other, provider): &(&&'n str, &Provider)| **other != name && provider.exports.contains(import);
        let (provider, _) = packages.iter().find(provides).unwrap_or_else(|| panic!("{name}: nobody gives {import}"));
        let provider = instantiate(graph, packages, made, provider);
        let alias = graph.alias_instance_export(provider, import).expect("exported");
        graph.set_instantiation_argument(node, import, alias).expect("imported");
    }
    node
}
