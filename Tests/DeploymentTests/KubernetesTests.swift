import OrderedCollections
import SheafCore
import SheafFlows
import SheafSettings
import SheafTestTools
import Testing

@testable import SheafCommands

@Suite("Files for Kubernetes") struct KubernetesTests {
    /// The version and the required members of each kind.
    private static let kinds: [String: (version: String, members: [String])] = [
        "Namespace": ("v1", []),
        "Secret": ("v1", ["stringData"]),
        "ConfigMap": ("v1", ["data"]),
        "Service": ("v1", ["spec.selector", "spec.ports"]),
        "Deployment": (
            "apps/v1",
            ["spec.selector.matchLabels", "spec.template.metadata.labels", "spec.template.spec.containers"]
        ),
        "TriggerAuthentication": ("keda.sh/v1alpha1", ["spec.secretTargetRef"]),
        "ScaledObject": ("keda.sh/v1alpha1", ["spec.scaleTargetRef.name", "spec.maxReplicaCount", "spec.triggers"]),
        "ScaledJob": (
            "keda.sh/v1alpha1",
            [
                "spec.jobTargetRef.template.spec.containers", "spec.jobTargetRef.template.spec.restartPolicy",
                "spec.maxReplicaCount", "spec.triggers",
            ]
        ),
    ]

    @Test("Every object has its version and its required members, and no name is used twice") func objects() throws {
        let cluster = try Cluster()
        var seen: Set<String> = []
        for object in cluster.objects {
            let kind = object.text("kind") ?? ""
            let rule = try #require(Self.kinds[kind], "\(kind) is unknown")
            #expect(object.text("apiVersion") == rule.version, "\(kind)")
            let name = try #require(object.text("metadata.name"), "\(kind)")
            #expect(seen.insert("\(kind) \(name)").inserted, "\(kind) \(name)")
            for member in rule.members { #expect(object.at(member) != nil, "\(kind) \(name): \(member)") }
        }
        let found = Set(cluster.objects.compactMap { $0.text("kind") })
        #expect(found == Set(Self.kinds.keys))
    }

    @Test("The kustomization lists every file, and its namespace is that of the URLs") func kustomization() throws {
        let cluster = try Cluster()
        let file = try #require(try ComposeFolder.documents(Cluster.kustomization).first)
        #expect(file.text("kind") == "Kustomization")
        let listed = file.list("resources").compactMap(\.stringValue).map { "kubernetes/" + $0 }
        #expect(listed.sorted() == Cluster.files)
        let namespace = try #require(file.text("namespace"))
        #expect(try cluster.object("Namespace", namespace).text("metadata.name") == namespace)
        let images = Set(file.list("images").compactMap { $0.text("name") })
        let used = Set(cluster.pods.flatMap(\.containers).compactMap { $0.json.text("image") })
        #expect(used == images)
    }

    @Test("Labels, ports, volumes and keys of secrets that are referenced exist") func references() throws {
        let cluster = try Cluster()
        for deployment in cluster.all("Deployment") {
            let labels = deployment.at("spec.template.metadata.labels")
            #expect(deployment.at("spec.selector.matchLabels") == labels)
        }
        let (secrets, configuration) = (try cluster.secrets, "sheaf")
        for pod in cluster.pods {
            let volumes = Set(pod.template.list("spec.volumes").compactMap { $0.text("name") })
            for volume in pod.template.list("spec.volumes") {
                if let name = volume.text("configMap.name") { #expect(name == configuration) }
            }
            for container in pod.containers {
                let mounts = container.json.list("volumeMounts").compactMap { $0.text("name") }
                #expect(Set(mounts) == volumes, "\(pod.owner)")
                for (variable, key) in container.secrets {
                    #expect(secrets[key] != nil, "\(pod.owner): \(variable)")
                }
                #expect(container.secrets["SHEAF_BROKER"] == "SHEAF_BROKER")
            }
        }
        for service in cluster.all("Service") {
            let container = try cluster.pod(labelled: service.at("spec.selector")).container
            for port in service.list("spec.ports") { #expect(container.port(port["targetPort"]) != nil) }
        }
    }

    @Test("No container runs as root, gains privileges, writes to its root or gets an account of the cluster")
    func isConfined() throws {
        let cluster = try Cluster()
        let user = try #require(try ComposeFolder.text("Dockerfile").firstMatch(of: /\nUSER ([0-9]+)/)?.1)
        #expect(cluster.pods.count == 3)
        for pod in cluster.pods {
            let security = try #require(pod.template.at("spec.securityContext"))
            #expect(security["runAsNonRoot"] == true && security["runAsUser"]?.intValue == Int(user), "\(pod.owner)")
            #expect(security.text("seccompProfile.type") == "RuntimeDefault", "\(pod.owner)")
            #expect(pod.template.at("spec.automountServiceAccountToken") == false, "\(pod.owner)")
            for container in pod.containers {
                let security = try #require(container.json["securityContext"])
                #expect(security["allowPrivilegeEscalation"] == false && security["readOnlyRootFilesystem"] == true)
                #expect(security.at("capabilities.drop") == ["ALL"], "\(pod.owner)")
                #expect(container.json.at("resources.limits.memory") != nil, "\(pod.owner)")
            }
        }
    }

    @Test("Only the server gets the tokens, and they are those of its sheaf.yaml") func tokens() throws {
        let cluster = try Cluster()
        let variables = Set(try cluster.configuration.matches(of: /\$\{([A-Z_]+)\}/).map { String($0.1) })
        let server = try cluster.pod("sheaf-serve").container
        #expect(Set(server.secrets.keys) == variables.union(["SHEAF_BROKER"]))
        for owner in ["wordcount-workers", "checksum"] {
            let worker = try cluster.pod(owner).container
            #expect(Array(worker.secrets.keys) == ["SHEAF_BROKER"])
        }
        let reader = cluster.all("TriggerAuthentication").flatMap { $0.list("spec.secretTargetRef") }
        #expect(reader.count == 1 && reader.first?.text("key") == "SHEAF_READ_TOKEN")
        #expect(reader.first?.text("parameter") == "token")
    }

    @Test("Sheaf reads the sheaf.yaml of the pods, and refuses the example values of the secret") func settings() throws
    {
        let cluster = try Cluster()
        let settings = try cluster.settings(tokens: Cluster.tokens)
        #expect(settings.warnings.isEmpty && settings.server.missingVariables.isEmpty)
        #expect(settings.server.tokens.map(\.scope) == [.write, .read])
        let error = #expect(throws: SettingsError.self) { try cluster.settings(tokens: try cluster.secrets) }
        #expect(error?.description.contains("SHEAF_TOKEN") == true)
    }

    @Test("The command of every container is valid") func commands() throws {
        let cluster = try Cluster()
        let flows = Set(try cluster.settings(tokens: Cluster.tokens).flows.keys.map(\.text))
        for pod in cluster.pods {
            let container = try pod.container
            #expect(container.json["command"] == nil, "the image's entry point is sheaf")
            if pod.owner == "sheaf-serve" {
                let server = try container.server
                #expect(server.host == "0.0.0.0" && server.port == container.port("http"))
                continue
            }
            let worker = try container.worker
            #expect(!worker.flow.isEmpty && flows.isSuperset(of: worker.flow), "\(pod.owner)")
            if let metrics = worker.metrics {
                #expect(metrics.host == "0.0.0.0" && metrics.port == container.port("metrics"), "\(pod.owner)")
            }
        }
    }

    @Test("A pod that is told to end has more time than its process needs") func ends() throws {
        let cluster = try Cluster()
        let settings = try cluster.settings(tokens: Cluster.tokens)
        for owner in ["wordcount-workers", "checksum"] {
            let pod = try cluster.pod(owner)
            let (patience, grace) = (try #require(pod.patience), try #require(try pod.container.worker.grace?.duration))
            // After the grace, a worker needs up to 15 s to return tasks to a slow broker.
            #expect(Duration.seconds(patience) >= grace + .seconds(15), "\(owner)")
        }
        // Short tasks end within the grace; long ones go back to their queue.
        let timeout = try #require(try settings.flow(named: "wordcount").definition().timeout)
        let grace = try #require(try cluster.pod("wordcount-workers").container.worker.grace?.duration)
        #expect(timeout < grace)
        let server = try #require(try cluster.pod("sheaf-serve").patience)
        #expect(server > 5 + 25)
        let job = try cluster.pod("checksum").container.worker
        #expect(job.untilEmpty && job.exitZeroAfterDrain == true)
    }

    @Test("KEDA asks the server's own address for a flow of the workers that it scales") func scales() throws {
        let cluster = try Cluster()
        let (service, settings) = (
            try cluster.object("Service", "sheaf-serve"), try cluster.settings(tokens: Cluster.tokens)
        )
        let namespace = try #require(try ComposeFolder.documents(Cluster.kustomization).first?.text("namespace"))
        let scaled = cluster.all("ScaledObject") + cluster.all("ScaledJob")
        #expect(scaled.count == 2)
        for object in scaled {
            let owner = object.text("spec.scaleTargetRef.name") ?? object.text("metadata.name") ?? ""
            let worker = try cluster.pod(owner).container.worker
            let trigger = try Trigger(try #require(object.list("spec.triggers").first))
            #expect(trigger.json.text("type") == "metrics-api" && trigger.json.text("metadata.authMode") == "bearer")
            for (name, value) in trigger.json["metadata"]?.objectValue ?? [:] {
                #expect(value.stringValue != nil, "\(name): KEDA takes strings only")
            }
            #expect(trigger.host == "sheaf-serve.\(namespace).svc")
            #expect(settings.server.allowedHosts.contains(trigger.host))
            let ports = service.list("spec.ports")
            #expect(ports.count == 1 && ports.first?.at("port")?.intValue == trigger.port)
            #expect(worker.flow == [trigger.flow])
            #expect(trigger.json.text("metadata.targetValue") == worker.concurrency.map(String.init))
            let authentication = trigger.json.text("authenticationRef.name")
            _ = try cluster.object("TriggerAuthentication", authentication)
        }
    }
}

extension Cluster {
    /// Tokens for tests.
    static let tokens = ["SHEAF_TOKEN": "writer-0123456789", "SHEAF_READ_TOKEN": "reader-0123456789"]

    /// The settings of the pods.
    func settings(tokens: [String: String]) throws -> Settings {
        try Settings.reading(try configuration, environment: tokens)
    }
}
