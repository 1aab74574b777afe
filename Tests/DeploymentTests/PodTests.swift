import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import SheafCore
import SheafTestTools
import Testing

@testable import SheafCommands

/// The processes of the pods, started with the arguments and the configuration of `compose/kubernetes`.
@Suite("Pods of Kubernetes", .timeLimit(.minutes(2))) struct PodTests {
    @Test("The server answers its probes, and the URLs of KEDA lead to numbers for a token that may read")
    func server() async throws {
        let cluster = try Cluster()
        try await cluster.bench { bench in
            try await bench.sheaf("create", "wordcount", "-", "--format", "lines", input: "one\ntwo\nthree\n")
            try await bench.running(try cluster.pod("sheaf-serve").container) { server in
                for probe in server.probes { #expect(try await server.get(probe.path).code == 200, "\(probe.kind)") }
                for (kind, desired) in [("ScaledObject", 3), ("ScaledJob", 0)] {
                    let object = try #require(cluster.all(kind).first)
                    let trigger = try Trigger(try #require(object.list("spec.triggers").first))
                    let (path, host) = ("\(trigger.path)?flow=\(trigger.flow)", "\(trigger.host):\(trigger.port)")
                    #expect(try await server.get(path, host: host).code == 401)
                    let answer = try await server.get(path, host: host, token: Cluster.tokens["SHEAF_READ_TOKEN"])
                    #expect(answer.code == 200, "\(answer.text)")
                    let location = try #require(trigger.json.text("metadata.valueLocation"))
                    #expect(try JSON.parse(answer.text).at(location)?.intValue == desired, "\(answer.text)")
                }
            }
        }
    }

    @Test("A worker answers its probes, and a job runs what is there and ends with 0") func workers() async throws {
        let cluster = try Cluster()
        try await cluster.bench { bench in
            try await bench.running(try cluster.pod("wordcount-workers").container) { worker in
                for probe in worker.probes {
                    try await bench.until("\(probe.kind) succeeds") { try await worker.get(probe.path).code == 200 }
                }
            }
            try await bench.sheaf("create", "checksum", "-", "--format", "lines", input: "one\ntwo\n")
            let job = try await bench.sheaf(try cluster.pod("checksum").container.arguments)
            #expect(job.code == 0, "\(job.talk)")
            #expect(try await bench.sheaf("status", "last", "--json").json["counts"]?["succeeded"] == 2)
        }
    }

    @Test("Without a broker, liveness probes succeed and readiness probes fail") func losesTheBroker() async throws {
        let cluster = try Cluster()
        try await RabbitMQNode.with { node in
            try await cluster.bench(["SHEAF_BROKER": node.url]) { bench in
                try await bench.running(try cluster.pod("sheaf-serve").container) { server in
                    try await bench.running(try cluster.pod("wordcount-workers").container) { worker in
                        let processes = [server, worker]
                        for process in processes {
                            try await bench.until("it is ready") { try await process.isReady }
                        }
                        try await node.kill()
                        for process in processes {
                            try await bench.until("it is not ready") { try await !process.isReady }
                            let path = try #require(process.path(of: "livenessProbe"))
                            #expect(try await process.get(path).code == 200)
                        }
                    }
                }
            }
        }
    }
}

/// A process that listens.
private struct PodProcess: Sendable {
    let port: Int
    let probes: [(kind: String, path: String)]

    /// The path of a kind of probe.
    func path(of kind: String) -> String? { probes.first { $0.kind == kind }?.path }

    /// Whether the readiness probe succeeds.
    var isReady: Bool { get async throws { try await get(path(of: "readinessProbe") ?? "").code == 200 } }

    /// Sends a request, as the node does or as a client that knows the name of the service.
    func get(_ path: String, host: String? = nil, token: String? = nil) async throws -> (code: UInt, text: String) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        if let host { request.headers.add(name: "host", value: host) }
        if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
        return (response.status.code, String(buffer: try await response.body.collect(upTo: 1 << 20)))
    }
}

extension Cluster {
    /// Runs the body in a folder with the configuration of the pods, and with tokens.
    fileprivate func bench(
        _ variables: [String: String] = [:],
        _ body: (Workbench) async throws -> Void
    ) async throws {
        let variables = Cluster.tokens.merging(variables) { $1 }
        try await Workbench.with(configuration: try configuration, environment: variables, body)
    }
}

extension Workbench {
    /// Runs the body while the process of a container runs, with a free port instead of its own.
    fileprivate func running(_ container: Container, _ body: (PodProcess) async throws -> Void) async throws {
        let log = "\(container.json.text("name") ?? "").log"
        let port = try #require(container.json.list("ports").first?.at("containerPort")?.intValue)
        let probes = container.probes.map { ($0.kind, $0.json.text("httpGet.path") ?? "") }
        for probe in container.probes { #expect(container.port(probe.json.at("httpGet.port")) == port) }
        let arguments = container.arguments.map { argument in
            argument == "\(port)" || argument.hasSuffix(":\(port)")
                ? argument.dropLast("\(port)".count) + "0" : argument
        }
        #expect(arguments != container.arguments, "the port is not in the arguments")
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            let line = "exec $SHEAF \(arguments.joined(separator: " ")) 2> \(log)"
            group.addTask { try await shell(line, limit: .seconds(110)) }
            var bound: Int?
            try await until("\(log) has a port") {
                let match = ((try? read(log)) ?? "").firstMatch(of: /http:\/\/0\.0\.0\.0:([0-9]+)[\/\n]/)
                bound = match.flatMap { Int($0.1) }
                return bound != nil
            }
            try await body(PodProcess(port: try #require(bound), probes: probes))
        }
    }
}
