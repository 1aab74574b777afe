import ArgumentParser
import OrderedCollections
import SheafCore
import SheafSettings
import Testing

@testable import SheafCommands

/// The objects of `compose/kubernetes`.
struct Cluster {
    private static let folder = "kubernetes/"
    static let files = ComposeFolder.yamlFiles.filter { $0.hasPrefix(folder) && !$0.hasSuffix("kustomization.yaml") }
    static let kustomization = folder + "kustomization.yaml"

    let objects: [JSONValue]

    /// Reads all objects.
    init() throws { objects = try Self.files.flatMap { try ComposeFolder.documents($0) } }

    /// The objects of a kind.
    func all(_ kind: String) -> [JSONValue] { objects.filter { $0.text("kind") == kind } }

    /// The object of that kind and name.
    func object(_ kind: String, _ name: String?) throws -> JSONValue {
        let object = all(kind).first { $0.text("metadata.name") == name }
        return try #require(object, "\(kind) \(name ?? "")")
    }

    /// The pods that deployments and jobs start.
    var pods: [Pod] {
        objects.compactMap { object in
            let template = object.at("spec.jobTargetRef.template") ?? object.at("spec.template")
            return template.map { Pod(owner: object.text("metadata.name") ?? "", template: $0) }
        }
    }

    /// The pod that the object with that name starts.
    func pod(_ owner: String) throws -> Pod {
        let pod = pods.first { $0.owner == owner }
        return try #require(pod, "\(owner)")
    }

    /// The pod with these labels.
    func pod(labelled labels: JSONValue?) throws -> Pod {
        let pod = pods.first { $0.template.at("metadata.labels") == labels }
        return try #require(pod, "no pod has the labels \(labels?.text ?? "")")
    }

    /// The values of the secret.
    var secrets: [String: String] {
        get throws {
            let data = try #require(try object("Secret", "sheaf").at("stringData")?.objectValue)
            return Dictionary(data.map { ($0.key, $0.value.stringValue ?? "") }) { $1 }
        }
    }

    /// The `sheaf.yaml` of all pods.
    var configuration: String {
        get throws { try #require(try object("ConfigMap", "sheaf").at("data")?["sheaf.yaml"]?.stringValue) }
    }
}

/// A pod that an object starts.
struct Pod {
    /// The name of the object.
    let owner: String
    let template: JSONValue

    var containers: [Container] { template.list("spec.containers").map { Container(json: $0) } }

    /// The only container.
    var container: Container { get throws { try #require(containers.count == 1 ? containers[0] : nil) } }

    /// The seconds from SIGTERM to SIGKILL.
    var patience: Int? { template.at("spec.terminationGracePeriodSeconds")?.intValue }
}

/// A container of a pod.
struct Container {
    let json: JSONValue

    /// The arguments of `sheaf`.
    var arguments: [String] { json.list("args").compactMap(\.stringValue) }

    /// The arguments as those of a worker.
    var worker: SheafCommand.Run {
        get throws { try #require(try SheafCommand.parseAsRoot(arguments) as? SheafCommand.Run, "\(arguments)") }
    }

    /// The arguments as those of a server.
    var server: SheafCommand.Serve {
        get throws { try #require(try SheafCommand.parseAsRoot(arguments) as? SheafCommand.Serve, "\(arguments)") }
    }

    /// The variables that come from a secret, with the key in it.
    var secrets: [String: String] {
        let pairs = json.list("env").compactMap { variable in
            variable.text("valueFrom.secretKeyRef.key").map { (variable.text("name") ?? "", $0) }
        }
        return Dictionary(pairs) { $1 }
    }

    /// The number of a port that is given by its name or number.
    func port(_ reference: JSONValue?) -> Int? {
        let ports = json.list("ports")
        if let name = reference?.stringValue {
            return ports.first { $0.text("name") == name }?.at("containerPort")?.intValue
        }
        return reference?.intValue
    }

    /// The probes by their kinds.
    var probes: [(kind: String, json: JSONValue)] {
        ["startupProbe", "livenessProbe", "readinessProbe"].compactMap { kind in json[kind].map { (kind, $0) } }
    }
}

/// A trigger of KEDA, with the URL that it asks.
struct Trigger {
    let json: JSONValue
    let host: String
    let port: Int
    let path: String
    let flow: String

    init(_ json: JSONValue) throws {
        self.json = json
        let url = try #require(json.text("metadata.url"))
        let form = /http:\/\/([a-z0-9.-]+):([0-9]+)(\/[^?]+)\?flow=([a-z0-9_-]+)/
        let match = try #require(url.wholeMatch(of: form), "\(url)")
        (host, path, flow) = (String(match.1), String(match.3), String(match.4))
        port = try #require(Int(match.2))
    }
}
