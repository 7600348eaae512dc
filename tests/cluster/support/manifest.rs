//! The manifests under `k8s-examples/`, adapted to this cluster: local images, the simulated engine, no GPU.

use serde_json::{Value, json};

use crate::support::cluster::{kubectl, repository};

/// The main container's name in the examples.
pub(crate) const ENGINE: &str = "deepgram-engine";
/// The sidecar container's name.
pub(crate) const LAMEDUCK: &str = "lameduck";

/// A Deployment or a Pod.
#[derive(Clone, Debug)]
pub(crate) struct Manifest(pub(crate) Value);

impl Manifest {
    /// The Deployment of this example, adapted to this cluster.
    pub(crate) fn example(file: &str) -> Self {
        let path = repository(&format!("k8s-examples/{file}"));
        let path = path.to_str().expect("the path is text");
        let text = kubectl(&["create", "--dry-run=client", "--output", "json", "--filename", path]);
        let mut objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
        let mut deployment = objects.find(|object| object["kind"] == "Deployment").expect("a Deployment");
        deployment["metadata"].as_object_mut().unwrap().remove("namespace");
        Self(deployment).adapted()
    }

    /// The native sidecar's example in a pod of this name, with this grace period in seconds.
    pub(crate) fn native(name: &str, grace: u32) -> Self {
        Self::example("native-sidecar.yaml").pod(name).grace(grace)
    }

    fn adapted(mut self) -> Self {
        for container in self.containers() {
            container["imagePullPolicy"] = json!("Never");
            // By default, a probe that takes more than a second fails.
            set_in_probes(container, "timeoutSeconds", 10);
            if container["name"] == LAMEDUCK {
                container["image"] = json!("localhost/lameduck:test");
            } else {
                simulate(container);
            }
        }
        self
    }

    /// A single pod from the Deployment's template.
    pub(crate) fn pod(self, name: &str) -> Self {
        let mut pod = self.0["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!(name);
        Self(pod)
    }

    /// Sets the grace period, in the pod and in lameduck's settings.
    pub(crate) fn grace(mut self, seconds: u32) -> Self {
        self.spec()["terminationGracePeriodSeconds"] = json!(seconds);
        self.setting("LAMEDUCK_GRACE_PERIOD", &seconds.to_string())
    }

    /// Sets further options of the simulated engine. It ignores the arguments that the example has for the real one.
    pub(crate) fn engine(self, options: &str) -> Self {
        self.simulated(ENGINE, options)
    }

    /// Like `engine`, for another container that runs the simulated engine.
    pub(crate) fn simulated(mut self, container: &str, options: &str) -> Self {
        set_options(self.container(container), options);
        self
    }

    /// Sets one of lameduck's variables.
    pub(crate) fn setting(mut self, name: &str, value: &str) -> Self {
        let variables = self.container(LAMEDUCK)["env"].as_array_mut().expect("the example has an env");
        variables.retain(|variable| variable["name"] != name);
        variables.push(json!({"name": name, "value": value}));
        self
    }

    /// Renames a Deployment, and sets its number of replicas.
    pub(crate) fn deployment(mut self, name: &str, replicas: u32) -> Self {
        self.0["metadata"]["name"] = json!(name);
        self.0["spec"]["replicas"] = json!(replicas);
        let labels = json!({"app": name});
        self.0["spec"]["selector"]["matchLabels"] = labels.clone();
        self.0["spec"]["template"]["metadata"]["labels"] = labels;
        self
    }

    /// Removes lameduck and its hook.
    pub(crate) fn without_lameduck(mut self) -> Self {
        self.container(ENGINE).as_object_mut().unwrap().remove("lifecycle");
        self.spec().as_object_mut().unwrap().remove("initContainers");
        self
    }

    /// The pod's spec.
    pub(crate) fn spec(&mut self) -> &mut Value {
        if self.0["kind"] == "Pod" { &mut self.0["spec"] } else { &mut self.0["spec"]["template"]["spec"] }
    }

    pub(crate) fn container(&mut self, name: &str) -> &mut Value {
        let mut containers = self.containers();
        containers.find(|container| container["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
    }

    fn containers(&mut self) -> impl Iterator<Item = &mut Value> {
        let spec = self.spec().as_object_mut().expect("a spec");
        let lists = spec.iter_mut().filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers"));
        lists.flat_map(|(_, list)| list.as_array_mut().expect("a list"))
    }
}

/// Replaces the real engine by the simulated one.
fn simulate(container: &mut Value) {
    container["image"] = json!("localhost/engine:test");
    container["resources"] = json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}});
    set_in_probes(container, "periodSeconds", 1);
    set_options(container, "");
}

fn set_in_probes(container: &mut Value, field: &str, seconds: u32) {
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        if let Some(probe) = container.get_mut(probe) {
            probe[field] = json!(seconds);
        }
    }
}

fn set_options(container: &mut Value, options: &str) {
    let options = format!("--listen 0.0.0.0:8080 {options}");
    container["env"] = json!([{"name": "ENGINE_SIM_ARGS", "value": options}]);
}
