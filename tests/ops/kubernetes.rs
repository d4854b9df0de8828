//! The manifests: what kustomize makes of them has the form that Kubernetes asks for, and is as safe as it claims.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;

use crate::examples::accept;
use crate::systemd::drain_seconds;
use crate::tools::{build_directory, installed};
use crate::{ROOT, read, succeed};

/// The first version with sidecars switched on, and a new one.
const VERSIONS: [&str; 2] = ["1.29.0", "1.37.0"];

const BUILT: [&str; 3] = ["base", "overlays/pods", "examples/patroni"];

/// Whole by themselves.
const PLAIN: [&str; 6] = [
    "base/daemonset.yaml",
    "base/service-account.yaml",
    "examples/patroni/namespace.yaml",
    "examples/patroni/patroni.yaml",
    "overlays/pods/service.yaml",
    "static-pod/etcdlet.yaml",
];

#[test]
fn every_manifest_has_the_form_that_kubernetes_asks_for() {
    let plain: Vec<PathBuf> = PLAIN.iter().map(|path| folder().join(path)).collect();
    validate(&plain).expect("the manifests are valid");
}

#[test]
fn a_manifest_that_is_not_valid_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("daemonset.yaml");
    let good = read("deploy/kubernetes/base/daemonset.yaml");
    for bad in
        [good.replace("hostNetwork:", "hostNet:"), good.replace("name: etcdlet\nspec", "nam: etcdlet\nspec")]
    {
        assert_ne!(good, bad);
        std::fs::write(&file, bad).unwrap();
        assert!(validate(std::slice::from_ref(&file)).is_err());
    }
}

#[test]
fn what_kustomize_makes_is_valid_and_safe() {
    let Some(kustomize) = kustomize() else { return };
    let directory = tempfile::tempdir().unwrap();
    for built in BUILT {
        let text = succeed(Command::new(&kustomize).arg("build").arg(folder().join(built)));
        let file = directory.path().join(format!("{}.yaml", built.replace('/', "-")));
        std::fs::write(&file, &text).unwrap();
        validate(&[file]).unwrap_or_else(|said| panic!("{built}: {said}"));
        let documents = documents(&text);
        check_configuration(built, &documents);
        let pods: Vec<&Value> = documents.iter().filter_map(pod).collect();
        assert_eq!(pods.len(), 1, "{built}");
        check_pod(built, pods[0]);
    }
}

#[test]
fn the_static_pod_is_safe() {
    let text = read("deploy/kubernetes/static-pod/etcdlet.yaml");
    let documents = documents(&text);
    check_pod("static-pod", pod(&documents[0]).expect("it is a pod"));
}

/// The config map holds a configuration that is accepted, and whose files are mounted.
fn check_configuration(name: &str, documents: &[Value]) {
    let mut maps = documents.iter().filter(|it| it["kind"] == "ConfigMap");
    let map = maps.next().unwrap_or_else(|| panic!("{name}: no ConfigMap"));
    let text = map["data"]["etcdlet.yaml"].as_str().unwrap_or_else(|| panic!("{name}: no etcdlet.yaml"));
    accept(name, text);
    let pod = documents.iter().find_map(pod).expect("there is a pod");
    let container = container(pod);
    let mounts: Vec<&str> =
        list(&container["volumeMounts"]).filter_map(|it| it["mountPath"].as_str()).collect();
    let paths = text.split([' ', '\n', ',', '}']).filter(|word| word.starts_with("/etc/"));
    for path in paths {
        let folder = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
        assert!(mounts.contains(&folder), "{name}: {path} is not mounted");
    }
}

/// The pod that a workload makes, or that it is.
fn pod(document: &Value) -> Option<&Value> {
    match document["kind"].as_str()? {
        "Pod" => Some(&document["spec"]),
        "DaemonSet" | "Deployment" | "StatefulSet" => Some(&document["spec"]["template"]["spec"]),
        _ => None,
    }
}

fn container(pod: &Value) -> &Value {
    let mut all = list(&pod["containers"]).chain(list(&pod["initContainers"]));
    all.find(|it| it["name"] == "etcdlet").expect("a container is named etcdlet")
}

fn check_pod(name: &str, pod: &Value) {
    let container = container(pod);
    let either = |key: &str| match &container["securityContext"][key] {
        Value::Null => pod["securityContext"][key].clone(),
        own => own.clone(),
    };
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
    assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
    assert_eq!(list(&context["capabilities"]["drop"]).collect::<Vec<_>>(), ["ALL"], "{name}");
    assert_eq!(either("seccompProfile")["type"], "RuntimeDefault", "{name}");
    // Root only where the keys are root's alone.
    assert!(name == "static-pod" || either("runAsNonRoot") == true, "{name}");
    assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
    assert!(container["resources"]["limits"]["cpu"].is_null(), "{name}: throttled");
    let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("it is a number");
    assert!(grace > drain_seconds(), "{name}: {grace}");
    let image = container["image"].as_str().unwrap_or_default();
    assert!(image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{name}: {image}");
    // On the node's network the kubelet asks itself; in a pod's, it cannot reach the loopback.
    let on_node = pod["hostNetwork"] == true;
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let host = &container[probe]["httpGet"]["host"];
        assert_eq!(host.as_str(), on_node.then_some("127.0.0.1"), "{name}: {probe}");
    }
    let volumes: BTreeSet<&str> = list(&pod["volumes"]).filter_map(|it| it["name"].as_str()).collect();
    for mount in list(&container["volumeMounts"]) {
        assert!(volumes.contains(mount["name"].as_str().expect("a mount has a name")), "{name}: {mount:?}");
        assert_eq!(mount["readOnly"], true, "{name}: {mount:?}");
    }
}

/// What is wrong with the manifests in these files, if anything is.
fn validate(files: &[PathBuf]) -> Result<(), String> {
    for version in VERSIONS {
        let mut validate = Command::new(installed("tools/python/bin/python"));
        validate.args(["-m", "kubernetes_validate", "--strict", "--kubernetes-version", version]);
        let output = validate.args(files).output().expect("python can be started");
        let said = format!(
            "{version}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        // What it does not know it only warns of.
        if !output.status.success() || said.contains("WARN") {
            return Err(said);
        }
    }
    Ok(())
}

/// Not there on a machine without Go, of which tests/run.sh tells.
fn kustomize() -> Option<PathBuf> {
    Some(build_directory().join("tools/kustomize/bin/kustomize")).filter(|path| path.exists())
}

fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("\n---\n");
    parts.map(|part| serde_yaml::from_str(part).expect("a manifest is YAML")).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

fn folder() -> PathBuf {
    Path::new(ROOT).join("deploy/kubernetes")
}
